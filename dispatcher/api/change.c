/* What people do to a job: cancel, retry, pause, resume. One that has ended is retried by reopen.c. */
#include <stdlib.h>

#include "base/check.h"
#include "dispatcher/api/asker.h"
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
	json_t *value;

	r->state = NULL;
	if (reply->code != ERR_OK) {
		error_set(&e, reply->code, "%s", reply->why);
		error_where(&e, "job %llu", (unsigned long long)job);
		request_fail(r, &e);
		return;
	}
	if (!reply->duplicate && reply->job_count > 0)
		log_done(r, job);
	value = job_json(r->services, job, NULL, &e);
	if (value != NULL)
		request_answer(r, MHD_HTTP_OK, value);
	else
		request_fail(r, &e);
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

static void answer_one(void *arg, const struct error *e, const struct reopen_counts *counts)
{
	struct one *one = arg;
	struct error unknown = {0};
	json_t *value = e == NULL ? job_json(one->request->services, one->job, NULL, &unknown) : NULL;

	if (value == NULL) {
		request_fail(one->request, e != NULL ? e : &unknown);
		return;
	}
	if (counts != NULL)
		log_change(&one->by, "a job that had ended goes on", one->job, 0);
	if (counts != NULL) {
		const struct api_reopened reopened = {
		    .shards = counts->shards,
		    .kept = counts->kept,
		    .to_do = counts->shards - counts->kept,
		    .lost = counts->lost,
		    .lost_gather = counts->lost_gather,
		};

		json_object_set_new(value, "reopened", object_write(object_reopened(), &reopened));
	}
	request_answer(one->request, MHD_HTTP_OK, value);
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
 * fine; to be retried lets it live again. False: seen to. */
static bool check_live(struct request *r, uint64_t job)
{
	static const char *const nothings[ROUTE_COUNT] = {
	    [ROUTE_cancel] = "nothing was cancelled",
	    [ROUTE_pause] = "there is nothing to pause",
	    [ROUTE_resume] = "there is nothing to resume",
	};
	struct error e = {0};
	uint8_t state = 0;
	json_t *value = NULL;

	if (job_state_now(r->services, job, &state, &e) == 0) {
		if (!job_state_is_ended(state))
			return true;
		if (r->route->id == ROUTE_retry) {
			reopen(r, job);
			return false;
		}
		if (r->route->id == ROUTE_cancel && state == JOB_CANCELLED)
			value = job_json(r->services, job, NULL, &e);
		else
			error_set(&e, ERR_EXISTS, "job %llu has %s%s already; %s", (unsigned long long)job,
				  state == JOB_CANCELLED ? "been " : "", job_state_name(state),
				  nothings[r->route->id]);
	}
	if (value != NULL)
		request_answer(r, MHD_HTTP_OK, value);
	else
		request_fail(r, &e);
	return false;
}

/* The job, and `why` of the body; false: answered. why lives as long as *ret_body. */
static bool open_change(struct request *r, uint64_t *ret_job, json_t **ret_body, struct bytes *ret_why)
{
	struct api_reason reason;
	struct error e = {0};
	int rc;

	if (!request_job(r, ret_job))
		return false;
	*ret_body = request_object(r);
	if (*ret_body == NULL)
		return false;
	rc = object_read_request(object_reason(), *ret_body, &reason, &e);
	if (rc == 0 && port_has_room(r->services->port, &e) < 0) {
		json_decref(*ret_body);
		request_fail_room(r, &e);
		return false;
	}
	if (rc == 0 && !check_live(r, *ret_job)) {
		json_decref(*ret_body);
		return false;
	}
	if (rc == 0) {
		*ret_why = reason.why;
		if (ret_why->size > 400)
			ret_why->size = 400;
		r->state = (void *)(uintptr_t)*ret_job;
		return true;
	}
	json_decref(*ret_body);
	request_fail(r, &e);
	return false;
}

void api_cancel(struct request *r)
{
	struct input_cancel in = {.by = request_by(r)};
	json_t *body;

	if (!open_change(r, &in.job, &body, &in.why))
		return;
	port_submit(r->services->port, INPUT_CANCEL, &in, &(struct ticket){on_reply, r});
	json_decref(body);
}

static void change_pause(struct request *r, bool resume)
{
	struct input_pause in = {.resume = resume, .by = request_by(r)};
	json_t *body;

	if (!open_change(r, &in.job, &body, &in.why))
		return;
	port_submit(r->services->port, INPUT_PAUSE, &in, &(struct ticket){on_reply, r});
	json_decref(body);
}

void api_pause(struct request *r)
{
	change_pause(r, false);
}

void api_resume(struct request *r)
{
	change_pause(r, true);
}

void api_retry(struct request *r)
{
	struct input_retry in = {.by = request_by(r)};
	struct bytes why;
	json_t *body;

	if (!open_change(r, &in.job, &body, &why))
		return;
	port_submit(r->services->port, INPUT_RETRY, &in, &(struct ticket){on_reply, r});
	json_decref(body);
}
