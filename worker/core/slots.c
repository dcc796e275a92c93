/* Slots: opened for a shape, given parts of leases ahead, closed when another shape needs the room. A slot
 * has two parts at least, so that it goes on when one has ended, and more while all of them together are
 * short: then neither its thread nor the agent waits for the other after each. */
#include "base/constants.h"
#include "worker/core/state.h"

/* ---- the lists of a class ---- */

static bool takes_more(const struct slot *s)
{
	if (s->armed < SLOT_PARTS_MIN || s->cells[s->turn] != NULL)
		return s->cells[s->turn] == NULL;
	return s->class->is_timed && (s->shards + 1) * s->class->shard_ns <= SLOT_AHEAD_US * 1000ull;
}

/* Where a slot belongs, by its cells. */
static struct slot **list_of(struct slot *s)
{
	if (s->armed == 0)
		return &s->class->idle;
	return takes_more(s) ? &s->class->half : &s->class->full;
}

static void relist(struct slot *s)
{
	if (s->list != NULL)
		DL_DELETE(*s->list, s);
	s->list = list_of(s);
	if (s->list == &s->class->idle)
		DL_PREPEND(*s->list, s); /* the warmest is taken first, the coldest closed first */
	else
		DL_APPEND(*s->list, s);
}

/* ---- opening and closing ---- */

bool worker_room_fits(const struct worker_core *c, const struct slots_room *r, const struct shape_class *k)
{
	return amounts_fit(&r->used, &k->amounts, &c->capacity) &&
	       gpus_fit(&r->gpus, k->amounts.v[AMOUNT_GPUS]);
}

void worker_room_without(struct slots_room *r, const struct slot *s)
{
	amounts_subtract(&r->used, s->class->amounts);
	gpus_give_back(&r->gpus, &s->gpus);
}

static struct slot *slot_open(struct worker_core *c, struct shape_class *k)
{
	struct slot *s;
	uint32_t id = 0;

	while (id < c->slot_capacity && c->slots[id] != NULL && c->slots[id]->open)
		id++;
	if (id == SLOTS_PER_WORKER_MAX)
		return NULL;
	if (id == c->slot_capacity) {
		c->slots = check_realloc(c->slots, id + 1, sizeof(struct slot *));
		c->slots[id] = check_calloc(1, sizeof(*s));
		c->slot_capacity = id + 1;
	}
	s = c->slots[id];
	*s = (struct slot){.open = true, .id = id, .class = k};
	CHECK(gpus_take(&c->used.gpus, k->amounts.v[AMOUNT_GPUS], &s->gpus));
	relist(s);
	k->slots_open++;
	c->slots_open++;
	amounts_add(&c->used.used, k->amounts);
	worker_effect_push(c, WORKER_OPEN_SLOT)->open =
	    (struct worker_slot_ref){.slot = id, .shape = k->shape, .gpus = s->gpus};
	return s;
}

void worker_slot_remove(struct worker_core *c, struct slot *s)
{
	CHECK(s->armed == 0);
	DL_DELETE(*s->list, s);
	s->list = NULL;
	s->open = false;
	s->class->slots_open--;
	c->slots_open--;
	worker_room_without(&c->used, s);
	c->place_wanted = true;
}

static void slot_close(struct worker_core *c, struct slot *s)
{
	worker_effect_push(c, WORKER_CLOSE_SLOT)->close =
	    (struct worker_slot_ref){.slot = s->id, .shape = s->class->shape, .gpus = s->gpus};
	worker_slot_remove(c, s);
}

/* Room for one more slot of the class, if need be by closing idle ones of other classes. */
static bool make_room(struct worker_core *c, const struct shape_class *k)
{
	struct slots_room least = c->used;
	struct shape_class *other;
	struct slot *s;

	if (worker_room_fits(c, &c->used, k))
		return true;
	DL_FOREACH (c->classes, other)
		if (other != k)
			DL_FOREACH (other->idle, s)
				worker_room_without(&least, s);
	if (!worker_room_fits(c, &least, k))
		return false;
	DL_FOREACH (c->classes, other)
		while (other != k && other->idle != NULL && !worker_room_fits(c, &c->used, k))
			slot_close(c, other->idle->prev);
	return true;
}

static bool has_single(const struct shape_class *k)
{
	const struct slot *s;

	DL_FOREACH (k->half, s)
		if (s->armed < SLOT_PARTS_MIN)
			return true;
	return false;
}

enum slots_lack worker_slots_lack(const struct worker_core *c)
{
	enum slots_lack lack = c->slots_open == 0 ? SLOTS_LACK_WORK : SLOTS_LACK_NOTHING;
	const struct shape_class *k;

	DL_FOREACH (c->classes, k) {
		if (k->line.count > 0)
			return SLOTS_LACK_NOTHING;
		if (k->idle != NULL || worker_room_fits(c, &c->used, k))
			lack = SLOTS_LACK_WORK;
		else if (has_single(k) && lack == SLOTS_LACK_NOTHING)
			lack = SLOTS_LACK_NEXT;
	}
	return lack;
}

/* ---- cells ---- */

