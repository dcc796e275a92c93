#include "dispatcher/dedup/key_build.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"

#define PACE_US (20 * USEC_PER_MSEC) /* rests are not shorter */

static int compare(const void *a, const void *b)
{
	const struct key_entry *x = a, *y = b;

	if (x->hi != y->hi)
		return x->hi < y->hi ? -1 : 1;
	return x->lo < y->lo ? -1 : x->lo > y->lo;
}

int key_build(const char *dir, uint32_t number, usec_t first_us, usec_t last_us, struct key_entry *entries,
	      size_t count, struct key_file **ret, struct error *reterr)
{
	struct key_writer *w;
	int rc = key_writer_open(dir, number, count, &w, reterr);

	if (rc < 0)
		return rc;
	qsort(entries, count, sizeof(*entries), compare);
	for (size_t i = 0; i < count && rc == 0; i++)
		rc = key_writer_add(w, &entries[i], reterr);
	if (rc == 0)
		return key_writer_close(w, first_us, last_us, ret, reterr);
	key_writer_abort(w);
	return rc;
}

/* ---- two files ---- */

struct source {
	struct key_file *file;
	uint64_t block; /* the next one */
	struct key_entry entries[KEY_BLOCK_ENTRIES];
	uint32_t at, count;
};

/* *ret: NULL at the end. */
static int peek(struct source *s, const struct key_entry **ret, struct error *reterr)
{
	while (s->at == s->count && s->block < s->file->block_count) {
		int rc = key_file_read_block(s->file, s->block++, s->entries, &s->count, reterr);

		if (rc < 0)
			return rc;
		s->at = 0;
	}
	*ret = s->at < s->count ? &s->entries[s->at] : NULL;
	return 0;
}

/* The next of both; of a key that both have, what the newer one says. */
static int take(struct source *older, struct source *newer, struct key_entry *ret, bool *ret_any,
		struct error *reterr)
{
	const struct key_entry *a, *b;
	int rc = peek(older, &a, reterr), order;

	if (rc == 0)
		rc = peek(newer, &b, reterr);
	if (rc < 0)
		return rc;
	*ret_any = a != NULL || b != NULL;
	if (!*ret_any)
		return 0;
	order = a == NULL ? 1 : b == NULL ? -1 : compare(a, b);
	*ret = order < 0 ? *a : *b;
	older->at += order <= 0;
	newer->at += order >= 0;
	return 0;
}

/* Others need the disk, too. */
static void pace(uint64_t bytes, uint64_t bytes_per_second, usec_t begin_us)
{
	usec_t due_us = begin_us + (usec_t)(bytes * USEC_PER_SEC / bytes_per_second),
	       now_us = clock_mono_us();

	if (due_us - now_us > PACE_US)
		(void)usleep((useconds_t)(due_us - now_us));
}

static int merge_all(struct key_writer *w, struct source *older, struct source *newer,
		     usec_t forget_before_us, uint64_t bytes_per_second, const _Atomic bool *cancelled,
		     struct error *reterr)
{
	usec_t begin_us = clock_mono_us();
	uint64_t paced = 0;
	int rc = 0;

	while (rc == 0) {
		struct key_entry e;
		bool any;

		rc = take(older, newer, &e, &any, reterr);
		if (rc < 0 || !any)
			break;
		if ((usec_t)e.bucket_s * USEC_PER_SEC >= forget_before_us)
			rc = key_writer_add(w, &e, reterr);
		if (key_writer_bytes(w) == paced)
			continue;
		paced = key_writer_bytes(w);
		pace(paced, bytes_per_second, begin_us);
		if (atomic_load(cancelled))
			return error_set(reterr, ERR_CLOSED, "the dispatcher stops");
	}
	return rc;
}

int key_merge(const char *dir, uint32_t number, struct key_file *older, struct key_file *newer,
	      usec_t forget_before_us, uint64_t bytes_per_second, const _Atomic bool *cancelled,
	      struct key_file **ret, struct error *reterr)
{
	struct source *sources = check_calloc(2, sizeof(*sources));
	struct key_writer *w;
	int rc = key_writer_open(dir, number, older->keys + newer->keys, &w, reterr);

	if (rc == 0) {
		sources[0].file = older;
		sources[1].file = newer;
		rc = merge_all(w, &sources[0], &sources[1], forget_before_us, bytes_per_second, cancelled,
			       reterr);
		if (rc == 0)
			rc = key_writer_close(w, older->first_us, newer->last_us, ret, reterr);
		else
			key_writer_abort(w);
	}
	free(sources);
	return rc;
}
