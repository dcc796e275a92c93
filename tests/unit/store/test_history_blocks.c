/* Jobs of one shard and their events, in blocks: whatever happens to a job, readers and SQL see it as if it
 * had rows. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "dispatcher/store/history_blocks.h"
#include "dispatcher/store/history_kept.h"
#include "jobs/kinds.h"
#include "tests/unit/store/small_jobs.h"

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

TestSuite(history_blocks, .init = setup, .fini = teardown);

static void accept(uint64_t job)
{
	small_job_accept(&k, job);
}

static void outcome(uint64_t job, bool done, bool dead, uint32_t segment)
{
	small_job_outcome(&k, job, done, dead, segment);
}

static void end(uint64_t job, enum job_state state)
{
	small_job_end(&k, job, state);
}

static void run_jobs(uint64_t first, uint64_t last)
{
	small_jobs_run(&k, first, last);
}

static void forget(uint64_t first, uint64_t count)
{
	struct job_ids ids = {first, count};
	struct forgotten r = {.jobs = {&ids, 1}};

	history_kit_add(&k, RECORD_FORGOTTEN, &r);
	history_kit_write(&k);
}

/* ---- what is there ---- */

static struct history_job job_of(uint64_t job)
{
	struct history_job j = {0};

	cr_assert_eq(history_job(k.reader, job, &k.arena, &j, NULL), 0, "job %llu", (unsigned long long)job);
	return j;
}

static int64_t number(const char *sql)
{
	return history_kit_number(&k, sql);
}

static int keep_id(void *out, const struct history_job *j)
{
	buf_printf(out, "%llu ", (unsigned long long)j->job);
	return 0;
}

static int keep_winner(void *out, const struct history_winner *w)
{
	buf_printf(out, "%s%u+%u lease %llu segment %u", w->is_missing ? "missing " : "", w->shards.first,
		   w->shards.count, (unsigned long long)w->token.lease, w->segment);
	cr_expect(w->is_missing ||
		  (w->worker.hi == small_jobs_worker.hi && w->worker.lo == small_jobs_worker.lo));
	return 0;
}

static int keep_dead(void *out, const struct history_failure *f)
{
	buf_printf(out, "%.*s code %lld segment %u", (int)f->why.size, (const char *)f->why.data,
		   (long long)f->code, f->segment);
	return 0;
}

static int keep_effort(void *out, const struct history_effort *e)
{
	buf_printf(out, "kind %u run %llu start %lld by %llx", e->effort.kind,
		   (unsigned long long)e->effort.totals.run_us, (long long)e->effort.start_wall_us,
		   (unsigned long long)e->worker_id.hi);
	return 0;
}

#define EXPECT_WINNER(job, expected)                                                                         \
	EXPECT_TEXT(history_winners(k.reader, job, 0, (struct range){0, 1}, keep_winner, &out, NULL),        \
		    expected)
#define EXPECT_EVENT_JOBS(text, limit, expected)                                                             \
	EXPECT_TEXT(history_jobs_of_event(k.reader, bytes_of(text), (struct bytes){0}, 0, limit, &k.arena,   \
					  keep_id, &out, NULL),                                              \
		    expected)

/* ---- stories ---- */

