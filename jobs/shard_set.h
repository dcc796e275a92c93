/* A set of shard numbers of one phase, 0..SHARDS_MAX-1. Pure, deterministic.
 *
 * Four forms, chosen by the set itself: empty and one interval live in the struct (no heap); more
 * intervals are a sorted vector; beyond SHARD_SET_INTERVALS_MAX of them it is a CRoaring bitmap,
 * and a vector again when few are left. The count is kept beside it. A set that receives 4·10^9
 * shards in order, or in reverse, is one interval all the time.
 *
 * Words: a run is a maximal interval of the set. n below is the number of runs, k the number of
 * runs that an operation touches, c the CRoaring containers (at most one per 65,536 numbers) it
 * touches. Costs: at either end of a vector O(1) amortised, in its middle O(log n + min(n, 1024));
 * in a bitmap O(log n + k log n + c). Single shards take c = 1.
 *
 * Ranges handed in lie below SHARDS_MAX: that is CHECKed, so what comes from outside is tested with
 * range_is_valid first. count 0 is allowed everywhere and touches nothing.
 * Not thread safe, not even for two readers of a set that somebody else changes. */
#pragma once

#include "base/error.h"
#include "jobs/range.h"

/* A set with more runs than this is a bitmap. The tests build it with a small number. */
#ifndef SHARD_SET_INTERVALS_MAX
#define SHARD_SET_INTERVALS_MAX 1024
#endif

enum shard_set_form {
	SHARD_SET_EMPTY,
	SHARD_SET_INTERVAL,
	SHARD_SET_VECTOR,
	SHARD_SET_BITMAP,
};

struct shard_vector;
struct shard_bitmap;

/* All zero bytes are an empty set. Holders read the count with shard_set_count. */
struct shard_set {
	union {
		uint32_t first; /* INTERVAL: the first of count numbers */
		struct shard_vector *vector;
		struct shard_bitmap *bitmap;
	};
	uint32_t count;
	uint8_t form; /* enum shard_set_form */
};

void shard_set_init(struct shard_set *s);
/* Frees what it holds; the set is empty and may be used again. */
void shard_set_fini(struct shard_set *s);
void shard_set_clear(struct shard_set *s);
/* dst becomes equal to src (it is an initialised set; what it held is freed). */
void shard_set_copy(struct shard_set *dst, const struct shard_set *src);

/* How many were not in the set before. */
uint32_t shard_set_add(struct shard_set *s, uint32_t first, uint32_t count);
/* How many were in the set before. */
uint32_t shard_set_remove(struct shard_set *s, uint32_t first, uint32_t count);
/* The first run, cut to its first max shards, leaves the set. count 0 when the set is empty or max
 * is 0. */
struct range shard_set_take_first(struct shard_set *s, uint32_t max);

/* s becomes s ∪ other, s \ other; the numbers added or removed. O(runs of other), resp. a merge
 * walk that skips what does not meet. other may be s. */
uint32_t shard_set_unite(struct shard_set *s, const struct shard_set *other);
uint32_t shard_set_subtract(struct shard_set *s, const struct shard_set *other);

static inline uint32_t shard_set_count(const struct shard_set *s)
{
	return s->count;
}

static inline bool shard_set_is_empty(const struct shard_set *s)
{
	return s->count == 0;
}

bool shard_set_contains(const struct shard_set *s, uint32_t shard);
/* The smallest number, written to *ret; false (nothing written) when the set is empty. O(1). */
bool shard_set_peek_first(const struct shard_set *s, uint32_t *ret);
/* The first run at or after from; one that began before is cut at from. False (nothing written)
 *when there is none. Walk a set, which must not change meanwhile, with for (uint64_t at = 0;
 *shard_set_next_range(s, at, &r); at = range_end(r)) from may be anything, also SHARDS_MAX and
 *more. */
bool shard_set_next_range(const struct shard_set *s, uint64_t from, struct range *ret);
/* The first number in [from, limit) that is not in the set; limit when all are (or from >= limit).
 */
uint64_t shard_set_next_absent(const struct shard_set *s, uint64_t from, uint64_t limit);
/* How many numbers of r are in the set. */
uint32_t shard_set_intersect_count(const struct shard_set *s, struct range r);
/* Both are as one expects of an empty r: none of it is in the set, all of it is. */
bool shard_set_contains_any(const struct shard_set *s, struct range r);
bool shard_set_contains_all(const struct shard_set *s, struct range r);
bool shard_set_equal(const struct shard_set *a, const struct shard_set *b);

/* Runs in the set. O(1). */
uint32_t shard_set_run_count(const struct shard_set *s);
/* Heap bytes it holds, for JOB_STATE_BYTES_MAX. O(1): for a bitmap an estimate, as of at most some
 * thousand changes ago. */
size_t shard_set_bytes(const struct shard_set *s);
enum shard_set_form shard_set_form(const struct shard_set *s);

/* Runs at or after *cursor into out, at most max of them, in order; their number. *cursor moves
 * behind the last: start it at 0, call again until less than max come. Between two calls the set
 * may change: what a call gives was true when it was made, of the numbers from its cursor up to the
 * next one. */
size_t shard_set_ranges(const struct shard_set *s, uint64_t *cursor, struct range out[], size_t max);
/* Of the window's numbers, exactly those in ranges are in the set afterwards; others keep their
 * place. The ranges are in order, do not overlap and lie in the window, else ERR_INVALID, and the
 * set is as it was. Applying it to a set that already agrees changes nothing. */
int shard_set_replace(struct shard_set *s, struct range window, const struct range ranges[],
		      size_t range_count, struct error *reterr) MUST_CHECK;

/* CHECKs the invariants: order, no runs that touch, the counts, the form. O(n + c). */
void shard_set_check(const struct shard_set *s);
