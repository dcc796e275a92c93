/* What people call the shards of an array: with --array 5-9 the first one is 5, and the API's shard 0. */
#pragma once

#include "base/buf.h"
#include "base/error.h"

struct plan;
struct definition;

struct numbers {
	struct plan *plan;	 /* NULL: shards are called as the API calls them */
	struct definition *from; /* holds what the plan names */
};

/* array: of a job, as the API tells it; may be empty. What this build cannot read is as if it were. */
void numbers_init(struct numbers *n, struct bytes array);
void numbers_fini(struct numbers *n);
/* Has it numbers of its own? */
bool numbers_differ(const struct numbers *n);
int64_t numbers_of(const struct numbers *n, uint64_t shard);
/* Appends "5", "5-9", "1-9:2": of shards that follow each other. */
void numbers_add(const struct numbers *n, uint64_t first, uint64_t count, struct buf *out);
/* The same in a few words: "5 to 9". */
void numbers_words(const struct numbers *n, uint64_t first, uint64_t count, struct buf *out);
/* ERR_INVALID, in words: there is no such number. */
int numbers_find(const struct numbers *n, uint64_t number, uint64_t *ret, struct error *reterr) MUST_CHECK;
