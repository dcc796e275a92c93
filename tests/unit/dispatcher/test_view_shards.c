/* How the shards of a phase stand, told as runs, in pages; what attempts took passes through. */
#include <criterion/criterion.h>

#include "jobs/kinds.h"
#include "tests/unit/dispatcher/kit.h"

static struct kit k;

#define ALL UINT32_MAX
#define BIT(state) (1u << (state))

static void expect(uint64_t job, uint32_t states, uint64_t from, size_t max, const char *expected,
		   uint64_t next)
{
	struct view_shards found[64];
	struct buf out = {0};
	uint64_t cursor = from;
	size_t n = dispatcher_view_shards(k.core, job, states, &cursor, found, max);

	for (size_t i = 0; i < n; i++)
		buf_printf(&out, "%u+%u %s, ", found[i].shards.first, found[i].shards.count,
			   shard_state_name(found[i].state));
	cr_expect_str_eq(buf_text(&out), expected);
	cr_expect_eq(cursor, next, "cursor %llu", (unsigned long long)cursor);
	buf_fini(&out);
}

/* Worker 0 has a core: one shard in work; done 0 and 2, 3 waits for its retry, 5 is dead. */
static uint64_t given(void)
{
	uint64_t job;

	kit_open(&k);
	kit_register(&k, 0, 1000);
	job = kit_submit(&k, (struct kit_job){.shards = 100,
					      .backoff_us = 60 * USEC_PER_SEC,
					      .tolerate_kind = TOLERATE_COUNT,
					      .tolerate = 50,
					      .rule = {66, 66, VERDICT_FAIL}});
	return job;
}

static void end(uint32_t shard, uint8_t kind, int64_t code)
{
	struct kit_lease *l = NULL;
	struct range r = {shard, 1};
	struct failure f = {.first = shard, .count = 1, .kind = kind, .code = code};
	struct effort e = {.first = shard, .count = 1, .kind = kind, .code = code, .totals.run_us = 5};
	struct outcome o;

	for (uint32_t i = 0; i < k.workers[0].lease_count; i++)
		if (range_contains((struct range){k.workers[0].leases[i].first, k.workers[0].leases[i].count},
				   shard))
			l = &k.workers[0].leases[i];
	cr_assert_not_null(l);
	o = (struct outcome){
	    .token = l->token, .job = l->job, .phase = l->phase, .attempt = l->attempt, .efforts = {&e, 1}};
	if (kind == 0)
		o.done = (struct range_list){&r, 1};
	else
		o.failed = (struct failure_list){&f, 1};
	kit_report(&k, 0, &o, 1);
}

Test(view_shards, are_runs_of_shards_that_stand_alike)
{
	uint64_t job = given(), large;
	struct view_shards v;
	uint64_t cursor = 0;

	end(0, 0, 0);
	end(1, FAILURE_EXIT, 1);
	end(2, FAILURE_EXIT, 66);
	end(3, 0, 0);
	expect(job, BIT(SHARD_DONE), 0, 64, "0+1 done, 3+1 done, ", 100);
	expect(job, BIT(SHARD_DELAYED) | BIT(SHARD_DEAD), 0, 64, "1+1 delayed, 2+1 dead, ", 100);
	cr_assert_eq(dispatcher_view_shards(k.core, job, BIT(SHARD_LEASED), &cursor, &v, 1), 1);
	cr_expect_eq(v.shards.first, 4);
	cr_expect_eq(v.attempt, 1);
	cr_expect_eq(v.worker.lo, k.workers[0].id.lo);
	cr_expect_gt(range_end(v.shards), 4);
	expect(job, ALL, 0, 2, "0+1 done, 1+1 delayed, ", 2);
	expect(job, ALL, 2, 2, "2+1 dead, 3+1 done, ", 4);
	expect(job, ALL, 100, 2, "", 100);
	expect(job + 7, ALL, 0, 2, "", 0);
	large = kit_submit(&k, (struct kit_job){.shards = 100, .cpu_milli = 64000});
	expect(large, ALL, 0, 2, "0+100 pending, ", 100);
	expect(large, BIT(SHARD_PENDING), 99, 2, "99+1 pending, ", 100);
	expect(large, BIT(SHARD_LEASED), 0, 2, "", 100);
	kit_close(&k);
}

/* All pages together are all shards, each once, whatever the size of a page. */
Test(view_shards, pages_of_any_size_tell_the_same)
{
	uint64_t job = given();

	for (uint32_t i = 0; i < 30; i++)
		end(i, i % 3 == 0 ? 0 : FAILURE_EXIT, i % 3 == 1 ? 66 : 1);
	for (size_t max = 1; max <= 64; max++) {
		uint64_t cursor = 0, at = 0;
		uint32_t count[8] = {0};

		while (cursor < 100) {
			struct view_shards found[64];
			size_t n = dispatcher_view_shards(k.core, job, ALL, &cursor, found, max);

			cr_assert_gt(n, 0);
			for (size_t i = 0; i < n; i++) {
				cr_assert_eq(found[i].shards.first, at);
				at = range_end(found[i].shards);
				count[found[i].state] += found[i].shards.count;
			}
			cr_assert_eq(cursor, at);
		}
		cr_expect_eq(count[SHARD_DONE], kit_view(&k, job).counts.done);
		cr_expect_eq(count[SHARD_DEAD], kit_view(&k, job).counts.dead);
		cr_expect_eq(count[SHARD_DELAYED], kit_view(&k, job).counts.delayed);
		cr_expect_eq(count[SHARD_LEASED], kit_view(&k, job).counts.leased);
		cr_expect_eq(count[SHARD_PENDING], kit_view(&k, job).counts.pending);
	}
	kit_close(&k);
}

static struct {
	uint32_t outcomes, efforts, attempts, hosts;
} seen;

static void look(uint32_t type, const void *record)
{
	const struct outcomes_taken *r = record;

	if (type != RECORD_OUTCOMES)
		return;
	seen.hosts += r->host.size > 0;
	for (uint32_t i = 0; i < r->outcomes.count; i++) {
		seen.outcomes++;
		seen.efforts += r->outcomes.items[i].efforts.count;
		seen.attempts += r->outcomes.items[i].attempt;
	}
}

Test(view_shards, what_attempts_took_is_recorded_and_a_host_once)
{
	given();
	k.on_record = look;
	end(0, 0, 0);
	end(1, FAILURE_EXIT, 1);
	cr_expect_eq(seen.outcomes, 2);
	cr_expect_eq(seen.efforts, 2);
	cr_expect_eq(seen.attempts, 2);
	cr_expect_eq(seen.hosts, 1);
	kit_close(&k);
}

Test(view_shards, the_only_shard_of_a_job_says_what_the_job_says)
{
	kit_open(&k);
	kit_register(&k, 0, 1000);
	k.on_record = look;
	kit_submit(&k, (struct kit_job){.shards = 1});
	end(0, 0, 0);
	cr_expect_eq(seen.outcomes, 1);
	cr_expect_eq(seen.efforts, 0);
	cr_expect_eq(seen.attempts, 0);
	kit_submit(&k, (struct kit_job){.shards = 1, .gather = true});
	end(0, 0, 0);
	cr_expect_eq(seen.efforts, 1, "another phase follows");
	kit_close(&k);
}
