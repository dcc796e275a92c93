#include "dispatcher/core/estimate.h"

#include "dispatcher/core/amounts.h"
#include "dispatcher/core/definition_table.h"
#include "dispatcher/core/steps.h"

#define NS_PER_US 1000ull
/* Of leases while little is known of a shard's time: few rounds until they are as long as they should be,
 * and not too long where the first shards were short ones. */
#define LEASE_GROWTH 4u
#define SHARD_NS_MAX (1000ull * 1000 * 1000 * 86400 * 365)

static void take(struct estimate *e, uint64_t shard_ns, uint32_t lease_count)
{
	if (e->samples == 0)
		e->shard_ns = shard_ns;
	else /* a quarter of the new: follows a change within a few reports */
		e->shard_ns = e->shard_ns - e->shard_ns / 4 + shard_ns / 4;
	if (e->shard_ns == 0)
		e->shard_ns = 1;
	e->samples++;
	if (lease_count > e->largest)
		e->largest = lease_count;
}

static struct estimate *definition_estimate(const struct dispatcher_core *core, const struct job_row *row)
{
	struct definition *def = job_definition(core, row);

	return &def->estimates[definition_phase(def, row->phase)];
}

void estimate_take(struct dispatcher_core *core, struct job_row *row, uint64_t run_us, uint64_t shards,
		   uint32_t lease_count)
{
	uint64_t shard_ns;

	if (shards == 0)
		return;
	if (run_us > SHARD_NS_MAX / NS_PER_US)
		run_us = SHARD_NS_MAX / NS_PER_US;
	shard_ns = run_us * NS_PER_US / shards;
	take(definition_estimate(core, row), shard_ns, lease_count);
	take(&job_shape(core, row)->estimate, shard_ns, lease_count);
	if (row->run != NULL)
		take(&row->run->estimate, shard_ns, lease_count);
}

uint64_t estimate_shard_ns(const struct dispatcher_core *core, const struct job_row *row)
{
	const struct estimate *e = definition_estimate(core, row);

	if (row->run != NULL && row->run->estimate.samples > 0)
		return row->run->estimate.shard_ns;
	return e->samples > 0 ? e->shard_ns : 0;
}

uint64_t estimate_work_us(const struct dispatcher_core *core, const struct job_row *row, uint64_t shards)
{
	uint64_t ns = estimate_shard_ns(core, row);

	if (ns == 0)
		return shards * (uint64_t)core->config.default_shard_us;
	if (shards > UINT64_MAX / ns)
		return UINT64_MAX / NS_PER_US;
	return shards * ns / NS_PER_US;
}

bool estimate_allows_prefetch(const struct dispatcher_core *core, const struct job_row *row)
{
	uint64_t ns = estimate_shard_ns(core, row);

	return ns > 0 && ns / NS_PER_US < (uint64_t)core->config.prefetch_below_us;
}

uint32_t estimate_lease_size(const struct dispatcher_core *core, const struct job_row *row, uint64_t pending)
{
	const struct estimate *e = row->run != NULL ? &row->run->estimate : NULL;
	uint64_t cpu_milli = job_shape(core, row)->need.v[AMOUNT_CPU];
	uint64_t slots = core->offered_cpu_milli / (cpu_milli > 0 ? cpu_milli : 1000);
	uint64_t size, share;

	if (e == NULL || e->samples == 0 || pending == 0)
		return 1;
	size = (uint64_t)core->config.lease_time_us * NS_PER_US / e->shard_ns;
	if (size > LEASE_GROWTH * (uint64_t)e->largest)
		size = LEASE_GROWTH * (uint64_t)e->largest;
	share = (pending + 2 * slots) / (2 * slots + 1); /* one in work and one ahead for each slot */
	if (size > share)
		size = share;
	if (size > pending)
		size = pending;
	return size > 0 ? (uint32_t)size : 1;
}
