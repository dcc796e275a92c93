/* Events whose jobs cannot be planned, and events that are too much for one commit. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/dispatcher/kit.h"

#define WHY "event e cannot be run: it lacks detail.x"
#define JOBS 3u

static struct kit k;

struct event_jobs {
	uint8_t sha[32];
	struct phase_def phase;
	struct definition_body def;
	struct new_job jobs[JOBS];
	struct stillborn failed[JOBS];
	struct input_accept in;
};

/* Of the three rules that it matches, those of the mask cannot make a job that runs. */
static void given_event(struct event_jobs *e, uint32_t failed_mask)
{
	*e = (struct event_jobs){.sha = {7}};
	e->phase.policy = (struct policy){.shape = {.cpu_milli = 1000}, .attempts_max = 3};
	e->def = (struct definition_body){.sha256 = BYTES(e->sha, 32),
					  .name = BYTES_LIT("rule"),
					  .queue = BYTES_LIT("q"),
					  .phases = {&e->phase, 1}};
	e->in = (struct input_accept){.request = ++k.next_request,
				      .key_hi = 1,
				      .key_lo = ++k.next_key,
				      .definitions = {&e->def, 1},
				      .jobs = {e->jobs, JOBS},
				      .failed = {e->failed, 0},
				      .event = BYTES_LIT("{}")};
	for (uint32_t i = 0; i < JOBS; i++) {
		e->jobs[i] = (struct new_job){.definition = e->def.sha256,
					      .name = e->def.name,
					      .planner = PLANNER_PURE,
					      .plan = {.kind = PLAN_COUNT, .shard_count = 2, .step = 1}};
		if (!(failed_mask & (1u << i)))
			continue;
		e->jobs[i].planner = 0;
		e->jobs[i].plan = (struct plan){0};
		e->failed[e->in.failed.count++] = (struct stillborn){.index = i, .why = BYTES_LIT(WHY)};
	}
}

Test(accept, a_job_that_cannot_be_planned_has_failed_when_it_is_accepted)
{
	struct event_jobs e;
	struct view_job v;

	kit_open(&k);
	given_event(&e, 2);
	kit_step(&k, INPUT_ACCEPT, &e.in);
	cr_assert_eq(k.reply.code, ERR_OK);
	cr_assert_eq(k.reply.job_count, JOBS);
	cr_assert_eq(kit_view(&k, k.reply.job).state, JOB_ACTIVE);
	v = kit_view(&k, k.reply.job + 1);
	cr_assert(v.state == JOB_FAILED || v.state == 0, "found %u", v.state);
	cr_assert_eq(kit_view(&k, k.reply.job + 2).state, JOB_ACTIVE);
	cr_assert_eq(k.ended_events, 1, "its end is an event, as any other");
	cr_assert_eq(k.ended.job, k.reply.job + 1);
	cr_assert_eq(k.ended.state, JOB_FAILED);
	cr_assert(bytes_equal(k.ended.why, BYTES_LIT(WHY)));
	cr_assert_eq(k.ended.shards + k.ended.done + k.ended.dead + k.ended.dropped, 0);
	kit_compare_replay(&k);
	kit_close(&k);
}

static void name_group(struct event_jobs *e, uint32_t job)
{
	e->jobs[job].concurrency =
	    (struct concurrency){.group = BYTES_LIT("g"), .limit = 1, .mode = CONCURRENCY_SKIP};
}

