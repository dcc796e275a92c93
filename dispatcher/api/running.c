/* GET /v1/jobs/{id}/running and /live: what attempts have written that have not ended. Which attempts may be
 * seen, and in which worker's directory, the core says: a note that it does not know as a shard held under
 * that lease by that worker is not shown. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "dispatcher/api/job_json.h"
#include "dispatcher/api/listener.h"
#include "dispatcher/api/live.h"
#include "dispatcher/api/seen.h"

#define LEASES_LOOKED_AT 4096 /* of one job, the oldest */
#define NOTES_SORTED_MAX 8192
#define LOOKS_US (20 * USEC_PER_MSEC) /* of one answer: outputs may lie on a slow file system */
#define LIVE_BYTES_MAX (256 * KIB)    /* of one answer */

struct running {
	struct view_lease lease;
	struct live_note note;
};

struct listing {
	struct server *server;
	uint64_t job;
	uint32_t first; /* shard */
	struct view_lease *leases;
	struct live_note *notes;
	struct running *found;
	size_t count;
};

static int by_worker(const void *a, const void *b)
{
	return memcmp(&((const struct view_lease *)a)->worker, &((const struct view_lease *)b)->worker,
		      sizeof(struct uuid));
}

static int by_shard(const void *a, const void *b)
{
	uint32_t x = ((const struct running *)a)->note.note.shard;
	uint32_t y = ((const struct running *)b)->note.note.shard;

	return (x > y) - (x < y);
}

static bool same_uuid(const struct uuid *a, const struct uuid *b)
{
	return a->hi == b->hi && a->lo == b->lo;
}

/* Does that worker run it for this job, as far as the core knows? */
static bool is_held(struct server *s, uint64_t job, const struct uuid *worker, const struct output_note *n,
		    struct view_lease *ret)
{
	return dispatcher_view_held(s->core, n->token, n->shard, ret) && ret->job == job &&
	       same_uuid(&ret->worker, worker);
}

static void look_at_worker(struct listing *l, const struct uuid *worker)
{
	size_t count = live_notes(l->server->output_dir, worker, l->notes, OUTPUT_NOTES_MAX);

	for (size_t i = 0; i < count && l->count < NOTES_SORTED_MAX; i++) {
		struct running *r = &l->found[l->count];

		r->note = l->notes[i];
		l->count += r->note.note.shard >= l->first &&
			    is_held(l->server, l->job, worker, &r->note.note, &r->lease);
	}
}

/* All that runs, in the order of shards, so that pages of it hold together. */
static void look(struct listing *l)
{
	const struct range range = {l->first, UINT32_MAX - l->first};
	size_t count;

	l->leases = check_calloc(LEASES_LOOKED_AT, sizeof(*l->leases));
	l->notes = check_calloc(OUTPUT_NOTES_MAX, sizeof(*l->notes));
	l->found = check_calloc(NOTES_SORTED_MAX, sizeof(*l->found));
	count = dispatcher_view_leases(l->server->core, l->job, range, l->leases, LEASES_LOOKED_AT);
	qsort(l->leases, count, sizeof(*l->leases), by_worker);
	for (size_t i = 0; i < count; i++)
		if (i == 0 || !same_uuid(&l->leases[i].worker, &l->leases[i - 1].worker))
			look_at_worker(l, &l->leases[i].worker);
	qsort(l->found, l->count, sizeof(*l->found), by_shard);
}

static void listing_fini(struct listing *l)
{
	free(l->leases);
	free(l->notes);
	free(l->found);
}

static void add(struct listing *l, json_t *list, const struct running *r)
{
	const struct seen_attempt seen = {.token = r->note.note.token,
					  .shard = r->note.note.shard,
					  .segment = r->note.note.segment,
					  .job = l->job,
					  .worker = r->lease.worker};
	char id[ATTEMPT_ID_BYTES], worker[33];
	uint64_t out, err;

	if (!live_sizes(l->server->output_dir, &r->lease.worker, &r->note, &out, &err))
		return;
	seen_remember(l->server->api->seen, &seen);
	attempt_id_text(r->note.note.token, r->note.note.shard, id);
	uuid_text(&r->lease.worker, worker);
	json_array_append_new(list,
			      json_pack("{s:I,s:I,s:s,s:s,s:I,s:I}", "phase", (json_int_t)r->lease.phase,
					"shard", (json_int_t)r->note.note.shard, "attempt_id", id, "worker",
					worker, "out_bytes", (json_int_t)out, "err_bytes", (json_int_t)err));
}

