/* A retry of a job that has ended (reopen.h): it lives again, in place. What it was comes from history:
 * which shards are done, what they are (the plan that a planner sealed, or the one that follows from
 * definition and event), and its sums. A shard whose output is lost is not done any more. Checksums of
 * outputs are compared only when no shard is dead: that reads every byte, and only lost outputs can be the
 * reason then. */
#include <stdlib.h>

#include "base/array.h"
#include "base/check.h"
#include "base/clock.h"
#include "dispatcher/api/job_json.h"
#include "dispatcher/api/job_waits.h"
#include "dispatcher/api/listener.h"
#include "dispatcher/api/reopen.h"
#include "dispatcher/api/submission.h"
#include "dispatcher/api/survey.h"
#include "dispatcher/planners/blobs.h"
#include "jobs/phases.h"

#define PATIENCE_US (10 * USEC_PER_SEC) /* with history and the rules */
/* A record has no room for more: the core counts its bytes, of two small numbers at least. */
#define DONE_RANGES_MAX ((uint32_t)(FRAME_BYTES_MAX / 3))

struct reopening {
	struct services *services;
	reopen_fn *fn;
	void *arg;
	struct job_waits *waits;
	struct job_wait wait;
	struct job_wait change; /* since it was looked at */
	bool changed;
	const char *waits_for;
	usec_t until_us;
	uint64_t job;
	struct principal by;
	uint64_t history_lsn; /* when it was asked */
	bool reopened;	      /* the core was asked to, else to retry the dead of one that lives */
	/* Of history; what is borrowed lives as long as the past. */
	struct past *past;
	struct history_job row;
	struct past_texts texts;
	struct plan plan; /* kind 0: none was sealed */
	bool blob_there;  /* the one that it names */
	uint64_t gather_shards;
	struct range *done;
	uint32_t done_count, done_room;
	struct error *reterr; /* the thread's, while it reads */
	uint64_t done_shards;
	struct submission submission; /* body NULL: not read yet */
	struct segments *segments;    /* NULL: of its own */
	struct survey survey;
	uint64_t lost;
	bool lost_gather; /* what gathered the shards' outputs has lost its own */
};

static void look(struct reopening *o);

static void forget_submission(struct reopening *o)
{
	if (o->submission.body != NULL)
		submission_fini(&o->submission);
	o->submission = (struct submission){0};
}

void reopening_destroy(void *state)
{
	struct reopening *o = state;

	if (o == NULL)
		return;
	job_wait_cancel(&o->wait);
	job_wait_cancel(&o->change);
	survey_fini(&o->survey);
	forget_submission(o);
	free(o->done);
	past_drop(o->past);
	free(o);
}

static void help_anew(const struct reopening *o, struct error *reterr)
{
	error_help(reterr, "`shardmill retry --all %llu` does all of it again, as a new job",
		   (unsigned long long)o->job);
}

static int refuse(const struct reopening *o, struct error *reterr)
{
	help_anew(o, reterr);
	return reterr->code;
}

static int refuse_many(const struct reopening *o, struct error *reterr)
{
	error_set(reterr, ERR_LIMIT,
		  "job %llu cannot go on: its shards that are done are more than %u ranges",
		  (unsigned long long)o->job, DONE_RANGES_MAX);
	return refuse(o, reterr);
}

/* ---- history ---- */

static int take_winner(void *arg, const struct history_winner *w)
{
	struct reopening *o = arg;
	struct range *last = o->done_count > 0 ? &o->done[o->done_count - 1] : NULL;

	if (w->is_missing)
		return 0;
	o->done_shards += w->shards.count;
	if (last != NULL && range_end(*last) == w->shards.first) {
		last->count += w->shards.count;
		return 0;
	}
	if (o->done_count == DONE_RANGES_MAX)
		return refuse_many(o, o->reterr);
	ARRAY_GROW(o->done, o->done_room, o->done_count);
	o->done[o->done_count++] = w->shards;
	return 0;
}

static void forget_read(struct reopening *o)
{
	forget_submission(o); /* it borrows from the texts */
	o->plan = (struct plan){0};
	o->blob_there = false;
	o->done_count = 0;
	o->done_shards = o->lost = o->gather_shards = 0;
	o->lost_gather = false;
}

