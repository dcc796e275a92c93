/* GET /v1/jobs/{id}/running: what attempts have written that have not ended. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "jobs/ids.h"
#include "dispatcher/api/job_json.h"
#include "dispatcher/api/listener.h"
#include "dispatcher/api/running_now.h"
#include "dispatcher/api/seen.h"

#define LEASES_LOOKED_AT 4096 /* of one job, the oldest */

struct listing {
	struct request *request;
	uint64_t limit;
	struct running_now now;
};

static void listing_destroy(void *state)
{
	struct listing *l = state;

	running_now_fini(&l->now);
	free(l);
}

/* ---- the answer ---- */

static json_t *attempt_json(const struct running_found *a)
{
	char id[ATTEMPT_ID_BYTES], worker[UUID_TEXT_BYTES];
	struct api_running_attempt attempt = {
	    .phase = a->lease.phase,
	    .shard = a->attempt.shard,
	    .out_bytes = a->attempt.out_bytes,
	    .err_bytes = a->attempt.err_bytes,
	};

	attempt_id_text(a->attempt.token, a->attempt.shard, id);
	attempt.attempt_id = bytes_of(id);
	uuid_text(&a->lease.worker, worker);
	attempt.worker = bytes_of(worker);
	return object_write(object_running_attempt(), &attempt);
}

static void answer(struct listing *l)
{
	struct request *r = l->request;
	struct api_running running = {.running = json_array()};
	uint64_t shown = 0;

	for (size_t i = 0; i < l->now.count; i++) {
		const struct running_found *a = &l->now.found[i];
		const struct seen_attempt seen = {.token = a->attempt.token,
						  .shard = a->attempt.shard,
						  .job = l->now.job,
						  .worker = a->lease.worker};

		if (shown++ == l->limit) {
			running.next = a->attempt.shard;
			break;
		}
		seen_remember(r->services->api->seen, &seen);
		json_array_append_new(running.running, attempt_json(a));
	}
	request_answer(r, MHD_HTTP_OK, object_write(object_running(), &running));
}

/* ---- workers ---- */

static void on_running(struct running_now *now)
{
	answer(now->arg);
}

/* ERR_BUSY. Those with the oldest leases. */
static int ask_workers(struct listing *l, struct error *reterr)
{
	struct services *s = l->request->services;
	const struct range range = {l->now.first, UINT32_MAX - l->now.first};
	struct view_lease *leases = check_calloc(LEASES_LOOKED_AT, sizeof(*leases));
	size_t count = dispatcher_view_leases(services_core(s), l->now.job, range, leases, LEASES_LOOKED_AT);
	int rc = 0;

	for (size_t i = 0; i < count && rc == 0; i++)
		rc = running_now_ask(&l->now, &leases[i].worker, reterr);
	free(leases);
	return rc;
}

static void list(struct request *r, uint64_t job, const struct past *past)
{
	uint64_t limit, first;
	struct error e = {0};
	struct listing *l;
	int rc = request_number(r, "limit", &limit, &e);

	(void)past;
	if (rc == 0)
		rc = request_number(r, "cursor", &first, &e);
	if (rc < 0) {
		request_fail(r, &e);
		return;
	}
	l = check_calloc(1, sizeof(*l));
	l->request = r;
	l->now.services = r->services;
	l->now.job = job;
	l->now.first = (uint32_t)first;
	l->now.over = on_running;
	l->now.arg = l;
	l->limit = limit;
	r->state = l;
	r->state_fini = listing_destroy;
	rc = ask_workers(l, &e);
	if (rc < 0) /* it is answered now */
		running_now_fini(&l->now);
	if (rc < 0)
		request_fail(r, &e);
	else if (l->now.asked == 0)
		answer(l);
}

void api_running(struct request *r)
{
	uint64_t job;

	if (request_job(r, &job))
		request_with_job(r, job, list);
}
