/* GET /v1/jobs/{id}/output: what shards wrote, in their order. */
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "dispatcher/api/job_json.h"
#include "dispatcher/api/listener.h"
#include "dispatcher/api/output_stream.h"

#define PATIENCE_US (10 * USEC_PER_SEC) /* with history */
/* How long the outputs of a job are looked at before the first byte goes out, so that what is lost is said at
 * once. What is not looked at by then is when its turn has come. */
#define SURVEY_US USEC_PER_SEC

/* ---- the request ---- */

static void fail(struct output_stream *o, const struct error *e)
{
	struct request *r = o->request;

	request_fail(r, e);
}

/* What the asker has is left out, if it is of the attempt that counts. */
static void skip_had(struct output_stream *o)
{
	if (o->from == 0 || o->piece_count != 1 || o->token.epoch != o->had.epoch ||
	    o->token.lease != o->had.lease)
		return;
	o->cut = true;
	if (o->from < o->pieces[0].length)
		o->done = o->from;
	else
		o->piece++;
}

static int read_had(struct output_stream *o, struct error *reterr)
{
	const char *id = request_query(o->request, "attempt_id");
	uint32_t shard;

	if (!o->single || id[0] == '\0')
		return 0;
	if (attempt_id_parse(id, &o->had, &shard) < 0) {
		error_set(reterr, ERR_INVALID, "expected epoch-lease-shard, found \"%.40s\"", id);
		return error_where(reterr, "?attempt_id=");
	}
	return request_query_number(o->request, "from", 0, INT64_MAX, 0, &o->from, reterr);
}

static void begin(struct output_stream *o)
{
	struct request *r = o->request;
	struct MHD_Response *response;
	int rc = 0;

	/* The first page is read before the head is sent, so that what is wrong can still be said. */
	for (int i = 0; i < OUTPUT_EMPTY_PAGES_MAX && rc == 0 && o->piece_count == 0 && o->next < o->end; i++)
		rc = output_stream_page(o);
	if (rc < 0) {
		fail(o, &o->error);
		return;
	}
	o->trailers = strstr(request_header(r, "TE"), "trailers") != NULL;
	r->state = NULL;
	o->request = NULL;
	if (o->single)
		skip_had(o);
	response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, OUTPUT_BLOCK_BYTES, output_stream_read,
						     o, output_stream_destroy);
	CHECK(response != NULL);
	o->response = response;
	response_is_bytes(response, o->single ? o->token : (struct token){0}, o->shard);
	request_answer_response(r, MHD_HTTP_OK, response);
}

/* History knows which phase the shards are when the job has ended, the core before. */
static uint32_t shards_phase_of(const struct output_stream *o, const struct history_job *row)
{
	struct arena arena;
	struct view_job v;
	uint32_t phase = row->shards_phase;

	arena_init(&arena, 0);
	if (o->live && dispatcher_view_job(services_core(o->services), o->job, &arena, &v))
		phase = v.shards_phase;
	arena_fini(&arena);
	return phase;
}

/* What to send: the gathered output of a job that succeeded, else its shards'. */
static int choose(struct output_stream *o, const struct history_job *row, struct error *reterr)
{
	uint32_t shards_phase = shards_phase_of(o, row);
	bool gathered = row->phase > shards_phase && row->state == JOB_SUCCEEDED && !o->single;
	uint64_t shard, shards = row->shards, phase;
	int rc = request_query_number(o->request, "phase", 0, row->phase,
				      gathered ? row->phase : shards_phase, &phase, reterr);

	o->phase = (uint32_t)phase;
	if (phase < shards_phase)
		shards = 1; /* a plan phase */
	else if (rc == 0 && phase > 0 && (o->live || phase > shards_phase))
		rc = history_phase_shards(o->services->reader, o->job, o->phase, &shards, reterr);
	if (rc < 0)
		return rc;
	o->end = shards;
	if (!o->single)
		return 0;
	rc = request_query_number(o->request, "shard", 0, shards > 0 ? shards - 1 : 0, 0, &shard, reterr);
	if (rc < 0)
		return rc;
	o->next = o->shard = (uint32_t)shard;
	o->end = shards > 0 ? shard + 1 : shard;
	return 0;
}

static void on_survey(struct survey *s)
{
	struct output_stream *o =
	    (struct output_stream *)((char *)s - offsetof(struct output_stream, survey));
	struct error *e = s->rc < 0 ? &s->error : &s->first;

	if (e->code == ERR_OK) {
		begin(o);
		return;
	}
	output_stream_help(o, e);
	fail(o, e);
}

/* Of many shards what is lost is known before the answer begins; of one its page tells. */
static void begin_when_whole(struct output_stream *o)
{
	if (o->single || o->next == o->end) {
		begin(o);
		return;
	}
	o->survey = (struct survey){.services = o->services,
				    .job = o->job,
				    .phase = o->phase,
				    .next = o->next,
				    .end = o->end,
				    .first_only = true,
				    .patience_us = SURVEY_US,
				    .over = on_survey};
	survey_begin(&o->survey);
}

static void on_history(void *arg, bool late);

/* History runs a moment behind the core: what it must know has to be there first. */
static void try(struct output_stream *o)
{
	struct history_job row;
	struct arena arena;
	struct error e = {0};
	bool lags;
	int rc;

	arena_init(&arena, 0);
	rc = history_job(o->services->reader, o->job, &arena, &row, &e);
	o->live = job_is_live(o->services, o->job);
	/* Of a job that was reopened it may still tell the end before. */
	lags = rc == 0 && (o->live == job_state_is_ended(row.state) || job_history_lags(o->services, o->job));
	if (rc == 0 && !lags && (!o->live || o->single)) {
		rc = choose(o, &row, &e);
		if (rc == 0)
			rc = read_had(o, &e);
		if (rc < 0)
			fail(o, &e);
		else
			begin_when_whole(o);
	} else if ((lags || rc == ERR_NOT_FOUND) && (o->live || job_has_ended(o->services, o->job)) &&
		   clock_mono_us() < o->until_us) {
		job_wait_history(o->request->api->waits, &o->history, port_view(o->services->port).last_lsn,
				 o->until_us - clock_mono_us(), on_history, o);
	} else {
		if (rc == 0) {
			error_set(&e, ERR_EXISTS, "job %llu has not ended", (unsigned long long)o->job);
			error_help(&e, "GET /v1/jobs/%llu/wait answers when it has",
				   (unsigned long long)o->job);
		} else if (rc == ERR_NOT_FOUND) {
			job_refuse_unknown(o->services, o->job, &e);
		}
		fail(o, &e);
	}
	arena_fini(&arena);
}

static void on_history(void *arg, bool late)
{
	(void)late;
	try(arg);
}

void api_output(struct request *r)
{
	struct output_stream *o;
	struct error e = {0};
	uint64_t job;
	bool err;

	if (!request_job(r, &job))
		return;
	if (request_stream(r, &err, &e) < 0) {
		request_fail(r, &e);
		return;
	}
	if (job_is_live(r->services, job) && request_query(r, "shard")[0] == '\0') {
		error_set(&e, ERR_EXISTS, "job %llu has not ended", (unsigned long long)job);
		error_help(&e, "GET /v1/jobs/%llu/wait answers when it has", (unsigned long long)job);
		request_fail(r, &e);
		return;
	}
	o = output_stream_create(r, job);
	o->err = err;
	o->single = request_query(r, "shard")[0] != '\0';
	o->until_us = clock_mono_us() + PATIENCE_US;
	r->state = o;
	r->state_fini = output_stream_destroy;
	try(o);
}
