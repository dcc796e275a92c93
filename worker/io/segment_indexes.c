#include "worker/io/segment_indexes.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/check.h"
#include "base/fs.h"
#include "base/limits.h"
#include "jobs/output_index.h"

#define KEPT 8
#define INDEX_BYTES_MAX (4 * GIB)

/* From a token's first entry to its last. A slot runs one lease after the other: there is hardly another's
 * between them. */
struct stretch {
	struct token token;
	size_t first, end; /* bytes */
};

struct segment_index {
	struct uuid worker;
	uint32_t segment; /* 0: none is here */
	uint64_t used;
	struct buf data;
	struct stretch *stretches;
	size_t stretch_count;
	uint32_t damaged;
	uint64_t out_size;
	bool out_gone;
};

struct segment_indexes {
	const char *root;
	uint64_t uses;
	struct segment_index kept[KEPT];
};

struct segment_indexes *segment_indexes_create(const char *output_root)
{
	struct segment_indexes *s = check_calloc(1, sizeof *s);

	s->root = output_root;
	return s;
}

static void forget(struct segment_index *x)
{
	buf_fini(&x->data);
	free(x->stretches);
	*x = (struct segment_index){0};
}

void segment_indexes_destroy(struct segment_indexes *s)
{
	for (size_t i = 0; s != NULL && i < KEPT; i++)
		forget(&s->kept[i]);
	free(s);
}

static bool is_of(const struct stretch *t, struct token token)
{
	return t->token.epoch == token.epoch && t->token.lease == token.lease;
}

/* Returns how many entries are damaged. */
static uint32_t note_stretches(struct segment_index *x)
{
	size_t room = 0;
	uint32_t damaged = 0;

	for (size_t at = 0; at < x->data.size; at += OUTPUT_ENTRY_BYTES) {
		struct stretch *last = x->stretch_count > 0 ? &x->stretches[x->stretch_count - 1] : NULL;
		struct output_entry e;

		if (output_entry_decode(x->data.data + at, &e) < 0) {
			damaged++;
			continue;
		}
		if (last != NULL && is_of(last, e.token)) {
			last->end = at + OUTPUT_ENTRY_BYTES;
			continue;
		}
		if (x->stretch_count == room) {
			room = room == 0 ? 64 : 2 * room;
			x->stretches = check_realloc(x->stretches, room, sizeof *x->stretches);
		}
		x->stretches[x->stretch_count++] = (struct stretch){e.token, at, at + OUTPUT_ENTRY_BYTES};
	}
	return damaged;
}

static int by_token(const void *a, const void *b)
{
	const struct stretch *x = a, *y = b;

	if (x->token.epoch != y->token.epoch)
		return x->token.epoch < y->token.epoch ? -1 : 1;
	return x->token.lease < y->token.lease ? -1 : x->token.lease > y->token.lease;
}

/* One for each token, in order. */
static void sort_stretches(struct segment_index *x)
{
	size_t count = 0;

	if (x->stretch_count > 0)
		qsort(x->stretches, x->stretch_count, sizeof *x->stretches, by_token);
	for (size_t i = 0; i < x->stretch_count; i++) {
		struct stretch *t = &x->stretches[i], *last = count > 0 ? &x->stretches[count - 1] : NULL;

		if (last == NULL || !is_of(last, t->token)) {
			x->stretches[count++] = *t;
			continue;
		}
		last->first = t->first < last->first ? t->first : last->first;
		last->end = t->end > last->end ? t->end : last->end;
	}
	x->stretch_count = count;
}

int segment_indexes_lost(const struct segment_indexes *s, const struct slice_winner *w, const char *kind,
			 struct range shards, const char *why, struct error *reterr)
{
	char relative[128];

	if (shards.count == 1)
		error_set(reterr, ERR_CORRUPT, "the output of shard %u is lost: %s", shards.first, why);
	else
		error_set(reterr, ERR_CORRUPT, "the outputs of shards %u to %u are lost: %s", shards.first,
			  shards.first + (shards.count - 1), why);
	error_help(reterr, "`shardmill retry` of the job runs what is lost again");
	output_path(&w->worker, w->segment, kind, relative, sizeof relative);
	error_where(reterr, "%s/%s", s->root, relative);
	return ERR_CORRUPT;
}

static int load(struct segment_indexes *s, struct segment_index *x, const struct slice_winner *w,
		struct error *reterr)
{
	const struct range shards = {w->first, w->count};
	char relative[128], path[4096];
	struct stat st;
	int rc;

	forget(x);
	output_path(&w->worker, w->segment, "idx", relative, sizeof relative);
	snprintf(path, sizeof path, "%s/%s", s->root, relative);
	rc = fs_read_file(path, INDEX_BYTES_MAX, &x->data, reterr);
	if (rc == ERR_NOT_FOUND) {
		segment_indexes_lost(s, w, "idx", shards, "the segment's index is gone", reterr);
		return error_help(reterr, "if output_dir is the same directory for all workers, `shardmill "
					  "retry` of the job runs what is lost again");
	}
	if (rc < 0)
		return rc;
	x->data.size = output_index_size(buf_bytes(&x->data));
	if (x->data.size == 0)
		return segment_indexes_lost(s, w, "idx", shards, "the segment's index is empty", reterr);
	x->damaged = note_stretches(x);
	sort_stretches(x);
	output_path(&w->worker, w->segment, "out", relative, sizeof relative);
	snprintf(path, sizeof path, "%s/%s", s->root, relative);
	if (stat(path, &st) < 0) {
		if (errno != ENOENT && errno != ENOTDIR) {
			error_set(reterr, error_code_of_errno(errno), "an output cannot be read: %s",
				  strerror(errno));
			return error_where(reterr, "%s", path);
		}
		x->out_gone = true;
	}
	x->out_size = x->out_gone ? 0 : (uint64_t)st.st_size;
	x->worker = w->worker;
	x->segment = w->segment;
	return 0;
}

/* It, when it is kept; else the one that was used longest ago. */
static struct segment_index *place_of(struct segment_indexes *s, const struct slice_winner *w)
{
	struct segment_index *oldest = &s->kept[0];

	for (size_t i = 0; i < KEPT; i++) {
		struct segment_index *x = &s->kept[i];

		if (x->segment == w->segment && x->worker.hi == w->worker.hi && x->worker.lo == w->worker.lo)
			return x;
		oldest = x->used < oldest->used ? x : oldest;
	}
	return oldest;
}

int segment_indexes_find(struct segment_indexes *s, const struct slice_winner *w, struct segment_view *ret,
			 struct error *reterr)
{
	struct stretch key = {.token = w->token};
	const struct stretch *t = NULL;
	struct segment_index *x;
	int rc = 0;

	*ret = (struct segment_view){0};
	if (w->segment == 0)
		return 0;
	x = place_of(s, w);
	if (x->segment != w->segment || x->worker.hi != w->worker.hi || x->worker.lo != w->worker.lo)
		rc = load(s, x, w, reterr);
	if (rc < 0) {
		forget(x);
		return rc;
	}
	x->used = ++s->uses;
	if (x->stretch_count > 0)
		t = bsearch(&key, x->stretches, x->stretch_count, sizeof *x->stretches, by_token);
	if (t != NULL)
		ret->entries = BYTES(x->data.data + t->first, t->end - t->first);
	ret->damaged = x->damaged;
	ret->out_size = x->out_size;
	ret->out_gone = x->out_gone;
	return 0;
}
