/* Jobs that have ended are forgotten: what the core refuses, and who may not come back. */
#include <criterion/criterion.h>

#include "tests/unit/dispatcher/kit.h"

static struct kit k;

static const struct kit_job one = {.shards = 1, .attempts = 1};

static void setup(void)
{
	kit_open(&k);
}

static void teardown(void)
{
	kit_close(&k);
}

TestSuite(forget, .init = setup, .fini = teardown);

static enum error_code forget(uint64_t first, uint64_t count)
{
	struct job_ids ids = {first, count};
	struct input_forget in = {.request = ++k.next_request, .jobs = {&ids, 1}};

	k.reply = (struct dispatcher_reply){.code = ERR_CLOSED};
	kit_step(&k, INPUT_FORGET, &in);
	return k.reply.code;
}

static void end(uint64_t job)
{
	kit_cancel(&k, job);
	kit_durable(&k);
}

Test(forget, what_has_ended_is_forgotten_and_the_rest_is_refused)
{
	for (uint64_t job = 1; job <= 3; job++)
		cr_assert_eq(kit_submit(&k, one), job);
	kit_durable(&k);
	cr_expect_eq(forget(1, 1), ERR_INVALID, "it lives");
	end(1);
	end(2);
	cr_expect_eq(forget(1, 3), ERR_INVALID, "one of them lives");
	cr_expect_eq(forget(3, 2), ERR_NOT_FOUND, "there is no job 4");
	cr_expect_eq(forget(1, 2), ERR_OK);
	cr_expect_eq(k.reply.job, 1);
	cr_expect_eq(k.reply.job_count, 2);
	cr_expect_eq(forget(1, 2), ERR_OK, "also when history has passed their ends, or twice");
	kit_history(&k);
	cr_expect_eq(kit_view(&k, 1).state, 0);
	cr_expect_eq(forget(1, 1), ERR_OK);
	kit_compare_replay(&k);
}

Test(forget, ranges_are_in_order_and_bounded)
{
	struct job_ids ids[] = {{2, 1}, {1, 1}};
	struct input_forget in = {.request = 77, .jobs = {ids, 2}};

	for (int i = 0; i < 2; i++)
		end(kit_submit(&k, one));
	kit_step(&k, INPUT_FORGET, &in);
	cr_expect_eq(k.reply.code, ERR_INVALID);
	cr_expect_eq(forget(0, 1), ERR_INVALID);
	cr_expect_eq(forget(1, 0), ERR_INVALID);
	cr_expect_eq(forget(1, FORGET_JOBS_MAX + 1), ERR_INVALID);
	cr_expect_eq(forget(1, UINT64_MAX), ERR_INVALID);
	in.jobs.count = 0;
	kit_step(&k, INPUT_FORGET, &in);
	cr_expect_eq(k.reply.code, ERR_OK, "nothing is asked for");
	cr_expect(k.reply.duplicate);
}

Test(forget, the_end_of_a_job_is_told_before_it_is_forgotten)
{
	struct kit_job none = {.shards = 1, .attempts = 1};

	kit_register(&k, 0, 1000);
	kit_submit(&k, none);
	kit_durable(&k);
	kit_done(&k, 0, kit_last_lease(&k, 0));
	cr_expect_eq(forget(1, 1), ERR_BUSY);
	kit_durable(&k);
	kit_settle(&k, 1);
	cr_expect_eq(forget(1, 1), ERR_OK);
}

/* Who asked history before a job was forgotten comes too late. */
Test(forget, what_was_forgotten_meanwhile_is_not_reopened)
{
	const struct kit_reopened as = {1, 1, NULL, 0};

	k.stale = true;
	end(kit_submit(&k, one));
	end(kit_submit(&k, one));
	kit_history(&k);
	cr_assert_eq(forget(1, 1), ERR_OK);
	cr_expect_eq(kit_reopen(&k, one, as), ERR_BUSY);
	cr_expect_eq(kit_reopen(&k, one, (struct kit_reopened){2, 1, NULL, 0}), ERR_OK);
	for (int i = 0; i < 100; i++)
		cr_assert_eq(forget(1, 1), ERR_OK);
	end(kit_submit(&k, one));
	kit_history(&k);
	cr_expect_eq(kit_reopen(&k, one, (struct kit_reopened){3, 1, NULL, 0}), ERR_BUSY,
		     "which pieces were forgotten since is not known any more");
}
