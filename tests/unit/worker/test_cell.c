/* The two cells of a slot: an agent and a slot thread, millions of leases of one shard, none lost. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#include "base/rng.h"
#include "tests/support/effort.h"
#include "worker/core/cell.h"

Test(cell, is_taken_from_the_front_and_lowered_from_the_end)
{
	struct cell c;
	struct cell_view v;
	struct range r;

	cell_init(&c);
	cr_assert(!cell_is_armed(&c));
	cell_arm(&c, (struct token){1, 9}, (struct range){10, 10});
	r = cell_take(&c, 3);
	cr_assert(r.first == 10 && r.count == 3);

	v = cell_lower_end(&c, 15);
	cr_assert(v.next == 13 && v.end == 15);
	v = cell_lower_end(&c, 18); /* never up again */
	cr_assert(v.next == 13 && v.end == 15);
	v = cell_lower_end(&c, 5); /* what is begun stays begun */
	cr_assert(v.next == 13 && v.end == 13);

	cr_assert_eq(cell_take(&c, 1).count, 0);
	cell_release(&c);
	cr_assert(!cell_is_armed(&c));
}

Test(cell, holds_the_last_shard_of_all)
{
	struct cell c;
	struct range r;

	cell_init(&c);
	cell_arm(&c, (struct token){1, 1}, (struct range){SHARDS_MAX - 2, 2});
	r = cell_take(&c, UINT32_MAX);
	cr_assert(r.first == SHARDS_MAX - 2 && r.count == 2);
	cr_assert_eq(cell_take(&c, 1).count, 0);
}

/* The other thread is about to come; or it has no core of its own, then it gets this one. */
static void wait_a_little(uint32_t *times)
{
	if (++*times % 256 == 0)
		sched_yield();
}

struct mill {
	struct cell cells[SLOT_CELLS];
	uint8_t *taken; /* by lease: how often its shard was begun */
	uint64_t wrong; /* shards that are not their token's */
	_Atomic uint64_t taken_count;
	_Atomic bool stop;
};

/* Works on the cells in turn. A lease's shard number is fixed by its token, so that one that is taken
 * with another's token is told. */
static void *slot_main(void *arg)
{
	struct mill *m = arg;
	uint32_t turn = 0, waits = 0;

	for (;;) {
		struct cell *c = &m->cells[turn];
		struct range r;

		while (!cell_is_armed(c)) {
			if (atomic_load(&m->stop))
				return NULL;
			wait_a_little(&waits);
		}
		while ((r = cell_take(c, 1)).count > 0) {
			m->wrong += r.first != (uint32_t)c->token.lease % 1000;
			m->taken[c->token.lease]++;
			atomic_fetch_add_explicit(&m->taken_count, 1, memory_order_relaxed);
		}
		cell_release(c);
		turn = cell_after(turn);
	}
}

static bool arm_next(struct mill *m, uint32_t turn, uint32_t lease)
{
	struct token t = {.epoch = 1, .lease = lease};

	if (cell_is_armed(&m->cells[turn]))
		return false;
	cell_arm(&m->cells[turn], t, (struct range){lease % 1000, 1});
	return true;
}

/* Each lease's shard is begun once, or was given back by a lowered end: never both, never neither. */
Test(cell, millions_of_leases_of_one_shard_lose_none)
{
	const uint32_t leases = effort(500000, 1000000, 40000000);
	struct mill *m = aligned_alloc(64, sizeof(*m));
	uint32_t lease = 0, turn = 0, lost = 0, twice = 0, given_back = 0, waits = 0;
	pthread_t slot;
	struct rng rng;

	rng_seed(&rng, 7);
	for (uint32_t i = 0; i < SLOT_CELLS; i++)
		cell_init(&m->cells[i]);
	m->taken = calloc(leases, 1);
	m->wrong = 0;
	atomic_init(&m->taken_count, 0);
	atomic_init(&m->stop, false);
	cr_assert_eq(pthread_create(&slot, NULL, slot_main, m), 0);

	while (lease < leases) {
		if (!arm_next(m, turn, lease)) {
			wait_a_little(&waits);
			continue;
		}
		turn = cell_after(turn);
		if (rng_chance(&rng, 100000)) {
			struct cell_view v =
			    cell_lower_end(&m->cells[(turn + SLOT_CELLS - 1) % SLOT_CELLS], 0);

			/* Lowered to nothing before it was begun: the word is [first, first). */
			if (v.next == lease % 1000) {
				m->taken[lease] += 100;
				given_back++;
			}
		}
		lease++;
	}
	for (uint32_t i = 0; i < SLOT_CELLS; i++)
		while (cell_is_armed(&m->cells[i]))
			sched_yield();
	atomic_store(&m->stop, true);
	pthread_join(slot, NULL);

	for (uint32_t i = 0; i < leases; i++) {
		lost += m->taken[i] == 0;
		twice += m->taken[i] != 1 && m->taken[i] != 100;
	}
	cr_log_info("%u leases, %u given back", leases, given_back);
	cr_assert_eq(m->wrong, 0);
	cr_assert_eq(lost, 0);
	cr_assert_eq(twice, 0);
	cr_assert_eq(atomic_load(&m->taken_count) + given_back, leases);
	free(m->taken);
	free(m);
}
