/* What a worker holds never outranks what came later: slots give back what they have not begun when a part
 * comes that ranks before it and no slot is free. A running shard runs on; its lease ends behind it. */
#include "worker/core/state.h"

static bool has_unbegun(const struct part *p)
{
	return p != NULL && !p->stopped && p->asked_end > p->next;
}

/* Of the slot's cells what `first` outranks and is not begun, the lowest rank of the two; NULL: nothing. */
static struct part *lowest(const struct slot *s, const struct part *first)
{
	struct part *low = NULL;

	for (uint32_t i = 0; i < SLOT_CELLS; i++) {
		struct part *p = s->cells[i];

		if (has_unbegun(p) && worker_part_outranks(first, p) &&
		    (low == NULL || worker_part_outranks(low, p)))
			low = p;
	}
	return low;
}

/* Whether all that the slot has left, or has in work, ranks behind: it can be had for another shape. */
static bool outranks_all(const struct slot *s, const struct part *first)
{
	for (uint32_t i = 0; i < SLOT_CELLS; i++)
		if (s->cells[i] != NULL && !worker_part_outranks(first, s->cells[i]))
			return false;
	return true;
}

static void lower_outranked(struct worker_core *c, struct slot *s, const struct part *first)
{
	for (uint32_t i = 0; i < SLOT_CELLS; i++)
		if (has_unbegun(s->cells[i]) && worker_part_outranks(first, s->cells[i]))
			worker_slot_lower(c, s->cells[i], s->cells[i]->next);
}

/* Of the slots of k (NULL: of any shape) the one whose work ranks last, and behind `first`. */
static struct slot *last_slot(const struct worker_core *c, const struct shape_class *k,
			      const struct part *first)
{
	struct part *low = NULL;

	for (uint32_t id = 0; id < c->slot_capacity; id++) {
		const struct slot *s = c->slots[id];
		struct part *p = s->open && (k == NULL || s->class == k) ? lowest(s, first) : NULL;

		if (p == NULL || (k == NULL && !outranks_all(s, first)))
			continue;
		if (low == NULL || worker_part_outranks(low, p))
			low = p;
	}
	return low != NULL ? low->slot : NULL;
}

/* Until the shape has room once these slots have ended what they run. */
static void make_others_give_way(struct worker_core *c, const struct shape_class *k, const struct part *first)
{
	struct slots_room left = c->used;
	struct slot *s;

	for (uint32_t id = 0; id < c->slot_capacity; id++) {
		const struct slot *o = c->slots[id];
		bool comes = o->open;

		for (uint32_t i = 0; i < SLOT_CELLS;
		     i++) /* idle, or ends soon: nothing of it is left to begin */
			comes &= o->cells[i] == NULL || (outranks_all(o, first) && !has_unbegun(o->cells[i]));
		if (comes)
			worker_room_without(&left, o);
	}
	while (!worker_room_fits(c, &left, k) && (s = last_slot(c, NULL, first)) != NULL) {
		lower_outranked(c, s, first);
		worker_room_without(&left, s);
	}
}

void worker_slots_give_way(struct worker_core *c, struct shape_class *k)
{
	const struct part *first = worker_line_first(&k->line);
	uint32_t wanted = k->arrived;
	struct slot *s;

	k->arrived = 0;
	if (first == NULL || wanted == 0)
		return;
	if (k->slots_open == 0) {
		make_others_give_way(c, k, first);
		return;
	}
	for (; wanted > 0 && (s = last_slot(c, k, first)) != NULL; wanted--)
		lower_outranked(c, s, first);
}
