/* A worker's own trouble: it costs no shard a retry, and somebody says so. */
#include <criterion/criterion.h>

#include "tests/unit/dispatcher/kit.h"

static struct kit k;

static struct view_worker first_worker(void)
{
	struct view_worker v;

	cr_assert(dispatcher_view_next_worker(k.core, 0, &k.arena, &v));
	return v;
}

Test(trouble, of_a_worker_costs_no_shard_a_retry)
{
	static const uint8_t kinds[] = {FAILURE_START, FAILURE_OUTPUT};

	for (size_t i = 0; i < ARRAY_LENGTH(kinds); i++) {
		uint64_t job;

		kit_open(&k);
		job = kit_submit(&k, (struct kit_job){.shards = 1, .attempts = 1});
		kit_register(&k, 0, 1000);
		for (uint32_t n = 0; n < 4; n++)
			kit_failed(&k, 0, kit_last_lease(&k, 0), kinds[i], 28);
		cr_assert_eq(kit_view(&k, job).counts.dead, 0);
		cr_assert_eq(first_worker().trouble_kind, kinds[i]);
		cr_assert_eq(k.tells, 1, "the same trouble is told once");
		kit_done(&k, 0, kit_last_lease(&k, 0));
		cr_assert_eq(k.ended.state, JOB_SUCCEEDED);
		cr_assert_eq(first_worker().trouble_kind, 0, "it has run something to an end");
		kit_close(&k);
	}
}

Test(trouble, of_a_worker_that_offers_nothing_is_told_to_whoever_asks_why_a_job_waits)
{
	struct report m = {.seq = 2, .credit = {.cpu_milli = 0}};
	struct view_supply supply;
	uint64_t job;

	kit_open(&k);
	job = kit_submit(&k, (struct kit_job){.shards = 1});
	kit_register(&k, 0, 1000);
	kit_failed(&k, 0, kit_last_lease(&k, 0), FAILURE_START, 28);
	kit_failed(&k, 0, kit_last_lease(&k, 0), FAILURE_START, 28);
	m.session = k.workers[0].session;
	m.seq = k.workers[0].seq + 1;
	kit_message(&k, 0, MESSAGE_REPORT, &m);
	cr_assert(first_worker().resting);
	cr_assert(dispatcher_view_supply(k.core, job, &k.arena, &supply));
	cr_assert_eq(supply.workers, 0);
	cr_assert_eq(supply.resting, 1);
	cr_assert_gt(supply.trouble.size, 0);
	kit_close(&k);
}

/* Nobody knows whether the workers or the shard caused it. */
Test(trouble, that_a_shard_meets_crashes_max_times_makes_it_run_alone)
{
	const struct kit_lease *l;
	uint32_t before;

	kit_prepare(&k);
	k.config.lease_ahead_us = 0;
	kit_start(&k);
	kit_submit(&k, (struct kit_job){.shards = 1});
	kit_register(&k, 0, 2000);
	for (uint32_t n = 0; n < CRASHES_MAX; n++) {
		cr_assert_eq(kit_last_lease(&k, 0)->job, 1);
		if (n == CRASHES_MAX - 1)
			kit_submit(&k, (struct kit_job){.shards = 9});
		l = kit_last_lease(&k, 0)->job == 1 ? kit_last_lease(&k, 0)
						    : &k.workers[0].leases[k.workers[0].lease_count - 2];
		kit_failed(&k, 0, l, FAILURE_START, 12);
	}
	before = k.workers[0].lease_count;
	kit_done(&k, 0, &k.workers[0].leases[before - 1]);
	cr_assert_eq(k.workers[0].lease_count, before + 1, "nothing else starts before it has run alone");
	l = kit_last_lease(&k, 0);
	cr_assert_eq(l->job, 1);
	kit_done(&k, 0, l);
	cr_assert_eq(k.workers[0].lease_count, before + 3, "both slots work again");
	kit_close(&k);
}
