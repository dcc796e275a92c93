/* Queues have weights and limits, people are refused what passes them, and all of it outlives a start. */
#include <criterion/criterion.h>
#include <string.h>

#include "base/rng.h"
#include "tests/unit/dispatcher/kit.h"

static struct kit k;

static const struct principal anna = {.kind = BY_UID, .name = {(const uint8_t *)"anna", 4}, .number = 1000};
static const struct principal ben = {.kind = BY_UID, .name = {(const uint8_t *)"ben", 3}, .number = 1001};
static const struct principal rule = {.kind = BY_RULE, .name = {(const uint8_t *)"r", 1}};

static void set(struct queue_changed as)
{
	as.weight = as.weight != 0 ? as.weight : 1;
	cr_assert_eq(kit_set_queue(&k, as), ERR_OK, "%s", k.reply.why);
}

static void open_with(uint32_t cpu_milli)
{
	kit_prepare(&k);
	k.config.lease_ahead_us = 0;
	kit_start(&k);
	kit_register(&k, 0, cpu_milli);
}

static uint64_t leased(uint64_t job)
{
	return kit_view(&k, job).counts.leased;
}

/* The oldest lease of the job that is out. */
static struct kit_lease *lease_of(uint64_t job)
{
	for (uint32_t i = 0; i < k.workers[0].lease_count; i++) {
		struct kit_lease *l = &k.workers[0].leases[i];

		if (l->job == job && dispatcher_view_is_leased(k.core, l->token))
			return l;
	}
	cr_assert_fail("job %llu has no lease", (unsigned long long)job);
	return NULL;
}

static void end_one(uint64_t job)
{
	kit_done(&k, 0, lease_of(job));
}

/* ---- weights ---- */

static void serve(uint32_t *at, uint32_t n, const uint64_t jobs[3], uint32_t served[3])
{
	for (int i = 0; i < 3; i++)
		served[i] = 0;
	for (; n > 0; n--, (*at)++) {
		cr_assert_lt(*at, k.workers[0].lease_count);
		for (int i = 0; i < 3; i++)
			served[i] += k.workers[0].leases[*at].job == jobs[i];
		kit_done(&k, 0, &k.workers[0].leases[*at]);
	}
}

static void weigh(uint32_t a, uint32_t b, uint32_t c)
{
	set((struct queue_changed){.name = BYTES_LIT("a"), .weight = a});
	set((struct queue_changed){.name = BYTES_LIT("b"), .weight = b});
	set((struct queue_changed){.name = BYTES_LIT("c"), .weight = c});
}

Test(queues, share_by_weight_and_a_change_counts_at_once)
{
	uint64_t jobs[3];
	uint32_t served[3], at = 0;

	open_with(2000);
	weigh(1, 2, 4);
	for (int i = 0; i < 3; i++)
		jobs[i] = kit_submit(
		    &k, (struct kit_job){.shards = 100000, .queue = (const char *[]){"a", "b", "c"}[i]});
	serve(&at, 60, jobs, served); /* each had a quantum of its own */
	serve(&at, 140, jobs, served);
	cr_expect(served[0] >= 18 && served[0] <= 22, "%u", served[0]);
	cr_expect(served[1] >= 38 && served[1] <= 42, "%u", served[1]);
	weigh(4, 2, 1);
	serve(&at, 140, jobs, served);
	cr_expect(served[0] >= 76 && served[0] <= 84, "%u", served[0]);
	cr_expect(served[2] >= 18 && served[2] <= 22, "%u", served[2]);
	kit_close(&k);
}

Test(queues, keys_of_one_have_weights)
{
	struct queue_weight heavy = {.key = BYTES_LIT("heavy"), .weight = 3};
	uint64_t jobs[3] = {0};
	uint32_t served[3], at = 0;

	open_with(2000);
	jobs[0] = kit_submit(&k, (struct kit_job){.shards = 100000, .fair_key = "light"});
	jobs[1] = kit_submit(&k, (struct kit_job){.shards = 100000, .fair_key = "heavy"});
	serve(&at, 40, jobs, served);
	set((struct queue_changed){.name = BYTES_LIT("default"), .weights = {&heavy, 1}});
	serve(&at, 80, jobs, served);
	cr_expect(served[0] >= 18 && served[0] <= 22, "%u", served[0]);
	kit_close(&k);
}

