/* Concurrency groups: who of a group may start, who waits, and who is cancelled for another.
 *
 * A job that names a group is held when it is accepted, until a record says that it is active: so a replay
 * needs no more than the jobs' states, although the ends that let it start were trimmed. That record comes in
 * the same commit when the group has room. Each thing that follows counts as one of the consequences of a
 * step; the rest follows in the next steps. */
#include "dispatcher/core/volatile/groups.h"

#include "base/plant.h"
#include "base/text.h"
#include "dispatcher/core/decide/steps.h"
#include "dispatcher/core/durable/job_table.h"
#include "dispatcher/core/durable/waits.h"

#define NAME_SHOWN 120 /* bytes of a group's name in a sentence */

static const char *quoted(struct dispatcher_core *core, const struct group *g)
{
	char *text = step_alloc(core, NAME_SHOWN);

	return text_quote(text, NAME_SHOWN, blob_bytes(&g->name));
}

static bool has_room(const struct group *g, uint32_t limit)
{
	return g->active.count < limit || PLANTED(group_without_limit);
}

void group_await(struct dispatcher_core *core, uint64_t job, const struct job_row *row)
{
	struct arena arena;
	struct new_job body;
	struct group_member *m;

	arena_init(&arena, 0);
	job_row_body(row, codec_new_job(), &body, &arena);
	m = group_join(core, job, &body.concurrency);
	arena_fini(&arena);
	if (row->state == JOB_ACTIVE)
		group_move(core, m, GROUP_ACTIVE);
	else if (waiter_find(&core->d, job) == NULL && row->due_wall_us <= core->wall_us)
		(void)group_arrives(core, job);
}

bool group_arrives(struct dispatcher_core *core, uint64_t job)
{
	struct group_member *m = group_member_of(core, job);

	if (m == NULL)
		return false;
	if (m->place == GROUP_AWAY)
		group_move(core, m, m->mode == CONCURRENCY_QUEUE ? GROUP_WAITS : GROUP_ARRIVED);
	return true;
}

bool group_skips(struct dispatcher_core *core, const struct concurrency *c, uint32_t ahead, const char **why)
{
	const struct group *g;
	uint64_t holder;

	if (c->group.size == 0 || c->mode != CONCURRENCY_SKIP)
		return false;
	g = group_named(core, c->group);
	if (g == NULL ? ahead < c->limit
		      : (uint64_t)g->active.count + g->waiting.count + g->arrived.count + ahead < c->limit)
		return false;
	holder = g == NULL ? 0 : job_line_first(g->active.count > 0 ? &g->active : &g->waiting);
	if (holder != 0)
		*why = step_text(core, "the concurrency group %s is full: job %llu holds it", quoted(core, g),
				 (unsigned long long)holder);
	else
		*why = step_text(core, "its concurrency group is full: jobs of the same event hold it");
	return true;
}

bool group_drops(struct dispatcher_core *core, const struct concurrency *c, uint64_t job, const char **why)
{
	const struct group *g = c->group.size > 0 ? group_named(core, c->group) : NULL;
	uint64_t last = g != NULL ? job_line_last(&g->waiting) : 0;

	if (last <= job || has_room(g, c->limit) || !group_member_of(core, last)->latest)
		return false;
	*why = step_text(
	    core,
	    "job %llu came later, and only the newest of those that wait for the concurrency group %s stays",
	    (unsigned long long)last, quoted(core, g));
	return true;
}

static void activate(struct dispatcher_core *core, struct group_member *m)
{
	struct job_changed r = {.job = m->job, .change = CHANGE_ACTIVATED, .wall_us = core->wall_us};

	core->held_jobs--;
	group_move(core, m, GROUP_ACTIVE);
	emit(core, RECORD_JOB_CHANGED, &r);
}

static void cancel(struct dispatcher_core *core, uint64_t job, const char *why)
{
	job_end(core, job, JOB_CANCELLED, why, &(struct principal){.kind = BY_DISPATCHER});
}

/* One thing that follows for those that wait in line; 0: nothing does. */
static uint64_t settle_waiting(struct dispatcher_core *core, struct group *g)
{
	uint64_t job = job_line_first(&g->waiting), last = job_line_last(&g->waiting);

	if (job == 0)
		return 0;
	if (has_room(g, group_member_of(core, job)->limit)) {
		activate(core, group_member_of(core, job));
		return job;
	}
	if (job == last || !group_member_of(core, last)->latest)
		return 0;
	if (PLANTED(latest_drops_newest))
		job = last;
	cancel(core, job,
	       step_text(core,
			 "job %llu came later, and only the newest of those that wait for the "
			 "concurrency group %s stays",
			 (unsigned long long)last, quoted(core, g)));
	return job;
}

/* One thing that follows for the first of those that never wait. */
static uint64_t settle_arrived(struct dispatcher_core *core, struct group *g)
{
	uint64_t job = job_line_first(&g->arrived), holder = job_line_first(&g->active);
	struct group_member *m = group_member_of(core, job);
	bool skips = m->mode == CONCURRENCY_SKIP;

	/* One that is skipped passes nobody who waits. */
	if (has_room(g, m->limit) && (!skips || g->waiting.count < m->limit - g->active.count)) {
		activate(core, m);
		return job;
	}
	if (skips) {
		holder = holder != 0 ? holder : job_line_first(&g->waiting);
		cancel(core, job,
		       step_text(core, "the concurrency group %s was full: job %llu held it", quoted(core, g),
				 (unsigned long long)holder));
		return job;
	}
	cancel(core, holder,
	       step_text(core, "job %llu took its place in the concurrency group %s", (unsigned long long)job,
			 quoted(core, g)));
	return holder;
}

uint64_t group_settle_one(struct dispatcher_core *core)
{
	struct group *g;

	while ((g = core->groups.due) != NULL) {
		uint64_t job = g->arrived.count > 0 ? settle_arrived(core, g) : settle_waiting(core, g);

		if (job != 0) /* more may follow, unless the group is gone */
			return job;
		DL_DELETE2(core->groups.due, g, due_prev, due_next);
		g->is_due = false;
	}
	return 0;
}
