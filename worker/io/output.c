#include "worker/io/output.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/constants.h"
#include "base/crc32c.h"
#include "base/text.h"
#include "worker/machine/disk.h"

void output_open(struct output *o, struct output_dir *dir)
{
	*o = (struct output){.dir = dir, .out = STREAM_NONE, .err = STREAM_NONE};
	pthread_mutex_init(&o->live_lock, NULL);
}

void output_close(struct output *o)
{
	if (o->dir == NULL)
		return;
	stream_close(&o->out);
	stream_close(&o->err);
	pthread_mutex_destroy(&o->live_lock);
	*o = (struct output){0};
}

int output_begin(struct output *o, int dir_fd, struct token token, uint32_t shard, struct error *reterr)
{
	int code = 0;

	if (stream_begin(&o->out, dir_fd, &code) < 0 || stream_begin(&o->err, dir_fd, &code) < 0) {
		error_set(reterr, ERR_IO, "cannot make a file for the attempt's output: %s", strerror(code));
		errno = code;
		return ERR_IO;
	}
	pthread_mutex_lock(&o->live_lock);
	o->live = true;
	o->token = token;
	o->shard = shard;
	o->start_wall_us = clock_wall_us();
	pthread_mutex_unlock(&o->live_lock);
	return 0;
}

uint64_t output_look(struct output *o, int dir_fd)
{
	pthread_mutex_lock(&o->live_lock);
	stream_look(&o->out, dir_fd);
	stream_look(&o->err, dir_fd);
	pthread_mutex_unlock(&o->live_lock);
	return o->out.aside_size > o->err.aside_size ? o->out.aside_size : o->err.aside_size;
}

bool output_end(struct output *o, int dir_fd)
{
	pthread_mutex_lock(&o->live_lock);
	stream_end(&o->out, dir_fd);
	stream_end(&o->err, dir_fd);
	pthread_mutex_unlock(&o->live_lock);
	return (o->out.asks && o->out.held) || (o->err.asks && o->err.held);
}

void output_done(struct output *o)
{
	pthread_mutex_lock(&o->live_lock);
	o->live = false;
	stream_reset(&o->out);
	stream_reset(&o->err);
	pthread_mutex_unlock(&o->live_lock);
}

int64_t output_read_live(struct output *o, struct token token, uint32_t shard, bool err, uint64_t from,
			 void *to, size_t size)
{
	int64_t got = ERR_NOT_FOUND;

	pthread_mutex_lock(&o->live_lock);
	if (o->live && o->token.epoch == token.epoch && o->token.lease == token.lease && o->shard == shard) {
		got = stream_read(err ? &o->err : &o->out, from, to, size);
		got = got < 0 ? 0 : got;
	}
	pthread_mutex_unlock(&o->live_lock);
	return got;
}

bool output_running(struct output *o, struct running_attempt *ret)
{
	bool live;

	pthread_mutex_lock(&o->live_lock);
	live = o->live;
	if (live)
		*ret = (struct running_attempt){.token = o->token,
						.shard = o->shard,
						.out_bytes = stream_written(&o->out),
						.err_bytes = stream_written(&o->err),
						.start_wall_us = o->start_wall_us};
	pthread_mutex_unlock(&o->live_lock);
	return live;
}

static int check_size(uint64_t size, uint64_t max, struct error *reterr)
{
	if (max == 0 || size <= max)
		return 0;
	return error_set(reterr, ERR_LIMIT, "it wrote more than its bound of %llu bytes (output_max)",
			 (unsigned long long)max);
}

int output_check_bound(const struct output *o, uint64_t bytes_max, struct error *reterr)
{
	return check_size(o->out.size > o->err.size ? o->out.size : o->err.size, bytes_max, reterr);
}

int output_check(struct bytes bytes, uint64_t bytes_max, struct error *reterr)
{
	return check_size(bytes.size, bytes_max, reterr);
}

static bool is_refused(const struct stream *s)
{
	return s->size > 0 && disk_refuses(s->fd, s->size);
}

int output_check_whole(const struct output *o, bool was_full, int dir_fd, const char *dir,
		       struct error *reterr)
{
	int code = o->out.failed != 0 ? o->out.failed : o->err.failed;

	if (code == 0 && (was_full || disk_is_full(dir_fd) || is_refused(&o->out) || is_refused(&o->err)))
		code = ENOSPC;
	if (code == 0)
		return 0;
	if (code == ENOSPC || code == EDQUOT) {
		error_set(reterr, ERR_BUSY, "the disk of its output is full: %s", dir);
		error_help(reterr, "free space there; the shard is tried again");
		return ERR_BUSY;
	}
	error_set(reterr, ERR_IO, "a part of its output could not be kept in %s: %s", dir, strerror(code));
	return ERR_IO;
}

void output_last_words(const struct output *o, char *ret, size_t size)
{
	char tail[2048];
	uint64_t most = sizeof tail;
	int64_t got = stream_read(&o->err, o->err.size > most ? o->err.size - most : 0, tail, sizeof tail);

	text_last_lines(ret, size, BYTES(tail, got > 0 ? (size_t)got : 0), WORDS_LINES);
}

/* The files become the segment when one is long, and nobody else can write to it. */
static bool is_adoptable(const struct stream *s)
{
	return s->size >= OUTPUT_ADOPT_BYTES && s->linkable && !s->held;
}

