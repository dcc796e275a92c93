#include "jobs/shard_set.h"

#include "base/check.h"
#include "jobs/shard_set_forms.h"

/* The first run that has a number in [from, limit), cut to it. */
static bool next_in(const struct shard_set *s, uint64_t from, uint64_t limit, struct range *ret)
{
	struct range run = {0, 0}, window;
	uint32_t index;

	if (limit > SHARDS_MAX)
		limit = SHARDS_MAX;
	if (from >= limit)
		return false;
	window = range_between(from, limit);
	switch ((enum shard_set_form)s->form) {
	case SHARD_SET_EMPTY:
		return false;
	case SHARD_SET_INTERVAL:
		run = (struct range){s->first, s->count};
		break;
	case SHARD_SET_VECTOR:
		index = shard_vector_find(s->vector, from);
		if (index == s->vector->length)
			return false;
		run = shard_vector_runs(s->vector)[index];
		break;
	case SHARD_SET_BITMAP:
		return shard_bitmap_next(s->bitmap, from, limit, ret);
	}
	if (!range_overlaps(run, window))
		return false;
	*ret = range_intersect(run, window);
	return true;
}

bool shard_set_contains(const struct shard_set *s, uint32_t shard)
{
	struct range r;

	if (s->form == SHARD_SET_BITMAP)
		return shard_bitmap_contains(s->bitmap, shard);
	return next_in(s, shard, (uint64_t)shard + 1, &r);
}

bool shard_set_peek_first(const struct shard_set *s, uint32_t *ret)
{
	if (s->form == SHARD_SET_EMPTY)
		return false;
	if (s->form == SHARD_SET_INTERVAL)
		*ret = s->first;
	else if (s->form == SHARD_SET_VECTOR)
		*ret = shard_vector_runs(s->vector)->first;
	else
		*ret = shard_bitmap_first(s->bitmap);
	return true;
}

bool shard_set_next_range(const struct shard_set *s, uint64_t from, struct range *ret)
{
	return next_in(s, from, SHARDS_MAX, ret);
}

uint64_t shard_set_next_absent(const struct shard_set *s, uint64_t from, uint64_t limit)
{
	struct range r;

	if (from >= limit)
		return limit;
	return next_in(s, from, limit, &r) && r.first == from ? range_end(r) : from;
}

uint32_t shard_set_intersect_count(const struct shard_set *s, struct range r)
{
	uint32_t count = 0;
	struct range run;

	for (uint64_t at = r.first; next_in(s, at, range_end(r), &run); at = range_end(run))
		count += run.count;
	return count;
}

bool shard_set_contains_any(const struct shard_set *s, struct range r)
{
	struct range run;

	return next_in(s, r.first, range_end(r), &run);
}

bool shard_set_contains_all(const struct shard_set *s, struct range r)
{
	return shard_set_next_absent(s, r.first, range_end(r)) == range_end(r);
}

bool shard_set_equal(const struct shard_set *a, const struct shard_set *b)
{
	struct range left, right;
	uint64_t at = 0;

	if (a->count != b->count || shard_set_run_count(a) != shard_set_run_count(b))
		return false;
	if (a->form == SHARD_SET_BITMAP && b->form == SHARD_SET_BITMAP)
		return shard_bitmap_equal(a->bitmap, b->bitmap);
	for (; shard_set_next_range(a, at, &left); at = range_end(left)) {
		if (!shard_set_next_range(b, at, &right) || range_compare(left, right) != 0)
			return false;
	}
	return true;
}

uint32_t shard_set_run_count(const struct shard_set *s)
{
	if (s->form == SHARD_SET_VECTOR)
		return s->vector->length;
	if (s->form == SHARD_SET_BITMAP)
		return s->bitmap->runs;
	return s->form == SHARD_SET_INTERVAL;
}

size_t shard_set_bytes(const struct shard_set *s)
{
	if (s->form == SHARD_SET_VECTOR)
		return sizeof(*s->vector) + s->vector->capacity * sizeof(s->vector->runs[0]);
	return s->form == SHARD_SET_BITMAP ? s->bitmap->bytes : 0;
}

enum shard_set_form shard_set_form(const struct shard_set *s)
{
	return (enum shard_set_form)s->form;
}

size_t shard_set_ranges(const struct shard_set *s, uint64_t *cursor, struct range out[], size_t max)
{
	size_t n = 0;

	while (n < max && shard_set_next_range(s, *cursor, &out[n]))
		*cursor = range_end(out[n++]);
	if (n < max)
		*cursor = SHARDS_MAX;
	return n;
}

static void vector_check(const struct shard_set *s)
{
	const struct shard_vector *v = s->vector;
	const struct range *runs = shard_vector_runs(v);
	uint64_t count = 0;

	CHECK(v->length >= 2 && (v->length <= SHARD_SET_INTERVALS_MAX || !shard_bitmap_available()));
	CHECK(v->head <= v->capacity && v->length <= v->capacity - v->head);
	for (uint32_t i = 0; i < v->length; i++) {
		CHECK(runs[i].count > 0 && range_end(runs[i]) <= SHARDS_MAX);
		CHECK(i == 0 || runs[i].first > range_end(runs[i - 1]));
		count += runs[i].count;
	}
	CHECK(count == s->count);
}

void shard_set_check(const struct shard_set *s)
{
	switch ((enum shard_set_form)s->form) {
	case SHARD_SET_EMPTY:
		CHECK(s->count == 0 && s->bitmap == NULL);
		return;
	case SHARD_SET_INTERVAL:
		CHECK(s->count > 0 && (uint64_t)s->first + s->count <= SHARDS_MAX);
		return;
	case SHARD_SET_VECTOR:
		vector_check(s);
		return;
	case SHARD_SET_BITMAP:
		CHECK(s->bitmap->count == s->count);
		CHECK(s->bitmap->runs > SHARD_SET_INTERVALS_MAX / 4);
		shard_bitmap_check(s->bitmap);
		return;
	}
	CHECK_NEVER("a form");
}
