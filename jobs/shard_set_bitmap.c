#include "jobs/shard_set_forms.h"

#include <stdlib.h>

#include <roaring/roaring.h>

#include "base/check.h"

/* Changes after which bytes is measured again: a walk of at most 65,536 containers. */
#define MEASURE_AFTER 4096u
/* A small bitmap is shrunk before it is measured: half of it may be room to grow. */
#define SHRINK_CONTAINERS_MAX 16
/* No run_optimize below these: a container of 65,536 numbers has at most 8 KiB to give back. */
#define MARK_RUNS_MIN 1024u
#define MARK_COUNT_MIN 65536u
/* What a container costs beside its content: its struct, its three entries in the array of
 * containers (with the room it grows into), two malloc headers. */
#define CONTAINER_BYTES 64u

#ifndef ROARING_ITERATOR_INIT /* before CRoaring 4; meson.build looks */
#define roaring_iterator_init roaring_init_iterator
#define roaring_uint32_iterator_move_equalorlarger roaring_move_uint32_iterator_equalorlarger
#endif

static uint32_t larger(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

static void bitmap_measure(struct shard_bitmap *b)
{
	if (b->bits->high_low_container.size <= SHRINK_CONTAINERS_MAX)
		(void)roaring_bitmap_shrink_to_fit(b->bits);
	/* Not roaring_bitmap_statistics, which visits every number. */
	b->bytes = sizeof(*b) + sizeof(*b->bits) +
		   (size_t)b->bits->high_low_container.size * CONTAINER_BYTES +
		   roaring_bitmap_portable_size_in_bytes(b->bits);
	b->change_count = 0;
}

/* CRoaring never changes the kind of a run container by itself, and turns none into one: numbers
 * added one by one stay an array or a bitset, numbers removed one by one leave runs larger than a
 * bitset. Looking again when the set or its runs have doubled keeps both in proportion, for a
 * constant each. */
static void bitmap_settle(struct shard_bitmap *b)
{
	if (b->runs / 2 >= b->mark_runs || b->count / 2 >= b->mark_count) {
		roaring_bitmap_run_optimize(b->bits);
		b->mark_runs = larger(b->runs, MARK_RUNS_MIN);
		b->mark_count = larger(b->count, MARK_COUNT_MIN);
		bitmap_measure(b);
	}
	if (b->runs < b->mark_runs)
		b->mark_runs = larger(b->runs, MARK_RUNS_MIN);
	if (b->count < b->mark_count)
		b->mark_count = larger(b->count, MARK_COUNT_MIN);
	if (++b->change_count >= MEASURE_AFTER)
		bitmap_measure(b);
}

bool shard_bitmap_available(void)
{
	return true;
}

struct shard_bitmap *shard_bitmap_create(const struct range runs[], uint32_t run_count)
{
	struct shard_bitmap *b = check_calloc(1, sizeof(*b));

	b->bits = roaring_bitmap_create();
	CHECK(b->bits != NULL);
	for (uint32_t i = 0; i < run_count; i++) {
		roaring_bitmap_add_range_closed(b->bits, runs[i].first, (uint32_t)(range_end(runs[i]) - 1));
		b->count += runs[i].count;
	}
	b->runs = run_count;
	roaring_bitmap_run_optimize(b->bits);
	b->mark_runs = larger(b->runs, MARK_RUNS_MIN);
	b->mark_count = larger(b->count, MARK_COUNT_MIN);
	bitmap_measure(b);
	return b;
}

struct shard_bitmap *shard_bitmap_copy(const struct shard_bitmap *b)
{
	struct shard_bitmap *copy = check_calloc(1, sizeof(*copy));

	*copy = *b;
	copy->bits = roaring_bitmap_copy(b->bits);
	CHECK(copy->bits != NULL);
	return copy;
}

void shard_bitmap_destroy(struct shard_bitmap *b)
{
	if (b == NULL)
		return;
	roaring_bitmap_free(b->bits);
	free(b);
}

bool shard_bitmap_contains(const struct shard_bitmap *b, uint32_t shard)
{
	return roaring_bitmap_contains(b->bits, shard);
}

uint32_t shard_bitmap_first(const struct shard_bitmap *b)
{
	return roaring_bitmap_minimum(b->bits);
}

/* Are all of [first, end) there? roaring_bitmap_contains_range of 0.2.66 looks into the wrong
 * container, or past the last one, when there is none for the range's end: it is asked only when
 * there is one. */
static bool bitmap_contains_all(const struct shard_bitmap *b, uint64_t first, uint64_t end)
{
	return roaring_bitmap_contains(b->bits, (uint32_t)(end - 1)) &&
	       roaring_bitmap_contains_range(b->bits, first, end);
}

/* The first absent number in [at, limit), or limit. There is no such call in CRoaring: double the
 * step while all is there, then halve it. Each probe looks only at what is not yet known, so that
 * the containers visited are a small multiple of those that the run has. */
static uint64_t bitmap_run_end(const struct shard_bitmap *b, uint64_t at, uint64_t limit)
{
	uint64_t step = 1;

	while (at < limit) {
		if (step > limit - at)
			step = limit - at;
		if (!bitmap_contains_all(b, at, at + step))
			break;
		at += step;
		step *= 2;
	}
	if (at == limit)
		return limit;
	while (step > 1) {
		uint64_t half = step / 2;

		if (bitmap_contains_all(b, at, at + half)) {
			at += half;
			step -= half;
		} else {
			step = half;
		}
	}
	return at;
}

bool shard_bitmap_next(const struct shard_bitmap *b, uint64_t from, uint64_t limit, struct range *ret)
{
	roaring_uint32_iterator_t it;

	CHECK(limit <= SHARDS_MAX);
	if (from >= limit)
		return false;
	roaring_iterator_init(b->bits, &it);
	if (!it.has_value)
		return false;
	if (it.current_value < from)
		roaring_uint32_iterator_move_equalorlarger(&it, (uint32_t)from);
	if (!it.has_value || it.current_value >= limit)
		return false;
	*ret = range_between(it.current_value, bitmap_run_end(b, (uint64_t)it.current_value + 1, limit));
	return true;
}

uint32_t shard_bitmap_add(struct shard_bitmap *b, struct range r)
{
	uint64_t end = range_end(r);
	uint64_t from = r.first == 0 ? 0 : r.first - 1u;
	uint64_t limit = end == SHARDS_MAX ? end : end + 1;
	uint32_t touched = 0, covered = 0;
	struct range run;

	if (r.count == 1) {
		/* Not add_checked, which counts a whole container, twice. */
		if (roaring_bitmap_contains(b->bits, r.first))
			return 0;
		roaring_bitmap_add(b->bits, r.first);
		touched += r.first > 0 && roaring_bitmap_contains(b->bits, r.first - 1);
		touched += roaring_bitmap_contains(b->bits, r.first + 1);
	} else {
		/* One number more on each side: runs there become one with r. */
		for (uint64_t at = from; shard_bitmap_next(b, at, limit, &run); at = range_end(run)) {
			touched++;
			covered += range_intersect(run, r).count;
		}
		if (covered == r.count)
			return 0;
		roaring_bitmap_add_range_closed(b->bits, r.first, (uint32_t)(end - 1));
	}
	b->runs = b->runs + 1 - touched;
	b->count += r.count - covered;
	bitmap_settle(b);
	return r.count - covered;
}

uint32_t shard_bitmap_remove(struct shard_bitmap *b, struct range r)
{
	uint64_t end = range_end(r);
	uint32_t last = (uint32_t)(end - 1);
	uint32_t cut = 0, removed = 0, left = 0;
	struct range run;

	for (uint64_t at = r.first; shard_bitmap_next(b, at, end, &run); at = range_end(run)) {
		/* What of a run sticks out of r stays a run. */
		if (run.first == r.first && r.first > 0)
			left += roaring_bitmap_contains(b->bits, r.first - 1);
		if (range_end(run) == end)
			left += roaring_bitmap_contains(b->bits, last + 1);
		cut++;
		removed += run.count;
	}
	if (removed == 0)
		return 0;
	if (r.count == 1)
		roaring_bitmap_remove(b->bits, r.first);
	else
		roaring_bitmap_remove_range_closed(b->bits, r.first, last);
	b->runs = b->runs + left - cut;
	b->count -= removed;
	bitmap_settle(b);
	return removed;
}

bool shard_bitmap_equal(const struct shard_bitmap *a, const struct shard_bitmap *b)
{
	return roaring_bitmap_equals(a->bits, b->bits);
}

void shard_bitmap_check(const struct shard_bitmap *b)
{
	uint32_t runs = 0;
	uint64_t count = 0;
	struct range run;

	for (uint64_t at = 0; shard_bitmap_next(b, at, SHARDS_MAX, &run); at = range_end(run)) {
		CHECK(run.count > 0 && run.first >= at);
		CHECK(runs == 0 || run.first > at);
		count += run.count;
		runs++;
	}
	CHECK(runs == b->runs);
	CHECK(count == b->count);
	CHECK(roaring_bitmap_get_cardinality(b->bits) == count);
	CHECK(!roaring_bitmap_contains(b->bits, (uint32_t)SHARDS_MAX));
}