static int find_place(struct output *o, struct output_place *p, bool adopted[2], struct error *reterr)
{
	int rc = ERR_NOT_FOUND;

	adopted[0] = is_adoptable(&o->out);
	adopted[1] = is_adoptable(&o->err);
	if (adopted[0] || adopted[1])
		rc = segments_adopt(o->dir, adopted[0] ? o->out.fd : -1, adopted[1] ? o->err.fd : -1, p,
				    reterr);
	if (rc != ERR_NOT_FOUND)
		return rc;
	adopted[0] = adopted[1] = false;
	return segments_lend(o->dir, p, reterr);
}

static int fill(struct output *o, const struct output_place *p, const bool adopted[2], uint32_t *crc_ret,
		struct error *reterr)
{
	uint32_t crc = 0, none;
	int rc = 0;

	if (!adopted[0])
		rc = segments_fill(o->dir, p, SEGMENT_OUT, o->out.fd, &crc, reterr);
	else if (!stream_copy(o->out.fd, 0, o->out.size, -1, 0, &crc))
		rc = error_set(reterr, ERR_IO, "an output cannot be read: %s", strerror(errno));
	if (rc == 0 && !adopted[1])
		rc = segments_fill(o->dir, p, SEGMENT_ERR, o->err.fd, &none, reterr);
	*crc_ret = crc;
	return rc;
}

int output_keep(struct output *o, struct token token, uint32_t shard, bool durable, struct output_kept *ret,
		struct error *reterr)
{
	struct output_place p = {.out_length = o->out.size, .err_length = o->err.size};
	struct output_entry e = {.token = token, .shard = shard};
	bool adopted[2];
	int rc;

	*ret = (struct output_kept){0};
	if (o->out.size == 0 && o->err.size == 0)
		return 0;
	rc = find_place(o, &p, adopted, reterr);
	if (rc < 0)
		return rc;
	rc = fill(o, &p, adopted, &e.out_crc, reterr);
	e.out_offset = p.out_offset;
	e.out_length = p.out_length;
	e.err_offset = p.err_offset;
	e.err_length = p.err_length;
	if (rc == 0)
		rc = segments_commit(o->dir, &p, &e, 1, durable, reterr);
	segments_give_back(o->dir, &p, rc == 0);
	if (rc == 0) {
		*ret = (struct output_kept){p.number, p.out_length + p.err_length};
		recent_add(&o->dir->recent, p.number, &e);
	}
	return rc;
}

/* The bytes one behind the other, and their entries, of which the offsets begin at 0. */
static void gather_outputs(struct token token, const struct shard_output *outputs, uint32_t count,
			   struct buf *data, struct output_entry *entries)
{
	for (uint32_t i = 0; i < count; i++) {
		entries[i] =
		    (struct output_entry){.token = token,
					  .shard = outputs[i].shard,
					  .out_offset = data->size,
					  .out_length = outputs[i].bytes.size,
					  .out_crc = crc32c(0, outputs[i].bytes.data, outputs[i].bytes.size)};
		buf_append_bytes(data, outputs[i].bytes);
	}
}

int output_append(struct output_dir *d, struct token token, const struct shard_output *outputs,
		  uint32_t count, bool durable, uint32_t *segment_ret, struct error *reterr)
{
	struct output_entry *entries;
	struct output_place p = {0};
	struct buf data = {0};
	int rc;

	*segment_ret = 0;
	if (count == 0)
		return 0;
	entries = check_calloc(count, sizeof *entries);
	gather_outputs(token, outputs, count, &data, entries);
	p.out_length = data.size;
	rc = segments_lend(d, &p, reterr);
	for (uint32_t i = 0; i < count && rc == 0; i++) {
		entries[i].out_offset += p.out_offset;
		entries[i].err_offset = p.err_offset;
	}
	if (rc == 0)
		rc = segments_write(d, &p, SEGMENT_OUT, buf_bytes(&data), reterr);
	if (rc == 0)
		rc = segments_commit(d, &p, entries, count, durable, reterr);
	segments_give_back(d, &p, rc == 0);
	if (rc == 0)
		*segment_ret = p.number;
	free(entries);
	buf_fini(&data);
	return rc;
}

int output_keep_said(struct output_dir *d, struct token token, const struct failure *failed, uint32_t count,
		     struct bytes said, bool durable, uint32_t *segment_ret, struct error *reterr)
{
	struct output_place p = {.err_length = said.size};
	struct output_entry *entries;
	int rc;

	*segment_ret = 0;
	if (count == 0 || said.size == 0)
		return 0;
	rc = segments_lend(d, &p, reterr);
	if (rc < 0)
		return rc;
	entries = check_calloc(count, sizeof *entries);
	for (uint32_t i = 0; i < count; i++)
		entries[i] = (struct output_entry){.token = token,
						   .shard = failed[i].first,
						   .out_offset = p.out_offset,
						   .err_offset = p.err_offset,
						   .err_length = said.size};
	rc = segments_write(d, &p, SEGMENT_ERR, said, reterr);
	if (rc == 0)
		rc = segments_commit(d, &p, entries, count, durable, reterr);
	segments_give_back(d, &p, rc == 0);
	if (rc == 0)
		*segment_ret = p.number;
	free(entries);
	return rc;
}
