/* An event is accepted in one commit: its deduplication key, and one job per matching rule. */
#include "base/plant.h"
#include "dispatcher/core/durable/apply.h"
#include "dispatcher/core/durable/dedup.h"
#include "dispatcher/core/durable/definition_table.h"
#include "dispatcher/core/decide/steps.h"
#include "dispatcher/core/volatile/limits.h"
#include "dispatcher/core/volatile/timers.h"
#include "jobs/plan.h"
#include "jobs/principal.h"

/* Of a job's record, its values aside. */
#define JOB_BYTES 512u
/* Below this, as counted roughly, what is accepted certainly fits. */
#define ACCEPT_LOOK_BYTES (512 * KIB)

static bool is_keyed(const struct input_accept *in)
{
	return in->key_hi != 0 || in->key_lo != 0;
}

static uint64_t item_lsn(const struct dispatcher_core *core, const struct dedup_item *item)
{
	uint64_t lsn = (core->d.last_lsn & ~(uint64_t)UINT32_MAX) | item->lsn_low;

	if (lsn > core->d.last_lsn)
		lsn -= (uint64_t)UINT32_MAX + 1;
	return lsn;
}

static const struct definition_body *find_body(const struct input_accept *in, struct bytes sha256)
{
	for (uint32_t i = 0; i < in->definitions.count; i++)
		if (bytes_equal(in->definitions.items[i].sha256, sha256))
			return &in->definitions.items[i];
	return NULL;
}

int accept_check_job(struct dispatcher_core *core, const struct definition_body *given,
		     const struct new_job *j, bool planned, struct error *reterr)
{
	const struct definition *def = definition_find(&core->d.definitions, j->definition);

	if ((def == NULL || !def->known) && given == NULL)
		return error_set(reterr, ERR_INVALID, "the job names a definition that did not come with it");
	if (j->priority < INT32_MIN || j->priority > INT32_MAX)
		return error_set(reterr, ERR_INVALID, "expected a priority of 32 bits, found %lld",
				 (long long)j->priority);
	if (j->depth > core->config.chain_depth_max) {
		error_set(reterr, ERR_LIMIT,
			  "jobs started by jobs started by jobs: %u deep, at most %u are allowed", j->depth,
			  core->config.chain_depth_max);
		return error_help(reterr, "look for a rule that matches the events of its own jobs");
	}
	if (accept_check_asked(j, reterr) < 0)
		return ERR_INVALID;
	if (!planned)
		return 0;
	if (j->planner < PLANNER_PURE || j->planner > PLANNER_JSON_LINES)
		return error_set(reterr, ERR_INVALID, "expected planner %s", planner_kind_names());
	if (j->planner == PLANNER_PURE)
		return plan_validate(&j->plan, reterr);
	if (!plan_may_be_first(&j->plan))
		return error_set(reterr, ERR_INVALID, "expected plan %s", plan_kind_names());
	if (j->plan.shard_count > 0)
		return error_set(reterr, ERR_INVALID, "shards are named, but a planner is to name them");
	return 0;
}

static int check_stillborn(const struct input_accept *in, struct error *reterr)
{
	for (uint32_t i = 0; i < in->failed.count; i++) {
		const struct stillborn *f = &in->failed.items[i];

		if (f->index >= in->jobs.count || (i > 0 && f->index <= in->failed.items[i - 1].index))
			return error_set(reterr, ERR_INVALID, "expected the indices of jobs, in order");
	}
	return 0;
}

/* What is accepted in one step has to fit one frame of the journal. An input is at least as long as the
 * records that it becomes. */
static int check_size(const struct input_accept *in, struct error *reterr)
{
	struct buf text = {0};
	size_t bytes = in->event.size;

	for (uint32_t i = 0; i < in->definitions.count; i++)
		bytes += in->definitions.items[i].text.size;
	for (uint32_t i = 0; i < in->jobs.count; i++) {
		bytes += JOB_BYTES;
		for (uint32_t v = 0; v < in->jobs.items[i].values.count; v++)
			bytes += in->jobs.items[i].values.items[v].text.size;
	}
	if (bytes <= ACCEPT_LOOK_BYTES)
		return 0;
	codec_encode(codec_input_accept(), in, &text);
	bytes = text.size + (size_t)in->jobs.count * JOB_BYTES;
	buf_fini(&text);
	if (bytes <= ACCEPT_BYTES_MAX)
		return 0;
	error_set(reterr, ERR_LIMIT,
		  "the %u jobs that it starts take %zu bytes with their values, at most %llu fit",
		  in->jobs.count, bytes, ACCEPT_BYTES_MAX);
	return error_help(reterr, "let fewer rules match it, or have them name less of it");
}

