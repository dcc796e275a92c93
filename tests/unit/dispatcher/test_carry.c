/* Live state is carried forward, the front of the journal is trimmed, and a replay gives the same state.
 * Deduplication in its window and its bound. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "tests/unit/dispatcher/kit.h"

static struct kit k;

Test(carry, a_queued_job_and_what_it_names_survive)
{
	struct input_watermark mark = {BYTES_LIT("inbox"), BYTES_LIT("pos-17")};
	uint64_t job;

	kit_open(&k);
	job = kit_submit(&k, (struct kit_job){.shards = 3, .key = 9, .gather = true});
	kit_step(&k, INPUT_WATERMARK, &mark);
	kit_carry_all(&k);
	kit_restart(&k);
	cr_assert_eq(kit_submit(&k, (struct kit_job){.shards = 3, .key = 9}), job);
	cr_assert(bytes_equal(dispatcher_view_watermark(k.core, BYTES_LIT("inbox")), BYTES_LIT("pos-17")));
	kit_register(&k, 0, 9000);
	for (uint32_t i = 0; i < k.workers[0].lease_count; i++)
		kit_done(&k, 0, &k.workers[0].leases[i]);
	cr_assert_eq(k.ended.state, JOB_SUCCEEDED);
	kit_close(&k);
}

Test(carry, nothing_is_written_twice)
{
	uint64_t oldest;

	kit_open(&k);
	kit_submit(&k, (struct kit_job){.shards = 3, .key = 9});
	oldest = k.last_lsn + 1;
	cr_assert(kit_carry(&k, oldest, 100000, 10));
	cr_assert_gt(k.last_lsn, oldest);
	oldest = k.last_lsn;
	cr_assert(kit_carry(&k, 2, 100000, 10));
	cr_assert_eq(k.last_lsn, oldest);
	kit_close(&k);
}

Test(carry, an_end_that_nobody_offered_survives)
{
	kit_open(&k);
	kit_register(&k, 0, 1000);
	kit_submit(&k, (struct kit_job){.shards = 1});
	kit_done(&k, 0, kit_last_lease(&k, 0));
	kit_carry_all(&k);
	k.ended_events = 0;
	kit_restart(&k);
	cr_assert_eq(k.ended_events, 1);
	cr_assert_eq(k.ended.done, 1);
	kit_close(&k);
}

/* Each kind of shard, scattered: windows of a slice hold 1024 runs of a kind. */
Test(carry, a_large_scattered_job_is_carried_in_windows_while_life_goes_on)
{
	const uint32_t n = 20000;
	struct token token = {1, 5000};
	struct range all = {0, n};
	struct held_token t = {.token = token, .running = {&all, 1}};
	struct range *done = calloc(n, sizeof *done);
	struct failure *failed = calloc(n, sizeof *failed);
	struct outcome o = {.token = token, .done = {done, 0}, .failed = {failed, 0}, .totals.run_us = 5};
	struct view_counts before, after;
	uint64_t oldest, first;
	uint32_t steps = 0;

	kit_open(&k);
	t.job = o.job = kit_submit(&k, (struct kit_job){.shards = n,
							.attempts = 3,
							.tolerate_kind = TOLERATE_COUNT,
							.tolerate = n,
							.backoff_us = 50 * USEC_PER_SEC,
							.rule = {66, 66, VERDICT_FAIL}});
	kit_register_with(&k, 0, (struct held_token_list){&t, 1});
	for (uint32_t i = 0; i < n; i += 4) {
		done[o.done.count++] = (struct range){i, 1};
		failed[o.failed.count++] =
		    (struct failure){i + 1, 1, FAILURE_EXIT, i % 8 == 0 ? 66 : 1, {0}, 0};
	}
	kit_report(&k, 0, &o, 1);
	before = kit_view(&k, o.job).counts;
	cr_assert_eq(before.done, n / 4);
	cr_assert_eq(before.dead, n / 8);
	cr_assert_eq(before.leased, n / 2);
	oldest = k.last_lsn + 1;
	first = k.last_lsn;
	while (!kit_carry(&k, oldest, 1, 1)) {
		struct range late = {steps % (n / 4) * 4 + 2, 1};
		struct outcome one = {.token = token, .job = o.job, .done = {&late, 1}, .totals.run_us = 1};

		if (steps++ % 2 == 0)
			kit_report(&k, 0, &one, 1);
	}
	cr_assert_gt(k.last_lsn - first, 5, "more than one slice");
	kit_durable(&k);
	kit_history(&k);
	kit_trim(&k, oldest);
	kit_compare_replay(&k);
	kit_restart(&k);
	after = kit_view(&k, o.job).counts;
	cr_assert_eq(after.done, before.done + (steps + 1) / 2);
	cr_assert_eq(after.dead, before.dead);
	cr_assert_eq(after.leased, before.leased - (steps + 1) / 2);
	cr_assert_eq(after.delayed + after.pending, before.delayed + before.pending);
	free(done);
	free(failed);
	kit_close(&k);
}

