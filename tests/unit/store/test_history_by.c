/* Who asked for jobs, brought events, stopped and retried; ends in blocks; jobs that are forgotten. */
#include <criterion/criterion.h>
#include <string.h>

#include "jobs/kinds.h"
#include "tests/unit/store/history_kit.h"

static struct history_kit k;

static void setup(void)
{
	history_kit_begin(&k);
	history_kit_open(&k);
	history_kit_add_definition(&k);
}

static void teardown(void)
{
	history_kit_end(&k);
}

TestSuite(history_by, .init = setup, .fini = teardown);

static const struct principal ann = {BY_UID, BYTES_LIT("ann"), 1000},
			      ci = {.kind = BY_TOKEN, .name = BYTES_LIT("ci")};

static struct history_job job(uint64_t id)
{
	struct history_job j = {0};

	history_kit_write(&k);
	cr_assert_eq(history_job(k.reader, id, &k.arena, &j, NULL), 0);
	return j;
}

static void add_job(uint64_t id, uint64_t event, const struct principal *by)
{
	struct new_job j = {.job = id,
			    .definition = BYTES(history_kit_sha, 32),
			    .planner = PLANNER_PURE,
			    .plan = {.kind = PLAN_COUNT, .shard_count = 1, .step = 1},
			    .event_id_hi = event,
			    .by = *by,
			    .owner = BYTES_LIT("lab"),
			    .traceparent = BYTES_LIT("00-ab-cd-01")};
	struct accepted a = {.jobs = {&j, 1}, .event = BYTES_LIT("{\"id\":\"e\"}"), .by = ci};

	history_kit_add(&k, RECORD_ACCEPTED, &a);
}

static struct job_ended an_end(uint64_t id)
{
	return (struct job_ended){.job = id,
				  .state = JOB_SUCCEEDED,
				  .shards = 1,
				  .done = 1,
				  .definition = BYTES(history_kit_sha, 32),
				  .by = ann};
}

static void expect_principal(struct principal got, struct principal want)
{
	cr_expect_eq(got.kind, want.kind);
	cr_expect_eq(got.number, want.number);
	cr_expect(bytes_equal(got.name, want.name));
}

Test(history_by, a_job_says_who_asked_for_it_and_who_did_what_to_it)
{
	static const struct principal nobody;
	struct job_changed change = {.job = 1, .change = CHANGE_PAUSED, .why = BYTES_LIT("x"), .by = ci};
	struct retried retried = {.job = 1, .by = ci};
	struct job_ended end = an_end(1);

	add_job(1, 5, &ann);
	expect_principal(job(1).by, ann);
	cr_expect(bytes_equal(job(1).owner, BYTES_LIT("lab")));
	cr_expect(bytes_equal(job(1).traceparent, BYTES_LIT("00-ab-cd-01")));
	expect_principal(job(1).stopped_by, nobody);
	history_kit_add(&k, RECORD_JOB_CHANGED, &change);
	expect_principal(job(1).stopped_by, ci);
	change.change = CHANGE_RESUMED;
	history_kit_add(&k, RECORD_JOB_CHANGED, &change);
	expect_principal(job(1).stopped_by, nobody);
	history_kit_add(&k, RECORD_RETRIED, &retried);
	expect_principal(job(1).again_by, ci);
	end.state = JOB_CANCELLED;
	end.ended_by = ann;
	end.again_by = ci;
	history_kit_add(&k, RECORD_ENDED, &end);
	expect_principal(job(1).stopped_by, ann);
	expect_principal(job(1).again_by, ci);
	cr_expect_eq(history_kit_number(&k, "SELECT count(*) FROM job_list WHERE by_kind = 'uid' AND by_name "
					    "= 'ann' AND by_number = 1000 AND owner = 'lab'"),
		     1);
	cr_expect_eq(
	    history_kit_number(&k, "SELECT count(*) FROM events WHERE by_kind = 2 AND by_name = 'ci'"), 1);
}

/* A history that never saw the job has it all from its end. */
Test(history_by, an_end_says_it_all)
{
	struct job_ended end = an_end(9);

	end.owner = BYTES_LIT("lab");
	history_kit_add(&k, RECORD_ENDED, &end);
	expect_principal(job(9).by, ann);
	cr_expect(bytes_equal(job(9).owner, BYTES_LIT("lab")));
}

Test(history_by, ends_in_a_block_are_rows_of_their_own)
{
	struct block_end ends[] = {{.job = 2, .wall_us = 7, .totals.run_us = 3},
				   {.job = 3, .wall_us = 8, .name = BYTES_LIT("other"), .by = ci},
				   {.job = 4}};
	struct ended_block block = {.all = an_end(0), .jobs = {ends, 3}};

	block.all.name = BYTES_LIT("all");
	add_job(2, 0, &ann);
	history_kit_add(&k, RECORD_ENDED_BLOCK, &block);
	cr_expect_eq(job(2).ended_wall_us, 7);
	cr_expect_eq(job(2).totals.run_us, 3);
	cr_expect(bytes_equal(job(4).name, BYTES_LIT("all")));
	expect_principal(job(2).by, ann);
	cr_expect(bytes_equal(job(3).name, BYTES_LIT("other")));
	expect_principal(job(3).by, ci);
}

Test(history_by, what_is_forgotten_leaves_no_row_and_no_event_of_its_own)
{
	struct job_ids ids[] = {{1, 1}, {3, 1000000000}};
	struct forgotten forgotten = {.jobs = {ids, 2}};
	struct outcome_taken o = {.token = {3, 1}, .job = 1, .done = {&(struct range){0, 1}, 1}};
	struct outcomes_taken outcomes = {.worker = {0x77, 1}, .outcomes = {&o, 1}};
	struct history_job j;

	add_job(1, 5, &ann);
	add_job(2, 6, &ann);
	add_job(3, 6, &ann);
	history_kit_add(&k, RECORD_OUTCOMES, &outcomes);
	history_kit_add(&k, RECORD_FORGOTTEN, &forgotten);
	expect_principal(job(2).by, ann);
	cr_expect_eq(history_job(k.reader, 1, &k.arena, &j, NULL), ERR_NOT_FOUND);
	cr_expect_eq(history_job(k.reader, 3, &k.arena, &j, NULL), ERR_NOT_FOUND);
	cr_expect_eq(history_kit_number(&k, "SELECT count(*) FROM ranges"), 0);
	cr_expect_eq(history_kit_number(&k, "SELECT count(*) FROM events"), 1, "job 2 has it, too");
}

Test(history_by, the_event_of_an_open_window_is_kept)
{
	struct window_member m = {.event_id_hi = 4, .event_id_lo = 4};
	struct window w = {.rule = BYTES_LIT("r"), .members = {&m, 1}, .event = BYTES_LIT("{\"id\":\"w\"}")};

	history_kit_add(&k, RECORD_WINDOW, &w);
	w.event = (struct bytes){0};
	history_kit_add(&k, RECORD_WINDOW, &w);
	history_kit_write(&k);
	cr_expect_eq(history_kit_number(&k, "SELECT count(*) FROM events WHERE id = 'w'"), 1);
}