Test(history_blocks, a_job_goes_from_made_to_ended_without_a_row)
{
	struct history_job j;
	struct bytes event;
	uint64_t shards;

	accept(1);
	history_kit_write(&k);
	cr_expect_eq(job_of(1).state, JOB_ACTIVE);
	cr_expect_eq(number("SELECT count(*) FROM job_list WHERE state = 'active'"), 1);
	cr_expect_eq(number("SELECT ended_us IS NULL AND done IS NULL FROM jobs WHERE id = 1"), 1);
	outcome(1, true, false, 4);
	end(1, JOB_SUCCEEDED);
	history_kit_write(&k);
	j = job_of(1);
	cr_expect_eq(j.state, JOB_SUCCEEDED);
	cr_expect_eq(j.priority, 1);
	cr_expect_eq(j.accepted_wall_us, 1000);
	cr_expect_eq(j.started_wall_us, 1010);
	cr_expect_eq(j.ended_wall_us, 1050);
	cr_expect_eq(j.totals.run_us, 40);
	cr_expect(bytes_equal(j.by.name, BYTES_LIT("ann")));
	cr_expect(bytes_equal(j.definition, BYTES(history_kit_sha, 32)));
	EXPECT_WINNER(1, "0+1 lease 1 segment 4");
	EXPECT_TEXT(history_efforts(k.reader, 1, 0, (struct range){0, 1}, keep_effort, &out, NULL),
		    "kind 0 run 40 start 1010 by 77");
	cr_assert_eq(history_phase_shards(k.reader, 1, 0, &shards, NULL), 0);
	cr_expect_eq(shards, 1);
	cr_assert_eq(history_event(k.reader, 0xe0, 1, &k.arena, &event, NULL), 0);
	cr_expect_gt(event.size, 10);
	cr_expect_eq(number("SELECT (SELECT count(*) FROM job_rows) + (SELECT count(*) FROM range_rows)"
			    " + (SELECT count(*) FROM effort_rows) + (SELECT count(*) FROM event_rows)"),
		     0);
	cr_expect_eq(number("SELECT count(*) FROM blocks WHERE kind = 1"), 0, "nobody of it lives");
	cr_expect_eq(number("SELECT sum(rows) FROM segments WHERE segment = 4"), 1);
	cr_expect_eq(number("SELECT count(*) FROM job_list WHERE job = 1 AND definition LIKE 'abcd%'"
			    " AND by_kind = 'uid' AND event LIKE '00%01' AND state = 'succeeded'"),
		     1);
	cr_expect_eq(number("SELECT count(*) FROM done_ranges WHERE job = 1 AND worker LIKE '%77%'"), 1);
	cr_expect_eq(number("SELECT count(*) FROM attempts WHERE job = 1"), 1);
}

Test(history_blocks, a_dead_shard_tells_why)
{
	accept(1);
	outcome(1, false, true, 6);
	end(1, JOB_FAILED);
	history_kit_write(&k);
	cr_expect_eq(job_of(1).state, JOB_FAILED);
	EXPECT_WINNER(1, "missing 0+1 lease 0 segment 0");
	EXPECT_TEXT(history_failures(k.reader, 1, 0, 0, 9, &k.arena, keep_dead, &out, NULL),
		    "it said no code 3 segment 6");
	cr_expect_eq(number("SELECT count(*) FROM dead_shards WHERE job = 1 AND kind = 'exit'"), 1);
	cr_expect_eq(number("SELECT count(*) FROM job_rows"), 0);
	cr_expect_eq(number("SELECT rows FROM segments WHERE segment = 6"), 1);
}

Test(history_blocks, what_few_jobs_meet_makes_a_row)
{
	struct job_changed paused = {.job = 3, .change = CHANGE_PAUSED, .why = BYTES_LIT("wait")};

	run_jobs(1, 2);
	accept(3);
	accept(4);
	accept(5);
	history_kit_write(&k);
	history_kit_add(&k, RECORD_JOB_CHANGED, &paused);
	outcome(4, false, false, 0); /* it is tried again */
	outcome(5, true, false, 1);  /* its end comes later than it should */
	history_kit_write(&k);
	cr_expect(job_of(3).paused);
	cr_expect_eq(number("SELECT count(*) FROM job_rows"), 3);
	cr_expect_eq(number("SELECT count(*) FROM jobs"), 5);
	EXPECT_WINNER(5, "0+1 lease 5 segment 1");
	outcome(4, true, false, 1);
	for (uint64_t job = 3; job <= 5; job++)
		end(job, JOB_SUCCEEDED);
	history_kit_write(&k);
	cr_expect_eq(number("SELECT count(*) FROM jobs WHERE state = 3"), 5);
	EXPECT_WINNER(4, "0+1 lease 4 segment 1");
	EXPECT_EVENT_JOBS("e-4", 5, "4 ");
}