/* In a reader's thread. */
static int read_more(void *arg, struct history_reader *history, const struct history_job *row,
		     struct arena *arena, struct error *reterr)
{
	struct reopening *o = arg;
	int rc;

	forget_read(o);
	o->reterr = reterr;
	rc = past_read_texts(history, row->definition, row->event_id_hi, row->event_id_lo, arena, &o->texts,
			     reterr);
	if (rc < 0 || row->shards == 0 || row->shards > SHARDS_MAX)
		return rc;
	if (history_plan(history, o->job, arena, &o->plan, reterr) < 0)
		o->plan = (struct plan){0};
	if (o->plan.blob.size > 0)
		o->blob_there = blobs_have(o->services->blobs, o->plan.blob);
	if (row->phase > row->shards_phase)
		rc = history_phase_shards(history, o->job, row->phase, &o->gather_shards, reterr);
	if (rc < 0 && rc != ERR_NOT_FOUND)
		return rc;
	return history_winners(history, o->job, row->shards_phase, (struct range){0, (uint32_t)row->shards},
			       take_winner, o, reterr);
}

/* ---- what goes on ---- */

static int refuse_unplanned(const struct reopening *o, struct error *reterr)
{
	error_set(reterr, ERR_NOT_FOUND, "job %llu cannot go on: what its shards are is not known any more",
		  (unsigned long long)o->job);
	return refuse(o, reterr);
}

/* The plan of the shards: sealed by a planner, or what definition and event give again. */
static int find_plan(struct reopening *o, const struct submission *u, struct plan *ret, struct error *reterr)
{
	const struct definition_body *body = &u->definition->body;

	if (!bytes_equal(body->sha256, o->row.definition) || phases_shards(body) != o->row.shards_phase ||
	    (body->value_names.count > 0 && !u->has_event)) /* kept without it by an older version */
		return refuse_unplanned(o, reterr);
	*ret = o->plan;
	if (phases_shards(body) == 0 && u->job.planner == PLANNER_PURE)
		*ret = u->job.plan;
	if (ret->kind == 0 || (ret->blob.size > 0 && !o->blob_there))
		return refuse_unplanned(o, reterr);
	if (ret->shard_count == o->row.shards)
		return 0;
	error_set(reterr, ERR_EXISTS, "job %llu cannot go on: it had %llu shards, its plan now makes %u",
		  (unsigned long long)o->job, (unsigned long long)o->row.shards, ret->shard_count);
	return refuse(o, reterr);
}

static bool has_something_to_do(const struct reopening *o)
{
	return o->row.state != JOB_SUCCEEDED || o->row.dead > 0;
}

static int check_row(struct reopening *o, struct error *reterr)
{
	unsigned long long job = o->job;

	if (!has_something_to_do(o) && o->lost == 0 && !o->lost_gather) {
		error_set(reterr, ERR_EXISTS,
			  "job %llu has succeeded, no shard of it is dead, and no output is lost", job);
		return refuse(o, reterr);
	}
	if (o->row.shards == 0)
		return refuse_unplanned(o, reterr);
	if (o->done_shards + o->lost == o->row.done)
		return 0;
	error_set(reterr, ERR_EXISTS,
		  "job %llu cannot go on: history knows who made %llu of the %llu shards that were done", job,
		  (unsigned long long)(o->done_shards + o->lost), (unsigned long long)o->row.done);
	return refuse(o, reterr);
}

static void on_reply(void *arg, const struct dispatcher_reply *reply)
{
	struct reopening *o = arg;
	struct reopen_counts counts = {o->row.shards, o->done_shards, o->lost, o->lost_gather};
	struct error e = {0};

	if (reply->code == ERR_OK) {
		o->fn(o->arg, NULL, o->reopened ? &counts : NULL);
		return;
	}
	error_set(&e, reply->code, "%s", reply->why);
	error_where(&e, "job %llu", (unsigned long long)o->job);
	o->fn(o->arg, &e, NULL);
}

