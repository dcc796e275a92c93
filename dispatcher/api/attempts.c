/* GET /v1/jobs/{id}/attempts: what ran where. How the shards of a live job stand the core says, of one that
 * has ended history; what attempts took is history's. Since when the shards of a page run, the workers that
 * have them are asked; when they have answered, the core is asked anew. */
#include <stdlib.h>
#include <string.h>

#include "dispatcher/api/attempts.h"
#include "dispatcher/api/job_json.h"
#include "dispatcher/api/job_waits.h"
#include "dispatcher/api/listener.h"
#include "dispatcher/api/running_now.h"
#include "dispatcher/api/submission.h"
#include "jobs/ids.h"
#include "jobs/kinds.h"
#include "jobs/output_index.h"
#include "jobs/phases.h"
#include "jobs/plan_kind.h"

#define PATIENCE_US (10 * USEC_PER_SEC) /* with history */
#define ARENA_BYTES_MAX (16 * MIB)

struct listing {
	struct reading reading;
	struct request *request;
	struct job_wait wait;
	struct attempts_list list;
	struct past_texts texts; /* of a job that has ended, if its values follow from them */
	bool asked;		 /* the workers of a live job, or there are none */
	struct running_now now;	 /* what they said */
};

static void listing_destroy(void *state)
{
	struct listing *l = state;

	running_now_fini(&l->now);
	job_wait_cancel(&l->wait);
	arena_fini(&l->list.arena);
	free(l);
}

/* ---- the answer ---- */

static struct bytes worker_text(const struct attempts_row *row, char text[UUID_TEXT_BYTES])
{
	uuid_text(&row->worker, text);
	return bytes_of(text);
}

static json_t *row_json(const struct attempts_list *l, const struct attempts_row *row)
{
	char worker[UUID_TEXT_BYTES];
	const struct api_shard_attempts shard = {
	    .phase = l->phase,
	    .first = row->shards.first,
	    .count = row->shards.count,
	    .has_number = row->has_number,
	    .number = row->number,
	    .has_value = row->value.data != NULL,
	    .value = row->value,
	    .has_last_value = row->last_value.data != NULL,
	    .last_value = row->last_value,
	    .state = bytes_of(shard_state_name(row->state)),
	    .attempts = row->attempts,
	    .has_worker = (row->worker.hi | row->worker.lo) != 0,
	    .worker = worker_text(row, worker),
	    .has_host = row->host.size > 0,
	    .host = row->host,
	    .start_wall_us = row->start_wall_us,
	    .has_took = row->ended,
	    .took = {.totals = row->took},
	    .has_failed = row->failed != 0,
	    .failed = bytes_of(failure_kind_name(row->failed)),
	    .has_code = row->has_code,
	    .code = row->code,
	    .has_why = row->why.size > 0,
	    .why = row->why,
	};

	return object_write(object_shard_attempts(), &shard);
}

static void answer(struct listing *l)
{
	const struct attempts_list *list = &l->list;
	struct api_attempts attempts = {.shards = json_array()};

	for (size_t i = 0; i < list->row_count; i++)
		json_array_append_new(attempts.shards, row_json(list, &list->rows[i]));
	if (list->next < list->shard_count)
		attempts.next = list->next;
	request_answer(l->request, MHD_HTTP_OK, object_write(object_attempts(), &attempts));
}

/* ---- a job that has ended ---- */

/* What no planner made follows from definition and event. In a reader's thread. */
static int read_texts(struct history_reader *history, struct listing *l, struct error *reterr)
{
	struct attempts_list *list = &l->list;
	const struct history_job *row = &list->row;

	if (list->live || list->plan.kind != 0 || list->phase != row->shards_phase || list->phase > 0)
		return 0;
	return past_read_texts(history, row->definition, row->event_id_hi, row->event_id_lo, &list->arena,
			       &l->texts, reterr);
}

