/* One of a slot's cells: the shards of a lease that an agent thread arms and a slot thread takes
 * from. Pure: no clock, no waiting; who waits for what is the shell's affair.
 *
 * Who may do what (PROTOCOL.md, Leases):
 *   agent: cell_arm (a cell that is free), cell_lower_end, cell_peek
 *   slot:  cell_take from the front, cell_release (a cell that is empty, its attempts ended)
 *
 * Why cells armed by the agent, and not one word per slot that arms itself from a queue: that is
 * an ABA race. A compare-and-swap on [next, end) cannot tell a word from an equal one of a later
 * lease; of 4.2 million one-shard leases 70,119 were lost that way. Here a word never comes back
 * while anybody may hold an old copy of it:
 *   - within one arming next only grows and end only shrinks, so that no value is met twice;
 *   - the next arming comes only after the slot, which is the only taker, has released the cell, and
 *     it is done by the agent, which is the only one to lower an end: nobody is between its read and
 *     its swap. The release and acquire on `owner` carry the token beside the word along.
 * No hop between threads a shard, nor between two leases: while one cell is in work others wait. A slot works
 * on its cells in a ring, in the order in which they were armed. Of shards of microseconds a slot has many
 * leases, so that neither thread waits for the other; of longer ones two (worker/core/slots.c). */
#pragma once

#include <stdatomic.h>

#include "base/check.h"
#include "jobs/schema.h"

#define SLOT_CELLS 64

/* The cell that is armed, or worked on, after this one. */
static inline uint32_t cell_after(uint32_t cell)
{
	return (cell + 1) % SLOT_CELLS;
}

enum cell_owner {
	CELL_OF_AGENT, /* free: the agent may arm it */
	CELL_OF_SLOT,  /* armed: the slot may take from it, and will release it */
};

struct cell {
	_Alignas(64) _Atomic uint64_t word; /* next << 32 | end; empty when next == end */
	_Atomic uint32_t owner;		    /* enum cell_owner */
	struct token token;		    /* written before owner says slot, read after */
};

/* What a cell holds: [next, end) is not begun. next == end: empty. */
struct cell_view {
	uint32_t next;
	uint32_t end;
};

static inline uint64_t cell_word(uint32_t next, uint32_t end)
{
	return (uint64_t)next << 32 | end;
}

static inline struct cell_view cell_unword(uint64_t word)
{
	return (struct cell_view){(uint32_t)(word >> 32), (uint32_t)word};
}

/* All zero bytes are a free cell too. */
static inline void cell_init(struct cell *c)
{
	atomic_init(&c->word, 0);
	atomic_init(&c->owner, CELL_OF_AGENT);
	c->token = (struct token){0};
}

/* Agent. The cell is free; r has at least one shard and ends at or below SHARDS_MAX. */
static inline void cell_arm(struct cell *c, struct token token, struct range r)
{
	CHECK(atomic_load_explicit(&c->owner, memory_order_acquire) == CELL_OF_AGENT);
	CHECK(range_is_valid(r, SHARDS_MAX));
	c->token = token;
	atomic_store_explicit(&c->word, cell_word(r.first, (uint32_t)range_end(r)), memory_order_relaxed);
	atomic_store_explicit(&c->owner, CELL_OF_SLOT, memory_order_release);
}

/* Agent. What is there now; the slot may take from it meanwhile: next is a lower bound. */
static inline struct cell_view cell_peek(const struct cell *c)
{
	return cell_unword(atomic_load_explicit(&c->word, memory_order_acquire));
}

/* Agent. The slot takes nothing at or above `end` from now on, unless it was begun already. Returns
 * what really holds: [next, end). An end above the present one changes nothing. */
static inline struct cell_view cell_lower_end(struct cell *c, uint32_t end)
{
	uint64_t word = atomic_load_explicit(&c->word, memory_order_acquire);

	for (;;) {
		struct cell_view v = cell_unword(word);
		uint32_t low = end > v.next ? end : v.next;

		if (low >= v.end)
			return v;
		if (atomic_compare_exchange_weak_explicit(&c->word, &word, cell_word(v.next, low),
							  memory_order_acq_rel, memory_order_acquire))
			return (struct cell_view){v.next, low};
	}
}

/* Agent or slot: may the other one touch it? The slot calls it to see whether it has work. */
static inline bool cell_is_armed(const struct cell *c)
{
	return atomic_load_explicit(&c->owner, memory_order_acquire) == CELL_OF_SLOT;
}

/* Slot. Takes up to max (at least 1) shards from the front of an armed cell; count 0: it is empty. */
static inline struct range cell_take(struct cell *c, uint32_t max)
{
	uint64_t word = atomic_load_explicit(&c->word, memory_order_acquire);

	for (;;) {
		struct cell_view v = cell_unword(word);
		uint32_t count = v.end - v.next < max ? v.end - v.next : max;

		if (count == 0)
			return (struct range){v.next, 0};
		if (atomic_compare_exchange_weak_explicit(&c->word, &word, cell_word(v.next + count, v.end),
							  memory_order_acq_rel, memory_order_acquire))
			return (struct range){v.next, count};
	}
}

/* Slot. The cell is armed and empty, and all that was taken from it has ended. */
static inline void cell_release(struct cell *c)
{
	struct cell_view v = cell_unword(atomic_load_explicit(&c->word, memory_order_relaxed));

	CHECK(cell_is_armed(c) && v.next == v.end);
	atomic_store_explicit(&c->owner, CELL_OF_AGENT, memory_order_release);
}
