/* Records that no verb of this build writes yet: they are applied, carried forward, and refused when they
 * cannot follow what was there. */
#include <criterion/criterion.h>
#include <string.h>

#include "tests/unit/dispatcher/kit.h"

static struct dispatcher_core *core;
static struct error error;
static uint64_t lsn;

static const uint8_t sha[32] = {7};

static int apply(uint32_t type, const void *record)
{
	return dispatcher_core_apply(core, type, record, ++lsn, &error);
}

static struct dispatcher_core *fresh(void)
{
	struct dispatcher_config config = kit_config();

	return dispatcher_core_create(&config);
}

static void setup(void)
{
	static struct phase_def phase = {.name = BYTES_LIT("shards"),
					 .policy = {.shape = {.cpu_milli = 1000}, .attempts_max = 3}};
	const struct definition_added def = {.definition = {.sha256 = BYTES(sha, 32),
							    .name = BYTES_LIT("d"),
							    .queue = BYTES_LIT("default"),
							    .phases = {&phase, 1}}};

	core = fresh();
	lsn = 0;
	cr_assert_eq(apply(RECORD_DEFINITION, &def), 0);
}

static void teardown(void)
{
	dispatcher_core_destroy(core);
}

TestSuite(records, .init = setup, .fini = teardown);

static void accept(uint64_t job)
{
	struct new_job j = {.job = job,
			    .definition = BYTES(sha, 32),
			    .planner = PLANNER_PURE,
			    .plan = {.kind = PLAN_COUNT, .shard_count = 1, .step = 1}};
	struct accepted a = {.jobs = {&j, 1}};

	cr_assert_eq(apply(RECORD_ACCEPTED, &a), 0, "%s", error.what);
}

static struct job_ended an_end(uint64_t job)
{
	return (struct job_ended){.job = job,
				  .state = JOB_SUCCEEDED,
				  .shards = 1,
				  .done = 1,
				  .definition = BYTES(sha, 32),
				  .name = BYTES_LIT("d")};
}

static void expect_refused(uint32_t type, const void *record, const char *words)
{
	error = (struct error){0};
	cr_expect_eq(apply(type, record), ERR_CORRUPT, "%s", words);
	cr_expect_not_null(strstr(error.what, words), "expected \"%s\" in \"%s\"", words, error.what);
}

/* ---- ends in a block ---- */

Test(records, ends_in_a_block_are_as_ends_one_by_one)
{
	struct block_end ends[] = {
	    {.job = 1, .wall_us = 5}, {.job = 2, .wall_us = 6}, {.job = 4, .wall_us = 7}};
	struct ended_block block = {.all = an_end(0), .jobs = {ends, 3}};
	struct job_ended one;
	uint64_t digest;

	for (uint64_t job = 1; job <= 4; job++)
		accept(job);
	cr_assert_eq(apply(RECORD_ENDED_BLOCK, &block), 0, "%s", error.what);
	dispatcher_core_check(core, CHECK_FULL);
	cr_assert_eq(dispatcher_core_replay_end(core, NULL), 0);
	digest = dispatcher_core_digest(core);
	teardown();
	setup();
	for (uint64_t job = 1; job <= 4; job++)
		accept(job);
	for (uint32_t i = 0; i < 3; i++) {
		one = an_end(ends[i].job);
		cr_assert_eq(apply(RECORD_ENDED, &one), 0);
	}
	cr_assert_eq(dispatcher_core_digest(core), digest);
}

Test(records, a_block_that_cannot_follow_is_refused_in_words)
{
	struct block_end ends[] = {{.job = 2}, {.job = 1}, {.job = 2}};
	struct ended_block block = {.all = an_end(0), .jobs = {ends, 0}};

	accept(1);
	accept(2);
	expect_refused(RECORD_ENDED_BLOCK, &block, "expected 1 to 4096 ends in a block, found 0");
	block.jobs.count = 2;
	expect_refused(RECORD_ENDED_BLOCK, &block, "are not in order");
	block.jobs.count = 1;
	block.all.event_due = true;
	expect_refused(RECORD_ENDED_BLOCK, &block, "whose events are not due");
	block.all.event_due = false;
	block.all.state = JOB_ACTIVE;
	expect_refused(RECORD_ENDED_BLOCK, &block, "the ends of a block are none");
	block.all.state = JOB_FAILED;
	cr_assert_eq(apply(RECORD_ENDED_BLOCK, &block), 0);
	expect_refused(RECORD_ENDED_BLOCK, &block, "it ends a second time");
}

