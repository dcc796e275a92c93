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

void oracle_awaits(struct oracle *o, struct oracle_job *j, uint64_t after)
{
	const struct oracle_job *other = oracle_job(o, after);

	if (after == 0 || oracle_is_stillborn(o, j))
		return;
	if (other == NULL)
		world_fail(o->world, "job %llu waits for job %llu, which does not exist",
			   (unsigned long long)j->id, (unsigned long long)after);
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