/* In the transaction in which it was accepted, too. */
Test(history_blocks, a_job_that_is_paused_at_once_has_a_row)
{
	struct job_changed paused = {.job = 2, .change = CHANGE_PAUSED, .why = BYTES_LIT("wait")};

	accept(1);
	accept(2);
	accept(3);
	history_kit_add(&k, RECORD_JOB_CHANGED, &paused);
	accept(4);
	history_kit_write(&k);
	cr_expect(job_of(2).paused);
	cr_expect_eq(number("SELECT group_concat(id, '') FROM (SELECT id FROM jobs ORDER BY id)"), 1234);
	cr_expect_eq(number("SELECT count(*) FROM job_rows"), 1);
}

Test(history_blocks, a_job_that_lives_again_leaves_its_block)
{
	struct reopened r = {
	    .job = 7,
	    .reopens = 1,
	    .body = {.job = 7, .definition = BYTES(history_kit_sha, 32), .name = BYTES_LIT("small")},
	    .plan = {.kind = PLAN_COUNT, .shard_count = 1},
	    .accepted_wall_us = 7000};
	struct history_kept kept;

	run_jobs(1, 20);
	history_kit_write(&k);
	history_kit_add(&k, RECORD_REOPENED, &r);
	history_kit_write(&k);
	cr_expect_eq(job_of(7).state, JOB_ACTIVE);
	EXPECT_WINNER(7, "missing 0+1 lease 0 segment 0");
	cr_expect_eq(number("SELECT count(*) FROM jobs"), 20);
	cr_expect_eq(number("SELECT count(*) FROM ranges"), 19);
	cr_assert_eq(history_kept(k.reader, &kept, NULL), 0);
	cr_expect_eq(kept.jobs, 19);
	cr_expect_eq(kept.output_bytes, 19 * 7);
	outcome(7, true, false, 9);
	end(7, JOB_SUCCEEDED);
	history_kit_write(&k);
	cr_expect_eq(job_of(7).state, JOB_SUCCEEDED);
	EXPECT_WINNER(7, "0+1 lease 7 segment 9");
	cr_expect_eq(number("SELECT count(*) FROM jobs WHERE state = 3"), 20);
	forget(7, 1);
	cr_expect_eq(number("SELECT count(*) FROM jobs"), 19);
}

Test(history_blocks, lists_are_of_both)
{
	history_kit_add_job(&k, 5, 100);
	run_jobs(6, 30);
	history_kit_write(&k);
	accept(31);
	history_kit_add_job(&k, 32, 10);
	history_kit_write(&k);
	EXPECT_TEXT(history_jobs(k.reader, 0, 0, 4, &k.arena, keep_id, &out, NULL), "32 31 30 29 ");
	EXPECT_TEXT(history_jobs(k.reader, 8, 0, 4, &k.arena, keep_id, &out, NULL), "7 6 5 ");
	EXPECT_TEXT(history_jobs(k.reader, 0, 1u << JOB_ACTIVE, 9, &k.arena, keep_id, &out, NULL),
		    "32 31 5 ");
	EXPECT_TEXT(history_jobs(k.reader, 0, 1u << JOB_FAILED, 9, &k.arena, keep_id, &out, NULL), "");
	EXPECT_EVENT_JOBS("in/7", 2, "27 17 ");
	EXPECT_EVENT_JOBS("in/7", 9, "27 17 7 ");
	EXPECT_EVENT_JOBS("e-31", 9, "31 ");
	EXPECT_EVENT_JOBS("e-99", 9, "");
	cr_expect_eq(number("SELECT count(*) FROM events WHERE object_key = 'in/7'"), 3);
	cr_expect_eq(number("SELECT first_job FROM events WHERE event = x'00000000000000e0000000000000001e'"),
		     30);
	cr_expect_eq(number("SELECT count(*) FROM jobs j JOIN events e ON e.event = j.event"), 28);
	cr_expect_eq(number("SELECT count(*) FROM events WHERE wall_us BETWEEN 6000 AND 8000"), 3);
	cr_expect_eq(number("SELECT count(*) FROM events WHERE source = 'camera'"), 26);
	cr_expect_eq(number("SELECT count(*) FROM events WHERE source = 'none'"), 0);
	cr_expect_eq(number("SELECT count(*) FROM events WHERE source = 'camera' AND id = 'e-9'"), 1);
	cr_expect_eq(number("SELECT count(*) FROM jobs WHERE name = 'small'"), 26);
	cr_expect_eq(number("SELECT count(*) FROM jobs WHERE name = 'none'"), 0);
	cr_expect_eq(number("SELECT count(*) FROM jobs WHERE ended_us > 10050 AND ended_us <= 20050"), 10);
}