/* ---- what history forgets ---- */

Test(records, jobs_are_forgotten_only_when_they_have_ended_and_that_was_told)
{
	struct job_ids ids[] = {{1, 2}, {5, 1000000000}};
	struct forgotten forgotten = {.jobs = {ids, 2}};
	struct job_ended end = an_end(1);
	struct event_settled settled = {1};

	accept(1);
	expect_refused(RECORD_FORGOTTEN, &forgotten, "it is forgotten, but has not ended");
	end.event_due = true;
	cr_assert_eq(apply(RECORD_ENDED, &end), 0);
	expect_refused(RECORD_FORGOTTEN, &forgotten, "its end is still to be told");
	cr_assert_eq(apply(RECORD_SETTLED, &settled), 0);
	cr_assert_eq(apply(RECORD_FORGOTTEN, &forgotten), 0, "also those that are not known any more");
	dispatcher_core_check(core, CHECK_FULL);
	ids[1].first = 2;
	expect_refused(RECORD_FORGOTTEN, &forgotten, "expected ranges of jobs that are forgotten, in order");
	ids[1] = (struct job_ids){5, UINT64_MAX};
	expect_refused(RECORD_FORGOTTEN, &forgotten, "in order");
}

/* ---- open windows ---- */

static struct window_member members[] = {{.event_id_hi = 1, .event_id_lo = 1, .part = BYTES_LIT("R1")},
					 {.event_id_hi = 2, .event_id_lo = 2, .part = BYTES_LIT("R2")},
					 {.event_id_hi = 3, .event_id_lo = 3}};

/* The events from `first` on, `count` of them, join the window of this key. */
static struct window joins(uint64_t key, uint32_t first, uint32_t count)
{
	return (struct window){.rule = BYTES_LIT("pairs"),
			       .key_hi = key,
			       .key_lo = 9,
			       .kind = WINDOW_JOIN,
			       .opened_wall_us = 10,
			       .due_wall_us = 20 + first,
			       .first = first,
			       .members = {members + first, count}};
}

static void write_window(uint64_t key, uint32_t first, uint32_t count)
{
	struct window w = joins(key, first, count);

	cr_assert_eq(apply(RECORD_WINDOW, &w), 0, "%s", error.what);
}

/* Applies what a core wrote, as its replay would. */
static void apply_all(struct bytes records, uint64_t first_lsn)
{
	struct arena arena;
	uint32_t type;
	void *record;

	arena_init(&arena, 0);
	lsn = first_lsn - 1;
	while (records.size > 0) {
		cr_assert_eq(codec_union_decode(&record_union, &records, &type, &record, &arena, NULL), 0);
		cr_assert_eq(apply(type, record), 0, "%s", error.what);
	}
	arena_fini(&arena);
}

Test(records, open_windows_are_carried_forward_and_closed)
{
	struct window_closed closed = {.rule = BYTES_LIT("pairs"), .key_hi = 2, .key_lo = 9, .job = 1};
	struct input_open open = {.seed = 1};
	struct input_carry carry = {.bytes_max = 100000};
	struct dispatcher_input in = {1000, 1700000000000000, INPUT_OPEN, &open};
	struct dispatcher_effects out;
	struct dispatcher_core *before = core;
	struct buf records = {0};
	uint64_t digest;

	dispatcher_effects_init(&out);
	write_window(1, 0, 1);
	write_window(2, 0, 1);
	write_window(3, 0, 2);
	write_window(1, 1, 2);
	cr_assert_eq(apply(RECORD_WINDOW_CLOSED, &closed), 0);
	dispatcher_core_check(core, CHECK_FULL);
	cr_assert_eq(dispatcher_core_replay_end(core, NULL), 0);
	cr_assert_eq(dispatcher_core_step(core, &in, &out), 0);
	carry.oldest_lsn = out.last_lsn + 1;
	in.type = INPUT_CARRY;
	in.body = &carry;
	for (out.carry_done = false; !out.carry_done;) {
		uint64_t first = out.last_lsn + 1;

		cr_assert_eq(dispatcher_core_step(core, &in, &out), 0);
		dispatcher_core_check(core, CHECK_FULL);
		cr_assert(first == carry.oldest_lsn || out.record_count == 0);
		buf_append_bytes(&records, buf_bytes(&out.records));
	}
	digest = dispatcher_core_digest(core);
	core = fresh();
	apply_all(buf_bytes(&records), carry.oldest_lsn);
	cr_assert_eq(dispatcher_core_replay_end(core, &error), 0, "%s", error.what);
	cr_assert_eq(dispatcher_core_digest(core), digest, "all that was before is trimmed");
	dispatcher_core_destroy(before);
	dispatcher_effects_fini(&out);
	buf_fini(&records);
}

