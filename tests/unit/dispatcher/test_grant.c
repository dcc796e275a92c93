/* Which shards go to which worker, how many at a time, and what is asked back. */
#include <criterion/criterion.h>

#include "tests/unit/dispatcher/kit.h"

static struct kit k;

static void done_in(uint32_t worker, const struct kit_lease *l, uint64_t shard_us)
{
	struct range r = {l->first, l->count};
	struct outcome o = {.token = l->token,
			    .job = l->job,
			    .phase = l->phase,
			    .done = {&r, 1},
			    .totals.run_us = shard_us * l->count};

	kit_report(&k, worker, &o, 1);
}

Test(grant, leases_begin_small_grow_fourfold_and_settle_at_the_lease_time)
{
	uint32_t largest = 0, previous = 1;

	kit_open(&k);
	kit_register(&k, 0, 1000);
	kit_submit(&k, (struct kit_job){.shards = 1000000});
	for (uint32_t i = 0; i < 40; i++) {
		struct kit_lease *l = &k.workers[0].leases[i];

		cr_assert_lt(i, k.workers[0].lease_count);
		cr_assert_leq(l->count, 4 * previous);
		previous = l->count > previous ? l->count : previous;
		largest = l->count > largest ? l->count : largest;
		done_in(0, l, 1000);
	}
	cr_assert_eq(largest, 100, "100 ms of shards of 1 ms");
	kit_close(&k);
}

/* The first shard's time is mostly its message's. */
Test(grant, leases_of_shards_of_a_microsecond_are_long_soon)
{
	uint32_t largest = 0;

	kit_open(&k);
	kit_register(&k, 0, 1000);
	kit_submit(&k, (struct kit_job){.shards = 100000000});
	for (uint32_t i = 0; i < 14; i++) {
		struct kit_lease *l = &k.workers[0].leases[i];
		struct range r = {l->first, l->count};
		struct outcome o = {
		    .token = l->token, .job = l->job, .done = {&r, 1}, .totals.run_us = 100 + l->count};

		cr_assert_lt(i, k.workers[0].lease_count);
		largest = l->count > largest ? l->count : largest;
		kit_report(&k, 0, &o, 1);
	}
	cr_assert_gt(largest, 90000, "the longest of 14 has %u", largest);
	kit_close(&k);
}

Test(grant, the_end_of_a_job_is_shared_but_for_what_takes_4_ms)
{
	static const struct {
		uint64_t shard_us;
		uint32_t last_at_most;
	} cases[] = {{10000, 2}, {1000, 4}, {10, 400}};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		kit_open(&k);
		kit_register(&k, 0, 1000);
		kit_submit(&k, (struct kit_job){.shards = 2000});
		for (uint32_t n = 0; n < k.workers[0].lease_count; n++)
			done_in(0, &k.workers[0].leases[n], cases[i].shard_us);
		cr_assert_eq(k.ended.done, 2000);
		cr_assert_leq(kit_last_lease(&k, 0)->count, cases[i].last_at_most, "case %zu: %u", i,
			      kit_last_lease(&k, 0)->count);
		kit_close(&k);
	}
}

Test(grant, short_shards_are_leased_ahead_and_long_ones_are_not)
{
	kit_open(&k);
	kit_register(&k, 0, 2000);
	kit_submit(&k, (struct kit_job){.shards = 100});
	cr_assert_eq(k.workers[0].lease_count, 4, "what nothing is known of counts as short");
	done_in(0, &k.workers[0].leases[0], 10 * USEC_PER_SEC);
	cr_assert_eq(k.workers[0].lease_count, 5, "twice its slots, one done");
	kit_close(&k);
	kit_open(&k);
	kit_register(&k, 0, 2000);
	kit_submit(&k, (struct kit_job){.shards = 100});
	for (uint32_t i = 0; i < 3; i++) {
		cr_assert_eq(k.workers[0].lease_count, 4, "%u have ended", i);
		done_in(0, &k.workers[0].leases[i], 31 * USEC_PER_SEC);
	}
	cr_assert_eq(k.workers[0].lease_count, 5, "one of two slots is free");
	kit_close(&k);
}

/* A worker of two slots has worked for a while on an array that will never end, of shards of 50 ms. The
 * number of its first lease that has not ended. */
static uint32_t work_on_an_array(void)
{
	uint32_t at = 0;

	kit_open(&k);
	kit_register(&k, 0, 2000);
	kit_submit(&k, (struct kit_job){.name = "array", .shards = UINT32_MAX});
	for (; at < 20; at++)
		done_in(0, &k.workers[0].leases[at], 50 * USEC_PER_MSEC);
	return at;
}

static struct kit_lease *lease_with(uint64_t job, uint64_t memory_bytes)
{
	struct kit_worker *w = &k.workers[0];