Test(history_blocks, small_blocks_become_larger_ones)
{
	for (uint64_t job = 1; job <= 80; job++) {
		run_jobs(job, job);
		history_kit_write(&k);
	}
	cr_expect_lt(number("SELECT count(*) FROM blocks"), 2 * 15);
	cr_expect_eq(number("SELECT sum(count) FROM blocks WHERE kind = 2"), 80);
	cr_expect_eq(number("SELECT count(*) FROM block_bodies") - number("SELECT count(*) FROM blocks"), 0);
	cr_expect_eq(number("SELECT count(*) FROM ranges WHERE job BETWEEN 11 AND 20"), 10);
	cr_expect_eq(number("SELECT sum(id) FROM jobs"), 80 * 81 / 2);
	EXPECT_EVENT_JOBS("e-17", 9, "17 ");
	cr_expect_eq(job_of(33).priority, 5);
	/* A block counts once, and only as long as it is there. */
	cr_expect_eq(number("SELECT rows FROM segments WHERE segment = 1"),
		     number("SELECT count(*) FROM blocks WHERE kind = 2"));
}

Test(history_blocks, what_is_forgotten_is_hidden_and_goes_when_the_block_is_empty)
{
	struct history_kept kept;
	struct history_job j;

	run_jobs(1, 100);
	history_kit_write(&k);
	run_jobs(101, 200);
	history_kit_write(&k);
	forget(1, 30);
	cr_expect_eq(history_job(k.reader, 30, &k.arena, &j, NULL), ERR_NOT_FOUND);
	cr_expect_eq(job_of(31).job, 31);
	cr_expect_eq(number("SELECT count(*) FROM jobs"), 170);
	cr_expect_eq(number("SELECT count(*) FROM events"), 170);
	cr_expect_eq(number("SELECT sum(kept) FROM blocks WHERE kind = 2"), 170);
	cr_assert_eq(history_kept(k.reader, &kept, NULL), 0);
	cr_expect_eq(kept.jobs, 170);
	cr_expect_eq(kept.output_bytes, 170 * 7);
	forget(31, 30);
	cr_expect_eq(number("SELECT count(*) FROM blocks WHERE 2 * kept < count"), 0, "it is written anew");
	cr_expect_eq(number("SELECT sum(kept) FROM blocks WHERE kind = 3"), 140);
	EXPECT_EVENT_JOBS("e-60", 9, "");
	EXPECT_EVENT_JOBS("e-61", 9, "61 ");
	forget(61, 60);
	cr_expect_eq(number("SELECT count(*) FROM jobs"), 80);
	cr_expect_eq(number("SELECT sum(segment) FROM segments WHERE rows <= 0"), 1,
		     "the second has jobs 100 to 199");
	forget(121, 80);
	cr_expect_eq(number("SELECT (SELECT count(*) FROM blocks) + (SELECT count(*) FROM block_bodies)"
			    " + (SELECT count(*) FROM block_filters) + (SELECT count(*) FROM jobs)"),
		     0);
	cr_expect_eq(number("SELECT count(*) FROM segments WHERE rows <= 0"), 3);
}

static bool keep_ended(void *out, const struct history_ended *e)
{
	buf_printf(out, "%llu ", (unsigned long long)e->job);
	return e->job != 9;
}

Test(history_blocks, what_ended_first_comes_first)
{
	accept(1);
	accept(2);
	accept(3);
	end(3, JOB_CANCELLED);
	end(2, JOB_CANCELLED);
	history_kit_write(&k);
	run_jobs(5, 12);
	history_kit_write(&k);
	EXPECT_TEXT(history_oldest(k.reader, keep_ended, &out, NULL), "2 3 5 6 7 8 9 ");
}