/* Where the texts are gone, values are not told. */
static void find_values(struct listing *l)
{
	struct attempts_list *list = &l->list;
	struct submission u;
	struct error e = {0};
	json_t *body;

	if (l->texts.definition.size == 0)
		return;
	body = again_body(&list->row, &l->texts, &e);
	if (body == NULL)
		return;
	if (submission_read(&u, body, &e) == 0 && u.job.planner == PLANNER_PURE &&
	    bytes_equal(u.definition->body.sha256, list->row.definition)) {
		list->plan = u.job.plan;
		attempts_values(list, NULL);
		list->plan = (struct plan){0};
	}
	submission_fini(&u);
}

/* In a reader's thread. */
static void read_list(struct history_reader *history, struct reading *r)
{
	struct listing *l = (struct listing *)r;

	r->rc = attempts_read(history, &l->list, &r->error);
	if (r->rc == 0)
		r->rc = read_texts(history, l, &r->error);
	if (r->rc == 0)
		attempts_values(&l->list, l->request->services->blobs);
}

static void on_read(struct reading *r)
{
	struct listing *l = (struct listing *)r;
	struct error e = r->error;

	if (r->rc == ERR_NOT_FOUND)
		job_refuse_unknown(l->request->services, l->list.job, &e);
	if (r->rc < 0) {
		request_fail(l->request, &e);
		return;
	}
	find_values(l);
	answer(l);
}

static void ask(struct listing *l)
{
	l->reading = (struct reading){.run = read_list, .done = on_read};
	readers_ask(l->request->services->readers, &l->reading);
}

static void on_history(void *arg, bool late)
{
	struct listing *l = arg;
	struct error e = {0};

	if (!late && !l->request->services->stopping) {
		ask(l);
		return;
	}
	error_set(&e, ERR_BUSY, "the end of job %llu is not in history yet", (unsigned long long)l->list.job);
	error_help(&e, "try again later");
	request_fail(l->request, &e);
}

/* ---- a live job ---- */

/* Room for a run; NULL: the page is full. */
static struct attempts_run *add_run(struct attempts_list *list, const struct view_shards *like,
				    struct range shards)
{
	struct attempts_run *run = list->run_count < list->limit ? &list->runs[list->run_count++] : NULL;

	if (run == NULL)
		return NULL;
	*run = (struct attempts_run){.v = *like};
	run->v.shards = shards;
	list->shown_end = range_end(shards);
	return run;
}

/* A shard that runs is told by itself. False: the page is full. */
static bool add_leased(struct listing *l, const struct view_shards *v, struct bytes host)
{
	uint64_t at = v->shards.first;
	const struct running_found *f;
	struct attempts_run *run;

	while (at < range_end(v->shards)) {
		f = running_now_next(&l->now, (uint32_t)at);
		if (f == NULL || f->attempt.shard >= range_end(v->shards)) {
			run = add_run(&l->list, v, range_between(at, range_end(v->shards)));
		} else if (f->attempt.shard > at) {
			run = add_run(&l->list, v, range_between(at, f->attempt.shard));
		} else {
			run = add_run(&l->list, v, range_between(at, at + 1));
			if (run != NULL && f->attempt.start_wall_us > 0)
				run->start_wall_us = f->attempt.start_wall_us;
		}
		if (run == NULL)
			return false;
		run->host = host;
		at = range_end(run->v.shards);
	}
	return true;
}

static void view_runs(struct listing *l)
{
	const struct dispatcher_core *core = services_core(l->request->services);
	struct attempts_list *list = &l->list;
	struct view_shards found[ATTEMPTS_ROWS_MAX];
	uint64_t cursor = list->first;
	bool room = true;

	list->run_count = 0;
	list->shown_end = list->first;
	while (room && list->run_count < list->limit && cursor < list->shard_count) {
		size_t count = dispatcher_view_shards(core, list->job, list->states, &cursor, found,
						      list->limit - list->run_count);

		for (size_t i = 0; room && i < count; i++) {
			const struct view_shards *v = &found[i];

			if (v->state == SHARD_LEASED)
				room = add_leased(l, v, dispatcher_view_host(core, &v->worker, &list->arena));
			else
				room = add_run(list, v, v->shards) != NULL;
		}
	}
	if (room)
		list->shown_end = cursor;
}

