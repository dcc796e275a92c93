/* What the simulator's seeds found, each reduced to the story that goes wrong. */
#include <criterion/criterion.h>

#include "base/limits.h"
#include "tests/unit/dispatcher/kit.h"

static struct kit k;

/* The worker registers again and lists one token: in work, or ended and not acknowledged. */
static uint8_t come_back(uint32_t worker, const struct kit_lease *l, bool unreported)
{
	struct range r = {l->first, l->count};
	struct held_token t = {.token = l->token, .job = l->job, .phase = l->phase};
	struct range_list *list = unreported ? &t.unreported : &t.running;

	*list = (struct range_list){&r, 1};
	kit_register_with(&k, worker, (struct held_token_list){&t, 1});
	return k.workers[worker].verdicts[0].verdict;
}

/* Seed 9: the report was taken, only its acknowledgement was lost, and then the session. Adopted again,
 * the shard failed a second time by the same execution. */
Test(found, a_failure_that_was_taken_is_not_counted_again_when_its_worker_comes_back)
{
	struct kit_lease l;
	uint64_t job;

	kit_open(&k);
	job = kit_submit(&k, (struct kit_job){.shards = 1, .attempts = 2, .backoff_us = 3600 * USEC_PER_SEC});
	kit_register(&k, 0, 1000);
	l = *kit_last_lease(&k, 0);
	kit_failed(&k, 0, &l, FAILURE_EXIT, 1);
	kit_gone(&k, 0);
	cr_assert_eq(come_back(0, &l, true), TOKEN_FINISH);
	kit_failed(&k, 0, &l, FAILURE_EXIT, 1);
	cr_assert_eq(kit_view(&k, job).counts.delayed, 1, "one attempt is left");
	cr_assert_eq(kit_view(&k, job).counts.dead, 0);
	kit_close(&k);
}

/* Seed 140: all that the journal still had of the job was its END; the row lost its definition. */
Test(found, the_end_of_a_job_whose_beginning_was_trimmed_is_whole)
{
	uint64_t live, ended[2], oldest;

	kit_open(&k);
	k.auto_history = false;
	live = kit_submit(&k, (struct kit_job){.name = "live", .shards = 3});
	ended[0] = kit_submit(&k, (struct kit_job){.name = "one", .shards = 3});
	ended[1] = kit_submit(&k, (struct kit_job){.name = "two", .shards = 3});
	kit_cancel(&k, ended[0]);
	oldest = k.last_lsn;
	kit_cancel(&k, ended[1]);
	cr_assert(kit_carry(&k, oldest, 1 << 20, 100));
	kit_durable(&k);
	kit_trim(&k, oldest);
	kit_compare_replay(&k);
	kit_restart(&k);
	dispatcher_core_check(k.core, CHECK_FULL);
	cr_assert_eq(kit_view(&k, live).state, JOB_ACTIVE);
	for (int i = 0; i < 2; i++)
		cr_assert_eq(kit_view(&k, ended[i]).state, JOB_CANCELLED);
	kit_close(&k);
}

/* Seed 2895: the last shard of a lease that was not alone on its worker was dead of its neighbour's
 * crashes. */
Test(found, what_is_left_of_a_larger_lease_is_not_dead_of_crashes)
{
	struct kit_lease whole = {.token = {1, 77}, .count = 100};
	struct kit_lease *l;
	uint64_t job;

	kit_prepare(&k);
	k.config.crashes_max = 3;
	kit_start(&k);
	job = whole.job = kit_submit(&k, (struct kit_job){.shards = 100});
	k.workers[0].cpu_milli = 1000;
	cr_assert_eq(come_back(0, &whole, false), TOKEN_KEEP);
	kit_gone(&k, 0);
	for (uint32_t w = 1; w <= 2; w++) {
		kit_register(&k, w, 1000);
		l = &k.workers[w].leases[0];
		cr_assert_gt(l->count, 1);
		if (w == 2) /* the suspects are half as many each time; of these, one is left */
			kit_done_range(&k, w, l, l->first, l->count - 1);
		kit_gone(&k, w);
		cr_assert_eq(kit_view(&k, job).counts.dead, 0);
	}
	for (uint32_t w = 3; w <= 4 && kit_view(&k, job).counts.dead == 0; w++) {
		kit_register(&k, w, 1000);
		cr_assert_eq(k.workers[w].leases[0].count, 1, "now it is alone");
		kit_gone(&k, w);
	}
	kit_close(&k);
}

