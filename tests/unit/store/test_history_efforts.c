/* What history keeps of attempts: a row each for the first shards, sums for the rest, and bounds. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "dispatcher/store/history_private.h"
#include "jobs/kinds.h"
#include "dispatcher/store/history_module.h"
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

TestSuite(history_efforts, .init = setup, .fini = teardown);

static struct effort effort(uint32_t first, uint32_t count, bool sum, uint8_t kind)
{
	return (struct effort){.first = first,
			       .count = count,
			       .sum = sum,
			       .kind = kind,
			       .code = kind,
			       .start_wall_us = 1000 + first,
			       .totals.run_us = 10ull * count,
			       .totals.cpu_us = 5ull * count,
			       .totals.max_rss_bytes = 4096};
}

/* Of worker 0x77.n on host-n; its shards are done, or failed. */
static void add(uint64_t job, uint64_t worker, uint32_t attempt, struct effort e)
{
	struct range done = {e.first, e.count};
	struct shard_failure failed = {.first = e.first, .count = e.count, .kind = e.kind, .code = e.code};
	struct outcome_taken o = {.token = {3, worker}, .job = job, .attempt = attempt, .efforts = {&e, 1}};
	struct outcomes_taken r = {.worker = {0x77, worker}, .wall_us = 2500000, .outcomes = {&o, 1}};
	char host[16];

	snprintf(host, sizeof host, "host-%llu", (unsigned long long)worker);
	r.host = bytes_of(host);
	if (e.kind == 0)
		o.done = (struct range_list){&done, 1};
	else
		o.failed = (struct shard_failure_list){&failed, 1};
	history_kit_add(&k, RECORD_OUTCOMES, &r);
}

static int keep(void *arg, const struct history_effort *e)
{
	buf_printf(arg, "%u+%u%s %llu try %u by %llu kind %u, ", e->effort.first, e->effort.count,
		   e->effort.sum ? " sum" : "", (unsigned long long)e->effort.totals.run_us, e->attempt,
		   (unsigned long long)e->worker_id.lo, e->effort.kind);
	return 0;
}

static void expect(uint64_t job, struct range shards, const char *expected)
{
	struct buf out = {0};

	cr_assert_eq(history_efforts(k.reader, job, 0, shards, keep, &out, NULL), 0);
	cr_expect_str_eq(buf_text(&out), expected);
	buf_fini(&out);
}

Test(history_efforts, each_of_the_first_shards_has_a_row_of_its_last_attempt)
{
	struct bytes host;

	history_kit_add_job(&k, 1, 100);
	add(1, 1, 1, effort(0, 1, false, 0));
	add(1, 1, 1, effort(1, 1, false, FAILURE_EXIT));
	add(1, 2, 2, effort(1, 1, false, 0));
	history_kit_write(&k);
	expect(1, (struct range){0, 100}, "0+1 10 try 1 by 1 kind 0, 1+1 10 try 2 by 2 kind 0, ");
	expect(1, (struct range){1, 5}, "1+1 10 try 2 by 2 kind 0, ");
	expect(1, (struct range){2, 5}, "");
	cr_assert_eq(history_host(k.reader, &(struct uuid){0x77, 2}, &k.arena, &host, NULL), 0);
	cr_expect(bytes_equal(host, BYTES_LIT("host-2")));
	cr_assert_eq(history_host(k.reader, &(struct uuid){0x77, 9}, &k.arena, &host, NULL), 0);
	cr_expect_eq(host.size, 0);
}

Test(history_efforts, sums_grow_with_their_neighbours_and_reach_into_no_other_state)
{
	history_kit_add_job(&k, 1, 1000000);
	add(1, 1, 1, effort(0, 100, true, 0));
	add(1, 1, 1, effort(500000, 50, true, 0)); /* another slot's lease */
	add(1, 1, 1, effort(100, 100, true, 0));
	add(1, 2, 1, effort(200, 10, true, 0)); /* another worker's */
	add(1, 2, 1, effort(210, 1, true, FAILURE_EXIT));
	add(1, 1, 2, effort(210, 1, true, 0));
	history_kit_write(&k);
	expect(1, (struct range){0, 1000000},
	       "0+200 sum 2000 try 1 by 1 kind 0, 200+10 sum 100 try 1 by 2 kind 0, "
	       "210+1 sum 10 try 2 by 1 kind 0, 500000+50 sum 500 try 1 by 1 kind 0, ");
}

