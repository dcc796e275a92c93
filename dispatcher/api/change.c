/* What people do to a job: cancel, retry, pause, resume. One that has ended is retried by reopen.c. */
#include <stdlib.h>

#include "base/check.h"
#include "dispatcher/api/asker.h"
#include "dispatcher/api/job_answer.h"
#include "dispatcher/api/job_json.h"
#include "dispatcher/api/reopen.h"

static void log_done(const struct request *r, uint64_t job)
{
	static const char *const done[ROUTE_COUNT] = {
	    [ROUTE_cancel] = "a job was cancelled",
	    [ROUTE_pause] = "a job was paused",
	    [ROUTE_resume] = "a job was resumed",
	    [ROUTE_retry] = "dead shards of a job are tried again",
	};
	struct principal by = request_by(r);

	log_change(&by, done[r->route->id], job, 0);
}

static void on_reply(void *arg, const struct dispatcher_reply *reply)
{
	struct request *r = arg;
	struct error e = {0};
	uint64_t job = (uint64_t)(uintptr_t)r->state;

	r->state = NULL;
	if (reply->code != ERR_OK) {
		error_set(&e, reply->code, "%s", reply->why);
		error_where(&e, "job %llu", (unsigned long long)job);
		request_fail(r, &e);
		return;
	}
	if (!reply->duplicate && reply->job_count > 0)
		log_done(r, job);
	job_answer(r, job, 0, NULL);
}

/* ---- a retry of a job that has ended ---- */

struct one {
	struct request *request;
	struct reopening *reopening;
	struct principal by;
	uint64_t job;
};

static void one_destroy(void *state)
{
	struct one *one = state;

	reopening_destroy(one->reopening);
	free(one);
}

static json_t *reopened_json(const struct reopen_counts *counts)
{
	const struct api_reopened reopened = {
	    .shards = counts->shards,
	    .kept = counts->kept,
	    .to_do = counts->shards - counts->kept,
	    .lost = counts->lost,
	    .lost_gather = counts->lost_gather,
	};

	return object_write(object_reopened(), &reopened);
}

static void answer_one(void *arg, const struct error *e, const struct reopen_counts *counts)
{
	struct one *one = arg;
	struct request *r = one->request;
	json_t *reopened = counts != NULL ? reopened_json(counts) : NULL;
	uint64_t job = one->job;

	if (e != NULL) {
		request_fail(r, e);
		return;
	}
	if (counts != NULL)
		log_change(&one->by, "a job that had ended goes on", job, 0);
	r->state = NULL;
	r->state_fini = NULL;
	one_destroy(one);
	job_answer(r, job, 0, reopened);
}

static void reopen(struct request *r, uint64_t job)
{
	struct one *one = check_calloc(1, sizeof(*one));

	one->request = r;
	one->by = request_by(r);
	one->job = job;
	one->reopening = reopening_create(r->api, job, &one->by, NULL, answer_one, one);
	r->state = one;
	r->state_fini = one_destroy;
	reopening_start(one->reopening);
}

/* ---- of one that lives ---- */

/* A job that has ended is told so in words, also when only history knows it. To be cancelled twice is
 * fine; to be retried lets it live again. */
static void see_to_ended(struct request *r, const struct view_job *v)
{
	static const char *const nothings[ROUTE_COUNT] = {
	    [ROUTE_cancel] = "nothing was cancelled",
	    [ROUTE_pause] = "there is nothing to pause",
	    [ROUTE_resume] = "there is nothing to resume",
	};
	struct error e = {0};

	if (r->route->id == ROUTE_retry) {
		reopen(r, v->job);
		return;
	}
	if (r->route->id == ROUTE_cancel && v->state == JOB_CANCELLED) {
		job_answer(r, v->job, 0, NULL);
		return;
	}
	error_set(&e, ERR_EXISTS, "job %llu has %s%s already; %s", (unsigned long long)v->job,
		  v->state == JOB_CANCELLED ? "been " : "", job_state_name(v->state), nothings[r->route->id]);
	request_fail(r, &e);
}

static void submit(struct request *r, uint64_t job, struct bytes why)
{
	struct port *p = r->services->port;
	struct ticket ticket = {on_reply, r};
	struct input_cancel cancel = {.job = job, .why = why, .by = request_by(r)};
	struct input_retry retry = {.job = job, .by = cancel.by};
	struct input_pause pause = {
	    .job = job, .why = why, .by = cancel.by, .resume = r->route->id == ROUTE_resume};

	if (why.size > 400)
		cancel.why.size = pause.why.size = 400;
	r->state = (void *)(uintptr_t)job;
	if (r->route->id == ROUTE_cancel)
		port_submit(p, INPUT_CANCEL, &cancel, &ticket);
	else if (r->route->id == ROUTE_retry)
		port_submit(p, INPUT_RETRY, &retry, &ticket);
	else
		port_submit(p, INPUT_PAUSE, &pause, &ticket);
}

static void change(struct request *r, uint64_t job, const struct past *past)
{
	struct api_reason reason;
	struct error e = {0};
	struct arena arena;
	struct view_job v;
	json_t *body = request_object(r);
	int rc;

	if (body == NULL)
		return;
	arena_init(&arena, 0);
	rc = object_read_request(object_reason(), body, &reason, &e);
	if (rc == 0)
		rc = job_view(r->services, past, job, &arena, &v, &e);
	if (rc == 0 && job_is_lost(&v))
		rc = job_refuse_lost(&v, &e);
	if (rc < 0)
		request_fail(r, &e);
	else if (port_has_room(r->services->port, &e) < 0)
		request_fail_room(r, &e);
	else if (job_state_is_ended(v.state))
		see_to_ended(r, &v);
	else
		submit(r, job, reason.why);
	arena_fini(&arena);
	json_decref(body);
}

static void begin(struct request *r)
{
	uint64_t job;

	if (request_job(r, &job))
		request_with_job(r, job, change);
}

void api_cancel(struct request *r)
{
	begin(r);
}

void api_pause(struct request *r)
{
	begin(r);
}

void api_resume(struct request *r)
{
	begin(r);
}

void api_retry(struct request *r)
{
	begin(r);
}
