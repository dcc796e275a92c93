/* Deduplication keys leave the core for files, a bucket at a time. */
#include <criterion/criterion.h>

#include "tests/unit/dispatcher/kit.h"

static struct kit k;

/* Each key has a bucket of its own. */
static void start(void)
{
	kit_prepare(&k);
	k.config.dedup_bucket_max = 1;
	kit_start(&k);
}

static uint64_t submit(uint64_t key)
{
	return kit_submit(&k, (struct kit_job){.shards = 1, .key = key});
}

static void kept(usec_t bucket_us)
{
	kit_step(&k, INPUT_DEDUP_KEPT, &(struct input_dedup_kept){.bucket_wall_us = bucket_us});
}

static uint64_t entries(void)
{
	struct view_counters c;

	dispatcher_view_counters(k.core, &c);
	return c.dedup_entries;
}

/* How many keys are to be sealed up to then; the last of them in *ret. */
static uint32_t sealing(usec_t up_to_us, struct dedup_entry *ret)
{
	struct view_sealing at = {0};
	uint32_t count = 0;

	while (dispatcher_view_sealing(k.core, up_to_us, &at, 1, ret) > 0)
		count++;
	return count;
}

/* As the shell would say it of a file of that bucket. */
static struct dedup_fact fact(uint64_t job, usec_t bucket_us)
{
	return (struct dedup_fact){.job = job, .job_count = 1, .bucket_wall_us = bucket_us};
}

Test(seal, all_but_the_newest_two_are_sealed)
{
	struct dedup_entry found;
	uint64_t job;
	usec_t first;

	start();
	job = submit(1);
	submit(2);
	cr_assert_eq(k.seals, 0);
	for (uint64_t key = 3; key <= 6; key++)
		submit(key);
	cr_assert_eq(k.seals, 1, "the others wait for the first");
	first = k.seal_wall_us;
	cr_assert_eq(sealing(first, &found), 1);
	cr_assert_eq(found.key_hi, 1);
	cr_assert_eq(found.job, job);
	cr_assert_eq(submit(1), job, "it is known as long as it is being sealed");

	kept(first);
	cr_assert_eq(sealing(first, &found), 0);
	cr_assert_eq(entries(), 5);
	cr_assert_eq(k.seals, 2, "what has waited goes together");
	cr_assert_eq(sealing(k.seal_wall_us, &found), 3);
	cr_assert_eq(found.key_hi, 4);
	kept(k.seal_wall_us);
	cr_assert_eq(entries(), 2);
	cr_assert_eq(k.seals, 2);
	kit_compare_replay(&k);
	kit_close(&k);
}

/* The first of three submissions; *ret_wall_us: its bucket's, which is in a file now. */
static uint64_t start_with_one_in_a_file(usec_t *ret_wall_us)
{
	uint64_t job;

	kit_prepare(&k);
	k.config.dedup_bucket_max = 1;
	k.config.dedup_window_us = 24 * USEC_PER_SEC;
	kit_start(&k);
	job = submit(1);
	submit(2);
	submit(3);
	*ret_wall_us = k.seal_wall_us;
	kept(*ret_wall_us);
	return job;
}

Test(seal, what_a_file_says_is_a_repeat_until_it_is_forgotten)
{
	uint64_t job;
	usec_t first;

	job = start_with_one_in_a_file(&first);
	cr_assert_eq(kit_submit(&k, (struct kit_job){.shards = 1, .key = 1, .known = fact(job, first)}), job);
	cr_assert(k.reply.duplicate);
	kit_restart(&k);
	cr_assert_eq(kit_submit(&k, (struct kit_job){.shards = 1, .key = 1, .known = fact(job, first)}), job);
	kit_pass(&k, 30 * USEC_PER_SEC, 0);
	submit(4); /* it forgets what is older than the window */
	cr_assert_neq(kit_submit(&k, (struct kit_job){.shards = 1, .key = 1, .known = fact(job, first)}),
		      job);
	cr_assert_not(k.reply.duplicate);
	kit_close(&k);
}

