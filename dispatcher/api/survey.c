#include "dispatcher/api/survey.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/crc32c.h"
#include "dispatcher/readers.h"
#include "dispatcher/store/history_reader.h"

#define SLICE_US (20 * USEC_PER_MSEC)
#define CHUNK_SHARDS 65536u
#define ROWS_LOOKED_AT 1000u
#define BLOCK_BYTES (256 * KIB)

/* Entries of one winner that are held from slice to slice. */
struct survey_chunk {
	struct uuid worker;
	uint32_t segment;
	uint64_t row_end;
	struct range shards;
	uint32_t at;   /* the one in work */
	uint64_t done; /* bytes of it */
	uint32_t crc;
	int fd;		      /* of the segment's stdout; -1 */
	uint32_t rows;	      /* of history, in this slice */
	uint32_t row_entries; /* found of the row so far, or lost */
	bool begins;	      /* nothing was looked at yet */
	uint32_t room;	      /* of entries */
	struct output_entry *entries;
	uint8_t *block; /* BLOCK_BYTES; NULL without sums */
};

static int note_lost(void *arg, struct range shards, const struct error *why)
{
	struct survey *s = arg;

	if (s->first.code == ERR_OK)
		s->first = *why;
	s->chunk->row_entries++;
	if (s->wholes)
		shards = range_between(shards.first, s->chunk->row_end);
	shard_set_add(&s->lost, shards.first, shards.count);
	return s->first_only ? ERR_LIMIT : 0;
}

/* ---- checksums ---- */

static void next_entry(struct survey_chunk *c)
{
	c->at++;
	c->done = 0;
	c->crc = 0;
}

static int lose_entry(struct survey *s, const char *reason)
{
	struct survey_chunk *c = s->chunk;
	struct range one = {c->shards.first + c->at, 1};
	struct error why = {0};

	segments_lost(s->segments, &c->worker, c->segment, "out", one, reason, &why);
	return note_lost(s, one, &why);
}

/* A block of the entry in work, or its end. */
static int sum_some(struct survey *s)
{
	struct survey_chunk *c = s->chunk;
	const struct output_entry *e = &c->entries[c->at];
	uint64_t left = e->out_length - c->done;
	ssize_t got = 1;
	int rc = 0;

	if (shard_set_contains(&s->lost, c->shards.first + c->at))
		left = 0;
	else if (left > 0 && c->fd < 0)
		rc = segments_open(s->segments, &c->worker, c->segment, "out", &c->fd, &s->error);
	if (rc == ERR_CORRUPT) { /* since the chunk was read */
		rc = lose_entry(s, "its file is gone");
		left = 0;
	}
	if (rc < 0)
		return rc;
	if (left > 0) {
		do {
			got = pread(c->fd, c->block, left < BLOCK_BYTES ? (size_t)left : BLOCK_BYTES,
				    (off_t)(e->out_offset + c->done));
		} while (got < 0 && errno == EINTR);
		if (got > 0) {
			c->crc = crc32c(c->crc, c->block, (size_t)got);
			c->done += (uint64_t)got;
			left -= (uint64_t)got;
		} else {
			rc = lose_entry(s, got < 0 ? strerror(errno) : "its file ends before it should");
			left = 0;
		}
		if (got > 0 && left == 0 && c->crc != e->out_crc)
			rc = lose_entry(s, "it is not what was written: its checksum differs");
	}
	if (left == 0)
		next_entry(c);
	return rc;
}

/* ---- winners ---- */

static void chunk_drop(struct survey_chunk *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	c->shards.count = c->at = 0;
	c->done = 0;
	c->crc = 0;
}

/* The row's last shards were looked at: a row that names a segment has an entry there. */
static int check_row(struct survey *s, const struct history_winner *w)
{
	struct error why = {0};

	if (s->chunk->row_entries > 0)
		return 0;
	segments_lost(s->segments, &w->worker, w->segment, "idx", w->row, SEGMENTS_NO_ENTRY, &why);
	return note_lost(s, w->row, &why);
}