void worker_slot_arm(struct worker_core *c, struct slot *s, struct part *p)
{
	struct held *l = p->lease;
	const struct run_definition *d = &l->definition->value->definition;

	worker_line_remove(&s->class->line, p);
	p->place = PART_ARMED;
	p->slot = s;
	p->cell = s->turn;
	p->definition = l->definition->value;
	p->definition->uses++;
	p->job = l->parameters->value;
	p->job->uses++;
	if (s->armed == 0)
		s->since_us = c->now_us;
	s->cells[p->cell] = p;
	s->turn = cell_after(s->turn);
	s->armed++;
	s->shards += p->end - p->first;
	p->armed_shards = p->end - p->first;
	relist(s);
	worker_held_touch(c, l);
	worker_effect_push(c, WORKER_ARM)->arm = (struct worker_arm){.slot = s->id,
								     .cell = p->cell,
								     .token = worker_held_token_of(l),
								     .job = l->job,
								     .phase = l->phase,
								     .range = range_between(p->first, p->end),
								     .attempt = l->attempt,
								     .slice = l->slice,
								     .slice_first = l->range.first,
								     .shape = s->class->shape,
								     .definition = d,
								     .run = worker_held_run(l, d),
								     .parameters = &p->job->job};
}

void worker_slot_free_cell(struct worker_core *c, struct part *p)
{
	struct slot *s = p->slot;

	CHECK(s->cells[p->cell] == p);
	s->cells[p->cell] = NULL;
	s->armed--;
	s->shards -= p->armed_shards;
	relist(s);
	worker_params_value_drop(p->definition);
	worker_params_value_drop(p->job);
	c->place_wanted = true;
}

void worker_slot_timed(struct worker_core *c, struct part *p, uint64_t run_us, uint64_t shards)
{
	struct slot *s = p->slot;
	struct shape_class *k = s->class;
	uint64_t ns = run_us * 1000 / shards;

	k->shard_ns = k->is_timed ? (3 * k->shard_ns + ns) / 4 : ns;
	k->is_timed = true;
	worker_timed_take(&p->lease->parameters->timed, run_us, shards);
	s->since_us = c->now_us;
	relist(s);
}

void worker_slot_lower(struct worker_core *c, struct part *p, uint32_t end)
{
	uint32_t low = end > p->next ? end : p->next;

	if (p->stopped || low >= p->asked_end)
		return;
	p->asked_end = low;
	worker_effect_push(c, WORKER_LOWER_END)->lower_end = (struct worker_lower_end){
	    .slot = p->slot->id, .cell = p->cell, .token = worker_held_token_of(p->lease), .end = low};
}

void worker_slot_stop(struct worker_core *c, struct part *p)
{
	if (p->stopped)
		return;
	p->stopped = true;
	worker_effect_push(c, WORKER_STOP)->stop = (struct worker_stop){
	    .slot = p->slot->id, .cell = p->cell, .token = worker_held_token_of(p->lease)};
}

/* ---- placing ---- */

struct slot *worker_slot_idle(struct worker_core *c, struct shape_class *k)
{
	if (k->idle != NULL || !make_room(c, k))
		return k->idle;
	return slot_open(c, k);
}

/* An idle slot first, then a new one, then the one that waits longest for another part. */
static struct slot *slot_for(struct worker_core *c, struct shape_class *k)
{
	struct slot *s = worker_slot_idle(c, k);

	return s != NULL ? s : k->half;
}

/* The class whose first part goes before the others', of those not tried in this round. */
static struct shape_class *next_class(struct worker_core *c)
{
	struct shape_class *best = NULL, *k;
	struct part *first = NULL, *p;

	DL_FOREACH (c->classes, k) {
		p = k->tried ? NULL : worker_line_first(&k->line);
		if (p == NULL || (first != NULL && !worker_part_outranks(p, first)))
			continue;
		best = k;
		first = p;
	}
	return best;
}

/* What it was given last, and is not begun; NULL: it has one part at most. */
static struct part *newest(const struct slot *s)
{
	struct part *p = NULL;

	for (uint32_t i = 1; s->armed >= SLOT_PARTS_MIN && p == NULL; i++)
		p = s->cells[(s->turn + SLOT_CELLS - i) % SLOT_CELLS];
	return p == NULL || p->next > p->first || p->first == p->end || p->stopped ? NULL : p;
}

/* While slots have nothing to do, what other slots were given last, and have not begun, comes back. */
static void steal(struct worker_core *c, struct shape_class *k)
{
	uint32_t hungry = 0, coming = 0;
	struct slot *s;

	DL_FOREACH (k->idle, s)
		hungry++;
	if (worker_room_fits(c, &c->used, k))
		hungry++;
	for (int list = 0; list < 2; list++)
		DL_FOREACH (list == 0 ? k->full : k->half, s) {
			struct part *p = newest(s);

			if (coming >= hungry)
				return;
			if (p == NULL)
				continue;
			worker_slot_lower(c, p, p->first);
			coming++;
		}
}

void worker_slots_place(struct worker_core *c)
{
	struct shape_class *k;

	if (!c->place_wanted)
		return;
	c->place_wanted = false;
	if (c->cut_off || c->draining)
		return;
	DL_FOREACH (c->classes, k)
		k->tried = false;
	while ((k = next_class(c)) != NULL) {
		struct slot *s;

		k->tried = true;
		while (k->line.count > 0 && (s = slot_for(c, k)) != NULL)
			worker_slot_arm(c, s, worker_line_first(&k->line));
		worker_slots_give_way(c, k);
		/* It waits for room that others' slots take: nobody behind it may keep them busy for longer.
		 */
		if (k->line.count > 0 && k->slots_open == 0 && !PLANTED(no_room_for_large)) {
			worker_slots_backfill(c, k);
			break;
		}
	}
	DL_FOREACH (c->classes, k)
		if (k->line.count == 0 && k->slots_open > 0)
			steal(c, k);
	c->place_wanted = false;
}

void worker_slots_fini(struct worker_core *c)
{
	for (uint32_t id = 0; id < c->slot_capacity; id++)
		free(c->slots[id]);
	free(c->slots);
	while (c->classes != NULL) {
		struct shape_class *k = c->classes;

		DL_DELETE(c->classes, k);
		worker_line_fini(&k->line);
		free(k);
	}
}
