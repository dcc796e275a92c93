#include <criterion/criterion.h>
#include <stdio.h>

#include "dispatcher/pools.h"

#define TURN (2 * USEC_PER_SEC)

static struct pool_told told(const char *name, usec_t now, uint32_t ready)
{
	struct pool_told p = {.ready = ready, .turn_us = TURN, .told_us = now};

	snprintf(p.name, sizeof(p.name), "%s", name);
	return p;
}

Test(pools, the_last_word_of_each_counts)
{
	struct pools p = {0};
	struct pool_told b = told("b", 0, 1), a = told("a", 0, 2), again = told("b", 1, 3);

	cr_assert_eq(pools_tell(&p, &b, NULL), 0);
	cr_assert_eq(pools_tell(&p, &a, NULL), 0);
	cr_assert_eq(pools_tell(&p, &again, NULL), 0);
	cr_assert_eq(p.count, 2);
	cr_expect_str_eq(p.items[0].name, "a");
	cr_expect_eq(p.items[1].ready, 3);
	pools_fini(&p);
}

Test(pools, a_scaler_that_is_silent_for_three_turns_is_forgotten)
{
	struct pools p = {0};
	struct pool_told early = told("early", 0, 1), late = told("late", TURN, 1);

	cr_assert_eq(pools_tell(&p, &early, NULL), 0);
	cr_assert_eq(pools_tell(&p, &late, NULL), 0);
	pools_forget(&p, POOL_TURNS * TURN - 1);
	cr_expect_eq(p.count, 2);
	pools_forget(&p, POOL_TURNS * TURN);
	cr_assert_eq(p.count, 1);
	cr_expect_str_eq(p.items[0].name, "late");
	pools_forget(&p, (POOL_TURNS + 1) * TURN);
	cr_expect_eq(p.count, 0);
	pools_fini(&p);
}

Test(pools, there_is_a_bound_and_silence_makes_room)
{
	struct pools p = {0};
	struct pool_told one;
	struct error e;
	char name[16];

	for (int i = 0; i < POOLS_MAX; i++) {
		snprintf(name, sizeof(name), "p%d", i);
		one = told(name, 0, 0);
		cr_assert_eq(pools_tell(&p, &one, NULL), 0);
	}
	one = told("more", 0, 0);
	cr_expect_eq(pools_tell(&p, &one, &e), ERR_LIMIT);
	cr_expect_eq(p.count, POOLS_MAX);
	one = told("p3", 1, 7);
	cr_expect_eq(pools_tell(&p, &one, NULL), 0, "one that is there is told anew");
	one = told("more", POOL_TURNS * TURN, 0);
	cr_expect_eq(pools_tell(&p, &one, NULL), 0);
	cr_expect_eq(p.count, 2);
	pools_fini(&p);
}
