/* Records that are about many jobs which have ended: their ends in a block, and what history forgets. */
#include "dispatcher/core/durable/writer.h"

#include "dispatcher/core/durable/apply.h"
#include "dispatcher/core/durable/job_table.h"
#include "jobs/ended_block.h"

int apply_ended_block(struct durable *d, const struct ended_block *r, uint64_t lsn, struct error *reterr)
{
	int rc = ended_block_check(r, reterr);

	for (uint32_t i = 0; rc == 0 && i < r->jobs.count; i++) {
		const struct job_row *row = job_table_get(&d->jobs, r->jobs.items[i].job);
		struct job_ended one = ended_block_at(r, i);

		if (row != NULL && job_state_is_ended(row->state))
			return apply_corrupt(one.job, "it ends a second time", reterr);
		rc = apply_ended(d, &one, lsn, reterr);
	}
	return rc;
}

static int check_ranges(const struct job_ids_list *jobs, struct error *reterr)
{
	uint64_t end = 1;

	for (uint32_t i = 0; i < jobs->count; i++) {
		const struct job_ids *r = &jobs->items[i];

		if (r->first < end || r->count == 0 || r->count > INT64_MAX - r->first)
			return error_set(reterr, ERR_CORRUPT,
					 "expected ranges of jobs that are forgotten, in order");
		end = r->first + r->count;
	}
	return 0;
}

/* What the core has of them goes when history is past their ends, as it does anyway. */
int apply_forgotten(struct durable *d, const struct forgotten *r, struct error *reterr)
{
	int rc = check_ranges(&r->jobs, reterr);

	for (uint32_t i = 0; rc == 0 && i < r->jobs.count; i++) {
		uint64_t end = r->jobs.items[i].first + r->jobs.items[i].count;
		uint64_t job = job_table_next(&d->jobs, r->jobs.items[i].first - 1);

		for (; rc == 0 && job != 0 && job < end; job = job_table_next(&d->jobs, job)) {
			const struct job_row *row = job_table_get(&d->jobs, job);

			if (!job_state_is_ended(row->state))
				rc = apply_corrupt(job, "it is forgotten, but has not ended", reterr);
			else if (row->flags & JOB_EVENT_DUE)
				rc = apply_corrupt(job, "it is forgotten, but its end is still to be told",
						   reterr);
		}
		if (rc == 0 && end > d->next_job)
			d->next_job = end;
	}
	return rc;
}
