/* Shard sets: stories with numbers that can be checked by hand, scale, and random operations
 * against a plain array (tests/fuzz/shard_set_play.h). Built twice: with the real bound of a
 * vector, and with SHARD_SET_INTERVALS_MAX 8, so that forms change all the time. */
#include "jobs/shard_set.h"

#include <stdio.h>
#include <stdlib.h>
#include <criterion/criterion.h>

#include "base/check.h"
#include "base/rng.h"
#include "tests/fuzz/shard_set_play.h"
#include "tests/support/effort.h"

static uint64_t seed_played;

/* Set as the CHECK hook: the seed stands above what did not hold. */
static void say_seed(const char *file, int line, const char *func, const char *cond)
{
	(void)file, (void)line, (void)func, (void)cond;
	fprintf(stderr, "seed %llu\n", (unsigned long long)seed_played);
}

static void expect_runs(const struct shard_set *s, const struct range runs[], size_t n)
{
	struct range out[16];
	uint64_t cursor = 0;

	shard_set_check(s);
	cr_assert_eq(shard_set_ranges(s, &cursor, out, ARRAY_LENGTH(out)), n);
	for (size_t i = 0; i < n; i++)
		cr_assert(range_compare(out[i], runs[i]) == 0, "run %zu is %u+%u", i, out[i].first,
			  out[i].count);
}

Test(shard_set, reports_arrive_out_of_order)
{
	struct shard_set s = {0};
	uint32_t first = 77;

	cr_assert_eq(shard_set_form(&s), SHARD_SET_EMPTY);
	cr_assert(!shard_set_peek_first(&s, &first));
	cr_assert_eq(first, 77, "an output is written only on success");

	cr_assert_eq(shard_set_add(&s, 100, 50), 50);
	cr_assert_eq(shard_set_form(&s), SHARD_SET_INTERVAL);
	cr_assert_eq(shard_set_add(&s, 150, 10), 10);
	cr_assert_eq(shard_set_form(&s), SHARD_SET_INTERVAL, "touching runs are one");
	cr_assert_eq(shard_set_add(&s, 200, 10), 10);
	cr_assert_eq(shard_set_form(&s), SHARD_SET_VECTOR);
	cr_assert_eq(shard_set_add(&s, 140, 65), 40, "only the gap is new");
	expect_runs(&s, (struct range[]){{100, 110}}, 1);

	cr_assert_eq(shard_set_remove(&s, 0, 120), 20);
	cr_assert_eq(shard_set_remove(&s, 130, 1), 1);
	expect_runs(&s, (struct range[]){{120, 10}, {131, 79}}, 2);
	cr_assert_eq(shard_set_next_absent(&s, 120, 500), 130);
	cr_assert_eq(shard_set_next_absent(&s, 131, 140), 140);
	cr_assert_eq(shard_set_next_absent(&s, 7, 140), 7);

	cr_assert(range_compare(shard_set_take_first(&s, 100), (struct range){120, 10}) == 0);
	cr_assert(range_compare(shard_set_take_first(&s, 100), (struct range){131, 79}) == 0);
	cr_assert_eq(shard_set_take_first(&s, 100).count, 0);
	cr_assert_eq(shard_set_form(&s), SHARD_SET_EMPTY);
	shard_set_fini(&s);
}

Test(shard_set, a_slice_replaces_its_window_and_nothing_else)
{
	struct shard_set s = {0};
	struct error e;
	struct range kept[] = {{20, 2}, {28, 2}};

	shard_set_add(&s, 0, 100);
	cr_assert_eq(shard_set_replace(&s, (struct range){20, 10}, kept, 2, &e), 0);
	expect_runs(&s, (struct range[]){{0, 22}, {28, 72}}, 2);

	kept[1].count = 3;
	cr_assert_eq(shard_set_replace(&s, (struct range){20, 10}, kept, 2, &e), ERR_INVALID);
	cr_assert_str_eq(e.what, "expected ranges in order inside shards 20+10, found 28+3 as number 2");
	expect_runs(&s, (struct range[]){{0, 22}, {28, 72}}, 2);
	cr_assert_eq(shard_set_replace(&s, (struct range){UINT32_MAX, 1}, NULL, 0, &e), ERR_INVALID);
	shard_set_fini(&s);
}

Test(shard_set, all_shards_there_can_be_are_one_interval)
{
	struct shard_set s = {0};
	uint32_t all = (uint32_t)SHARDS_MAX;

	cr_assert_eq(shard_set_add(&s, 0, all), all);
	cr_assert_eq(shard_set_form(&s), SHARD_SET_INTERVAL);
	cr_assert_eq(shard_set_bytes(&s), 0);
	cr_assert_eq(shard_set_remove(&s, all - 1, 1), 1, "the last number is 2^32-2");
	cr_assert(!shard_set_contains(&s, all - 1));
	cr_assert(!shard_set_contains(&s, UINT32_MAX));
	cr_assert_eq(shard_set_count(&s), all - 1);
	shard_set_fini(&s);
}