Test(accept, of_the_jobs_of_an_event_those_of_a_full_group_are_left_out)
{
	struct event_jobs e;

	kit_open(&k);
	k.auto_history = false;
	given_event(&e, 2);
	name_group(&e, 0);
	name_group(&e, 2);
	kit_step(&k, INPUT_ACCEPT, &e.in);
	cr_assert_eq(k.reply.job, 1);
	cr_assert_eq(k.reply.job_count, 2);
	cr_assert_eq(k.reply.skipped, 1);
	cr_assert_str_eq(k.reply.why, "its concurrency group is full: jobs of the same event hold it");
	cr_assert_eq(kit_view(&k, 1).state, JOB_ACTIVE);
	cr_assert_eq(kit_view(&k, 2).state, JOB_FAILED);
	given_event(&e, 4);
	name_group(&e, 0);
	name_group(&e, 1);
	kit_step(&k, INPUT_ACCEPT, &e.in);
	cr_assert_eq(k.reply.job, 3);
	cr_assert_eq(k.reply.job_count, 1);
	cr_assert_eq(k.reply.skipped, 2);
	cr_assert_str_eq(k.reply.why, "the concurrency group \"g\" is full: job 1 holds it");
	cr_assert_eq(kit_view(&k, 3).state, JOB_FAILED, "it names its job, now the first");
	kit_compare_replay(&k);
	kit_close(&k);
}

Test(accept, nobody_is_told_of_its_failure_before_that_is_durable)
{
	struct event_jobs e;

	kit_open(&k);
	k.auto_durable = false;
	given_event(&e, 7);
	kit_step(&k, INPUT_ACCEPT, &e.in);
	cr_assert_eq(k.ended_events, 0);
	cr_assert_neq(k.reply.request, e.in.request);
	kit_durable(&k);
	cr_assert_eq(k.ended_events, JOBS);
	cr_assert_eq(k.reply.request, e.in.request);
	kit_close(&k);
}

Test(accept, a_repeat_answers_with_the_same_jobs_also_after_a_restart)
{
	struct event_jobs e;
	uint64_t first;

	kit_open(&k);
	given_event(&e, 5);
	kit_step(&k, INPUT_ACCEPT, &e.in);
	first = k.reply.job;
	for (int i = 0; i < 2; i++) {
		e.in.request = ++k.next_request;
		kit_step(&k, INPUT_ACCEPT, &e.in);
		cr_assert(k.reply.duplicate);
		cr_assert_eq(k.reply.job, first);
		cr_assert_eq(k.reply.job_count, JOBS);
		kit_restart(&k);
	}
	cr_assert_eq(kit_view(&k, first + 1).state, JOB_ACTIVE);
	cr_assert_eq(kit_view(&k, first + JOBS).state, 0, "no job came of a repeat");
	kit_close(&k);
}

Test(accept, a_failed_job_takes_no_room_among_the_live)
{
	struct event_jobs e;

	kit_prepare(&k);
	k.config.jobs_max = JOBS;
	kit_start(&k);
	for (int i = 0; i < 5; i++) {
		given_event(&e, 7);
		kit_step(&k, INPUT_ACCEPT, &e.in);
		cr_assert_eq(k.reply.code, ERR_OK);
	}
	given_event(&e, 0);
	kit_step(&k, INPUT_ACCEPT, &e.in);
	cr_assert_eq(k.reply.code, ERR_OK);
	given_event(&e, 0);
	kit_step(&k, INPUT_ACCEPT, &e.in);
	cr_assert_eq(k.reply.code, ERR_BUSY);
	kit_close(&k);
}

Test(accept, more_jobs_than_may_ever_be_live_are_refused_for_good)
{
	struct event_jobs e;

	kit_prepare(&k);
	k.config.jobs_max = JOBS - 1;
	kit_start(&k);
	given_event(&e, 0);
	kit_step(&k, INPUT_ACCEPT, &e.in);
	cr_assert_eq(k.reply.code, ERR_LIMIT);
	kit_close(&k);
}

