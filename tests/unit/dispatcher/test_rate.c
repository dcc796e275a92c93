/* How fast a job's shards start: never more than its rate says in any time of its length. */
#include <criterion/criterion.h>

#include "dispatcher/core/volatile/state.h"
#include "tests/unit/dispatcher/kit.h"

#define GRANTS_MAX KIT_LEASES

static struct kit k;
static struct {
	usec_t at_us;
	uint32_t shards;
} grants[GRANTS_MAX];
static uint32_t grant_count, seen;

/* Grants since the last look are of now. */
static void look(uint64_t job)
{
	const struct kit_worker *w = &k.workers[0];

	for (; seen < w->lease_count; seen++) {
		if (w->leases[seen].job != job)
			continue;
		cr_assert_lt(grant_count, GRANTS_MAX);
		grants[grant_count].at_us = k.mono_us;
		grants[grant_count++].shards = w->leases[seen].count;
	}
}

/* All shards granted; none of the windows holds more than count. */
static uint64_t check_windows(uint32_t count, usec_t per_us)
{
	uint64_t all = 0, inside = 0;
	uint32_t first = 0;

	for (uint32_t i = 0; i < grant_count; i++) {
		all += grants[i].shards;
		inside += grants[i].shards;
		for (; grants[i].at_us - grants[first].at_us >= per_us; first++)
			inside -= grants[first].shards;
		cr_assert_leq(inside, count, "%llu shards in a time of %u", (unsigned long long)inside,
			      count);
	}
	return all;
}

static void start(void)
{
	kit_open(&k);
	kit_register(&k, 0, 1000000);
	grant_count = seen = 0;
}

/* Time passes; each lease ends when it is seen. */
static void run(uint64_t job, usec_t us, usec_t step_us)
{
	for (usec_t end = k.mono_us + us; k.mono_us < end;) {
		uint32_t from = seen;

		look(job);
		for (; from < seen; from++)
			kit_done(&k, 0, &k.workers[0].leases[from]);
		look(job);
		k.mono_us += step_us;
		k.wall_us += step_us;
		kit_tick(&k);
	}
	look(job);
}

Test(rate, in_any_time_of_its_length_no_more_start_and_in_the_long_run_nearly_as_many)
{
	static const struct {
		uint32_t count;
		usec_t per_us, step_us;
	} cases[] = {{1, USEC_PER_SEC, 70000},	  {10, USEC_PER_SEC, 1000},  {31, USEC_PER_SEC, 3000},
		     {100, USEC_PER_SEC, 1000},	  {1000, USEC_PER_SEC, 500}, {100, 10 * USEC_PER_SEC, 40000},
		     {50, USEC_PER_SEC / 10, 777}};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		uint32_t times = cases[i].count < 1000 ? 12 : 3;
		usec_t us = times * cases[i].per_us;
		uint64_t job, all;

		start();
		job = kit_submit(
		    &k, (struct kit_job){.shards = 1000000, .rate = {cases[i].count, cases[i].per_us}});
		run(job, us, cases[i].step_us);
		all = check_windows(cases[i].count, cases[i].per_us);
		cr_assert_geq(all * 100, times * cases[i].count * 90, "case %zu: %llu", i,
			      (unsigned long long)all);
		kit_close(&k);
	}
}

Test(rate, it_is_kept_over_a_restart_and_when_nothing_ran_for_a_while)
{
	const struct rate rate = {10, USEC_PER_SEC};
	uint64_t job;

	start();
	job = kit_submit(&k, (struct kit_job){.shards = 1000000, .rate = rate});
	run(job, 3 * USEC_PER_SEC, 10000);
	kit_restart(&k);
	kit_register(&k, 0, 1000000);
	run(job, 3 * USEC_PER_SEC, 10000);
	k.mono_us += 60 * USEC_PER_SEC;
	k.wall_us += 60 * USEC_PER_SEC;
	kit_tick(&k);
	kit_register(&k, 0, 1000000);
	run(job, 3 * USEC_PER_SEC, 10000);
	cr_assert_gt(check_windows(rate.count, rate.per_us), 80);
	kit_close(&k);
}

Test(rate, a_failure_starts_again_by_the_rate_and_others_are_not_held_up)
{
	uint64_t job, other;
	struct view_job v;

	start();
	job = kit_submit(&k, (struct kit_job){.shards = 2, .rate = {1, 10 * USEC_PER_SEC}});
	look(job);
	cr_assert_eq(grant_count, 1, "a new job begins at once");
	other = kit_submit(&k, (struct kit_job){.shards = 5});
	for (uint32_t i = 0; i < 5; i++)
		cr_assert_eq(k.workers[0].leases[1 + i].job, other);
	v = kit_view(&k, job);
	cr_assert_eq(v.rate.count, 1);
	cr_assert_eq(v.rate_wait_us, 10 * USEC_PER_SEC);
	cr_assert_leq(dispatcher_core_deadline(k.core), k.mono_us + 10 * USEC_PER_SEC);
	kit_failed(&k, 0, &k.workers[0].leases[0], FAILURE_EXIT, 1);
	for (int i = 0; i < 40; i++) {
		kit_pass(&k, USEC_PER_SEC, 1);
		look(job);
	}
	cr_assert_eq(grant_count, 3);
	check_windows(1, 10 * USEC_PER_SEC);
	kit_close(&k);
}

Test(rate, suspects_are_granted_by_it_too)
{
	const struct rate rate = {64, USEC_PER_SEC};
	uint64_t job;

	start();
	job = kit_submit(&k, (struct kit_job){.shards = 1000000, .rate = rate});
	run(job, 3 * USEC_PER_SEC, 10000);
	for (int i = 0; i < 5; i++) {
		kit_register(&k, 0, 1000000); /* another life: what it held is suspected */
		run(job, 2 * USEC_PER_SEC, 10000);
	}
	check_windows(rate.count, rate.per_us);
	kit_close(&k);
}

Test(rate, jobs_that_have_ended_leave_nothing_behind)
{
	start();
	for (uint32_t i = 0; i < 500; i++) {
		uint64_t job =
		    kit_submit(&k, (struct kit_job){.shards = 3, .rate = {1, 3600 * USEC_PER_SEC}});

		cr_assert_lt(k.core->paced.count, 100);
		kit_cancel(&k, job);
	}
	cr_assert_null(k.core->paces);
	kit_close(&k);
}

/* Not its rate keeps it: nothing is to be looked at again and again until one of its shards has ended. */
Test(rate, what_runs_as_many_shards_as_it_may_is_not_looked_at)
{
	uint64_t job;

	start();
	job = kit_submit(&k, (struct kit_job){.shards = 100, .max_running = 2, .rate = {10, USEC_PER_SEC}});
	for (int i = 0; i < 40; i++) {
		k.mono_us += USEC_PER_SEC / 10;
		k.wall_us += USEC_PER_SEC / 10;
		kit_tick(&k);
	}
	cr_assert_eq(kit_view(&k, job).counts.leased, 2);
	cr_expect_gt(dispatcher_core_deadline(k.core), k.mono_us + 1000);
	kit_close(&k);
}
