/* GET /v1/jobs/{id}/live: what an attempt has written so far, from its worker. The core says who has it; of
 * one that has ended meanwhile, the API remembers who it was that ran it (seen.h). */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "jobs/ids.h"
#include "dispatcher/api/job_json.h"
#include "dispatcher/api/listener.h"
#include "dispatcher/api/seen.h"
#include "dispatcher/wire/looks.h"

struct live {
	struct request *request;
	struct look_request ask;
	uint64_t job;
	struct tail tail; /* what is wanted */
};

static void live_destroy(void *state)
{
	struct live *l = state;

	looks_cancel(l->request->services->looks, &l->ask);
	free(l);
}

static int read_query(struct request *r, struct tail *t, struct error *reterr)
{
	const char *id = request_query(r, "attempt_id");
	int rc;

	if (attempt_id_parse(id, &t->token, &t->shard, reterr) < 0)
		return error_where(reterr, "?attempt_id=");
	rc = request_stream(r, &t->err, reterr);
	return rc < 0 ? rc : request_number(r, "from", &t->from, reterr);
}

static void fail(const struct live *l, const char *why)
{
	unsigned long long job = l->job;
	char id[ATTEMPT_ID_BYTES];
	struct error e = {0};

	attempt_id_text(l->tail.token, l->tail.shard, id);
	error_set(&e, ERR_NOT_FOUND, "no attempt %s of job %llu is seen to run%s%s", id, job,
		  why[0] != '\0' ? ": " : "", why);
	error_help(&e,
		   "/v1/jobs/%llu/running lists those that are; /v1/jobs/%llu/output?shard=%u has what a "
		   "shard has written that has ended",
		   job, job, l->tail.shard);
	request_fail(l->request, &e);
}

static void on_bytes(struct look_request *look, const void *body)
{
	struct live *l = look->arg;
	const struct tail_bytes *m = body;
	struct MHD_Response *response;

	if (m == NULL || !m->known || m->bytes.size > l->tail.credit) {
		fail(l, m == NULL ? "its worker does not answer" : "");
		return;
	}
	response = MHD_create_response_from_buffer(m->bytes.size, (void *)(uintptr_t)m->bytes.data,
						   MHD_RESPMEM_MUST_COPY);
	CHECK(response != NULL);
	response_is_bytes(response, l->tail.token, l->tail.shard);
	request_answer_response(l->request, MHD_HTTP_OK, response);
}

static bool find_worker(const struct live *l, struct uuid *ret)
{
	struct services *s = l->request->services;
	const struct seen_attempt *seen = seen_find(s->api->seen, l->tail.token, l->tail.shard);
	struct view_lease lease;

	if (dispatcher_view_held(services_core(s), l->tail.token, l->tail.shard, &lease) &&
	    lease.job == l->job) {
		*ret = lease.worker;
		return true;
	}
	if (seen == NULL || seen->job != l->job)
		return false;
	*ret = seen->worker;
	return true;
}

static void ask(struct live *l)
{
	struct uuid worker;
	struct error e = {0};
	int rc;

	if (!find_worker(l, &worker)) {
		fail(l, "");
		return;
	}
	l->ask.arg = l;
	rc = looks_ask_tail(l->request->services->looks, &l->ask, &worker, &l->tail, on_bytes, &e);
	if (rc == ERR_BUSY)
		request_fail(l->request, &e);
	else if (rc < 0)
		fail(l, e.what);
}

static void begin(struct request *r, uint64_t job, const struct past *past)
{
	struct tail wanted = {.credit = TAIL_BYTES_MAX};
	struct error e = {0};
	struct live *l;

	(void)past;
	if (read_query(r, &wanted, &e) < 0) {
		request_fail(r, &e);
		return;
	}
	l = check_calloc(1, sizeof(*l));
	*l = (struct live){.request = r, .job = job, .tail = wanted};
	r->state = l;
	r->state_fini = live_destroy;
	ask(l);
}

void api_live(struct request *r)
{
	uint64_t job;

	if (request_job(r, &job))
		request_with_job(r, job, begin);
}
