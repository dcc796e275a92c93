#include "dispatcher/api/output_stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/crc32c.h"
#include "base/http_client.h"
#include "base/log.h"
#include "dispatcher/api/listener.h"
#include "dispatcher/store/history_reader.h"
#include "jobs/kinds.h"

#define PAGE_SHARDS 4096

struct output_stream *output_stream_create(struct request *r, uint64_t job)
{
	struct output_stream *o = check_calloc(1, sizeof(*o));

	o->services = r->services;
	o->request = r;
	o->listener = r->listener;
	o->connection = r->connection;
	o->fd = -1;
	o->job = job;
	o->segments = segments_create(r->services->output_dir, NULL);
	o->pieces = check_calloc(PAGE_SHARDS, sizeof(*o->pieces));
	o->block = check_calloc(1, OUTPUT_BLOCK_BYTES);
	return o;
}

void output_stream_destroy(void *stream)
{
	struct output_stream *o = stream;

	if (o->is_reading) { /* freed when that is over */
		o->abandoned = true;
		readers_cancel(o->services->readers, &o->reading);
		return;
	}
	job_wait_cancel(&o->behind);
	if (o->fd >= 0)
		close(o->fd);
	segments_destroy(o->segments);
	survey_fini(&o->survey);
	free(o->pieces);
	free(o->block);
	free(o);
}

void output_stream_help(const struct output_stream *o, struct error *reterr)
{
	unsigned long long job = o->job;

	if (reterr->code == ERR_CORRUPT && o->live)
		error_help(reterr, "when job %llu has ended, `shardmill retry %llu` runs what is lost again",
			   job, job);
	else if (reterr->code == ERR_CORRUPT)
		error_help(reterr, "`shardmill retry %llu` runs what is lost again", job);
}

/* ---- pages ---- */

/* Nothing that was kept is missing. */
static int not_kept(struct output_stream *o, uint32_t shard, const char *why)
{
	return error_set(&o->error, ERR_NOT_FOUND, "no output of shard %u is kept: %s", shard, why);
}

