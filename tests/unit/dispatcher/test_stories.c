/* A job's life, told from outside. */
#include <criterion/criterion.h>

#include "base/constants.h"
#include "tests/unit/dispatcher/kit.h"

static struct kit k;

Test(story, a_job_of_one_shard_runs_and_ends)
{
	uint64_t job;

	kit_open(&k);
	job = kit_submit(&k, (struct kit_job){.shards = 1});
	cr_assert_eq(job, 1);
	cr_assert_eq(kit_view(&k, job).word, JOB_WORD_QUEUED);
	kit_register(&k, 0, 4000);
	cr_assert_eq(k.workers[0].lease_count, 1);
	cr_assert_eq(kit_view(&k, job).word, JOB_WORD_RUNNING);
	kit_done(&k, 0, kit_last_lease(&k, 0));
	cr_assert_eq(k.workers[0].acked, 1);
	cr_assert_eq(k.ended_events, 1);
	cr_assert_eq(k.ended.state, JOB_SUCCEEDED);
	cr_assert_eq(k.ended.done, 1);
	kit_close(&k);
}

Test(story, a_job_is_not_leased_before_it_is_durable)
{
	kit_open(&k);
	kit_register(&k, 0, 4000);
	k.auto_durable = false;
	kit_submit(&k, (struct kit_job){.shards = 3});
	kit_tick(&k);
	cr_assert_eq(k.replies, 0);
	cr_assert_eq(k.workers[0].lease_count, 0);
	kit_durable(&k);
	cr_assert_eq(k.replies, 1);
	cr_assert_eq(k.workers[0].lease_count, 3);
	kit_close(&k);
}

Test(story, a_lease_leaves_before_its_record_is_durable_and_an_ack_does_not)
{
	kit_open(&k);
	kit_submit(&k, (struct kit_job){.shards = 2});
	k.auto_durable = false;
	kit_register(&k, 0, 1000);
	cr_assert_eq(k.workers[0].lease_count, 2, "the grant does not wait");
	kit_done(&k, 0, kit_last_lease(&k, 0));
	cr_assert_eq(k.workers[0].acked, 0);
	kit_durable(&k);
	cr_assert_eq(k.workers[0].acked, 1);
	kit_close(&k);
}

Test(story, an_event_seen_twice_gives_the_same_job)
{
	uint64_t first, second;

	kit_open(&k);
	first = kit_submit(&k, (struct kit_job){.shards = 1, .key = 5});
	second = kit_submit(&k, (struct kit_job){.shards = 1, .key = 5});
	cr_assert_eq(first, second);
	cr_assert(k.reply.duplicate);
	kit_restart(&k);
	cr_assert_eq(kit_submit(&k, (struct kit_job){.shards = 1, .key = 5}), first);
	cr_assert_neq(kit_submit(&k, (struct kit_job){.shards = 1, .key = 6}), first);
	kit_close(&k);
}

Test(story, a_repeat_of_an_event_that_is_not_durable_yet_waits_for_it)
{
	kit_open(&k);
	k.auto_durable = false;
	kit_submit(&k, (struct kit_job){.shards = 1, .key = 5});
	kit_submit(&k, (struct kit_job){.shards = 1, .key = 5});
	cr_assert_eq(k.replies, 0);
	kit_durable(&k);
	cr_assert_eq(k.replies, 2);
	cr_assert(k.reply.duplicate);
	kit_close(&k);
}

Test(story, a_failed_shard_is_tried_again_and_is_dead_in_the_end)
{
	uint64_t job;

	kit_open(&k);
	kit_register(&k, 0, 1000);
	job = kit_submit(&k, (struct kit_job){.shards = 1, .attempts = 3});
	for (uint32_t attempt = 1; attempt <= 3; attempt++) {
		cr_assert_eq(k.workers[0].lease_count, attempt);
		cr_assert_eq(kit_last_lease(&k, 0)->attempt, attempt);
		kit_failed(&k, 0, kit_last_lease(&k, 0), FAILURE_EXIT, 3);
		if (attempt < 3)
			cr_assert_eq(kit_view(&k, job).counts.delayed, 1);
		kit_pass(&k, 2 * USEC_PER_SEC, 1);
	}
	cr_assert_eq(k.ended.state, JOB_FAILED);
	cr_assert_eq(k.ended.dead, 1);
	cr_assert_eq(k.ended.retries, 2);
	kit_close(&k);
}

