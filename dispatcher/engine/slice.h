/* The values of just the leased shards: what a slice of a lease is made of. Pure: what it reads comes by two
 * functions, so that it can be cut in any thread. */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "jobs/schema.h"

/* Who made which shards; those that nobody made are missing. */
struct slice_source_winner {
	struct range shards;
	bool is_missing, whole;
	struct uuid worker;
	struct token token;
	uint32_t segment;
};
/* Negative ends the walk and is what it returns. */
typedef int slice_winner_fn(void *arg, const struct slice_source_winner *w);

struct slice_sources {
	/* Items [first, first + count) of a plan blob, in the arena: as many as fit, one at least. */
	int (*items)(void *arg, struct bytes blob, uint32_t first, uint32_t count, size_t bytes_max,
		     struct arena *arena, struct text_item *items, uint32_t *ret_count, struct error *reterr);
	/* What became of the shards of a phase. */
	int (*winners)(void *arg, uint64_t job, uint32_t phase, struct range shards, slice_winner_fn *fn,
		       void *fn_arg, struct error *reterr);
	void *arg;
};

struct slice_request {
	uint64_t job;
	uint32_t phase;
	struct range shards;
	struct plan plan;
	size_t bytes_max;
};

/* Do the shards of the plan need a slice? Must it be read, or does the plan itself hold it? */
bool slice_is_needed(const struct plan *plan);
bool slice_is_read(const struct plan *plan);
/* Appends the slice of the first *ret_count shards to out, encoded: as many as fit, one at least. sources:
 * NULL if nothing is read. ERR_LIMIT when one alone does not fit a frame, ERR_CORRUPT, or what the sources
 * return. */
int slice_cut(const struct slice_request *rq, const struct slice_sources *sources, struct buf *out,
	      uint32_t *ret_count, struct error *reterr) MUST_CHECK;
