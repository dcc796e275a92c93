/* Indexes of output segments, as a gather reads them: the few that were used last are kept, since its
 * winners take turns between the slots that ran them. */
#pragma once

#include "base/error.h"
#include "jobs/slice.h"

struct segment_indexes;

/* output_root must outlive it. */
struct segment_indexes *segment_indexes_create(const char *output_root);
void segment_indexes_destroy(struct segment_indexes *s); /* NULL is fine */

/* The part of the winner's index that holds its token's entries, for output_index_collect; empty when it
 * wrote nothing. Lives until the next call. ERR_CORRUPT: the index is damaged, or is not there although the
 * winner names a segment; ERR_IO. */
int segment_indexes_find(struct segment_indexes *s, const struct slice_winner *w, struct bytes *ret,
			 struct error *reterr) MUST_CHECK;