void api_running(struct request *r)
{
	struct listing l = {.server = r->server};
	uint64_t limit, first;
	struct error e = {0};
	usec_t until_us;
	json_t *list;
	uint8_t state;
	size_t i;
	int rc;

	if (!request_job(r, &l.job))
		return;
	rc = job_state_now(r->server, l.job, &state, &e);
	if (rc == 0)
		rc = request_query_number(r, "limit", 1, 1000, 100, &limit, &e);
	if (rc == 0)
		rc = request_query_number(r, "cursor", 0, SHARDS_MAX - 1, 0, &first, &e);
	if (rc < 0) {
		request_fail(r, &e);
		return;
	}
	l.first = (uint32_t)first;
	look(&l);
	list = json_array();
	until_us = clock_mono_us() + LOOKS_US;
	for (i = 0; i < l.count && i < limit && (i == 0 || clock_mono_us() < until_us); i++)
		add(&l, list, &l.found[i]);
	request_answer(r, MHD_HTTP_OK,
		       json_pack("{s:o,s:o}", "running", list, "next",
				 i < l.count ? json_integer(l.found[i].note.note.shard) : json_null()));
	listing_fini(&l);
}

/* ---- bytes ---- */

static int read_query(struct request *r, struct live_query *q, struct error *reterr)
{
	const char *id = request_query(r, "attempt_id");
	int rc;

	if (attempt_id_parse(id, &q->token, &q->shard) < 0) {
		error_set(reterr, ERR_INVALID,
			  "expected an attempt as SHARDMILL_ATTEMPT_ID says it, epoch-lease-shard, "
			  "found \"%.40s\"",
			  id);
		return error_where(reterr, "?attempt_id=");
	}
	rc = request_stream(r, &q->err, reterr);
	return rc < 0 ? rc : request_query_number(r, "from", 0, INT64_MAX, 0, &q->from, reterr);
}

static int read_bytes(struct server *s, uint64_t job, const struct live_query *q, char *buf, size_t *ret,
		      struct error *reterr)
{
	const struct seen_attempt *seen = seen_find(s->api->seen, q->token, q->shard);
	char id[ATTEMPT_ID_BYTES];
	struct view_lease lease;

	if (dispatcher_view_held(s->core, q->token, q->shard, &lease) && lease.job == job &&
	    live_read(s->output_dir, &lease.worker, q, buf, LIVE_BYTES_MAX, ret) == 0)
		return 0;
	if (seen != NULL && seen->job == job &&
	    live_read_ended(s->output_dir, &seen->worker, seen->segment, q, buf, LIVE_BYTES_MAX, ret) == 0)
		return 0;
	attempt_id_text(q->token, q->shard, id);
	error_set(reterr, ERR_NOT_FOUND, "no attempt %s of job %llu is seen to run", id,
		  (unsigned long long)job);
	error_help(reterr,
		   "/v1/jobs/%llu/running lists those that are; /v1/jobs/%llu/output?shard=%u has what a "
		   "shard has written that has ended",
		   (unsigned long long)job, (unsigned long long)job, q->shard);
	return ERR_NOT_FOUND;
}

void api_live(struct request *r)
{
	struct MHD_Response *response;
	struct live_query q = {0};
	struct error e = {0};
	uint64_t job;
	uint8_t state;
	size_t size;
	char *buf;
	int rc;

	if (!request_job(r, &job))
		return;
	rc = job_state_now(r->server, job, &state, &e);
	if (rc == 0)
		rc = read_query(r, &q, &e);
	if (rc < 0) {
		request_fail(r, &e);
		return;
	}
	buf = check_calloc(1, LIVE_BYTES_MAX);
	if (read_bytes(r->server, job, &q, buf, &size, &e) < 0) {
		free(buf);
		request_fail(r, &e);
		return;
	}
	response = MHD_create_response_from_buffer(size, buf, MHD_RESPMEM_MUST_FREE);
	CHECK(response != NULL);
	response_is_bytes(response, q.token, q.shard);
	request_answer_response(r, MHD_HTTP_OK, response);
}
