/* What history keeps of jobs, and what people and gather are told of them. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/rng.h"
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

TestSuite(history, .init = setup, .fini = teardown);

static const uint8_t *const sha = history_kit_sha;

static void add_definition(void)
{
	history_kit_add_definition(&k);
}

static void add_job(uint64_t job, uint32_t shards)
{
	history_kit_add_job(&k, job, shards);
}

static void add_end(uint64_t job, uint8_t state)
{
	struct job_ended e = {.job = job,
			      .state = state,
			      .why = BYTES_LIT("all shards are done"),
			      .shards = 100,
			      .done = 98,
			      .dead = 2,
			      .retries = 5,
			      .totals.run_us = 77,
			      .totals.output_bytes = 1ull << 40,
			      .totals.cpu_us = 70,
			      .totals.max_rss_bytes = 45ull << 20,
			      .accepted_wall_us = 1000000,
			      .started_wall_us = 2000000,
			      .wall_us = 3000000,
			      .name = BYTES_LIT("fastq-qc"),
			      .definition = BYTES(sha, 32),
			      .phase = 1};

	history_kit_add(&k, RECORD_ENDED, &e);
}

static void add_done(uint64_t job, uint64_t lease, uint32_t segment, struct range done)
{
	struct outcome_taken o = {.token = {3, lease}, .job = job, .done = {&done, 1}, .segment = segment};
	struct outcomes_taken r = {.worker = {0x77, lease % 2}, .wall_us = 2500000, .outcomes = {&o, 1}};

	history_kit_add(&k, RECORD_OUTCOMES, &r);
}

static void add_failed(uint64_t job, struct range shards, bool dead, const char *why)
{
	struct shard_failure f = {.first = shards.first,
				  .count = shards.count,
				  .kind = FAILURE_EXIT,
				  .code = 3,
				  .dead = dead,
				  .why = bytes_of(why)};
	struct outcome_taken o = {.token = {3, 1}, .job = job, .failed = {&f, 1}};
	struct outcomes_taken r = {.worker = {0x77, 1}, .wall_us = 2500000, .outcomes = {&o, 1}};

	history_kit_add(&k, RECORD_OUTCOMES, &r);
}

static int keep_winner(void *arg, const struct history_winner *w)
{
	struct buf *out = arg;

	if (w->is_missing)
		buf_printf(out, "%u+%u missing, ", w->shards.first, w->shards.count);
	else
		buf_printf(out, "%u+%u by %llu.%llu %u.%llu in %u, ", w->shards.first, w->shards.count,
			   (unsigned long long)w->worker.hi, (unsigned long long)w->worker.lo, w->token.epoch,
			   (unsigned long long)w->token.lease, w->segment);
	return 0;
}

static void assert_winners(uint64_t job, struct range shards, const char *expected)
{
	struct buf out = {0};

	cr_assert_eq(history_winners(k.reader, job, 0, shards, keep_winner, &out, NULL), 0);
	cr_assert_str_eq(buf_text(&out), expected);
	buf_fini(&out);
}

static int keep_failure(void *arg, const struct history_failure *f)
{
	buf_printf(arg, "%u+%u %s %lld %.*s, ", f->shards.first, f->shards.count, failure_kind_name(f->kind),
		   (long long)f->code, (int)f->why.size, (const char *)f->why.data);
	return 0;
}

static void assert_failures(uint64_t job, uint32_t first, uint32_t limit, const char *expected)
{
	struct buf out = {0};

	cr_assert_eq(history_failures(k.reader, job, 0, first, limit, &k.arena, keep_failure, &out, NULL), 0);
	cr_assert_str_eq(buf_text(&out), expected);
	buf_fini(&out);
}

Test(history, a_job_from_its_event_to_its_end)
{
	struct history_job j;
	struct bytes name, text, event;
	uint64_t shards;

	add_definition();
	add_job(12, 100);
	history_kit_write(&k);
	cr_assert_eq(history_job(k.reader, 12, &k.arena, &j, NULL), 0);
	cr_assert_eq(j.state, JOB_ACTIVE);
	cr_assert_eq(j.shards, 100);
	cr_assert_eq(j.ended_wall_us, 0);
	add_end(12, JOB_SUCCEEDED);
	history_kit_write(&k);
	cr_assert_eq(history_job(k.reader, 12, &k.arena, &j, NULL), 0);
	cr_assert(bytes_equal(j.name, BYTES_LIT("fastq-qc")));
	cr_assert(bytes_equal(j.why, BYTES_LIT("all shards are done")));
	cr_assert(bytes_equal(j.definition, BYTES(sha, 32)));
	cr_assert_eq(j.state, JOB_SUCCEEDED);
	cr_assert_eq(j.priority, -7);
	cr_assert_eq(j.dead, 2);
	cr_assert_eq(j.totals.output_bytes, 1ull << 40);
	cr_assert_eq(j.totals.cpu_us, 70);
	cr_assert_eq(j.totals.max_rss_bytes, 45ull << 20);
	cr_assert_eq(j.started_wall_us, 2000000);
	cr_assert_eq(j.ended_wall_us, 3000000);
	cr_assert_eq(j.event_id_hi, 0xe0);
	cr_assert_eq(j.event_id_lo, 12);
	cr_assert_eq(history_event(k.reader, 0xe0, 12, &k.arena, &event, NULL), 0);
	cr_assert(bytes_equal(event, BYTES_LIT("{\"id\":\"x\"}")));
	cr_assert_eq(history_definition(k.reader, j.definition, &k.arena, &name, &text, NULL), 0);
	cr_assert(bytes_equal(text, BYTES_LIT("version: 1\n")));
	cr_assert_eq(history_phase_shards(k.reader, 12, 0, &shards, NULL), 0);
	cr_assert_eq(shards, 100);
	cr_assert_eq(history_phase_shards(k.reader, 12, 1, &shards, NULL), ERR_NOT_FOUND);
	cr_assert_eq(history_job(k.reader, 13, &k.arena, &j, NULL), ERR_NOT_FOUND);
	cr_assert_eq(history_event(k.reader, 1, 1, &k.arena, &event, NULL), ERR_NOT_FOUND);
}

static void add_job_of(uint64_t job, struct bytes event)
{
	struct new_job j = {.job = job, .event_id_hi = 0xe1, .event_id_lo = job};
	struct accepted a = {.wall_us = 5, .jobs = {&j, 1}, .event = event};

	history_kit_add(&k, RECORD_ACCEPTED, &a);
}

static int name_job(void *arg, const struct history_job *j)
{
	buf_printf(arg, "%llu ", (unsigned long long)j->job);
	return 0;
}

static void assert_jobs_of(const char *text, const char *exact, uint64_t before, uint32_t limit,
			   const char *expected)
{
	struct buf out = {0};

	cr_assert_eq(history_jobs_of_event(k.reader, bytes_of(text), bytes_of(exact), before, limit, &k.arena,
					   name_job, &out, NULL),
		     0);
	cr_assert_str_eq(buf_text(&out), expected, "%s", text);
	buf_fini(&out);
}

Test(history, jobs_are_found_by_the_id_or_the_key_of_their_event)
{
	add_job_of(1, BYTES_LIT("{\"id\":\"e-1\",\"detail\":{\"object\":{\"key\":\"in/a.fastq\"}}}"));
	add_job_of(2, BYTES_LIT("{\"id\":\"e-2\",\"detail\":{\"object\":{\"key\":\"in/a.fastq\"}}}"));
	add_job_of(3, BYTES_LIT("{\"id\":\"in/a.fastq\",\"detail\":null}"));
	add_job_of(4, BYTES_LIT("{\"id\":\"e-4\",\"detail\":{\"object\":{\"key\":\"\xef\xbf\xbd\","
				"\"key-base64\":\"6Q==\"}}}"));
	add_job_of(5, BYTES_LIT("{\"id\":"));
	add_job_of(6, BYTES_LIT(""));
	history_kit_write(&k);
	assert_jobs_of("in/a.fastq", "", 0, 10, "3 2 1 ");
	assert_jobs_of("in/a.fastq", "", 3, 1, "2 ");
	assert_jobs_of("e-1", "", 0, 10, "1 ");
	assert_jobs_of("\xe9", "6Q==", 0, 10, "4 ");
	assert_jobs_of("in", "", 0, 10, "");
}

Test(history, held_paused_and_grown_jobs_are_told_so)
{
	struct new_job n = {.job = 1, .due_wall_us = 99, .name = BYTES_LIT("later")};
	struct accepted a = {.wall_us = 5, .jobs = {&n, 1}};
	struct job_changed activated = {.job = 1, .change = CHANGE_ACTIVATED};
	struct job_changed paused = {.job = 1, .change = CHANGE_PAUSED, .why = BYTES_LIT("by hand")};
	struct job_changed resumed = {.job = 1, .change = CHANGE_RESUMED};
	struct plan_piece piece = {.job = 1, .count = 40};
	struct plan_sealed sealed = {.job = 1, .plan = {.shard_count = 77}};
	struct phase_started gather = {.job = 1, .phase = 1, .plan = {.shard_count = 3}};
	struct history_job j;
	uint64_t shards;

	history_kit_add(&k, RECORD_ACCEPTED, &a);
	history_kit_write(&k);
	cr_assert_eq(history_job(k.reader, 1, &k.arena, &j, NULL), 0);
	cr_assert_eq(j.state, JOB_HELD);
	cr_assert_eq(j.due_wall_us, 99);
	history_kit_add(&k, RECORD_JOB_CHANGED, &activated);
	history_kit_add(&k, RECORD_JOB_CHANGED, &paused);
	history_kit_add(&k, RECORD_PLAN_PIECE, &piece);
	history_kit_add(&k, RECORD_PLAN_PIECE, &piece);
	history_kit_write(&k);
	cr_assert_eq(history_job(k.reader, 1, &k.arena, &j, NULL), 0);
	cr_assert_eq(j.state, JOB_ACTIVE);
	cr_assert(j.paused);
	cr_assert(bytes_equal(j.why, BYTES_LIT("by hand")));
	cr_assert_eq(j.shards, 80);
	history_kit_add(&k, RECORD_JOB_CHANGED, &resumed);
	history_kit_add(&k, RECORD_PLAN_SEALED, &sealed);
	history_kit_add(&k, RECORD_PHASE_STARTED, &gather);
	history_kit_write(&k);
	cr_assert_eq(history_job(k.reader, 1, &k.arena, &j, NULL), 0);
	cr_assert_not(j.paused);
	cr_assert_eq(j.shards, 77);
	cr_assert_eq(j.phase, 1);
	cr_assert_eq(history_phase_shards(k.reader, 1, 1, &shards, NULL), 0);
	cr_assert_eq(shards, 3);
}

Test(history, winners_come_in_shard_order_with_what_is_missing_between)
{
	add_job(1, 100);
	add_done(1, 2, 7, (struct range){50, 10});
	add_done(1, 1, 4, (struct range){10, 20});
	add_done(1, 3, 7, (struct range){95, 5});
	history_kit_write(&k);
	assert_winners(1, (struct range){0, 100},
		       "0+10 missing, 10+20 by 119.1 3.1 in 4, 30+20 missing, 50+10 by 119.0 3.2 in 7, "
		       "60+35 missing, 95+5 by 119.1 3.3 in 7, ");
	assert_winners(1, (struct range){15, 40},
		       "15+15 by 119.1 3.1 in 4, 30+20 missing, 50+5 by 119.0 3.2 in 7, ");
	assert_winners(1, (struct range){55, 1}, "55+1 by 119.0 3.2 in 7, ");
	assert_winners(1, (struct range){60, 30}, "60+30 missing, ");
	assert_winners(2, (struct range){0, 5}, "0+5 missing, ");
}

Test(history, the_reports_of_one_lease_make_one_row)
{
	add_job(1, 1000);
	for (uint32_t i = 0; i < 50; i++)
		add_done(1, 1, 4, (struct range){10 * i, 10});
	add_done(1, 1, 5, (struct range){500, 10});
	history_kit_write(&k);
	assert_winners(1, (struct range){0, 510}, "0+500 by 119.1 3.1 in 4, 500+10 by 119.1 3.1 in 5, ");
	cr_assert_eq(history_kit_number(&k, "SELECT count(*) FROM ranges"), 2);
}

#define N 400u

struct plain {
	uint64_t lease[N]; /* 0 = missing */
	bool dead[N];
	uint32_t at;
};

