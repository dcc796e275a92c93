/* Arenas and buffers: what they say that they hold is what they cost. */
#include "base/arena.h"
#include "base/buf.h"
#include "base/check.h"
#include "base/limits.h"
#include "base/rng.h"
#include "tests/unit/bounds/heap.h"

Test(bounds, an_arena_for_little_costs_little)
{
	struct arena a;
	size_t before;

	arena_init(&a, 0);
	before = heap_now();
	cr_assert_not_null(arena_alloc(&a, 60));
	expect_bound("an arena of 60 bytes", a.held_bytes, heap_now() - before);
	cr_expect_leq(a.held_bytes, 512);
	arena_fini(&a);
}

Test(bounds, an_arena_counts_its_blocks_whatever_is_taken_from_it)
{
	static const size_t largest[] = {8, 100, 1000, 9000, 20000, 300000};

	for (size_t i = 0; i < ARRAY_LENGTH(largest); i++) {
		size_t before = heap_now(), taken = 0;
		struct arena a;
		struct rng rng;

		rng_seed(&rng, i);
		arena_init(&a, 0);
		while (taken < 4 * MIB) {
			size_t size = 1 + rng_below(&rng, largest[i]);

			cr_assert_not_null(arena_alloc(&a, size));
			taken += (size + 15) / 16 * 16;
		}
		expect_bound("an arena", a.held_bytes, heap_now() - before);
		cr_expect_leq(a.held_bytes, taken / 2 * 3, "%zu for %zu", a.held_bytes, taken);
		arena_reset(&a);
		cr_expect_leq(a.held_bytes, 17 * KIB, "it keeps one block");
		expect_bound("an arena that was reset", a.held_bytes + 64, heap_now() - before + 64);
		arena_fini(&a);
	}
}

Test(bounds, an_arenas_bound_holds_and_nearly_all_of_it_can_be_used)
{
	static const size_t sizes[] = {16, 100, 5000, 70000};

	for (size_t i = 0; i < ARRAY_LENGTH(sizes); i++) {
		size_t before = heap_now(), taken = 0;
		struct arena a;

		arena_init(&a, 1 * MIB);
		while (arena_alloc(&a, sizes[i]) != NULL)
			taken += sizes[i];
		cr_expect_leq(a.held_bytes, 1 * MIB);
		cr_expect_geq(taken, 1 * MIB / 3 * 2, "%zu bytes in pieces of %zu", taken, sizes[i]);
		expect_bound("an arena that is full", 1 * MIB, heap_now() - before);
		arena_fini(&a);
	}
}

/* A body of a request, a runner's answer, an object's list: bounded by their size. */
Test(bounds, a_buffer_costs_what_is_in_it)
{
	size_t before = heap_now();
	struct buf b = {0};

	for (size_t i = 0; i < 3 * MIB; i += 1000) {
		buf_append_zeros(&b, 1000);
		cr_assert_leq(b.capacity, b.size / 2 * 3);
	}
	expect_bound("a buffer", b.size, heap_now() - before);
	buf_fini(&b);
}
