/* GET /v1/jobs/{id}/running: what attempts have written that have not ended. Which leases there are, and who
 * has them, the core says; which of their shards run, and how much they have written, their workers are
 * asked. An attempt is shown only when both say so. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "jobs/ids.h"
#include "dispatcher/api/job_json.h"
#include "dispatcher/api/listener.h"
#include "dispatcher/api/seen.h"
#include "dispatcher/wire/looks.h"

#define LEASES_LOOKED_AT 4096  /* of one job, the oldest */
#define WORKERS_ASKED_MAX 256u /* for one answer; those with the oldest leases */
#define SHOWN_MAX 8192u	       /* of one answer, before it is cut into pages */

struct shown {
	struct view_lease lease;
	struct running_attempt attempt;
};

struct listing {
	struct request *request;
	uint64_t job;
	uint32_t first; /* shard */
	uint64_t limit;
	uint32_t asked, answered;
	struct look_request asks[WORKERS_ASKED_MAX];
	size_t count;
	struct shown shown[SHOWN_MAX];
};

static void listing_destroy(void *state)
{
	struct listing *l = state;

	for (uint32_t i = 0; i < l->asked; i++)
		looks_cancel(l->request->services->looks, &l->asks[i]);
	free(l);
}

static int by_shard(const void *a, const void *b)
{
	uint32_t x = ((const struct shown *)a)->attempt.shard;
	uint32_t y = ((const struct shown *)b)->attempt.shard;

	return (x > y) - (x < y);
}

static bool same_uuid(const struct uuid *a, const struct uuid *b)
{
	return a->hi == b->hi && a->lo == b->lo;
}

/* ---- the answer ---- */

static json_t *attempt_json(const struct shown *a)
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
	uint64_t shown = l->count < l->limit ? l->count : l->limit;

	qsort(l->shown, l->count, sizeof(l->shown[0]), by_shard);
	for (size_t i = 0; i < shown; i++) {
		const struct shown *a = &l->shown[i];
		const struct seen_attempt seen = {.token = a->attempt.token,
						  .shard = a->attempt.shard,
						  .job = l->job,
						  .worker = a->lease.worker};

		seen_remember(r->services->api->seen, &seen);
		json_array_append_new(running.running, attempt_json(a));
	}
	if (shown < l->count)
		running.next = l->shown[shown].attempt.shard;
	request_answer(r, MHD_HTTP_OK, object_write(object_running(), &running));
}

/* ---- workers ---- */

static void take_attempt(struct services *s, struct listing *l, const struct uuid *worker,
			 const struct running_attempt *a)
{
	struct view_lease lease;

	if (l->count == SHOWN_MAX || a->shard < l->first || a->out_bytes > INT64_MAX ||
	    a->err_bytes > INT64_MAX || !dispatcher_view_held(services_core(s), a->token, a->shard, &lease) ||
	    lease.job != l->job || !same_uuid(&lease.worker, worker))
		return;
	l->shown[l->count++] = (struct shown){lease, *a};
}

static void on_running(struct look_request *look, const void *body)
{
	struct listing *l = look->arg;
	const struct running *m = body;

	for (uint32_t i = 0; m != NULL && i < m->attempts.count; i++)
		take_attempt(l->request->services, l, &look->worker, &m->attempts.items[i]);
	if (++l->answered == l->asked)
		answer(l);
}

static bool was_asked(const struct listing *l, const struct uuid *worker)
{
	for (uint32_t i = 0; i < l->asked; i++)
		if (same_uuid(&l->asks[i].worker, worker))
			return true;
	return false;
}

/* ERR_BUSY. Workers that cannot be asked are left out. */
static int ask_workers(struct listing *l, struct error *reterr)
{
	struct services *s = l->request->services;
	const struct range range = {l->first, UINT32_MAX - l->first};
	struct view_lease *leases = check_calloc(LEASES_LOOKED_AT, sizeof(*leases));
	size_t count = dispatcher_view_leases(services_core(s), l->job, range, leases, LEASES_LOOKED_AT);
	int rc = 0;

	for (size_t i = 0; i < count && l->asked < WORKERS_ASKED_MAX && rc != ERR_BUSY; i++) {
		struct look_request *ask = &l->asks[l->asked];

		if (was_asked(l, &leases[i].worker))
			continue;
		ask->arg = l;
		rc = looks_ask_running(s->looks, ask, &leases[i].worker, on_running, reterr);
		l->asked += rc == 0;
	}
	free(leases);
	return rc == ERR_BUSY ? rc : 0;
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
	l->job = job;
	l->first = (uint32_t)first;
	l->limit = limit;
	r->state = l;
	r->state_fini = listing_destroy;
	rc = ask_workers(l, &e);
	for (uint32_t i = 0; rc < 0 && i < l->asked; i++) /* it is answered now */
		looks_cancel(r->services->looks, &l->asks[i]);
	if (rc < 0)
		request_fail(r, &e);
	else if (l->asked == 0)
		answer(l);
}

void api_running(struct request *r)
{
	uint64_t job;

	if (request_job(r, &job))
		request_with_job(r, job, list);
}
