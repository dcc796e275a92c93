/* Concurrency groups: at most so many jobs of a group are active. */
#include <criterion/criterion.h>

#include "tests/unit/dispatcher/kit.h"

static struct kit k;

static uint64_t submit(const char *group, uint8_t mode, bool latest)
{
	return kit_submit(
	    &k, (struct kit_job){.shards = 1, .group = group, .group_mode = mode, .group_latest = latest});
}

static uint64_t queue(const char *group)
{
	return submit(group, CONCURRENCY_QUEUE, false);
}

static void expect(uint64_t job, uint8_t state)
{
	cr_assert_eq(kit_view(&k, job).state, state, "job %llu is %s", (unsigned long long)job,
		     job_state_name(kit_view(&k, job).state));
}

static void expect_why(uint64_t job, const char *why)
{
	struct view_job v = kit_view(&k, job);

	cr_assert_eq(v.state, JOB_CANCELLED);
	cr_assert_eq(v.stopped_by.kind, BY_DISPATCHER);
	cr_assert(bytes_equal(v.why, bytes_of(why)), "%.*s", (int)v.why.size, (const char *)v.why.data);
}

Test(groups, one_waits_until_the_other_has_ended_and_says_for_whom)
{
	uint64_t a, b, c, other;
	struct view_job v;

	kit_open(&k);
	kit_register(&k, 0, 1000);
	a = queue("g");
	b = queue("g");
	c = queue("g");
	other = queue("h");
	expect(a, JOB_ACTIVE);
	expect(other, JOB_ACTIVE);
	expect(c, JOB_HELD);
	v = kit_view(&k, c);
	cr_assert(v.group.waits);
	cr_assert_eq(v.group.before, 1);
	cr_assert_eq(v.group.active, 1);
	cr_assert_eq(v.group.holder_count, 1);
	cr_assert_eq(v.group.holders[0], a);
	cr_assert_eq(v.word, JOB_WORD_HELD);
	kit_done(&k, 0, &k.workers[0].leases[0]);
	expect(a, JOB_SUCCEEDED);
	expect(b, JOB_ACTIVE);
	expect(c, JOB_HELD);
	kit_cancel(&k, b);
	expect(c, JOB_ACTIVE);
	cr_assert_not(kit_view(&k, c).group.waits);
	kit_compare_replay(&k);
	kit_close(&k);
}

Test(groups, so_many_are_active_as_each_of_them_allows)
{
	uint64_t jobs[4];

	kit_open(&k);
	for (size_t i = 0; i < ARRAY_LENGTH(jobs); i++)
		jobs[i] = kit_submit(&k, (struct kit_job){.shards = 1, .group = "g", .group_limit = 2});
	expect(jobs[1], JOB_ACTIVE);
	expect(jobs[2], JOB_HELD);
	kit_cancel(&k, jobs[0]);
	expect(jobs[2], JOB_ACTIVE);
	expect(jobs[3], JOB_HELD);
	kit_close(&k);
}

