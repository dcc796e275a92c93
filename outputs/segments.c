#include "outputs/segments.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "outputs/stretches.h"

#define SEGMENTS_KEPT 8
#define BLOCK_ENTRIES 1024u
/* A lease with fewer entries than one for so many shards is looked at in short pieces. */
#define SPARSE_SHARDS 64u

struct segment {
	struct uuid worker;
	uint32_t number; /* 0 = free */
	uint64_t used;
	bool stale;	  /* more may have been written since */
	uint32_t damaged; /* entries of the index, of whatever lease */
	bool index_gone, out_gone, err_gone;
	bool index_empty; /* yet a segment is named only for what has an entry */
	uint64_t out_size, err_size;
	uint64_t index_size; /* bytes that were looked through, without zeros at the end */
	struct buf held;     /* these bytes, or none */
	struct stretches stretches;
};

struct segments {
	char *dir;
	const struct segments_options *options;
	uint64_t clock;
	struct segment kept[SEGMENTS_KEPT];
};

struct segments *segments_create(const char *output_dir, const struct segments_options *options)
{
	static const struct segments_options none;
	struct segments *s = check_calloc(1, sizeof(*s));

	s->options = options != NULL ? options : &none;
	s->dir = strdup(output_dir);
	CHECK(s->dir != NULL);
	return s;
}

static void segment_close(struct segment *g)
{
	stretches_fini(&g->stretches);
	buf_fini(&g->held);
	*g = (struct segment){0};
}

void segments_destroy(struct segments *s)
{
	if (s == NULL)
		return;
	for (size_t i = 0; i < SEGMENTS_KEPT; i++)
		segment_close(&s->kept[i]);
	free(s->dir);
	free(s);
}

void segments_look_again(struct segments *s)
{
	for (size_t i = 0; i < SEGMENTS_KEPT; i++)
		s->kept[i].stale = true;
}

/* ---- files ---- */

static void place(const struct segments *s, const struct uuid *worker, uint32_t segment, const char *kind,
		  struct error *reterr)
{
	char name[128];

	output_path(worker, segment, kind, name, sizeof(name));
	error_where(reterr, "%s/%s", s->dir, name);
}

int segments_lost(const struct segments *s, const struct uuid *worker, uint32_t segment, const char *kind,
		  struct range shards, const char *why, struct error *reterr)
{
	if (shards.count == 1)
		error_set(reterr, ERR_CORRUPT, "the output of shard %u is lost: %s", shards.first, why);
	else
		error_set(reterr, ERR_CORRUPT, "the outputs of shards %u to %u are lost: %s", shards.first,
			  shards.first + (shards.count - 1), why);
	if (s->options->lost_help != NULL)
		error_help(reterr, "%s", s->options->lost_help);
	place(s, worker, segment, kind, reterr);
	return ERR_CORRUPT;
}

/* The index is gone, or else has nothing in it. */
static int index_lost(const struct segments *s, const struct uuid *worker, uint32_t segment, bool is_empty,
		      struct range shards, struct error *reterr)
{
	segments_lost(s, worker, segment, "idx", shards,
		      is_empty ? "the segment's index is empty" : "the segment's index is gone", reterr);
	if (!is_empty && s->options->gone_help != NULL)
		error_help(reterr, "%s", s->options->gone_help);
	return ERR_CORRUPT;
}

int segments_open(struct segments *s, const struct uuid *worker, uint32_t segment, const char *kind,
		  int *ret_fd, struct error *reterr)
{
	char name[128], path[4096];
	int fd;

	output_path(worker, segment, kind, name, sizeof(name));
	snprintf(path, sizeof(path), "%s/%s", s->dir, name);
	fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0) {
		bool is_gone = errno == ENOENT || errno == ENOTDIR;
		int code = is_gone ? ERR_CORRUPT : error_code_of_errno(errno);

		error_set(reterr, code, "an output cannot be read: %s", strerror(errno));
		error_where(reterr, "%s", path);
		return code;
	}
	*ret_fd = fd;
	return 0;
}

/* *gone_ret: there is no such file, and size 0. */
static int file_size(struct segments *s, const struct segment *g, const char *kind, uint64_t *size_ret,
		     bool *gone_ret, struct error *reterr)
{
	struct stat st;
	int fd, rc = segments_open(s, &g->worker, g->number, kind, &fd, reterr);

	*size_ret = 0;
	*gone_ret = rc == ERR_CORRUPT;
	if (rc < 0)
		return rc == ERR_CORRUPT ? 0 : rc;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		*size_ret = (uint64_t)st.st_size;
	close(fd);
	return 0;
}

/* Whole entries; an index that ends early has fewer. */
static int read_index(int fd, uint64_t at, uint8_t *block, size_t size, size_t *ret_size,
		      struct error *reterr)
{
	size_t used = 0;

	while (used < size) {
		ssize_t got = pread(fd, block + used, size - used, (off_t)(at + used));

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return error_set(reterr, error_code_of_errno(errno),
					 "an output index cannot be read: %s", strerror(errno));
		if (got == 0)
			break;
		used += (size_t)got;
	}
	*ret_size = used - used % OUTPUT_ENTRY_BYTES;
	return 0;
}

