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
	uint32_t at = 0;

	if (h->count == 0 || h->items[0].due_us > now_us)
		return false;
	*job = h->items[0].job;
	h->items[0] = h->items[--h->count];
	for (;;) {
		uint32_t least = at, child = 2 * at + 1;

		for (uint32_t i = child; i < child + 2 && i < h->count; i++)
			if (is_before(h->items[i], h->items[least]))
				least = i;
		if (least == at)
			return true;
		swap(h, at, least);
		at = least;
	}
}

usec_t timer_next(const struct timer_heap *h)
{
	return h->count == 0 ? USEC_NEVER : h->items[0].due_us;
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
