/* GET /v1/jobs/{id}/output: what shards wrote, in their order. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "jobs/ids.h"
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

static int read_had(struct output_stream *o, struct error *reterr)
{
	const char *id = request_query(o->request, "attempt_id");
	uint32_t shard;

	if (!o->single || id[0] == '\0')
		return 0;
	if (attempt_id_parse(id, &o->had, &shard, reterr) < 0)
		return error_where(reterr, "?attempt_id=");
	return request_number(o->request, "from", &o->from, reterr);
}

/* The first block is read before the head is sent, so that what is wrong can still be said. */
static void on_begun(struct reading *reading)
{
	struct output_stream *o =
	    (struct output_stream *)((char *)reading - offsetof(struct output_stream, reading));
	struct request *r = o->request;
	struct MHD_Response *response;

	o->is_reading = false;
	if (o->abandoned) {
		output_stream_destroy(o);
		return;
	}
	if (reading->rc < 0)
		o->error = reading->error;
	if (reading->rc < 0 || (o->rc < 0 && o->block_size == 0)) {
		fail(o, &o->error);
		return;
	}
	o->trailers = strstr(request_header(r, "TE"), "trailers") != NULL;
	r->state = NULL;
	o->request = NULL;
	response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, OUTPUT_BLOCK_BYTES, output_stream_read,
						     o, output_stream_destroy);
	CHECK(response != NULL);
	o->response = response;
	response_is_bytes(response, o->single ? o->token : (struct token){0}, o->shard);
	request_answer_response(r, MHD_HTTP_OK, response);
}

static void begin(struct output_stream *o)
{
	output_stream_begin(o, on_begun);
}

/* ---- what history says of the job ---- */

#define PHASE_NOT_SAID UINT32_MAX

struct finding {
	struct reading reading;
	struct output_stream *o;
	uint64_t wanted; /* phase; PHASE_NOT_SAID */
	bool live;
	bool whole;	       /* history was behind nothing when it was asked */
	uint32_t shards_phase; /* of a live job: the core knows */
	struct arena arena;
	struct history_job row;
	uint32_t phase;
	uint64_t shards; /* of that phase */
};

/* What to send: the gathered output of a job that succeeded, else its shards'. */
static void find(struct history_reader *history, struct reading *r)
{
	struct finding *f = (struct finding *)r;
	const struct history_job *row = &f->row;
	bool gathered;

	r->rc = history_job(history, f->o->job, &f->arena, &f->row, &r->error);
	if (r->rc < 0)
		return;
	if (!f->live)
		f->shards_phase = row->shards_phase;
	gathered = row->phase > f->shards_phase && row->state == JOB_SUCCEEDED && !f->o->single;
	f->phase = gathered ? row->phase : f->shards_phase;
	if (f->wanted != PHASE_NOT_SAID && f->wanted <= row->phase)
		f->phase = (uint32_t)f->wanted;
	f->shards = f->phase < f->shards_phase ? 1 : row->shards; /* 1: a plan phase */
	if (f->phase >= f->shards_phase && f->phase > 0 && (f->live || f->phase > f->shards_phase))
		r->rc = history_phase_shards(history, f->o->job, f->phase, &f->shards, &r->error);
}

static int choose(struct output_stream *o, const struct finding *f, struct error *reterr)
{
	uint64_t shard, phase, last = f->shards > 0 ? f->shards - 1 : 0;
	int rc = request_query_number(o->request, "phase", 0, f->row.phase, f->phase, &phase, reterr);

	if (rc < 0)
		return rc;
	o->phase = (uint32_t)phase;
	o->end = f->shards;
	if (!o->single)
		return 0;
	rc = request_query_number(o->request, "shard", 0, last, 0, &shard, reterr);
	if (rc < 0)
		return rc;
	o->next = o->shard = (uint32_t)shard;
	o->end = f->shards > 0 ? shard + 1 : shard;
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

static void await_history(struct output_stream *o)
{
	job_wait_history(o->request->api->waits, &o->behind, port_view(o->services->port).last_lsn,
			 o->until_us - clock_mono_us(), on_history, o);
}

static void answer_found(struct output_stream *o, const struct finding *f)
{
	struct error e = f->reading.error;
	int rc = f->reading.rc;

	if (rc == 0)
		rc = choose(o, f, &e);
	if (rc == 0)
		rc = read_had(o, &e);
	if (rc < 0)
		fail(o, &e);
	else
		begin_when_whole(o);
}

/* History runs a moment behind the core: what it must know has to be there first. Of a job that was reopened
 * it may still tell the end before. */
static void on_found(struct reading *r)
{
	struct finding *f = (struct finding *)r;
	struct output_stream *o = f->o;
	struct error e = {0};
	bool lags = r->rc == 0 &&
		    (o->live == job_state_is_ended(f->row.state) || job_history_lags(o->services, o->job));

	if (r->rc == 0 && !lags && (!o->live || o->single)) {
		answer_found(o, f);
	} else if ((lags || (r->rc == ERR_NOT_FOUND && !f->whole)) &&
		   (o->live || job_has_ended(o->services, o->job)) && clock_mono_us() < o->until_us) {
		await_history(o);
	} else {
		e = r->error;
		if (r->rc == 0) {
			error_set(&e, ERR_EXISTS, "job %llu has not ended", (unsigned long long)o->job);
			error_help(&e, "GET /v1/jobs/%llu/wait answers when it has",
				   (unsigned long long)o->job);
		} else if (r->rc == ERR_NOT_FOUND) {
			job_refuse_unknown(o->services, o->job, &e);
		}
		fail(o, &e);
	}
	arena_fini(&f->arena);
	free(f);
}

static void look(struct output_stream *o)
{
	struct port_view now = port_view(o->services->port);
	struct finding *f = check_calloc(1, sizeof(*f));
	struct arena arena;
	struct view_job v;
	uint64_t wanted;

	arena_init(&arena, 0);
	f->o = o;
	f->live = o->live = job_is_live(o->services, o->job);
	f->whole = now.history_lsn >= now.last_lsn;
	if (f->live && dispatcher_view_job(services_core(o->services), o->job, &arena, &v))
		f->shards_phase = v.shards_phase;
	arena_fini(&arena);
	if (request_query_number(o->request, "phase", 0, PHASE_NOT_SAID - 1, PHASE_NOT_SAID, &wanted, NULL) <
	    0)
		wanted = PHASE_NOT_SAID; /* choose will say so */
	f->wanted = wanted;
	arena_init(&f->arena, 0);
	f->reading = (struct reading){.run = find, .done = on_found};
	readers_ask(o->services->readers, &f->reading);
}

static void on_history(void *arg, bool late)
{
	(void)late;
	look(arg);
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
	look(o);
}