Test(seal, what_a_file_says_ends_with_the_window_also_when_nothing_came)
{
	uint64_t job, again;
	usec_t first;

	job = start_with_one_in_a_file(&first);
	kit_pass(&k, 24 * USEC_PER_SEC, 0);
	cr_assert_eq(kit_submit(&k, (struct kit_job){.shards = 1, .key = 1, .known = fact(job, first)}), job,
		     "not before");
	kit_pass(&k, 2 * USEC_PER_SEC, 0); /* a bucket's width is one second */
	again = kit_submit(&k, (struct kit_job){.shards = 1, .key = 1, .known = fact(job, first)});
	cr_assert_neq(again, job);
	cr_assert_not(k.reply.duplicate);
	cr_assert_eq(submit(1), again, "it is remembered anew");
	kit_compare_replay(&k);
	kit_close(&k);
}

Test(seal, a_bucket_is_asked_for_when_its_keys_are_durable)
{
	start();
	k.auto_durable = false;
	for (uint64_t key = 1; key <= 3; key++)
		submit(key);
	cr_assert_eq(k.seals, 0);
	kit_durable(&k);
	cr_assert_eq(k.seals, 1);
	kit_close(&k);
}

Test(seal, a_start_asks_anew_for_what_was_not_kept)
{
	struct dedup_entry found;
	uint64_t job;
	usec_t first;

	start();
	job = submit(1);
	for (uint64_t key = 2; key <= 4; key++)
		submit(key);
	first = k.seal_wall_us;
	kit_restart(&k);
	cr_assert_eq(k.seals, 2);
	cr_assert_gt(k.seal_wall_us, first, "and for what came since");
	cr_assert_eq(submit(1), job);
	kept(k.seal_wall_us);
	kit_restart(&k);
	cr_assert_eq(k.seals, 2, "that is kept");
	cr_assert_eq(sealing(first, &found), 0);
	kit_compare_replay(&k);
	kit_close(&k);
}

Test(seal, a_carried_journal_knows_what_is_in_files)
{
	struct dedup_entry found;
	struct view_counters c;
	usec_t first;

	start();
	for (uint64_t key = 1; key <= 4; key++)
		submit(key);
	first = k.seal_wall_us;
	kept(first);
	kit_carry_all(&k);
	kit_restart(&k);
	dispatcher_view_counters(k.core, &c);
	cr_assert_eq(c.dedup_sealed_us, first);
	cr_assert_eq(c.dedup_entries, 3);
	cr_assert_eq(sealing(first, &found), 0);
	kit_close(&k);
}

Test(seal, a_bucket_that_goes_while_it_is_carried_costs_no_other_one)
{
	uint64_t job, oldest;

	start();
	submit(1);
	submit(2);
	job = submit(3);
	submit(4);
	oldest = k.last_lsn + 1;
	while (k.last_lsn < oldest) /* the first bucket, or what stands before the buckets, is written */
		cr_assert_not(kit_carry(&k, oldest, 1, 1));
	cr_assert_not(kit_carry(&k, oldest, 1, 1));
	kept(k.seal_wall_us);
	while (!kit_carry(&k, oldest, 1, 1))
		;
	kit_durable(&k);
	kit_history(&k);
	kit_trim(&k, oldest);
	kit_restart(&k);
	cr_assert_eq(submit(3), job);
	kit_close(&k);
}

Test(seal, the_bound_of_memory_holds_while_no_file_can_be_written)
{
	kit_prepare(&k);
	k.config.dedup_bucket_max = 1;
	k.config.dedup_max = 16;
	kit_start(&k);
	for (uint64_t key = 1; key <= 40; key++)
		submit(key);
	cr_assert_eq(k.seals, 1);
	cr_assert_leq(entries(), 16);
	kept(k.seal_wall_us); /* it has gone by itself: the next ones */
	cr_assert_eq(k.seals, 2);
	cr_assert_eq(entries(), 16);
	kit_compare_replay(&k);
	kit_close(&k);
}

Test(seal, nothing_is_sealed_without_files)
{
	kit_prepare(&k);
	k.config.dedup_bucket_max = 1;
	k.config.dedup_seals = false;
	kit_start(&k);
	for (uint64_t key = 1; key <= 9; key++)
		submit(key);
	cr_assert_eq(k.seals, 0);
	cr_assert_eq(entries(), 9);
	kit_close(&k);
}
