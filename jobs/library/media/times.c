#include "jobs/library/media/times.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"

void times_add(struct times *t, int64_t value)
{
	ARRAY_GROW(t->items, t->capacity, t->count);
	t->items[t->count++] = value;
}

static int compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

void times_sort(struct times *t)
{
	if (t->count > 0)
		qsort(t->items, t->count, sizeof *t->items, compare);
}

void times_fini(struct times *t)
{
	free(t->items);
	*t = (struct times){0};
}

/* How many are less than value. */
static size_t rank(const struct times *sorted, int64_t value)
{
	size_t low = 0, high = sorted->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (sorted->items[middle] < value)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

void times_to_decoding(struct times *t)
{
	struct times sorted = {0};
	size_t delay = 0;
	int64_t step;

	for (size_t i = 0; i < t->count; i++)
		times_add(&sorted, t->items[i]);
	times_sort(&sorted);
	for (size_t i = 0; i < t->count; i++) {
		size_t r = rank(&sorted, t->items[i]);

		if (i > r + delay)
			delay = i - r;
	}
	step = sorted.count > 1 ? sorted.items[1] - sorted.items[0] : 1;
	if (step < 1)
		step = 1;
	for (size_t i = 0; i < t->count; i++)
		t->items[i] =
		    i >= delay ? sorted.items[i - delay] : sorted.items[0] - (int64_t)(delay - i) * step;
	times_fini(&sorted);
}