/* ---- what runs at a time ---- */

Test(queues, run_no_more_shards_than_their_limit)
{
	uint64_t first, second, other;

	open_with(8000);
	set((struct queue_changed){.name = BYTES_LIT("few"), .limits = {.running = 3}});
	first = kit_submit(&k, (struct kit_job){.shards = 2, .queue = "few"});
	second = kit_submit(&k, (struct kit_job){.shards = 5, .queue = "few"});
	cr_expect_eq(leased(first), 2);
	cr_expect_eq(leased(second), 1);
	other = kit_submit(&k, (struct kit_job){.shards = 9, .queue = "other"});
	cr_expect_eq(leased(other), 5, "who waits for a limit is passed");
	end_one(first);
	cr_expect_eq(leased(second), 2, "its lease made room");
	set((struct queue_changed){.name = BYTES_LIT("few"), .limits = {.running = 4}});
	end_one(other);
	cr_expect_eq(leased(second) + leased(other), 7);
	set((struct queue_changed){.name = BYTES_LIT("few")});
	while (leased(other) > 0 || kit_view(&k, other).counts.pending > 0)
		end_one(other);
	cr_expect_eq(leased(second), 5, "no limit is left");
	kit_close(&k);
}

Test(queues, that_wait_for_a_limit_need_no_workers)
{
	struct view_demand d[4];

	open_with(1000);
	set((struct queue_changed){.name = BYTES_LIT("few"), .limits = {.running = 3}});
	kit_submit(&k, (struct kit_job){.shards = 100, .queue = "few"});
	for (int i = 0; i < 50; i++)
		kit_submit(&k, (struct kit_job){.shards = 1, .queue = "few"});
	cr_assert_eq(dispatcher_view_demand(k.core, d, 4), 1);
	cr_expect_eq(d[0].pending_shards, 2, "%llu", (unsigned long long)d[0].pending_shards);
	set((struct queue_changed){.name = BYTES_LIT("few")});
	dispatcher_view_demand(k.core, d, 4);
	cr_expect_eq(d[0].pending_shards, 149);
	kit_close(&k);
}

Test(queues, bound_cpus_and_what_is_first_is_waited_for)
{
	uint64_t small, large, tail;

	open_with(16000);
	set((struct queue_changed){.name = BYTES_LIT("default"), .limits = {.cpu_milli = 4000}});
	small = kit_submit(&k, (struct kit_job){.shards = 3});
	large = kit_submit(&k, (struct kit_job){.shards = 1, .cpu_milli = 3000});
	tail = kit_submit(&k, (struct kit_job){.shards = 10});
	cr_expect_eq(leased(small), 3);
	end_one(small);
	cr_expect(leased(large) == 0 && leased(tail) == 0, "the large one is first, and does not fit yet");
	end_one(small);
	cr_expect_eq(leased(large), 1);
	end_one(small);
	cr_expect_eq(leased(tail), 1);
	kit_close(&k);
}

Test(queues, do_not_keep_cpus_for_what_no_worker_could_run)
{
	uint64_t small, large, tail;

	open_with(4000);
	set((struct queue_changed){.name = BYTES_LIT("default"), .limits = {.cpu_milli = 6000}});
	small = kit_submit(&k, (struct kit_job){.shards = 2});
	large = kit_submit(&k, (struct kit_job){.shards = 1, .cpu_milli = 5000, .priority = 1});
	tail = kit_submit(&k, (struct kit_job){.shards = 10});
	cr_expect_eq(leased(small) + leased(tail), 4);
	kit_register(&k, 1, 5000);
	cr_expect_eq(leased(large), 0, "now it is waited for");
	end_one(small);
	end_one(small);
	end_one(tail);
	cr_expect_eq(leased(large), 1);
	cr_expect_eq(leased(tail), 1);
	kit_close(&k);
}