static void add_piece(struct output_stream *o, const struct uuid *worker, uint32_t segment, uint32_t shard,
		      const struct output_entry *e)
{
	if ((o->err ? e->err_length : e->out_length) == 0)
		return;
	o->pieces[o->piece_count++] = (struct piece){.shard = shard,
						     .worker = *worker,
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
		return not_kept(o, shard.first, "its attempts ended with their workers");
	if (f->segment == 0) /* it wrote nothing */
		return 0;
	o->token = f->token;
	rc = segments_collect(o->segments, &f->worker, f->segment, f->token, shard, &e, &o->error);
	if (rc < 0)
		return rc;
	if (e.token.lease == 0)
		return segments_lost(o->segments, &f->worker, f->segment, "idx", shard, SEGMENTS_NO_ENTRY,
				     &o->error);
	add_piece(o, &f->worker, f->segment, shard.first, &e);
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
	rc = history_failures(o->history, o->job, o->phase, (uint32_t)o->next, 1, &arena, take_failure, o,
			      &o->error);
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
	if (r == 0 && w->segment != 0 && w->row.count == 1 && entries[0].token.lease == 0)
		r = segments_lost(o->segments, &w->worker, w->segment, "idx", w->row, SEGMENTS_NO_ENTRY,
				  &o->error);
	for (uint32_t i = 0; r == 0 && i < w->shards.count; i++)
		add_piece(o, &w->worker, w->segment, w->shards.first + i, &entries[i]);
	free(entries);
	return r;
}

static int read_page(struct output_stream *o)
{
	uint64_t left = o->end - o->next;
	struct range range = {.first = (uint32_t)o->next,
			      .count = (uint32_t)(left < PAGE_SHARDS ? left : PAGE_SHARDS)};
	struct error e = {0};
	int r;

	o->piece = o->piece_count = 0;
	r = history_winners(o->history, o->job, o->phase, range, take_winner, o, &e);
	if (r < 0 && o->error.code == ERR_OK)
		o->error = e;
	if (r < 0)
		output_stream_help(o, &o->error);
	o->next += range.count;
	return r;
}

static bool same_file(const struct output_stream *o, const struct piece *p)
{
	return o->fd >= 0 && o->fd_segment == p->segment && o->fd_worker.hi == p->worker.hi &&
	       o->fd_worker.lo == p->worker.lo;
}

static ssize_t lose_piece(struct output_stream *o, const char *why)
{
	const struct piece *p = &o->pieces[o->piece];

	segments_lost(o->segments, &p->worker, p->segment, o->err ? "err" : "out",
		      (struct range){p->shard, 1}, why, &o->error);
	output_stream_help(o, &o->error);
	return -1;
}

static int open_piece(struct output_stream *o)
{
	const struct piece *p = &o->pieces[o->piece];
	int rc;

	if (same_file(o, p))
		return 0;
	if (o->fd >= 0)
		close(o->fd);
	o->fd = -1;
	rc = segments_open(o->segments, &p->worker, p->segment, o->err ? "err" : "out", &o->fd, &o->error);
	o->fd_worker = p->worker;
	o->fd_segment = p->segment;
	if (rc == ERR_CORRUPT)
		(void)lose_piece(o, "its file is gone");
	return rc;
}

/* Some bytes of the piece in work; 0 never. */
static ssize_t read_piece(struct output_stream *o, char *buf, size_t max)
{
	const struct piece *p = &o->pieces[o->piece];
	uint64_t left = p->length - o->done;
	ssize_t n;

	if (open_piece(o) < 0)
		return -1;
	do {
		n = pread(o->fd, buf, left < max ? (size_t)left : max, (off_t)(p->offset + o->done));
	} while (n < 0 && errno == EINTR);
	if (n <= 0)
		return lose_piece(o, n < 0 ? strerror(errno) : "its file ends before it should");
	o->done += (uint64_t)n;
	o->crc = crc32c(o->crc, buf, (size_t)n);
	if (o->done == p->length) {
		if (!o->err && !o->cut && o->crc != p->crc)
			return lose_piece(o, "it is not what was written: its checksum differs");
		o->piece++;
		o->done = 0;
		o->crc = 0;
	}
	return n;
}

/* The answer has begun: nobody may take what he has for the whole. */
static ssize_t end_early(struct output_stream *o)
{
	char line[ERROR_LINE_MAX];
	json_t *value = json_of_error(&o->error);
	char *text = json_dumps(value, JSON_COMPACT | JSON_ENSURE_ASCII);
	bool told;

	log_error("an output cannot be sent", log_u64("job", o->job),
		  log_error_field(&o->error, line, sizeof(line)));
	CHECK(text != NULL);
	told = o->trailers && MHD_add_response_footer(o->response, HTTP_FAILURE_TRAILER, text) == MHD_YES;
	free(text);
	json_decref(value);
	return told ? MHD_CONTENT_READER_END_OF_STREAM : MHD_CONTENT_READER_END_WITH_ERROR;
}

/* ---- blocks, in a reader's thread ---- */

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

static void fill(struct history_reader *history, struct reading *r)
{
	struct output_stream *o =
	    (struct output_stream *)((char *)r - offsetof(struct output_stream, reading));

	o->history = history;
	o->block_size = o->block_at = 0;
	while (o->rc == 0 && o->block_size < OUTPUT_BLOCK_BYTES && !atomic_load(&r->cancelled)) {
		ssize_t n = 0;

		if (o->piece < o->piece_count) {
			n = read_piece(o, o->block + o->block_size, OUTPUT_BLOCK_BYTES - o->block_size);
			o->rc = n < 0 ? ERR_IO : 0;
		} else if (o->next < o->end) {
			o->rc = read_page(o) < 0 ? ERR_IO : 0;
			if (o->rc == 0 && o->single)
				skip_had(o);
		} else {
			o->at_end = true;
			break;
		}
		o->block_size += n > 0 ? (size_t)n : 0;
	}
	o->history = NULL;
}

static void read_block(struct output_stream *o, void (*done)(struct reading *r))
{
	o->reading = (struct reading){
	    .run = fill, .done = done, .lane = READERS_LANE_OUTPUT, .lane_max = READERS_LANE_OUTPUT_MAX};
	o->is_reading = true;
	readers_ask(o->services->readers, &o->reading);
}

void output_stream_begin(struct output_stream *o, void (*begun)(struct reading *r))
{
	read_block(o, begun);
}

/* ---- in the loop ---- */

static void on_block(struct reading *r)
{
	struct output_stream *o =
	    (struct output_stream *)((char *)r - offsetof(struct output_stream, reading));

	o->is_reading = false;
	if (o->abandoned) {
		output_stream_destroy(o);
		return;
	}
	if (r->rc < 0) {
		o->rc = r->rc;
		o->error = r->error;
	}
	if (!o->suspended)
		return;
	o->suspended = false;
	o->listener->resumed = true;
	MHD_resume_connection(o->connection);
	loop_defer(o->services->loop, o->services->turn);
}

ssize_t output_stream_read(void *stream, uint64_t position, char *buf, size_t max)
{
	struct output_stream *o = stream;
	size_t size = o->is_reading ? 0 : o->block_size - o->block_at;

	(void)position;
	if (size > max)
		size = max;
	if (size > 0) {
		memcpy(buf, o->block + o->block_at, size);
		o->block_at += size;
		return (ssize_t)size;
	}
	if (!o->is_reading && o->rc < 0)
		return end_early(o);
	if (!o->is_reading && o->at_end)
		return MHD_CONTENT_READER_END_OF_STREAM;
	if (o->services->stopping)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	if (!o->is_reading)
		read_block(o, on_block);
	o->suspended = true;
	MHD_suspend_connection(o->connection);
	return 0;
}
