#include "jobs/shard_set_forms.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#define CAPACITY_MIN 8u

static struct shard_vector *vector_alloc(uint32_t capacity)
{
	struct shard_vector *v = check_calloc(1, sizeof(*v) + (size_t)capacity * sizeof(v->runs[0]));

	v->capacity = capacity;
	return v;
}

struct shard_vector *shard_vector_create(const struct range runs[], uint32_t run_count)
{
	uint32_t capacity = run_count + run_count / 2;
	struct shard_vector *v = vector_alloc(capacity < CAPACITY_MIN ? CAPACITY_MIN : capacity);

	v->head = (v->capacity - run_count) / 2;
	v->length = run_count;
	memcpy(v->runs + v->head, runs, run_count * sizeof(runs[0]));
	return v;
}

uint32_t shard_vector_find(const struct shard_vector *v, uint64_t at)
{
	const struct range *runs = shard_vector_runs(v);
	uint32_t low = 0, high = v->length;

	/* The ends first: sets are mostly filled at one and emptied at the other. */
	if (high == 0 || range_end(runs[0]) > at)
		return 0;
	if (range_end(runs[high - 1]) <= at)
		return high;
	if (high > 1 && range_end(runs[high - 2]) <= at)
		return high - 1;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (range_end(runs[middle]) > at)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

/* The runs to a vector of this capacity, in its middle. In place when the capacity stays. */
static struct shard_vector *vector_resize(struct shard_vector *v, uint32_t capacity)
{
	uint32_t head = (capacity - v->length) / 2;
	struct shard_vector *to = v;

	if (capacity != v->capacity)
		to = vector_alloc(capacity);
	memmove(to->runs + head, v->runs + v->head, v->length * sizeof(v->runs[0]));
	to->head = head;
	to->length = v->length;
	if (to != v)
		free(v);
	return to;
}

/* Room for one more run at either end. A vector at least a quarter free is only centred, so that
 * what a queue (runs taken in front, added behind) pays is a constant for each run. */
static struct shard_vector *vector_make_room(struct shard_vector *v)
{
	bool grow = v->capacity - v->length < v->capacity / 4 || v->capacity - v->length < 2;

	return vector_resize(v, grow ? v->capacity * 2 : v->capacity);
}

/* Open a gap of one run before index, moving the shorter side. */
static struct shard_vector *vector_open(struct shard_vector *v, uint32_t index)
{
	bool front = index < v->length - index;
	struct range *runs;

	if (front ? v->head == 0 : v->head + v->length == v->capacity)
		v = vector_make_room(v);
	runs = v->runs + v->head;
	if (front) {
		memmove(runs - 1, runs, index * sizeof(*runs));
		v->head--;
	} else {
		memmove(runs + index + 1, runs + index, (v->length - index) * sizeof(*runs));
	}
	v->length++;
	return v;
}

/* Close the gap of count runs at index, moving the shorter side. */
static struct shard_vector *vector_close(struct shard_vector *v, uint32_t index, uint32_t count)
{
	struct range *runs = v->runs + v->head;
	uint32_t behind = v->length - index - count;

	if (index < behind) {
		memmove(runs + count, runs, index * sizeof(*runs));
		v->head += count;
	} else {
		memmove(runs + index, runs + index + count, behind * sizeof(*runs));
	}
	v->length -= count;
	if (v->capacity > 4 * CAPACITY_MIN && v->length < v->capacity / 8)
		v = vector_resize(v, v->capacity / 4);
	return v;
}

/* Put new_count (0..2) runs in the place of the old_count runs at index; new_count <= old_count
 * + 1. */
static void vector_splice(struct shard_vector **v, uint32_t index, uint32_t old_count,
			  const struct range runs[], uint32_t new_count)
{
	CHECK(new_count <= old_count + 1);
	if (new_count > old_count)
		*v = vector_open(*v, index);
	for (uint32_t i = 0; i < new_count; i++)
		(*v)->runs[(*v)->head + index + i] = runs[i];
	if (new_count < old_count)
		*v = vector_close(*v, index + new_count, old_count - new_count);
}

uint32_t shard_vector_add(struct shard_vector **v, struct range r)
{
	const struct range *runs = shard_vector_runs(*v);
	/* A run that ends where r begins touches it, and so is found by first - 1. */
	uint32_t index = r.first == 0 ? 0 : shard_vector_find(*v, r.first - 1u);
	uint64_t first = r.first, end = range_end(r);
	uint32_t next = index, covered = 0;
	struct range merged;

	for (; next < (*v)->length && runs[next].first <= range_end(r); next++) {
		covered += range_intersect(runs[next], r).count;
		if (runs[next].first < first)
			first = runs[next].first;
		if (range_end(runs[next]) > end)
			end = range_end(runs[next]);
	}
	merged = range_between(first, end);
	vector_splice(v, index, next - index, &merged, 1);
	return r.count - covered;
}

uint32_t shard_vector_remove(struct shard_vector **v, struct range r)
{
	const struct range *runs = shard_vector_runs(*v);
	uint32_t index = shard_vector_find(*v, r.first), next = index;
	uint32_t removed = 0, left_count = 0;
	struct range left[2];

	for (; next < (*v)->length && runs[next].first < range_end(r); next++)
		removed += range_intersect(runs[next], r).count;
	if (next == index)
		return 0;
	if (runs[index].first < r.first)
		left[left_count++] = range_between(runs[index].first, r.first);
	if (range_end(runs[next - 1]) > range_end(r))
		left[left_count++] = range_between(range_end(r), range_end(runs[next - 1]));
	vector_splice(v, index, next - index, left, left_count);
	return removed;
}