	for (uint32_t i = 0; i < w->lease_count; i++)
		if (w->leases[i].job == job && w->leases[i].memory_bytes == memory_bytes)
			return &w->leases[i];
	return NULL;
}

static struct kit_lease *lease_of(uint64_t job)
{
	return lease_with(job, 0);
}

/* Leases end until `job` has one; how many that were. */
static uint32_t leases_before(uint64_t job, uint32_t at, uint32_t max)
{
	uint32_t n = 0;

	for (; lease_of(job) == NULL; n++) {
		cr_assert_lt(n, max, "not after %u leases", n);
		done_in(0, &k.workers[0].leases[at + n], 50 * USEC_PER_MSEC);
	}
	return n;
}

Test(grant, a_later_job_that_goes_first_gets_the_next_lease)
{
	static const struct kit_job later[] = {
	    {.name = "urgent", .shards = 1, .priority = 1},
	    {.name = "other", .shards = 1, .queue = "other"},
	    {.name = "large", .shards = 1, .priority = 1, .cpu_milli = 2000},
	    {.name = "small", .shards = 1, .queue = "other", .cpu_milli = 1},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(later); i++) {
		uint32_t at = work_on_an_array();
		uint64_t job = kit_submit(&k, later[i]);

		leases_before(job, at, 2);
		kit_close(&k);
	}
}

/* Such a shard is never held ahead: it gets the first slot that is free, and for that one has to be. */
Test(grant, a_later_job_of_long_shards_gets_a_free_slot)
{
	uint32_t at = work_on_an_array();
	uint64_t job = kit_submit(&k, (struct kit_job){.name = "slow", .shards = 1, .priority = 1});

	at += leases_before(job, at, 2);
	done_in(0, lease_of(job), 60 * USEC_PER_SEC);
	job = kit_submit(&k, (struct kit_job){.name = "slow", .shards = 1, .priority = 1});
	leases_before(job, at, 5);
	kit_close(&k);
}

Test(grant, a_shard_that_needs_more_memory_does_not_wait_for_the_end_of_an_array)
{
	uint64_t job;

	kit_open(&k);
	k.workers[0].memory_bytes = 4 * GIB;
	kit_register(&k, 0, 2000);
	job = kit_submit(&k, (struct kit_job){.shards = 1, .memory_bytes = GIB, .retry_larger = true});
	kit_submit(&k, (struct kit_job){.name = "array", .shards = UINT32_MAX});
	kit_failed(&k, 0, &k.workers[0].leases[0], FAILURE_OOM, 9);
	kit_pass(&k, 5 * USEC_PER_SEC, 1);
	for (uint32_t at = 1; lease_with(job, 2 * GIB) == NULL; at++) {
		cr_assert_lt(at, 8);
		done_in(0, &k.workers[0].leases[at], 50 * USEC_PER_MSEC);
	}
	kit_close(&k);
}

Test(grant, jobs_of_one_shard_are_held_ahead_as_long_as_they_fill_a_time)
{
	static const struct {
		uint64_t shard_us;
		uint32_t held;
	} cases[] = {{10, LEASES_PER_SLOT_MAX}, {2000, 125}, {50000, 5}, {1000000, 2}, {40000000, 1}};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		kit_open(&k);
		kit_register(&k, 0, 1000);
		kit_submit(&k, (struct kit_job){.shards = 1});
		done_in(0, &k.workers[0].leases[0], cases[i].shard_us);
		for (uint32_t n = 0; n < LEASES_PER_SLOT_MAX + 100; n++)
			kit_submit(&k, (struct kit_job){.shards = 1});
		cr_assert_eq(k.workers[0].lease_count - 1, cases[i].held, "of %lu us: %u",
			     (unsigned long)cases[i].shard_us, k.workers[0].lease_count - 1);
		kit_close(&k);
	}
}

Test(grant, all_workers_get_what_they_can_begin_before_any_gets_more)
{
	kit_open(&k);
	for (uint32_t i = 0; i < 8; i++)
		kit_submit(&k, (struct kit_job){.shards = 1});
	kit_register(&k, 0, 4000);
	done_in(0, &k.workers[0].leases[0], 1000);
	done_in(0, &k.workers[0].leases[1], 1000);
	k.auto_durable = false;
	for (uint32_t i = 0; i < 8; i++)
		kit_submit(&k, (struct kit_job){.shards = 1});
	kit_register(&k, 1, 4000);
	kit_durable(&k);
	cr_assert_eq(k.workers[1].lease_count - 0, 8 - (k.workers[0].lease_count - 8));
	cr_assert_geq(k.workers[1].lease_count, 4);
	kit_close(&k);
}

