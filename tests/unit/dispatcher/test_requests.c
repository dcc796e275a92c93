/* Requests that are refused in words, and what may be read of the core. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "dispatcher/core/decide/advance.h"
#include "tests/unit/dispatcher/kit.h"

static struct kit k;

/* ---- what is refused ---- */

struct offer {
	uint8_t sha[32];
	struct phase_def phases[3];
	struct definition_body def;
	struct new_job job;
	struct named_amount named[NAMED_RESOURCES_MAX + 1];
};

static void good(struct offer *o)
{
	*o = (struct offer){.sha = {1}};
	for (int i = 0; i < 3; i++)
		o->phases[i].policy = (struct policy){.shape = {.cpu_milli = 1000}, .attempts_max = 3};
	o->def = (struct definition_body){.sha256 = BYTES(o->sha, 32),
					  .name = BYTES_LIT("n"),
					  .queue = BYTES_LIT("q"),
					  .phases = {o->phases, 1}};
	o->job = (struct new_job){.definition = o->def.sha256,
				  .planner = PLANNER_PURE,
				  .plan = {.kind = PLAN_COUNT, .shard_count = 2, .step = 1}};
}

static void no_phase(struct offer *o)
{
	o->def.phases.count = 0;
}
static void three_phases(struct offer *o)
{
	o->def.phases.count = 3;
}
static void short_hash(struct offer *o)
{
	o->def.sha256.size = 31;
	o->job.definition = o->def.sha256;
}
static void no_attempts(struct offer *o)
{
	o->phases[0].policy.attempts_max = 0;
}
static void many_attempts(struct offer *o)
{
	o->phases[0].policy.attempts_max = ATTEMPTS_MAX + 1;
}
static void negative_backoff(struct offer *o)
{
	o->phases[0].policy.backoff_us = -1;
}
static void strange_tolerance(struct offer *o)
{
	o->phases[0].policy.tolerate_kind = 9;
}
static void fanin_of_one(struct offer *o)
{
	o->def.phases.count = 2;
	o->phases[1].fanin = 1;
}
static void unknown_definition(struct offer *o)
{
	static uint8_t other[32] = {2};

	o->job.definition = BYTES(other, 32);
}
static void large_priority(struct offer *o)
{
	o->job.priority = (int64_t)INT32_MAX + 1;
}
static void deep(struct offer *o)
{
	o->job.depth = CHAIN_DEPTH_MAX + 1;
}
static void no_planner(struct offer *o)
{
	o->job.planner = 0;
}
static void shards_and_a_planner(struct offer *o)
{
	o->job.planner = PLANNER_SIZE;
}
static void no_plan(struct offer *o)
{
	o->job.plan.kind = 0;
}
static void step_of_zero(struct offer *o)
{
	o->job.plan.step = 0;
}
static void too_large_a_shape(struct offer *o)
{
	o->phases[0].policy.shape.memory_bytes = UINT64_MAX;
}
static void too_many_names(struct offer *o)
{
	static const char *const names[] = {"a", "b", "c", "d", "e", "f", "g", "h", "i"};

	for (size_t i = 0; i < ARRAY_LENGTH(names); i++)
		o->named[i] = (struct named_amount){bytes_of(names[i]), 1};
	o->phases[0].policy.shape.named = (struct named_amount_list){o->named, ARRAY_LENGTH(names)};
}

static enum error_code offer(const struct offer *o)
{
	struct input_accept in = {.request = ++k.next_request,
				  .definitions = {(struct definition_body *)&o->def, 1},
				  .jobs = {(struct new_job *)&o->job, 1}};

	kit_step(&k, INPUT_ACCEPT, &in);
	cr_assert_eq(k.reply.request, in.request);
	return k.reply.code;
}

Test(requests, what_breaks_a_rule_is_refused_and_nothing_is_written)
{
	static const struct {
		void (*spoil)(struct offer *);
		enum error_code code;
	} cases[] = {
	    {no_phase, ERR_INVALID},
	    {three_phases, ERR_INVALID},
	    {short_hash, ERR_INVALID},
	    {no_attempts, ERR_INVALID},
	    {many_attempts, ERR_INVALID},
	    {negative_backoff, ERR_INVALID},
	    {strange_tolerance, ERR_INVALID},
	    {fanin_of_one, ERR_INVALID},
	    {unknown_definition, ERR_INVALID},
	    {large_priority, ERR_INVALID},
	    {deep, ERR_LIMIT},
	    {no_planner, ERR_INVALID},
	    {no_plan, ERR_INVALID},
	    {shards_and_a_planner, ERR_INVALID},
	    {step_of_zero, ERR_INVALID},
	    {too_large_a_shape, ERR_LIMIT},
	    {too_many_names, ERR_LIMIT},
	};
	struct offer o;

	kit_open(&k);
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		uint64_t lsn = k.last_lsn;

		good(&o);
		cases[i].spoil(&o);
		cr_assert_eq(offer(&o), cases[i].code, "case %zu: %s", i, k.reply.why);
		cr_assert_neq(k.reply.why[0], 0);
		cr_assert_eq(k.last_lsn, lsn, "case %zu", i);
	}
	good(&o);
	cr_assert_eq(offer(&o), ERR_OK);
	kit_close(&k);
}

