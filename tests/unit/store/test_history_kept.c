/* What history keeps, how much that is, what is forgotten, and which segments of output nobody needs then. */
#include <criterion/criterion.h>
#include <unistd.h>
#include <poll.h>
#include <string.h>

#include "dispatcher/store/history_kept.h"
#include "dispatcher/store/history_private.h"
#include "jobs/kinds.h"
#include "tests/unit/store/history_kit.h"

static struct history_kit k;
static const struct uuid worker = {0x77, 1};

static void setup(void)
{
	history_kit_begin(&k);
	history_kit_open(&k);
}

static void teardown(void)
{
	history_kit_end(&k);
}

TestSuite(history_kept, .init = setup, .fini = teardown);

/* A job of ten shards: nine are done, one is dead; their outputs lie in the segment. */
static void add_job(uint64_t job, uint32_t segment, usec_t ended_us, uint64_t output_bytes)
{
	struct range done = {0, 9};
	struct shard_failure f = {
	    .first = 9, .count = 1, .kind = FAILURE_EXIT, .code = 3, .dead = true, .segment = segment};
	struct outcome_taken o = {
	    .token = {3, job}, .job = job, .segment = segment, .done = {&done, 1}, .failed = {&f, 1}};
	struct outcomes_taken r = {.worker = worker, .wall_us = 1, .outcomes = {&o, 1}};
	struct job_ended e = {.job = job,
			      .state = JOB_FAILED,
			      .shards = 10,
			      .done = 9,
			      .dead = 1,
			      .totals.output_bytes = output_bytes,
			      .definition = BYTES(history_kit_sha, 32),
			      .wall_us = ended_us};

	history_kit_add_job(&k, job, 10);
	history_kit_add(&k, RECORD_OUTCOMES, &r);
	history_kit_add(&k, RECORD_ENDED, &e);
}

static void forget(uint64_t first, uint64_t count)
{
	struct job_ids ids = {first, count};
	struct forgotten r = {.jobs = {&ids, 1}};

	history_kit_add(&k, RECORD_FORGOTTEN, &r);
	history_kit_write(&k);
}

static bool keep_ended(void *out, const struct history_ended *j)
{
	buf_printf(out, "%llu@%lld ", (unsigned long long)j->job, (long long)j->ended_wall_us);
	return true;
}

static void keep_forgotten(void *out, uint64_t first, uint64_t last)
{
	buf_printf(out, "%llu-%llu ", (unsigned long long)first, (unsigned long long)last);
}

static void keep_segment(void *out, const struct uuid *of, uint32_t segment)
{
	cr_expect(of->hi == worker.hi && of->lo == worker.lo);
	buf_printf(out, "%u ", segment);
}

#define EXPECT_UNUSED(doomed, expected)                                                                      \
	EXPECT_TEXT(history_unused_segments(k.reader, doomed, 100, keep_segment, &out, NULL), expected)

static void change(uint32_t segment, bool gone)
{
	struct history_segment_change c = {worker, segment, gone};

	cr_assert(history_submit_segments(k.h, &c, 1));
	history_kit_add_definition(&k);
	history_kit_write(&k); /* the next transaction */
	cr_assert(history_submit_segments(k.h, NULL, 0), "it was made");
}

Test(history_kept, how_much_is_kept_and_what_ended_first)
{
	struct history_kept kept;

	history_kit_add_definition(&k);
	cr_assert_eq(history_kept(k.reader, &kept, NULL), 0);
	cr_expect_eq(kept.jobs, 0);
	cr_expect_eq(kept.oldest_end_wall_us, 0);
	add_job(1, 1, 300, 1000);
	add_job(2, 1, 100, 20);
	add_job(3, 2, 200, 3);
	history_kit_add_job(&k, 4, 1);
	history_kit_write(&k);
	cr_assert_eq(history_kept(k.reader, &kept, NULL), 0);
	cr_expect_eq(kept.jobs, 3, "what lives is not counted");
	cr_expect_eq(kept.output_bytes, 1023);
	cr_expect_eq(kept.oldest_end_wall_us, 100);
	cr_expect_gt(kept.history_bytes, 4096);
	EXPECT_TEXT(history_oldest(k.reader, keep_ended, &out, NULL), "2@100 3@200 1@300 ");
}

