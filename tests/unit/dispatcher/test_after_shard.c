/* Jobs whose shards wait for the same shards of another job. */
#include <criterion/criterion.h>
#include <string.h>

#include "tests/unit/dispatcher/kit.h"

static struct kit k;

#define AFTER(job)                                                                                           \
	{                                                                                                    \
		{                                                                                            \
			job, AFTER_SHARD, 0                                                                  \
		}                                                                                            \
	}

static uint64_t parent_of(uint32_t shards)
{
	return kit_submit(&k, (struct kit_job){.name = "parent",
					       .shards = shards,
					       .attempts = 1,
					       .tolerate_kind = TOLERATE_COUNT,
					       .tolerate = shards});
}

/* How many shards of the job the worker was ever leased; *ret_first the last first one. */
static uint32_t leased(uint32_t worker, uint64_t job, uint32_t *ret_first)
{
	const struct kit_worker *w = &k.workers[worker];
	uint32_t n = 0;

	for (uint32_t i = 0; i < w->lease_count; i++)
		if (w->leases[i].job == job) {
			n += w->leases[i].count;
			*ret_first = w->leases[i].first;
		}
	return n;
}

static const struct kit_lease *lease_of(uint32_t worker, uint64_t job, uint32_t shard)
{
	const struct kit_worker *w = &k.workers[worker];

	for (uint32_t i = 0; i < w->lease_count; i++)
		if (w->leases[i].job == job && shard - w->leases[i].first < w->leases[i].count)
			return &w->leases[i];
	return NULL;
}

static void finish(uint32_t worker, uint64_t job, uint32_t shard)
{
	const struct kit_lease *lease = lease_of(worker, job, shard);

	cr_assert_not_null(lease, "shard %u of job %llu was never leased", shard, (unsigned long long)job);
	kit_done_range(&k, worker, lease, shard, 1);
	kit_idle(&k, worker);
}

static void fail(uint32_t worker, uint64_t job, uint32_t shard)
{
	const struct kit_lease *lease = lease_of(worker, job, shard);
	struct failure f = {.first = shard, .count = 1, .kind = FAILURE_EXIT, .code = 1};
	struct outcome o = {.token = lease->token, .job = job, .phase = 0, .failed = {&f, 1}};

	kit_report(&k, worker, &o, 1);
	kit_idle(&k, worker);
}

Test(after_shard, a_shard_starts_when_the_same_one_of_the_other_job_is_done)
{
	uint32_t first = 99;
	uint64_t parent, child;

	kit_open(&k);
	kit_register(&k, 0, 3000);
	parent = parent_of(3);
	child = kit_submit(&k, (struct kit_job){.name = "child", .shards = 3, .after = AFTER(parent)});
	cr_assert_neq(child, 0, "%s", k.reply.why);
	cr_expect_eq(kit_view(&k, child).state, JOB_ACTIVE);
	cr_expect_eq(kit_view(&k, child).blocked, 3);
	cr_expect_eq(kit_view(&k, child).after.items[0].job, parent);
	kit_idle(&k, 0);
	cr_expect_eq(leased(0, parent, &first), 3);
	cr_expect_eq(leased(0, child, &first), 0);
	finish(0, parent, 1);
	cr_expect_eq(leased(0, child, &first), 1);
	cr_expect_eq(first, 1);
	cr_expect_eq(kit_view(&k, child).blocked, 2);
	finish(0, parent, 0);
	finish(0, parent, 2);
	cr_expect_eq(leased(0, child, &first), 3);
	cr_expect_eq(kit_view(&k, parent).state, JOB_SUCCEEDED);
	for (uint32_t i = 0; i < 3; i++)
		finish(0, child, i);
	cr_expect_eq(kit_view(&k, child).state, JOB_SUCCEEDED);
	kit_compare_replay(&k);
	kit_close(&k);
}

