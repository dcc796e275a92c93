/* What time does: workers that are silent too long, a wait for adoption that is over, shards, planners
 * and held jobs that are due, jobs that have not started or ended in time. In ticks only: the shell drains
 * its socket first. */
#include "base/units.h"
#include "dispatcher/core/durable/job_table.h"
#include "dispatcher/core/durable/waits.h"
#include "dispatcher/core/volatile/paces.h"
#include "dispatcher/core/volatile/runnable.h"
#include "dispatcher/core/volatile/sessions.h"
#include "dispatcher/core/decide/steps.h"
#include "dispatcher/core/volatile/timers.h"

static void expire_sessions(struct dispatcher_core *core)
{
	while (core->heard != NULL && core->live_us - core->heard->heard_us >= core->config.timeout_us) {
		struct session *s = core->heard;

		tell(core, true, 0,
		     step_text(core, "worker %s was silent for %lld ms: its %u leases go back",
			       step_uuid(core, &s->worker->id),
			       (long long)((core->live_us - s->heard_us) / USEC_PER_MSEC),
			       s->worker->lease_count));
		session_end(core, s, true);
	}
}

/* Workers of before the start had their time to come back. */
static void expire_adoption(struct dispatcher_core *core)
{
	struct worker *worker, *next;

	if (core->live_us < core->adopt_until_us)
		return;
	core->adopt_until_us = USEC_NEVER;
	HASH_ITER (hh, core->d.workers, worker, next)
		if (worker->session == NULL && worker->leases != NULL)
			lease_return(core, worker, 0);
}

static void activate_held(struct dispatcher_core *core)
{
	uint64_t job;

	while (timer_take_due(&core->held, core->wall_us, &job)) {
		const struct job_row *row = job_get_live(core, job);
		struct job_changed r = {.job = job, .change = CHANGE_ACTIVATED, .wall_us = core->wall_us};

		if (row == NULL || row->state != JOB_HELD || row->due_wall_us > core->wall_us ||
		    waiter_find(&core->d, job) != NULL || (row->live_flags & JOB_WAITED))
			continue; /* who waits for others too is looked at when these have ended */
		if (group_arrives(core, job))
			continue;
		core->held_jobs--;
		emit(core, RECORD_JOB_CHANGED, &r);
	}
}

/* Of the jobs that are too late, in one tick: the rest fails in the next. */
#define LATE_MAX 500

void expire_await(struct dispatcher_core *core, uint64_t job, const struct job_row *row)
{
	struct arena arena;
	struct new_job body;

	if (row->flags & JOB_GROUPED)
		group_await(core, job, row);
	if (row->state == JOB_HELD && waiter_find(&core->d, job) == NULL &&
	    (row->due_wall_us > core->wall_us || !(row->flags & JOB_GROUPED)))
		timer_add(&core->held, row->due_wall_us, job);
	if (!(row->flags & (JOB_TIMED | JOB_RATED)))
		return;
	arena_init(&arena, 0);
	job_row_body(row, codec_new_job(), &body, &arena);
	if (row->flags & JOB_RATED)
		pace_add(core, job, &body.rate, row->run == NULL && row->lsn > core->epoch_lsn);
	core->timed_jobs += (row->flags & JOB_TIMED) != 0;
	if (body.deadline_wall_us > 0)
		timer_add(&core->late, body.deadline_wall_us, job);
	if (body.start_by_wall_us > 0)
		timer_add(&core->late, body.start_by_wall_us, job);
	arena_fini(&arena);
}

static bool is_timed(const void *core, uint64_t job)
{
	const struct job_row *row = job_get_live(core, job);

	return row != NULL && (row->flags & JOB_TIMED);
}

static bool is_held(const void *core, uint64_t job)
{
	const struct job_row *row = job_get_live(core, job);

	return row != NULL && row->state == JOB_HELD;
}

