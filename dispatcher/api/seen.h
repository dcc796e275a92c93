/* Which attempts somebody has looked at while they ran, and which worker ran them: the core names a failed
 * one whose shard is run again no more, and who looked on wants its last words. The newest SEEN_MAX, in
 * memory only. */
#pragma once

#include "jobs/output_index.h"

#define SEEN_MAX 4096u

struct seen_attempt {
	struct token token;
	uint32_t shard;
	uint64_t job;
	struct uuid worker;
};

struct seen;

struct seen *seen_create(void) MUST_CHECK;
void seen_destroy(struct seen *s); /* NULL is fine */
void seen_remember(struct seen *s, const struct seen_attempt *a);
/* NULL: it was never seen, or is forgotten. Borrowed until the next call. */
const struct seen_attempt *seen_find(const struct seen *s, struct token token, uint32_t shard);