static int compare_winner(void *arg, const struct history_winner *w)
{
	struct plain *p = arg;

	cr_assert_eq(w->shards.first, p->at);
	for (; p->at < range_end(w->shards); p->at++)
		cr_assert_eq(w->is_missing ? 0 : w->token.lease, p->lease[p->at], "shard %u", p->at);
	return 0;
}

static int compare_failure(void *arg, const struct history_failure *f)
{
	struct plain *p = arg;

	for (; p->at < f->shards.first; p->at++)
		cr_assert_not(p->dead[p->at], "shard %u", p->at);
	for (; p->at < range_end(f->shards); p->at++)
		cr_assert(p->dead[p->at], "shard %u", p->at);
	return 0;
}

/* Shards die, are retried, are done, at random, against a plain array. */
Test(history, random_lives_of_shards_agree_with_a_plain_array)
{
	struct plain p = {0};
	uint64_t seed = 11;
	struct rng r;

	rng_seed(&r, seed);
	add_job(1, N);
	for (int i = 0; i < 1500; i++) {
		uint32_t first = (uint32_t)rng_below(&r, N);
		struct range s = {first, 1 + (uint32_t)rng_below(&r, N - first < 12 ? N - first : 12)};
		struct retried retried = {.job = 1, .shards = {&s, 1}};
		uint64_t lease = 1 + rng_below(&r, 3), what = rng_below(&r, 5);
		bool any_done = false;

		for (uint32_t n = first; n < range_end(s); n++)
			any_done |= p.lease[n] != 0;
		if (any_done)
			continue;
		for (uint32_t n = first; n < range_end(s); n++) {
			p.dead[n] = what > 1;
			p.lease[n] = what == 0 ? lease : 0;
		}
		if (what == 0)
			add_done(1, lease, 0, s);
		else if (what == 1)
			history_kit_add(&k, RECORD_RETRIED, &retried);
		else
			add_failed(1, s, true, what == 2 ? "a" : "b");
		if (i % 50 != 0)
			continue;
		history_kit_write(&k);
		p.at = 0;
		cr_assert_eq(history_winners(k.reader, 1, 0, (struct range){0, N}, compare_winner, &p, NULL),
			     0);
		cr_assert_eq(p.at, N);
		p.at = 0;
		cr_assert_eq(history_failures(k.reader, 1, 0, 0, N, &k.arena, compare_failure, &p, NULL), 0);
		for (; p.at < N; p.at++)
			cr_assert_not(p.dead[p.at]);
	}
}

