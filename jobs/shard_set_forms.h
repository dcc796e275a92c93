/* The two heap forms of a shard set, for shard_set*.c only. Pure.
 * Ranges handed in are not empty and lie below SHARDS_MAX. Each form counts its own runs;
 * shard_set.c counts the shards and decides on the form. */
#pragma once

#include "jobs/range.h"

/* Sorted runs that neither overlap nor touch, with room on both sides: runs[head, head + length).
 */
struct shard_vector {
	uint32_t head;
	uint32_t length;
	uint32_t capacity;
	struct range runs[];
};

struct shard_vector *shard_vector_create(const struct range runs[], uint32_t run_count) MUST_CHECK;
/* The number of shards added or removed. The vector may move; it may be left with no run. */
uint32_t shard_vector_add(struct shard_vector **v, struct range r);
uint32_t shard_vector_remove(struct shard_vector **v, struct range r);
/* The first run, counted from 0, that ends behind at; length when there is none. */
uint32_t shard_vector_find(const struct shard_vector *v, uint64_t at);

static inline const struct range *shard_vector_runs(const struct shard_vector *v)
{
	return v->runs + v->head;
}

struct roaring_bitmap_s;

struct shard_bitmap {
	struct roaring_bitmap_s *bits;
	uint32_t runs;
	uint32_t count;
	/* As of the last run_optimize, lowered when the set shrinks: it is due when either doubles.
	 */
	uint32_t mark_runs;
	uint32_t mark_count;
	uint32_t change_count; /* since bytes was measured */
	size_t bytes;
};

/* False in a program that was linked without CRoaring (shard_set_no_bitmap.c). */
bool shard_bitmap_available(void);
struct shard_bitmap *shard_bitmap_create(const struct range runs[], uint32_t run_count) MUST_CHECK;
struct shard_bitmap *shard_bitmap_copy(const struct shard_bitmap *b) MUST_CHECK;
void shard_bitmap_destroy(struct shard_bitmap *b);
uint32_t shard_bitmap_add(struct shard_bitmap *b, struct range r);
uint32_t shard_bitmap_remove(struct shard_bitmap *b, struct range r);
bool shard_bitmap_contains(const struct shard_bitmap *b, uint32_t shard);
uint32_t shard_bitmap_first(const struct shard_bitmap *b);
/* The first run that has a number in [from, limit), cut to it; limit <= SHARDS_MAX. */
bool shard_bitmap_next(const struct shard_bitmap *b, uint64_t from, uint64_t limit, struct range *ret);
bool shard_bitmap_equal(const struct shard_bitmap *a, const struct shard_bitmap *b);
void shard_bitmap_check(const struct shard_bitmap *b);
