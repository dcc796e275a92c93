/* The figures of a report against the sorted profits themselves. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/rng.h"
#include "jobs/library/finance/report.h"

static const struct tally_key key = {.fingerprint = 0xfedcba9876543210,
				     .seed = UINT64_MAX,
				     .horizon_days = 1,
				     .decay_ppm = 1000000,
				     .asset_count = 1,
				     .draw_count = 100,
				     .total_cents = -100000000,
				     .gross_cents = 100000000,
				     .bin_cents = 20000,
				     .from = "1990-12-31",
				     .until = "2001-01-02"};

static int by_value(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

static void near(int64_t found, double expected, const char *what, uint32_t seed, size_t count)
{
	double off = (double)found - expected;

	cr_assert(off < (double)key.bin_cents && off > -(double)key.bin_cents,
		  "%s: %lld, expected %.0f; seed %u, %zu scenarios", what, (long long)found, expected, seed,
		  count);
}

static void figures_are_those_of_the_profits(uint32_t seed, size_t count)
{
	int64_t *profits = check_calloc(count, sizeof *profits);
	struct tally *t = tally_create();
	double sum = 0;
	struct rng r;

	rng_seed(&r, seed);
	tally_begin(t, &key);
	for (size_t i = 0; i < count; i++) {
		for (int j = 0; j < 6; j++)
			profits[i] += (int64_t)rng_below(&r, 10000000) - 5000000;
		tally_add(t, profits[i]);
		sum += (double)profits[i];
	}
	cr_assert_eq(tally_add_range(t, (struct scenario_range){0, count}, NULL), 0);
	qsort(profits, count, sizeof *profits, by_value);
	cr_assert(llabs(report_mean_cents(t) - (int64_t)(sum / (double)count)) <= 1);
	for (int i = 0; i < REPORT_LEVELS; i++) {
		struct risk_level l = report_level(t, report_confidence_permille[i]);
		size_t tail = (count * (1000 - report_confidence_permille[i]) + 999) / 1000;
		double worst = 0;

		for (size_t n = 0; n < tail; n++)
			worst += (double)profits[n];
		cr_assert_eq(l.tail_count, tail);
		cr_assert_eq(l.beyond, false);
		near(l.var_cents, -(double)profits[tail - 1], "value at risk", seed, count);
		near(l.shortfall_cents, -worst / (double)tail, "expected shortfall", seed, count);
		cr_assert(l.shortfall_cents >= l.var_cents - (int64_t)key.bin_cents);
	}
	tally_destroy(t);
	free(profits);
}

Test(report, figures_are_those_of_the_sorted_profits_to_a_bin)
{
	static const size_t counts[] = {1, 2, 19, 20, 21, 199, 200, 201, 1000, 50000};

	for (uint32_t seed = 0; seed < 5; seed++)
		for (size_t i = 0; i < ARRAY_LENGTH(counts); i++)
			figures_are_those_of_the_profits(seed, counts[i]);
}

Test(report, losses_beyond_the_bins_are_told_as_such)
{
	struct tally *t = tally_create();
	struct risk_level l;

	tally_begin(t, &key);
	for (int i = 0; i < 100; i++)
		tally_add(t, i < 10 ? -200000000 - i : 5);
	cr_assert_eq(tally_add_range(t, (struct scenario_range){0, 100}, NULL), 0);
	l = report_level(t, 950);
	cr_assert_eq(l.beyond, true);
	cr_assert_eq(l.var_cents, 200000005); /* the mean of the ten is 200000004.5 */
	cr_assert_eq(l.shortfall_cents, 200000004);
	tally_destroy(t);
}

Test(report, json_is_read_back_byte_for_byte)
{
	struct tally *t = tally_create(), *back = tally_create();
	struct buf json = {0}, again = {0};
	struct rng r;

	rng_seed(&r, 3);
	tally_begin(t, &key);
	for (int i = 0; i < 500; i++)
		tally_add(t, (int64_t)rng_below(&r, 500000000) - 250000000);
	cr_assert_eq(tally_add_range(t, (struct scenario_range){7, 500}, NULL), 0);
	report_json(t, &json);
	cr_assert_eq(report_parse_into(back, buf_bytes(&json), NULL), 0);
	report_json(back, &again);
	cr_assert(bytes_equal(buf_bytes(&json), buf_bytes(&again)));
	cr_assert_not_null(strstr(buf_text(&json), "\"missing\":7,"));
	buf_fini(&json);
	buf_fini(&again);
	tally_destroy(t);
	tally_destroy(back);
}

/* A line whose one member was changed: refused, in words that name it. */
Test(report, json_that_does_not_agree_with_itself_is_refused)
{
	static const char *const changes[][3] = {
	    {"finance-var", "fastq-qc", "finance-var"},
	    {"\"format\":1", "\"format\":2", "format 2"},
	    {"\"scenarios\":3", "\"scenarios\":4", "ranges"},
	    {"[[0,3]]", "[[0,2],[1,1]]", "twice"},
	    {"[[0,3]]", "[[0,-3]]", "ranges"},
	    {"\"horizon_days\":1", "\"horizon_days\":0", "horizon_days"},
	    {"fedcba9876543210", "fedcba987654321x", "fingerprint"},
	    {"\"worst_cents\":-100,", "\"worst_cents\":-200000000,", "worst"},
	    {"[8192,3,", "[8192,3,1", "sum"},
	    {"[8192,3,", "[8192,2,", "cells"},
	    {"1990-12-31", "1990-12-3x", "from"},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(changes); i++) {
		struct tally *t = tally_create(), *back = tally_create();
		struct buf json = {0}, bad = {0};
		struct error e = {0};
		const char *at;

		tally_begin(t, &key);
		for (int n = 0; n < 3; n++)
			tally_add(t, -100);
		cr_assert_eq(tally_add_range(t, (struct scenario_range){0, 3}, NULL), 0);
		report_json(t, &json);
		at = strstr(buf_text(&json), changes[i][0]);
		cr_assert_not_null(at, "change %zu: %s", i, buf_text(&json));
		buf_append(&bad, json.data, (size_t)(at - (const char *)json.data));
		buf_printf(&bad, "%s%s", changes[i][1], at + strlen(changes[i][0]));
		cr_assert_lt(report_parse_into(back, buf_bytes(&bad), &e), 0, "change %zu", i);
		cr_assert_not_null(strstr(e.what, changes[i][2]), "change %zu: %s", i, e.what);
		buf_fini(&json);
		buf_fini(&bad);
		tally_destroy(t);
		tally_destroy(back);
	}
}