Test(queues, bound_each_owner)
{
	uint64_t of_anna, more, of_ben;

	open_with(16000);
	of_anna = kit_submit(&k, (struct kit_job){.shards = 4, .by = anna});
	more = kit_submit(&k, (struct kit_job){.shards = 4, .by = anna, .priority = 3});
	cr_expect_eq(leased(of_anna) + leased(more), 8);
	/* Owners were not told apart so far. */
	set((struct queue_changed){.name = BYTES_LIT("default"), .owner_limits = {.running = 3}});
	of_ben = kit_submit(&k, (struct kit_job){.shards = 9, .by = ben});
	cr_expect_eq(leased(of_ben), 3);
	for (int i = 0; i < 3; i++) {
		end_one(of_anna);
		end_one(more);
	}
	cr_expect_eq(leased(of_anna) + leased(more), 2);
	more = kit_submit(&k, (struct kit_job){.shards = 4, .by = anna});
	cr_expect_eq(leased(more), 1);
	kit_restart(&k);
	kit_compare_replay(&k);
	set((struct queue_changed){.name = BYTES_LIT("default")});
	cr_expect_eq(kit_view(&k, of_ben).counts.done, 0);
	kit_close(&k);
}

/* Owners that share a key: the older job goes first, and who has no room does not keep the other. */
Test(queues, that_bound_owners_keep_the_order_of_age_in_a_key)
{
	uint64_t jobs[4];

	open_with(1000);
	set((struct queue_changed){.name = BYTES_LIT("default"), .owner_limits = {.running = 1}});
	for (int i = 0; i < 4; i++)
		jobs[i] = kit_submit(
		    &k, (struct kit_job){.shards = 1, .by = i % 2 == 0 ? anna : ben, .fair_key = "t"});
	for (int i = 0; i < 4; i++) {
		cr_expect_eq(leased(jobs[i]), 1, "%d", i);
		end_one(jobs[i]);
	}
	kit_close(&k);
}

Test(queues, that_are_paused_start_nothing)
{
	uint64_t job;

	open_with(4000);
	job = kit_submit(&k, (struct kit_job){.shards = 9});
	cr_expect_eq(leased(job), 4);
	set((struct queue_changed){
	    .name = BYTES_LIT("default"), .paused = true, .why = BYTES_LIT("the disk is full")});
	end_one(job);
	cr_expect_eq(leased(job), 3);
	kit_restart(&k);
	kit_register(&k, 0, 4000);
	kit_pass(&k, 60 * USEC_PER_SEC, 1);
	cr_expect_eq(leased(job), 0, "no worker had them any more");
	set((struct queue_changed){.name = BYTES_LIT("default")});
	cr_expect_eq(leased(job), 4);
	kit_close(&k);
}

Test(queues, settings_are_carried_and_those_of_no_use_are_not_kept)
{
	uint64_t lsn;

	open_with(4000);
	set((struct queue_changed){.name = BYTES_LIT("gone"), .weight = 7});
	set((struct queue_changed){.name = BYTES_LIT("kept"), .weight = 9});
	set((struct queue_changed){.name = BYTES_LIT("gone")});
	lsn = k.last_lsn;
	set((struct queue_changed){.name = BYTES_LIT("gone")});
	cr_expect_eq(k.last_lsn, lsn, "nothing changed");
	lsn = k.last_lsn;
	cr_assert(kit_carry(&k, lsn, 100000, 10));
	kit_durable(&k);
	kit_trim(&k, lsn);
	kit_compare_replay(&k);
	kit_restart(&k);
	lsn = k.last_lsn;
	set((struct queue_changed){.name = BYTES_LIT("kept"), .weight = 9});
	cr_expect_eq(k.last_lsn, lsn, "it is as it was");
	kit_close(&k);
}

Test(queues, settings_that_cannot_be_are_refused)
{
	struct text_item nobody = {BYTES_LIT("anna")};
	const struct {
		struct queue_changed as;
		const char *words;
	} cases[] = {
	    {{.weight = 1}, "a queue's name"},
	    {{.name = BYTES_LIT("q")}, "a weight from 1 to 10000, found 0"},
	    {{.name = BYTES_LIT("q"), .weight = 10001}, "found 10001"},
	    {{.name = BYTES_LIT("q"), .weight = 1, .submitters = {&nobody, 1}}, "user:NAME or token:NAME"},
	};

	open_with(1000);
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		cr_expect_eq(kit_set_queue(&k, cases[i].as), ERR_INVALID);
		cr_expect_not_null(strstr(k.reply.why, cases[i].words), "%s", k.reply.why);
	}
	kit_close(&k);
}