static void step_reopen(struct reopening *o, const struct submission *u, const struct plan *plan)
{
	struct services *s = o->services;
	const struct history_job *row = &o->row;
	struct input_reopen in = {.definition = u->definition->body, .history_lsn = o->history_lsn};

	in.as = (struct reopened){.job = o->job,
				  .reopens = row->reopens + 1,
				  .body = u->job,
				  .phase = row->shards_phase,
				  .plan = *plan,
				  .done = {o->done, o->done_count},
				  .accepted_wall_us = row->accepted_wall_us,
				  .started_wall_us = row->started_wall_us,
				  .retries = row->retries,
				  .totals = row->totals,
				  .by = o->by};
	in.as.body.job = o->job;
	in.as.body.depth = row->depth;
	in.as.body.by = row->by;
	in.as.body.owner = row->owner;
	in.as.body.traceparent = row->traceparent;
	in.as.body.event_id_hi = row->event_id_hi;
	in.as.body.event_id_lo = row->event_id_lo;
	o->reopened = true;
	port_submit(s->port, INPUT_REOPEN, &in, &(struct ticket){on_reply, o});
}

/* What was to be done, as it was submitted. */
static int read_submission(struct reopening *o, struct error *reterr)
{
	json_t *body;
	int rc;

	if (o->submission.body != NULL)
		return 0;
	body = again_body(&o->row, &o->texts, reterr);
	if (body == NULL)
		return refuse_unplanned(o, reterr);
	rc = submission_read(&o->submission, body, reterr);
	if (rc < 0) { /* it could not be run the first time, either, or its event is gone */
		forget_submission(o);
		help_anew(o, reterr);
	}
	return rc;
}

/* ---- in the loop ---- */

static void on_later(void *arg, bool late)
{
	struct reopening *o = arg;
	struct error e = {0};

	if (!late && !o->services->stopping && clock_mono_us() < o->until_us) {
		look(o);
		return;
	}
	error_set(&e, ERR_BUSY, "the end of job %llu is not %s yet", (unsigned long long)o->job,
		  o->waits_for);
	error_help(&e, "try again later");
	o->fn(o->arg, &e, NULL);
}

static usec_t patience_us(struct reopening *o, const char *waits_for)
{
	usec_t left_us = o->until_us - clock_mono_us();

	o->waits_for = waits_for;
	return left_us > 0 ? left_us : 0;
}

static void await_history(struct reopening *o, uint64_t lsn)
{
	job_wait_history(o->waits, &o->wait, lsn, patience_us(o, "in history"), on_later, o);
}

static void await_rules(struct reopening *o)
{
	job_wait_change(o->waits, &o->wait, o->job, patience_us(o, "told to the rules"), on_later, o);
}

/* It lives: its dead shards, if it has any, run again. */
static void retry_live(struct reopening *o)
{
	struct services *s = o->services;
	struct input_retry in = {.job = o->job, .by = o->by};

	port_submit(s->port, INPUT_RETRY, &in, &(struct ticket){on_reply, o});
}

/* May history be believed? False: it was seen to. */
static bool settle(struct reopening *o)
{
	struct services *s = o->services;
	struct arena arena;
	struct view_job v;
	bool there, fine = false;

	arena_init(&arena, 0);
	there = dispatcher_view_job(services_core(s), o->job, &arena, &v);
	arena_fini(&arena);
	if (there && !job_state_is_ended(v.state))
		retry_live(o);
	else if (there && v.ended_lsn > port_view(s->port).history_lsn)
		await_history(o, v.ended_lsn);
	else if (there && v.event_due)
		await_rules(o);
	else
		fine = true;
	return fine;
}

/* True: history can be believed, and is what was read. Else it is seen to, or was answered. */
static bool stands(struct reopening *o)
{
	if (!settle(o))
		return false;
	if (!o->changed && job_state_is_ended(o->row.state))
		return true;
	await_history(o, port_view(o->services->port).last_lsn); /* it lived in between */
	return false;
}

static void reopen(struct reopening *o)
{
	struct error e = {0};
	struct plan plan = {0};
	int rc;

	if (!stands(o))
		return;
	rc = check_row(o, &e);
	if (rc == 0) {
		rc = read_submission(o, &e);
		if (rc == 0)
			rc = find_plan(o, &o->submission, &plan, &e);
		if (rc == 0)
			step_reopen(o, &o->submission, &plan);
	}
	if (rc < 0)
		o->fn(o->arg, &e, NULL);
}