Test(story, an_exit_rule_ends_a_shard_at_once)
{
	kit_open(&k);
	kit_register(&k, 0, 1000);
	kit_submit(&k, (struct kit_job){.shards = 1, .attempts = 9, .rule = {64, 70, VERDICT_FAIL}});
	kit_failed(&k, 0, kit_last_lease(&k, 0), FAILURE_EXIT, 65);
	cr_assert_eq(k.ended.state, JOB_FAILED);
	kit_close(&k);
}

Test(story, an_input_that_cannot_come_back_ends_a_shard_at_once)
{
	static const struct {
		uint8_t kind;
		int64_t code;
		bool dead;
	} cases[] = {{FAILURE_INPUT, FAILURE_CODE_FINAL, true},
		     {FAILURE_PUBLISH, FAILURE_CODE_FINAL, true},
		     {FAILURE_NO_PROGRAM, FAILURE_CODE_FINAL, true},
		     {FAILURE_INPUT, 0, false},
		     {FAILURE_EXIT, FAILURE_CODE_FINAL, false}};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		uint64_t job;

		kit_open(&k);
		kit_register(&k, 0, 1000);
		job = kit_submit(&k, (struct kit_job){.shards = 1});
		kit_failed(&k, 0, kit_last_lease(&k, 0), cases[i].kind, cases[i].code);
		cr_assert_eq(kit_view(&k, job).state, cases[i].dead ? JOB_FAILED : JOB_ACTIVE, "case %zu", i);
		kit_close(&k);
	}
}

Test(story, a_tolerated_number_of_dead_shards_lets_a_job_succeed)
{
	static const struct {
		uint8_t kind;
		uint64_t tolerate;
		uint32_t dead;
		uint8_t state;
	} cases[] = {
	    {TOLERATE_COUNT, 2, 2, JOB_SUCCEEDED},    {TOLERATE_COUNT, 2, 3, JOB_FAILED},
	    {TOLERATE_PPM, 299999, 2, JOB_SUCCEEDED}, {TOLERATE_PPM, 299999, 3, JOB_FAILED},
	    {TOLERATE_PPM, 300000, 3, JOB_SUCCEEDED}, {TOLERATE_NONE, 0, 1, JOB_FAILED},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		kit_prepare(&k);
		k.config.lease_time_us = 1; /* one shard a lease */
		kit_start(&k);
		kit_register(&k, 0, 1000);
		kit_submit(&k, (struct kit_job){.shards = 10,
						.attempts = 1,
						.tolerate_kind = cases[i].kind,
						.tolerate = cases[i].tolerate});
		for (uint32_t n = 0; n < k.workers[0].lease_count; n++) {
			struct kit_lease *l = &k.workers[0].leases[n];

			if (l->killed)
				continue;
			cr_assert_eq(l->count, 1);
			if (l->first < cases[i].dead)
				kit_failed(&k, 0, l, FAILURE_EXIT, 1);
			else
				kit_done(&k, 0, l);
		}
		cr_assert_eq(k.ended.state, cases[i].state, "case %zu", i);
		kit_close(&k);
	}
}

/* Of ten shards, one after the other, the first ones die. */
Test(story, a_job_may_go_on_with_dead_shards_and_fails_at_its_end)
{
	static const struct {
		uint8_t kind;
		uint64_t tolerate;
		uint32_t dead;
		uint8_t state;
		uint32_t done;
	} cases[] = {
	    {TOLERATE_NONE, 0, 1, JOB_FAILED, 0},	  {TOLERATE_TO_THE_END, 0, 0, JOB_SUCCEEDED, 10},
	    {TOLERATE_TO_THE_END, 0, 1, JOB_FAILED, 9},	  {TOLERATE_TO_THE_END, 0, 10, JOB_FAILED, 0},
	    {TOLERATE_FAILURES, 3, 0, JOB_SUCCEEDED, 10}, {TOLERATE_FAILURES, 3, 3, JOB_FAILED, 7},
	    {TOLERATE_FAILURES, 3, 4, JOB_FAILED, 0},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		kit_prepare(&k);
		k.config.lease_time_us = 1; /* one shard a lease */
		kit_start(&k);
		kit_register(&k, 0, 1000);
		kit_submit(&k, (struct kit_job){.shards = 10,
						.attempts = 1,
						.gather = cases[i].dead > 0,
						.tolerate_kind = cases[i].kind,
						.tolerate = cases[i].tolerate});
		for (uint32_t n = 0; n < k.workers[0].lease_count; n++) {
			struct kit_lease *l = &k.workers[0].leases[n];

			if (l->killed)
				continue;
			cr_assert_eq(l->phase, 0, "case %zu: nothing is gathered", i);
			if (l->first < cases[i].dead)
				kit_failed(&k, 0, l, FAILURE_EXIT, 1);
			else
				kit_done(&k, 0, l);
		}
		cr_assert_eq(k.ended.state, cases[i].state, "case %zu", i);
		cr_assert_eq(k.ended.done, cases[i].done, "case %zu", i);
		kit_close(&k);
	}
}

