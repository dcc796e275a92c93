/* A job that has ended lives again: what was done stays, the rest is tried as if for the first time. Each
 * shard counts once over all lives. */
#include <string.h>

#include "base/check.h"
#include "jobs/kinds.h"
#include "tests/sim/oracle.h"

bool oracle_may_reopen(const struct oracle *o, const struct oracle_job *j)
{
	const struct oracle_phase *p = &j->phases[j->shards_phase];

	return j->ended && p->sealed && !oracle_is_stillborn(o, j) &&
	       (j->ended != JOB_SUCCEEDED || !shard_set_is_empty(&p->dead));
}

bool oracle_is_earlier(const struct oracle_job *j, struct token t)
{
	return t.epoch < j->earlier.epoch || (t.epoch == j->earlier.epoch && t.lease <= j->earlier.lease);
}

static void check_done(struct oracle *o, const struct oracle_phase *p, const struct reopened *r)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < r->done.count; i++) {
		n += r->done.items[i].count;
		if (!shard_set_contains_all(&p->done, r->done.items[i]))
			world_fail(o->world, "job %llu is reopened with shards done that are not",
				   (unsigned long long)r->job);
	}
	if (n != shard_set_count(&p->done) || r->plan.shard_count != p->shard_count)
		world_fail(o->world, "job %llu is reopened with %llu of %u shards done; there are %u of %u",
			   (unsigned long long)r->job, (unsigned long long)n, r->plan.shard_count,
			   shard_set_count(&p->done), p->shard_count);
}

static void count_anew(struct oracle_phase *p)
{
	shard_set_clear(&p->dead);
	for (uint32_t i = 0; p->facts != NULL && i < ORACLE_FATED; i++)
		p->facts[i].recorded = p->facts[i].crashes = 0;
}

/* What of its shards came while it had ended counted for nothing, and may be acknowledged. */
static void excuse_reported(struct oracle *o, uint64_t job)
{
	for (size_t i = 0; i < o->reported_count; i++)
		if (o->reported[i].job == job)
			o->reported[i].moot = true;
}

void oracle_reopened(struct oracle *o, const struct reopened *r)
{
	struct oracle_job *j = oracle_job(o, r->job);

	if (j == NULL || !oracle_may_reopen(o, j) || (j->event_due && !j->settled))
		world_fail(o->world, "job %llu is reopened, but has not ended, or not so",
			   (unsigned long long)r->job);
	if (r->reopens != j->reopens + 1 || r->phase != j->shards_phase ||
	    memcmp(&r->totals, &j->totals, sizeof r->totals) != 0 || r->retries != j->end.retries)
		world_fail(o->world, "job %llu is reopened as another than it was",
			   (unsigned long long)r->job);
	check_done(o, &j->phases[r->phase], r);
	count_anew(&j->phases[r->phase]);
	for (uint32_t p = r->phase + 1; p < ORACLE_PHASES; p++) {
		shard_set_clear(&j->phases[p].done);
		count_anew(&j->phases[p]);
	}
	j->ended = 0;
	j->after = 0;
	j->after_broken = false;
	oracle_joins(o, j, &r->body);
	j->by_shards = false; /* it waits for nothing more */
	j->shards_of = 0;
	j->deadline_wall_us = 0;
	j->event_due = j->settled = false;
	j->phase = r->phase;
	j->reopens++;
	j->earlier = r->earlier;
	excuse_reported(o, r->job);
	SAY(o->world, "job %llu lives again: %u of %u shards are done", (unsigned long long)j->id,
	    shard_set_count(&j->phases[j->phase].done), j->phases[j->phase].shard_count);
	coverage_hit(o->coverage, ROW_REOPENED, o->world->now_us);
}