Test(history_efforts, what_is_neither_done_nor_failed_by_the_outcome_says_nothing)
{
	struct effort e = effort(0, 10, true, 0);
	struct range done[] = {{2, 3}, {8, 9}};
	struct outcome_taken o = {.token = {3, 1}, .job = 1, .done = {done, 2}, .efforts = {&e, 1}};
	struct outcomes_taken r = {.worker = {0x77, 1}, .wall_us = 2500000, .outcomes = {&o, 1}};

	history_kit_add_job(&k, 1, 100);
	history_kit_add(&k, RECORD_OUTCOMES, &r);
	history_kit_write(&k);
	expect(1, (struct range){0, 100}, "2+3 sum 30 try 0 by 1 kind 0, 8+2 sum 20 try 0 by 1 kind 0, ");
}

Test(history_efforts, a_job_of_a_billion_shards_has_a_bounded_number_of_rows)
{
	uint32_t step = 1000000000 / 5000;

	history_kit_add_job(&k, 1, 1000000000);
	for (uint32_t i = 0; i < 5000; i++)
		add(1, i % 3, 1, effort(i * step, step, true, 0));
	history_kit_write(&k);
	cr_expect_eq(history_kit_number(&k, "SELECT count(*) FROM efforts"), EFFORTS_ADDED_MAX);
	cr_expect_eq(history_kit_number(&k, "SELECT sum(run_us) FROM efforts"), 10000000000);
	cr_expect_eq(history_kit_number(&k, "SELECT sum(count) FROM efforts"), 1000000000);
}

Test(history_efforts, of_all_jobs_the_oldest_rows_go)
{
	k.h->efforts_max = 800;
	for (uint64_t job = 1; job <= 100; job++) {
		history_kit_add_job(&k, job, 100);
		for (uint32_t i = 0; i < 20; i++)
			add(job, 1, 1, effort(i, 1, false, 0));
	}
	history_kit_write(&k);
	cr_expect_leq(history_kit_number(&k, "SELECT count(*) FROM efforts"), 800);
	cr_expect_geq(history_kit_number(&k, "SELECT count(*) FROM efforts"), 680);
	cr_expect_eq(history_kit_number(&k, "SELECT count(*) FROM efforts WHERE job = 100"), 20);
	cr_expect_eq(history_kit_number(&k, "SELECT count(*) FROM efforts WHERE job = 1"), 0);
}

Test(history_efforts, they_are_forgotten_with_their_jobs)
{
	struct job_ids ids = {.first = 1, .count = 1};
	struct forgotten f = {.jobs = {&ids, 1}};

	for (uint64_t job = 1; job <= 2; job++) {
		history_kit_add_job(&k, job, 100);
		add(job, 1, 1, effort(3, 1, false, 0));
	}
	history_kit_add(&k, RECORD_FORGOTTEN, &f);
	history_kit_write(&k);
	expect(1, (struct range){0, 100}, "");
	expect(2, (struct range){0, 100}, "3+1 10 try 1 by 1 kind 0, ");
}

Test(history_efforts, a_database_without_the_table_gets_it)
{
	sqlite3 *db;

	history_kit_close(&k);
	cr_assert_eq(sqlite3_open(k.path, &db), SQLITE_OK);
	cr_assert_eq(history_module_register(db, NULL), SQLITE_OK);
	cr_assert_eq(sqlite3_exec(db,
				  "DROP VIEW attempts; DROP TABLE effort_rows;"
				  "ALTER TABLE workers DROP COLUMN host",
				  NULL, NULL, NULL),
		     SQLITE_OK);
	sqlite3_close(db);
	history_kit_open(&k);
	history_kit_add_job(&k, 1, 100);
	add(1, 1, 1, effort(3, 1, false, 0));
	history_kit_write(&k);
	expect(1, (struct range){0, 100}, "3+1 10 try 1 by 1 kind 0, ");
	cr_expect_eq(history_kit_number(&k, "SELECT count(*) FROM attempts WHERE host = 'host-1'"), 1);
}
