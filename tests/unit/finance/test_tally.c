/* A tally is a function of the set of scenarios: not of cuts, nor of the order of merging. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/rng.h"
#include "jobs/library/finance/tally.h"

#define SEEDS 20

static const struct tally_key key = {.fingerprint = 0x1234567890abcdef,
				     .seed = 9,
				     .horizon_days = 10,
				     .decay_ppm = 940000,
				     .asset_count = 3,
				     .draw_count = 2000,
				     .total_cents = 70000000,
				     .gross_cents = 100000000,
				     .bin_cents = 20000,
				     .from = "1990-12-31",
				     .until = "2001-01-02"};

/* A profit of scenario n: most in the bins, some far beyond at either end. */
static int64_t profit(uint64_t n, uint32_t seed)
{
	struct rng r;

	rng_seed(&r, n * 1000 + seed);
	if (rng_below(&r, 50) == 0)
		return (int64_t)rng_below(&r, 4000000000u) - 2000000000;
	return (int64_t)rng_below(&r, 30000000) + (int64_t)rng_below(&r, 30000000) - 30000000;
}

static void fill(struct tally *t, struct scenario_range s, uint32_t seed)
{
	for (uint64_t n = s.first; n < s.first + s.count; n++)
		tally_add(t, profit(n, seed));
	cr_assert_eq(tally_add_range(t, s, NULL), 0);
}

static void decode_all(struct tally *t, struct bytes in)
{
	while (in.size > 0) {
		size_t used;

		cr_assert_eq(tally_size(in) > 0 && tally_size(in) <= in.size, true);
		cr_assert_eq(tally_decode_into(t, in, &used, NULL), 0);
		in = BYTES(in.data + used, in.size - used);
	}
}

Test(tally, any_cut_in_any_order_has_the_bytes_of_the_whole)
{
	for (uint32_t seed = 0; seed < SEEDS; seed++) {
		struct tally *whole = tally_create(), *merged = tally_create(), *part = tally_create();
		struct scenario_range parts[200];
		struct buf expected = {0}, found = {0};
		uint32_t count = 0;
		uint64_t at = 0, end;
		struct rng r;

		rng_seed(&r, seed);
		end = 1 + rng_below(&r, 3000);
		tally_begin(whole, &key);
		fill(whole, (struct scenario_range){0, end}, seed);
		for (; at < end; count++) {
			uint64_t size = 1 + rng_below(&r, 60);

			parts[count] = (struct scenario_range){at, size < end - at ? size : end - at};
			at += parts[count].count;
		}
		for (uint32_t left = count; left > 0; left--) {
			uint32_t pick = (uint32_t)rng_below(&r, left);
			struct buf bytes = {0};

			tally_begin(part, &key); /* one tally serves one shard after the other */
			fill(part, parts[pick], seed);
			parts[pick] = parts[left - 1];
			tally_encode(part, &bytes);
			if (rng_below(&r, 2) == 0)
				decode_all(merged, buf_bytes(&bytes));
			else
				cr_assert_eq(tally_merge(merged, part, NULL), 0);
			buf_fini(&bytes);
		}
		tally_encode(whole, &expected);
		tally_encode(merged, &found);
		cr_assert(bytes_equal(buf_bytes(&expected), buf_bytes(&found)), "seed %u", seed);
		cr_assert_eq(tally_check(merged, NULL), 0, "seed %u", seed);
		buf_fini(&expected);
		buf_fini(&found);
		tally_destroy(whole);
		tally_destroy(merged);
		tally_destroy(part);
	}
}

Test(tally, each_profit_lies_in_its_cell)
{
	struct tally *t = tally_create();
	int64_t half = (int64_t)key.bin_cents * (TALLY_BINS / 2);
	const struct {
		int64_t cents;
		uint32_t cell;
	} cases[] = {
	    {-half - 1, 0},
	    {-half, 1},
	    {-half + 19999, 1},
	    {-half + 20000, 2},
	    {-1, TALLY_BINS / 2},
	    {0, TALLY_BINS / 2 + 1},
	    {19999, TALLY_BINS / 2 + 1},
	    {half - 1, TALLY_BINS},
	    {half, TALLY_CELLS - 1},
	    {INT64_MIN / 2, 0},
	};

	tally_begin(t, &key);
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
		cr_assert_eq(tally_cell_of(t, cases[i].cents), cases[i].cell, "%lld",
			     (long long)cases[i].cents);
	for (uint32_t i = 1; i < TALLY_CELLS; i++)
		cr_assert_eq(tally_cell_of(t, tally_floor(t, i)), i);
	tally_destroy(t);
}