/* The journal's front was trimmed: what comes before the whole copy is passed over. */
Test(records, a_window_whose_front_is_trimmed_comes_again_whole_or_closes)
{
	struct window_closed closed = {.rule = BYTES_LIT("pairs"), .key_hi = 1, .key_lo = 9};
	uint64_t digest;

	write_window(1, 0, 3);
	digest = dispatcher_core_digest(core);
	teardown();
	setup();
	write_window(1, 1, 1);
	cr_assert_eq(dispatcher_core_replay_end(core, &error), ERR_CORRUPT);
	teardown();
	setup();
	write_window(1, 1, 1);
	write_window(1, 0, 3);
	cr_assert_eq(dispatcher_core_digest(core), digest);
	cr_assert_eq(dispatcher_core_replay_end(core, &error), 0);
	teardown();
	setup();
	write_window(1, 1, 1);
	cr_assert_eq(apply(RECORD_WINDOW_CLOSED, &closed), 0);
	cr_assert_eq(dispatcher_core_replay_end(core, &error), 0);
}

Test(records, a_window_that_cannot_follow_is_refused_in_words)
{
	struct window w = joins(1, 0, 1);

	w.rule = (struct bytes){0};
	expect_refused(RECORD_WINDOW, &w, "its rule has no name");
	w = joins(1, 0, 1);
	w.kind = 99;
	expect_refused(RECORD_WINDOW, &w, "it is of a kind that is not known");
	w = joins(1, 0, 0);
	expect_refused(RECORD_WINDOW, &w, "it has no event, or too many");
	w.first = UINT32_MAX;
	w.members.count = 1;
	expect_refused(RECORD_WINDOW, &w, "it has no event, or too many");
	write_window(1, 0, 1);
	w = joins(1, 2, 1);
	expect_refused(RECORD_WINDOW, &w, "an event joins it out of turn");
}

/* ---- who asked ---- */

static struct kit k;

static struct view_job view(uint64_t job)
{
	struct view_job v = {0};

	cr_assert(dispatcher_view_job(k.core, job, &k.arena, &v));
	return v;
}

Test(records, who_paused_retried_and_cancelled_a_job_is_kept)
{
	struct input_pause pause = {.by = {.kind = BY_UID, .name = BYTES_LIT("ann"), .number = 1000}};
	struct input_retry retry = {.by = {.kind = BY_TOKEN, .name = BYTES_LIT("ci")}};
	struct input_cancel cancel = {.by = {.kind = BY_UID, .number = 7}};
	uint64_t job;

	kit_open(&k);
	job = kit_submit(
	    &k, (struct kit_job){.shards = 2, .attempts = 1, .tolerate_kind = TOLERATE_COUNT, .tolerate = 2});
	kit_register(&k, 0, 1000);
	kit_failed(&k, 0, kit_last_lease(&k, 0), FAILURE_EXIT, 1);
	pause.job = retry.job = cancel.job = job;
	kit_step(&k, INPUT_PAUSE, &pause);
	cr_assert_eq(view(job).stopped_by.number, 1000);
	kit_step(&k, INPUT_RETRY, &retry);
	kit_compare_replay(&k);
	cr_assert(kit_carry(&k, k.last_lsn + 1, 100000, 1000));
	kit_restart(&k);
	cr_assert(bytes_equal(view(job).stopped_by.name, BYTES_LIT("ann")), "also carried forward");
	cr_assert_eq(view(job).again_by.kind, BY_TOKEN);
	pause.resume = true;
	kit_step(&k, INPUT_PAUSE, &pause);
	cr_assert_eq(view(job).stopped_by.kind, 0);
	k.auto_history = false;
	kit_step(&k, INPUT_CANCEL, &cancel);
	cr_assert_eq(view(job).stopped_by.number, 7);
	cr_assert_eq(view(job).again_by.kind, BY_TOKEN);
	kit_compare_replay(&k);
	kit_close(&k);
}
