#include "dispatcher/core/volatile/shares.h"

#include <math.h>
#include <stdlib.h>

#include "base/array.h"
#include "base/check.h"

#define FACTOR_STEPS 64	 /* a half-life */
#define TURN_BITS 40	 /* of a turn behind the point: 64 slots for a year differ by a microsecond */
#define TURN_LEAST (-64) /* of what was served, as a power of two; less is nothing */

void share_clock_init(struct share_clock *c, usec_t half_life_us, usec_t now_us)
{
	CHECK(half_life_us > 0);
	*c = (struct share_clock){
	    .half_life_us = half_life_us, .now_us = now_us, .origin_us = now_us, .factor = 1};
}

uint32_t share_clock_set(struct share_clock *c, usec_t now_us)
{
	uint64_t halvings = 0;

	if (now_us <= c->now_us)
		return 0;
	c->now_us = now_us;
	halvings = (uint64_t)(now_us - c->origin_us) / (uint64_t)c->half_life_us;
	if (halvings >= SHARE_HALVINGS_MAX) {
		c->origin_us += (usec_t)halvings * c->half_life_us;
		c->halvings += halvings;
	} else {
		halvings = 0;
	}
	/* In steps, so that those that were served alike stay alike when a report says that it was as
	 * expected: their order would change with each, and all lines of them. */
	c->factor = exp2(floor(FACTOR_STEPS * (double)(now_us - c->origin_us) / (double)c->half_life_us) /
			 FACTOR_STEPS);
	return halvings < UINT32_MAX ? (uint32_t)halvings : UINT32_MAX;
}

double share_shrunk(double sum, uint32_t halvings)
{
	return ldexp(sum, halvings < INT32_MAX ? -(int)halvings : INT32_MIN + 1);
}

void share_shrink(struct share *s, uint32_t halvings)
{
	s->used = share_shrunk(s->used, halvings);
	s->ahead = share_shrunk(s->ahead, halvings);
}

double share_cost(const struct share_clock *c, const struct share *s, double us)
{
	return us * c->factor / s->weight;
}

/* ---- lines ---- */

bool share_place_is_before(const struct share_place *a, const struct share_place *b)
{
	if (a->share->used < b->share->used)
		return true;
	return !(b->share->used < a->share->used) && a->serial < b->serial;
}

static void put(struct share_line *l, struct share_place *p, uint32_t at)
{
	l->items[at] = p;
	p->at = at;
}

static void sift_up(struct share_line *l, struct share_place *p)
{
	uint32_t at = p->at;

	for (; at > 0 && share_place_is_before(p, l->items[(at - 1) / 2]); at = (at - 1) / 2)
		put(l, l->items[(at - 1) / 2], at);
	put(l, p, at);
}

static void sift_down(struct share_line *l, struct share_place *p)
{
	uint32_t at = p->at;

	for (;;) {
		uint32_t child = 2 * at + 1;

		if (child + 1 < l->count && share_place_is_before(l->items[child + 1], l->items[child]))
			child++;
		if (child >= l->count || !share_place_is_before(l->items[child], p))
			break;
		put(l, l->items[child], at);
		at = child;
	}
	put(l, p, at);
}

/* To where it belongs. */
static void sift(struct share_line *l, struct share_place *p)
{
	sift_up(l, p);
	sift_down(l, p);
}

void share_line_sort(struct share_line *l)
{
	for (uint32_t i = l->count / 2; i-- > 0;)
		sift_down(l, l->items[i]);
}

void share_line_add(struct share_line *l, struct share_place *p)
{
	CHECK(p->line == NULL);
	ARRAY_GROW(l->items, l->capacity, l->count);
	p->line = l;
	p->other = p->share->places;
	p->share->places = p;
	put(l, p, l->count++);
	sift(l, p);
}

void share_line_remove(struct share_place *p)
{
	struct share_line *l = p->line;
	struct share_place **link = &p->share->places, *last;

	CHECK(l != NULL && l->items[p->at] == p);
	while (*link != p)
		link = &(*link)->other;
	*link = p->other;
	last = l->items[--l->count];
	if (last != p) {
		put(l, last, p->at);
		sift(l, last);
	}
	p->line = NULL;
}

void share_place_renumber(struct share_place *p, uint64_t serial)
{
	p->serial = serial;
	if (p->line != NULL)
		sift(p->line, p);
}

struct share_place *share_line_first(const struct share_line *l)
{
	return l->count > 0 ? l->items[0] : NULL;
}

void share_line_fini(struct share_line *l)
{
	CHECK(l->count == 0);
	free(l->items);
	*l = (struct share_line){0};
}

void share_line_check(const struct share_line *l)
{
	for (uint32_t i = 0; i < l->count; i++) {
		CHECK(l->items[i]->at == i && l->items[i]->line == l);
		CHECK(i == 0 || !share_place_is_before(l->items[i], l->items[(i - 1) / 2]));
	}
}

/* ---- being served ---- */

/* By where they stand: the last first, or last_first false. */
static void sort_places(struct share *s, bool last_first)
{
	struct share_place *sorted = NULL, *p;

	while ((p = s->places) != NULL) {
		struct share_place **link = &sorted;

		s->places = p->other;
		while (*link != NULL && ((*link)->at > p->at) == last_first)
			link = &(*link)->other;
		p->other = *link;
		*link = p;
	}
	s->places = sorted;
}

void share_charge(struct share *s, double cost)
{
	s->used = s->used + cost > 0 ? s->used + cost : 0;
	/* Of several in a heap that all sink those below are put right first, and the other way round. */
	if (s->crowds)
		sort_places(s, cost > 0);
	for (struct share_place *p = s->places; p != NULL; p = p->other)
		sift(p->line, p);
}

void share_charge_ahead(struct share *s, double cost)
{
	s->ahead += cost;
	share_charge(s, cost);
}

void share_charge_late(struct share *s, double expected, double cost)
{
	s->ahead = s->ahead > expected ? s->ahead - expected : 0;
	share_charge(s, cost - expected);
}

void share_set_weight(struct share *s, uint32_t weight)
{
	double ahead = s->ahead * s->weight / weight, more = ahead - s->ahead;

	if (weight == s->weight)
		return;
	s->weight = weight;
	s->ahead = ahead;
	share_charge(s, more);
}

double share_served(const struct share *s)
{
	return s->used > s->ahead ? s->used - s->ahead : 0;
}

void share_begin(const struct share_clock *c, struct share *s, double least, double quantum_us)
{
	double from = least;

	CHECK(s->places == NULL);
	if (s->used >= least)
		return;
	if (!s->given || c->now_us - s->given_us >= c->half_life_us) {
		from -= share_cost(c, s, quantum_us);
		s->given = true;
		s->given_us = c->now_us;
	}
	if (s->used < from)
		s->used = from;
}

int64_t share_turn(const struct share_clock *c, const struct share *s)
{
	double power = s->used > 0 ? log2(s->used) : TURN_LEAST;

	if (power < TURN_LEAST)
		power = TURN_LEAST;
	return (int64_t)ldexp(power - TURN_LEAST, TURN_BITS) + (int64_t)(c->halvings << TURN_BITS);
}
