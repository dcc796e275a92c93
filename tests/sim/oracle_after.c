/* Jobs that wait for the ends of others: by the order of the records it is known at each of them who still
 * waits, and who waits in vain. */
#include "jobs/kinds.h"
#include "tests/sim/oracle.h"

static bool is_met(uint8_t condition, uint8_t state)
{
	return condition == AFTER_ANY || (condition == AFTER_SUCCEEDED) == (state == JOB_SUCCEEDED);
}

static void end_wait(struct oracle *o, struct oracle_job *j, uint8_t state)
{
	j->after = 0;
	j->after_broken = !is_met(o->scenario->jobs[j->sim_job].after, state);
	coverage_hit(o->coverage, j->after_broken ? ROW_AFTER_BROKEN : ROW_AFTER_MET, o->world->now_us);
}

/* ---- shard by shard ---- */

static bool is_past_shards(const struct oracle_job *j)
{
	return j->ended || j->phase > j->shards_phase;
}

static void await_shards(struct oracle *o, struct oracle_job *j, const struct oracle_job *other)
{
	j->by_shards = true;
	j->shards_of = is_past_shards(other) ? 0 : other->id;
	shard_set_copy(&j->opened, &other->phases[other->shards_phase].done);
	coverage_hit(o->coverage, ROW_AFTER_SHARD, o->world->now_us);
}

void oracle_shards_done(struct oracle *o, const struct oracle_job *j, uint32_t phase, struct range r)
{
	for (size_t i = 0; i < o->job_count && phase == j->shards_phase; i++)
		if (o->jobs[i].shards_of == j->id)
			shard_set_add(&o->jobs[i].opened, r.first, r.count);
}

void oracle_shards_over(struct oracle *o, const struct oracle_job *j)
{
	for (size_t i = 0; i < o->job_count; i++)
		if (o->jobs[i].shards_of == j->id && is_past_shards(j)) {
			o->jobs[i].shards_of = 0;
			if (oracle_barred(&o->jobs[i]) > 0)
				coverage_hit(o->coverage, ROW_SHARDS_BARRED, o->world->now_us);
		}
}

uint64_t oracle_barred(const struct oracle_job *j)
{
	return j->by_shards && j->shards_of == 0 ? j->phases[0].shard_count - shard_set_count(&j->opened) : 0;
}

void oracle_check_blocked(struct oracle *o, const struct oracle_job *j, const struct new_job *n)
{
	uint64_t blocked = 0;

	for (uint32_t i = 0; i < n->blocked.count; i++) {
		blocked += n->blocked.items[i].count;
		if (shard_set_contains_any(&j->opened, n->blocked.items[i]))
			world_fail(o->world, "shards of job %llu wait for some that are done",
				   (unsigned long long)j->id);
	}
	if (blocked != (j->by_shards ? n->plan.shard_count - shard_set_count(&j->opened) : 0))
		world_fail(o->world, "%llu shards of job %llu wait for others, of %u; %u are done",
			   (unsigned long long)blocked, (unsigned long long)j->id, n->plan.shard_count,
			   shard_set_count(&j->opened));
}

/* ---- */

void oracle_awaits(struct oracle *o, struct oracle_job *j, uint64_t after)
{
	const struct oracle_job *other = oracle_job(o, after);

	if (after == 0 || oracle_is_stillborn(o, j))
		return;
	if (other == NULL)
		world_fail(o->world, "job %llu waits for job %llu, which does not exist",
			   (unsigned long long)j->id, (unsigned long long)after);
	if (o->scenario->jobs[j->sim_job].after == AFTER_SHARD) {
		await_shards(o, j, other);
		return;
	}
	j->after = after;
	if (other->ended)
		end_wait(o, j, other->ended);
}

void oracle_awaited(struct oracle *o, const struct oracle_job *j)
{
	for (size_t i = 0; i < o->job_count; i++)
		if (o->jobs[i].after == j->id && !o->jobs[i].ended)
			end_wait(o, &o->jobs[i], j->ended);
}