Test(grant, one_frame_carries_leases_of_many_jobs)
{
	kit_open(&k);
	for (uint32_t i = 0; i < 20; i++)
		kit_submit(&k, (struct kit_job){.shards = 1});
	kit_register(&k, 0, 10000);
	cr_assert_eq(k.workers[0].lease_count, 20, "ten run, ten wait behind them");
	for (uint32_t i = 0; i < 20; i++)
		cr_assert_eq(k.workers[0].leases[i].job, i + 1, "the oldest first");
	kit_close(&k);
}

Test(grant, higher_priority_goes_first_and_queues_share)
{
	kit_open(&k);
	kit_submit(&k, (struct kit_job){.name = "low", .shards = 1, .priority = 1});
	kit_submit(&k, (struct kit_job){.name = "high", .shards = 1, .priority = 2});
	kit_register(&k, 0, 1000);
	cr_assert_eq(k.workers[0].leases[0].job, 2);
	kit_close(&k);
	kit_open(&k);
	kit_submit(&k, (struct kit_job){.shards = 100, .queue = "a"});
	kit_submit(&k, (struct kit_job){.shards = 100, .queue = "b"});
	kit_register(&k, 0, 10000);
	uint32_t of_a = 0;

	for (uint32_t i = 0; i < 10; i++)
		of_a += k.workers[0].leases[i].job == 1;
	cr_assert_eq(of_a, 5);
	kit_close(&k);
}

Test(grant, shapes_that_do_not_fit_wait_and_others_go_on)
{
	uint64_t large;

	kit_open(&k);
	large = kit_submit(&k, (struct kit_job){.shards = 1, .cpu_milli = 8000, .priority = 9});
	kit_submit(&k, (struct kit_job){.shards = 4});
	k.workers[0].memory_bytes = GIB;
	kit_register(&k, 0, 4000);
	cr_assert_eq(k.workers[0].lease_count, 4);
	cr_assert_eq(kit_view(&k, large).word, JOB_WORD_QUEUED);
	kit_register(&k, 1, 8000);
	cr_assert_eq(k.workers[1].lease_count, 1);
	cr_assert_eq(k.workers[1].leases[0].job, large);
	kit_close(&k);
}

Test(grant, an_oom_is_retried_with_twice_the_memory)
{
	kit_open(&k);
	k.workers[0].memory_bytes = 4 * GIB;
	kit_submit(&k,
		   (struct kit_job){.shards = 1, .memory_bytes = GIB, .attempts = 9, .retry_larger = true});
	kit_register(&k, 0, 4000);
	for (uint64_t want = 2; want <= 8; want *= 2) {
		kit_failed(&k, 0, kit_last_lease(&k, 0), FAILURE_OOM, 9);
		kit_pass(&k, 100 * USEC_PER_SEC, 1);
		cr_assert_eq(kit_last_lease(&k, 0)->memory_bytes, (want < 4 ? want : 4) * GIB,
			     "no worker has more than 4 GiB");
	}
	kit_done(&k, 0, kit_last_lease(&k, 0));
	cr_assert_eq(k.ended.state, JOB_SUCCEEDED);
	kit_close(&k);
}

Test(steal, an_idle_worker_makes_a_busy_one_give_back_half)
{
	struct range r = {0, 100};
	struct held_token t = {.token = {1, 77}, .running = {&r, 1}};
	struct kit_lease l = {.token = t.token, .count = 100};

	kit_open(&k);
	t.job = l.job = kit_submit(&k, (struct kit_job){.shards = 100});
	k.workers[0].cpu_milli = 1000;
	kit_register_with(&k, 0, (struct held_token_list){&t, 1});
	kit_register(&k, 1, 1000);
	kit_idle(&k, 1);
	kit_pass(&k, 50 * USEC_PER_MSEC, 3); /* looking is not for each step */
	cr_assert_eq(k.workers[0].revokes, 1);
	cr_assert_eq(k.workers[0].last_revoke.keep_end, 50);
	kit_pass(&k, 500 * USEC_PER_MSEC, 3);
	cr_assert_eq(k.workers[0].revokes, 1, "once is enough for a second");
	cr_assert_eq(kit_view(&k, l.job).counts.leased, 100, "asking moves nothing");
	kit_returned(&k, 0, &l, 50, 50);
	cr_assert_gt(k.workers[1].lease_count, 0);
	cr_assert_eq(k.workers[1].leases[0].first, 50);
	kit_close(&k);
}

