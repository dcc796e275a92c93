/* Whose turn it is, over times in which sums are made smaller, and in the order of age. */
#include <criterion/criterion.h>

#include "tests/unit/dispatcher/kit.h"

static struct kit k;

static void open_with(usec_t half_life_us)
{
	kit_prepare(&k);
	k.config.fair_half_life_us = half_life_us;
	k.config.lease_ahead_us = 0;
	kit_start(&k);
	kit_register(&k, 0, 2000);
}

/* The next n leases end; how many of them were the job's. */
static uint32_t serve(uint32_t *at, uint32_t n, uint64_t job)
{
	uint32_t own = 0;

	for (; n > 0; n--, (*at)++) {
		cr_assert_lt(*at, k.workers[0].lease_count);
		own += k.workers[0].leases[*at].job == job;
		kit_done(&k, 0, &k.workers[0].leases[*at]);
	}
	return own;
}

Test(turns, go_on_after_all_sums_were_made_smaller)
{
	uint64_t a, b, c;
	uint32_t at = 0;

	open_with(USEC_PER_SEC);
	a = kit_submit(&k, (struct kit_job){.shards = 100000, .queue = "a"});
	b = kit_submit(&k, (struct kit_job){.shards = 100000, .queue = "b"});
	serve(&at, 40, a);
	kit_pass(&k, 300 * USEC_PER_SEC, 1); /* leases are out meanwhile */
	serve(&at, 4, a);
	cr_expect_eq(serve(&at, 20, a), 10);
	c = kit_submit(&k, (struct kit_job){.shards = 100000, .queue = "c"});
	serve(&at, 60, c); /* its quantum, and what was out when it came */
	uint32_t of_c = serve(&at, 60, c);

	cr_expect(of_c >= 19 && of_c <= 21, "%u of 60", of_c);
	cr_expect(serve(&at, 60, b) >= 19);
	kit_close(&k);
}

Test(turns, a_share_that_did_not_wait_is_as_the_others_when_it_comes)
{
	uint64_t a, late;
	uint32_t at = 0;

	open_with(3600 * USEC_PER_SEC);
	a = kit_submit(&k, (struct kit_job){.shards = 100000, .queue = "a"});
	serve(&at, 200, a);
	late = kit_submit(&k, (struct kit_job){.shards = 100000, .queue = "late"});
	serve(&at, 60, late); /* its quantum, and what was out when it came */
	uint32_t own = serve(&at, 40, late);

	cr_expect(own >= 19 && own <= 21, "%u of 40", own);
	kit_close(&k);
}

Test(turns, the_older_job_goes_first_also_when_it_comes_back)
{
	uint64_t first;
	uint32_t at = 0;

	open_with(3600 * USEC_PER_SEC);
	first = kit_submit(&k, (struct kit_job){.shards = 2, .attempts = 3, .backoff_us = 1000});
	for (uint32_t i = 0; i < 100; i++)
		kit_submit(&k, (struct kit_job){.shards = 1});
	kit_failed(&k, 0, &k.workers[0].leases[at++], FAILURE_EXIT, 1);
	kit_pass(&k, 5 * USEC_PER_SEC, 1);
	serve(&at, 1, first);
	cr_expect_eq(kit_last_lease(&k, 0)->job, first, "job %llu",
		     (unsigned long long)kit_last_lease(&k, 0)->job);
	kit_close(&k);
}
