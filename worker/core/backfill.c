/* While a shape waits for room, slots that have ended their work stand idle until the last one that it needs
 * has. What ranks behind it may use them meanwhile, if it is expected to end before the room is there.
 *
 * The room is there, at the earliest, when each slot that has to end by then has taken as little as its job's
 * shards do (mean less twice their distance from it); what is let in takes as much as its own do (mean plus
 * twice that). So it delays the shape only by how much a shard leaves these bounds, and never by more than
 * the longest time that was filled: a shard of unknown run time is not let in, and for none is the room there
 * later than now. */
#include "base/constants.h"
#include "worker/core/state.h"

#include <stdlib.h>

#define LOOK_AT_MOST 64 /* parts of each line */

void worker_timed_take(struct timed *t, uint64_t run_us, uint64_t shards)
{
	uint64_t ns = run_us * 1000 / shards, apart = ns > t->shard_ns ? ns - t->shard_ns : t->shard_ns - ns;

	/* As round trips are estimated (RFC 6298). */
	t->apart_ns = t->is_timed ? t->apart_ns - t->apart_ns / 4 + apart / 4 : ns / 2;
	t->shard_ns = t->is_timed ? (3 * t->shard_ns + ns) / 4 : ns;
	t->is_timed = true;
}

static uint64_t least_ns(const struct part *p)
{
	const struct timed *t = &p->lease->parameters->timed;

	return t->shard_ns > 2 * t->apart_ns ? t->shard_ns - 2 * t->apart_ns : 0;
}

static uint64_t most_ns(const struct part *p)
{
	const struct timed *t = &p->lease->parameters->timed;

	return t->shard_ns + 2 * t->apart_ns;
}

/* When the slot has ended all that it may begin, at the earliest. */
static usec_t slot_left_us(const struct worker_core *c, const struct slot *s)
{
	uint64_t left_ns = 0, ran_ns = (uint64_t)(c->now_us - s->since_us) * 1000;
	bool is_first = true;

	for (uint32_t i = 0; i < SLOT_CELLS; i++) {
		const struct part *p = s->cells[(s->turn + i) % SLOT_CELLS]; /* the oldest first */
		uint64_t shards, ns;
		uint32_t end;

		if (p == NULL || p->stopped)
			continue;
		ns = least_ns(p);
		end = p->asked_end > p->next ? p->asked_end : p->next; /* what has begun also ends */
		shards = end - p->first - shard_set_count(&p->ended);
		left_ns += shards * ns;
		if (is_first && shards > 0)
			left_ns -= ran_ns < ns ? ran_ns : ns; /* of the one in work */
		is_first = false;
	}
	return (usec_t)(left_ns / 1000);
}

struct ending {
	usec_t left_us;
	const struct slot *slot;
};

static int by_time(const void *a, const void *b)
{
	const struct ending *x = a, *y = b;

	return (x->left_us > y->left_us) - (x->left_us < y->left_us);
}

/* How long until the shape has its room, at least. */
static usec_t room_in_us(const struct worker_core *c, const struct shape_class *k)
{
	struct ending *busy = check_calloc(c->slots_open + 1ul, sizeof *busy);
	struct slots_room left = c->used;
	uint32_t count = 0, i;
	usec_t us = 0;

	for (uint32_t id = 0; id < c->slot_capacity; id++) {
		const struct slot *s = c->slots[id];

		if (s->open && s->armed == 0)
			worker_room_without(&left, s);
		else if (s->open)
			busy[count++] = (struct ending){slot_left_us(c, s), s};
	}
	qsort(busy, count, sizeof *busy, by_time);
	for (i = 0; i < count && !worker_room_fits(c, &left, k); i++) {
		us = busy[i].left_us;
		worker_room_without(&left, busy[i].slot);
	}
	free(busy);
	return us;
}

/* How many of its shards end within the time. */
static uint32_t shards_within(const struct part *p, usec_t us)
{
	const struct timed *t = &p->lease->parameters->timed;
	uint64_t shards;

	if (!t->is_timed)
		return 0;
	if (PLANTED(backfill_ignores_room))
		return p->end - p->first;
	shards = (uint64_t)us * 1000 / (most_ns(p) > 0 ? most_ns(p) : 1);
	return shards < p->end - p->first ? (uint32_t)shards : p->end - p->first;
}

static bool ends_within(const void *ctx, const struct part *p)
{
	return shards_within(p, *(const usec_t *)ctx) > 0;
}

void worker_slots_backfill(struct worker_core *c, const struct shape_class *k)
{
	usec_t us = -1;
	struct shape_class *other;

	if (PLANTED(backfill_left_out))
		return;
	DL_FOREACH (c->classes, other) {
		struct part *p;
		struct slot *s;

		if (other->tried || other->line.count == 0)
			continue;
		if (us < 0)
			us = room_in_us(c, k) - BACKFILL_SPARE_US;
		if (us <= 0 && !PLANTED(backfill_ignores_room))
			return;
		while ((p = worker_line_find(&other->line, LOOK_AT_MOST, ends_within, &us)) != NULL &&
		       (s = worker_slot_idle(c, other)) != NULL) {
			uint32_t end = p->end;

			p->end = p->asked_end = p->first + shards_within(p, us);
			worker_slot_arm(c, s, p);
			worker_held_take_back(c, p->lease, p->end, end, p->number);
		}
	}
}
