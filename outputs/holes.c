#include "outputs/holes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/array.h"

#define PAGE_BYTES 4096u /* holes in smaller parts give nothing back */
#define BLOCK_ENTRIES 1024u

/* What is needed of a file. */
struct stretch_list {
	struct piece {
		uint64_t first, end;
	} * items;
	size_t count, room;
};

enum { OUT, ERR, IDX, FILES };

struct holes {
	int fds[FILES]; /* -1: there is none */
	uint64_t sizes[FILES];
	mode_t idx_mode;
	struct stretch_list needed[FILES];
	holes_needed_fn *is_needed;
	void *arg;
	bool damaged;
};

static const char *const kinds[FILES] = {"out", "err", "idx"};

static int failed(const char *what, struct error *reterr)
{
	return error_set(reterr, ERR_IO, "%s of an output segment: %s", what, strerror(errno));
}

static void need(struct stretch_list *list, uint64_t first, uint64_t length)
{
	struct piece *last = list->count > 0 ? &list->items[list->count - 1] : NULL;

	if (length == 0)
		return;
	if (last != NULL && last->end == first) {
		last->end += length;
		return;
	}
	ARRAY_GROW(list->items, list->room, list->count);
	list->items[list->count++] = (struct piece){first, first + length};
}

/* ---- what is needed ---- */

static void take_entry(struct holes *h, const uint8_t *entry, uint64_t at)
{
	static const uint8_t none[OUTPUT_ENTRY_BYTES];
	struct output_entry e;

	if (memcmp(entry, none, sizeof(none)) == 0)
		return;
	if (output_entry_decode(entry, &e) < 0) {
		h->damaged = true;
		return;
	}
	if (!h->is_needed(h->arg, e.token))
		return;
	need(&h->needed[IDX], at, OUTPUT_ENTRY_BYTES);
	need(&h->needed[OUT], e.out_offset, e.out_length);
	need(&h->needed[ERR], e.err_offset, e.err_length);
}

static int read_entries(struct holes *h, struct error *reterr)
{
	uint8_t *block = check_calloc(BLOCK_ENTRIES, OUTPUT_ENTRY_BYTES);
	size_t size = BLOCK_ENTRIES * OUTPUT_ENTRY_BYTES;
	ssize_t got = 0;

	for (uint64_t at = 0;; at += (uint64_t)got) {
		got = pread(h->fds[IDX], block, size, (off_t)at);
		got -= got > 0 ? got % OUTPUT_ENTRY_BYTES : 0;
		for (ssize_t i = 0; i < got; i += OUTPUT_ENTRY_BYTES)
			take_entry(h, block + i, at + (uint64_t)i);
		if (got <= 0)
			break;
	}
	free(block);
	return got < 0 ? failed("the index cannot be read", reterr) : 0;
}

static int compare(const void *a, const void *b)
{
	const struct piece *x = a, *y = b;

	return x->first < y->first ? -1 : x->first > y->first;
}

/* ---- what is not ---- */

/* A part of a file that nobody needs. Negative ends it. */
typedef int gap_fn(struct holes *h, int file, uint64_t first, uint64_t end, void *arg);

static int for_gaps(struct holes *h, int file, gap_fn *fn, void *arg)
{
	const struct stretch_list *list = &h->needed[file];
	uint64_t at = 0;
	int rc = 0;

	for (size_t i = 0; i < list->count && rc == 0; i++) {
		if (list->items[i].first >= at + PAGE_BYTES)
			rc = fn(h, file, at, list->items[i].first, arg);
		if (list->items[i].end > at)
			at = list->items[i].end;
	}
	if (rc == 0 && h->sizes[file] >= at + PAGE_BYTES)
		rc = fn(h, file, at, h->sizes[file], arg);
	return rc;
}

static int count_gap(struct holes *h, int file, uint64_t first, uint64_t end, void *arg)
{
	uint64_t from = (first + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
	uint64_t to = end < h->sizes[file] ? end / PAGE_BYTES * PAGE_BYTES : end;

	*(uint64_t *)arg += to > from ? to - from : 0;
	return 0;
}

static int punch_gap(struct holes *h, int file, uint64_t first, uint64_t end, void *arg)
{
	(void)arg;
	return fallocate(h->fds[file], FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)first,
			 (off_t)(end - first));
}

