/* A job that has ended lives again, in place: its shards that are done stay done, all others are tried as if
 * for the first time, then what comes behind them begins anew. What it was, the shell has from history. */
#include "dispatcher/core/durable/definition_table.h"
#include "dispatcher/core/durable/job_table.h"
#include "dispatcher/core/volatile/limits.h"
#include "dispatcher/core/decide/steps.h"
#include "jobs/plan.h"
#include "jobs/principal.h"

/* What the core still knows of the job must fit what is said of it. */
static int check_row(struct dispatcher_core *core, const struct reopened *r, struct error *reterr)
{
	const struct job_row *row = job_get(core, r->job);
	unsigned long long job = r->job;
	struct job_ended ended;

	if (r->job == 0 || r->job >= core->d.next_job)
		return error_set(reterr, ERR_NOT_FOUND, "there is no job %llu", job);
	if (row == NULL)
		return 0;
	if (!job_state_is_ended(row->state))
		return error_set(reterr, ERR_EXISTS, "job %llu has not ended: it goes on", job);
	if ((row->flags & JOB_EVENT_DUE) || row->lsn > core->durable_lsn) {
		error_set(reterr, ERR_BUSY, "the end of job %llu is not told to all yet", job);
		return error_help(reterr, "try again later");
	}
	job_row_body(row, codec_job_ended(), &ended, &core->out->arena);
	if (r->reopens != ended.reopens + 1 || r->phase != ended.shards_phase ||
	    r->plan.shard_count != ended.shards)
		return error_set(reterr, ERR_INVALID, "job %llu ended otherwise than it is to go on", job);
	return 0;
}

static int check_done(const struct reopened *r, struct error *reterr)
{
	uint64_t at = 0;

	for (uint32_t i = 0; i < r->done.count; at = range_end(r->done.items[i++]))
		if (!range_is_valid(r->done.items[i], r->plan.shard_count) || r->done.items[i].first < at)
			return error_set(reterr, ERR_INVALID, "expected ranges of its %u shards, in order",
					 r->plan.shard_count);
	return 0;
}

static int check_size(const struct input_reopen *in, struct error *reterr)
{
	struct buf text = {0};
	size_t bytes;

	codec_encode(codec_reopened(), &in->as, &text);
	bytes = text.size + in->definition.text.size;
	buf_fini(&text);
	if (bytes <= ACCEPT_BYTES_MAX)
		return 0;
	error_set(reterr, ERR_LIMIT,
		  "job %llu cannot go on: which of its shards are done takes %u ranges, %zu bytes; at most "
		  "%llu fit",
		  (unsigned long long)in->as.job, in->as.done.count, bytes, ACCEPT_BYTES_MAX);
	return error_help(reterr, "`shardmill retry --all` does all of it anew, as a new job");
}

/* Whoever wants it counts as who submits it, as the job's owner. */
static int check_queue(struct dispatcher_core *core, const struct input_reopen *in, struct error *reterr)
{
	struct new_job j = in->as.body;
	struct buf owner = {0};
	int rc;

	if (j.owner.size == 0)
		principal_words(&j.by, &owner);
	if (owner.size > 0)
		j.owner = buf_bytes(&owner);
	j.by = in->as.by;
	rc = queue_check_submission(core, &(struct new_job_list){&j, 1}, 0, &in->definition, reterr);
	buf_fini(&owner);
	return rc;
}

static int check_reopen(struct dispatcher_core *core, const struct input_reopen *in, struct error *reterr)
{
	const struct reopened *r = &in->as;
	const char *why = NULL;
	int rc = check_row(core, r, reterr);

	if (rc == 0 && forgotten_since(core, r->job, in->history_lsn)) {
		rc = error_set(reterr, ERR_BUSY, "job %llu may have been forgotten meanwhile",
			       (unsigned long long)r->job);
		error_help(reterr, "try again: history is then asked anew");
	}
	if (rc == 0)
		rc = accept_check_room(core, 1, reterr);
	if (rc == 0)
		rc = definition_check(&in->definition, reterr);
	if (rc == 0 && (r->reopens == 0 || r->body.job != r->job ||
			!bytes_equal(in->definition.sha256, r->body.definition) ||
			r->phase != phases_shards(&in->definition) || plan_gathers(&r->plan)))
		rc = error_set(reterr, ERR_INVALID, "what is said of job %llu does not fit together",
			       (unsigned long long)r->job);
	if (rc == 0)
		rc = accept_check_job(core, &in->definition, &r->body, false, reterr);
	if (rc == 0)
		rc = check_queue(core, in, reterr);
	if (rc == 0)
		rc = plan_validate(&r->plan, reterr);
	if (rc == 0)
		rc = check_done(r, reterr);
	if (rc == 0 && (group_skips(core, &r->body.concurrency, 0, &why) ||
			group_drops(core, &r->body.concurrency, r->job, &why)))
		rc = error_set(reterr, ERR_BUSY, "%s", why);
	return rc == 0 ? check_size(in, reterr) : rc;
}

void step_reopen(struct dispatcher_core *core, const struct input_reopen *in)
{
	struct reopened r = in->as;
	struct error err = {0};
	int rc = check_reopen(core, in, &err);
	const struct job_row *row;
	bool was_there;

	if (rc == 0)
		rc = accept_definition(core, &in->definition, &err);
	if (rc < 0) {
		reply_error(core, in->request, (enum error_code)rc,
			    step_text(core, "%s%s%s%s", err.what, err.help[0] != '\0' ? " (" : "", err.help,
				      err.help[0] != '\0' ? ")" : ""));
		return;
	}
	was_there = job_get(core, r.job) != NULL;
	r.wall_us = core->wall_us;
	r.earlier = (struct token){core->d.epoch, core->next_lease};
	r.body.due_wall_us = r.body.deadline_wall_us = r.body.start_by_wall_us = 0;
	r.body.after =
	    (struct after_job_list){0};	 /* it may start, as somebody wants it so; in its group's turn */
	r.body.plan = plan_by_number(0); /* plan is what it is */
	emit(core, RECORD_REOPENED, &r);
	row = job_get(core, r.job);
	core->live_jobs++;
	limits_job_begins(core, job_get(core, r.job));
	if (was_there)
		core->ended_jobs--;
	core->held_jobs += row->state == JOB_HELD;
	expire_await(core, r.job, row);
	if (core->carry.job == r.job) { /* in the middle of an earlier life */
		core->carry.job = 0;
		core->carry.cursor = r.job - 1;
	}
	reply_ok(core, in->request, r.job, 1, false, core->d.last_lsn);
}
