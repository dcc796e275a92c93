/* GET /v1/jobs/{id}/output: what shards wrote, in their order, straight from the segments of those that
 * history says have won, a page of shards at a time. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/crc32c.h"
#include "dispatcher/api/job_json.h"
#include "dispatcher/api/segments.h"
#include "jobs/kinds.h"

#define PAGE_SHARDS 4096
#define BLOCK_BYTES (256 * KIB)
#define RETRY_US (20 * USEC_PER_MSEC)
#define RETRIES_MAX 500
/* Pages without a byte that are read in one go: other requests wait meanwhile. */
#define EMPTY_PAGES_MAX 64

/* One shard's bytes. */
struct piece {
	struct uuid worker;
	uint32_t segment;
	uint32_t crc; /* of stdout */
	uint64_t offset, length;
};

struct output_stream {
	struct server *server;
	struct request *request; /* NULL once the answer has begun */
	struct loop_timer timer;
	int tries;
	struct segments *segments;
	uint64_t job;
	uint32_t phase;
	bool err;
	bool live; /* the job has not ended */
	bool found_dead;
	bool single;	    /* one shard was asked for: of a dead one what its last attempt wrote */
	struct token token; /* of the single one's attempt; lease 0: none is known */
	struct token had;   /* of this attempt of its the asker has the first `from` bytes */
	uint64_t from;
	bool cut;	    /* they are left out */
	uint32_t shard;	    /* the single one */
	uint64_t next, end; /* shards not yet in a page */
	struct piece *pieces;
	size_t piece_count, piece;
	uint64_t done; /* bytes of the piece in work */
	uint32_t crc;
	int fd; /* of the piece in work; -1 = not open */
	struct uuid fd_worker;
	uint32_t fd_segment;
	struct error error; /* of the page */
};

static void stream_destroy(void *state)
{
	struct output_stream *o = state;

	if (o->server != NULL && o->request != NULL)
		loop_timer_unset(o->server->loop, &o->timer);
	if (o->fd >= 0)
		close(o->fd);
	segments_destroy(o->segments);
	free(o->pieces);
	free(o);
}

/* ---- pages ---- */

static int lost(struct output_stream *o, uint32_t shard, const char *why)
{
	error_set(&o->error, ERR_NOT_FOUND, "the output of shard %u is lost: %s", shard, why);
	return ERR_NOT_FOUND;
}

static void add_piece(struct output_stream *o, const struct uuid *worker, uint32_t segment,
		      const struct output_entry *e)
{
	if ((o->err ? e->err_length : e->out_length) == 0)
		return;
	o->pieces[o->piece_count++] = (struct piece){.worker = *worker,
						     .segment = segment,
						     .crc = e->out_crc,
						     .offset = o->err ? e->err_offset : e->out_offset,
						     .length = o->err ? e->err_length : e->out_length};
}

/* A dead shard's last attempt. */
static int take_failure(void *arg, const struct history_failure *f)
{
	struct output_stream *o = arg;
	struct range shard = {(uint32_t)o->next, 1};
	struct output_entry e = {0};
	int rc;

	if (f->shards.first > shard.first)
		return 0;
	o->found_dead = true;
	if (f->kind == FAILURE_CRASHES)
		return lost(o, shard.first, "its attempts ended with their workers");
	if (f->segment == 0)
		return f->kind != FAILURE_RUNNER
			   ? 0
			   : lost(o, shard.first, "a runner's stderr is not kept for each shard");
	o->token = f->token;
	rc = segments_collect(o->segments, &f->worker, f->segment, f->token, shard, &e, &o->error);
	if (rc < 0)
		return rc;
	if (e.token.lease == 0)
		return lost(o, shard.first, "its segment's index does not name it");
	add_piece(o, &f->worker, f->segment, &e);
	return 0;
}

/* Of all shards those without a winner are left out; of a single one it is told why it has none. */
static int take_missing(struct output_stream *o)
{
	struct arena arena;
	int rc;

	if (!o->single)
		return 0;
	arena_init(&arena, 0);
	o->found_dead = false;
	rc = history_failures(o->server->reader, o->job, o->phase, (uint32_t)o->next, 1, &arena, take_failure,
			      o, &o->error);
	arena_fini(&arena);
	if (rc < 0 || o->found_dead)
		return rc < 0 ? rc : 0;
	if (!o->live)
		return 0; /* it was dropped */
	error_set(&o->error, ERR_EXISTS, "shard %u of job %llu has not ended", (uint32_t)o->next,
		  (unsigned long long)o->job);
	return ERR_EXISTS;
}

static int take_winner(void *arg, const struct history_winner *w)
{
	struct output_stream *o = arg;
	struct output_entry *entries;
	int r;

	if (w->is_missing)
		return take_missing(o);
	o->token = w->token;
	entries = check_calloc(w->shards.count, sizeof(*entries));
	r = segments_collect(o->segments, &w->worker, w->segment, w->token, w->shards, entries, &o->error);
	for (uint32_t i = 0; r == 0 && i < w->shards.count; i++)
		add_piece(o, &w->worker, w->segment, &entries[i]);
	free(entries);
	return r;
}

static int next_page(struct output_stream *o)
{
	uint64_t left = o->end - o->next;
	struct range range = {.first = (uint32_t)o->next,
			      .count = (uint32_t)(left < PAGE_SHARDS ? left : PAGE_SHARDS)};
	struct error e = {0};
	int r;

	o->piece = o->piece_count = 0;
	o->error = (struct error){0};
	r = history_winners(o->server->reader, o->job, o->phase, range, take_winner, o, &e);
	if (r < 0 && o->error.code == ERR_OK)
		o->error = e;
	o->next += range.count;
	return r;
}

