/* What the ends of jobs must say, and whether they may end so. */
#include "base/check.h"
#include "jobs/ended_block.h"
#include "jobs/kinds.h"
#include "tests/sim/oracle.h"

uint64_t oracle_tolerated(const struct oracle *o, const struct oracle_job *j)
{
	const struct sim_job *s = &o->scenario->jobs[j->sim_job];
	const struct oracle_phase *p = &j->phases[j->shards_phase];
	bool through =
	    p->sealed && (uint64_t)shard_set_count(&p->done) + shard_set_count(&p->dead) + oracle_barred(j) ==
			     p->shard_count;

	switch (s->tolerate_kind) {
	case TOLERATE_COUNT:
		return s->tolerate;
	case TOLERATE_PPM:
		return p->sealed ? s->tolerate * p->shard_count / 1000000 : UINT64_MAX;
	case TOLERATE_TO_THE_END:
		return through ? 0 : UINT64_MAX;
	case TOLERATE_FAILURES:
		return through ? 0 : s->tolerate;
	default:
		return 0;
	}
}

bool oracle_is_stillborn(const struct oracle *o, const struct oracle_job *j)
{
	return j->second && o->scenario->jobs[j->sim_job].second_fails;
}

static bool has_right_to_fail(const struct oracle *o, const struct oracle_job *j, usec_t wall_us)
{
	if (j->deadline_wall_us > 0 && wall_us >= j->deadline_wall_us)
		return true;
	if (j->after != 0 || j->after_broken || (j->grouped && !j->active))
		return false;
	if (oracle_is_stillborn(o, j) || j->planner_failed ||
	    shard_set_count(&j->phases[j->shards_phase].dead) + oracle_barred(j) > oracle_tolerated(o, j))
		return true;
	return j->phase != j->shards_phase && shard_set_count(&j->phases[j->phase].dead) > 0;
}

static bool has_right_to_succeed(const struct oracle *o, const struct oracle_job *j)
{
	const struct oracle_phase *last = &j->phases[j->phase];

	if (oracle_is_stillborn(o, j) || j->after != 0 || j->after_broken || (j->grouped && !j->active) ||
	    !last->sealed || j->phase < j->shards_phase ||
	    shard_set_count(&j->phases[j->shards_phase].dead) + oracle_barred(j) > oracle_tolerated(o, j))
		return false;
	if (j->phase == j->shards_phase)
		return (uint64_t)shard_set_count(&last->done) + shard_set_count(&last->dead) +
			   oracle_barred(j) ==
		       last->shard_count;
	return shard_set_count(&last->done) == last->shard_count;
}

static void check_later(struct oracle *o, const struct oracle_job *j, const struct job_ended *e)
{
	if (e->later.count != (j->phase > j->shards_phase ? j->phase - j->shards_phase : 0))
		world_fail(o->world, "job %llu ends in phase %u and tells of %u later ones",
			   (unsigned long long)j->id, j->phase, e->later.count);
	for (uint32_t i = 0; i < e->later.count; i++) {
		const struct oracle_phase *p = &j->phases[j->shards_phase + i + 1];
		const struct phase_counts *c = &e->later.items[i];

		if (c->shards != p->shard_count || c->done != shard_set_count(&p->done) ||
		    c->dead != shard_set_count(&p->dead))
			world_fail(o->world, "job %llu ends with %llu + %llu of %llu in phase %u",
				   (unsigned long long)j->id, (unsigned long long)c->done,
				   (unsigned long long)c->dead, (unsigned long long)c->shards,
				   j->shards_phase + i + 1);
	}
}

static void check_totals(struct oracle *o, const struct oracle_job *j, const struct totals *told)
{
#define TOTAL(name, add, json, form, doc)                                                                    \
	if (told->name != j->totals.name)                                                                    \
		world_fail(o->world, "job %llu ends with " #name " %llu; its outcomes say %llu",             \
			   (unsigned long long)j->id, (unsigned long long)told->name,                        \
			   (unsigned long long)j->totals.name);
	TOTALS_ALL(TOTAL)
#undef TOTAL
}

