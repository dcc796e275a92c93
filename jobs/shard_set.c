#include "jobs/shard_set.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "jobs/shard_set_forms.h"

/* A bitmap of this many runs or fewer becomes a vector again: far enough below the bound that a set
 * near it does not go to and fro. */
#define INTERVALS_FEW (SHARD_SET_INTERVALS_MAX / 4)

_Static_assert(sizeof(struct shard_set) <= 24, "phases hold many of them");

/* === Forms === */

void shard_set_init(struct shard_set *s)
{
	memset(s, 0, sizeof(*s));
}

void shard_set_fini(struct shard_set *s)
{
	if (s->form == SHARD_SET_VECTOR)
		free(s->vector);
	else if (s->form == SHARD_SET_BITMAP)
		shard_bitmap_destroy(s->bitmap);
	shard_set_init(s);
}

void shard_set_clear(struct shard_set *s)
{
	shard_set_fini(s);
}

/* One run, and the set held nothing on the heap before. */
static void set_interval(struct shard_set *s, struct range r)
{
	s->first = r.first;
	s->count = r.count;
	s->form = SHARD_SET_INTERVAL;
}

void shard_set_copy(struct shard_set *dst, const struct shard_set *src)
{
	struct shard_set copy = *src;

	if (dst == src)
		return;
	if (src->form == SHARD_SET_VECTOR)
		copy.vector = shard_vector_create(shard_vector_runs(src->vector), src->vector->length);
	else if (src->form == SHARD_SET_BITMAP)
		copy.bitmap = shard_bitmap_copy(src->bitmap);
	shard_set_fini(dst);
	*dst = copy;
}

static void vector_of_bitmap(struct shard_set *s)
{
	struct range runs[INTERVALS_FEW + 1];
	struct shard_bitmap *bitmap = s->bitmap;
	uint32_t n = 0;

	CHECK(bitmap->runs <= INTERVALS_FEW);
	for (uint64_t at = 0; n < ARRAY_LENGTH(runs) && shard_bitmap_next(bitmap, at, SHARDS_MAX, &runs[n]);
	     n++)
		at = range_end(runs[n]);
	CHECK(n == bitmap->runs);
	s->vector = shard_vector_create(runs, n);
	s->form = SHARD_SET_VECTOR;
	shard_bitmap_destroy(bitmap);
}

static void bitmap_of_vector(struct shard_set *s)
{
	struct shard_vector *vector = s->vector;

	s->bitmap = shard_bitmap_create(shard_vector_runs(vector), vector->length);
	s->form = SHARD_SET_BITMAP;
	free(vector);
}

/* After a change of a vector or a bitmap: the form that fits. */
static void set_settle(struct shard_set *s)
{
	if (s->count == 0) {
		shard_set_fini(s);
		return;
	}
	if (s->form == SHARD_SET_BITMAP && s->bitmap->runs <= INTERVALS_FEW)
		vector_of_bitmap(s);
	if (s->form == SHARD_SET_VECTOR && s->vector->length == 1) {
		struct range only = *shard_vector_runs(s->vector);

		shard_set_fini(s);
		set_interval(s, only);
	} else if (s->form == SHARD_SET_VECTOR && s->vector->length > SHARD_SET_INTERVALS_MAX &&
		   shard_bitmap_available()) {
		bitmap_of_vector(s);
	}
}

/* === Changes === */

static uint32_t interval_add(struct shard_set *s, struct range r)
{
	struct range old = {s->first, s->count};
	uint64_t first = old.first < r.first ? old.first : r.first;
	uint64_t end = range_end(old) > range_end(r) ? range_end(old) : range_end(r);

	if (r.first > range_end(old) || old.first > range_end(r)) {
		struct range both[2] = {old, r};

		if (r.first < old.first) {
			both[0] = r;
			both[1] = old;
		}
		s->vector = shard_vector_create(both, 2);
		s->form = SHARD_SET_VECTOR;
		s->count += r.count;
		set_settle(s);
		return r.count;
	}
	set_interval(s, range_between(first, end));
	return s->count - old.count;
}

static uint32_t interval_remove(struct shard_set *s, struct range r)
{
	struct range old = {s->first, s->count};
	struct range cut = range_intersect(old, r);
	struct range left[2];
	uint32_t n = 0;

	if (cut.count == 0)
		return 0;
	if (old.first < cut.first)
		left[n++] = range_between(old.first, cut.first);
	if (range_end(cut) < range_end(old))
		left[n++] = range_between(range_end(cut), range_end(old));
	if (n == 0) {
		shard_set_init(s);
	} else if (n == 1) {
		set_interval(s, left[0]);
	} else {
		s->vector = shard_vector_create(left, 2);
		s->form = SHARD_SET_VECTOR;
		s->count -= cut.count;
		set_settle(s);
	}
	return cut.count;
}