int accept_check_room(struct dispatcher_core *core, uint32_t jobs, struct error *reterr)
{
	if (jobs > core->config.jobs_max)
		return error_set(reterr, ERR_LIMIT, "it starts %u jobs, at most %u may be live", jobs,
				 core->config.jobs_max);
	if (core->live_jobs + jobs <= core->config.jobs_max)
		return 0;
	error_set(reterr, ERR_BUSY, "%llu jobs are live, at most %u are allowed",
		  (unsigned long long)core->live_jobs, core->config.jobs_max);
	return error_help(reterr, "try again later");
}

/* Of a job that was checked. */
static const struct definition_body *body_of(const struct dispatcher_core *core,
					     const struct input_accept *in, const struct new_job *j)
{
	const struct definition_body *body = find_body(in, j->definition);

	return body != NULL ? body : &definition_find(&core->d.definitions, j->definition)->body;
}

static int check_accept(struct dispatcher_core *core, const struct input_accept *in, struct error *reterr)
{
	int rc = accept_check_room(core, in->jobs.count, reterr);

	if (rc == 0)
		rc = principal_check(&in->by, reterr);
	if (rc == 0)
		rc = check_stillborn(in, reterr);
	if (rc == 0)
		rc = check_size(in, reterr);
	if (rc < 0)
		return rc;
	for (uint32_t i = 0; i < in->definitions.count; i++) {
		rc = definition_check(&in->definitions.items[i], reterr);
		if (rc < 0)
			return rc;
	}
	for (uint32_t i = 0, f = 0; i < in->jobs.count; i++) {
		const struct new_job *j = &in->jobs.items[i];
		bool failed = f < in->failed.count && in->failed.items[f].index == i;

		f += failed; /* no shard of it is ever asked for */
		rc = accept_check_job(core, find_body(in, j->definition), j, !failed, reterr);
		if (rc == 0)
			rc = queue_check_submission(core, &in->jobs, i, body_of(core, in, j), reterr);
		if (rc == 0)
			rc = wait_check(core, &in->ended, j, reterr);
		if (rc == 0 && !failed)
			rc = shard_wait_check(core, &in->ended, find_body(in, j->definition), j, reterr);
		if (rc < 0)
			return rc;
	}
	return 0;
}

int accept_definition(struct dispatcher_core *core, const struct definition_body *body, struct error *reterr)
{
	struct definition_added r = {.definition = *body};
	/* The name table is tried first, so that a record is written only for what is served. */
	struct definition trial = {.known = true, .body = *body};
	const struct definition *def = definition_find(&core->d.definitions, body->sha256);
	int rc;

	if (def != NULL && def->known) /* else a job of history's past names it: its record is due */
		return 0;
	rc = definition_bind(core, &trial, reterr);
	if (rc < 0)
		return rc;
	emit(core, RECORD_DEFINITION, &r);
	rc = definition_bind(core, definition_find(&core->d.definitions, body->sha256), reterr);
	CHECK(rc == 0);
	definition_unbind(core, &trial);
	return 0;
}

/* Whatever jobs name is known and bound, or nothing has changed. */
static int add_definitions(struct dispatcher_core *core, const struct input_accept *in, struct error *reterr)
{
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < in->jobs.count; i++) {
		const struct definition_body *body = find_body(in, in->jobs.items[i].definition);

		if (body != NULL)
			rc = accept_definition(core, body, reterr);
	}
	return rc;
}

static void drop_unused(struct dispatcher_core *core, const struct input_accept *in)
{
	for (uint32_t i = 0; i < in->jobs.count; i++) {
		struct definition *def = definition_find(&core->d.definitions, in->jobs.items[i].definition);

		if (def != NULL)
			definition_release(core, def);
	}
}

/* A time that came as a duration. */
static void date(const struct dispatcher_core *core, int64_t *us)
{
	if (*us > 0)
		*us += core->wall_us;
}

