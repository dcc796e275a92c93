#include "dispatcher/api/segments.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uthash.h>

#include "base/check.h"

#define SEGMENTS_KEPT 8

/* Where the entries of a lease lie: [first, end) bytes, others may stand between. */
struct stretch {
	struct token token;
	uint64_t first, end;
	UT_hash_handle hh;
};

struct segment {
	struct uuid worker;
	uint32_t number; /* 0 = free */
	uint64_t used;
	uint8_t *data;
	size_t size;
	struct stretch *stretches;
};

struct segments {
	char *dir;
	uint64_t clock;
	struct segment kept[SEGMENTS_KEPT];
};

struct segments *segments_create(const char *output_dir)
{
	struct segments *s = check_calloc(1, sizeof(*s));

	s->dir = strdup(output_dir);
	CHECK(s->dir != NULL);
	return s;
}

static void segment_close(struct segment *g)
{
	struct stretch *t, *next;

	HASH_ITER (hh, g->stretches, t, next) {
		HASH_DELETE(hh, g->stretches, t);
		free(t);
	}
	if (g->size > 0)
		munmap(g->data, g->size);
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

int segments_open(struct segments *s, const struct uuid *worker, uint32_t segment, const char *kind,
		  int *ret_fd, struct error *reterr)
{
	char name[128], path[4096];
	int fd;

	output_path(worker, segment, kind, name, sizeof(name));
	snprintf(path, sizeof(path), "%s/%s", s->dir, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		int code = errno == ENOENT ? ERR_NOT_FOUND : ERR_IO;

		error_set(reterr, code, "an output cannot be read: %s", strerror(errno));
		error_where(reterr, "%s", path);
		return code;
	}
	*ret_fd = fd;
	return 0;
}

static void note_stretches(struct segment *g)
{
	struct stretch *t = NULL;

	for (size_t at = 0; at + OUTPUT_ENTRY_BYTES <= g->size; at += OUTPUT_ENTRY_BYTES) {
		struct output_entry e;
		struct token key = {0}; /* with its padding */

		if (output_entry_decode(g->data + at, &e) < 0)
			continue;
		key.epoch = e.token.epoch;
		key.lease = e.token.lease;
		if (t == NULL || t->token.lease != key.lease || t->token.epoch != key.epoch)
			HASH_FIND(hh, g->stretches, &key, sizeof(key), t);
		if (t == NULL) {
			t = check_calloc(1, sizeof(*t));
			t->token.epoch = key.epoch;
			t->token.lease = key.lease;
			t->first = at;
			HASH_ADD(hh, g->stretches, token, sizeof(t->token), t);
		}
		t->end = at + OUTPUT_ENTRY_BYTES;
	}
}

static int segment_load(struct segments *s, struct segment *g, const struct uuid *worker, uint32_t number,
			struct error *reterr)
{
	struct stat st;
	int fd, r = segments_open(s, worker, number, "idx", &fd, reterr);

	if (r == ERR_NOT_FOUND) {
		error_set(reterr, r, "an output is lost: segment %u of its worker is not there any more",
			  number);
		error_help(reterr, "was output/ cleared, or the worker's disk lost?");
	}
	if (r < 0)
		return r;
	if (fstat(fd, &st) == 0 && st.st_size > 0) {
		g->data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
		if (g->data == MAP_FAILED) {
			r = error_set(reterr, ERR_IO, "an output's index cannot be read: %s",
				      strerror(errno));
			close(fd);
			g->data = NULL;
			return r;
		}
		g->size = (size_t)st.st_size;
	}
	close(fd);
	g->worker = *worker;
	g->number = number;
	note_stretches(g);
	return 0;
}

static int segment_find(struct segments *s, const struct uuid *worker, uint32_t number, struct segment **ret,
			struct error *reterr)
{
	struct segment *g = &s->kept[0];
	int r;

	for (size_t i = 0; i < SEGMENTS_KEPT; i++) {
		struct segment *k = &s->kept[i];

		if (k->number == number && k->worker.hi == worker->hi && k->worker.lo == worker->lo) {
			k->used = ++s->clock;
			*ret = k;
			return 0;
		}
		if (k->used < g->used)
			g = k;
	}
	segment_close(g);
	r = segment_load(s, g, worker, number, reterr);
	if (r < 0)
		return r;
	g->used = ++s->clock;
	*ret = g;
	return 0;
}

static uint64_t file_size(const struct segments *s, const struct segment *g, const char *kind, char *path,
			  size_t size)
{
	char name[128];
	struct stat st;

	output_path(&g->worker, g->number, kind, name, sizeof(name));
	snprintf(path, size, "%s/%s", s->dir, name);
	return stat(path, &st) == 0 && S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
}

/* What an entry names has to lie in the segment's files, which may have been cut, or be gone. */
static int check_files(const struct segments *s, const struct segment *g, struct range range,
		       const struct output_entry *entries, struct error *reterr)
{
	char out[4096], err[4096];
	uint64_t out_size = file_size(s, g, "out", out, sizeof(out));
	uint64_t err_size = file_size(s, g, "err", err, sizeof(err));
	const struct output_entry *e = output_index_misfit(entries, range.count, out_size, err_size);
	bool is_out;

	if (e == NULL)
		return 0;
	is_out = !output_entry_fits(e, out_size, INT64_MAX);
	error_set(reterr, ERR_CORRUPT, "the output of shard %u is lost: it lies behind the end of its file",
		  (uint32_t)(range.first + (uint64_t)(e - entries)));
	error_where(reterr, "%s", is_out ? out : err);
	error_help(reterr, "somebody has removed or cut the file; run the shard again");
	return ERR_CORRUPT;
}

int segments_collect(struct segments *s, const struct uuid *worker, uint32_t segment, struct token token,
		     struct range range, struct output_entry *ret, struct error *reterr)
{
	struct segment *g;
	struct stretch *t = NULL;
	struct token key = {0};
	uint32_t damaged = 0;
	int r;

	if (segment == 0) /* none of them wrote anything */
		return 0;
	r = segment_find(s, worker, segment, &g, reterr);
	if (r < 0)
		return r;
	key.epoch = token.epoch;
	key.lease = token.lease;
	HASH_FIND(hh, g->stretches, &key, sizeof(key), t);
	if (t != NULL)
		output_index_collect(BYTES(g->data + t->first, t->end - t->first), token, range, ret,
				     &damaged);
	if (damaged > 0)
		return error_set(reterr, ERR_CORRUPT, "the index of an output segment is damaged");
	return t != NULL ? check_files(s, g, range, ret, reterr) : 0;
}
