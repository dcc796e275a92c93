/* Indexes of output segments, as a gather reads them: the few that were used last are kept, since its
 * winners take turns between the slots that ran them. */
#pragma once

#include "base/error.h"
#include "jobs/slice.h"

struct segment_indexes;

/* output_root must outlive it. */
struct segment_indexes *segment_indexes_create(const char *output_root);
void segment_indexes_destroy(struct segment_indexes *s); /* NULL is fine */

struct segment_view {
	struct bytes entries; /* the part of the index that holds the token's, for output_index_collect */
	uint32_t damaged;     /* entries of the index, of whatever token */
	uint64_t
	    out_size; /* of the segment's stdout; what the index names had been written when it was read */
	bool out_gone;
};

/* What is there of the winner's segment; entries are empty when it wrote nothing. Lives until the next call.
 * ERR_CORRUPT: the winner names a segment whose index is gone or empty, so that its outputs are lost; ERR_IO.
 */
int segment_indexes_find(struct segment_indexes *s, const struct slice_winner *w, struct segment_view *ret,
			 struct error *reterr) MUST_CHECK;
/* Fills reterr for shards whose outputs are lost; returns ERR_CORRUPT. */
int segment_indexes_lost(const struct segment_indexes *s, const struct slice_winner *w, const char *kind,
			 struct range shards, const char *why, struct error *reterr);