Test(steal, what_waits_behind_a_long_shard_is_asked_back)
{
	kit_open(&k);
	kit_register(&k, 0, 1000);
	kit_submit(&k, (struct kit_job){.shards = 3});
	done_in(0, &k.workers[0].leases[0], 5 * USEC_PER_SEC);
	cr_assert_eq(k.workers[0].lease_count, 3, "one runs, one waits");
	kit_register(&k, 1, 1000);
	kit_idle(&k, 1);
	kit_pass(&k, 50 * USEC_PER_MSEC, 3); /* looking is not for each step */
	cr_assert_eq(k.workers[0].revokes, 1);
	cr_assert_eq(k.workers[0].last_revoke.token.lease, k.workers[0].leases[2].token.lease);
	cr_assert_eq(k.workers[0].last_revoke.keep_end, k.workers[0].leases[2].first);
	kit_close(&k);
}

/* Nothing is known of its run time, and so it was held ahead. */
Test(steal, what_waits_behind_shards_of_unknown_run_time_is_asked_back)
{
	kit_open(&k);
	kit_register(&k, 0, 2000);
	kit_submit(&k, (struct kit_job){.shards = 3});
	cr_assert_eq(k.workers[0].lease_count, 3, "two run, one waits");
	kit_register(&k, 1, 2000);
	kit_idle(&k, 1);
	kit_pass(&k, 50 * USEC_PER_MSEC, 3);
	cr_assert_eq(k.workers[0].revokes, 1);
	cr_assert_eq(k.workers[0].last_revoke.token.lease, k.workers[0].leases[2].token.lease);
	kit_close(&k);
}

Test(quarantine, a_worker_at_which_everything_fails_is_left_alone)
{
	struct view_worker v;

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
	cr_assert(dispatcher_view_next_worker(k.core, 0, &k.arena, &v));
	cr_assert(v.quarantined);
	cr_assert_gt(k.tells, 0);
	cr_assert(dispatcher_view_next_worker(k.core, v.session, &k.arena, &v));
	cr_assert_not(v.quarantined);
	kit_close(&k);
}

Test(leases, are_told_with_who_has_them_until_each_shard_has_ended)
{
	struct view_lease leases[8], held;
	struct kit_lease l;
	uint64_t job, other;

	kit_open(&k);
	job = kit_submit(&k, (struct kit_job){.shards = 3});
	other = kit_submit(&k, (struct kit_job){.shards = 1});
	cr_assert_eq(dispatcher_view_leases(k.core, job, (struct range){0, 3}, leases, 8), 0);
	kit_register(&k, 0, 1000);
	l = *kit_last_lease(&k, 0);
	cr_assert_eq(l.job, job);
	cr_assert_gt(dispatcher_view_leases(k.core, job, (struct range){0, 3}, leases, 8), 0);
	cr_assert_eq(leases[0].worker.hi, k.workers[0].id.hi);
	cr_assert_eq(leases[0].worker.lo, k.workers[0].id.lo);
	cr_assert_eq(dispatcher_view_leases(k.core, job, (struct range){0, 3}, leases, 0), 0, "a bound");
	cr_assert_eq(dispatcher_view_leases(k.core, job, (struct range){3, 9}, leases, 8), 0);
	cr_assert_eq(dispatcher_view_leases(k.core, other + 1, (struct range){0, 3}, leases, 8), 0);
	cr_assert(dispatcher_view_held(k.core, l.token, l.first, &held));
	cr_assert_eq(held.job, job);
	cr_assert_not(dispatcher_view_held(k.core, l.token, l.first + l.count, &held));
	cr_assert_not(
	    dispatcher_view_held(k.core, (struct token){l.token.epoch + 1, l.token.lease}, l.first, &held));
	kit_done_range(&k, 0, &l, l.first, 1);
	cr_assert_not(dispatcher_view_held(k.core, l.token, l.first, &held), "it has ended");
	kit_cancel(&k, job);
	cr_assert_eq(dispatcher_view_leases(k.core, job, (struct range){0, 3}, leases, 8), 0);
	kit_close(&k);
}

Test(demand, is_told_per_shape_in_seconds_of_work)
{
	struct view_demand d[4];

	kit_open(&k);
	for (uint32_t i = 0; i < 5; i++)
		kit_submit(&k, (struct kit_job){.shards = 1});
	kit_submit(&k, (struct kit_job){.shards = 7, .cpu_milli = 2000});
	cr_assert_eq(dispatcher_view_demand(k.core, d, 4), 2);
	cr_assert_eq(d[0].pending_shards, 5);
	cr_assert_eq(d[0].pending_us, 5 * USEC_PER_SEC, "a second each while nothing is known");
	cr_assert_eq(d[1].pending_shards, 7);
	cr_assert_eq(d[1].shape->cpu_milli, 2000);
	kit_register(&k, 0, 1000);
	done_in(0, kit_last_lease(&k, 0), 100);
	cr_assert_eq(dispatcher_view_demand(k.core, d, 4), 2);
	cr_assert_eq(d[0].pending_us, d[0].pending_shards * 100);
	cr_assert_gt(d[0].leases, 0);
	kit_close(&k);
}