Test(story, gather_waits_for_history_and_ends_the_job)
{
	uint64_t job;

	kit_open(&k);
	k.auto_history = false;
	kit_register(&k, 0, 9000);
	job = kit_submit(&k, (struct kit_job){.shards = 5, .gather = true, .fanin = 2});
	for (uint32_t n = 0; n < 5; n++)
		kit_done(&k, 0, &k.workers[0].leases[n]);
	cr_assert_eq(kit_view(&k, job).word, JOB_WORD_GATHERING);
	cr_assert_eq(kit_view(&k, job).counts.shards, 3);
	cr_assert_eq(k.workers[0].lease_count, 5, "history is behind");
	kit_history(&k);
	cr_assert_gt(k.workers[0].lease_count, 5);
	k.auto_history = true;
	for (uint32_t n = 5; n < k.workers[0].lease_count; n++)
		kit_done(&k, 0, &k.workers[0].leases[n]);
	cr_assert_eq(k.ended.state, JOB_SUCCEEDED);
	cr_assert_eq(k.ended.done, 5);
	cr_assert_eq(k.ended.phase, 3, "5 shards, then 3, 2 and 1 nodes");
	kit_close(&k);
}

Test(story, a_plan_phase_writes_the_items_of_the_shards)
{
	struct view_job v;
	uint64_t job;

	kit_open(&k);
	k.auto_history = false;
	kit_register(&k, 0, 9000);
	job = kit_submit(&k, (struct kit_job){.plan_phase = true, .planner = PLANNER_LINES, .gather = true});
	v = kit_view(&k, job);
	cr_assert_eq(v.word, JOB_WORD_PLANNING);
	cr_assert_eq(v.counts.shards, 1);
	cr_assert_eq(v.first_shards, 0, "nothing is planned yet");
	kit_done(&k, 0, &k.workers[0].leases[0]);
	cr_assert_eq(kit_view(&k, job).word, JOB_WORD_PLANNING);
	cr_assert_eq(k.plans, 0, "history does not know yet who wrote the items");
	kit_history(&k);
	cr_assert_eq(k.plans, 1);
	cr_assert_eq(k.plan.phase, 1);
	cr_assert_eq(k.plan.planner, PLANNER_LINES);
	k.auto_history = true;
	kit_step(&k, INPUT_PIECE,
		 &(struct input_piece){.job = job, .phase = 1, .count = 2, .blob = BYTES_LIT("b")});
	kit_step(&k, INPUT_SEALED, &(struct input_sealed){.job = job, .phase = 1});
	cr_assert_eq(kit_view(&k, job).word, JOB_WORD_RUNNING);
	for (uint32_t n = 1; n < k.workers[0].lease_count; n++)
		kit_done(&k, 0, &k.workers[0].leases[n]);
	cr_assert_eq(k.ended.state, JOB_SUCCEEDED);
	cr_assert_eq(k.ended.shards, 2, "the plan's own shard is none of the job's");
	cr_assert_eq(k.ended.done, 2);
	cr_assert_eq(k.ended.shards_phase, 1);
	cr_assert_eq(k.ended.phase, 2);
	kit_close(&k);
}

