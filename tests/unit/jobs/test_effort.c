/* Efforts are added up, and shared out. */
#include <criterion/criterion.h>

#include "jobs/effort.h"

static struct effort of(uint32_t first, uint32_t count, bool sum)
{
	return (struct effort){.first = first,
			       .count = count,
			       .sum = sum,
			       .start_wall_us = 1000 + first,
			       .totals.run_us = 10ull * count,
			       .totals.max_rss_bytes = 7 + first};
}

Test(effort, neighbours_that_are_sums_and_ended_alike_become_one)
{
	struct effort a = of(4, 2, true), b = of(6, 3, true), failed = of(9, 1, true);

	failed.kind = 1;
	cr_assert(effort_join(&a, &b));
	cr_expect_eq(a.first, 4);
	cr_expect_eq(a.count, 5);
	cr_expect_eq(a.start_wall_us, 1004);
	cr_expect_eq(a.totals.run_us, 50);
	cr_expect_eq(a.totals.max_rss_bytes, 13);
	cr_expect(!effort_join(&a, &b), "it does not follow");
	cr_expect(!effort_join(&a, &failed), "it ended otherwise");
	cr_expect_eq(a.count, 5);
}

Test(effort, what_stands_by_itself_is_only_pressed)
{
	struct effort a = of(0, 1, false), b = of(1, 1, false), sum = of(1, 1, true);

	cr_expect(!effort_join(&a, &b));
	cr_expect(!effort_join(&a, &sum));
	cr_assert(effort_press(&a, &b));
	cr_expect(a.sum);
	cr_expect_eq(a.count, 2);
}

Test(effort, a_part_has_its_share)
{
	const struct effort e = of(10, 1000000, true);
	struct effort part = effort_part(&e, (struct range){0, 260});

	cr_expect_eq(part.first, 10);
	cr_expect_eq(part.count, 250);
	cr_expect_eq(part.totals.run_us, 2500);
	cr_expect_eq(part.totals.max_rss_bytes, 17);
	cr_expect_eq(effort_part(&e, (struct range){10, 1000000}).totals.run_us, e.totals.run_us);
}
