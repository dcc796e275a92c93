/* What history keeps so that a job that has ended may live again, and what it says when it does. */
#include <criterion/criterion.h>
#include <string.h>

#include "jobs/kinds.h"
#include "tests/unit/store/history_kit.h"

static struct history_kit k;

static void setup(void)
{
	history_kit_begin(&k);
	history_kit_open(&k);
}

static void teardown(void)
{
	history_kit_end(&k);
}

TestSuite(history_lives, .init = setup, .fini = teardown);

static const uint8_t *const sha = history_kit_sha;

static void add_outcome(uint32_t phase, uint64_t lease, struct range done, uint32_t dead)
{
	struct shard_failure f = {.first = dead, .count = 1, .kind = FAILURE_EXIT, .code = 3, .dead = true};
	struct outcome_taken o = {
	    .token = {3, lease}, .job = 1, .phase = phase, .done = {&done, 1}, .failed = {&f, dead > 0}};
	struct outcomes_taken r = {.worker = {0x77, 1}, .wall_us = 1, .outcomes = {&o, 1}};

	history_kit_add(&k, RECORD_OUTCOMES, &r);
}

static void add_end(uint8_t state, uint32_t reopens, uint64_t done, uint64_t dead, uint32_t later)
{
	struct phase_counts gather = {1, 1, 0};
	struct job_ended e = {.job = 1,
			      .state = state,
			      .why = BYTES_LIT("so it is"),
			      .shards = 10,
			      .done = done,
			      .dead = dead,
			      .dropped = 10 - done - dead,
			      .definition = BYTES(sha, 32),
			      .accepted_wall_us = 5,
			      .wall_us = 100 + reopens,
			      .phase = later,
			      .later = {&gather, later},
			      .reopens = reopens};

	history_kit_add(&k, RECORD_ENDED, &e);
}

static void add_reopened(uint32_t reopens)
{
	struct range done = {0, 9};
	struct reopened r = {.job = 1,
			     .reopens = reopens,
			     .body = {.job = 1,
				      .definition = BYTES(sha, 32),
				      .name = BYTES_LIT("again"),
				      .planner = PLANNER_SIZE},
			     .plan = {.kind = PLAN_BYTES,
				      .shard_count = 10,
				      .url = BYTES_LIT("file:///data"),
				      .etag = BYTES_LIT("pinned"),
				      .size_bytes = 1000,
				      .step_bytes = 100},
			     .done = {&done, 1},
			     .accepted_wall_us = 5};

	history_kit_add(&k, RECORD_REOPENED, &r);
}

static int keep(void *arg, const struct history_winner *w)
{
	buf_printf(arg, w->is_missing ? "%u+%u missing, " : "%u+%u by %llu, ", w->shards.first,
		   w->shards.count, (unsigned long long)w->token.lease);
	return 0;
}

static void assert_winners(uint32_t phase, uint32_t count, const char *expected)
{
	struct buf out = {0};

	cr_assert_eq(history_winners(k.reader, 1, phase, (struct range){0, count}, keep, &out, NULL), 0);
	cr_assert_str_eq(buf_text(&out), expected);
	buf_fini(&out);
}

static struct history_job job(void)
{
	struct history_job j;

	history_kit_write(&k);
	cr_assert_eq(history_job(k.reader, 1, &k.arena, &j, NULL), 0);
	return j;
}

Test(history_lives, winners_stay_and_what_came_of_the_rest_is_forgotten)
{
	struct phase_started gather = {
	    .job = 1, .phase = 1, .plan = {.kind = PLAN_GATHER, .shard_count = 1, .inputs = 10}};
	struct history_job j;

	history_kit_add_definition(&k);
	history_kit_add_job(&k, 1, 10);
	add_outcome(0, 1, (struct range){0, 9}, 9);
	history_kit_add(&k, RECORD_PHASE_STARTED, &gather);
	add_outcome(1, 2, (struct range){0, 1}, 0);
	add_end(JOB_SUCCEEDED, 0, 9, 1, 1);
	j = job();
	cr_assert_eq(j.state, JOB_SUCCEEDED);
	cr_assert_eq(j.later.count, 1);
	cr_assert_eq(history_kit_number(&k, "SELECT count(*) FROM failures"), 1);

	add_reopened(1);
	j = job();
	cr_assert_eq(j.state, JOB_ACTIVE);
	cr_assert_eq(j.reopens, 1);
	cr_assert_eq(j.ended_wall_us, 0);
	cr_assert_eq(j.why.size, 0);
	cr_assert_eq(j.phase, 0);
	cr_assert_eq(j.shards, 10);
	cr_assert_eq(history_kit_number(&k, "SELECT count(*) FROM failures"), 0);
	cr_assert_eq(history_kit_number(&k, "SELECT count(*) FROM phases"), 0);
	assert_winners(0, 10, "0+9 by 1, 9+1 missing, ");
	assert_winners(1, 1, "0+1 missing, ");

	add_outcome(0, 3, (struct range){9, 1}, 0);
	history_kit_add(&k, RECORD_PHASE_STARTED, &gather);
	add_outcome(1, 4, (struct range){0, 1}, 0);
	add_end(JOB_SUCCEEDED, 1, 10, 0, 1);
	j = job();
	cr_assert_eq(j.state, JOB_SUCCEEDED);
	cr_assert_eq(j.done, 10);
	cr_assert_eq(j.dead, 0);
	cr_assert_eq(j.reopens, 1);
	cr_assert_eq(j.ended_wall_us, 101);
	assert_winners(0, 10, "0+9 by 1, 9+1 by 3, ");
	assert_winners(1, 1, "0+1 by 4, ");
	cr_assert_eq(history_kit_number(&k, "SELECT reopens FROM job_list WHERE job = 1"), 1);
}