/* ---- a segment ---- */

/* Entries that nobody needs any more were made zeros (holes.h). */
static bool has_holes(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && (st.st_mode & OUTPUT_INDEX_HOLES) != 0;
}

/* From where it ended last time on: entries are added, and never changed but to zeros. Zeros at its end are
 * room that a crash left; zeros before an entry are damage. */
static int note_stretches(struct segment *g, int fd, bool hold, struct error *reterr)
{
	static const uint8_t none[OUTPUT_ENTRY_BYTES];
	uint8_t *block = check_calloc(BLOCK_ENTRIES, OUTPUT_ENTRY_BYTES);
	bool may_have_holes = has_holes(fd);
	uint32_t zeros = 0;
	size_t size = 0;
	int rc;

	for (uint64_t at = g->index_size;; at += size) {
		rc = read_index(fd, at, block, BLOCK_ENTRIES * OUTPUT_ENTRY_BYTES, &size, reterr);
		if (rc < 0 || size == 0)
			break;
		if (hold)
			buf_append(&g->held, block, size);
		for (size_t i = 0; i < size; i += OUTPUT_ENTRY_BYTES) {
			struct output_entry e;

			if (memcmp(block + i, none, sizeof(none)) == 0) {
				zeros += !may_have_holes;
				continue;
			}
			g->damaged += zeros;
			zeros = 0;
			g->index_size = at + i + OUTPUT_ENTRY_BYTES;
			if (output_entry_decode(block + i, &e) < 0)
				g->damaged++;
			else
				stretches_add(&g->stretches, e.token, at + i);
		}
	}
	free(block);
	if (hold)
		g->held.size = (size_t)g->index_size;
	stretches_settle(&g->stretches);
	g->index_empty = g->stretches.count == 0 && g->damaged == 0;
	return rc;
}

static int check_index_size(const struct segments *s, const struct segment *g, int fd, struct error *reterr)
{
	uint64_t max = s->options->held_bytes_max;
	struct stat st;

	if (max == 0 || fstat(fd, &st) < 0 || (uint64_t)st.st_size <= max)
		return 0;
	error_set(reterr, ERR_LIMIT, "expected an index of at most %llu bytes, found %llu",
		  (unsigned long long)max, (unsigned long long)st.st_size);
	place(s, &g->worker, g->number, "idx", reterr);
	return ERR_LIMIT;
}

/* What was added to it since it was loaded, too. The index is read before its files are measured: what it
 * names had been written by then. */
static int segment_load(struct segments *s, struct segment *g, const struct uuid *worker, uint32_t number,
			struct error *reterr)
{
	int fd, rc = segments_open(s, worker, number, "idx", &fd, reterr);

	g->worker = *worker;
	g->number = number;
	g->index_gone = g->stale = false;
	if (rc == 0) {
		rc = check_index_size(s, g, fd, reterr);
		if (rc == 0)
			rc = note_stretches(g, fd, s->options->held_bytes_max > 0, reterr);
		close(fd);
	}
	if (rc == ERR_CORRUPT) { /* told for each range of shards */
		g->index_gone = true;
		rc = 0;
	}
	if (rc == 0)
		rc = file_size(s, g, "out", &g->out_size, &g->out_gone, reterr);
	if (rc == 0 && !s->options->no_stderr)
		rc = file_size(s, g, "err", &g->err_size, &g->err_gone, reterr);
	if (rc < 0)
		segment_close(g);
	return rc;
}

static int segment_find(struct segments *s, const struct uuid *worker, uint32_t number, struct segment **ret,
			struct error *reterr)
{
	struct segment *g = &s->kept[0];
	bool is_kept;

	for (size_t i = 0; i < SEGMENTS_KEPT; i++) {
		struct segment *k = &s->kept[i];

		if (k->number == number && k->worker.hi == worker->hi && k->worker.lo == worker->lo) {
			g = k;
			break;
		}
		if (k->used < g->used)
			g = k;
	}
	is_kept = g->number == number && g->worker.hi == worker->hi && g->worker.lo == worker->lo;
	if (!is_kept)
		segment_close(g);
	g->used = ++s->clock;
	*ret = g;
	return is_kept && !g->stale ? 0 : segment_load(s, g, worker, number, reterr);
}

int segments_look(struct segments *s, const struct uuid *worker, uint32_t segment, struct range shards,
		  struct error *reterr)
{
	struct segment *g;
	int rc;

	if (segment == 0)
		return 0;
	rc = segment_find(s, worker, segment, &g, reterr);
	if (rc == 0 && (g->index_gone || g->index_empty))
		rc = index_lost(s, worker, segment, g->index_empty, shards, reterr);
	return rc;
}

/* ---- lost outputs ---- */

