/* Jobs that wait for the ends of others. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/limits.h"
#include "tests/unit/dispatcher/kit.h"

static struct kit k;

static uint64_t submit_after(uint64_t parent, uint8_t condition)
{
	return kit_submit(&k, (struct kit_job){.shards = 1, .attempts = 1, .after = {{parent, condition}}});
}

/* Does it succeed, fail or get cancelled? The worker has a slot, and the job runs. */
static void end_job(uint64_t job, uint8_t state)
{
	struct kit_lease *l = kit_last_lease(&k, 0);

	if (state == JOB_CANCELLED) {
		kit_cancel(&k, job);
		return;
	}
	cr_assert_eq(l->job, job, "it runs");
	if (state == JOB_SUCCEEDED)
		kit_done(&k, 0, l);
	else
		kit_failed(&k, 0, l, FAILURE_EXIT, 1);
}

Test(after, it_starts_when_the_other_has_ended_so_and_is_cancelled_when_that_ended_otherwise)
{
	static const uint8_t states[] = {JOB_SUCCEEDED, JOB_FAILED, JOB_CANCELLED};

	for (size_t i = 0; i < ARRAY_LENGTH(states); i++) {
		uint64_t parent, child[4];

		kit_open(&k);
		kit_register(&k, 0, 1000);
		parent = kit_submit(&k, (struct kit_job){.shards = 1, .attempts = 1});
		for (uint8_t c = AFTER_ANY; c <= AFTER_FAILED; c++) {
			child[c] = submit_after(parent, c);
			cr_assert_eq(kit_view(&k, child[c]).word, JOB_WORD_HELD);
			cr_assert_eq(kit_view(&k, child[c]).after_count, 1);
			cr_assert_eq(kit_view(&k, child[c]).after.items[0].job, parent);
			cr_assert_eq(kit_view(&k, child[c]).after.items[0].condition, c);
		}
		cr_assert_eq(k.workers[0].lease_count, 1, "they wait, although the worker has room ahead");
		k.auto_history = false;
		end_job(parent, states[i]);
		for (uint8_t c = AFTER_ANY; c <= AFTER_FAILED; c++) {
			bool met = c == AFTER_ANY || (c == AFTER_SUCCEEDED) == (states[i] == JOB_SUCCEEDED);

			cr_assert_eq(kit_view(&k, child[c]).state, met ? JOB_ACTIVE : JOB_CANCELLED,
				     "condition %u, state %u", c, states[i]);
		}
		kit_compare_replay(&k);
		kit_close(&k);
	}
}

Test(after, a_job_that_can_never_start_says_which_other_ended_how)
{
	uint64_t parent, child;
	struct view_job v;

	kit_open(&k);
	k.auto_history = false;
	kit_register(&k, 0, 1000);
	parent = kit_submit(&k, (struct kit_job){.shards = 1, .attempts = 1});
	child = submit_after(parent, AFTER_SUCCEEDED);
	end_job(parent, JOB_FAILED);
	v = kit_view(&k, child);
	cr_assert(
	    bytes_equal(v.why, BYTES_LIT("it was to start only if job 1 succeeded, and that has failed")),
	    "%.*s", (int)v.why.size, (const char *)v.why.data);
	cr_assert_eq(v.stopped_by.kind, BY_DISPATCHER);
	child = submit_after(child, AFTER_SUCCEEDED);
	v = kit_view(&k, child);
	cr_assert_eq(v.state, JOB_CANCELLED, "at once, since the other has ended");
	cr_assert(
	    bytes_equal(v.why, BYTES_LIT("it was to start only if job 2 succeeded, and that was cancelled")),
	    "%.*s", (int)v.why.size, (const char *)v.why.data);
	kit_compare_replay(&k);
	kit_close(&k);
}