void expire_forget(struct dispatcher_core *core, uint64_t job, const struct job_row *row)
{
	if (row->flags & JOB_RATED)
		pace_drop(core, job);
	if (row->flags & JOB_TIMED)
		core->timed_jobs--;
	timer_sweep(&core->late, 2 * core->timed_jobs, is_timed, core);
	timer_sweep(&core->held, core->held_jobs, is_held, core);
}

static bool is_late(const struct dispatcher_core *core, usec_t by_wall_us)
{
	return by_wall_us > 0 && by_wall_us <= core->wall_us;
}

static void fail_late_job(struct dispatcher_core *core, uint64_t job)
{
	const struct job_row *row = job_get_live(core, job);
	struct new_job body;
	char span[UNITS_TEXT_MAX];
	const char *why = NULL;

	if (row == NULL || !(row->flags & JOB_TIMED))
		return;
	job_row_body(row, codec_new_job(), &body, &core->out->arena);
	if (is_late(core, body.deadline_wall_us))
		why = step_text(
		    core, "%s: it had not ended %s after it was accepted",
		    failure_kind_name(FAILURE_DEADLINE),
		    units_format_duration(body.deadline_wall_us - row->accepted_wall_us, span, sizeof span));
	else if (is_late(core, body.start_by_wall_us) && (row->run == NULL || row->run->started_wall_us == 0))
		why = step_text(
		    core, "%s: no shard of it had started %s after it was accepted",
		    failure_kind_name(FAILURE_START_BY),
		    units_format_duration(body.start_by_wall_us - row->accepted_wall_us, span, sizeof span));
	if (why != NULL)
		job_end(core, job, JOB_FAILED, why, NULL);
}

static void fail_late(struct dispatcher_core *core)
{
	uint64_t job;

	for (uint32_t i = 0; i < LATE_MAX && timer_take_due(&core->late, core->wall_us, &job); i++)
		fail_late_job(core, job);
}

static void wake_due(struct dispatcher_core *core)
{
	uint64_t job;

	while (timer_take_due(&core->retries, steady_us(core), &job)) {
		struct job_row *row = job_get_live(core, job);

		if (row == NULL)
			continue;
		planner_start(core, job, row);
		runnable_refresh(core, job, row);
	}
	while (timer_take_due(&core->paced, core->mono_us, &job)) {
		struct job_row *row = job_get_live(core, job);

		if (row != NULL && (row->flags & JOB_RATED))
			runnable_refresh(core, job, row);
	}
}

void step_tick(struct dispatcher_core *core)
{
	expire_sessions(core);
	expire_adoption(core);
	activate_held(core);
	fail_late(core);
	wake_due(core);
}

static usec_t earlier(usec_t a, usec_t b)
{
	return a < b ? a : b;
}

/* From a due time on another clock to mono: both stand at now_us resp. core->mono_us. */
static usec_t on_mono(const struct dispatcher_core *core, usec_t due_us, usec_t now_us)
{
	if (due_us == USEC_NEVER)
		return USEC_NEVER;
	return due_us <= now_us ? core->mono_us : core->mono_us + (due_us - now_us);
}

usec_t dispatcher_core_deadline(const struct dispatcher_core *core)
{
	usec_t at = USEC_NEVER;

	if (!core->open)
		return USEC_NEVER;
	at = earlier(at, on_mono(core, timer_next(&core->held), core->wall_us));
	at = earlier(at, on_mono(core, timer_next(&core->late), core->wall_us));
	at = earlier(at, on_mono(core, timer_next(&core->retries), steady_us(core)));
	at = earlier(at, timer_next(&core->paced));
	if (wait_is_due(core) || group_is_due(core))
		at = core->mono_us;
	if (core->heard != NULL)
		at = earlier(at,
			     on_mono(core, core->heard->heard_us + core->config.timeout_us, core->live_us));
	at = earlier(at, on_mono(core, core->adopt_until_us, core->live_us));
	/* The live clock takes a longer gap for one heartbeat: while it matters, it is fed. */
	if (core->heard != NULL || core->adopt_until_us != USEC_NEVER)
		at = earlier(at, core->mono_us + core->config.heartbeat_us);
	return earlier(at, core->steal_us);
}