Test(requests, a_full_house_says_try_again)
{
	kit_prepare(&k);
	k.config.jobs_max = 2;
	kit_start(&k);
	for (uint32_t i = 0; i < 3; i++)
		kit_submit(&k, (struct kit_job){.shards = 1});
	cr_assert_eq(k.reply.code, ERR_BUSY);
	kit_cancel(&k, 1);
	cr_assert_neq(kit_submit(&k, (struct kit_job){.shards = 1}), 0);
	kit_close(&k);
}

Test(requests, of_jobs_that_are_not_there_or_over)
{
	struct input_pause pause = {.request = 99};
	struct input_retry retry = {.request = 98};

	kit_open(&k);
	k.auto_history = false;
	kit_cancel(&k, 1);
	cr_assert_eq(k.reply.code, ERR_NOT_FOUND);
	pause.job = retry.job = kit_submit(&k, (struct kit_job){.shards = 1});
	kit_step(&k, INPUT_RETRY, &retry);
	cr_assert_eq(k.reply.code, ERR_OK);
	cr_assert_eq(k.reply.job_count, 0, "nothing was dead");
	kit_cancel(&k, 1);
	cr_assert_eq(k.reply.code, ERR_OK);
	kit_cancel(&k, 1);
	cr_assert(k.reply.duplicate);
	kit_step(&k, INPUT_PAUSE, &pause);
	cr_assert_eq(k.reply.code, ERR_INVALID);
	kit_step(&k, INPUT_RETRY, &retry);
	cr_assert_eq(k.reply.code, ERR_INVALID);
	kit_close(&k);
}

Test(requests, inputs_that_no_shell_may_hand_in)
{
	struct dispatcher_config config = kit_config();
	struct dispatcher_core *core = dispatcher_core_create(&config);
	struct dispatcher_effects out;
	struct input_tick tick = {0};
	struct input_open open = {0};
	struct dispatcher_input in = {1, 1, INPUT_TICK, &tick};

	dispatcher_effects_init(&out);
	cr_assert_eq(dispatcher_core_step(core, &in, &out), ERR_INVALID, "before OPEN");
	in.type = INPUT_OPEN;
	in.body = &open;
	cr_assert_eq(dispatcher_core_step(core, &in, &out), ERR_INVALID, "before the replay's end");
	cr_assert_eq(dispatcher_core_replay_end(core, NULL), 0);
	cr_assert_eq(dispatcher_core_step(core, &in, &out), 0);
	cr_assert_eq(dispatcher_core_step(core, &in, &out), ERR_INVALID, "a second time");
	in.type = 9999;
	cr_assert_eq(dispatcher_core_step(core, &in, &out), ERR_INVALID);
	cr_assert_eq(dispatcher_core_deadline(core), USEC_NEVER);
	dispatcher_effects_fini(&out);
	dispatcher_core_destroy(core);
}

/* ---- rules ---- */

Test(rules, tolerance_is_rounded_down_and_judged_when_sealed)
{
	static const struct {
		uint8_t kind;
		uint64_t tolerate;
		bool is_shards, sealed;
		uint64_t shards;
		bool through;
		uint64_t want;
	} cases[] = {
	    {TOLERATE_NONE, 7, true, true, 100, false, 0},
	    {0, 7, true, true, 100, false, 0},
	    {TOLERATE_COUNT, 7, true, false, 100, false, 7},
	    {TOLERATE_COUNT, 7, false, true, 100, false, 0},
	    {TOLERATE_PPM, 20000, true, false, 100, false, UINT64_MAX},
	    {TOLERATE_PPM, 20000, true, true, 100, false, 2},
	    {TOLERATE_PPM, 20000, true, true, 149, false, 2},
	    {TOLERATE_PPM, 20000, true, true, 49, false, 0},
	    {TOLERATE_PPM, 1000000, true, true, SHARDS_MAX, false, SHARDS_MAX},
	    {TOLERATE_PPM, UINT64_MAX, true, true, SHARDS_MAX, false, SHARDS_MAX},
	    {TOLERATE_PPM, 999999, true, true, SHARDS_MAX, false, 4294963000},
	    {TOLERATE_PPM, 20000, false, true, 100, false, 0},
	    {TOLERATE_TO_THE_END, 0, true, true, 100, false, UINT64_MAX},
	    {TOLERATE_TO_THE_END, 0, true, false, 100, false, UINT64_MAX},
	    {TOLERATE_TO_THE_END, 0, true, true, 100, true, 0},
	    {TOLERATE_TO_THE_END, 0, false, true, 100, false, 0},
	    {TOLERATE_FAILURES, 7, true, false, 100, false, 7},
	    {TOLERATE_FAILURES, 7, true, true, 100, false, 7},
	    {TOLERATE_FAILURES, 7, true, true, 100, true, 0},
	    {TOLERATE_FAILURES, 7, false, true, 100, false, 0},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct policy p = {.tolerate_kind = cases[i].kind, .tolerate = cases[i].tolerate};

		struct tolerance t = {&p, cases[i].is_shards, cases[i].sealed, cases[i].through,
				      cases[i].shards};

		cr_assert_eq(tolerated(&t), cases[i].want, "case %zu", i);
	}
}

