/* What history keeps of dead shards' outputs and of how later phases ended. */
#include <criterion/criterion.h>
#include <string.h>

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

TestSuite(history_ends, .init = setup, .fini = teardown);

static const uint8_t *const sha = history_kit_sha;

static int keep_output(void *arg, const struct history_failure *f)
{
	buf_printf(arg, "%u+%u by %llu %u.%llu in %u, ", f->shards.first, f->shards.count,
		   (unsigned long long)f->worker.lo, f->token.epoch, (unsigned long long)f->token.lease,
		   f->segment);
	return 0;
}

static void add_dead(uint64_t lease, struct range shards, uint32_t segment)
{
	struct shard_failure f = {.first = shards.first,
				  .count = shards.count,
				  .kind = FAILURE_EXIT,
				  .code = 3,
				  .dead = true,
				  .why = BYTES_LIT("no"),
				  .segment = segment};
	struct outcome_taken o = {.token = {3, lease}, .job = 1, .failed = {&f, 1}};
	struct outcomes_taken r = {.worker = {0x77, lease % 2}, .wall_us = 1, .outcomes = {&o, 1}};

	history_kit_add(&k, RECORD_OUTCOMES, &r);
}

static void assert_outputs(const char *expected)
{
	struct buf out = {0};

	history_kit_write(&k);
	cr_assert_eq(history_failures(k.reader, 1, 0, 0, 100, &k.arena, keep_output, &out, NULL), 0);
	cr_assert_str_eq(buf_text(&out), expected);
	buf_fini(&out);
}

Test(history_ends, where_the_output_of_dead_shards_is)
{
	struct retried r = {.job = 1, .shards = {(struct range[]){{1, 1}}, 1}};

	history_kit_add_definition(&k);
	history_kit_add_job(&k, 1, 100);
	add_dead(5, (struct range){0, 3}, 9);
	add_dead(5, (struct range){3, 1}, 9);
	add_dead(6, (struct range){4, 1}, 9);
	add_dead(6, (struct range){5, 1}, 0);
	assert_outputs("0+4 by 1 3.5 in 9, 4+1 by 0 3.6 in 9, 5+1 by 0 0.0 in 0, ");
	history_kit_add(&k, RECORD_RETRIED, &r);
	assert_outputs("0+1 by 1 3.5 in 9, 2+2 by 1 3.5 in 9, 4+1 by 0 3.6 in 9, 5+1 by 0 0.0 in 0, ");
}

/* That shards are dead is worth more than where each one's output is. */
Test(history_ends, many_outputs_of_dead_shards_do_not_displace_the_dead)
{
	struct buf out = {0};

	history_kit_add_definition(&k);
	history_kit_add_job(&k, 1, 100000);
	for (uint32_t i = 0; i < 2 * HISTORY_FAILURES_MAX; i++)
		add_dead(i + 1, (struct range){i, 1}, 1);
	history_kit_write(&k);
	cr_assert_eq(history_failures(k.reader, 1, 0, 2 * HISTORY_FAILURES_MAX - 1, 1, &k.arena, keep_output,
				      &out, NULL),
		     0);
	cr_assert_str_eq(buf_text(&out), "500+1500 by 0 0.0 in 0, ");
	buf_fini(&out);
}

Test(history_ends, phases_behind_the_first_are_told_with_their_counts)
{
	struct phase_counts later[] = {{50, 50, 0}, {1, 0, 1}};
	struct job_ended e = {.job = 1,
			      .state = JOB_FAILED,
			      .shards = 100,
			      .done = 100,
			      .definition = BYTES(sha, 32),
			      .phase = 2,
			      .later = {later, 2}};
	struct history_job j;

	history_kit_add_definition(&k);
	history_kit_add_job(&k, 1, 100);
	history_kit_add(&k, RECORD_ENDED, &e);
	history_kit_write(&k);
	cr_assert_eq(history_job(k.reader, 1, &k.arena, &j, NULL), 0);
	cr_assert_eq(j.later.count, 2);
	cr_assert_eq(memcmp(j.later.items, later, sizeof later), 0);
}