Test(tally, a_scenario_counts_once)
{
	static const struct {
		uint64_t first, count;
		int code;
		uint32_t ranges;
	} steps[] = {
	    {10, 5, 0, 1},	   {20, 5, 0, 2},	    {0, 1, 0, 3},  {14, 1, ERR_EXISTS, 3},
	    {9, 2, ERR_EXISTS, 3}, {0, 100, ERR_EXISTS, 3}, {15, 5, 0, 2}, {17, 0, 0, 2},
	    {1, 9, 0, 1},	   {24, 1, ERR_EXISTS, 1},  {25, 1, 0, 1},
	};
	struct tally *t = tally_create();

	tally_begin(t, &key);
	for (size_t i = 0; i < ARRAY_LENGTH(steps); i++) {
		struct scenario_range r = {steps[i].first, steps[i].count};
		struct error e = {0};

		cr_assert_eq(tally_add_range(t, r, &e), steps[i].code, "step %zu: %s", i, e.what);
		cr_assert_eq(t->range_count, steps[i].ranges, "step %zu", i);
	}
	cr_assert_eq(t->ranges[0].first, 0);
	cr_assert_eq(t->ranges[0].count, 26);
	tally_destroy(t);
}

Test(tally, those_of_other_calculations_do_not_mix)
{
	struct tally *t = tally_create();
	struct tally_key other = key;
	struct error e;

	cr_assert_eq(tally_expect(t, &key, &e), 0);
	cr_assert_eq(tally_expect(t, &key, &e), 0);
	other.fingerprint++;
	other.horizon_days = 1;
	cr_assert_eq(tally_expect(t, &other, &e), ERR_INVALID);
	cr_assert_not_null(strstr(e.what, "horizons"), "%s", e.what);
	tally_destroy(t);
}

/* Cut anywhere it is not whole; changed anywhere it is refused or a tally whose numbers agree. */
Test(tally, damage_is_found_or_harmless)
{
	struct tally *t = tally_create();
	struct buf bytes = {0};
	size_t used;

	tally_begin(t, &key);
	fill(t, (struct scenario_range){100, 40}, 1);
	tally_encode(t, &bytes);
	tally_destroy(t);
	for (size_t size = 0; size < bytes.size; size++) {
		t = tally_create();
		cr_assert_eq(tally_size(BYTES(bytes.data, size)), 0, "cut at %zu", size);
		cr_assert_eq(tally_decode_into(t, BYTES(bytes.data, size), &used, NULL), ERR_CORRUPT);
		tally_destroy(t);
	}
	for (size_t at = 0; at < bytes.size; at++)
		for (int bit = 0; bit < 8; bit++) {
			uint64_t sum = 0;

			t = tally_create();
			bytes.data[at] ^= (uint8_t)(1 << bit);
			if (tally_decode_into(t, buf_bytes(&bytes), &used, NULL) == 0 &&
			    tally_check(t, NULL) == 0) {
				for (uint32_t i = 0; i < TALLY_CELLS; i++)
					sum += t->cells[i].count;
				cr_assert_eq(sum, 40);
				cr_assert_eq(t->scenario_count, 40);
			}
			bytes.data[at] ^= (uint8_t)(1 << bit);
			tally_destroy(t);
		}
	buf_fini(&bytes);
}

Test(tally, sums_that_do_not_fit_are_told)
{
	struct tally *t = tally_create(), *other = tally_create();
	struct error e;

	tally_begin(t, &key);
	tally_begin(other, &key);
	for (int i = 0; i < 1200; i++) {
		tally_add(t, -9000000000000000);
		tally_add(other, -9000000000000000);
	}
	cr_assert_eq(tally_add_range(t, (struct scenario_range){0, 1200}, NULL), 0);
	cr_assert_eq(tally_add_range(other, (struct scenario_range){1200, 1200}, NULL), 0);
	cr_assert_eq(t->overflow, false);
	cr_assert_eq(tally_merge(t, other, &e), ERR_LIMIT);
	tally_destroy(t);
	tally_destroy(other);
}
