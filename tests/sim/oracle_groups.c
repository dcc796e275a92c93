/* Concurrency groups: by the order of the records it is known at each of them which jobs of a group are
 * active. The world has one group. What is due by the clock is judged late rather than early: it arrives in a
 * tick. */
#include "jobs/kinds.h"
#include "tests/sim/oracle.h"

static const struct sim_job *drawn(const struct oracle *o, const struct oracle_job *j)
{
	return &o->scenario->jobs[j->sim_job];
}

static bool is_waiting(const struct oracle_job *j)
{
	return j->grouped && !j->active && !j->ended;
}

/* Nothing but the group keeps it from starting, for certain. */
static bool has_arrived(const struct oracle_job *j)
{
	return is_waiting(j) && j->after == 0 && !j->after_broken && !j->due;
}

static uint32_t count_active(const struct oracle *o)
{
	uint32_t n = 0;

	for (size_t i = 0; i < o->job_count; i++)
		n += o->jobs[i].grouped && o->jobs[i].active && !o->jobs[i].ended;
	return n;
}

static uint32_t count_waiting(const struct oracle *o)
{
	uint32_t n = 0;

	for (size_t i = 0; i < o->job_count; i++)
		n += is_waiting(&o->jobs[i]) && o->jobs[i].after == 0;
	return n;
}

void oracle_joins(struct oracle *o, struct oracle_job *j, const struct new_job *n)
{
	j->grouped = n->concurrency.group.size > 0 && !oracle_is_stillborn(o, j);
	j->due = n->due_wall_us != 0;
	j->active = false;
}

void oracle_skipped(struct oracle *o, uint64_t sim_job)
{
	const struct sim_job *s;

	if (sim_job >= o->scenario->job_count)
		world_fail(o->world, "an event makes no job");
	s = &o->scenario->jobs[sim_job];
	if (s->group_limit == 0 || s->group_mode != CONCURRENCY_SKIP ||
	    count_active(o) + count_waiting(o) < s->group_limit)
		world_fail(o->world, "event %llu makes no job, though its group has room",
			   (unsigned long long)sim_job);
	o->events[sim_job].skipped = true;
	coverage_hit(o->coverage, ROW_GROUP_SKIPPED, o->world->now_us);
}

void oracle_activated(struct oracle *o, struct oracle_job *j)
{
	if (!j->grouped)
		return;
	if (j->active || j->ended || j->after != 0 || j->after_broken)
		world_fail(o->world, "job %llu is activated, but waits for another, or for nothing",
			   (unsigned long long)j->id);
	if (count_active(o) >= drawn(o, j)->group_limit)
		world_fail(o->world, "job %llu is activated, but %u jobs of its group are",
			   (unsigned long long)j->id, count_active(o));
	j->active = true;
	j->due = false;
	coverage_hit(o->coverage, ROW_GROUP_ACTIVE, o->world->now_us);
}

static bool is_passed_by(const struct oracle *o, const struct oracle_job *j)
{
	for (size_t i = 0; i < o->job_count; i++) {
		const struct oracle_job *other = &o->jobs[i];

		if (is_waiting(other) && other->after == 0 && other->id > j->id &&
		    drawn(o, other)->group_latest)
			return true;
	}
	return false;
}

static bool is_displaced(const struct oracle *o, const struct oracle_job *j)
{
	for (size_t i = 0; i < o->job_count; i++) {
		const struct oracle_job *other = &o->jobs[i];

		if (is_waiting(other) && other->after == 0 && other->id != j->id &&
		    drawn(o, other)->group_mode == CONCURRENCY_CANCEL_RUNNING &&
		    count_active(o) >= drawn(o, other)->group_limit)
			return true;
	}
	return false;
}

bool oracle_group_cancels(const struct oracle *o, const struct oracle_job *j)
{
	bool may;

	if (!j->grouped)
		return false;
	if (j->active)
		may = is_displaced(o, j);
	else if (drawn(o, j)->group_mode == CONCURRENCY_SKIP)
		may = count_active(o) + count_waiting(o) > drawn(o, j)->group_limit;
	else
		may = is_passed_by(o, j);
	if (may)
		coverage_hit(o->coverage, ROW_GROUP_CANCELLED, o->world->now_us);
	return may;
}

/* All records of a commit are known. */
void oracle_groups_settled(const struct oracle *o)
{
	const struct oracle_job *first = NULL, *last = NULL, *arrived = NULL;

	for (size_t i = 0; i < o->job_count; i++) {
		const struct oracle_job *j = &o->jobs[i];

		if (!is_waiting(j) || j->after != 0 || j->after_broken)
			continue;
		if (has_arrived(j) && drawn(o, j)->group_mode != CONCURRENCY_QUEUE)
			world_fail(o->world, "job %llu waits for its group, which its mode does not",
				   (unsigned long long)j->id);
		first = first == NULL || j->id < first->id ? j : first;
		last = last == NULL || j->id > last->id ? j : last;
		arrived = arrived == NULL && has_arrived(j) ? j : arrived;
	}
	if (first == NULL)
		return;
	if (has_arrived(first) && count_active(o) < drawn(o, first)->group_limit)
		world_fail(o->world, "job %llu waits for its group, which has room",
			   (unsigned long long)first->id);
	if (has_arrived(last) && drawn(o, last)->group_latest && arrived != last)
		world_fail(o->world, "job %llu waits for its group, though job %llu came later",
			   (unsigned long long)arrived->id, (unsigned long long)last->id);
}
