/* What time does: workers that are silent too long, a wait for adoption that is over, shards, planners
 * and held jobs that are due. In ticks only: the shell drains its socket first. */
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

		if (row == NULL || row->state != JOB_HELD || row->due_wall_us > core->wall_us)
			continue;
		core->held_jobs--;
		emit(core, RECORD_JOB_CHANGED, &r);
	}
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
}

void step_tick(struct dispatcher_core *core)
{
	expire_sessions(core);
	expire_adoption(core);
	activate_held(core);
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
	at = earlier(at, on_mono(core, timer_next(&core->retries), steady_us(core)));
	if (core->heard != NULL)
		at = earlier(at,
			     on_mono(core, core->heard->heard_us + core->config.timeout_us, core->live_us));
	at = earlier(at, on_mono(core, core->adopt_until_us, core->live_us));
	/* The live clock takes a longer gap for one heartbeat: while it matters, it is fed. */
	if (core->heard != NULL || core->adopt_until_us != USEC_NEVER)
		at = earlier(at, core->mono_us + core->config.heartbeat_us);
	return earlier(at, core->steal_us);
}
