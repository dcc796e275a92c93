/* A pool follows its queue: up within steps, down by draining, to zero, with a sentence each time. */
#include <criterion/criterion.h>
#include <string.h>

#include "base/limits.h"
#include "base/rng.h"
#include "tests/unit/scaler/town.h"

#define SECONDS(n) ((uint64_t)(n) * (uint64_t)USEC_PER_SEC)

#define assert_told(t, part) cr_assert_not_null(strstr((t)->told, part), "%s", (t)->told)

Test(scaler, goes_from_zero_up_and_back_to_zero_twice)
{
	struct scaler_pool_config pool = town_pool();
	struct town t;

	town_init(&t, &pool);
	town_run(&t, 30);
	cr_assert_eq(t.starts, 0);
	for (uint32_t round = 1; round <= 2; round++) {
		t.work_us = SECONDS(240); /* 8 workers do it in 30 s */
		town_tell(&t);
		cr_assert_eq(t.starts, 8 * round);
		assert_told(&t, "240 s of work");
		assert_told(&t, "starts 8");
		town_run(&t, 10);
		cr_assert_eq(town_ready(&t), 8);
		town_run(&t, 40);
		cr_assert_eq(t.work_us, 0);
		cr_assert_eq(town_ready(&t), 8, "not before they have been idle for a minute");
		town_run(&t, 75);
		cr_assert_eq(town_ready(&t), 0);
		cr_assert_eq(t.drains, 8 * round);
		assert_told(&t, "drains those idle longest");
		cr_assert_not_null(strstr(town_view(&t).why, "that is enough"));
	}
	cr_assert_eq(t.busy_drained, 0);
	cr_assert_lt(t.tells, 20, "it does not repeat itself: %u", t.tells);
	town_fini(&t);
}

Test(scaler, wants_what_its_bounds_allow)
{
	static const struct {
		uint64_t work_s;
		uint32_t shard_ms, cpu_milli, min, max, wanted;
	} cases[] = {
	    {0, 100, 1000, 0, 20, 0},	     {0, 100, 1000, 3, 20, 3},
	    {1, 100, 1000, 0, 20, 1},					   /* little work is one worker's */
	    {30, 100, 1000, 0, 20, 1},					   /* the target is 30 s */
	    {31, 100, 1000, 0, 20, 2},	     {3000, 100, 1000, 0, 20, 20}, /* the bound */
	    {3000, 100, 4000, 0, 100, 25},				   /* four cpus a worker */
	    {3000, 1000000, 1000, 0, 20, 3},				   /* three shards keep three busy */
	    {3000, 1000000, 4000, 0, 20, 1},				   /* on one worker of four cpus */
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct scaler_pool_config pool = town_pool();
		struct town t;

		pool.cpu_milli = cases[i].cpu_milli;
		pool.min_workers = cases[i].min;
		pool.max_workers = cases[i].max;
		pool.step_max = 100;
		town_init(&t, &pool);
		t.work_us = SECONDS(cases[i].work_s);
		t.shard_us = (usec_t)cases[i].shard_ms * 1000;
		town_tell(&t);
		cr_assert_eq(town_view(&t).wanted, cases[i].wanted, "%zu: %s", i, town_view(&t).why);
		cr_assert_eq(t.starts, cases[i].wanted);
		town_fini(&t);
	}
}

Test(scaler, climbs_in_steps)
{
	struct scaler_pool_config pool = town_pool();
	struct town t;

	pool.step_max = 4;
	town_init(&t, &pool);
	t.start_delay_us = SECONDS(100);
	t.work_us = SECONDS(100000);
	town_tell(&t);
	cr_assert_eq(t.starts, 4);
	assert_told(&t, "starts 4 of the 20 missing, the step limit");
	town_run(&t, 9);
	cr_assert_eq(t.starts, 4);
	town_run(&t, 2);
	cr_assert_eq(t.starts, 8);
	town_run(&t, 60);
	cr_assert_eq(t.starts, 20, "what is starting counts as there");
	assert_told(&t, "no more than 20 are allowed");
	town_fini(&t);
}

Test(scaler, does_not_flap_with_a_demand_that_comes_and_goes)
{
	struct scaler_pool_config pool = town_pool();
	struct town t;
	uint32_t starts;

	town_init(&t, &pool);
	t.work_us = SECONDS(150);
	town_tell(&t);
	town_run(&t, 60);
	starts = t.starts;
	for (int i = 0; i < 20; i++) {
		t.work_us = SECONDS(150);
		town_run(&t, 45);
	}
	cr_assert_eq(t.drains, 0);
	cr_assert_eq(t.starts, starts);
	town_run(&t, 150);
	cr_assert_eq(town_ready(&t), 0);
	town_fini(&t);
}