/* Rows are counted, so that not too many are kept: the count begins anew. */
Test(history_lives, many_dead_of_one_life_take_no_room_from_the_next)
{
	history_kit_add_definition(&k);
	history_kit_add_job(&k, 1, 10);
	for (uint32_t life = 0; life < 3; life++) {
		for (uint32_t i = 0; i < HISTORY_FAILURES_MAX; i++)
			add_outcome(0, 10 + i, (struct range){0, 0}, 2 * i + 1);
		history_kit_write(&k);
		cr_assert_gt(history_kit_number(&k, "SELECT count(*) FROM failures"), 500);
		add_end(JOB_FAILED, life, 0, 1, 0);
		add_reopened(life + 1);
	}
	history_kit_write(&k);
	cr_assert_eq(history_kit_number(&k, "SELECT count(*) FROM failures"), 0);
}

Test(history_lives, a_plan_is_kept_as_it_was_sealed)
{
	struct plan_sealed sealed = {.job = 1,
				     .plan = {.kind = PLAN_BYTES,
					      .shard_count = 10,
					      .url = BYTES_LIT("s3://b/k"),
					      .etag = BYTES_LIT("e"),
					      .size_bytes = 1000,
					      .step_bytes = 100}};
	struct plan plan;
	struct error e = {0};

	history_kit_add_definition(&k);
	history_kit_add_job(&k, 1, 10);
	history_kit_write(&k);
	cr_assert_eq(history_plan(k.reader, 1, &k.arena, &plan, &e), ERR_NOT_FOUND);
	history_kit_add(&k, RECORD_PLAN_SEALED, &sealed);
	add_end(JOB_FAILED, 0, 9, 1, 0);
	history_kit_write(&k);
	cr_assert_eq(history_plan(k.reader, 1, &k.arena, &plan, NULL), 0);
	cr_assert(codec_equal(codec_plan(), &plan, &sealed.plan));
	cr_assert_eq(history_plan(k.reader, 2, &k.arena, &plan, NULL), ERR_NOT_FOUND);
}

/* Built again from a journal whose front is gone. */
Test(history_lives, one_that_it_never_saw_is_known_from_then_on)
{
	struct history_job j;
	struct plan plan;

	add_reopened(2);
	j = job();
	cr_assert_eq(j.state, JOB_ACTIVE);
	cr_assert_eq(j.reopens, 2);
	cr_assert_eq(j.shards, 10);
	cr_assert_eq(j.accepted_wall_us, 5);
	cr_assert(bytes_equal(j.name, BYTES_LIT("again")));
	cr_assert_eq(history_plan(k.reader, 1, &k.arena, &plan, NULL), 0);
	cr_assert(bytes_equal(plan.etag, BYTES_LIT("pinned")));
	cr_assert_eq(history_kit_number(&k, "SELECT carried FROM jobs WHERE id = 1"), 1);
}

Test(history_lives, a_carried_job_brings_its_plan_and_how_often_it_lived)
{
	struct job_slice s = {.job = 1,
			      .last = true,
			      .window_end = 10,
			      .body = {.job = 1, .definition = BYTES(sha, 32), .planner = PLANNER_LINES},
			      .state = JOB_ACTIVE,
			      .plan = {.kind = PLAN_ITEMS, .shard_count = 10, .blob = BYTES_LIT("1-0.items")},
			      .sealed = true,
			      .reopens = 3};
	struct plan plan;

	history_kit_add(&k, RECORD_JOB_SLICE, &s);
	cr_assert_eq(job().reopens, 3);
	cr_assert_eq(history_plan(k.reader, 1, &k.arena, &plan, NULL), 0);
	cr_assert(bytes_equal(plan.blob, BYTES_LIT("1-0.items")));
}
