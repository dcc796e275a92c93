#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "dispatcher/explain.h"
#include "jobs/kinds.h"

#define NOW (1000 * USEC_PER_SEC)

static struct view_job queued(void)
{
	return (struct view_job){.job = 1,
				 .state = JOB_ACTIVE,
				 .word = JOB_WORD_QUEUED,
				 .sealed = true,
				 .counts = {.shards = 10, .pending = 10}};
}

static struct pool_told pool(void)
{
	return (struct pool_told){.name = "local", .max_workers = 4, .cpu_milli = 2000};
}

static void expect(const struct view_job *v, const struct view_supply *s, const struct pool_told *p,
		   const char *sentence)
{
	const struct pools pools = {.items = (struct pool_told *)p, .count = p != NULL};
	const struct why_facts f = {.job = v, .supply = s, .pools = &pools, .mono_us = NOW, .wall_us = NOW};
	struct buf out = {0};

	why_not(&f, &out);
	cr_expect_str_eq(buf_text(&out), sentence);
	buf_fini(&out);
}

Test(why, nobody_is_there)
{
	const struct resources one = {.cpu_milli = 1000}, eight = {.cpu_milli = 8000};
	const struct view_job v = queued();
	struct view_supply s = {.need = &one};
	struct pool_told p = pool();

	expect(
	    &v, &s, NULL,
	    "no worker is connected, and no scaler tells of one: start `shardmill up` or `shardmill worker`");
	expect(&v, &s, &p, "no worker is connected; the pool local has not started one yet");
	p.starting = 2;
	expect(&v, &s, &p, "no worker is connected; the pool local starts 2 workers");
	s.need = &eight;
	expect(&v, &s, &p,
	       "no worker or pool offers 8 cpus; the largest offer is 2; the pool local starts none with 8 "
	       "cpus: "
	       "its workers have 2 each");
	s = (struct view_supply){.need = &one, .draining = 2, .quarantined = 1};
	expect(&v, &s, NULL,
	       "no worker takes work: 2 draining, 1 in quarantine, since all failed there, and no scaler "
	       "tells of "
	       "one: start `shardmill up` or `shardmill worker`");
}

Test(why, its_group_is_full)
{
	struct view_job v = queued();

	v.state = JOB_HELD;
	v.group = (struct view_group){.name = BYTES_LIT("db"),
				      .limit = 1,
				      .waits = true,
				      .active = 1,
				      .holders = {7},
				      .holder_count = 1};
	expect(&v, NULL, NULL,
	       "it waits for room in the concurrency group \"db\" (at most 1 active): job 7 holds it");
	v.group = (struct view_group){.name = BYTES_LIT("a\nb"),
				      .limit = 5,
				      .waits = true,
				      .before = 2,
				      .active = 5,
				      .holders = {7, 8, 9},
				      .holder_count = 3};
	expect(&v, NULL, NULL,
	       "it waits for room in the concurrency group \"a\\nb\" (at most 5 active): jobs 7, 8, 9 and 2 "
	       "more hold it, and 2 older jobs wait before it");
	v.group.waits = false;
	v.due_wall_us = NOW + 5 * USEC_PER_SEC;
	expect(&v, NULL, NULL, "it is held and starts in 5s");
}

Test(why, its_rate_is_used_up)
{
	const struct resources one = {.cpu_milli = 1000};
	const struct view_supply s = {.need = &one};
	struct view_job v = queued();

	v.rate = (struct rate){10, 60 * USEC_PER_SEC};
	v.rate_wait_us = 1500 * USEC_PER_MSEC;
	expect(&v, &s, NULL, "its rate, 10/1m, lets the next shard start in 2s");
}

Test(why, starts_fail)
{
	const struct resources one = {.cpu_milli = 1000};
	const struct view_job v = queued();
	const struct view_supply s = {.need = &one};
	struct pool_told p = pool();

	p.failed_starts = 3;
	p.retry_us = NOW + 7400 * USEC_PER_MSEC;
	snprintf(p.failure, sizeof(p.failure), "No space left on device");
	expect(
	    &v, &s, &p,
	    "no worker is connected; the pool local starts nothing: 3 starts failed, last: No space left on "
	    "device; next try in 8s");
	p.retry_us = NOW - 1;
	expect(
	    &v, &s, &p,
	    "no worker is connected; the pool local starts nothing: 3 starts failed, last: No space left on "
	    "device; next try at once");
	p.starting = p.failed_starts = 1;
	p.failure[0] = '\0';
	expect(
	    &v, &s, &p,
	    "no worker is connected; the pool local tries one start: 1 start failed, last: without a reason");
}