/* ERR_LIMIT: there is something to do, or enough was looked at. */
static int take_winner(void *arg, const struct history_winner *w)
{
	struct survey *s = arg;
	struct survey_chunk *c = s->chunk;
	struct range range = w->shards;
	int rc;

	c->row_end = range_end(range);
	if (w->is_missing || w->segment == 0) {
		s->next = range_end(range);
		return ++c->rows % ROWS_LOOKED_AT == 0 ? ERR_LIMIT : 0;
	}
	if (w->shards.first == w->row.first)
		c->row_entries = 0;
	rc = segments_narrow(s->segments, &w->worker, w->segment, w->token, &range, &s->error);
	if (rc < 0)
		return rc;
	if (range.count > c->room)
		range.count = c->room;
	memset(c->entries, 0, range.count * sizeof(c->entries[0]));
	rc = segments_collect_found(s->segments, &w->worker, w->segment, w->token, range, c->entries,
				    note_lost, s, &s->error);
	for (uint32_t i = 0; rc == 0 && i < range.count; i++)
		c->row_entries += c->entries[i].token.lease != 0;
	if (rc == 0 && range_end(range) == range_end(w->row))
		rc = check_row(s, w);
	if (rc < 0)
		return rc;
	s->next = range_end(range);
	c->worker = w->worker;
	c->segment = w->segment;
	c->shards = range;
	return ERR_LIMIT;
}

static bool is_over(const struct survey *s)
{
	return s->rc < 0 || (s->first_only && s->first.code != ERR_OK) ||
	       (s->next >= s->end && s->chunk->shards.count == 0) || clock_mono_us() >= s->until_us;
}

/* In a reader's thread. */
static void run(struct history_reader *reader, struct reading *q)
{
	struct survey *s = (struct survey *)((char *)q - offsetof(struct survey, query));
	struct survey_chunk *c = s->chunk;
	usec_t slice_end = clock_mono_us() + SLICE_US;

	if (c->begins)
		segments_look_again(s->segments);
	c->begins = false;
	while (!is_over(s) && clock_mono_us() < slice_end) {
		int rc;

		if (c->shards.count > 0 && (!s->sums || c->at == c->shards.count)) {
			chunk_drop(c);
			continue;
		}
		if (c->shards.count > 0)
			rc = sum_some(s);
		else
			rc = history_winners(reader, s->job, s->phase, range_between(s->next, s->end),
					     take_winner, s, &s->error);
		if (rc < 0 && rc != ERR_LIMIT)
			s->rc = rc;
	}
}

/* Segments that several surveys share are one thread's at a time. */
static struct reading reading_of(const struct survey *s, void (*done)(struct reading *q))
{
	struct reading r = {.run = run, .done = done, .lane = (uint64_t)(uintptr_t)s->shared};

	if (s->shared == NULL) {
		r.lane = READERS_LANE_OUTPUT;
		r.lane_max = READERS_LANE_OUTPUT_MAX;
	}
	return r;
}

static void done(struct reading *q)
{
	struct survey *s = (struct survey *)((char *)q - offsetof(struct survey, query));

	if (q->rc < 0 || s->services->stopping) /* it was never run, or nothing is answered any more */
		s->rc = error_set(&s->error, ERR_CLOSED, "the dispatcher stops");
	if (is_over(s)) {
		s->over(s);
		return;
	}
	s->query = reading_of(s, done);
	readers_ask(s->services->readers, &s->query);
}

void survey_begin(struct survey *s)
{
	uint64_t shards = s->end - s->next;

	CHECK(s->chunk == NULL && s->end <= SHARDS_MAX);
	shard_set_init(&s->lost);
	s->segments = s->shared != NULL ? s->shared : segments_create(s->services->output_dir, NULL);
	s->chunk = check_calloc(1, sizeof(*s->chunk));
	s->chunk->begins = true;
	s->chunk->fd = -1;
	s->chunk->room = shards < CHUNK_SHARDS ? (uint32_t)shards : CHUNK_SHARDS;
	s->chunk->entries = check_calloc(s->chunk->room + 1, sizeof(s->chunk->entries[0]));
	s->chunk->block = s->sums ? check_calloc(1, BLOCK_BYTES) : NULL;
	s->until_us = s->patience_us > 0 ? clock_mono_us() + s->patience_us : USEC_NEVER;
	s->query = reading_of(s, done);
	readers_ask(s->services->readers, &s->query);
}

void survey_fini(struct survey *s)
{
	if (s->chunk == NULL)
		return;
	chunk_drop(s->chunk);
	free(s->chunk->entries);
	free(s->chunk->block);
	free(s->chunk);
	s->chunk = NULL;
	if (s->shared == NULL)
		segments_destroy(s->segments);
	shard_set_fini(&s->lost);
}