/* town_run fails when the core asks to be woken again and again at the same moment. */
Test(scaler, drains_without_waiting_when_it_is_told_to_wait_for_nothing)
{
	struct scaler_pool_config pool = town_pool();
	struct town t;

	pool.idle_before_shrink_us = 0;
	town_init(&t, &pool);
	t.work_us = SECONDS(60);
	town_run(&t, 60);
	cr_assert_eq(t.work_us, 0);
	cr_assert_geq(t.drains, t.starts);
	cr_assert_eq(t.busy_drained, 0);
	cr_assert_eq(town_ready(&t), 0);
	town_fini(&t);
}

Test(scaler, drains_those_idle_longest_and_never_a_busy_one)
{
	struct scaler_pool_config pool = town_pool();
	struct scaler_worker list[3];
	struct scaler_input workers = {.kind = SCALER_WORKERS, .workers = {list, 3}};
	struct scaler_input demand = {.kind = SCALER_DEMAND,
				      .demand = {.work_us = SECONDS(3), .leased_shards = 1}};
	struct scaler_effects out;
	struct scaler_core *core;
	struct scaler_config config = {&pool, 1};
	uint64_t drained[2];
	uint32_t n = 0;

	pool.min_workers = 2;
	scaler_effects_init(&out);
	cr_assert_eq(scaler_core_create(&config, &core, NULL), 0);
	for (usec_t s = 0; s < 200; s++) {
		list[0] = (struct scaler_worker){.id = {1, 0}, .idle_us = s * USEC_PER_SEC};
		list[1] = (struct scaler_worker){.id = {1, 1}, .idle_us = (s + 500) * USEC_PER_SEC};
		list[2] = (struct scaler_worker){.id = {1, 2}, .busy = true};
		workers.mono_us = demand.mono_us = s * USEC_PER_SEC;
		cr_assert_eq(scaler_core_step(core, &workers, &out, NULL), 0);
		cr_assert_eq(scaler_core_step(core, &demand, &out, NULL), 0);
	}
	for (uint32_t i = 0; i < out.count; i++)
		if (out.items[i].kind == SCALER_DRAIN && n < 2)
			drained[n++] = out.items[i].drain.lo;
	cr_assert_eq(n, 2, "the drain did not show, so it is said again");
	cr_assert(drained[0] == 1 && drained[1] == 1, "min 2: one goes, the one idle longest");
	scaler_core_destroy(core);
	scaler_effects_fini(&out);
}

Test(scaler, waits_longer_after_each_failed_start_and_says_why)
{
	struct scaler_pool_config pool = town_pool();
	struct town t;
	uint32_t after_minutes;

	town_init(&t, &pool);
	t.failing = true;
	t.work_us = SECONDS(300);
	town_tell(&t);
	assert_told(&t, "1 start failed (sbatch: invalid partition), the next try in");
	cr_assert_eq(t.starts, 10);
	town_run(&t, 600);
	after_minutes = t.starts;
	cr_assert_leq(after_minutes, 10 + 8, "5, 10, 20, … 300 s: %u", after_minutes);
	cr_assert_geq(after_minutes, 10 + 5);
	cr_assert_eq(town_view(&t).failed_starts, after_minutes - 10 + 1);

	t.failing = false;
	town_run(&t, 320);
	cr_assert_eq(town_view(&t).failed_starts, 0);
	cr_assert_eq(t.work_us, 0);
	town_fini(&t);
}

Test(scaler, is_back_within_the_longest_wait_once_it_works_again)
{
	struct scaler_pool_config pool = town_pool();
	struct scaler_view v;
	struct town t;

	pool.fail_backoff_us = SECONDS(1);
	pool.fail_backoff_max_us = SECONDS(10);
	town_init(&t, &pool);
	t.failing = true;
	t.work_us = SECONDS(300);
	for (int s = 0; s < 120; s++) {
		town_run(&t, 1);
		v = town_view(&t);
		cr_assert_gt(v.failed_starts, 0);
		cr_assert_leq(v.retry_in_us, (usec_t)SECONDS(10));
		cr_assert_str_eq(v.failure_why, "sbatch: invalid partition");
	}
	t.failing = false;
	town_run(&t, 10 + 4); /* the wait, and what a start takes */
	v = town_view(&t);
	cr_assert_gt(v.ready, 0);
	cr_assert_eq(v.failed_starts, 0);
	cr_assert_eq(v.retry_in_us, 0);
	cr_assert_str_eq(v.failure_why, "");
	town_fini(&t);
}