Test(why, no_worker_is_large_enough)
{
	struct named_amount licenses[] = {{BYTES_LIT("license"), 3000}},
			    few[] = {{BYTES_LIT("license"), 500}};
	const struct view_job v = queued();
	static const struct {
		struct resources need, largest;
		const char *sentence;
	} cases[] = {
	    {{.cpu_milli = 8000}, {.cpu_milli = 2500}, "no worker has 8 cpus (the most that one has is 2.5)"},
	    {{.cpu_milli = 1000, .memory_bytes = 64 * GIB},
	     {.cpu_milli = 2000, .memory_bytes = 8 * GIB},
	     "no worker has 64GiB of memory (the most that one has is 8GiB)"},
	    {{.cpu_milli = 1000, .gpu_milli = 1000},
	     {.cpu_milli = 2000},
	     "no worker has 1 gpu (the most that one has is 0)"},
	    {{.cpu_milli = 1000, .gpu_milli = 1500},
	     {.cpu_milli = 2000, .gpu_milli = 500},
	     "no worker has 1.5 gpus (the most that one has is 0.5)"},
	    /* one has the cpus, another one the memory */
	    {{.cpu_milli = 2000, .memory_bytes = 8 * GIB},
	     {.cpu_milli = 2000, .memory_bytes = 8 * GIB},
	     "no worker has at once all that a shard needs"},
	};
	struct view_supply s;

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		s = (struct view_supply){.need = &cases[i].need, .workers = 2, .largest = cases[i].largest};
		expect(&v, &s, NULL, cases[i].sentence);
	}
	s.need = &(struct resources){.cpu_milli = 1000, .named = {licenses, 1}};
	s.largest = (struct resources){.cpu_milli = 1000, .named = {few, 1}};
	expect(&v, &s, NULL, "no worker has 3 of license (the most that one has is 0.5)");
}

Test(why, workers_are_busy_elsewhere)
{
	const struct resources one = {.cpu_milli = 1000};
	struct view_supply s = {.need = &one, .workers = 4, .fitting = 4};
	struct view_job v = queued();
	struct pool_told p = pool();

	expect(&v, &s, NULL, "the 4 workers that could run it work on other jobs");
	p.ready = p.wanted = 4;
	expect(&v, &s, &p,
	       "the 4 workers that could run it work on other jobs; the pool local has the 4 workers that it "
	       "may "
	       "have");
	s.fitting = 1;
	expect(&v, &s, NULL, "the worker that could run it works on other jobs");
	s.fitting = VIEW_FITTING_MAX;
	expect(&v, &s, NULL, "all 1000 and more workers that could run it work on other jobs");
	s.idle = 1;
	expect(&v, &s, &p, "");
	s.idle = 0;
	v.counts.leased = 1;
	expect(&v, &s, &p, "");
}

Test(why, the_job_itself_waits)
{
	struct view_job v = queued();

	v.counts.pending = 0;
	v.counts.delayed = 1;
	v.next_attempt_wall_us = NOW + 250 * USEC_PER_MSEC;
	expect(&v, NULL, NULL, "1 shard failed and waits for the next attempt, due in 250ms");
	v.counts.delayed = 2;
	v.next_attempt_wall_us = NOW + 90 * USEC_PER_SEC;
	expect(&v, NULL, NULL, "2 shards failed and wait for the next attempt, the first in 1m30s");
	v.paused = true;
	expect(&v, NULL, NULL, "it is paused until somebody resumes it");
	v.why = BYTES_LIT("lunch");
	expect(&v, NULL, NULL, "lunch");
	v = (struct view_job){.state = JOB_HELD, .due_wall_us = NOW + 3600 * USEC_PER_SEC};
	expect(&v, NULL, NULL, "it is held and starts in 1h");
	v = (struct view_job){.state = JOB_ACTIVE, .word = JOB_WORD_PLANNING};
	expect(&v, NULL, NULL, "");
	v.planner_failures = 2;
	v.planner_why = BYTES_LIT("no such file");
	v.planner_due_wall_us = NOW + USEC_PER_SEC;
	expect(&v, NULL, NULL, "its planner has failed 2 times, last: no such file; next try in 1s");
	v.state = JOB_FAILED;
	expect(&v, NULL, NULL, "");
}

