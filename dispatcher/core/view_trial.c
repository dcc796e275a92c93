/* How a job would stand that is not accepted: what a submission would wait for. */
#include "dispatcher/core/decide/steps.h"
#include "dispatcher/core/view_until.h"
#include "dispatcher/core/volatile/groups.h"

/* Jobs that it would wait for. */
static void fill_after(const struct dispatcher_core *core, const struct new_job *j, struct arena *arena,
		       struct view_job *ret)
{
	ret->after.items = arena_alloc(arena, VIEW_AFTER_MAX * sizeof *ret->after.items);
	CHECK(ret->after.items != NULL);
	for (uint32_t i = 0; i < j->after.count; i++) {
		const struct after_job *a = &j->after.items[i];

		if (job_get_live(core, a->job) == NULL)
			continue;
		if (a->condition == AFTER_SHARD)
			ret->blocked = ret->counts.pending;
		else
			ret->state = JOB_HELD;
		if (ret->after.count < VIEW_AFTER_MAX)
			ret->after.items[ret->after.count++] = *a;
		ret->after_count++;
	}
}

/* Room in its concurrency group. One that waits for others is decided about when they have ended. */
static void fill_group(const struct dispatcher_core *core, const struct new_job *j, struct arena *arena,
		       struct view_job *ret)
{
	const struct concurrency *c = &j->concurrency;
	const struct group *g = c->group.size > 0 ? group_named(core, c->group) : NULL;

	if (g == NULL || ret->state == JOB_HELD || c->mode != CONCURRENCY_QUEUE ||
	    (uint64_t)g->active.count + g->waiting.count < c->limit)
		return;
	ret->state = JOB_HELD;
	ret->group = (struct view_group){.name = arena_copy(arena, c->group),
					 .limit = c->limit,
					 .mode = c->mode,
					 .latest = c->latest,
					 .waits = true,
					 .before = g->waiting.count,
					 .active = g->active.count};
	for (uint32_t i = 0; i < g->active.count && i < VIEW_HOLDERS_MAX; i++)
		ret->group.holders[ret->group.holder_count++] = g->active.jobs[g->active.head + i];
	if (ret->group.holder_count > 0)
		until_job(core, ret->group.holders[0], &ret->group.until);
}

void dispatcher_view_trial(const struct dispatcher_core *core, const struct new_job *job,
			   const struct definition_body *body, struct arena *arena, struct view_trial *ret)
{
	const struct resources *need = &body->phases.items[0].policy.shape;
	uint64_t shards = job->planner == PLANNER_PURE ? job->plan.shard_count : 0;

	*ret = (struct view_trial){
	    .job = {.state = JOB_ACTIVE,
		    .word = JOB_WORD_QUEUED,
		    .sealed = job->planner == PLANNER_PURE,
		    .name = job->name.size > 0 ? job->name : body->name,
		    .definition = body->sha256,
		    .priority = job->priority,
		    .max_running = job->max_running,
		    .due_wall_us = job->due_wall_us,
		    .rate = job->rate,
		    .counts = {.shards = shards, .pending = shards > 0 ? shards : 1}},
	    .version_known = dispatcher_view_definition(core, body->sha256) != NULL,
	};
	fill_after(core, job, arena, &ret->job);
	fill_group(core, job, arena, &ret->job);
	dispatcher_view_supply_of(core, need, arena, &ret->supply);
	dispatcher_view_hold_of(core, job, body, arena, &ret->hold);
	if (!dispatcher_view_shared_lack_of(core, need, &ret->shared))
		ret->shared = (struct view_shared){0};
}
