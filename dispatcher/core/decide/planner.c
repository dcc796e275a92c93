/* Plans that are made by effect: in pieces, sealed when whole, tried again when they fail. */
#include "base/constants.h"
#include "dispatcher/core/durable/apply.h"
#include "dispatcher/core/durable/job_table.h"
#include "dispatcher/core/decide/steps.h"
#include "dispatcher/core/volatile/timers.h"
#include "dispatcher/core/decide/verdict.h"
#include "jobs/plan.h"

void planner_start(struct dispatcher_core *core, uint64_t job, struct job_row *row)
{
	struct dispatcher_plan *p;
	struct plan *plan;

	if (row->state != JOB_ACTIVE || (row->flags & (JOB_SEALED | JOB_PAUSED)))
		return;
	durable_run(row, job);
	if (row->run->planning || row->run->planner_due_wall_us > steady_us(core))
		return;
	if (row->phase > 0 && core->history_lsn < row->run->phase_lsn)
		return; /* history cannot say yet who wrote the items */
	row->run->planning = true;
	plan = step_alloc(core, sizeof *plan);
	job_plan(core, row, plan, &core->out->arena);
	p = &effect_add(core, DISPATCHER_PLAN, core->d.last_lsn)->plan;
	*p = (struct dispatcher_plan){
	    .job = job,
	    .phase = row->phase,
	    .planner = row->phase > 0 ? job_definition(core, row)->body.items_planner : row->planner,
	    .shard_count = row->shard_count,
	    .cursor = arena_copy(&core->out->arena, blob_bytes(&row->run->cursor)),
	    .plan = plan};
}

/* A phase begins whose items the one before has written: its planner starts when history has its outputs. */
void planner_await_history(struct dispatcher_core *core, uint64_t job, const struct job_row *row)
{
	waiting_add(&core->durable_waits,
		    (struct waiting){.lsn = core->d.last_lsn, .job = job, .phase = row->phase});
}

/* The row that a planner's answer is for; NULL when nobody waits for it any more. */
static struct job_row *planned_row(struct dispatcher_core *core, uint64_t job, uint32_t phase)
{
	struct job_row *row = job_get_live(core, job);

	if (row == NULL || row->phase != phase || (row->flags & JOB_SEALED) || row->run == NULL ||
	    !row->run->planning)
		return NULL;
	return row;
}

/* What the dispatcher itself cannot do for the moment is tried again, however few attempts the job has. */
static bool is_tried_again(const struct policy *policy, const struct input_plan_failed *in, uint32_t failures)
{
	if (in->final)
		return false;
	return failures < policy->attempts_max || (in->trouble && failures < PLAN_TRIES_MAX);
}

static void plan_fails(struct dispatcher_core *core, struct job_row *row, const struct input_plan_failed *in)
{
	static const struct policy patience = {.backoff_us = USEC_PER_SEC,
					       .backoff_max_us = 30 * USEC_PER_SEC};
	const struct policy *policy = job_policy(core, row);
	struct plan_failed r = {.job = in->job, .phase = row->phase, .kind = in->kind, .why = in->why};
	uint32_t failures = row->run->planner_failures + 1;

	if (is_tried_again(policy, in, failures))
		r.due_wall_us =
		    steady_us(core) + backoff_us(core, in->trouble ? &patience : policy, failures);
	row->run->planning = false;
	emit(core, RECORD_PLAN_FAILED, &r);
	if (r.due_wall_us == 0)
		job_end(core, in->job, JOB_FAILED,
			step_text(core, "it could not be planned: %.*s", (int)in->why.size,
				  (const char *)in->why.data),
			NULL);
	else
		timer_add(&core->retries, r.due_wall_us, in->job);
}

static void plan_is_wrong(struct dispatcher_core *core, uint64_t job, struct job_row *row, const char *why)
{
	plan_fails(core, row,
		   &(struct input_plan_failed){
		       .job = job, .kind = FAILURE_PLAN, .final = true, .why = bytes_of(why)});
}

void step_piece(struct dispatcher_core *core, const struct input_piece *in)
{
	struct job_row *row = planned_row(core, in->job, in->phase);
	struct plan_piece r = {
	    .job = in->job, .phase = in->phase, .count = in->count, .blob = in->blob, .cursor = in->cursor};

	if (row == NULL)
		return;
	if (in->count > SHARDS_MAX - row->shard_count) {
		plan_is_wrong(core, in->job, row,
			      step_text(core, "its plan has more than %llu shards", SHARDS_MAX));
		return;
	}
	emit(core, RECORD_PLAN_PIECE, &r);
}

void step_sealed(struct dispatcher_core *core, const struct input_sealed *in)
{
	struct job_row *row = planned_row(core, in->job, in->phase);
	struct plan_sealed r = {.job = in->job, .phase = in->phase, .plan = in->plan};
	struct error err = {0};

	if (row == NULL)
		return;
	if (in->plan.kind == 0) {
		job_plan(core, row, &r.plan, &core->out->arena);
	} else if (plan_validate(&in->plan, &err) < 0 || in->plan.shard_count < row->shard_count) {
		plan_is_wrong(core, in->job, row,
			      step_text(core, "%s", err.what[0] != 0 ? err.what : "its plan shrank"));
		return;
	}
	row->run->planning = false;
	emit(core, RECORD_PLAN_SEALED, &r);
}

/* What was planned cannot be read any more: nobody can say what its shards are. */
static void plan_is_lost(struct dispatcher_core *core, uint64_t job, struct bytes why)
{
	job_end(core, job, JOB_FAILED,
		step_text(core, "its plan cannot be read: %.*s", (int)why.size, (const char *)why.data),
		NULL);
}

void step_plan_failed(struct dispatcher_core *core, const struct input_plan_failed *in)
{
	struct job_row *row = job_get_live(core, in->job);

	if (row == NULL || row->phase != in->phase)
		return;
	if (planned_row(core, in->job, in->phase) != NULL)
		plan_fails(core, row, in);
	else if (in->final)
		plan_is_lost(core, in->job, in->why);
}
