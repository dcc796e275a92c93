/* Deadlines, and times by which jobs start: in time, or failed. */
#include <criterion/criterion.h>
#include <string.h>

#include "dispatcher/core/volatile/state.h"
#include "tests/unit/dispatcher/kit.h"

static struct kit k;

static void expect_late(uint64_t job, const char *why)
{
	cr_assert_eq(k.ended.job, job);
	cr_assert_eq(k.ended.state, JOB_FAILED);
	cr_assert(bytes_equal(k.ended.why, bytes_of(why)), "%.*s", (int)k.ended.why.size,
		  (const char *)k.ended.why.data);
}

Test(late, a_job_that_has_not_ended_by_its_deadline_fails_and_its_leases_are_killed)
{
	uint64_t job;

	kit_open(&k);
	kit_register(&k, 0, 1000);
	job = kit_submit(&k, (struct kit_job){.shards = 4, .deadline_us = 10 * USEC_PER_SEC});
	cr_assert_eq(kit_view(&k, job).deadline_wall_us,
		     kit_view(&k, job).accepted_wall_us + 10 * USEC_PER_SEC);
	kit_pass(&k, 9 * USEC_PER_SEC, 1);
	cr_assert_eq(kit_view(&k, job).state, JOB_ACTIVE);
	kit_pass(&k, 2 * USEC_PER_SEC, 1);
	expect_late(job, "deadline: it had not ended 10s after it was accepted");
	cr_assert_gt(k.workers[0].kills, 0);
	kit_compare_replay(&k);
	kit_close(&k);
}

Test(late, a_job_that_ended_or_started_in_time_is_left_alone)
{
	uint64_t job;

	kit_open(&k);
	kit_register(&k, 0, 1000);
	kit_submit(&k, (struct kit_job){.shards = 1, .deadline_us = 10 * USEC_PER_SEC});
	kit_done(&k, 0, kit_last_lease(&k, 0));
	job = kit_submit(&k, (struct kit_job){.shards = 2, .start_by_us = 5 * USEC_PER_SEC});
	kit_pass(&k, 20 * USEC_PER_SEC, 1);
	cr_assert_eq(kit_view(&k, job).state, JOB_ACTIVE);
	cr_assert_eq(k.ended_events, 1);
	cr_assert_eq(k.ended.state, JOB_SUCCEEDED);
	kit_close(&k);
}

Test(late, a_job_of_which_nothing_started_fails_also_when_it_waits_for_another)
{
	uint64_t first, second;

	kit_open(&k);
	first = kit_submit(&k, (struct kit_job){.shards = 1, .start_by_us = 5 * USEC_PER_SEC});
	kit_pass(&k, 6 * USEC_PER_SEC, 0);
	expect_late(first, "start_by: no shard of it had started 5s after it was accepted");
	first = kit_submit(&k, (struct kit_job){.shards = 1});
	second = kit_submit(&k, (struct kit_job){.shards = 1,
						 .start_by_us = 7 * USEC_PER_SEC,
						 .after = {{first, AFTER_SUCCEEDED}}});
	kit_pass(&k, 8 * USEC_PER_SEC, 0);
	expect_late(second, "start_by: no shard of it had started 7s after it was accepted");
	kit_compare_replay(&k);
	kit_close(&k);
}

Test(late, times_survive_a_restart_and_carrying)
{
	uint64_t job, oldest;

	kit_open(&k);
	job = kit_submit(&k, (struct kit_job){.shards = 1, .deadline_us = 60 * USEC_PER_SEC});
	oldest = k.last_lsn + 1;
	cr_assert(kit_carry(&k, oldest, 100000, 10));
	kit_durable(&k);
	kit_history(&k);
	kit_trim(&k, oldest);
	kit_restart(&k);
	kit_pass(&k, 30 * USEC_PER_SEC, 0);
	cr_assert_eq(kit_view(&k, job).state, JOB_ACTIVE);
	kit_pass(&k, 31 * USEC_PER_SEC, 0);
	expect_late(job, "deadline: it had not ended 1m after it was accepted");
	kit_close(&k);
}

Test(late, a_job_that_is_tried_again_has_all_the_time)
{
	const struct kit_job one = {.shards = 1, .deadline_us = 10 * USEC_PER_SEC};
	uint64_t job;

	kit_open(&k);
	job = kit_submit(&k, one);
	kit_pass(&k, 11 * USEC_PER_SEC, 0);
	kit_settle(&k, job);
	cr_assert_eq(kit_reopen(&k, one, (struct kit_reopened){job, 1, NULL, 0}), ERR_OK, "%s", k.reply.why);
	kit_pass(&k, 60 * USEC_PER_SEC, 0);
	cr_assert_eq(kit_view(&k, job).state, JOB_ACTIVE);
	kit_close(&k);
}

Test(late, many_fail_a_bounded_number_in_a_tick)
{
	kit_open(&k);
	for (uint32_t i = 0; i < 700; i++)
		kit_submit(&k, (struct kit_job){.shards = 1, .deadline_us = USEC_PER_SEC});
	k.mono_us += 2 * USEC_PER_SEC;
	k.wall_us += 2 * USEC_PER_SEC;
	kit_tick(&k);
	cr_assert_eq(k.ended_events, 500);
	cr_assert_leq(dispatcher_core_deadline(k.core), k.mono_us);
	kit_tick(&k);
	cr_assert_eq(k.ended_events, 700);
	kit_close(&k);
}

Test(late, jobs_that_have_ended_leave_no_times_behind)
{
	uint64_t job;
	uint32_t fails = 0;

	kit_open(&k);
	job = kit_submit(&k, (struct kit_job){.shards = 1, .deadline_us = 60 * USEC_PER_SEC});
	for (uint32_t i = 0; i < 1000; i++) {
		kit_cancel(&k, kit_submit(&k, (struct kit_job){.shards = 1,
							       .deadline_us = 3600 * USEC_PER_SEC,
							       .start_by_us = 30 * USEC_PER_SEC}));
		kit_cancel(&k,
			   kit_submit(&k, (struct kit_job){.shards = 1,
							   .due_wall_us = k.wall_us + 3600 * USEC_PER_SEC}));
		fails += k.core->late.count > 100 || k.core->held.count > 100;
	}
	cr_assert_eq(fails, 0, "%u and %u times are kept", k.core->late.count, k.core->held.count);
	kit_pass(&k, 61 * USEC_PER_SEC, 0);
	expect_late(job, "deadline: it had not ended 1m after it was accepted");
	kit_close(&k);
}
