#include "dispatcher/core/volatile/timers.h"

#include "base/array.h"

static bool is_before(struct timer a, struct timer b)
{
	return a.due_us != b.due_us ? a.due_us < b.due_us : a.job < b.job;
}

static void swap(struct timer_heap *h, uint32_t a, uint32_t b)
{
	struct timer t = h->items[a];

	h->items[a] = h->items[b];
	h->items[b] = t;
}

static void sink(struct timer_heap *h, uint32_t at)
{
	for (;;) {
		uint32_t least = at, child = 2 * at + 1;

		for (uint32_t i = child; i < child + 2 && i < h->count; i++)
			if (is_before(h->items[i], h->items[least]))
				least = i;
		if (least == at)
			return;
		swap(h, at, least);
		at = least;
	}
}

void timer_add(struct timer_heap *h, usec_t due_us, uint64_t job)
{
	uint32_t at = h->count;

	ARRAY_GROW(h->items, h->capacity, h->count);
	h->items[h->count++] = (struct timer){due_us, job};
	for (; at > 0 && is_before(h->items[at], h->items[(at - 1) / 2]); at = (at - 1) / 2)
		swap(h, at, (at - 1) / 2);
}

bool timer_take_due(struct timer_heap *h, usec_t now_us, uint64_t *job)
{
	if (h->count == 0 || h->items[0].due_us > now_us)
		return false;
	*job = h->items[0].job;
	h->items[0] = h->items[--h->count];
	sink(h, 0);
	return true;
}

usec_t timer_next(const struct timer_heap *h)
{
	return h->count == 0 ? USEC_NEVER : h->items[0].due_us;
}

#define SWEEP_LEAST 64 /* fewer are never swept */

void timer_sweep(struct timer_heap *h, uint64_t most, timer_holds_fn *holds, const void *ctx)
{
	uint32_t kept = 0;

	if (h->count <= SWEEP_LEAST + 2 * most)
		return;
	for (uint32_t i = 0; i < h->count; i++)
		if (holds(ctx, h->items[i].job))
			h->items[kept++] = h->items[i];
	h->count = kept;
	if (h->capacity > SWEEP_LEAST && kept < h->capacity / 4) {
		h->capacity = h->capacity / 2;
		h->items = check_realloc(h->items, h->capacity, sizeof *h->items);
	}
	for (uint32_t i = h->count / 2; i > 0; i--)
		sink(h, i - 1);
}

static void grow(struct waiting_queue *q)
{
	struct waiting *items = check_calloc(q->capacity == 0 ? 64 : 2ul * q->capacity, sizeof *items);

	for (uint32_t i = 0; i < q->count; i++)
		items[i] = q->items[(q->head + i) & (q->capacity - 1)];
	free(q->items);
	q->items = items;
	q->capacity = q->capacity == 0 ? 64 : 2 * q->capacity;
	q->head = 0;
}

void waiting_add(struct waiting_queue *q, struct waiting w)
{
	if (q->count == q->capacity)
		grow(q);
	CHECK(q->count == 0 || q->items[(q->head + q->count - 1) & (q->capacity - 1)].lsn <= w.lsn);
	q->items[(q->head + q->count++) & (q->capacity - 1)] = w;
}

bool waiting_take(struct waiting_queue *q, uint64_t lsn, struct waiting *ret)
{
	if (q->count == 0 || q->items[q->head].lsn > lsn)
		return false;
	*ret = q->items[q->head];
	q->head = (q->head + 1) & (q->capacity - 1);
	q->count--;
	return true;
}