Test(story, a_plan_phase_that_fails_ends_the_job_without_shards)
{
	kit_open(&k);
	kit_register(&k, 0, 9000);
	kit_submit(&k, (struct kit_job){.plan_phase = true,
					.planner = PLANNER_LINES,
					.attempts = 1,
					.tolerate_kind = TOLERATE_COUNT,
					.tolerate = 5});
	kit_failed(&k, 0, &k.workers[0].leases[0], FAILURE_EXIT, 3);
	cr_assert_eq(k.ended.state, JOB_FAILED, "what is tolerated is dead shards, not a dead plan");
	cr_assert_eq(k.ended.shards, 0);
	cr_assert_eq(k.ended.dead, 0);
	cr_assert(strncmp((const char *)k.ended.why.data, "plan: 1 dead", 12) == 0);
	kit_close(&k);
}

Test(story, a_cancelled_job_is_killed_and_what_still_comes_is_late)
{
	struct view_counters c;
	uint64_t job;

	kit_open(&k);
	kit_register(&k, 0, 2000);
	job = kit_submit(&k, (struct kit_job){.shards = 10});
	kit_cancel(&k, job);
	cr_assert_eq(k.reply.code, ERR_OK);
	cr_assert_eq(k.workers[0].kills, 4);
	kit_done(&k, 0, &k.workers[0].leases[0]);
	dispatcher_view_counters(k.core, &c);
	cr_assert_eq(c.late, 1);
	cr_assert_eq(c.leases, 0);
	cr_assert_eq(k.ended_events, 0, "a cancelled job has no event");
	kit_close(&k);
}

Test(story, a_held_job_waits_for_its_time_by_the_wall)
{
	uint64_t job;

	kit_open(&k);
	kit_register(&k, 0, 1000);
	job = kit_submit(&k, (struct kit_job){.shards = 1, .due_wall_us = k.wall_us + 5 * USEC_PER_SEC});
	cr_assert_eq(kit_view(&k, job).word, JOB_WORD_HELD);
	kit_restart(&k);
	kit_register(&k, 0, 1000);
	kit_pass(&k, 2 * USEC_PER_SEC, 1);
	cr_assert_eq(kit_view(&k, job).word, JOB_WORD_HELD);
	kit_pass(&k, 3 * USEC_PER_SEC, 1);
	cr_assert_eq(kit_view(&k, job).word, JOB_WORD_RUNNING);
	kit_close(&k);
}

Test(story, a_paused_job_keeps_its_leases_and_gets_no_more)
{
	struct input_pause in = {.request = 1, .why = BYTES_LIT("lunch")};

	kit_open(&k);
	kit_register(&k, 0, 1000);
	in.job = kit_submit(&k, (struct kit_job){.shards = 3});
	kit_step(&k, INPUT_PAUSE, &in);
	kit_done(&k, 0, kit_last_lease(&k, 0));
	cr_assert_eq(k.workers[0].lease_count, 2);
	cr_assert_eq(kit_view(&k, in.job).word, JOB_WORD_PAUSED);
	kit_restart(&k);
	kit_register(&k, 0, 1000);
	cr_assert_eq(k.workers[0].lease_count, 2);
	in.resume = true;
	kit_step(&k, INPUT_PAUSE, &in);
	cr_assert_gt(k.workers[0].lease_count, 2);
	kit_close(&k);
}

Test(story, dead_shards_get_a_new_life_when_a_person_says_so)
{
	struct input_retry in = {.request = 1};

	kit_open(&k);
	kit_register(&k, 0, 1000);
	in.job = kit_submit(
	    &k, (struct kit_job){.shards = 2, .attempts = 1, .tolerate_kind = TOLERATE_COUNT, .tolerate = 1});
	kit_failed(&k, 0, &k.workers[0].leases[0], FAILURE_EXIT, 1);
	cr_assert_eq(kit_view(&k, in.job).counts.dead, 1);
	kit_step(&k, INPUT_RETRY, &in);
	cr_assert_eq(kit_view(&k, in.job).counts.dead, 0);
	for (uint32_t n = 1; n < k.workers[0].lease_count; n++)
		kit_done(&k, 0, &k.workers[0].leases[n]);
	cr_assert_eq(k.ended.done, 2);
	kit_close(&k);
}