static void look(struct listing *l);

static void on_running(struct running_now *now)
{
	look(now->arg);
}

/* The workers that have shards of the page. */
static int ask_workers(struct listing *l, struct error *reterr)
{
	struct attempts_list *list = &l->list;
	int rc = 0;

	l->now.services = l->request->services;
	l->now.job = list->job;
	l->now.first = (uint32_t)list->first;
	l->now.over = on_running;
	l->now.arg = l;
	for (size_t i = 0; i < list->run_count && rc == 0; i++)
		if (list->runs[i].v.state == SHARD_LEASED)
			rc = running_now_ask(&l->now, &list->runs[i].v.worker, reterr);
	return rc;
}

static void look_live(struct listing *l, const struct view_job *v)
{
	struct attempts_list *list = &l->list;
	struct job_parameters parameters;
	struct error e = {0};
	bool asked = l->asked;

	list->shard_count = v->counts.shards;
	view_runs(l);
	l->asked = true;
	if (!asked && ask_workers(l, &e) < 0) {
		running_now_fini(&l->now); /* it is answered now */
		request_fail(l->request, &e);
		return;
	}
	if (!asked && l->now.asked > 0)
		return;
	list->live = true;
	if (dispatcher_view_parameters(services_core(l->request->services), list->job, list->phase,
				       &list->arena, &parameters))
		list->plan = parameters.plan;
	ask(l);
}

/* ---- the request ---- */

/* "done,dead" */
static int read_states(const char *text, uint32_t *ret, struct error *reterr)
{
	uint32_t states = 0;

	while (*text != '\0') {
		size_t length = strcspn(text, ",");
		uint8_t state = shard_state_of(BYTES(text, length));

		if (state == 0) {
			error_set(reterr, ERR_INVALID, "expected states of shards, found \"%.*s\"",
				  (int)(length < 40 ? length : 40), text);
			error_help(reterr, "pending, delayed, leased, done, dead, dropped");
			return error_where(reterr, "?state=");
		}
		states |= 1u << state;
		text += length + (text[length] == ',');
	}
	*ret = states != 0 ? states : UINT32_MAX;
	return 0;
}

static int read_query(struct listing *l, uint32_t otherwise, struct error *reterr)
{
	struct attempts_list *list = &l->list;
	struct request *r = l->request;
	uint64_t phase, limit;
	int rc = read_states(request_query(r, "state"), &list->states, reterr);

	if (rc == 0)
		rc = request_query_number(r, "phase", 0, UINT32_MAX - 1, otherwise, &phase, reterr);
	if (rc == 0)
		rc = request_number(r, "limit", &limit, reterr);
	if (rc == 0)
		rc = request_number(r, "cursor", &list->first, reterr);
	if (rc < 0)
		return rc;
	list->phase = (uint32_t)phase;
	list->limit = limit;
	return 0;
}

static void look(struct listing *l)
{
	struct services *s = l->request->services;
	struct view_job v = {0};
	struct error e = {0};
	bool there = dispatcher_view_job(services_core(s), l->list.job, &l->list.arena, &v);
	bool live = there && !job_state_is_ended(v.state);

	l->list.run_count = 0;
	if (read_query(l, live ? v.phase : ATTEMPTS_PHASE_OF_JOB, &e) < 0)
		request_fail(l->request, &e);
	else if (live && l->list.phase == v.phase)
		look_live(l, &v);
	else if (there && !live)
		job_wait_history(l->request->api->waits, &l->wait, v.ended_lsn, PATIENCE_US, on_history, l);
	else
		ask(l);
}

void api_attempts(struct request *r)
{
	struct listing *l;
	uint64_t job;

	if (!request_job(r, &job))
		return;
	l = check_calloc(1, sizeof(*l));
	l->request = r;
	l->list.job = job;
	arena_init(&l->list.arena, ARENA_BYTES_MAX);
	r->state = l;
	r->state_fini = listing_destroy;
	look(l);
}