static void check_end(struct oracle *o, const struct oracle_job *j, const struct job_ended *e)
{
	const struct oracle_phase *shards = &j->phases[j->shards_phase];
	uint64_t done = shard_set_count(&shards->done), dead = shard_set_count(&shards->dead);
	bool right = e->state == JOB_SUCCEEDED ? has_right_to_succeed(o, j)
		     : e->state == JOB_FAILED
			 ? has_right_to_fail(o, j, e->wall_us)
			 : (j->cancel_asked || j->after_broken || oracle_group_cancels(o, j)) &&
			       !oracle_is_stillborn(o, j);

	if (!right)
		world_fail(o->world, "job %llu has no right to be %s (%.*s): %llu done, %llu dead of %u",
			   (unsigned long long)j->id, job_state_name(e->state), (int)e->why.size,
			   (const char *)e->why.data, (unsigned long long)done, (unsigned long long)dead,
			   shards->shard_count);
	if (e->shards != shards->shard_count || e->shards_phase != j->shards_phase || e->done != done ||
	    e->dead != dead || e->done + e->dead + e->dropped != e->shards ||
	    (e->state == JOB_SUCCEEDED && e->dropped > oracle_barred(j)))
		world_fail(
		    o->world,
		    "job %llu ends with %llu + %llu + %llu of %llu shards; there are %llu + %llu of %u",
		    (unsigned long long)j->id, (unsigned long long)e->done, (unsigned long long)e->dead,
		    (unsigned long long)e->dropped, (unsigned long long)e->shards, (unsigned long long)done,
		    (unsigned long long)dead, shards->shard_count);
	if (e->reopens != j->reopens)
		world_fail(o->world, "job %llu ends as if it was reopened %u times, not %u",
			   (unsigned long long)j->id, e->reopens, j->reopens);
	check_totals(o, j, &e->totals);
	check_later(o, j, e);
}

void oracle_ended(struct oracle *o, const struct job_ended *e)
{
	struct oracle_job *j = oracle_known(o, e->job, "an end");

	check_end(o, j, e);
	if (j->ended) { /* carried forward: the rules have not seen it */
		if (e->state != j->ended || j->settled || !j->event_due)
			world_fail(o->world, "job %llu ends twice", (unsigned long long)j->id);
		oracle_hit(o, ROW_CARRIED);
		return;
	}
	j->ended = e->state;
	j->event_due = e->event_due;
	j->due_ends += e->event_due;
	oracle_awaited(o, j);
	oracle_shards_over(o, j);
	if (j->deadline_wall_us > 0 && e->state == JOB_FAILED && e->wall_us >= j->deadline_wall_us)
		oracle_hit(o, ROW_OVERDUE);
	j->end = (struct job_ended){.accepted_wall_us = e->accepted_wall_us,
				    .started_wall_us = e->started_wall_us,
				    .retries = e->retries};
	if (j->reopens > 0)
		oracle_hit(o, ROW_ENDED_AGAIN);
	SAY(o->world, "job %llu is %s: %.*s", (unsigned long long)j->id, job_state_name(e->state),
	    (int)e->why.size, (const char *)e->why.data);
	oracle_hit(o, e->state == JOB_SUCCEEDED ? ROW_SUCCEEDED
		      : e->state == JOB_FAILED	? ROW_FAILED
						: ROW_CANCELLED);
	if (e->dropped > 0)
		oracle_hit(o, ROW_DROPPED);
	if (e->state == JOB_SUCCEEDED && e->dead > 0)
		oracle_hit(o, ROW_TOLERATED);
}

void oracle_ended_block(struct oracle *o, const struct ended_block *b)
{
	CHECK(ended_block_check(b, NULL) == 0);
	for (uint32_t i = 0; i < b->jobs.count; i++) {
		struct job_ended e = ended_block_at(b, i);

		oracle_ended(o, &e);
	}
	oracle_hit(o, ROW_ENDED_TOGETHER);
}