/* ---- what may be submitted ---- */

static void refused(struct kit_job job, enum error_code code, const char *words)
{
	cr_expect_eq(kit_submit(&k, job), 0);
	cr_expect_eq(k.reply.code, code);
	cr_expect_not_null(strstr(k.reply.why, words), "expected \"%s\" in \"%s\"", words, k.reply.why);
}

Test(queues, refuse_people_more_live_jobs_and_take_all_that_rules_make)
{
	const struct kit_job of_anna = {.shards = 1, .by = anna}, of_ben = {.shards = 1, .by = ben};
	uint64_t job;

	open_with(1000);
	set((struct queue_changed){
	    .name = BYTES_LIT("default"), .limits = {.jobs = 3}, .owner_limits = {.jobs = 2}});
	job = kit_submit(&k, of_anna);
	cr_assert_neq(kit_submit(&k, of_anna), 0);
	refused(
	    of_anna, ERR_BUSY,
	    "each owner may have 2 jobs that have not ended in queue default, and user anna (1000) has 2");
	cr_assert_neq(kit_submit(&k, of_ben), 0);
	refused(of_ben, ERR_BUSY,
		"queue default may have 3 jobs that have not ended, and has 3, the oldest is job 1");
	cr_assert_neq(kit_submit(&k, (struct kit_job){.shards = 1, .by = rule}), 0, "an event is not lost");
	kit_cancel(&k, job);
	refused(of_anna, ERR_BUSY, "and has 3");
	kit_restart(&k);
	refused(of_anna, ERR_BUSY, "and has 3");
	end_one(0 * job + kit_view(&k, 2).job);
	kit_close(&k);
}

Test(queues, take_so_many_submissions_a_second)
{
	const struct kit_job of_anna = {.shards = 1, .by = anna}, of_ben = {.shards = 1, .by = ben};

	open_with(1000);
	set((struct queue_changed){.name = BYTES_LIT("default"),
				   .limits = {.submissions_milli = 3000},
				   .owner_limits = {.submissions_milli = 500}});
	cr_assert_neq(kit_submit(&k, of_anna), 0);
	refused(of_anna, ERR_BUSY, "queue default takes 0.5 submissions a second of each owner");
	cr_assert_neq(kit_submit(&k, of_ben), 0);
	kit_pass(&k, 2 * USEC_PER_SEC, 1);
	cr_assert_neq(kit_submit(&k, of_anna), 0);
	for (int i = 0; i < 2; i++)
		cr_assert_neq(
		    kit_submit(&k, (struct kit_job){.shards = 1, .by = {.kind = BY_UID, .number = 2000 + i}}),
		    0);
	refused((struct kit_job){.shards = 1, .by = {.kind = BY_UID, .number = 3000}}, ERR_BUSY,
		"takes 3 submissions a second, and had as many");
	cr_assert_neq(kit_submit(&k, (struct kit_job){.shards = 1, .by = rule}), 0);
	kit_close(&k);
}

Test(queues, know_who_may_submit_and_what_can_never_run)
{
	struct text_item who[] = {
	    {BYTES_LIT("user:anna")}, {BYTES_LIT("user:1001")}, {BYTES_LIT("token:ci")}};
	const struct principal ci = {.kind = BY_TOKEN, .name = BYTES_LIT("ci")};
	const struct principal carl = {.kind = BY_UID, .name = BYTES_LIT("carl"), .number = 1002};

	open_with(1000);
	set((struct queue_changed){
	    .name = BYTES_LIT("default"), .submitters = {who, 3}, .limits = {.cpu_milli = 2500}});
	cr_expect_neq(kit_submit(&k, (struct kit_job){.shards = 1, .by = anna}), 0);
	cr_expect_neq(kit_submit(&k, (struct kit_job){.shards = 1, .by = ben}), 0);
	cr_expect_neq(kit_submit(&k, (struct kit_job){.shards = 1, .by = ci}), 0);
	refused((struct kit_job){.shards = 1, .by = carl}, ERR_DENIED,
		"user carl (1002) may not submit to queue default");
	refused((struct kit_job){.shards = 1}, ERR_DENIED, "nobody known may not");
	cr_expect_neq(kit_submit(&k, (struct kit_job){.shards = 1, .queue = "other", .by = carl}), 0);
	refused((struct kit_job){.shards = 1, .cpu_milli = 3000, .by = anna}, ERR_LIMIT,
		"a shard needs 3 cpus, and queue default may use 2.5 at a time");
	kit_close(&k);
}

