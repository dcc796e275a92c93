/* What waits for a record to be durable, or to be in history. */
#include "base/plant.h"
#include "dispatcher/core/durable/apply.h"
#include "dispatcher/core/volatile/runnable.h"
#include "dispatcher/core/decide/steps.h"
#include "dispatcher/core/volatile/timers.h"

/* Shards of the row that are not on their way to being runnable yet, get there with the last record. */
void job_await_durable(struct dispatcher_core *core, uint64_t job, struct job_row *row)
{
	uint32_t queued = row->live_flags & (JOB_READY | JOB_QUEUED) ? row->shard_count : 0;

	if (row->run != NULL)
		queued = row->run->queued_count;
	if (row->state != JOB_ACTIVE || queued == row->shard_count)
		return;
	waiting_add(&core->durable_waits,
		    (struct waiting){
			.lsn = core->d.last_lsn, .job = job, .phase = row->phase, .count = row->shard_count});
	if (row->run != NULL)
		row->run->queued_count = row->shard_count;
	else
		row->live_flags |= JOB_QUEUED;
}

static void become_ready(struct dispatcher_core *core, const struct waiting *w)
{
	struct job_row *row = job_get_live(core, w->job);

	if (row == NULL || row->phase != w->phase)
		return;
	if (row->run != NULL) {
		if (row->run->ready_count < w->count)
			row->run->ready_count = w->count;
	} else {
		row->live_flags |= JOB_READY;
		row->live_flags &= (uint8_t)~JOB_QUEUED;
	}
	if (row->phase > 0 && core->history_lsn < row->run->phase_lsn)
		waiting_add(&core->history_waits,
			    (struct waiting){.lsn = row->run->phase_lsn, .job = w->job});
	planner_start(core, w->job, row); /* history may be past it already */
	runnable_refresh(core, w->job, row);
}

void step_durable(struct dispatcher_core *core, uint64_t lsn)
{
	bool kept_back = core->durable_lsn < core->epoch_lsn;
	struct waiting w;

	if (lsn > core->d.last_lsn)
		lsn = core->d.last_lsn;
	if (lsn > core->durable_lsn)
		core->durable_lsn = lsn;
	if (kept_back && core->durable_lsn >= core->epoch_lsn)
		runnable_refresh_paced(core);
	while (waiting_take(&core->durable_waits, core->durable_lsn, &w))
		become_ready(core, &w);
}

void ended_forget(struct dispatcher_core *core, uint64_t job)
{
	struct job_row *row = job_get(core, job);
	struct definition *def;

	/* It may have been reopened since, and even have ended again. */
	if (row == NULL || (!job_state_is_ended(row->state) && !PLANTED(reopened_is_forgotten)) ||
	    (row->flags & JOB_EVENT_DUE) || row->lsn > core->history_lsn)
		return;
	def = job_definition(core, row);
	durable_remove_job(&core->d, job);
	definition_release(core, def);
	core->ended_jobs--;
}

void step_history(struct dispatcher_core *core, uint64_t lsn)
{
	struct waiting w;

	if (lsn > core->history_lsn)
		core->history_lsn = lsn;
	while (waiting_take(&core->ended, core->history_lsn, &w))
		ended_forget(core, w.job);
	while (waiting_take(&core->history_waits, core->history_lsn, &w)) {
		struct job_row *row = job_get_live(core, w.job);

		if (row == NULL)
			continue;
		planner_start(core, w.job, row);
		runnable_refresh(core, w.job, row);
	}
}

void step_settled(struct dispatcher_core *core, uint64_t job)
{
	struct event_settled r = {.job = job};
	struct job_row *row = job_get(core, job);

	if (row == NULL || !(row->flags & JOB_EVENT_DUE))
		return;
	emit(core, RECORD_SETTLED, &r);
	ended_forget(core, job);
}