Test(scaler, a_long_reason_is_cut_between_characters)
{
	struct scaler_pool_config pool = town_pool();
	struct scaler_view v;
	struct town t;
	char why[3 * SCALER_FAILURE_MAX + 3];

	for (size_t skip = 0; skip < 3; skip++) { /* wherever the cut falls */
		memset(why, 'x', skip);
		for (size_t i = 0; i < SCALER_FAILURE_MAX; i++)
			memcpy(why + skip + 3 * i, "\u20ac", 4);
		town_init(&t, &pool);
		t.deaf = true;
		t.work_us = SECONDS(1);
		town_tell(&t);
		town_step(&t, (struct scaler_input){.kind = SCALER_START_FAILED,
						    .start_failed = {.start = 1, .why = bytes_of(why)}});
		v = town_view(&t);
		cr_expect_eq(v.failed_starts, 1);
		cr_expect_geq(strlen(v.failure_why), SCALER_FAILURE_MAX - 3);
		cr_expect_eq((strlen(v.failure_why) - skip) % 3, 0, "%s", v.failure_why);
		town_fini(&t);
	}
}

Test(scaler, gives_up_on_starts_that_never_register)
{
	struct scaler_pool_config pool = town_pool();
	struct town t;

	town_init(&t, &pool);
	t.deaf = true;
	t.work_us = SECONDS(60);
	town_tell(&t);
	cr_assert_eq(t.starts, 2);
	town_run(&t, 299);
	cr_assert_eq(t.abandons, 0);
	cr_assert_eq(t.starts, 2);
	town_run(&t, 2);
	cr_assert_eq(t.abandons, 2);
	assert_told(&t, "it did not register in time");
	cr_assert_eq(town_view(&t).failed_starts, 1, "one cause, one failure");
	town_run(&t, 10);
	cr_assert_eq(t.starts, 3, "one is tried again");
	town_run(&t, 200);
	cr_assert_eq(t.starts, 3);
	t.deaf = false;
	town_run(&t, 400);
	cr_assert_eq(t.work_us, 0);
	town_fini(&t);
}

/* Seed 25311: the dispatcher was away for longer than a start may take, then heard of workers that were
 * there. */
Test(scaler, no_start_is_late_while_nobody_says_who_has_registered)
{
	struct scaler_pool_config pool = town_pool();
	struct town t;

	town_init(&t, &pool);
	t.deaf = true;
	t.work_us = SECONDS(60);
	town_tell(&t);
	cr_assert_eq(t.starts, 2);
	town_run(&t, 100);
	t.silent = true;
	town_run(&t, 1000);
	cr_assert_eq(t.abandons, 0);
	t.silent = false;
	town_run(&t, 190);
	cr_assert_eq(t.abandons, 0, "their time goes on where it stood");
	town_run(&t, 20);
	cr_assert_eq(t.abandons, 2);
	town_fini(&t);
}

Test(scaler, decides_nothing_before_it_knows_and_adopts_what_was_started_before)
{
	struct scaler_pool_config pool = town_pool();
	struct scaler_input demand = {.kind = SCALER_DEMAND,
				      .demand = {.work_us = SECONDS(60), .queued_shards = 600}};
	struct town before, t;

	town_init(&before, &pool);
	before.work_us = SECONDS(60);
	town_tell(&before);
	cr_assert_eq(before.starts, 2);

	/* The scaler is killed; a new one learns of the two from the provider. */
	town_init(&t, &pool);
	memcpy(t.workers, before.workers, sizeof(t.workers));
	t.work_us = before.work_us;
	town_step(&t, demand);
	cr_assert_eq(t.starts, 0, "the workers are not known yet");
	town_instances(&t);
	town_run(&t, 100);
	cr_assert_eq(t.starts, 0);
	cr_assert_eq(t.work_us, 0);
	town_run(&t, 100);
	cr_assert_eq(town_ready(&t), 0);
	town_fini(&t);
	town_fini(&before);
}

Test(scaler, an_instance_that_ends_before_it_registers_is_a_failed_start)
{
	struct scaler_pool_config pool = town_pool();
	struct town t;

	town_init(&t, &pool);
	t.deaf = true;
	t.work_us = SECONDS(30);
	town_tell(&t);
	town_instances(&t);
	cr_assert_eq(town_view(&t).starting, 1);
	memset(t.workers, 0, sizeof(t.workers));
	town_instances(&t);
	cr_assert_eq(town_view(&t).failed_starts, 1);
	assert_told(&t, "it ended before it registered");
	town_fini(&t);
}

Test(scaler, a_worker_that_left_is_not_taken_for_one_that_starts)
{
	struct scaler_pool_config pool = town_pool();
	struct bytes id = BYTES_LIT("i-1");
	struct town t;

	town_init(&t, &pool);
	t.work_us = SECONDS(10);
	town_tell(&t);
	town_run(&t, 150);
	cr_assert_eq(town_ready(&t), 0);
	town_step(&t, (struct scaler_input){.kind = SCALER_INSTANCES, .instances = {&id, 1}});
	cr_assert_eq(town_view(&t).starting, 0);
	town_fini(&t);
}

