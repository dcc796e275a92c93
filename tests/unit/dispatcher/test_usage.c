/* What attempts took, how each phase ended, and where the output of dead shards is. */
#include <criterion/criterion.h>

#include "tests/unit/dispatcher/kit.h"

static struct kit k;
static struct job_ended ended;
static struct phase_counts later[8];
static uint32_t kept_segment, kept_count, retried_segment;

static void look(uint32_t type, const void *record)
{
	const struct outcomes_taken *taken = record;
	const struct job_ended *end = record;

	if (type == RECORD_ENDED) {
		ended = *end;
		cr_assert_leq(end->later.count, ARRAY_LENGTH(later));
		for (uint32_t i = 0; i < end->later.count; i++)
			later[i] = end->later.items[i];
	}
	for (uint32_t i = 0; type == RECORD_OUTCOMES && i < taken->outcomes.count; i++)
		for (uint32_t n = 0; n < taken->outcomes.items[i].failed.count; n++) {
			const struct shard_failure *f = &taken->outcomes.items[i].failed.items[n];

			if (f->dead) {
				kept_segment = f->segment;
				kept_count += f->count;
			} else {
				retried_segment = f->segment;
			}
		}
}

static void setup(void)
{
	ended = (struct job_ended){0};
	kept_segment = kept_count = 0;
	retried_segment = UINT32_MAX;
	kit_open(&k);
	k.on_record = look;
}

static void teardown(void)
{
	kit_close(&k);
}

TestSuite(usage, .init = setup, .fini = teardown);

Test(usage, is_summed_once_and_the_largest_process_is_kept)
{
	struct range all = {0, 1};
	struct kit_lease *lease;
	struct view_job v;
	uint64_t job;

	job = kit_submit(&k, (struct kit_job){.shards = 2});
	kit_register(&k, 0, 1000);
	lease = kit_last_lease(&k, 0);
	kit_report(&k, 0,
		   &(struct outcome){.token = lease->token,
				     .job = job,
				     .done = {&all, 1},
				     .totals.cpu_us = 700,
				     .totals.max_rss_bytes = 9000},
		   1);
	/* The same again, under another number: it counts for nothing. */
	kit_report(&k, 0,
		   &(struct outcome){.token = lease->token,
				     .job = job,
				     .done = {&all, 1},
				     .totals.cpu_us = 700,
				     .totals.max_rss_bytes = 10000},
		   1);
	v = kit_view(&k, job);
	cr_assert_eq(v.counts.done, 1);
	cr_assert_eq(v.totals.cpu_us, 700);
	cr_assert_eq(v.totals.max_rss_bytes, 9000);
	kit_restart(&k);
	cr_assert_eq(kit_view(&k, job).totals.cpu_us, 700, "from the journal");
	kit_register(&k, 0, 1000);
	kit_done(&k, 0, kit_last_lease(&k, 0)); /* 600 us, 4096 bytes */
	cr_assert_eq(ended.totals.cpu_us, 1300);
	cr_assert_eq(ended.totals.max_rss_bytes, 9000);
	cr_assert_eq(ended.later.count, 0);
}

Test(usage, is_carried_with_its_job_and_so_are_the_phases_that_are_through)
{
	uint64_t job = kit_submit(&k, (struct kit_job){.shards = 4, .gather = true, .fanin = 2});
	uint64_t cpu_us, oldest;

	kit_register(&k, 0, 1000);
	for (uint32_t i = 0; kit_view(&k, job).phase < 2; i++) {
		cr_assert_lt(i, k.workers[0].lease_count);
		kit_done(&k, 0, &k.workers[0].leases[i]);
	}
	cpu_us = kit_view(&k, job).totals.cpu_us;
	cr_assert_eq(cpu_us, (4 + 2) * 600);
	cr_assert_eq(kit_view(&k, job).later.count, 1);
	oldest = k.last_lsn;
	cr_assert(kit_carry(&k, oldest, 4096, 100));
	kit_durable(&k);
	kit_history(&k);
	kit_compare_replay(&k);
	kit_trim(&k, oldest);
	kit_restart(&k);
	cr_assert_eq(kit_view(&k, job).totals.cpu_us, cpu_us);
	cr_assert_eq(kit_view(&k, job).later.items[0].shards, 2);
	cr_assert_eq(kit_view(&k, job).later.items[0].done, 2);
	kit_register(&k, 0, 1000);
	kit_done(&k, 0, kit_last_lease(&k, 0));
	cr_assert_eq(ended.state, JOB_SUCCEEDED);
	cr_assert_eq(ended.shards, 4);
	cr_assert_eq(ended.later.count, 2);
	cr_assert_eq(later[0].shards, 2);
	cr_assert_eq(later[0].done, 2);
	cr_assert_eq(later[1].shards, 1);
	cr_assert_eq(later[1].done, 1);
}

Test(usage, the_phase_in_which_a_job_fails_is_told_with_its_dead)
{
	uint64_t job = kit_submit(&k, (struct kit_job){.shards = 1, .gather = true, .attempts = 1});

	kit_register(&k, 0, 1000);
	kit_done(&k, 0, kit_last_lease(&k, 0));
	kit_failed(&k, 0, kit_last_lease(&k, 0), FAILURE_EXIT, 1);
	cr_assert_eq(ended.job, job);
	cr_assert_eq(ended.state, JOB_FAILED);
	cr_assert_eq(ended.later.count, 1);
	cr_assert_eq(later[0].shards, 1);
	cr_assert_eq(later[0].done, 0);
	cr_assert_eq(later[0].dead, 1);
}

Test(usage, only_the_last_failure_says_where_the_output_is)
{
	kit_submit(&k, (struct kit_job){.shards = 1, .attempts = 2, .backoff_us = 1});
	kit_register(&k, 0, 1000);
	kit_failed(&k, 0, kit_last_lease(&k, 0), FAILURE_EXIT, 1);
	cr_assert_eq(retried_segment, 0);
	cr_assert_eq(kept_count, 0);
	kit_pass(&k, USEC_PER_SEC, 1);
	cr_assert_eq(k.workers[0].lease_count, 2);
	kit_failed(&k, 0, kit_last_lease(&k, 0), FAILURE_EXIT, 1);
	cr_assert_eq(kept_count, 1);
	cr_assert_eq(kept_segment, 7, "what the kit's failures name");
}
