/* Jobs that have ended are forgotten: a record says so, and history deletes what it has of them when it gets
 * there. The core keeps nothing of that but which pieces were forgotten last, for those who ask history and
 * come back with an answer that is older. */
#include "dispatcher/core/durable/job_table.h"
#include "dispatcher/core/decide/steps.h"

static int check_job(struct dispatcher_core *core, uint64_t job, struct error *reterr)
{
	const struct job_row *row = job_get(core, job);

	if (!job_state_is_ended(row->state)) {
		error_set(reterr, ERR_INVALID, "job %llu has not ended", (unsigned long long)job);
		return error_help(reterr, "`shardmill cancel` ends it");
	}
	if (row->flags & JOB_EVENT_DUE) {
		error_set(reterr, ERR_BUSY, "the end of job %llu is not told to all yet",
			  (unsigned long long)job);
		return error_help(reterr, "try again later");
	}
	return 0;
}

static int check_range(struct dispatcher_core *core, const struct job_ids *r, struct error *reterr)
{
	uint64_t end = r->first + r->count, job = job_table_next(&core->d.jobs, r->first - 1);
	int rc = 0;

	if (end > core->d.next_job)
		return error_set(reterr, ERR_NOT_FOUND, "there is no job %llu", (unsigned long long)end - 1);
	for (; rc == 0 && job != 0 && job < end; job = job_table_next(&core->d.jobs, job))
		rc = check_job(core, job, reterr);
	return rc;
}

static int check_forget(struct dispatcher_core *core, const struct input_forget *in, struct error *reterr)
{
	uint64_t end = 1, jobs = 0;
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < in->jobs.count; i++) {
		const struct job_ids *r = &in->jobs.items[i];

		if (r->first < end || r->count == 0 || r->count > FORGET_JOBS_MAX - jobs)
			return error_set(reterr, ERR_INVALID,
					 "expected ranges of jobs in order, of at most %u jobs together",
					 FORGET_JOBS_MAX);
		jobs += r->count;
		end = r->first + r->count;
		rc = check_range(core, r, reterr);
	}
	return rc;
}

static void note(struct dispatcher_core *core, const struct job_ids_list *jobs)
{
	struct forgotten_piece *p = &core->forgotten[core->forgotten_count++ % FORGOTTEN_PIECES];
	const struct job_ids *last = &jobs->items[jobs->count - 1];

	if (p->lsn > core->forgotten_before_lsn) /* 0 as long as there is room */
		core->forgotten_before_lsn = p->lsn;
	*p = (struct forgotten_piece){core->d.last_lsn, jobs->items[0].first, last->first + last->count - 1};
}

bool forgotten_since(const struct dispatcher_core *core, uint64_t job, uint64_t history_lsn)
{
	bool found = history_lsn < core->forgotten_before_lsn;

	for (size_t i = 0; i < FORGOTTEN_PIECES && !found; i++) {
		const struct forgotten_piece *p = &core->forgotten[i];

		found = p->lsn > history_lsn && p->first <= job && job <= p->last;
	}
	return found;
}

void step_forget(struct dispatcher_core *core, const struct input_forget *in)
{
	struct forgotten r = {.jobs = in->jobs, .wall_us = core->wall_us, .by = in->by};
	struct error err = {0};
	uint64_t jobs = 0;
	int rc = check_forget(core, in, &err);

	if (rc < 0) {
		reply_error(core, in->request, (enum error_code)rc,
			    step_text(core, "%s%s%s%s", err.what, err.help[0] != '\0' ? " (" : "", err.help,
				      err.help[0] != '\0' ? ")" : ""));
		return;
	}
	if (in->jobs.count == 0) {
		reply_ok(core, in->request, 0, 0, true, core->d.last_lsn);
		return;
	}
	for (uint32_t i = 0; i < in->jobs.count; i++)
		jobs += in->jobs.items[i].count;
	emit(core, RECORD_FORGOTTEN, &r);
	note(core, &in->jobs);
	reply_ok(core, in->request, in->jobs.items[0].first, (uint32_t)jobs, false, core->d.last_lsn);
}