Test(after_shard, what_can_no_longer_come_fails_the_job_unless_that_is_tolerated)
{
	uint32_t first;
	uint64_t parent, child, patient;

	kit_open(&k);
	kit_register(&k, 0, 9000);
	parent = parent_of(2);
	child = kit_submit(&k, (struct kit_job){.name = "child", .shards = 2, .after = AFTER(parent)});
	patient = kit_submit(&k, (struct kit_job){.name = "patient",
						  .shards = 2,
						  .after = AFTER(parent),
						  .tolerate_kind = TOLERATE_COUNT,
						  .tolerate = 1});
	kit_idle(&k, 0);
	finish(0, parent, 0);
	fail(0, parent, 1);
	cr_assert_eq(kit_view(&k, parent).state, JOB_SUCCEEDED, "its dead shard is tolerated");
	cr_assert_eq(kit_view(&k, child).state, JOB_FAILED);
	cr_expect_not_null(
	    strstr((const char *)kit_view(&k, child).why.data,
		   "1 shard can no longer start: the same of the job that they wait for has not "
		   "succeeded"));
	cr_expect_eq(leased(0, patient, &first), 1);
	finish(0, patient, 0);
	cr_assert_eq(kit_view(&k, patient).state, JOB_SUCCEEDED);
	cr_expect_eq(k.ended.dropped, 1);
	cr_expect_eq(k.ended.dead, 0);
	kit_compare_replay(&k);
	kit_close(&k);
}

Test(after_shard, a_parent_that_gathers_is_past_its_shards)
{
	uint32_t first;
	uint64_t parent, child;

	kit_open(&k);
	kit_register(&k, 0, 9000);
	parent = kit_submit(
	    &k,
	    (struct kit_job){
		.shards = 2, .attempts = 1, .gather = true, .tolerate_kind = TOLERATE_COUNT, .tolerate = 1});
	child = kit_submit(
	    &k, (struct kit_job){
		    .shards = 2, .after = AFTER(parent), .tolerate_kind = TOLERATE_COUNT, .tolerate = 1});
	kit_idle(&k, 0);
	fail(0, parent, 0);
	cr_expect_eq(kit_view(&k, child).blocked, 2);
	finish(0, parent, 1);
	cr_assert_eq(kit_view(&k, parent).phase, 1);
	cr_expect_eq(kit_view(&k, child).after_count, 0);
	cr_expect_eq(leased(0, child, &first), 1);
	finish(0, child, 1);
	cr_expect_eq(kit_view(&k, child).state, JOB_SUCCEEDED);
	kit_compare_replay(&k);
	kit_close(&k);
}

Test(after_shard, leases_leave_when_what_opened_the_shards_is_durable)
{
	uint32_t first, before;
	uint64_t parent, child;

	kit_open(&k);
	kit_register(&k, 0, 2000);
	parent = parent_of(2);
	child = kit_submit(&k, (struct kit_job){.shards = 2, .after = AFTER(parent)});
	kit_idle(&k, 0);
	k.auto_durable = false;
	finish(0, parent, 0);
	before = leased(0, child, &first);
	cr_expect_eq(before, 0, "a crash could lose that shard 0 of the parent is done");
	kit_restart(&k);
	cr_expect_eq(kit_view(&k, child).blocked, 2);
	k.auto_durable = true;
	kit_close(&k);
}

Test(after_shard, a_restart_and_a_journal_that_was_trimmed_know_what_waits)
{
	uint64_t parent, child, lsn;

	kit_open(&k);
	kit_register(&k, 0, 9000);
	parent = parent_of(4);
	child = kit_submit(&k, (struct kit_job){.shards = 4, .after = AFTER(parent)});
	kit_idle(&k, 0);
	finish(0, parent, 2);
	kit_restart(&k);
	cr_expect_eq(kit_view(&k, child).blocked, 3);
	cr_expect_eq(kit_view(&k, child).after.items[0].job, parent);
	lsn = k.last_lsn + 1;
	cr_assert(kit_carry(&k, lsn, 4096, 100));
	kit_durable(&k);
	kit_history(&k);
	kit_trim(&k, lsn);
	kit_compare_replay(&k);
	kit_restart(&k);
	cr_expect_eq(kit_view(&k, child).blocked, 3);
	kit_cancel(&k, parent);
	cr_expect_eq(kit_view(&k, child).state, JOB_FAILED, "3 of its shards never come");
	kit_compare_replay(&k);
	kit_close(&k);
}

