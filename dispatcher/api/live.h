/* Looking on while attempts write: the notes that workers keep of what runs (jobs/output_index.h), and the
 * bytes of one attempt, as far as they have come. What is read is of that attempt or it is not given. A
 * worker whose outputs cannot be seen here, or that keeps no notes, has nothing to show. */
#pragma once

#include "jobs/output_index.h"

struct live_note {
	uint32_t place;
	struct output_note note;
};

/* The notes of a worker, whatever they name, in ret[max]; their number. */
size_t live_notes(const char *output_dir, const struct uuid *worker, struct live_note ret[], size_t max);
/* What the attempt has written so far, of each stream; false: it has ended meanwhile. */
bool live_sizes(const char *output_dir, const struct uuid *worker, const struct live_note *n,
		uint64_t *out_ret, uint64_t *err_ret) MUST_CHECK;
/* What is read. */
struct live_query {
	struct token token;
	uint32_t shard;
	bool err;
	uint64_t from; /* byte */
};

/* Bytes of one stream of an attempt that runs, at most max; *size_ret is 0 at its present end. ERR_NOT_FOUND:
 * no note names it, or it has ended while it was read. */
int live_read(const char *output_dir, const struct uuid *worker, const struct live_query *q, char *ret,
	      size_t max, size_t *size_ret) MUST_CHECK;
/* The same of an attempt that has ended a moment ago: its entry is among the last of its segment's index.
 * ERR_NOT_FOUND: it is not, so that nobody knows where its bytes end. */
int live_read_ended(const char *output_dir, const struct uuid *worker, uint32_t segment,
		    const struct live_query *q, char *ret, size_t max, size_t *size_ret) MUST_CHECK;