Test(story, a_planner_speaks_in_pieces_and_leases_begin_before_it_is_done)
{
	struct input_piece piece = {.count = 2, .blob = BYTES_LIT("blob-1"), .cursor = BYTES_LIT("2")};
	struct input_sealed sealed = {0};

	kit_open(&k);
	kit_register(&k, 0, 2000);
	piece.job = sealed.job = kit_submit(&k, (struct kit_job){.planner = PLANNER_LINES});
	cr_assert_eq(k.plans, 1);
	cr_assert_eq(kit_view(&k, piece.job).word, JOB_WORD_PLANNING);
	kit_step(&k, INPUT_PIECE, &piece);
	cr_assert_eq(k.workers[0].lease_count, 2);
	kit_done(&k, 0, &k.workers[0].leases[0]);
	kit_done(&k, 0, &k.workers[0].leases[1]);
	cr_assert_eq(k.ended_events, 0, "it is not sealed");
	kit_restart(&k);
	cr_assert_eq(k.plans, 2, "it goes on");
	cr_assert(bytes_equal(k.plan.cursor, BYTES_LIT("2")));
	cr_assert_eq(k.plan.shard_count, 2);
	kit_step(&k, INPUT_SEALED, &sealed);
	cr_assert_eq(k.ended.state, JOB_SUCCEEDED);
	cr_assert_eq(k.ended.done, 2);
	kit_close(&k);
}

Test(story, a_planner_that_fails_is_tried_again_until_the_budget_is_used_up)
{
	struct input_plan_failed in = {.kind = FAILURE_PLAN, .why = BYTES_LIT("no such object")};

	kit_open(&k);
	in.job = kit_submit(&k, (struct kit_job){.planner = PLANNER_SIZE, .attempts = 2});
	kit_step(&k, INPUT_PLAN_FAILED, &in);
	cr_assert_eq(k.plans, 1);
	kit_pass(&k, USEC_PER_SEC, 0);
	cr_assert_eq(k.plans, 2);
	kit_step(&k, INPUT_PLAN_FAILED, &in);
	cr_assert_eq(k.ended.state, JOB_FAILED);
	kit_close(&k);
}

/* Of a dispatcher that has no descriptor left the job knows nothing. */
Test(story, a_dispatchers_own_trouble_with_a_plan_costs_a_job_no_attempt)
{
	struct input_plan_failed in = {
	    .kind = FAILURE_PLAN, .trouble = true, .why = BYTES_LIT("too many open files")};

	kit_open(&k);
	in.job = kit_submit(&k, (struct kit_job){.planner = PLANNER_SIZE, .attempts = 1});
	for (uint32_t i = 1; i < PLAN_TRIES_MAX; i++) {
		kit_step(&k, INPUT_PLAN_FAILED, &in);
		cr_assert_eq(k.ended_events, 0);
		kit_pass(&k, 30 * USEC_PER_SEC, 0);
		cr_assert_eq(k.plans, i + 1);
	}
	kit_step(&k, INPUT_PLAN_FAILED, &in);
	cr_assert_eq(k.ended.state, JOB_FAILED, "it stays so");
	kit_close(&k);
}

Test(story, an_end_is_offered_again_after_a_restart_until_it_is_settled)
{
	struct input_settled in = {0};

	kit_open(&k);
	kit_register(&k, 0, 1000);
	in.job = kit_submit(&k, (struct kit_job){.shards = 1});
	kit_done(&k, 0, kit_last_lease(&k, 0));
	cr_assert_eq(k.ended_events, 1);
	kit_restart(&k);
	cr_assert_eq(k.ended_events, 2);
	cr_assert(bytes_equal(k.ended.name, BYTES_LIT("job")));
	kit_step(&k, INPUT_SETTLED, &in);
	cr_assert_eq(kit_view(&k, in.job).state, 0, "history has it");
	kit_restart(&k);
	cr_assert_eq(k.ended_events, 2);
	kit_close(&k);
}

Test(story, a_chain_of_jobs_comes_to_an_end)
{
	kit_open(&k);
	kit_register(&k, 0, 1000);
	cr_assert_eq(kit_submit(&k, (struct kit_job){.shards = 1, .depth = 17}), 0);
	cr_assert_eq(k.reply.code, ERR_LIMIT);
	cr_assert_neq(kit_submit(&k, (struct kit_job){.shards = 1, .depth = 16}), 0);
	kit_done(&k, 0, kit_last_lease(&k, 0));
	cr_assert_eq(k.ended_events, 0);
	cr_assert_gt(k.tells, 0);
	kit_close(&k);
}
