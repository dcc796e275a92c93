/* Deduplication keys in buckets of time: 128 bits and the first job that they made. Durable. Pure.
 * A bucket is sealed when its keys are in a file (decide/seal.c): then it goes.
 * Memory: 32 bytes and about 8 of index an entry. */
#pragma once

#include "dispatcher/core/durable/state.h"

#define DEDUP_BUCKETS 24	  /* in a window */
#define DEDUP_BUCKETS_IN_MEMORY 2 /* the newest; others are to be sealed */

/* NULL when it is not known. O(buckets). */
const struct dedup_item *dedup_find(const struct dedup *t, uint64_t hi, uint64_t lo);
struct dedup_bucket *dedup_bucket_find(const struct dedup *t, usec_t start_us);
/* The first that did not begin before; NULL: there is none. */
struct dedup_bucket *dedup_bucket_from(const struct dedup *t, usec_t start_us);
const struct dedup_item *dedup_item_at(const struct dedup_bucket *b, uint32_t i);

/* Keys of buckets that began before are out of the window at wall_us. */
usec_t dedup_window_begin(usec_t wall_us, usec_t window_us);
/* Where a key that comes at wall_us goes, so that no bucket holds more than bucket_max (0: 2 / DEDUP_BUCKETS
 * of max);
 * and which buckets go then: those out of the window, and the oldest beyond max entries. *shortened_us
 * (0 = no) says how far back keys are known when the bound, not the window, dropped them. */
void dedup_place(const struct dedup *t, usec_t wall_us, usec_t window_us, uint32_t max, uint32_t bucket_max,
		 usec_t *bucket_us, usec_t *forget_before_us, usec_t *shortened_us);