Test(history, dead_shards_are_listed_with_why)
{
	struct range dead[] = {{90, 2}};
	struct crashed c = {.job = 1, .dead = {dead, 1}};

	add_job(1, 100);
	add_failed(1, (struct range){5, 1}, false, "will be tried again");
	add_failed(1, (struct range){10, 1}, true, "no adapter");
	add_failed(1, (struct range){11, 4}, true, "no adapter");
	add_failed(1, (struct range){20, 1}, true, "other");
	history_kit_add(&k, RECORD_CRASHED, &c);
	history_kit_write(&k);
	assert_failures(1, 0, 10, "10+5 exit 3 no adapter, 20+1 exit 3 other, 90+2 crashes 0 , ");
	assert_failures(1, 12, 2, "10+5 exit 3 no adapter, 20+1 exit 3 other, ");
	assert_failures(1, 15, 1, "20+1 exit 3 other, ");
}

Test(history, rows_of_dead_shards_are_bounded)
{
	char why[32];

	add_job(1, 1000000);
	for (uint32_t i = 0; i < HISTORY_FAILURES_MAX + 200; i++) {
		snprintf(why, sizeof why, "reason %u", i);
		add_failed(1, (struct range){i, 1}, true, why);
	}
	add_failed(2, (struct range){0, 1}, true, "another job's");
	history_kit_write(&k);
	cr_assert_eq(history_kit_number(&k, "SELECT count(*) FROM failures WHERE job = 1"),
		     HISTORY_FAILURES_MAX);
	cr_assert_eq(history_kit_number(&k, "SELECT count(*) FROM failures WHERE job = 2"), 1);
}