Test(groups, what_is_to_be_skipped_is_not_made)
{
	uint64_t a;

	kit_open(&k);
	a = submit("g", CONCURRENCY_SKIP, false);
	expect(a, JOB_ACTIVE);
	cr_assert_eq(submit("g", CONCURRENCY_SKIP, false), 0);
	cr_assert_eq(k.reply.code, ERR_OK);
	cr_assert_eq(k.reply.skipped, 1);
	cr_assert_str_eq(k.reply.why, "the concurrency group \"g\" is full: job 1 holds it");
	cr_assert_eq(k.tells, 1);
	/* Its event is accepted all the same: a repeat makes nothing later either. */
	for (int i = 0; i < 2; i++) {
		cr_assert_eq(kit_submit(&k, (struct kit_job){.shards = 1,
							     .key = 7,
							     .group = "g",
							     .group_mode = CONCURRENCY_SKIP}),
			     0);
		cr_assert_eq(k.reply.code, ERR_OK);
		cr_assert_eq(k.reply.duplicate, i == 1);
		cr_assert_eq(k.reply.skipped, i == 0);
		if (i == 0)
			kit_cancel(&k, a);
	}
	a = submit("g", CONCURRENCY_SKIP, false);
	cr_assert_eq(a, 2);
	cr_assert_eq(kit_submit(&k, (struct kit_job){.shards = 1,
						     .key = 8,
						     .whole = true,
						     .group = "g",
						     .group_mode = CONCURRENCY_SKIP}),
		     0);
	cr_assert_eq(k.reply.code, ERR_EXISTS, "who asks for the job itself is refused");
	kit_cancel(&k, a);
	cr_assert_eq(kit_submit(&k, (struct kit_job){.shards = 1,
						     .key = 8,
						     .whole = true,
						     .group = "g",
						     .group_mode = CONCURRENCY_SKIP}),
		     3, "and the refusal is not remembered");
	kit_compare_replay(&k);
	kit_close(&k);
}

Test(groups, what_was_held_until_due_is_skipped_then)
{
	uint64_t a, b, c;

	kit_open(&k);
	k.auto_history = false;
	b = kit_submit(&k, (struct kit_job){.shards = 1,
					    .group = "g",
					    .group_mode = CONCURRENCY_SKIP,
					    .due_wall_us = k.wall_us + USEC_PER_SEC});
	a = queue("g");
	expect(a, JOB_ACTIVE);
	expect(b, JOB_HELD);
	cr_assert_not(kit_view(&k, b).group.waits);
	c = kit_submit(&k, (struct kit_job){.shards = 1,
					    .group = "g",
					    .group_mode = CONCURRENCY_SKIP,
					    .due_wall_us = k.wall_us + USEC_PER_SEC});
	expect(c, JOB_HELD);
	kit_pass(&k, 2 * USEC_PER_SEC, 0);
	expect_why(c, "the concurrency group \"g\" was full: job 2 held it");
	expect_why(b, "the concurrency group \"g\" was full: job 2 held it");
	kit_compare_replay(&k);
	kit_close(&k);
}

Test(groups, a_new_one_may_take_the_place_of_the_one_that_runs)
{
	uint64_t a, b, c;

	kit_open(&k);
	k.auto_history = false;
	kit_register(&k, 0, 1000);
	a = queue("g");
	b = queue("g");
	c = submit("g", CONCURRENCY_CANCEL_RUNNING, false);
	expect_why(a, "job 3 took its place in the concurrency group \"g\"");
	cr_assert_eq(k.workers[0].kills, 1);
	expect(b, JOB_HELD);
	expect(c, JOB_ACTIVE);
	kit_compare_replay(&k);
	kit_close(&k);
}

Test(groups, of_those_that_wait_the_newest_stays)
{
	uint64_t a, b, c;

	kit_open(&k);
	k.auto_history = false;
	a = submit("g", CONCURRENCY_QUEUE, true);
	b = submit("g", CONCURRENCY_QUEUE, true);
	expect(b, JOB_HELD);
	c = submit("g", CONCURRENCY_QUEUE, true);
	expect(a, JOB_ACTIVE);
	expect_why(b, "job 3 came later, and only the newest of those that wait for the concurrency group "
		      "\"g\" stays");
	expect(c, JOB_HELD);
	kit_cancel(&k, a);
	expect(c, JOB_ACTIVE);
	kit_compare_replay(&k);
	kit_close(&k);
}

