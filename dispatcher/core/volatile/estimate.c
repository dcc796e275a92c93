#include "dispatcher/core/volatile/estimate.h"

#include <string.h>

#include "dispatcher/core/volatile/resource_names.h"
#include "dispatcher/core/durable/definition_table.h"
#include "dispatcher/core/decide/steps.h"

#define NS_PER_US 1000ull
/* Of leases while little is known of a shard's time: few rounds until they are as long as they should be,
 * and not too long where the first shards were short ones. */
#define LEASE_GROWTH 4u
/* What takes no longer is leased at once: not in rounds that grow to it while the estimate is young, nor in
 * ever smaller shares when a job ends. */
#define LEASE_SHORT_US (4 * USEC_PER_MSEC)
#define SHARD_NS_MAX (1000ull * 1000 * 1000 * 86400 * 365)

/* What is new counts for a quarter at least, to follow a change within a few reports, and for its part of all
 * shards while few are known: the first ones, of a microsecond each, took a hundred with their message. */
static void take(struct estimate *e, uint64_t shard_ns, uint64_t shards, uint32_t lease_count)
{
	uint64_t before = e->shards < 3 * shards ? e->shards : 3 * shards;
	uint64_t old = before * 1024 / (before + shards), new = 1024 - old; /* weights */
	uint64_t apart = shard_ns > e->shard_ns ? shard_ns - e->shard_ns : e->shard_ns - shard_ns;

	/* As round trips are estimated (RFC 6298): half of the first one, until more are known. */
	e->apart_ns = e->shards == 0 ? shard_ns / 2 : e->apart_ns - e->apart_ns / 4 + apart / 4;
	e->shard_ns = (e->shard_ns >> 10) * old + (shard_ns >> 10) * new +
		      (((e->shard_ns & 1023) * old + (shard_ns & 1023) * new) >> 10);
	if (e->shard_ns == 0)
		e->shard_ns = 1;
	e->shards += shards;
	if (lease_count > e->largest)
		e->largest = lease_count;
}

static struct estimate *definition_estimate(const struct dispatcher_core *core, const struct job_row *row)
{
	struct definition *def = job_definition(core, row);

	return &def->estimates[definition_phase(def, row->phase)];
}

static uint32_t place_of(const struct definition *def)
{
	return (def->sha256[0] | (uint32_t)def->sha256[1] << 8) % ESTIMATES_KEPT;
}

void estimates_keep(struct dispatcher_core *core, const struct definition *def)
{
	struct kept_estimates *kept = &core->kept_estimates[place_of(def)];

	if (def->estimates[0].shards == 0)
		return;
	memcpy(kept->sha256, def->sha256, sizeof kept->sha256);
	memcpy(kept->estimates, def->estimates, sizeof kept->estimates);
}

void estimates_recall(const struct dispatcher_core *core, struct definition *def)
{
	const struct kept_estimates *kept = &core->kept_estimates[place_of(def)];

	if (def->estimates[0].shards == 0 && memcmp(kept->sha256, def->sha256, sizeof kept->sha256) == 0)
		memcpy(def->estimates, kept->estimates, sizeof kept->estimates);
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
	take(definition_estimate(core, row), shard_ns, shards, lease_count);
	take(&job_shape(core, row)->estimate, shard_ns, shards, lease_count);
	if (row->run != NULL)
		take(&row->run->estimate, shard_ns, shards, lease_count);
}

uint64_t estimate_shard_ns(const struct dispatcher_core *core, const struct job_row *row)
{
	const struct estimate *e = definition_estimate(core, row);

	if (row->run != NULL && row->run->estimate.shards > 0)
		return row->run->estimate.shard_ns;
	return e->shards > 0 ? e->shard_ns : 0;
}

bool estimate_shard_span(const struct dispatcher_core *core, const struct job_row *row, uint64_t *least_ns,
			 uint64_t *most_ns)
{
	const struct estimate *e = definition_estimate(core, row);

	if (row->run != NULL && row->run->estimate.shards > 0)
		e = &row->run->estimate;
	*least_ns = e->shard_ns > 2 * e->apart_ns ? e->shard_ns - 2 * e->apart_ns : 0;
	*most_ns = e->shard_ns + 2 * e->apart_ns;
	return e->shards > 0;
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

	return ns / NS_PER_US < (uint64_t)core->config.prefetch_below_us;
}

uint32_t estimate_lease_size(const struct dispatcher_core *core, const struct job_row *row, uint64_t pending)
{
	const struct estimate *e = row->run != NULL ? &row->run->estimate : NULL;
	uint64_t cpu_milli = job_shape(core, row)->need.v[AMOUNT_CPU];
	uint64_t slots = core->offered_cpu_milli / (cpu_milli > 0 ? cpu_milli : 1000);
	uint64_t size, most, share, least;

	if (e == NULL || e->shards == 0 || pending == 0 || job_shape(core, row)->is_shared)
		return 1;
	size = (uint64_t)core->config.lease_time_us * NS_PER_US / e->shard_ns;
	least = (uint64_t)LEASE_SHORT_US * NS_PER_US / e->shard_ns;
	most = LEASE_GROWTH * (uint64_t)e->largest;
	share = (pending + 2 * slots) / (2 * slots + 1); /* one in work and one ahead for each slot */
	if (size > (most > least ? most : least))
		size = most > least ? most : least;
	if (size > (share > least ? share : least))
		size = share > least ? share : least;
	if (size > pending)
		size = pending;
	/* What may run at a time is not to wait for one another in one slot. */
	if (row->max_running > 0 && size > row->max_running / (slots > 0 ? slots : 1))
		size = row->max_running / (slots > 0 ? slots : 1);
	return size > 0 ? (uint32_t)size : 1;
}
