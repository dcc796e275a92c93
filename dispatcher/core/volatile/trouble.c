#include "dispatcher/core/volatile/trouble.h"

#include "dispatcher/core/volatile/resource_names.h"
#include "dispatcher/core/durable/job_table.h"
#include "dispatcher/core/decide/steps.h"

/* troubled[k] holds the shards that have met trouble more than k times. */
static void count(struct dispatcher_core *core, struct run *run, struct range r)
{
	uint32_t levels = core->config.crashes_max;

	if (run->troubled == NULL) {
		run->troubled = check_calloc(levels, sizeof *run->troubled);
		run->troubled_count = levels;
		for (uint32_t k = 0; k < levels; k++)
			shard_set_init(&run->troubled[k]);
	}
	for (uint32_t k = levels - 1; k > 0; k--) {
		struct range part;

		for (uint64_t at = r.first;
		     shard_set_next_range(&run->troubled[k - 1], at, &part) && part.first < range_end(r);
		     at = range_end(part)) {
			struct range both = range_intersect(part, r);

			shard_set_add(&run->troubled[k], both.first, both.count);
		}
	}
	shard_set_add(&run->troubled[0], r.first, r.count);
}

void trouble_met(struct dispatcher_core *core, struct session *s, uint64_t job, struct run *run,
		 const struct failure *f, struct range r)
{
	struct bytes why = f->why;
	bool news = s->trouble.kind != f->kind || !bytes_equal(blob_bytes(&s->trouble.why), why);

	if (why.size > WHY_BYTES_MAX)
		why.size = WHY_BYTES_MAX;
	count(core, run, r);
	if (!news)
		return;
	s->trouble.kind = f->kind;
	s->trouble.since_wall_us = core->wall_us;
	blob_set(&s->trouble.why, why);
	worker_changed(core, s);
	tell(core, true, job,
	     step_text(core, "worker %s has trouble (%s) and gets no work for a while: %.*s",
		       step_uuid(core, &s->worker->id), failure_kind_name(f->kind), (int)why.size,
		       (const char *)why.data));
}

void trouble_is_over(struct session *s)
{
	s->trouble.kind = 0;
	blob_fini(&s->trouble.why);
}

bool trouble_rests(const struct session *s)
{
	return s->trouble.kind != 0 && s->offered.v[AMOUNT_CPU] == 0;
}

static const struct shard_set *often_troubled(const struct run *run)
{
	return run->troubled_count > 0 ? &run->troubled[run->troubled_count - 1] : NULL;
}

uint64_t trouble_alone_count(const struct run *run)
{
	const struct shard_set *often = often_troubled(run);
	struct range r;
	uint64_t n = 0;

	for (uint64_t at = 0; often != NULL && shard_set_next_range(often, at, &r); at = range_end(r))
		n += shard_set_intersect_count(&run->returned, r);
	return n;
}

static bool next_alone(const struct run *run, struct range *ret)
{
	const struct shard_set *often = often_troubled(run);
	struct range r, part;

	for (uint64_t at = 0; often != NULL && shard_set_next_range(often, at, &r); at = range_end(r))
		if (shard_set_next_range(&run->returned, r.first, &part) && part.first < range_end(r)) {
			*ret = range_intersect(part, r);
			return true;
		}
	return false;
}

bool trouble_next_returned(const struct run *run, bool alone, struct range *ret)
{
	const struct shard_set *often = often_troubled(run);
	struct range r;

	if (alone)
		return next_alone(run, ret);
	if (often == NULL)
		return shard_set_next_range(&run->returned, 0, ret);
	for (uint64_t at = 0; shard_set_next_range(&run->returned, at, &r); at = range_end(r)) {
		uint64_t first = shard_set_next_absent(often, r.first, range_end(r));
		struct range apart;

		if (first >= range_end(r))
			continue;
		*ret = range_between(first, range_end(r));
		if (shard_set_next_range(often, first, &apart) && apart.first < range_end(r))
			*ret = range_between(first, apart.first);
		return true;
	}
	return false;
}

void trouble_clear(struct run *run)
{
	for (uint32_t k = 0; k < run->troubled_count; k++)
		shard_set_fini(&run->troubled[k]);
	free(run->troubled);
	run->troubled = NULL;
	run->troubled_count = 0;
}
