/* Parts that wait for slots of one shape, in the order of their ranks. Between queues it is the turn that
 * counts; but in a queue whoever ranks first takes the turn, whoever's it was. So each queue has its parts
 * twice: by rank, and by the turns that it has; the first by rank trades turns with the one whose turn it is.
 * Both are heaps. */
#include "worker/core/state.h"

#include "base/array.h"
#include "jobs/rank.h"

enum line_order {
	BY_TURN,
	BY_RANK,
};

struct heap {
	struct part **items;
	uint32_t count, capacity;
};

struct line_queue {
	uint32_t queue;
	struct heap heaps[LINE_ORDERS];
};

static bool ranks_before(const struct part *a, const struct part *b)
{
	int order = rank_compare_in_queue(&a->lease->rank, &b->lease->rank);

	if (order == 0 || PLANTED(prefetch_before_rank))
		return a->number < b->number;
	return order < 0;
}

static bool is_before(enum line_order order, const struct part *a, const struct part *b)
{
	if (order == BY_RANK)
		return ranks_before(a, b);
	return a->turn != b->turn ? a->turn < b->turn : a->number < b->number;
}

bool worker_part_outranks(const struct part *a, const struct part *b)
{
	return a->lease->rank.queue == b->lease->rank.queue ? ranks_before(a, b) : is_before(BY_TURN, a, b);
}

/* ---- heaps ---- */

static void put(struct heap *h, enum line_order order, struct part *p, uint32_t at)
{
	h->items[at] = p;
	p->at[order] = at;
}

static void sift(struct heap *h, enum line_order order, struct part *p)
{
	uint32_t at = p->at[order];

	for (; at > 0 && is_before(order, p, h->items[(at - 1) / 2]); at = (at - 1) / 2)
		put(h, order, h->items[(at - 1) / 2], at);
	for (;;) {
		uint32_t child = 2 * at + 1;

		if (child + 1 < h->count && is_before(order, h->items[child + 1], h->items[child]))
			child++;
		if (child >= h->count || !is_before(order, h->items[child], p))
			break;
		put(h, order, h->items[child], at);
		at = child;
	}
	put(h, order, p, at);
}

static void heap_add(struct heap *h, enum line_order order, struct part *p)
{
	ARRAY_GROW(h->items, h->capacity, h->count);
	put(h, order, p, h->count++);
	sift(h, order, p);
}

static void heap_remove(struct heap *h, enum line_order order, const struct part *p)
{
	struct part *last = h->items[--h->count];

	CHECK(h->items[p->at[order]] == p);
	if (last == p)
		return;
	put(h, order, last, p->at[order]);
	sift(h, order, last);
}

/* ---- the line ---- */

static struct line_queue *queue_intern(struct line *l, uint32_t number)
{
	struct line_queue *q;

	for (uint32_t i = 0; i < l->count; i++)
		if (l->queues[i]->queue == number)
			return l->queues[i];
	ARRAY_GROW(l->queues, l->capacity, l->count);
	q = check_calloc(1, sizeof *q);
	q->queue = number;
	l->queues[l->count++] = q;
	return q;
}

static void queue_drop(struct line *l, struct line_queue *q)
{
	uint32_t at = 0;

	while (l->queues[at] != q)
		at++;
	l->queues[at] = l->queues[--l->count];
	free(q->heaps[BY_TURN].items);
	free(q->heaps[BY_RANK].items);
	free(q);
}

/* The one that ranks first in the queue whose turn is next, with that turn. */
struct part *worker_line_first(const struct line *l)
{
	const struct line_queue *next = NULL;
	struct part *first, *other;
	int64_t turn;

	for (uint32_t i = 0; i < l->count; i++)
		if (next == NULL ||
		    is_before(BY_TURN, l->queues[i]->heaps[BY_TURN].items[0], next->heaps[BY_TURN].items[0]))
			next = l->queues[i];
	if (next == NULL)
		return NULL;
	first = next->heaps[BY_RANK].items[0];
	other = next->heaps[BY_TURN].items[0];
	if (first->turn != other->turn) {
		struct heap *h = &first->line_queue->heaps[BY_TURN];

		turn = first->turn;
		first->turn = other->turn;
		other->turn = turn;
		sift(h, BY_TURN, first);
		sift(h, BY_TURN, other);
	}
	return first;
}

/* The first ones of a heap's array are about those that rank first. */
struct part *worker_line_find(const struct line *l, uint32_t most,
			      bool (*takes)(const void *ctx, const struct part *p), const void *ctx)
{
	struct part *best = NULL;

	for (uint32_t i = 0; i < l->count; i++) {
		const struct heap *h = &l->queues[i]->heaps[BY_RANK];

		for (uint32_t k = 0; k < h->count && k < most; k++)
			if ((best == NULL || worker_part_outranks(h->items[k], best)) &&
			    takes(ctx, h->items[k]))
				best = h->items[k];
	}
	return best;
}

void worker_line_add(struct line *l, struct part *p)
{
	p->line_queue = queue_intern(l, p->lease->rank.queue);
	for (enum line_order o = BY_TURN; o <= BY_RANK; o++)
		heap_add(&p->line_queue->heaps[o], o, p);
}

void worker_line_remove(struct line *l, struct part *p)
{
	struct line_queue *q = p->line_queue;

	for (enum line_order o = BY_TURN; o <= BY_RANK; o++)
		heap_remove(&q->heaps[o], o, p);
	p->line_queue = NULL;
	if (q->heaps[BY_RANK].count == 0)
		queue_drop(l, q);
}

void worker_line_fini(struct line *l)
{
	CHECK(l->count == 0);
	free(l->queues);
	*l = (struct line){0};
}

void worker_line_check(const struct line *l)
{
	for (uint32_t i = 0; i < l->count; i++)
		for (enum line_order o = BY_TURN; o <= BY_RANK; o++) {
			const struct heap *h = &l->queues[i]->heaps[o];

			CHECK(h->count > 0 && h->count == l->queues[i]->heaps[BY_TURN].count);
			for (uint32_t k = 0; k < h->count; k++) {
				CHECK(h->items[k]->place == PART_QUEUED && h->items[k]->at[o] == k);
				CHECK(k == 0 || !is_before(o, h->items[k], h->items[(k - 1) / 2]));
			}
		}
}