Test(accept, what_does_not_fit_one_commit_is_refused)
{
	static const struct {
		size_t value_bytes, event_bytes;
		enum error_code code;
	} cases[] = {{10, 10, ERR_OK},
		     {1 << 20, 1 << 20, ERR_OK},
		     {2 << 20, 1 << 20, ERR_OK},
		     {5 << 19, 1 << 20, ERR_LIMIT},
		     {4 << 20, 10, ERR_LIMIT}};
	uint8_t *space = calloc(1, 4 << 20);

	kit_open(&k);
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct text_item value = {BYTES(space, cases[i].value_bytes)};
		uint64_t before = k.last_lsn;
		struct event_jobs e;

		given_event(&e, 0);
		e.in.event = BYTES(space, cases[i].event_bytes);
		for (uint32_t j = 0; j < JOBS; j++)
			e.jobs[j].values = (struct text_item_list){&value, 1};
		kit_step(&k, INPUT_ACCEPT, &e.in);
		cr_assert_eq(k.reply.code, cases[i].code, "case %zu: found %d", i, k.reply.code);
		cr_assert_eq(k.last_lsn > before, cases[i].code == ERR_OK);
	}
	free(space);
	kit_close(&k);
}

Test(accept, failed_jobs_are_named_in_order_and_by_their_place)
{
	static const uint32_t wrong[][2] = {{0, 0}, {1, 0}, {0, JOBS}, {JOBS, JOBS + 1}};

	kit_open(&k);
	for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++) {
		struct event_jobs e;

		given_event(&e, 3);
		e.failed[0].index = wrong[i][0];
		e.failed[1].index = wrong[i][1];
		kit_step(&k, INPUT_ACCEPT, &e.in);
		cr_assert_eq(k.reply.code, ERR_INVALID);
	}
	kit_close(&k);
}

/* History's file was lost, and the journal's front with the definition trimmed: an ended job names a version
 * that nobody has the text of. */
Test(accept, a_definition_of_which_only_the_name_is_left_is_written_anew)
{
	uint64_t job;

	kit_open(&k);
	k.auto_history = false;
	job = kit_submit(&k, (struct kit_job){.shards = 1});
	kit_cancel(&k, job);
	kit_trim(&k, k.last_lsn);
	kit_restart(&k);
	kit_register(&k, 0, 1000);
	job = kit_submit(&k, (struct kit_job){.shards = 1});
	cr_assert_neq(job, 0, "%s", k.reply.why);
	kit_done(&k, 0, kit_last_lease(&k, 0));
	cr_assert_eq(k.ended.job, job);
	kit_compare_replay(&k);
	kit_close(&k);
}

/* What it says is what the same input would meet without it. */
Test(accept, a_dry_run_makes_nothing)
{
	struct event_jobs e;
	struct view_trial trial;
	uint64_t digest, lsn, next;
	struct arena arena;

	kit_open(&k);
	given_event(&e, 0);
	e.in.jobs.count = 1;
	e.in.dry = true;
	digest = dispatcher_core_digest(k.core);
	lsn = k.last_lsn;
	kit_step(&k, INPUT_ACCEPT, &e.in);
	cr_assert_eq(k.reply.code, ERR_OK, "%s", k.reply.why);
	cr_assert_eq(k.reply.job, 0);
	cr_assert_eq(k.reply.job_count, 0);
	cr_assert_eq(k.last_lsn, lsn);
	cr_assert_eq(dispatcher_core_digest(k.core), digest);
	arena_init(&arena, 0);
	dispatcher_view_trial(k.core, &e.jobs[0], &e.def, &arena, &trial);
	cr_assert_eq(trial.job.counts.pending, 2);
	cr_assert_not(trial.version_known);
	arena_fini(&arena);

	e.in.dry = false;
	e.in.request = ++k.next_request;
	kit_step(&k, INPUT_ACCEPT, &e.in);
	next = k.reply.job;
	e.in.dry = true;
	e.in.request = ++k.next_request;
	kit_step(&k, INPUT_ACCEPT, &e.in);
	cr_assert(k.reply.duplicate);
	cr_assert_eq(k.reply.job, next);

	e.in.key_lo = ++k.next_key;
	e.in.request = ++k.next_request;
	e.jobs[0].planner = 99;
	kit_step(&k, INPUT_ACCEPT, &e.in);
	cr_assert_eq(k.reply.code, ERR_INVALID);
	kit_compare_replay(&k);
	kit_close(&k);
}