/* ---- a segment ---- */

static int taken_bytes(struct holes *h, uint64_t *ret, struct error *reterr)
{
	*ret = 0;
	for (int f = 0; f < FILES; f++) {
		struct stat st;

		if (h->fds[f] < 0)
			continue;
		if (fstat(h->fds[f], &st) < 0)
			return failed("the size cannot be seen", reterr);
		h->sizes[f] = (uint64_t)st.st_size;
		*ret += (uint64_t)st.st_blocks * 512;
		if (f == IDX)
			h->idx_mode = st.st_mode;
	}
	return 0;
}

/* The mark is on the disk before the first entry is gone. */
static int mark(struct holes *h)
{
	if ((h->idx_mode & OUTPUT_INDEX_HOLES) != 0)
		return 0;
	if (fchmod(h->fds[IDX], (h->idx_mode & 07777) | OUTPUT_INDEX_HOLES) < 0)
		return -1;
	return fsync(h->fds[IDX]);
}

static int punch(struct holes *h, struct holes_made *ret, struct error *reterr)
{
	uint64_t left;
	int rc = mark(h);

	for (int f = FILES - 1; f >= 0 && rc == 0; f--)
		if (h->fds[f] >= 0)
			rc = for_gaps(h, f, punch_gap, NULL);
	if (rc < 0 && (errno == EOPNOTSUPP || errno == EPERM || errno == EACCES || errno == EROFS)) {
		ret->unable = true;
		return 0;
	}
	if (rc < 0)
		return failed("a hole cannot be made in a file", reterr);
	rc = taken_bytes(h, &left, reterr);
	if (rc == 0 && left < ret->taken_bytes)
		ret->given_back_bytes = ret->taken_bytes - left;
	return rc;
}

static int open_files(struct holes *h, const char *output_dir, const struct uuid *worker, uint32_t segment,
		      struct error *reterr)
{
	for (int f = FILES - 1; f >= 0; f--) {
		char name[128], path[4096];
		int code;

		output_path(worker, segment, kinds[f], name, sizeof(name));
		snprintf(path, sizeof(path), "%s/%s", output_dir, name);
		h->fds[f] = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
		if (h->fds[f] >= 0 || (errno == ENOENT && f != IDX))
			continue;
		code = errno == ENOENT || errno == ENOTDIR ? ERR_NOT_FOUND : ERR_IO;
		error_set(reterr, code, "an output segment cannot be opened: %s", strerror(errno));
		(void)error_where(reterr, "%s", path);
		return code;
	}
	return 0;
}

static int look(struct holes *h, struct holes_made *ret, struct error *reterr)
{
	uint64_t whole = 0, dead = 0;
	int rc = taken_bytes(h, &ret->taken_bytes, reterr);

	if (rc == 0)
		rc = read_entries(h, reterr);
	if (rc < 0)
		return rc;
	if (h->damaged) {
		ret->unable = true;
		return 0;
	}
	for (int f = 0; f < FILES; f++) {
		if (h->needed[f].count > 1)
			qsort(h->needed[f].items, h->needed[f].count, sizeof(struct piece), compare);
		(void)for_gaps(h, f, count_gap, &dead);
		whole += h->sizes[f];
	}
	/* Holes that are there already are no gain. */
	ret->dead_bytes = whole - dead < ret->taken_bytes ? ret->taken_bytes - (whole - dead) : 0;
	return ret->dead_bytes > ret->taken_bytes / 2 ? punch(h, ret, reterr) : 0;
}

int holes_make(const char *output_dir, const struct uuid *worker, uint32_t segment, holes_needed_fn *needed,
	       void *arg, struct holes_made *ret, struct error *reterr)
{
	struct holes h = {.fds = {-1, -1, -1}, .is_needed = needed, .arg = arg};
	int rc = open_files(&h, output_dir, worker, segment, reterr);

	*ret = (struct holes_made){0};
	if (rc == 0)
		rc = look(&h, ret, reterr);
	for (int f = 0; f < FILES; f++) {
		if (h.fds[f] >= 0)
			close(h.fds[f]);
		free(h.needed[f].items);
	}
	return rc;
}
