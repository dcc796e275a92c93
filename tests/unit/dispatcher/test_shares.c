/* Shares of served time: order, decay, those that begin to wait, and that the served time of those that wait
 * keeps to the weights. */
#include <criterion/criterion.h>
#include <math.h>

#include "base/check.h"
#include "base/rng.h"
#include "dispatcher/core/volatile/shares.h"

#define HOUR (3600 * USEC_PER_SEC)

static struct share_place place(struct share *s, uint64_t serial)
{
	return (struct share_place){.share = s, .serial = serial};
}

Test(shares, the_least_served_goes_first_and_of_two_alike_the_earlier)
{
	struct share_clock c;
	struct share s[3] = {{.weight = 1}, {.weight = 1}, {.weight = 1}};
	struct share_place p[3];
	struct share_line line = {0};

	share_clock_init(&c, HOUR, 0);
	for (int i = 2; i >= 0; i--) {
		p[i] = place(&s[i], (uint64_t)i);
		share_line_add(&line, &p[i]);
	}
	cr_expect_eq(share_line_first(&line), &p[0]);
	share_charge(&s[0], share_cost(&c, &s[0], 10));
	cr_expect_eq(share_line_first(&line), &p[1]);
	share_charge(&s[1], share_cost(&c, &s[1], 20));
	share_charge(&s[2], share_cost(&c, &s[2], 15));
	cr_expect_eq(share_line_first(&line), &p[0]);
	share_charge(&s[2], share_cost(&c, &s[2], -15)); /* it gave its work back */
	cr_expect_eq(share_line_first(&line), &p[2]);
	share_line_check(&line);
	share_line_remove(&p[2]);
	share_line_remove(&p[0]);
	share_line_remove(&p[1]);
	cr_expect_eq(share_line_first(&line), NULL);
	share_line_fini(&line);
}

Test(shares, use_counts_half_after_a_half_life)
{
	struct share_clock c;
	struct share before = {.weight = 1}, after = {.weight = 1};

	share_clock_init(&c, HOUR, 5);
	share_charge(&before, share_cost(&c, &before, 1000));
	cr_expect_eq(share_clock_set(&c, 5 + HOUR), 0);
	share_charge(&after, share_cost(&c, &after, 500));
	cr_expect_float_eq(before.used, after.used, 1e-9);
	cr_expect_eq(share_clock_set(&c, 5), 0, "time that goes back stands still");
	cr_expect_eq(c.now_us, 5 + HOUR);
}

/* Two that were served alike keep their order, whose report ever comes first. */
Test(shares, a_report_that_says_what_was_expected_changes_nothing)
{
	struct share_clock c;
	struct share s = {.weight = 1};
	double expected, used;

	share_clock_init(&c, HOUR, 0);
	(void)share_clock_set(&c, HOUR / 2);
	expected = share_cost(&c, &s, 10000);
	share_charge_ahead(&s, expected);
	used = s.used;
	(void)share_clock_set(&c, HOUR / 2 + USEC_PER_SEC / 4);
	share_charge_late(&s, expected, share_cost(&c, &s, 10000));
	cr_expect(s.used <= used && s.used >= used);
}

Test(shares, a_turn_orders_what_was_served_before_and_after_the_sums_are_made_smaller)
{
	struct share_clock c;
	struct share s = {.weight = 3}, t = {.weight = 3};
	int64_t earlier, later;
	uint32_t halvings = 0;

	share_clock_init(&c, USEC_PER_SEC, 0);
	cr_expect_eq(share_turn(&c, &s), 0);
	share_charge(&s, share_cost(&c, &s, 1e12)); /* as much as 16,384 slots have in a minute */
	earlier = share_turn(&c, &s);
	share_charge(&s, share_cost(&c, &s, 1e4)); /* a shard of 10 ms is still told */
	cr_expect_gt(share_turn(&c, &s), earlier);
	for (usec_t now = 0; halvings == 0; now += 100 * USEC_PER_SEC)
		halvings = share_clock_set(&c, now);
	earlier = share_turn(&c, &s);
	share_shrink(&s, halvings);
	later = share_turn(&c, &s);
	cr_expect_leq(llabs(later - earlier), (int64_t)halvings << 40, "shrunk by what the turn adds");
	share_charge(&t, share_cost(&c, &t, 1));
	cr_expect_gt(share_turn(&c, &t), share_turn(&c, &s), "what is long past is little");
	cr_expect_leq(c.factor, 2);
}

Test(shares, a_share_of_long_ago_may_be_shrunk_to_nothing)
{
	struct share_clock c;
	struct share s = {.weight = 1, .used = 1e9};
	uint32_t halvings;

	share_clock_init(&c, 1, 0);
	halvings = share_clock_set(&c, INT64_MAX / 2);
	cr_expect_gt(halvings, 1u << 30);
	share_shrink(&s, halvings);
	cr_expect_float_eq(s.used, 0, 1e-300);
}

Test(shares, who_begins_to_wait_is_given_one_quantum_a_half_life)
{
	struct share_clock c;
	struct share s = {.weight = 2};

	share_clock_init(&c, HOUR, 0);
	share_begin(&c, &s, 1000, 100);
	cr_expect_float_eq(s.used, 950, 1e-9);
	s.used = 0;
	share_clock_set(&c, HOUR / 2);
	share_begin(&c, &s, 2000, 100);
	cr_expect_float_eq(s.used, 2000, 1e-9, "it came back too soon for another");
	share_begin(&c, &s, 1500, 100);
	cr_expect_float_eq(s.used, 2000, 1e-9, "what it was served more stays");
	share_clock_set(&c, HOUR);
	share_begin(&c, &s, 3000, 100);
	cr_expect_float_eq(s.used, 3000 - 100.0 * 2 / 2, 1e-9);
}

#define SHARES 1000

/* Whoever goes first is served a piece; pieces are at most 1 long. By then no two that waited all the time
 * are further apart than one piece each. */
Test(shares, served_time_keeps_to_the_weights)
{
	static struct share s[SHARES];
	static struct share_place p[SHARES];
	static double served[SHARES];
	struct share_line line = {0};
	struct share_clock c;
	struct rng rng;
	double least = INFINITY, most = 0;

	rng_seed(&rng, 7);
	share_clock_init(&c, 1000 * HOUR, 0);
	for (uint32_t i = 0; i < SHARES; i++) {
		s[i].weight = 1 + (uint32_t)rng_below(&rng, 10);
		p[i] = place(&s[i], i);
		share_line_add(&line, &p[i]);
	}
	for (uint32_t n = 0; n < 400 * SHARES; n++) {
		struct share *first = share_line_first(&line)->share;
		double piece = (1.0 + (double)rng_below(&rng, 1000)) / 1000;

		served[first - s] += piece;
		share_charge(first, share_cost(&c, first, piece));
	}
	share_line_check(&line);
	for (uint32_t i = 0; i < SHARES; i++) {
		least = fmin(least, served[i] / s[i].weight);
		most = fmax(most, served[i] / s[i].weight);
	}
	cr_expect_leq(most - least, 1.0, "%f to %f", least, most);
	for (uint32_t i = 0; i < SHARES; i++)
		share_line_remove(&p[i]);
	share_line_fini(&line);
}