/* A history that is built anew in one go has other blocks, and the same in them. */
Test(history_blocks, a_history_that_is_built_anew_says_the_same)
{
	struct job_changed paused = {.job = 150, .change = CHANGE_PAUSED, .why = BYTES_LIT("wait")};
	struct buf before = {0}, after = {0};

	for (uint64_t first = 1; first < 200; first += 20) {
		for (uint64_t job = first; job < first + 20; job++)
			accept(job);
		history_kit_write(&k);
		for (uint64_t job = first; job < first + 15; job++) {
			bool dead = job % 7 == 0;

			if (job % 5 == 0)
				outcome(job, false, false, 0);
			outcome(job, !dead, dead, 3);
			end(job, dead ? JOB_FAILED : JOB_SUCCEEDED);
			if (job % 4 == 0)
				history_kit_write(&k);
		}
	}
	history_kit_add(&k, RECORD_JOB_CHANGED, &paused);
	forget(40, 70);
	history_kit_dump(&k, &before);
	history_kit_close(&k);
	cr_assert_eq(unlink(k.path), 0);
	history_kit_open(&k);
	history_kit_wait(&k);
	history_kit_dump(&k, &after);
	cr_expect_str_eq(buf_text(&before), buf_text(&after));
	buf_fini(&before);
	buf_fini(&after);
}

/* A block is not for each transaction, also when nobody ends. */
Test(history_blocks, jobs_that_wait_share_blocks)
{
	for (uint64_t job = 1; job <= 30; job++) {
		accept(job);
		if (job == 20)
			end(7, JOB_CANCELLED);
		history_kit_write(&k);
	}
	cr_expect_eq(number("SELECT count(*) FROM blocks WHERE kind = 1"), 1);
	cr_expect_eq(number("SELECT count(*) FROM jobs WHERE state = 2"), 29);
	cr_expect_eq(job_of(7).state, JOB_CANCELLED);
	for (uint64_t job = 1; job <= 30; job++)
		if (job != 7)
			end(job, JOB_CANCELLED);
	history_kit_write(&k);
	cr_expect_eq(number("SELECT count(*) FROM blocks WHERE kind = 1"), 0);
	cr_expect_eq(number("SELECT count(*) FROM jobs WHERE state = 5"), 30);
}

/* What the writer knows of live jobs in memory it finds again. */
Test(history_blocks, live_jobs_go_on_after_a_start)
{
	for (uint64_t job = 1; job <= 9; job++)
		accept(job);
	end(4, JOB_CANCELLED);
	history_kit_write(&k);
	history_kit_close(&k);
	history_kit_open(&k);
	outcome(6, true, false, 2);
	end(6, JOB_SUCCEEDED);
	end(1, JOB_CANCELLED);
	history_kit_write(&k);
	cr_expect_eq(job_of(6).state, JOB_SUCCEEDED);
	cr_expect_eq(job_of(6).priority, 5);
	cr_expect_eq(job_of(1).priority, 1);
	cr_expect_eq(number("SELECT count(*) FROM jobs WHERE state = 2"), 6);
	cr_expect_eq(number("SELECT count(*) FROM jobs"), 9);
	cr_expect_eq(number("SELECT count(*) FROM job_rows"), 0);
}

/* What cannot be written is written again: nothing of the first try is left in memory. */
Test(history_blocks, a_transaction_that_fails_leaves_nothing)
{
	sqlite3 *other;

	accept(1);
	history_kit_write(&k);
	cr_assert_eq(sqlite3_open(k.path, &other), SQLITE_OK);
	cr_assert_eq(sqlite3_exec(other,
				  "CREATE TRIGGER no BEFORE INSERT ON block_bodies BEGIN"
				  " SELECT RAISE(FAIL, 'no'); END",
				  NULL, NULL, NULL),
		     SQLITE_OK);
	outcome(1, true, false, 2);
	end(1, JOB_SUCCEEDED);
	run_jobs(2, 5);
	accept(6);
	history_kit_commit(&k);
	history_kit_await_failure(&k, NULL);
	cr_assert_eq(sqlite3_exec(other, "DROP TRIGGER no", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(other);
	history_kit_wait(&k);
	cr_expect_eq(number("SELECT count(*) FROM jobs WHERE state = 3"), 5);
	cr_expect_eq(number("SELECT count(*) FROM jobs"), 6);
	cr_expect_eq(number("SELECT count(*) FROM events"), 6);
	cr_expect_eq(number("SELECT count(*) FROM ranges"), 5);
}