static int keep_id(void *arg, const struct history_job *j)
{
	buf_printf(arg, "%llu ", (unsigned long long)j->job);
	return 0;
}

Test(history, jobs_are_listed_newest_first_by_state_and_cursor)
{
	static const struct {
		uint64_t before;
		uint32_t states, limit;
		const char *expected;
	} cases[] = {
	    {0, 0, 100, "9 8 7 6 5 4 3 2 1 "},
	    {0, 0, 3, "9 8 7 "},
	    {7, 0, 3, "6 5 4 "},
	    {0, 1 << JOB_FAILED, 100, "9 6 3 "},
	    {9, 1 << JOB_FAILED, 1, "6 "},
	    {0, 1 << JOB_FAILED | 1 << JOB_SUCCEEDED, 4, "9 8 6 5 "},
	    {1, 0, 100, ""},
	};

	for (uint64_t job = 1; job <= 9; job++) {
		add_job(job, 1);
		if (job % 3 != 1)
			add_end(job, job % 3 == 0 ? JOB_FAILED : JOB_SUCCEEDED);
	}
	history_kit_write(&k);
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct buf out = {0};

		cr_assert_eq(history_jobs(k.reader, cases[i].before, cases[i].states, cases[i].limit,
					  &k.arena, keep_id, &out, NULL),
			     0);
		cr_assert_str_eq(buf_text(&out), cases[i].expected, "case %zu", i);
		buf_fini(&out);
	}
}