/* Seed 5904: a retry was dated while the wall clock was an hour ahead; after the next start, with the
 * clock right again, it was an hour away. */
Test(found, a_retry_does_not_wait_for_a_clock_that_was_set_back)
{
	uint32_t before;

	kit_open(&k);
	kit_submit(&k, (struct kit_job){.shards = 1, .backoff_us = USEC_PER_SEC});
	k.wall_us += 3600 * USEC_PER_SEC;
	kit_restart(&k);
	kit_register(&k, 0, 1000);
	kit_failed(&k, 0, kit_last_lease(&k, 0), FAILURE_EXIT, 1);
	k.wall_us -= 3600 * USEC_PER_SEC;
	kit_restart(&k);
	before = k.workers[0].lease_count;
	kit_register(&k, 0, 1000);
	kit_pass(&k, 100 * USEC_PER_SEC, 1);
	cr_assert_eq(k.workers[0].lease_count, before + 1, "no longer than the longest backoff");
	kit_close(&k);
}

/* Seed 3089: a worker was kept free for a suspect that another one finished late; it stayed free, and a
 * shard that only needed more memory waited for ever. */
Test(found, a_worker_is_kept_free_only_while_somebody_waits_for_it)
{
	struct kit_lease suspect = {.count = 0};
	uint32_t before;

	kit_open(&k);
	k.workers[2].memory_bytes = 8 * GIB;
	kit_submit(&k, (struct kit_job){.shards = 4, .memory_bytes = GIB, .retry_larger = true});
	kit_register(&k, 2, 2000);
	cr_assert_eq(k.workers[2].lease_count, 4, "it holds all that it may hold ahead");
	kit_submit(&k, (struct kit_job){.shards = 1});
	for (uint32_t w = 0; w < 2; w++) {
		kit_register(&k, w, 1000);
		cr_assert_eq(k.workers[w].lease_count, 1);
		suspect = *kit_last_lease(&k, w);
		kit_gone(&k, w);
	}
	kit_failed(&k, 2, &k.workers[2].leases[0], FAILURE_OOM, 9);
	kit_pass(&k, 5 * USEC_PER_SEC, 4);
	before = k.workers[2].lease_count;
	cr_assert_eq(before, 4, "it is to become empty for the suspect");
	k.workers[1].cpu_milli = 100; /* it can take nothing itself */
	cr_assert_eq(come_back(1, &suspect, true), TOKEN_FINISH);
	kit_done(&k, 1, &suspect);
	cr_assert_eq(k.ended.state, JOB_SUCCEEDED);
	cr_assert_eq(k.workers[2].lease_count, before + 1);
	cr_assert_eq(kit_last_lease(&k, 2)->memory_bytes, 2 * GIB);
	kit_close(&k);
}

/* Seed 9082: the last worker that was not in quarantine left. */
Test(found, workers_in_quarantine_get_another_chance_when_no_other_is_left)
{
	uint32_t before;

	kit_prepare(&k);
	k.config.quarantine_after = 4;
	k.config.lease_time_us = 1;
	kit_start(&k);
	kit_submit(&k, (struct kit_job){.shards = 40, .attempts = 50});
	kit_submit(&k, (struct kit_job){.shards = 40, .attempts = 50, .queue = "b"});
	kit_register(&k, 0, 1000);
	kit_register(&k, 1, 1000);
	for (uint32_t i = 0; i < 10 && i < k.workers[0].lease_count; i++) {
		if (i < 2)
			kit_done(&k, 1, &k.workers[1].leases[i]);
		kit_failed(&k, 0, &k.workers[0].leases[i], FAILURE_NO_PROGRAM, 2);
	}
	before = k.workers[0].lease_count;
	kit_tick(&k);
	cr_assert_eq(k.workers[0].lease_count, before, "it is in quarantine");
	kit_gone(&k, 1);
	cr_assert_gt(k.workers[0].lease_count, before);
	kit_close(&k);
}