Test(scaler, holds_still_while_the_dispatcher_is_silent)
{
	struct scaler_pool_config pool = town_pool();
	struct town t;

	town_init(&t, &pool);
	t.work_us = SECONDS(300);
	town_tell(&t);
	town_run(&t, 10);
	cr_assert_eq(town_ready(&t), 10);
	t.silent = true;
	town_run(&t, 300);
	cr_assert_eq(t.drains, 0);
	assert_told(&t, "no word of the demand for");
	t.silent = false;
	town_run(&t, 130);
	cr_assert_eq(town_ready(&t), 0);
	town_fini(&t);
}

Test(scaler, adds_a_worker_when_a_shard_waits_behind_long_ones)
{
	struct scaler_pool_config pool = town_pool();
	struct scaler_worker busy = {.id = {1, 200}, .busy = true};
	struct town t;

	town_init(&t, &pool);
	town_step(&t, (struct scaler_input){.kind = SCALER_WORKERS, .workers = {&busy, 1}});
	town_step(&t, (struct scaler_input){.kind = SCALER_DEMAND,
					    .demand = {.work_us = SECONDS(20),
						       .queued_shards = 1,
						       .leased_shards = 1,
						       .oldest_wait_us = 10 * USEC_PER_SEC}});
	cr_assert_eq(t.starts, 0, "20 s of work are within the target");
	town_step(&t, (struct scaler_input){.kind = SCALER_DEMAND,
					    .demand = {.work_us = SECONDS(20),
						       .queued_shards = 1,
						       .leased_shards = 1,
						       .oldest_wait_us = 31 * USEC_PER_SEC}});
	cr_assert_eq(t.starts, 1);
	town_fini(&t);
}

Test(scaler, refuses_bounds_that_contradict_each_other)
{
	static const struct {
		uint32_t min, max;
	} cases[] = {{0, 0}, {5, 4}, {0, WORKERS_MAX + 1}};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct scaler_pool_config pool = town_pool();
		struct scaler_config config = {&pool, 1};
		struct scaler_core *core = NULL;
		struct error e;

		pool.min_workers = cases[i].min;
		pool.max_workers = cases[i].max;
		cr_assert_eq(scaler_core_create(&config, &core, &e), ERR_INVALID);
		cr_assert_null(core);
		cr_assert_not_null(strstr(e.what, "pool default"));
	}
}

Test(scaler, knows_no_pool_beyond_its_own)
{
	struct scaler_pool_config pool = town_pool();
	struct scaler_input in = {.kind = SCALER_DEMAND, .pool = 1};
	struct town t;

	town_init(&t, &pool);
	cr_assert_eq(scaler_core_step(t.core, &in, &t.effects, NULL), ERR_INVALID);
	in = (struct scaler_input){.kind = 99};
	cr_assert_eq(scaler_core_step(t.core, &in, &t.effects, NULL), ERR_INVALID);
	town_fini(&t);
}

/* Random towns: whatever comes, the bounds hold, no busy worker is drained, and in the end all is zero. */
Test(scaler, random_towns_end_at_zero)
{
	for (uint64_t seed = 1; seed <= 40; seed++) {
		struct scaler_pool_config pool = town_pool();
		struct rng rng;
		struct town t;

		rng_seed(&rng, seed);
		pool.max_workers = 1 + (uint32_t)rng_below(&rng, 30);
		pool.step_max = 1 + (uint32_t)rng_below(&rng, 10);
		town_init(&t, &pool);
		for (int i = 0; i < 100; i++) {
			if (rng_chance(&rng, 200000))
				t.work_us += rng_below(&rng, SECONDS(500));
			t.failing = rng_chance(&rng, 100000);
			t.deaf = rng_chance(&rng, 50000);
			t.silent = rng_chance(&rng, 50000);
			t.start_delay_us = (usec_t)rng_below(&rng, SECONDS(60));
			town_run(&t, 1 + (uint32_t)rng_below(&rng, 20));
			if (rng_chance(&rng, 100000))
				town_instances(&t);
			cr_assert_leq(town_view(&t).ready + town_view(&t).starting, pool.max_workers,
				      "seed %llu", (unsigned long long)seed);
		}
		t.failing = t.deaf = t.silent = false;
		t.start_delay_us = 0;
		town_run(&t, 6000);
		cr_assert_eq(t.work_us, 0, "seed %llu", (unsigned long long)seed);
		cr_assert_eq(town_ready(&t), 0, "seed %llu: %s", (unsigned long long)seed, town_view(&t).why);
		cr_assert_eq(t.busy_drained, 0);
		town_fini(&t);
	}
}
