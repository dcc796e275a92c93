/* A person ends a job, or stops its leasing for a while. */
#include "dispatcher/core/decide/steps.h"

/* The live row; else the request is answered. */
static struct job_row *row_or_reply(struct dispatcher_core *core, uint64_t request, uint64_t job)
{
	struct job_row *row = job_get(core, job);

	if (row == NULL) {
		reply_error(core, request, ERR_NOT_FOUND,
			    step_text(core, "job %llu is not there any more; history may know it",
				      (unsigned long long)job));
		return NULL;
	}
	if (job_state_is_ended(row->state)) {
		reply_error(core, request, ERR_INVALID,
			    step_text(core, "job %llu has %s already", (unsigned long long)job,
				      job_state_name(row->state)));
		return NULL;
	}
	return row;
}

void step_cancel(struct dispatcher_core *core, const struct input_cancel *in)
{
	const struct job_row *row = job_get(core, in->job);

	if (row != NULL && row->state == JOB_CANCELLED) { /* asked twice */
		reply_ok(core, in->request, in->job, 1, true, row->lsn);
		return;
	}
	if (row_or_reply(core, in->request, in->job) == NULL)
		return;
	job_end(core, in->job, JOB_CANCELLED,
		step_text(core, "%.*s", (int)in->why.size, (const char *)in->why.data), &in->by);
	reply_ok(core, in->request, in->job, 1, false, core->d.last_lsn);
}

void step_pause(struct dispatcher_core *core, const struct input_pause *in)
{
	const struct job_row *row = row_or_reply(core, in->request, in->job);
	struct job_changed r = {.job = in->job,
				.change = in->resume ? CHANGE_RESUMED : CHANGE_PAUSED,
				.why = in->why,
				.wall_us = core->wall_us,
				.by = in->by};

	if (row == NULL)
		return;
	if (((row->flags & JOB_PAUSED) == 0) == in->resume) { /* it is as asked */
		reply_ok(core, in->request, in->job, 1, true, core->d.last_lsn);
		return;
	}
	emit(core, RECORD_JOB_CHANGED, &r);
	reply_ok(core, in->request, in->job, 1, false, core->d.last_lsn);
}

/* All dead shards of the phase in work get a new life, their attempts counted anew. */
void step_retry(struct dispatcher_core *core, const struct input_retry *in)
{
	const struct job_row *row = row_or_reply(core, in->request, in->job);
	struct retried r = {.job = in->job, .by = in->by, .wall_us = core->wall_us};
	uint32_t runs = 0;

	if (row == NULL)
		return;
	for (uint32_t i = 0; row->run != NULL && i < row->run->dead_count; i++)
		runs += shard_set_run_count(&row->run->dead[i].shards);
	if (runs == 0) {
		reply_ok(core, in->request, in->job, 0, false, core->d.last_lsn);
		return;
	}
	r.phase = row->phase;
	r.shards.items = step_alloc(core, runs * sizeof(struct range));
	for (uint32_t i = 0; i < row->run->dead_count; i++) {
		uint64_t cursor = 0;

		r.shards.count +=
		    (uint32_t)shard_set_ranges(&row->run->dead[i].shards, &cursor,
					       r.shards.items + r.shards.count, runs - r.shards.count);
	}
	emit(core, RECORD_RETRIED, &r);
	reply_ok(core, in->request, in->job, 1, false, core->d.last_lsn);
}
