#include "dispatcher/core/view_until.h"

#include "dispatcher/core/durable/definition_table.h"
#include "dispatcher/core/volatile/estimate.h"
#include "dispatcher/core/volatile/groups.h"
#include "dispatcher/core/durable/job_table.h"
#include "dispatcher/core/volatile/paces.h"
#include "dispatcher/core/volatile/runnable.h"
#include "dispatcher/core/durable/shards.h"
#include "dispatcher/core/durable/shard_waits.h"
#include "dispatcher/core/durable/waits.h"
#include "dispatcher/core/decide/steps.h"

const char *job_word_name(enum job_word word)
{
	static const char *const names[] = {"unknown",	 "held",   "planning",	"queued", "running",
					    "gathering", "paused", "succeeded", "failed", "cancelled"};

	return word < ARRAY_LENGTH(names) ? names[word] : names[0];
}

static enum job_word word_of(const struct dispatcher_core *core, const struct job_row *row)
{
	uint32_t shards = phases_shards(&job_definition(core, row)->body);

	switch (row->state) {
	case JOB_HELD:
		return row->flags & JOB_PAUSED ? JOB_WORD_PAUSED : JOB_WORD_HELD;
	case JOB_SUCCEEDED:
		return JOB_WORD_SUCCEEDED;
	case JOB_FAILED:
		return JOB_WORD_FAILED;
	case JOB_CANCELLED:
		return JOB_WORD_CANCELLED;
	}
	if (row->flags & JOB_PAUSED)
		return JOB_WORD_PAUSED;
	if (row->phase < shards || (!(row->flags & JOB_SEALED) && row->shard_count == 0))
		return JOB_WORD_PLANNING;
	if (row->phase > shards)
		return JOB_WORD_GATHERING;
	if (row->run != NULL && row->run->started_wall_us != 0)
		return JOB_WORD_RUNNING;
	return row->flags & JOB_SEALED ? JOB_WORD_QUEUED : JOB_WORD_PLANNING;
}

static void count_shards(const struct dispatcher_core *core, const struct job_row *row, struct view_counts *c)
{
	const struct run *run = row->run;

	c->shards = c->pending = row->shard_count;
	if (run == NULL)
		return;
	c->leased = run->leased_shards;
	c->done = shard_set_count(&run->done);
	c->dead = shards_dead_count(run);
	for (uint32_t i = 0; i < run->delayed_count; i++)
		if (run->delayed[i].due_wall_us > steady_us(core))
			c->delayed += shard_set_count(&run->delayed[i].shards);
	c->pending -= c->leased + c->done + c->dead + c->delayed;
}

/* Delayed shards stand by their due time. */
static usec_t next_attempt_us(const struct dispatcher_core *core, const struct run *run)
{
	for (uint32_t i = 0; i < run->delayed_count; i++)
		if (run->delayed[i].due_wall_us > steady_us(core))
			return run->delayed[i].due_wall_us;
	return 0;
}

static void view_ended(const struct job_row *row, struct arena *arena, struct view_job *ret)
{
	struct job_ended r;

	job_row_body(row, codec_job_ended(), &r, arena);
	ret->name = r.name;
	ret->why = r.why;
	ret->definition = arena_copy(arena, r.definition);
	ret->accepted_wall_us = r.accepted_wall_us;
	ret->started_wall_us = r.started_wall_us;
	ret->ended_wall_us = r.wall_us;
	ret->retries = r.retries;
	ret->totals = r.totals;
	ret->shards_phase = r.shards_phase;
	ret->later = r.later;
	ret->first_shards = ret->counts.shards = r.shards;
	ret->first_done = ret->counts.done = r.done;
	ret->first_dead = ret->counts.dead = r.dead;
	ret->sealed = true;
	ret->reopens = r.reopens;
	ret->event_id_hi = r.event_id_hi;
	ret->event_id_lo = r.event_id_lo;
	ret->by = r.by;
	ret->stopped_by = r.ended_by;
	ret->again_by = r.again_by;
	ret->ended_lsn = row->lsn;
	ret->event_due = (row->flags & JOB_EVENT_DUE) != 0;
}

static void view_after(const struct dispatcher_core *core, uint64_t job, struct arena *arena,
		       struct view_job *ret)
{
	const struct waiter *w = waiter_find(&core->d, job);
	const struct shard_wait *shards = shard_wait_find(&core->d, job);

	if (w == NULL && shards == NULL)
		return;
	ret->after_count = (w != NULL ? w->left : 0) + (shards != NULL);
	ret->after.items = arena_alloc(arena, VIEW_AFTER_MAX * sizeof *ret->after.items);
	if (shards != NULL)
		ret->after.items[ret->after.count++] =
		    (struct after_job){shards->parent, AFTER_SHARD, shards->phase};
	for (uint32_t i = 0; w != NULL && i < w->count && ret->after.count < VIEW_AFTER_MAX; i++)
		if (w->waits[i].parent != 0)
			ret->after.items[ret->after.count++] =
			    (struct after_job){w->waits[i].parent, w->waits[i].condition, 0};
}

static void view_group(const struct dispatcher_core *core, uint64_t job, struct arena *arena,
		       struct view_group *ret)
{
	const struct group_member *m = group_member_of(core, job);
	const struct job_line *active;

	if (m == NULL)
		return;
	active = &m->group->active;
	*ret = (struct view_group){.name = arena_copy(arena, blob_bytes(&m->group->name)),
				   .limit = m->limit,
				   .mode = m->mode,
				   .latest = m->latest,
				   .waits = m->place == GROUP_WAITS || m->place == GROUP_ARRIVED,
				   .active = active->count};
	if (m->place == GROUP_WAITS)
		ret->before = job_line_place(&m->group->waiting, job);
	for (uint32_t i = 0; i < active->count && i < VIEW_HOLDERS_MAX; i++)
		ret->holders[ret->holder_count++] = active->jobs[active->head + i];
	if (ret->waits && ret->holder_count > 0)
		until_job(core, ret->holders[0], &ret->until);
}

