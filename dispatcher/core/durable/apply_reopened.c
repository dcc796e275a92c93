/* A job that has ended lives again. The record holds all of it, so that it is applied to a row that ended,
 * or to none: whatever was trimmed before it is not asked for. */
#include "dispatcher/core/durable/writer.h"

#include "base/plant.h"
#include "dispatcher/core/durable/apply.h"
#include "dispatcher/core/durable/job_table.h"
#include "dispatcher/core/durable/shards.h"

/* NULL: not known, or only noted. */
static const struct job_row *known_row(const struct durable *d, uint64_t job)
{
	const struct job_row *row = job_table_get(&d->jobs, job);

	return row != NULL && row->state != 0 ? row : NULL;
}

static int check(struct durable *d, const struct reopened *r, struct error *reterr)
{
	const struct job_row *row = known_row(d, r->job);
	struct job_row as = {.shard_count = r->plan.shard_count};

	if (row != NULL && (!job_state_is_ended(row->state) || (row->flags & JOB_EVENT_DUE)))
		return apply_corrupt(r->job, "it is reopened, but has not ended", reterr);
	if (r->body.job != r->job || r->job == 0 || r->body.definition.size != 32 || r->phase > UINT16_MAX ||
	    r->body.depth > UINT16_MAX || r->body.priority < INT32_MIN || r->body.priority > INT32_MAX ||
	    r->plan.kind == 0)
		return apply_corrupt(r->job, "what was reopened breaks a bound", reterr);
	return apply_check_ranges(&as, &r->done, reterr);
}

int apply_reopened(struct durable *d, const struct reopened *r, uint64_t lsn, struct error *reterr)
{
	struct job_row *row;
	struct new_job body = r->body;
	struct run *run;
	int rc = check(d, r, reterr);

	if (rc < 0)
		return rc;
	if (known_row(d, r->job) != NULL)
		durable_remove_job(d, r->job);
	row = apply_new_row(d, r->job);
	body.after = (struct after_job_list){0}; /* it waits for nobody a second time */
	apply_fill_row(d, row, &body, r->accepted_wall_us);
	row->lsn = lsn;
	row->state = row->flags & JOB_GROUPED ? JOB_HELD : JOB_ACTIVE;
	row->due_wall_us = 0;
	row->phase = (uint16_t)r->phase;
	row->shard_count = r->plan.shard_count;
	row->flags = (uint8_t)((row->flags & (JOB_TIMED | JOB_GROUPED | JOB_RATED)) | JOB_SEALED);
	if (r->job >= d->next_job)
		d->next_job = r->job + 1;
	apply_job(d, r->job);
	run = durable_run(row, r->job);
	apply_plan(run, &r->plan);
	run->reopens = r->reopens;
	run->earlier = r->earlier;
	blob_set_principal(&run->again_by, &r->by);
	run->started_wall_us = r->started_wall_us;
	run->retries = r->retries;
	run->totals = r->totals;
	run->phase_lsn = lsn;
	for (uint32_t i = 0; i < r->done.count && !PLANTED(reopened_forgets_done); i++)
		shards_done(run, r->done.items[i], NULL);
	return 0;
}