/* why: for each job the reason why it can never start, or NULL. */
static void write_accepted(struct dispatcher_core *core, const struct input_accept *in,
			   const struct skipped *skipped, const char *why[])
{
	struct new_job *jobs = step_alloc(core, in->jobs.count * sizeof *jobs);
	struct accepted r = {.key_hi = in->key_hi,
			     .key_lo = in->key_lo,
			     .wall_us = core->wall_us,
			     .event = in->event,
			     .by = in->by,
			     .jobs = {jobs, in->jobs.count}};
	usec_t shortened_us = 0;

	for (uint32_t i = 0; i < in->jobs.count; i++) {
		jobs[i] = in->jobs.items[i];
		jobs[i].job = core->d.next_job + i;
		if (jobs[i].due_wall_us <= core->wall_us)
			jobs[i].due_wall_us = 0;
		date(core, &jobs[i].deadline_wall_us);
		date(core, &jobs[i].start_by_wall_us);
		jobs[i].after = wait_left(core, &in->ended, &in->jobs.items[i], &why[i]);
		if (why[i] == NULL)
			shard_wait_left(core, &in->ended, &in->jobs.items[i], &jobs[i]);
	}
	for (uint32_t i = 0; i < in->failed.count; i++) {
		struct new_job *j = &jobs[in->failed.items[i].index];

		j->planner = PLANNER_PURE; /* nothing is left to plan */
		j->plan = plan_by_number(0);
		j->due_wall_us = 0;
		j->after = (struct after_job_list){0};
		j->concurrency = (struct concurrency){0};
		j->blocked = (struct range_list){0};
		why[in->failed.items[i].index] = NULL;
	}
	if (is_keyed(in))
		dedup_place(&core->d.dedup, steady_us(core), core->config.dedup_window_us,
			    core->config.dedup_max, core->config.dedup_bucket_max, &r.bucket_wall_us,
			    &r.forget_before_us, &shortened_us);
	core->accepted_events++;
	core->accepted_jobs += in->jobs.count;
	emit(core, RECORD_ACCEPTED, &r);
	seal_next(core);
	if (shortened_us > 0)
		tell(core, true, 0,
		     step_text(core, "deduplication reaches back only %lld s: %u keys are its bound",
			       (long long)(shortened_us / USEC_PER_SEC), core->config.dedup_max));
	reply_accepted(core, in->request, in->jobs.count > 0 ? jobs[0].job : 0, in->jobs.count, skipped);
}

static bool is_stillborn(const struct input_accept *in, uint32_t index)
{
	for (uint32_t i = 0; i < in->failed.count; i++)
		if (in->failed.items[i].index == index)
			return true;
	return false;
}

static bool is_due(const struct dispatcher_core *core, const struct new_job *j)
{
	return j->due_wall_us <= core->wall_us && j->after.count == 0;
}

/* Jobs of the group that come before it and may take a place now. */
static uint32_t ahead_of(const struct dispatcher_core *core, const struct input_accept *kept,
			 struct bytes group)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < kept->jobs.count; i++)
		n += bytes_equal(kept->jobs.items[i].concurrency.group, group) &&
		     is_due(core, &kept->jobs.items[i]) && !is_stillborn(kept, i);
	return n;
}

/* One that waits for its time, or for others, is decided about when that has come. */
static bool is_skipped(struct dispatcher_core *core, const struct input_accept *kept, const struct new_job *j,
		       const char **why)
{
	return j->concurrency.mode == CONCURRENCY_SKIP && is_due(core, j) &&
	       group_skips(core, &j->concurrency, ahead_of(core, kept, j->concurrency.group), why);
}

/* The input without the jobs that their concurrency groups skip. */
static struct input_accept without_skipped(struct dispatcher_core *core, const struct input_accept *in,
					   struct skipped *ret)
{
	struct input_accept left = *in;

	*ret = (struct skipped){0};
	left.jobs = (struct new_job_list){step_alloc(core, in->jobs.count * sizeof *left.jobs.items), 0};
	left.failed =
	    (struct stillborn_list){step_alloc(core, in->failed.count * sizeof *left.failed.items), 0};
	for (uint32_t i = 0; i < in->jobs.count; i++) {
		const char *why;

		if (is_stillborn(in, i)) {
			left.failed.items[left.failed.count] = in->failed.items[left.failed.count];
			left.failed.items[left.failed.count++].index = left.jobs.count;
		} else if (is_skipped(core, &left, &in->jobs.items[i], &why)) {
			if (ret->count++ == 0)
				ret->why = why;
			continue;
		}
		left.jobs.items[left.jobs.count++] = in->jobs.items[i];
	}
	return left;
}

static bool names_skipping(const struct input_accept *in)
{
	for (uint32_t i = 0; i < in->jobs.count; i++)
		if (in->jobs.items[i].concurrency.mode == CONCURRENCY_SKIP)
			return true;
	return false;
}

/* Those that were written: they live. */
static void begin_jobs(struct dispatcher_core *core, const struct input_accept *in)
{
	for (uint32_t i = 0; i < in->jobs.count; i++) {
		uint64_t job = core->d.next_job - in->jobs.count + i;
		struct job_row *row = job_get(core, job);

		core->live_jobs++;
		limits_job_begins(core, row);
		queue_note_submission(core, &in->jobs.items[i], row);
		if (row->state == JOB_HELD)
			core->held_jobs++;
		expire_await(core, job, row);
	}
}

/* Could the definitions that come with it be served? Nothing is left of the try. */
static int try_definitions(struct dispatcher_core *core, const struct input_accept *in, struct error *reterr)
{
	for (uint32_t i = 0; i < in->definitions.count; i++) {
		const struct definition_body *body = &in->definitions.items[i];
		const struct definition *def = definition_find(&core->d.definitions, body->sha256);
		struct definition trial = {.known = true, .body = *body};
		int rc = def != NULL && def->known ? 0 : definition_bind(core, &trial, reterr);

		if (rc < 0)
			return rc;
		if (def == NULL || !def->known)
			definition_unbind(core, &trial);
	}
	return 0;
}