static void view_live(const struct dispatcher_core *core, const struct job_row *row, struct arena *arena,
		      struct view_job *ret)
{
	const struct run *run = row->run;
	struct new_job body;

	job_row_body(row, codec_new_job(), &body, arena);
	ret->name = body.name.size > 0 ? body.name : job_definition(core, row)->body.name;
	ret->event_id_hi = body.event_id_hi;
	ret->event_id_lo = body.event_id_lo;
	ret->by = body.by;
	ret->definition = BYTES(job_definition(core, row)->sha256, 32);
	ret->accepted_wall_us = row->accepted_wall_us;
	ret->due_wall_us = row->due_wall_us;
	ret->deadline_wall_us = body.deadline_wall_us;
	ret->start_by_wall_us = body.start_by_wall_us;
	view_after(core, ret->job, arena, ret);
	view_group(core, ret->job, arena, &ret->group);
	if (row->flags & JOB_RATED) {
		ret->rate = body.rate;
		ret->rate_wait_us = pace_when_us(core, ret->job, 1) - core->mono_us;
		ret->rate_wait_us = ret->rate_wait_us > 0 ? ret->rate_wait_us : 0;
	}
	ret->blocked = run != NULL ? shard_set_count(&run->blocked) : 0;
	ret->estimate_us = estimate_shard_ns(core, row) / 1000;
	count_shards(core, row, &ret->counts);
	ret->shards_phase = phases_shards(&job_definition(core, row)->body);
	if (row->phase == ret->shards_phase) {
		ret->first_shards = ret->counts.shards;
		ret->first_done = ret->counts.done;
		ret->first_dead = ret->counts.dead;
	}
	if (run == NULL)
		return;
	ret->why = arena_copy(arena, blob_bytes(&run->why));
	ret->stopped_by = blob_principal(&run->paused_by, arena);
	ret->again_by = blob_principal(&run->again_by, arena);
	ret->started_wall_us = run->started_wall_us;
	ret->retries = run->retries;
	ret->totals = run->totals;
	ret->next_attempt_wall_us = next_attempt_us(core, run);
	ret->planner_failures = run->planner_failures;
	ret->planner_due_wall_us = run->planning ? 0 : run->planner_due_wall_us;
	ret->planner_why = arena_copy(arena, blob_bytes(&run->planner_why));
	ret->reopens = run->reopens;
	if (row->phase == 0)
		return;
	ret->last_done_lsn = run->phase_lsn;
	if (row->phase <= ret->shards_phase)
		return;
	ret->later.items = arena_alloc(arena, run->later_count * sizeof *run->later);
	for (uint32_t i = 0; i < run->later_count; i++)
		ret->later.items[ret->later.count++] = run->later[i];
	ret->first_shards = run->first_shards;
	ret->first_done = run->first_done;
	ret->first_dead = run->first_dead;
}

bool dispatcher_view_has_job(const struct dispatcher_core *core, uint64_t job)
{
	return job_get(core, job) != NULL;
}

bool dispatcher_view_job(const struct dispatcher_core *core, uint64_t job, struct arena *arena,
			 struct view_job *ret)
{
	const struct job_row *row = job_get(core, job);

	if (row == NULL)
		return false;
	*ret = (struct view_job){.job = job,
				 .state = row->state,
				 .word = word_of(core, row),
				 .paused = (row->flags & JOB_PAUSED) != 0,
				 .sealed = (row->flags & JOB_SEALED) != 0,
				 .phase = row->phase,
				 .depth = row->depth,
				 .priority = row->priority,
				 .max_running = row->max_running};
	if (job_state_is_ended(row->state))
		view_ended(row, arena, ret);
	else
		view_live(core, row, arena, ret);
	return true;
}

bool dispatcher_view_parameters(const struct dispatcher_core *core, uint64_t job, uint32_t phase,
				struct arena *arena, struct job_parameters *ret)
{
	const struct job_row *row = job_get_live(core, job);
	struct new_job body;

	if (row == NULL || row->phase != phase)
		return false;
	job_row_body(row, codec_new_job(), &body, arena);
	*ret = (struct job_parameters){.job = job,
				       .phase = phase,
				       .name = body.name,
				       .values = body.values,
				       .traceparent = body.traceparent};
	ret->name = arena_copy(arena, ret->name.size > 0 ? ret->name : job_definition(core, row)->body.name);
	for (uint32_t i = 0; i < ret->values.count; i++) /* they stand in the row, which may move */
		ret->values.items[i].text = arena_copy(arena, ret->values.items[i].text);
	job_plan_of(row, &body, &ret->plan, arena);
	return true;
}

bool dispatcher_view_body(const struct dispatcher_core *core, uint64_t job, struct arena *arena,
			  struct new_job *ret)
{
	const struct job_row *row = job_get_live(core, job);

	if (row == NULL)
		return false;
	job_row_body(row, codec_new_job(), ret, arena);
	ret->job = job;
	ret->definition = BYTES(job_definition(core, row)->sha256, 32);
	return true;
}

bool dispatcher_view_may_have_items(const struct dispatcher_core *core, uint64_t job)
{
	const struct job_row *row = job_get(core, job);

	return row == NULL || job_may_have_items(core, row);
}

const struct definition_body *dispatcher_view_definition(const struct dispatcher_core *core,
							 struct bytes sha256)
{
	const struct definition *def = definition_find(&core->d.definitions, sha256);

	return def != NULL && def->known ? &def->body : NULL;
}