static bool same_file(const struct output_stream *o, const struct piece *p)
{
	return o->fd >= 0 && o->fd_segment == p->segment && o->fd_worker.hi == p->worker.hi &&
	       o->fd_worker.lo == p->worker.lo;
}

/* Some bytes of the piece in work; 0 never. */
static ssize_t read_piece(struct output_stream *o, char *buf, size_t max)
{
	const struct piece *p = &o->pieces[o->piece];
	uint64_t left = p->length - o->done;
	ssize_t n;

	if (!same_file(o, p)) {
		if (o->fd >= 0)
			close(o->fd);
		o->fd = -1;
		if (segments_open(o->segments, &p->worker, p->segment, o->err ? "err" : "out", &o->fd,
				  &o->error) < 0)
			return -1;
		o->fd_worker = p->worker;
		o->fd_segment = p->segment;
	}
	do {
		n = pread(o->fd, buf, left < max ? (size_t)left : max, (off_t)(p->offset + o->done));
	} while (n < 0 && errno == EINTR);
	if (n <= 0) {
		error_set(&o->error, ERR_CORRUPT, "an output is shorter than its index says");
		return -1;
	}
	o->done += (uint64_t)n;
	o->crc = crc32c(o->crc, buf, (size_t)n);
	if (o->done == p->length) {
		if (!o->err && !o->cut && o->crc != p->crc) {
			error_set(&o->error, ERR_CORRUPT, "an output is not as it was written");
			return -1;
		}
		o->piece++;
		o->done = 0;
		o->crc = 0;
	}
	return n;
}

static ssize_t stream_read(void *state, uint64_t position, char *buf, size_t max)
{
	struct output_stream *o = state;
	size_t used = 0;
	int pages = 0;
	char line[ERROR_LINE_MAX];

	(void)position;
	while (used < max) {
		ssize_t n;

		if (o->piece == o->piece_count) {
			if (o->next == o->end || used > 0)
				break;
			if (pages++ == EMPTY_PAGES_MAX)
				return 0; /* asked again in a later turn */
			n = next_page(o) < 0 ? -1 : 0;
		} else {
			n = read_piece(o, buf + used, max - used);
		}
		if (n < 0) {
			log_error("an output cannot be sent", log_u64("job", o->job),
				  log_error_field(&o->error, line, sizeof(line)));
			return MHD_CONTENT_READER_END_WITH_ERROR;
		}
		used += (size_t)n;
	}
	return used > 0 ? (ssize_t)used : MHD_CONTENT_READER_END_OF_STREAM;
}

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
	for (int i = 0; i < EMPTY_PAGES_MAX && rc == 0 && o->piece_count == 0 && o->next < o->end; i++)
		rc = next_page(o);
	if (rc < 0) {
		fail(o, &o->error);
		return;
	}
	r->state = NULL;
	o->request = NULL;
	if (o->single)
		skip_had(o);
	response =
	    MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_BYTES, stream_read, o, stream_destroy);
	CHECK(response != NULL);
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
	if (o->live && dispatcher_view_job(o->server->core, o->job, &arena, &v))
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
		rc = history_phase_shards(o->server->reader, o->job, o->phase, &shards, reterr);
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

/* History runs a moment behind the core: what it must know has to be there first. */
static void try(struct output_stream *o)
{
	struct history_job row;
	struct arena arena;
	struct error e = {0};
	bool lags;
	int rc;

	arena_init(&arena, 0);
	rc = history_job(o->server->reader, o->job, &arena, &row, &e);
	o->live = job_is_live(o->server, o->job);
	/* Of a job that was reopened it may still tell the end before. */
	lags = rc == 0 && (o->live == job_state_is_ended(row.state) || job_history_lags(o->server, o->job));
	if (rc == 0 && !lags && (!o->live || o->single)) {
		rc = choose(o, &row, &e);
		if (rc == 0)
			rc = read_had(o, &e);
		if (rc < 0)
			fail(o, &e);
		else
			begin(o);
	} else if ((lags || rc == ERR_NOT_FOUND) && (o->live || job_has_ended(o->server, o->job)) &&
		   o->tries++ < RETRIES_MAX) {
		loop_timer_set(o->server->loop, &o->timer, clock_mono_us() + RETRY_US);
	} else {
		if (rc == 0) {
			error_set(&e, ERR_EXISTS, "job %llu has not ended", (unsigned long long)o->job);
			error_help(&e, "GET /v1/jobs/%llu/wait answers when it has",
				   (unsigned long long)o->job);
		} else if (rc == ERR_NOT_FOUND) {
			job_refuse_unknown(o->server, o->job, &e);
		}
		fail(o, &e);
	}
	arena_fini(&arena);
}

static void on_timer(struct loop *loop, void *arg)
{
	(void)loop;
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
	if (job_is_live(r->server, job) && request_query(r, "shard")[0] == '\0') {
		error_set(&e, ERR_EXISTS, "job %llu has not ended", (unsigned long long)job);
		error_help(&e, "GET /v1/jobs/%llu/wait answers when it has", (unsigned long long)job);
		request_fail(r, &e);
		return;
	}
	o = check_calloc(1, sizeof(*o));
	o->server = r->server;
	o->request = r;
	o->fd = -1;
	o->job = job;
	o->err = err;
	o->single = request_query(r, "shard")[0] != '\0';
	o->segments = segments_create(r->server->output_dir);
	o->pieces = check_calloc(PAGE_SHARDS, sizeof(*o->pieces));
	o->timer = (struct loop_timer){.fn = on_timer, .arg = o};
	r->state = o;
	r->state_fini = stream_destroy;
	try(o);
}