/* The event that has its key. lsn: when that is durable, it may be told of. */
struct taken {
	bool is_known;
	uint64_t job;
	uint32_t job_count;
	uint64_t lsn;
};

static struct taken find_taken(const struct dispatcher_core *core, const struct input_accept *in)
{
	const struct dedup_item *item =
	    is_keyed(in) ? dedup_find(&core->d.dedup, in->key_hi, in->key_lo) : NULL;
	const struct dedup_fact *known = &in->known;

	if (item != NULL)
		return (struct taken){true, item->job, item->job_count, item_lsn(core, item)};
	/* The files keep keys until the core has forgotten them, which it does when a new one comes. */
	if (known->bucket_wall_us == 0 || known->bucket_wall_us < core->d.forget_before_us ||
	    known->bucket_wall_us < dedup_window_begin(steady_us(core), core->config.dedup_window_us) ||
	    PLANTED(sealed_keys_not_looked_up))
		return (struct taken){0};
	return (struct taken){true, known->job, known->job_count, 0};
}

/* What the step would say of it; why: its job would be cancelled at once. */
static void accept_dry(struct dispatcher_core *core, const struct input_accept *in, const struct taken *taken)
{
	struct skipped skipped = {0};
	const char *why = NULL;
	struct error err = {0};
	int rc = taken->is_known ? 0 : check_accept(core, in, &err);

	if (rc == 0 && !taken->is_known && in->whole && names_skipping(in)) {
		(void)without_skipped(core, in, &skipped);
		if (skipped.count > 0)
			rc = error_set(&err, ERR_EXISTS, "%s", skipped.why);
	}
	if (rc == 0 && !taken->is_known)
		rc = try_definitions(core, in, &err);
	for (uint32_t i = 0; !taken->is_known && i < in->jobs.count && rc == 0 && why == NULL; i++)
		(void)wait_left(core, &in->ended, &in->jobs.items[i], &why);
	if (rc < 0)
		reply_error(core, in->request, (enum error_code)rc, step_text(core, "%s", err.what));
	else
		reply_dry(core, in->request, taken->job, taken->is_known, why);
}

void step_accept(struct dispatcher_core *core, const struct input_accept *in)
{
	struct taken taken = find_taken(core, in);
	struct skipped skipped = {0};
	struct input_accept left;
	struct error err = {0};
	const char **why;
	int rc;

	if (in->dry) {
		accept_dry(core, in, &taken);
		return;
	}
	if (taken.is_known) {
		core->repeated_events++;
		reply_ok(core, in->request, taken.job, taken.job_count, true, taken.lsn);
		return;
	}
	rc = check_accept(core, in, &err);
	if (rc == 0 && names_skipping(in)) {
		left = without_skipped(core, in, &skipped);
		if (in->whole && skipped.count > 0)
			rc = error_set(&err, ERR_EXISTS, "%s", skipped.why);
		in = &left;
	}
	if (rc == 0) {
		rc = add_definitions(core, in, &err);
		if (rc < 0)
			drop_unused(core, in);
	}
	if (rc < 0) {
		const char *text = step_text(core, "%s", err.what);

		reply_error(core, in->request, (enum error_code)rc, text);
		tell(core, true, 0, text);
		return;
	}
	core->skipped_jobs += skipped.count;
	if (skipped.count > 0)
		tell(core, false, 0,
		     step_text(core, "%u of an event's jobs %s not made: %s", skipped.count,
			       skipped.count == 1 ? "is" : "are", skipped.why));
	if (in->jobs.count == 0 && !is_keyed(in)) {
		reply_accepted(core, in->request, 0, 0, &skipped);
		return;
	}
	why = step_alloc(core, in->jobs.count * sizeof *why);
	write_accepted(core, in, &skipped, why);
	begin_jobs(core, in);
	/* In the same commit: nobody ever sees them live. */
	for (uint32_t i = 0; i < in->failed.count; i++) {
		const struct stillborn *f = &in->failed.items[i];
		int size = f->why.size < WHY_BYTES_MAX ? (int)f->why.size : WHY_BYTES_MAX;

		job_end(core, core->d.next_job - in->jobs.count + f->index, JOB_FAILED,
			step_text(core, "%.*s", size, (const char *)f->why.data), NULL);
	}
	for (uint32_t i = 0; i < in->jobs.count; i++)
		if (why[i] != NULL)
			job_end(core, core->d.next_job - in->jobs.count + i, JOB_CANCELLED, why[i],
				&(struct principal){.kind = BY_DISPATCHER});
}
