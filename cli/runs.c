#include "cli/runs.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

/* The first run that ends behind n; r->count when there is none. */
static size_t run_at(const struct runs *r, uint64_t n)
{
	size_t low = 0, high = r->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (r->items[middle].end > n)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

bool runs_have(const struct runs *r, uint64_t n)
{
	size_t at = run_at(r, n);

	return at < r->count && r->items[at].first <= n;
}

void runs_add(struct runs *r, uint64_t first, uint64_t end)
{
	size_t at = first > 0 ? run_at(r, first - 1) : 0, behind = at; /* what it touches: [at, behind) */

	if (first >= end)
		return;
	while (behind < r->count && r->items[behind].first <= end)
		behind++;
	if (behind == at) {
		r->items = check_realloc(r->items, r->count + 1, sizeof(*r->items));
		memmove(r->items + at + 1, r->items + at, (r->count++ - at) * sizeof(*r->items));
		r->items[at] = (struct run){first, end};
		return;
	}
	if (r->items[at].first < first)
		first = r->items[at].first;
	if (r->items[behind - 1].end > end)
		end = r->items[behind - 1].end;
	r->items[at] = (struct run){first, end};
	memmove(r->items + at + 1, r->items + behind, (r->count - behind) * sizeof(*r->items));
	r->count -= behind - at - 1;
}

uint64_t runs_next_absent(const struct runs *r, uint64_t n)
{
	size_t at = run_at(r, n);

	return at < r->count && r->items[at].first <= n ? r->items[at].end : n;
}

uint64_t runs_size(const struct runs *r)
{
	uint64_t size = 0;

	for (size_t i = 0; i < r->count; i++)
		size += r->items[i].end - r->items[i].first;
	return size;
}

void runs_fini(struct runs *r)
{
	free(r->items);
	*r = (struct runs){0};
}