Test(carry, a_journal_that_lost_a_job_is_refused)
{
	struct dispatcher_core *core;
	struct dispatcher_config config = kit_config();
	struct plan_sealed r = {.job = 7};
	struct error err = {0};

	core = dispatcher_core_create(&config);
	cr_assert_eq(dispatcher_core_apply(core, RECORD_PLAN_SEALED, &r, 55, &err), 0);
	cr_assert_eq(dispatcher_core_replay_end(core, &err), ERR_CORRUPT);
	cr_assert_neq(err.what[0], 0);
	dispatcher_core_destroy(core);
}

Test(carry, a_journal_with_a_hole_is_refused)
{
	struct dispatcher_core *core;
	struct dispatcher_config config = kit_config();
	struct epoch_started r = {.epoch = 1};
	struct error err = {0};

	core = dispatcher_core_create(&config);
	cr_assert_eq(dispatcher_core_apply(core, RECORD_EPOCH, &r, 55, &err), 0);
	r.epoch = 2;
	cr_assert_eq(dispatcher_core_apply(core, RECORD_EPOCH, &r, 57, &err), ERR_CORRUPT);
	dispatcher_core_destroy(core);
}

Test(dedup, a_key_is_forgotten_after_its_window_and_not_before)
{
	uint64_t job;

	kit_prepare(&k);
	k.config.dedup_window_us = 24 * USEC_PER_SEC;
	kit_start(&k);
	job = kit_submit(&k, (struct kit_job){.shards = 1, .key = 1});
	for (uint32_t i = 0; i < 23; i++) {
		kit_pass(&k, USEC_PER_SEC, 0);
		kit_submit(&k, (struct kit_job){.shards = 1, .key = 100 + i});
	}
	cr_assert_eq(kit_submit(&k, (struct kit_job){.shards = 1, .key = 1}), job);
	for (uint32_t i = 0; i < 4; i++) {
		kit_pass(&k, USEC_PER_SEC, 0);
		kit_submit(&k, (struct kit_job){.shards = 1, .key = 200 + i});
	}
	cr_assert_neq(kit_submit(&k, (struct kit_job){.shards = 1, .key = 1}), job);
	kit_close(&k);
}

Test(dedup, a_wall_clock_that_jumps_forgets_nothing)
{
	uint64_t job;

	kit_prepare(&k);
	k.config.dedup_window_us = 24 * USEC_PER_SEC;
	kit_start(&k);
	job = kit_submit(&k, (struct kit_job){.shards = 1, .key = 1});
	k.wall_us += 3600 * USEC_PER_SEC;
	kit_submit(&k, (struct kit_job){.shards = 1, .key = 2});
	k.wall_us -= 7200 * USEC_PER_SEC;
	kit_submit(&k, (struct kit_job){.shards = 1, .key = 3});
	cr_assert_eq(kit_submit(&k, (struct kit_job){.shards = 1, .key = 1}), job);
	kit_close(&k);
}

Test(dedup, the_bound_drops_the_oldest_and_says_so)
{
	struct view_counters c;

	kit_prepare(&k);
	k.config.dedup_max = 480;
	kit_start(&k);
	for (uint64_t i = 1; i <= 2000; i++)
		kit_submit(&k, (struct kit_job){.shards = 1, .key = i});
	dispatcher_view_counters(k.core, &c);
	cr_assert_leq(c.dedup_entries, 480);
	cr_assert_geq(c.dedup_entries, 400);
	cr_assert_gt(k.tells, 0);
	cr_assert_eq(kit_submit(&k, (struct kit_job){.shards = 1, .key = 2000}), 2000);
	kit_close(&k);
}
