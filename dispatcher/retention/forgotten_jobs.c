#include "dispatcher/retention/forgotten_jobs.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

/* The first range that ends at the job or behind it. */
static uint32_t find(const struct forgotten_jobs *f, uint64_t job)
{
	uint32_t low = 0, high = f->count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (f->items[middle].last < job)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void replace(struct forgotten_jobs *f, uint32_t at, uint32_t end, struct forgotten_range by)
{
	if (at == end && f->count == f->room) {
		f->room = f->room > 0 ? 2 * f->room : 16;
		f->items = check_realloc(f->items, f->room, sizeof(*f->items));
	}
	memmove(&f->items[at + 1], &f->items[end], (f->count - end) * sizeof(*f->items));
	f->items[at] = by;
	f->count = f->count - (end - at) + 1;
}

void forgotten_jobs_add(struct forgotten_jobs *f, uint64_t first, uint64_t last)
{
	uint32_t at = find(f, first > 0 ? first - 1 : 0), end = at;
	struct forgotten_range r = {first, last};

	for (; end < f->count && f->items[end].first <= last + 1; end++) {
		f->jobs -= f->items[end].last - f->items[end].first + 1;
		r.first = f->items[end].first < r.first ? f->items[end].first : r.first;
		r.last = f->items[end].last > r.last ? f->items[end].last : r.last;
	}
	f->jobs += r.last - r.first + 1;
	replace(f, at, end, r);
	if (f->count > FORGOTTEN_RANGES_MAX) {
		memmove(f->items, f->items + 1, (f->count - 1) * sizeof(*f->items));
		f->count--;
	}
}

bool forgotten_jobs_have(const struct forgotten_jobs *f, uint64_t job)
{
	uint32_t at = find(f, job);

	return at < f->count && f->items[at].first <= job;
}

void forgotten_jobs_fini(struct forgotten_jobs *f)
{
	free(f->items);
	*f = (struct forgotten_jobs){0};
}