Test(after, all_conditions_and_the_due_time_have_to_come)
{
	uint64_t a, b, child, late;

	kit_open(&k);
	kit_register(&k, 0, 1000);
	a = kit_submit(&k, (struct kit_job){.shards = 1});
	b = kit_submit(&k, (struct kit_job){.shards = 1});
	child =
	    kit_submit(&k, (struct kit_job){.shards = 1, .after = {{a, AFTER_ANY}, {b, AFTER_SUCCEEDED}}});
	late = kit_submit(&k, (struct kit_job){.shards = 1,
					       .due_wall_us = k.wall_us + 5 * USEC_PER_SEC,
					       .after = {{a, AFTER_ANY}, {b, AFTER_ANY}}});
	end_job(b, JOB_CANCELLED);
	cr_assert_eq(kit_view(&k, child).state, 0, "cancelled, and history has it");
	cr_assert_eq(kit_view(&k, late).after_count, 1);
	kit_restart(&k);
	cr_assert_eq(kit_view(&k, late).after_count, 1);
	kit_cancel(&k, a);
	cr_assert_eq(kit_view(&k, late).state, JOB_HELD, "its time has not come");
	cr_assert_eq(kit_view(&k, late).after_count, 0);
	kit_pass(&k, 6 * USEC_PER_SEC, 0);
	cr_assert_eq(kit_view(&k, late).state, JOB_ACTIVE);
	kit_close(&k);
}

Test(after, a_due_time_that_came_meanwhile_does_not_start_it)
{
	uint64_t a, child;

	kit_open(&k);
	a = kit_submit(&k, (struct kit_job){.shards = 1});
	child = kit_submit(&k, (struct kit_job){.shards = 1,
						.due_wall_us = k.wall_us + USEC_PER_SEC,
						.after = {{a, AFTER_ANY}}});
	kit_pass(&k, 3 * USEC_PER_SEC, 0);
	cr_assert_eq(kit_view(&k, child).state, JOB_HELD);
	kit_cancel(&k, a);
	cr_assert_eq(kit_view(&k, child).state, JOB_ACTIVE);
	kit_compare_replay(&k);
	kit_close(&k);
}

Test(after, jobs_that_have_ended_come_as_facts_and_unknown_ones_are_refused)
{
	uint64_t a, child;

	kit_open(&k);
	a = kit_submit(&k, (struct kit_job){.shards = 1});
	kit_cancel(&k, a);
	cr_assert_eq(kit_view(&k, a).state, 0, "only history knows it");
	cr_assert_eq(submit_after(a, AFTER_ANY), 0);
	cr_assert_eq(k.reply.code, ERR_INVALID);
	cr_assert(strstr(k.reply.why, "there is no job 1 to wait for") != NULL, "%s", k.reply.why);
	cr_assert_eq(submit_after(99, AFTER_ANY), 0);
	cr_assert_eq(submit_after(2, AFTER_ANY), 0, "it would be its own number");
	child = kit_submit(
	    &k, (struct kit_job){.shards = 1, .after = {{a, AFTER_FAILED}}, .ended = {{a, JOB_CANCELLED}}});
	cr_assert_eq(kit_view(&k, child).state, JOB_ACTIVE);
	child = kit_submit(
	    &k,
	    (struct kit_job){.shards = 1, .after = {{a, AFTER_SUCCEEDED}}, .ended = {{a, JOB_CANCELLED}}});
	cr_assert_eq(k.reply.code, ERR_OK);
	cr_assert_eq(kit_view(&k, child).state, 0, "cancelled in the commit that accepts it");
	kit_compare_replay(&k);
	kit_close(&k);
}

Test(after, what_was_met_stays_so_when_its_end_is_trimmed_from_the_journal)
{
	uint64_t a, b, child;

	kit_open(&k);
	a = kit_submit(&k, (struct kit_job){.shards = 1});
	b = kit_submit(&k, (struct kit_job){.shards = 1});
	child = kit_submit(&k, (struct kit_job){.shards = 1, .after = {{a, AFTER_ANY}, {b, AFTER_FAILED}}});
	kit_carry_all(&k);
	kit_cancel(&k, a);
	cr_assert_eq(kit_view(&k, child).after_count, 1);
	kit_carry_all(&k);
	kit_restart(&k);
	cr_assert_eq(kit_view(&k, child).after_count, 1);
	cr_assert_eq(kit_view(&k, child).after.items[0].job, b);
	kit_cancel(&k, b);
	cr_assert_eq(kit_view(&k, child).state, JOB_ACTIVE);
	kit_carry_all(&k);
	kit_restart(&k);
	cr_assert_eq(kit_view(&k, child).state, JOB_ACTIVE);
	kit_close(&k);
}