/* ---- all of it at random: each step is followed by check(FULL), which adds up all sums ---- */

static void set_at_random(struct rng *r)
{
	struct queue_weight key = {.key = BYTES_LIT("t1"), .weight = 1 + (uint32_t)rng_below(r, 5)};
	struct queue_changed as = {.name = rng_below(r, 2) ? BYTES_LIT("a") : BYTES_LIT("b"),
				   .weight = 1 + (uint32_t)rng_below(r, 3),
				   .paused = rng_below(r, 8) == 0};

	if (rng_below(r, 2))
		as.limits.running = (uint32_t)rng_below(r, 5);
	if (rng_below(r, 3) == 0)
		as.limits.cpu_milli = 1000 * rng_below(r, 6);
	if (rng_below(r, 2))
		as.owner_limits.running = (uint32_t)rng_below(r, 3);
	if (rng_below(r, 4) == 0)
		as.owner_limits.cpu_milli = 1000 * rng_below(r, 4);
	if (rng_below(r, 4) == 0)
		as.weights = (struct queue_weight_list){&key, 1};
	if (rng_below(r, 5) == 0)
		as = (struct queue_changed){.name = as.name, .weight = 1};
	cr_assert_eq(kit_set_queue(&k, as), ERR_OK, "%s", k.reply.why);
}

static void submit_at_random(struct rng *r)
{
	static const char *const keys[] = {NULL, "t1", "t2"};

	kit_submit(&k, (struct kit_job){.shards = 1 + (uint32_t)rng_below(r, 6),
					.queue = rng_below(r, 2) ? "a" : "b",
					.by = rng_below(r, 3) == 0 ? rule
					      : rng_below(r, 2)	   ? anna
								   : ben,
					.fair_key = keys[rng_below(r, 3)],
					.priority = (int64_t)rng_below(r, 3),
					.cpu_milli = 1000 * (1 + (uint32_t)rng_below(r, 3)),
					.max_running = (uint32_t)rng_below(r, 4),
					.attempts = 2,
					.backoff_us = 1000});
}

static void end_at_random(struct rng *r)
{
	uint32_t count = k.workers[0].lease_count, from = count > 40 ? count - 40 : 0;

	for (uint32_t i = from; i < count; i++) {
		const struct kit_lease *l = &k.workers[0].leases[i];

		if (!dispatcher_view_is_leased(k.core, l->token) || rng_below(r, 3) > 0)
			continue;
		if (rng_below(r, 4) > 0)
			kit_done(&k, 0, l);
		else if (rng_below(r, 2))
			kit_failed(&k, 0, l, FAILURE_EXIT, 1);
		else
			kit_returned(&k, 0, l, l->first, l->count);
		return;
	}
}

static void step_at_random(struct rng *r)
{
	switch (rng_below(r, 12)) {
	case 0:
		set_at_random(r);
		return;
	case 1:
	case 2:
	case 3:
		submit_at_random(r);
		return;
	case 4:
		kit_pass(&k, 10000, 1);
		return;
	case 5:
		if (rng_below(r, 30) == 0) {
			kit_restart(&k);
			kit_register(&k, 0, 5000);
		} else if (rng_below(r, 10) == 0) {
			kit_cancel(&k, 1 + rng_below(r, 200));
		}
		return;
	default:
		end_at_random(r);
	}
}

Test(queues, sums_are_right_whatever_comes)
{
	for (uint64_t seed = 1; seed <= 6; seed++) {
		struct rng r;

		rng_seed(&r, seed);
		open_with(5000);
		for (int i = 0; i < 1200 && k.workers[0].lease_count < KIT_LEASES - 64; i++)
			step_at_random(&r);
		for (int i = 0; i < 2; i++)
			set((struct queue_changed){.name = i == 0 ? BYTES_LIT("a") : BYTES_LIT("b")});
		kit_compare_replay(&k);
		kit_close(&k);
	}
}