/* Fills why when the output of the shard is lost; e->token.lease 0: it has no entry. */
static bool is_lost(const struct segments *s, const struct segment *g, uint32_t shard,
		    const struct output_entry *e, struct error *why)
{
	const struct range one = {shard, 1};
	bool out = e->out_length > 0 && !output_entry_fits(e, g->out_size, UINT64_MAX);
	bool err =
	    !s->options->no_stderr && e->err_length > 0 && !output_entry_fits(e, UINT64_MAX, g->err_size);

	if (e->token.lease == 0 && g->damaged == 0)
		return false;
	if (e->token.lease == 0)
		segments_lost(s, &g->worker, g->number, "idx", one,
			      "entries of this index are damaged, and it has none for the shard", why);
	else if (out || err)
		segments_lost(s, &g->worker, g->number, out ? "out" : "err", one,
			      (out ? g->out_gone : g->err_gone) ? "its file is gone"
								: "its file ends before it should",
			      why);
	return e->token.lease == 0 || out || err;
}

/* What is done with each block of a stretch. */
typedef void block_fn(struct bytes entries, struct token token, struct range range, void *arg);

static void collect_block(struct bytes entries, struct token token, struct range range, void *arg)
{
	uint32_t damaged; /* is known */

	output_index_collect(entries, token, range, arg, &damaged);
}

static void find_next(struct bytes entries, struct token token, struct range range, void *arg)
{
	uint32_t *next = arg;

	*next = output_index_next(entries, token, range_between(range.first, *next + 1ull));
}

/* *gone_ret: the index is not there any more. */
static int read_stretch(struct segments *s, const struct segment *g, struct token token, struct range range,
			block_fn *take, void *arg, bool *gone_ret, struct error *reterr)
{
	const struct stretch *t = stretches_find(&g->stretches, token);
	uint8_t *block;
	size_t size = 0;
	int fd, rc;

	*gone_ret = false;
	if (t == NULL)
		return 0;
	if (g->held.size > 0) {
		take(BYTES(g->held.data + t->first, t->end - t->first), token, range, arg);
		return 0;
	}
	rc = segments_open(s, &g->worker, g->number, "idx", &fd, reterr);
	*gone_ret = rc == ERR_CORRUPT;
	if (rc < 0)
		return *gone_ret ? 0 : rc;
	block = check_calloc(BLOCK_ENTRIES, OUTPUT_ENTRY_BYTES);
	for (uint64_t at = t->first; at < t->end; at += size) {
		uint64_t left = t->end - at;

		size = BLOCK_ENTRIES * OUTPUT_ENTRY_BYTES;
		rc = read_index(fd, at, block, left < size ? (size_t)left : size, &size, reterr);
		*gone_ret = rc == 0 && size == 0;
		if (rc < 0 || size == 0)
			break;
		take(BYTES(block, size), token, range, arg);
	}
	free(block);
	close(fd);
	return rc;
}

int segments_collect_found(struct segments *s, const struct uuid *worker, uint32_t segment,
			   struct token token, struct range range, struct output_entry *ret,
			   segments_lost_fn *lost, void *arg, struct error *reterr)
{
	struct error why = {0};
	struct segment *g;
	bool gone;
	int rc;

	if (segment == 0 || range.count == 0) /* none of them wrote anything */
		return 0;
	rc = segment_find(s, worker, segment, &g, reterr);
	if (rc < 0)
		return rc;
	gone = g->index_gone || g->index_empty;
	if (!gone)
		rc = read_stretch(s, g, token, range, collect_block, ret, &gone, reterr);
	if (rc < 0)
		return rc;
	if (gone) {
		index_lost(s, worker, segment, g->index_empty, range, &why);
		return lost(arg, range, &why);
	}
	for (uint32_t i = 0; i < range.count && rc == 0; i++)
		if (is_lost(s, g, range.first + i, &ret[i], &why))
			rc = lost(arg, (struct range){range.first + i, 1}, &why);
	return rc;
}

static int stop_at_lost(void *arg, struct range shards, const struct error *why)
{
	(void)shards;
	if (arg != NULL)
		*(struct error *)arg = *why;
	return ERR_CORRUPT;
}

int segments_collect(struct segments *s, const struct uuid *worker, uint32_t segment, struct token token,
		     struct range range, struct output_entry *ret, struct error *reterr)
{
	return segments_collect_found(s, worker, segment, token, range, ret, stop_at_lost, reterr, reterr);
}

int segments_narrow(struct segments *s, const struct uuid *worker, uint32_t segment, struct token token,
		    struct range *range, struct error *reterr)
{
	uint32_t next = (uint32_t)(range_end(*range) - 1);
	const struct stretch *t;
	struct segment *g;
	bool gone;
	int rc;

	if (segment == 0)
		return 0;
	rc = segment_find(s, worker, segment, &g, reterr);
	if (rc < 0 || g->index_gone || g->index_empty || g->damaged > 0)
		return rc;
	t = stretches_find(&g->stretches, token);
	rc = read_stretch(s, g, token, *range, find_next, &next, &gone, reterr);
	if (rc < 0 || gone)
		return rc;
	*range = range_between(next, range_end(*range));
	if (t == NULL || (t->end - t->first) / OUTPUT_ENTRY_BYTES * SPARSE_SHARDS < range->count)
		range->count = range->count < SPARSE_SHARDS ? range->count : SPARSE_SHARDS;
	return 0;
}