/* The end is in the journal, what follows from it is not: it was lost with the crash, or not reached. */
Test(after, what_follows_from_an_end_is_decided_after_a_restart)
{
	uint64_t a, children[1200];

	kit_open(&k);
	a = kit_submit(&k, (struct kit_job){.shards = 1});
	for (size_t i = 0; i < ARRAY_LENGTH(children); i++)
		children[i] = submit_after(a, i % 2 == 0 ? AFTER_SUCCEEDED : AFTER_ANY);
	k.auto_durable = k.auto_history = false;
	kit_cancel(&k, a);
	cr_assert_eq(kit_view(&k, children[1198]).state, JOB_HELD, "a step has its bound");
	cr_assert_eq(dispatcher_core_deadline(k.core), k.mono_us, "and wants the next");
	k.durable_lsn = k.last_lsn;
	kit_restart(&k);
	for (size_t i = 0; i < ARRAY_LENGTH(children); i++)
		cr_assert_eq(kit_view(&k, children[i]).state, i % 2 == 0 ? JOB_CANCELLED : JOB_ACTIVE, "%zu",
			     i);
	kit_compare_replay(&k);
	kit_close(&k);
}

Test(after, carrying_ends_what_can_never_start)
{
	uint64_t a, children[1200], oldest;

	kit_open(&k);
	a = kit_submit(&k, (struct kit_job){.shards = 1});
	for (size_t i = 0; i < ARRAY_LENGTH(children); i++)
		children[i] = submit_after(a, AFTER_SUCCEEDED);
	k.auto_durable = k.auto_history = false;
	kit_cancel(&k, a);
	cr_assert_eq(kit_view(&k, children[1199]).state, JOB_HELD);
	oldest = k.last_lsn + 1;
	kit_step(&k, INPUT_CARRY, &(struct input_carry){oldest, 100 * MIB});
	kit_step(&k, INPUT_CARRY, &(struct input_carry){oldest, 100 * MIB});
	cr_assert(k.out.carry_done);
	kit_durable(&k);
	kit_history(&k);
	kit_trim(&k, oldest);
	kit_restart(&k);
	cr_assert(kit_view(&k, children[1199]).state != JOB_HELD);
	kit_close(&k);
}

Test(after, who_waits_can_be_paused_resumed_and_cancelled)
{
	uint64_t a, paused, cancelled;

	kit_open(&k);
	kit_register(&k, 0, 1000);
	a = kit_submit(&k, (struct kit_job){.shards = 1});
	paused = submit_after(a, AFTER_SUCCEEDED);
	cancelled = submit_after(a, AFTER_SUCCEEDED);
	kit_step(&k, INPUT_PAUSE, &(struct input_pause){.job = paused});
	kit_cancel(&k, cancelled);
	kit_carry_all(&k);
	end_job(a, JOB_SUCCEEDED);
	cr_assert_eq(kit_view(&k, paused).word, JOB_WORD_PAUSED);
	cr_assert_eq(k.workers[0].lease_count, 1);
	kit_step(&k, INPUT_PAUSE, &(struct input_pause){.job = paused, .resume = true});
	end_job(paused, JOB_SUCCEEDED);
	kit_compare_replay(&k);
	kit_close(&k);
}