Test(history_kept, forgotten_ranges_that_touch_become_one)
{
	history_kit_add_definition(&k);
	for (uint64_t job = 1; job <= 9; job++)
		add_job(job, 1, (usec_t)job, 1);
	forget(2, 1);
	forget(4, 2);
	EXPECT_TEXT(history_forgotten_jobs(k.reader, keep_forgotten, &out, NULL), "2-2 4-5 ");
	forget(3, 1);
	EXPECT_TEXT(history_forgotten_jobs(k.reader, keep_forgotten, &out, NULL), "2-5 ");
	forget(8, 1);
	forget(1, 9);
	EXPECT_TEXT(history_forgotten_jobs(k.reader, keep_forgotten, &out, NULL), "1-9 ");
	forget(3, 2);
	EXPECT_TEXT(history_forgotten_jobs(k.reader, keep_forgotten, &out, NULL), "1-9 ");
}

Test(history_kept, a_segment_is_unused_when_all_its_jobs_are_forgotten)
{
	bool whole = false, there = true;
	int64_t number;

	history_kit_add_definition(&k);
	add_job(1, 1, 1, 1);
	add_job(2, 1, 2, 1);
	add_job(3, 2, 3, 1);
	forget(1, 1);
	EXPECT_UNUSED(false, "");
	forget(2, 1);
	EXPECT_UNUSED(false, "1 ");
	change(2, false);
	EXPECT_UNUSED(true, "");
	change(1, false);
	EXPECT_UNUSED(false, "");
	EXPECT_UNUSED(true, "1 ");
	/* A start later it is still doomed. */
	history_kit_close(&k);
	history_kit_open(&k);
	EXPECT_UNUSED(true, "1 ");
	change(1, true);
	EXPECT_UNUSED(true, "");
	cr_expect_eq(history_kit_number(&k, "SELECT sum(rows) FROM segments"), 2);
	/* Of what was never told of, but lies there. */
	change(7, false);
	EXPECT_UNUSED(true, "7 ");
	cr_assert_eq(history_is_whole(k.reader, &whole, NULL), 0);
	cr_expect(whole);
	cr_assert_eq(history_worker(k.reader, &worker, &number, NULL), 0);
	cr_expect_gt(number, 0);
	cr_assert_eq(history_has_segment(k.reader, number, 2, &there, NULL), 0);
	cr_expect(there);
	cr_assert_eq(history_has_segment(k.reader, number, 3, &there, NULL), 0);
	cr_expect_not(there);
	cr_assert_eq(history_worker(k.reader, &(struct uuid){5, 5}, &number, NULL), 0);
	cr_expect_eq(number, 0);
}

/* So many shards that each were made by a lease of their own, each with a row of its own. */
static void add_rows(uint64_t job, uint32_t count)
{
	history_kit_add_job(&k, job, count);
	for (uint32_t i = 0; i < count; i++) {
		struct range done = {i, 1};
		struct outcome_taken o = {
		    .token = {3, i + 1}, .job = job, .segment = i % 2 + 1, .done = {&done, 1}};
		struct outcomes_taken r = {.worker = worker, .wall_us = 1, .outcomes = {&o, 1}};

		history_kit_add(&k, RECORD_OUTCOMES, &r);
	}
}

/* A job whose only shard died; its output is kept. */
static void add_dead(uint64_t job, uint32_t segment)
{
	struct shard_failure dead = {.count = 1, .dead = true, .kind = FAILURE_EXIT, .segment = segment};
	struct outcome_taken o = {.token = {9, 9}, .job = job, .failed = {&dead, 1}};
	struct outcomes_taken r = {.worker = worker, .wall_us = 1, .outcomes = {&o, 1}};

	history_kit_add_job(&k, job, 1);
	history_kit_add(&k, RECORD_OUTCOMES, &r);
	history_kit_write(&k);
}

static void keep_lease(void *out, struct token token)
{
	buf_printf(out, "%u.%llu ", token.epoch, (unsigned long long)token.lease);
}