Test(rules, a_job_whose_state_grows_too_large_is_paused_with_the_reason)
{
	struct range all = {0, 4000};
	struct held_token t = {.token = {1, 77}, .running = {&all, 1}};
	struct range *done = calloc(1000, sizeof *done);
	struct outcome o = {.token = t.token, .done = {done, 1000}, .totals.run_us = 1};

	kit_prepare(&k);
	k.config.job_state_bytes_max = 4096;
	kit_start(&k);
	t.job = o.job = kit_submit(&k, (struct kit_job){.shards = 4000});
	k.workers[0].cpu_milli = 1;
	kit_register_with(&k, 0, (struct held_token_list){&t, 1});
	for (uint32_t i = 0; i < 1000; i++)
		done[i] = (struct range){4 * i, 1};
	kit_report(&k, 0, &o, 1);
	cr_assert_eq(kit_view(&k, t.job).word, JOB_WORD_PAUSED);
	cr_assert_gt(kit_view(&k, t.job).why.size, 0);
	free(done);
	kit_close(&k);
}

/* ---- views ---- */

Test(view, jobs_are_walked_in_both_directions_over_gaps)
{
	uint64_t seen = 0, job;

	kit_open(&k);
	for (uint32_t i = 0; i < 1000; i++)
		kit_submit(&k, (struct kit_job){.shards = 1});
	for (job = 1; job <= 1000; job++)
		if (job % 300 != 7)
			kit_cancel(&k, job);
	for (job = dispatcher_view_next_job(k.core, 0); job != 0; job = dispatcher_view_next_job(k.core, job))
		seen = seen * 1000 + job;
	cr_assert_eq(seen, 7307607907);
	seen = 0;
	for (job = dispatcher_view_previous_job(k.core, 0); job != 0;
	     job = dispatcher_view_previous_job(k.core, job))
		seen = seen * 1000 + job;
	cr_assert_eq(seen, 907607307007);
	cr_assert_eq(dispatcher_view_next_job(k.core, UINT64_MAX), 0);
	kit_close(&k);
}

Test(view, dead_shards_come_with_their_kind_and_the_first_with_their_reason)
{
	struct range all = {0, 60};
	struct held_token t = {.token = {1, 77}, .running = {&all, 1}};
	struct view_dead dead[8];
	struct range done[4];
	uint64_t cursor = 0, total = 0;
	struct kit_lease l = {.token = t.token};
	size_t n;

	kit_open(&k);
	t.job = l.job = kit_submit(
	    &k,
	    (struct kit_job){.shards = 60, .attempts = 1, .tolerate_kind = TOLERATE_COUNT, .tolerate = 60});
	k.workers[0].cpu_milli = 1;
	kit_register_with(&k, 0, (struct held_token_list){&t, 1});
	for (l.first = 0, l.count = 1; l.first < 40; l.first += 2)
		kit_failed(&k, 0, &l, l.first < 20 ? FAILURE_EXIT : FAILURE_OOM, l.first);
	kit_done_range(&k, 0, &l, 50, 10);
	while ((n = dispatcher_view_dead(k.core, t.job, &cursor, dead, 8)) > 0)
		for (size_t i = 0; i < n; i++, total++) {
			cr_assert_eq(dead[i].shards.first, 2 * total);
			cr_assert_eq(dead[i].kind, total < 10 ? FAILURE_EXIT : FAILURE_OOM);
			cr_assert_eq(dead[i].noted, total < 16);
			if (dead[i].noted)
				cr_assert_eq(dead[i].code, (int64_t)(2 * total));
		}
	cr_assert_eq(total, 20);
	cursor = 0;
	cr_assert_eq(dispatcher_view_done(k.core, t.job, &cursor, done, 4), 1);
	cr_assert_eq(done[0].first, 50);
	kit_close(&k);
}