Test(after, a_job_that_was_released_stays_so_when_the_other_lives_again)
{
	const struct kit_job one = {.shards = 1, .attempts = 1};
	uint64_t a, child, next;

	kit_open(&k);
	kit_register(&k, 0, 1000);
	a = kit_submit(&k, one);
	child = submit_after(a, AFTER_FAILED);
	end_job(a, JOB_FAILED);
	kit_settle(&k, a);
	cr_assert_eq(kit_view(&k, child).state, JOB_ACTIVE);
	cr_assert_eq(kit_reopen(&k, one, (struct kit_reopened){a, 1, NULL, 0}), ERR_OK, "%s", k.reply.why);
	cr_assert_eq(kit_view(&k, child).state, JOB_ACTIVE);
	next = submit_after(a, AFTER_SUCCEEDED);
	cr_assert_eq(kit_view(&k, next).after_count, 1, "it waits for the life that is");
	kit_restart(&k);
	cr_assert_eq(kit_view(&k, child).state, JOB_ACTIVE);
	cr_assert_eq(kit_view(&k, next).after_count, 1);
	kit_cancel(&k, next);
	cr_assert_eq(kit_reopen(&k, (struct kit_job){.shards = 1, .after = {{a, AFTER_SUCCEEDED}}},
				(struct kit_reopened){next, 1, NULL, 0}),
		     ERR_OK, "%s", k.reply.why);
	cr_assert_eq(kit_view(&k, next).state, JOB_ACTIVE, "a person wants it to start");
	kit_compare_replay(&k);
	kit_close(&k);
}

/* ---- many ---- */

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* With the kit's check of all of the core, which is slower than the step. */
static double step_s(uint32_t type, const void *body)
{
	double began_s = now_s();

	kit_step(&k, type, body);
	return now_s() - began_s;
}

Test(after, a_chain_of_a_thousand_is_cancelled_in_steps_of_bounded_size, .timeout = 120)
{
	uint64_t first, last;
	double took_s = 0;

	kit_open(&k);
	first = last = kit_submit(&k, (struct kit_job){.shards = 1});
	for (uint32_t i = 0; i < 1000; i++) {
		last = kit_submit(&k, (struct kit_job){.shards = 1, .after = {{last, AFTER_SUCCEEDED}}});
		cr_assert_neq(last, 0);
	}
	k.auto_durable = k.auto_history = false;
	took_s += step_s(INPUT_CANCEL, &(struct input_cancel){.job = first});
	cr_assert_leq(k.out.record_count, 1001);
	took_s += step_s(INPUT_TICK, &(struct input_tick){0});
	cr_assert_eq(kit_view(&k, last).state, JOB_CANCELLED);
	cr_assert_lt(took_s, 0.5);
	kit_close(&k);
}

#define FAN 10000u
#define BATCH 500u

Test(after, a_fan_of_ten_thousand_is_released_in_steps_of_bounded_size, .timeout = 120)
{
	struct after_job after;
	static struct new_job jobs[BATCH];
	struct kit_job one = {.shards = 1};
	struct input_accept in = {.jobs = {jobs, BATCH}};
	uint64_t parent;
	double took_s = 0, longest_s = 0;
	uint32_t steps = 0;

	kit_open(&k);
	parent = kit_submit(&k, one);
	after = (struct after_job){.job = parent, .condition = AFTER_ANY};
	for (uint32_t i = 0; i < BATCH; i++)
		jobs[i] = (struct new_job){.definition = kit_view(&k, parent).definition,
					   .planner = PLANNER_PURE,
					   .plan = {.kind = PLAN_COUNT, .shard_count = 1, .step = 1},
					   .after = {&after, 1}};
	for (uint32_t i = 0; i < FAN / BATCH; i++)
		took_s += step_s(INPUT_ACCEPT, &in);
	k.auto_durable = k.auto_history = false;
	took_s += step_s(INPUT_CANCEL, &(struct input_cancel){.job = parent});
	do {
		double s;

		cr_assert_leq(k.out.touched_count, 1001);
		s = step_s(INPUT_TICK, &(struct input_tick){0});
		longest_s = s > longest_s ? s : longest_s;
		took_s += s;
		steps++;
	} while (dispatcher_core_deadline(k.core) == k.mono_us);
	cr_assert_leq(steps, FAN / 1000 + 1);
	for (uint64_t job = parent + 1; job <= parent + FAN; job++)
		cr_assert_eq(kit_view(&k, job).state, JOB_ACTIVE);
	cr_assert_lt(took_s, 2);
	cr_assert_lt(longest_s, 0.1);
	kit_close(&k);
}
