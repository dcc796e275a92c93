/* When a segment of output that no row names may be removed; which jobs are forgotten. */
#include <criterion/criterion.h>

#include "base/constants.h"
#include "dispatcher/retention/candidates.h"
#include "dispatcher/retention/forgotten_jobs.h"

#define TIMEOUT_US USEC_PER_SEC
#define CLOSED_US (SEGMENT_CLOSED_TIMEOUTS * TIMEOUT_US)
#define LEFT_US (SEGMENT_LEFT_TIMEOUTS * TIMEOUT_US)

static const struct view_presence gone;
static const struct view_presence idle = {.registered = true};

static struct view_presence leased(uint64_t lease)
{
	return (struct view_presence){.registered = true, .leased = true, .oldest = {1, lease}};
}

static bool see(struct candidates *c, bool closed, struct view_presence worker, uint64_t last, usec_t now_us)
{
	const struct candidate_found found = {{7, 7}, 3, closed};

	return candidates_see(c, &found, &worker, (struct token){1, last}, now_us);
}

Test(candidates, what_a_worker_that_is_gone_has_left_waits_longer_unless_it_was_closed)
{
	struct candidates *c = candidates_create(TIMEOUT_US);

	cr_expect_not(see(c, true, gone, 0, 0));
	cr_expect_not(see(c, true, gone, 0, CLOSED_US - 1));
	cr_expect(see(c, true, gone, 0, CLOSED_US));
	cr_expect_eq(candidates_count(c), 0);
	cr_expect_not(see(c, false, gone, 0, 0));
	cr_expect_not(see(c, false, gone, 0, LEFT_US - 1));
	cr_expect(see(c, false, gone, 0, LEFT_US));
	candidates_destroy(c);
}

Test(candidates, what_a_worker_still_writes_to_stays)
{
	struct candidates *c = candidates_create(TIMEOUT_US);

	cr_expect_not(see(c, false, idle, 0, 0));
	cr_expect_eq(candidates_count(c), 0);
	cr_expect_not(see(c, false, gone, 0, 0));
	cr_expect_not(see(c, false, idle, 0, LEFT_US), "it came back");
	cr_expect_not(see(c, false, gone, 0, LEFT_US), "it is gone again");
	candidates_destroy(c);
}

Test(candidates, leases_that_were_out_when_it_was_closed_end_first)
{
	struct candidates *c = candidates_create(TIMEOUT_US);

	cr_expect_not(see(c, true, leased(5), 9, 0));
	cr_expect_not(see(c, true, leased(9), 30, 10 * CLOSED_US));
	cr_expect(see(c, true, leased(10), 30, 10 * CLOSED_US));
	cr_expect_not(see(c, true, leased(5), 9, 0));
	cr_expect(see(c, true, idle, 9, CLOSED_US));
	cr_expect_not(see(c, false, gone, 9, 0));
	cr_expect_not(see(c, true, gone, 9, LEFT_US), "it was closed only now");
	candidates_destroy(c);
}

Test(candidates, what_is_not_found_any_more_is_dropped_and_their_number_is_bounded)
{
	struct candidates *c = candidates_create(TIMEOUT_US);
	struct candidate_found f = {{7, 7}, 0, true};

	for (uint32_t i = 0; i < 2 * CANDIDATES_MAX; i++) {
		f.segment = i;
		cr_assert_not(candidates_see(c, &f, &gone, (struct token){0}, 0));
	}
	cr_expect_eq(candidates_count(c), CANDIDATES_MAX);
	candidates_sweep(c, RETENTION_WALK_US);
	cr_expect_eq(candidates_count(c), CANDIDATES_MAX);
	candidates_sweep(c, 3 * RETENTION_WALK_US);
	cr_expect_eq(candidates_count(c), 0);
	candidates_destroy(c);
}

Test(forgotten_jobs, ranges_that_touch_or_overlap_are_one)
{
	struct forgotten_jobs f = {0};
	bool model[64] = {false};
	uint64_t seed = 5, expected = 0;

	for (int round = 0; round < 200; round++) {
		uint64_t first, last;

		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		first = 1 + (seed >> 33) % 60;
		last = first + (seed >> 50) % 4;
		last = last < 63 ? last : 63;
		if (round % 40 == 0) {
			forgotten_jobs_fini(&f);
			for (int i = 0; i < 64; i++)
				model[i] = false;
		}
		forgotten_jobs_add(&f, first, last);
		for (uint64_t job = first; job <= last; job++)
			model[job] = true;
		expected = 0;
		for (uint64_t job = 0; job < 64; job++) {
			cr_assert_eq(forgotten_jobs_have(&f, job), model[job], "job %d", (int)job);
			expected += model[job];
		}
		cr_assert_eq(f.jobs, expected);
		for (uint32_t i = 1; i < f.count; i++)
			cr_assert_gt(f.items[i].first, f.items[i - 1].last + 1);
	}
	forgotten_jobs_fini(&f);
}

Test(forgotten_jobs, of_too_many_ranges_the_first_are_not_known_any_more)
{
	struct forgotten_jobs f = {0};

	for (uint64_t i = 0; i <= FORGOTTEN_RANGES_MAX; i++)
		forgotten_jobs_add(&f, 1 + 2 * i, 1 + 2 * i);
	cr_expect_eq(f.count, FORGOTTEN_RANGES_MAX);
	cr_expect_eq(f.jobs, FORGOTTEN_RANGES_MAX + 1);
	cr_expect_not(forgotten_jobs_have(&f, 1));
	cr_expect(forgotten_jobs_have(&f, 3));
	forgotten_jobs_fini(&f);
}