Test(view, what_workers_need_of_a_job)
{
	struct job_parameters p;
	struct new_job body;
	uint64_t job;

	kit_open(&k);
	job = kit_submit(&k, (struct kit_job){.name = "fastq-qc", .shards = 5, .gather = true});
	cr_assert(dispatcher_view_parameters(k.core, job, 0, &k.arena, &p));
	cr_assert(bytes_equal(p.name, BYTES_LIT("fastq-qc")));
	cr_assert_eq(p.plan.shard_count, 5);
	cr_assert_eq(p.values.count, 1);
	cr_assert(bytes_equal(p.values.items[0].text, BYTES_LIT("a value")));
	cr_assert_not(dispatcher_view_parameters(k.core, job, 1, &k.arena, &p), "not in work");
	cr_assert(dispatcher_view_body(k.core, job, &k.arena, &body));
	cr_assert_eq(body.job, job);
	cr_assert_not_null(dispatcher_view_definition(k.core, body.definition));
	cr_assert_null(dispatcher_view_definition(k.core, BYTES_LIT("no")));
	kit_cancel(&k, job);
	cr_assert_null(dispatcher_view_definition(k.core, body.definition), "no live job names it");
	kit_close(&k);
}

Test(view, workers_are_listed_with_what_they_hold)
{
	struct view_worker v;
	uint64_t after = 0;
	uint32_t n = 0;

	kit_open(&k);
	kit_submit(&k, (struct kit_job){.shards = 3});
	for (uint32_t w = 0; w < 3; w++)
		kit_register(&k, w, 1000 * (w + 1));
	while (dispatcher_view_next_worker(k.core, after, &k.arena, &v)) {
		cr_assert_eq(v.worker.lo, n + 1);
		cr_assert_eq(v.capacity.cpu_milli, 1000 * (n + 1));
		cr_assert_eq(v.leases, n < 1 ? 2 : n < 2 ? 1 : 0);
		cr_assert(bytes_equal(v.pool, BYTES_LIT("pool")));
		after = v.session;
		n++;
	}
	cr_assert_eq(n, 3);
	kit_gone(&k, 2);
	cr_assert_not(dispatcher_view_next_worker(k.core, after, &k.arena, &v));
	kit_close(&k);
}

Test(view, named_resources_are_leased_as_they_are_there)
{
	struct named_amount have = {BYTES_LIT("licence"), 2000};
	struct named_amount want = {BYTES_LIT("licence"), 1000};
	struct register_worker m = {.wire_min = 1,
				    .wire_max = 1,
				    .worker = {7, 7},
				    .serial = 1,
				    .capacity = {.cpu_milli = 9000, .named = {&have, 1}}};
	struct offer o;

	kit_open(&k);
	good(&o);
	o.phases[0].policy.shape.named = (struct named_amount_list){&want, 1};
	o.job.plan.shard_count = 9;
	cr_assert_eq(offer(&o), ERR_OK);
	kit_register(&k, 0, 9000);
	cr_assert_eq(k.workers[0].lease_count, 0, "it has no licence");
	k.workers[1].peer = 55;
	kit_message(&k, 1, MESSAGE_REGISTER, &m);
	cr_assert_eq(k.workers[1].lease_count, 4, "two run, two wait behind them");
	kit_close(&k);
}

/* A worker that is busy, or drains, offers what it has all the same. */
Test(view, what_workers_offer)
{
	static struct named_amount some[] = {{BYTES_LIT("licence"), 1000}},
				   strange[] = {{BYTES_LIT("tape"), 1000}};
	static const struct {
		struct resources need;
		bool fits;
	} cases[] = {
	    {{.cpu_milli = 1000}, true},
	    {{.cpu_milli = 1001}, false},
	    {{.cpu_milli = 1000, .named = {some, 1}}, false},
	    {{.cpu_milli = 1000, .named = {strange, 1}}, false},
	    {{.cpu_milli = 1000, .gpu_milli = 1}, false},
	};
	struct view_offers v;
	struct arena arena;

	kit_open(&k);
	arena_init(&arena, 0);
	dispatcher_view_offers(k.core, &cases[0].need, &arena, &v);
	cr_assert(v.workers == 0 && !v.fits && !v.awaited);
	kit_register(&k, 0, 1000);
	kit_submit(&k, (struct kit_job){.shards = 100});
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		dispatcher_view_offers(k.core, &cases[i].need, &arena, &v);
		cr_expect_eq(v.fits, cases[i].fits, "case %zu", i);
		cr_expect_eq(v.workers, 1);
		cr_expect_eq(v.largest.cpu_milli, 1000);
	}
	kit_restart(&k);
	dispatcher_view_offers(k.core, &cases[1].need, &arena, &v);
	cr_assert(v.awaited, "larger ones may come back");
	arena_fini(&arena);
	kit_close(&k);
}