Test(why, the_walk_over_workers_is_spared_where_it_says_nothing)
{
	struct view_job v = queued();

	cr_expect(why_asks_supply(&v));
	v.counts.leased = 1;
	cr_expect_not(why_asks_supply(&v));
	v = queued();
	v.paused = true;
	cr_expect_not(why_asks_supply(&v));
	v = queued();
	v.state = JOB_SUCCEEDED;
	cr_expect_not(why_asks_supply(&v));
}

/* ---- explain ---- */

static void add_sentence(void *arg, struct bytes sentence)
{
	buf_append_bytes(arg, sentence);
	buf_append(arg, "\n", 1);
}

Test(why, explain_says_where_each_shard_stands)
{
	struct view_job v = queued();
	struct buf out = {0};
	const struct view_dead dead[] = {
	    {.shards = {3, 1}, .kind = FAILURE_EXIT, .noted = true, .code = 2, .why = BYTES_LIT("bad read")},
	    {.shards = {5, 2}, .kind = FAILURE_TIMEOUT},
	    /* An errno says nothing to a person. */
	    {.shards = {8, 1},
	     .kind = FAILURE_NO_PROGRAM,
	     .noted = true,
	     .code = 2,
	     .why = BYTES_LIT("no program")}};
	struct pool_told p = pool();
	const struct pools pools = {.items = &p, .count = 1};
	const struct policy policy = {.tolerate_kind = TOLERATE_TO_THE_END};
	const struct why_facts f = {
	    .job = &v, .pools = &pools, .policy = &policy, .mono_us = NOW, .wall_us = NOW};
	const struct explain e = {
	    .facts = &f, .dead = dead, .dead_count = 3, .gathers = true, .add = add_sentence, .arg = &out};

	v.name = BYTES_LIT("night");
	v.word = JOB_WORD_RUNNING;
	v.counts = (struct view_counts){.shards = 10, .leased = 2, .delayed = 1, .done = 4, .dead = 3};
	v.retries = 1;
	v.estimate_us = 1500 * USEC_PER_MSEC;
	v.next_attempt_wall_us = NOW + USEC_PER_SEC;
	v.accepted_wall_us = NOW - 60 * USEC_PER_SEC;
	v.started_wall_us = NOW - 50 * USEC_PER_SEC;
	p.ready = p.wanted = 1;
	snprintf(p.why, sizeof(p.why), "that is enough");
	explain_job(&e);
	cr_expect_str_eq(
	    buf_text(&out),
	    "job 1 night is running: 4 of 10 shards are done, 2 leased to workers, 1 waiting for "
	    "another attempt, 3 dead\n"
	    "1 shard failed and waits for the next attempt, due in 1s\n"
	    "3 shards are dead: the job fails when all others have ended (keep_going)\n"
	    "1 attempt failed and was made again\n"
	    "a shard takes about 2s\n"
	    "its gather begins when all shards are done\n"
	    "shard 3 is dead: exit 2, bad read\n"
	    "shards 5 to 6 are dead: timeout\n"
	    "shard 8 is dead: no_program, no program\n"
	    "it was accepted 1m ago and started 10s later\n"
	    "the pool local has 1 worker and wants 1; its scaler says: that is enough\n");
	buf_clear(&out);
	v.state = JOB_FAILED;
	v.word = JOB_WORD_FAILED;
	v.why = BYTES_LIT("3 of 10 shards are dead");
	v.ended_wall_us = NOW - 30 * USEC_PER_SEC;
	explain_job(&e);
	cr_expect_str_eq(buf_text(&out), "job 1 night has failed: 4 of 10 shards are done, 3 dead\n"
					 "its end: 3 of 10 shards are dead\n"
					 "shard 3 is dead: exit 2, bad read\n"
					 "shards 5 to 6 are dead: timeout\n"
					 "shard 8 is dead: no_program, no program\n"
					 "it ended 30s ago, 30s after it was accepted\n");
	buf_fini(&out);
}

Test(why, dead_shards_have_an_outlook)
{
	static const struct {
		struct policy policy;
		uint64_t dead;
		const char *sentence;
	} cases[] = {
	    {{.tolerate_kind = TOLERATE_TO_THE_END}, 0, ""},
	    {{.tolerate_kind = TOLERATE_TO_THE_END},
	     1,
	     "1 shard is dead: the job fails when all others have ended (keep_going)"},
	    {{.tolerate_kind = TOLERATE_FAILURES, .tolerate = 3},
	     2,
	     "2 shards are dead: the job fails when all others have ended, or when more than 3 are dead "
	     "(max_failures)"},
	    {{.tolerate_kind = TOLERATE_COUNT, .tolerate = 3},
	     2,
	     "2 shards are dead: the job fails when more than 3 are (tolerate)"},
	    {{.tolerate_kind = TOLERATE_PPM, .tolerate = 25000},
	     2,
	     "2 shards are dead: the job fails when more than 2.5% are (tolerate)"},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct view_job v = queued();
		const struct why_facts f = {.job = &v, .policy = &cases[i].policy};
		struct buf out = {0};

		v.counts.dead = cases[i].dead;
		why_outlook(&f, &out);
		cr_expect_str_eq(buf_text(&out), cases[i].sentence);
		buf_clear(&out);
		v.state = JOB_FAILED;
		why_outlook(&f, &out);
		cr_expect_eq(out.size, 0);
		buf_fini(&out);
	}
}