Test(after_shard, a_parent_that_has_ended_comes_as_a_fact)
{
	struct range done[] = {{0, 1}, {2, 1}};
	uint32_t first;
	uint64_t parent, child;
	struct kit_job job = {.shards = 3, .tolerate_kind = TOLERATE_COUNT, .tolerate = 1};

	kit_open(&k);
	kit_register(&k, 0, 9000);
	parent = kit_submit(&k, (struct kit_job){.shards = 3});
	kit_cancel(&k, parent);
	job.after[0] = (struct after_job){parent, AFTER_SHARD, 0};
	cr_expect_eq(kit_submit(&k, job), 0);
	cr_expect_eq(k.reply.code, ERR_BUSY, "how they stand was not said");
	job.ended[0] = (struct ended_fact){parent, JOB_CANCELLED, 3, {done, 2}};
	child = kit_submit(&k, job);
	cr_assert_neq(child, 0, "%s", k.reply.why);
	cr_expect_eq(kit_view(&k, child).blocked, 1);
	kit_idle(&k, 0);
	cr_expect_eq(leased(0, child, &first), 2);
	finish(0, child, 0);
	finish(0, child, 2);
	cr_expect_eq(kit_view(&k, child).state, JOB_SUCCEEDED);
	kit_compare_replay(&k);
	kit_close(&k);
}

Test(after_shard, what_cannot_be_is_refused_in_words)
{
	uint64_t parent;

	kit_open(&k);
	parent = kit_submit(&k, (struct kit_job){.shards = 3});
	cr_expect_eq(kit_submit(&k, (struct kit_job){.shards = 2, .after = AFTER(parent)}), 0);
	cr_expect_str_eq(k.reply.why, "job 1 has 3 shards, and this one 2: each waits for the same one");
	cr_expect_eq(kit_submit(&k, (struct kit_job){.shards = 2, .after = AFTER(77)}), 0);
	cr_expect_str_eq(k.reply.why, "there is no job 77 to wait for");
	cr_expect_eq(kit_submit(&k, (struct kit_job){.shards = 3,
						     .planner = PLANNER_LINES,
						     .plan_phase = true,
						     .after = AFTER(parent)}),
		     0);
	cr_expect_not_null(strstr(k.reply.why, "known at once"));
	parent = kit_submit(&k, (struct kit_job){.shards = 3, .planner = PLANNER_LINES});
	cr_expect_eq(kit_submit(&k, (struct kit_job){.shards = 3, .after = AFTER(parent)}), 0);
	cr_expect_not_null(strstr(k.reply.why, "is not cut into shards yet"));
	kit_close(&k);
}

/* What is older than the child's own record is trimmed: its parent's next phase is met before the parent. */
Test(after_shard, a_trimmed_journal_tells_of_the_parents_next_phase_before_the_parent)
{
	uint64_t parent, child, lsn;

	kit_open(&k);
	kit_register(&k, 0, 9000);
	parent = kit_submit(&k, (struct kit_job){.shards = 2, .attempts = 1, .gather = true});
	kit_durable(&k);
	lsn = k.last_lsn + 1;
	child = kit_submit(&k, (struct kit_job){.shards = 2, .after = AFTER(parent)});
	kit_idle(&k, 0);
	finish(0, parent, 0);
	finish(0, parent, 1);
	cr_assert_eq(kit_view(&k, parent).phase, 1);
	cr_assert_eq(kit_view(&k, child).after_count, 0);
	cr_assert(kit_carry(&k, lsn, 4096, 100));
	kit_durable(&k);
	kit_history(&k);
	kit_trim(&k, lsn);
	kit_compare_replay(&k);
	kit_restart(&k);
	cr_expect_eq(kit_view(&k, child).blocked, 0);
	kit_close(&k);
}