Test(groups, whoever_waits_for_a_time_or_for_others_takes_no_place)
{
	uint64_t parent, after, due, a;

	kit_open(&k);
	parent = kit_submit(&k, (struct kit_job){.shards = 1});
	after = kit_submit(&k, (struct kit_job){.shards = 1, .group = "g", .after = {{parent, AFTER_ANY}}});
	due = kit_submit(
	    &k, (struct kit_job){.shards = 1, .group = "g", .due_wall_us = k.wall_us + USEC_PER_SEC});
	a = queue("g");
	expect(a, JOB_ACTIVE);
	kit_cancel(&k, parent);
	kit_pass(&k, 2 * USEC_PER_SEC, 0);
	expect(after, JOB_HELD);
	expect(due, JOB_HELD);
	cr_assert_eq(kit_view(&k, due).group.before, 1);
	kit_restart(&k);
	kit_cancel(&k, a);
	expect(after, JOB_ACTIVE);
	expect(due, JOB_HELD);
	kit_cancel(&k, after);
	expect(due, JOB_ACTIVE);
	kit_compare_replay(&k);
	kit_close(&k);
}

Test(groups, places_survive_a_restart_and_carrying)
{
	uint64_t a, b, c;

	kit_open(&k);
	a = queue("g");
	b = queue("g");
	c = queue("g");
	kit_carry_all(&k);
	kit_cancel(&k, a); /* its acceptance is trimmed, that b waits for it was carried before */
	kit_durable(&k);
	kit_restart(&k);
	expect(b, JOB_ACTIVE);
	expect(c, JOB_HELD);
	kit_carry_all(&k);
	kit_restart(&k);
	kit_cancel(&k, b);
	expect(c, JOB_ACTIVE);
	kit_compare_replay(&k);
	kit_close(&k);
}

Test(groups, what_was_not_decided_before_a_crash_is_decided_after_it)
{
	enum { MANY = 2500 };
	uint64_t a, b;

	kit_open(&k);
	a = queue("g");
	b = queue("g"); /* it starts when it is alone, and those behind it then */
	for (uint32_t i = 1; i < MANY; i++)
		kit_submit(&k, (struct kit_job){.shards = 1, .group = "g", .group_limit = MANY});
	expect(b + MANY - 1, JOB_HELD);
	k.auto_durable = k.auto_history = false;
	kit_cancel(&k, a);
	expect(b + 999, JOB_ACTIVE); /* at most 1,000 follow in a step */
	expect(b + 1000, JOB_HELD);
	cr_assert_leq(dispatcher_core_deadline(k.core), k.mono_us);
	kit_durable(&k);
	kit_restart(&k);
	kit_tick(&k);
	kit_tick(&k);
	expect(b + MANY - 1, JOB_ACTIVE);
	kit_compare_replay(&k);
	kit_close(&k);
}

Test(groups, a_job_that_is_tried_again_waits_for_its_turn)
{
	const struct kit_job one = {.shards = 1, .group = "g"};
	const struct kit_job skips = {.shards = 1, .group = "g", .group_mode = CONCURRENCY_SKIP};
	uint64_t a, b, c;

	kit_open(&k);
	kit_register(&k, 0, 1000);
	a = kit_submit(&k, one);
	kit_failed(&k, 0, kit_last_lease(&k, 0), FAILURE_START, 1);
	kit_cancel(&k, a);
	b = kit_submit(&k, one);
	c = kit_submit(&k, one);
	cr_assert_eq(kit_reopen(&k, one, (struct kit_reopened){a, 1, NULL, 0}), ERR_OK, "%s", k.reply.why);
	expect(a, JOB_HELD);
	cr_assert(kit_view(&k, a).group.waits);
	kit_carry_all(&k);
	kit_restart(&k);
	expect(a, JOB_HELD);
	kit_register(&k, 0, 1000);
	kit_cancel(&k, b);
	expect(a, JOB_ACTIVE); /* it is the oldest */
	expect(c, JOB_HELD);
	kit_done(&k, 0, kit_last_lease(&k, 0));
	cr_assert_eq(k.ended.job, a);
	cr_assert_eq(k.ended.state, JOB_SUCCEEDED);
	expect(c, JOB_ACTIVE);
	cr_assert_eq(kit_reopen(&k, skips, (struct kit_reopened){b, 1, NULL, 0}), ERR_BUSY);
	kit_compare_replay(&k);
	kit_close(&k);
}