#define EXPECT_LEASES(of, expected)                                                                          \
	EXPECT_TEXT(history_segment_leases(k.reader, of, keep_lease, &out, NULL), expected)

Test(history_kept, which_leases_of_a_segment_are_needed)
{
	struct history_segment none = {0}, found[3];
	uint32_t count;

	history_kit_add_definition(&k);
	add_rows(1, 4);
	add_rows(2, 2); /* of the same leases as those of job 1 */
	history_kit_write(&k);
	cr_assert_eq(history_segments(k.reader, &none, 3, found, &count, NULL), 0);
	cr_assert_eq(count, 2);
	cr_expect_eq(found[0].segment, 1);
	cr_expect_eq(found[0].worker.hi, worker.hi);
	cr_expect_eq(found[0].rows, 3);
	EXPECT_LEASES(&found[0], "3.1 3.3 ");
	EXPECT_LEASES(&found[1], "3.2 3.4 ");
	cr_assert_eq(history_segments(k.reader, &found[0], 3, found, &count, NULL), 0);
	cr_assert_eq(count, 1);
	cr_expect_eq(found[0].segment, 2);
	add_dead(3, 1);
	cr_assert_eq(history_segments(k.reader, &none, 3, found, &count, NULL), 0);
	EXPECT_LEASES(&found[0], "3.1 3.3 9.9 ");
}

static void wait_for_number(const char *sql, int64_t expected)
{
	struct pollfd told = {history_fd(k.h), POLLIN, 0};
	uint64_t count;

	while (history_kit_number(&k, sql) != expected && poll(&told, 1, 10000) > 0)
		cr_assert_eq(read(told.fd, &count, sizeof count), sizeof count);
	cr_assert_eq(history_kit_number(&k, sql), expected);
}

/* A record names two jobs of a thousand rows; one transaction deletes a hundred. */
Test(history_kept, a_forgotten_jobs_rows_go_in_pieces)
{
	history_kit_add_definition(&k);
	add_rows(1, 1000);
	add_rows(2, 1000);
	add_rows(3, 10);
	history_kit_write(&k);
	k.h->leftover_rows = 100; /* its thread waits for records */
	forget(1, 2);
	cr_expect_eq(history_kit_number(&k, "SELECT count(*) FROM jobs"), 1);
	cr_expect_gt(history_kit_number(&k, "SELECT count(*) FROM ranges WHERE job < 3"), 0,
		     "twenty transactions, 20 ms each");
	history_kit_close(&k); /* does not wait for them; a start goes on */
	cr_expect_gt(history_kit_number(&k, "SELECT count(*) FROM leftovers"), 0);
	history_kit_open(&k);
	wait_for_number("SELECT count(*) FROM leftovers", 0);
	cr_expect_eq(history_kit_number(&k, "SELECT count(*) FROM ranges WHERE job < 3"), 0);
	cr_expect_eq(history_kit_number(&k, "SELECT count(*) FROM ranges"), 10);
	cr_expect_eq(history_kit_number(&k, "SELECT sum(rows) FROM segments"), 10);
}

/* A job that lives again gives up what it makes anew; the count follows. */
Test(history_kept, what_a_reopened_job_lost_is_not_counted)
{
	struct range done = {0, 4};
	struct reopened r = {.job = 1,
			     .reopens = 1,
			     .body = {.job = 1, .definition = BYTES(history_kit_sha, 32)},
			     .plan = {.kind = PLAN_COUNT, .shard_count = 10},
			     .done = {&done, 1}};

	history_kit_add_definition(&k);
	add_job(1, 1, 1, 1);
	history_kit_write(&k);
	cr_expect_eq(history_kit_number(&k, "SELECT rows FROM segments"), 2);
	history_kit_add(&k, RECORD_REOPENED, &r);
	history_kit_write(&k);
	cr_expect_eq(history_kit_number(&k, "SELECT rows FROM segments"), 1, "of the first four shards");
	r.done.count = 0;
	r.reopens = 2;
	history_kit_add(&k, RECORD_REOPENED, &r);
	history_kit_write(&k);
	EXPECT_UNUSED(false, "1 ");
}