Test(why, dead_shards_have_the_numbers_of_their_array)
{
	struct view_job v = queued();
	const struct view_dead dead[] = {{.shards = {0, 1}, .kind = FAILURE_EXIT, .noted = true, .code = 2},
					 {.shards = {2, 2}, .kind = FAILURE_EXIT},
					 {.shards = {0, 1}, .kind = FAILURE_TIMEOUT}};
	struct pool_told p = pool();
	const struct pools pools = {.items = &p, .count = 0};
	const struct plan plan = {.kind = PLAN_COUNT, .start = 5, .step = 1, .shard_count = 10};
	const struct why_facts f = {.job = &v, .pools = &pools, .mono_us = NOW, .wall_us = NOW};
	struct buf out = {0};
	const struct explain e = {.facts = &f,
				  .dead = dead,
				  .dead_count = 3,
				  .dead_in_shards = 2,
				  .plan = &plan,
				  .add = add_sentence,
				  .arg = &out};

	explain_job(&e);
	cr_expect_not_null(strstr(buf_text(&out), "shard 5 is dead: exit 2\n"));
	cr_expect_not_null(strstr(buf_text(&out), "shards 7 to 8 are dead: exit\n"));
	cr_expect_not_null(strstr(buf_text(&out), "shard 0 is dead: timeout\n"), "of the gather");
	buf_fini(&out);
}

static void expect_explained(const struct view_job *v, const struct pool_told *p, const char *expected)
{
	const struct pools pools = {.items = (struct pool_told *)(uintptr_t)p, .count = 1};
	const struct why_facts f = {.job = v, .pools = &pools, .mono_us = NOW, .wall_us = NOW};
	struct buf out = {0};
	const struct explain e = {.facts = &f, .add = add_sentence, .arg = &out};

	explain_job(&e);
	cr_expect(strstr(buf_text(&out), expected) != NULL, "expected \"%s\" in:\n%s", expected,
		  buf_text(&out));
	buf_fini(&out);
}

Test(why, explain_says_once_that_a_job_is_paused)
{
	struct view_job v = queued();
	struct pool_told p = pool();

	v.paused = true;
	expect_explained(&v, &p, "\nit is paused until somebody resumes it\n");
	v.why = BYTES_LIT("the disk is being changed");
	expect_explained(&v, &p, "\nit is paused: the disk is being changed\n");
}

Test(why, explain_tells_of_a_pool_that_wants_fewer_workers_than_it_has)
{
	struct view_job v = queued();
	struct pool_told p = pool();

	v.paused = true;
	p.ready = 1;
	p.wanted = 0;
	expect_explained(&v, &p, "the pool local has 1 worker and wants 0");
	p.ready = 0;
	expect_explained(&v, &p, "the pool local has 0 workers and wants 0");
}

Test(why, a_limit_is_told_before_the_workers_are)
{
	const struct resources one = {.cpu_milli = 1000};
	const struct view_job v = queued();
	const struct view_supply busy = {.need = &one, .workers = 1, .fitting = 1};
	const struct pools pools = {.count = 0};
	struct view_hold h = {.kind = VIEW_HOLD_PAUSED, .queue = BYTES_LIT("q")};
	struct why_facts f = {
	    .job = &v, .supply = &busy, .hold = &h, .pools = &pools, .mono_us = NOW, .wall_us = NOW};
	struct buf out = {0};

	why_not(&f, &out);
	cr_expect_str_eq(buf_text(&out), "queue q is paused");
	h = (struct view_hold){.kind = VIEW_HOLD_AGE, .queue = BYTES_LIT("q"), .next = 7};
	buf_clear(&out);
	why_not(&f, &out);
	cr_expect_str_eq(buf_text(&out),
			 "the worker that could run it works on other jobs; job 7 goes first in "
			 "queue q: it is older");
	buf_fini(&out);
}