uint32_t shard_set_add(struct shard_set *s, uint32_t first, uint32_t count)
{
	struct range r = {first, count};
	uint32_t added;

	if (count == 0)
		return 0;
	CHECK(range_end(r) <= SHARDS_MAX);
	switch ((enum shard_set_form)s->form) {
	case SHARD_SET_EMPTY:
		set_interval(s, r);
		return count;
	case SHARD_SET_INTERVAL:
		return interval_add(s, r);
	case SHARD_SET_VECTOR:
		added = shard_vector_add(&s->vector, r);
		break;
	case SHARD_SET_BITMAP:
		added = shard_bitmap_add(s->bitmap, r);
		break;
	default:
		CHECK_NEVER("a form");
	}
	s->count += added;
	set_settle(s);
	return added;
}

uint32_t shard_set_remove(struct shard_set *s, uint32_t first, uint32_t count)
{
	struct range r = {first, count};
	uint32_t removed;

	if (count == 0)
		return 0;
	CHECK(range_end(r) <= SHARDS_MAX);
	switch ((enum shard_set_form)s->form) {
	case SHARD_SET_EMPTY:
		return 0;
	case SHARD_SET_INTERVAL:
		return interval_remove(s, r);
	case SHARD_SET_VECTOR:
		removed = shard_vector_remove(&s->vector, r);
		break;
	case SHARD_SET_BITMAP:
		removed = shard_bitmap_remove(s->bitmap, r);
		break;
	default:
		CHECK_NEVER("a form");
	}
	s->count -= removed;
	set_settle(s);
	return removed;
}

struct range shard_set_take_first(struct shard_set *s, uint32_t max)
{
	struct range r = {0, 0};
	uint32_t first;

	if (max == 0 || !shard_set_peek_first(s, &first))
		return r;
	r = range_between(first, shard_set_next_absent(s, first, (uint64_t)first + max));
	shard_set_remove(s, r.first, r.count);
	return r;
}

uint32_t shard_set_unite(struct shard_set *s, const struct shard_set *other)
{
	uint32_t added = 0;
	struct range r;

	if (s == other)
		return 0;
	for (uint64_t at = 0; shard_set_next_range(other, at, &r); at = range_end(r))
		added += shard_set_add(s, r.first, r.count);
	return added;
}

uint32_t shard_set_subtract(struct shard_set *s, const struct shard_set *other)
{
	uint32_t before = s->count;
	struct range mine, theirs;
	uint64_t at = 0;

	if (s == other) {
		shard_set_clear(s);
		return before;
	}
	/* Each leaps to where the other goes on, so that the longer one is not walked. */
	while (shard_set_next_range(s, at, &mine) && shard_set_next_range(other, mine.first, &theirs)) {
		at = range_end(theirs);
		if (theirs.first >= range_end(mine))
			at = theirs.first;
		else
			shard_set_remove(s, theirs.first, theirs.count);
	}
	return before - s->count;
}

int shard_set_replace(struct shard_set *s, struct range window, const struct range ranges[],
		      size_t range_count, struct error *reterr)
{
	uint64_t at = window.first;

	if (range_end(window) > SHARDS_MAX)
		return error_set(reterr, ERR_INVALID, "expected a window of shards below %llu, found %u+%u",
				 SHARDS_MAX, window.first, window.count);
	for (size_t i = 0; i < range_count; i++) {
		if (ranges[i].first < at || range_end(ranges[i]) > range_end(window))
			return error_set(reterr, ERR_INVALID,
					 "expected ranges in order inside shards %u+%u, found "
					 "%u+%u as number %zu",
					 window.first, window.count, ranges[i].first, ranges[i].count, i + 1);
		at = range_end(ranges[i]);
	}
	at = window.first;
	for (size_t i = 0; i < range_count; i++) {
		shard_set_remove(s, (uint32_t)at, (uint32_t)(ranges[i].first - at));
		shard_set_add(s, ranges[i].first, ranges[i].count);
		at = range_end(ranges[i]);
	}
	shard_set_remove(s, (uint32_t)at, (uint32_t)(range_end(window) - at));
	return 0;
}