/* Those shards are not done any more. */
static int forget_lost(struct reopening *o, struct error *reterr)
{
	struct shard_set kept;
	uint64_t cursor = 0;
	uint32_t runs;

	shard_set_init(&kept);
	for (uint32_t i = 0; i < o->done_count; i++)
		shard_set_add(&kept, o->done[i].first, o->done[i].count);
	o->lost = shard_set_subtract(&kept, &o->survey.lost);
	o->done_shards -= o->lost;
	runs = shard_set_run_count(&kept);
	if (runs <= DONE_RANGES_MAX) {
		o->done = check_realloc(o->done, runs + 1, sizeof(*o->done));
		o->done_count = (uint32_t)shard_set_ranges(&kept, &cursor, o->done, runs);
	}
	shard_set_fini(&kept);
	return runs <= DONE_RANGES_MAX ? 0 : refuse_many(o, reterr);
}

static void survey_phase(struct reopening *o, uint32_t phase, uint64_t shards, bool first_only);

static void on_survey(struct survey *s)
{
	struct reopening *o = (struct reopening *)((char *)s - offsetof(struct reopening, survey));
	bool shards = s->phase == o->row.shards_phase;
	struct error e = s->error;
	int rc = s->rc;

	if (rc == 0 && shards)
		rc = forget_lost(o, &e);
	else if (rc == 0)
		o->lost_gather = s->first.code != ERR_OK;
	survey_fini(s);
	if (rc == 0 && shards && o->lost == 0 && !has_something_to_do(o) &&
	    o->row.phase > o->row.shards_phase) {
		survey_phase(o, o->row.phase, o->gather_shards, true);
		return;
	}
	if (rc < 0)
		o->fn(o->arg, &e, NULL);
	else
		reopen(o);
}

/* May one output be that of many shards? */
static bool has_wholes(struct reopening *o, uint32_t phase)
{
	struct error e = {0}; /* told when the job is to go on */
	const struct definition_body *body;

	if (read_submission(o, &e) < 0)
		return false;
	body = &o->submission.definition->body;
	return phase < body->phases.count && body->phases.items[phase].run.kind == RUN_RUNNER;
}

static void survey_phase(struct reopening *o, uint32_t phase, uint64_t shards, bool first_only)
{
	o->survey = (struct survey){.services = o->services,
				    .job = o->job,
				    .phase = phase,
				    .end = shards,
				    .sums = o->row.dead == 0 && o->row.done == o->row.shards,
				    .wholes = has_wholes(o, phase),
				    .first_only = first_only,
				    .shared = o->segments,
				    .over = on_survey};
	survey_begin(&o->survey);
}

static void on_past(void *arg, struct past *past, int rc, const struct error *why)
{
	struct reopening *o = arg;
	const struct history_job *row = past_row(past, o->job);
	struct error e = *why;

	if (rc == 0 && row == NULL)
		rc = job_refuse_unknown(o->services, o->job, &e);
	if (rc < 0) {
		o->fn(o->arg, &e, NULL);
		return;
	}
	o->row = *row;
	if (stands(o))
		survey_phase(o, o->row.shards_phase, o->row.shards, false);
}

static void on_change(void *arg, bool late)
{
	struct reopening *o = arg;

	(void)late;
	o->changed = true;
}

static void look(struct reopening *o)
{
	if (!settle(o))
		return;
	forget_read(o);
	job_wait_cancel(&o->change);
	o->changed = false;
	job_wait_change(o->waits, &o->change, o->job, USEC_NEVER, on_change, o);
	past_drop(o->past);
	o->past = past_create(o->services, read_more, on_past, o);
	past_add(o->past, o->job);
	o->history_lsn = port_view(o->services->port).history_lsn;
	past_ask(o->past);
}

struct reopening *reopening_create(struct api *api, uint64_t job, const struct principal *by,
				   struct segments *segments, reopen_fn *fn, void *arg)
{
	struct reopening *o = check_calloc(1, sizeof(*o));

	o->services = api->services;
	o->waits = api->waits;
	o->fn = fn;
	o->arg = arg;
	o->job = job;
	o->by = *by;
	o->segments = segments;
	o->until_us = clock_mono_us() + PATIENCE_US;
	return o;
}

void reopening_start(struct reopening *o)
{
	look(o);
}