Test(shard_set, one_by_one_in_order_and_in_reverse_stays_small)
{
	const uint32_t count = effort(500000, 5000000, 5000000);
	struct shard_set up = {0}, down = {0}, gaps = {0};
	uint32_t top = (uint32_t)SHARDS_MAX;

	for (uint32_t i = 0; i < count; i++) {
		shard_set_add(&up, i, 1);
		shard_set_add(&down, top - 1 - i, 1);
	}
	cr_assert_eq(shard_set_count(&up), count);
	cr_assert_eq(shard_set_count(&down), count);
	cr_assert_eq(shard_set_bytes(&up) + shard_set_bytes(&down), 0);

	/* Two workers that go through their halves, and a third that goes backwards. */
	for (uint32_t i = 0; i < count / 10; i++) {
		shard_set_add(&gaps, i, 1);
		shard_set_add(&gaps, 2000000000u + i, 1);
		shard_set_add(&gaps, 3000000000u - i, 1);
	}
	cr_assert_eq(shard_set_run_count(&gaps), 3);
	cr_assert_lt(shard_set_bytes(&gaps), 1024);
	shard_set_fini(&up);
	shard_set_fini(&down);
	shard_set_fini(&gaps);
}

Test(shard_set, many_writers_stay_in_kilobytes)
{
	enum { WRITERS = 1500, EACH = 800 };
	struct shard_set s = {0};
	size_t bytes_max = 0;

	/* 1,500 leases of 800 shards each, reported one shard at a time. */
	for (uint32_t i = 0; i < EACH; i++) {
		for (uint32_t w = 0; w < WRITERS; w++)
			shard_set_add(&s, w * (EACH + 1) + i, 1);
		if (shard_set_bytes(&s) > bytes_max)
			bytes_max = shard_set_bytes(&s);
	}
	cr_assert_eq(shard_set_form(&s), SHARD_SET_BITMAP);
	cr_assert_eq(shard_set_run_count(&s), WRITERS);
	cr_assert_eq(shard_set_count(&s), WRITERS * EACH);
	cr_assert_lt(bytes_max, 300 * 1024, "at most a bit a shard, found %zu bytes", bytes_max);

	/* The gaps close: an interval again. */
	for (uint32_t w = 0; w < WRITERS; w++)
		cr_assert_eq(shard_set_add(&s, w * (EACH + 1) + EACH, 1), 1);
	cr_assert_eq(shard_set_form(&s), SHARD_SET_INTERVAL);
	shard_set_fini(&s);
}

Test(shard_set, holes_punched_into_a_run_cost_no_more_than_bits)
{
	const uint32_t count = effort(200000, 1000000, 1000000);
	struct shard_set s = {0};

	shard_set_add(&s, 0, count);
	for (uint32_t i = 1; i < count; i += 2)
		shard_set_remove(&s, i, 1);
	shard_set_check(&s);
	cr_assert_eq(shard_set_run_count(&s), count / 2);
	cr_assert_lt(shard_set_bytes(&s), 4 * count / 2, "found %zu", shard_set_bytes(&s));
	for (uint32_t i = 0; i < count / 2; i++)
		cr_assert(range_compare(shard_set_take_first(&s, 9), (struct range){2 * i, 1}) == 0);
	cr_assert(shard_set_is_empty(&s));
	shard_set_fini(&s);
}

Test(shard_set, a_run_ends_where_a_container_of_the_bitmap_does)
{
	/* Asked about a range that goes on into the 65,536 numbers behind, of which it has nothing,
	 * CRoaring 0.2.66 looks at the beginning of the next container, or asserts if there is none. */
	for (uint32_t next = 0; next < 2; next++) {
		struct shard_set s = {0};
		struct range run;

		for (uint32_t i = 0; i <= SHARD_SET_INTERVALS_MAX; i++)
			shard_set_add(&s, 2 * i, 1);
		shard_set_add(&s, 131072 - 500, 500);
		shard_set_add(&s, 3 * 65536, next * 5000);
		cr_assert_eq(shard_set_form(&s), SHARD_SET_BITMAP);
		shard_set_check(&s);
		cr_assert(shard_set_next_range(&s, 30000, &run));
		cr_assert(range_compare(run, (struct range){131072 - 500, 500}) == 0);
		cr_assert_eq(shard_set_next_absent(&s, 131000, SHARDS_MAX), 131072);
		shard_set_fini(&s);
	}
}

Test(shard_set, random_operations_agree_with_a_plain_array)
{
	const uint64_t seeds = effort(500, 2000, 20000);
	struct shard_set_played played = {0};

	check_set_hook(say_seed);
	for (uint64_t seed = 1; seed <= seeds; seed++) {
		uint8_t script[800];
		struct rng rng;

		seed_played = seed;
		rng_seed(&rng, seed);
		for (size_t i = 0; i < sizeof(script); i++)
			script[i] = (uint8_t)rng_u64(&rng);
		/* Universes in turn; the largest, which costs most, now and then. */
		script[0] = seed % 50 == 0 ? 3 : (uint8_t)(seed % 3);
		shard_set_play(BYTES(script, sizeof(script)), &played);
	}
	for (int form = SHARD_SET_EMPTY; form <= SHARD_SET_BITMAP; form++)
		cr_expect_gt(played.form_count[form], seeds / 2, "form %d was not reached enough", form);
	cr_expect_gt(played.to_bitmap_count, seeds / 100);
	cr_expect_gt(played.from_bitmap_count, seeds / 100);
	printf("%llu operations, forms %llu %llu %llu %llu, into a bitmap %llu, out of it %llu\n",
	       (unsigned long long)played.op_count, (unsigned long long)played.form_count[0],
	       (unsigned long long)played.form_count[1], (unsigned long long)played.form_count[2],
	       (unsigned long long)played.form_count[3], (unsigned long long)played.to_bitmap_count,
	       (unsigned long long)played.from_bitmap_count);
}