Test(history, a_carried_job_is_known_also_when_the_journal_was_trimmed)
{
	struct shard_count_range dead[] = {{4, 2, FAILURE_TIMEOUT}};
	struct shard_failure notes[] = {
	    {.first = 4, .count = 1, .kind = FAILURE_EXIT, .code = 9, .why = BYTES_LIT("no")}};
	struct job_slice s = {.job = 5,
			      .last = true,
			      .window_end = 10,
			      .dead = {dead, 1},
			      .body = {.job = 5, .name = BYTES_LIT("old"), .definition = BYTES(sha, 32)},
			      .state = JOB_ACTIVE,
			      .plan = {.shard_count = 10},
			      .accepted_wall_us = 4,
			      .notes = {notes, 1}};
	struct history_job j;

	for (int again = 0; again < 3; again++) {
		history_kit_add(&k, RECORD_JOB_SLICE, &s);
		history_kit_write(&k);
		cr_assert_eq(history_job(k.reader, 5, &k.arena, &j, NULL), 0);
		cr_assert_eq(j.shards, 10);
		assert_failures(5, 0, 10, "4+1 exit 9 no, 5+1 timeout 0 , ");
	}
	add_end(5, JOB_FAILED);
	history_kit_write(&k);
	cr_assert_eq(history_job(k.reader, 5, &k.arena, &j, NULL), 0);
	cr_assert_eq(j.state, JOB_FAILED);
}

Test(history, people_may_query_it_with_views)
{
	add_definition();
	add_job(12, 100);
	add_done(12, 1, 0, (struct range){0, 98});
	add_failed(12, (struct range){98, 2}, true, "no adapter");
	add_end(12, JOB_SUCCEEDED);
	history_kit_write(&k);
	cr_assert_eq(
	    history_kit_number(&k, "SELECT count(*) FROM job_list WHERE state = 'succeeded' AND ended = "
				   "'1970-01-01 00:00:03' AND seconds = 2.0 AND definition LIKE 'abcd0%' "
				   "AND event LIKE '%0c'"),
	    1);
	cr_assert_eq(history_kit_number(&k,
					"SELECT count(*) FROM done_ranges WHERE job = 12 AND last = 97 AND "
					"worker LIKE '%0077%01'"),
		     1);
	cr_assert_eq(
	    history_kit_number(&k, "SELECT count(*) FROM dead_shards WHERE kind = 'exit' AND last = 99"), 1);
}
