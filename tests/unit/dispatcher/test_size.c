/* What a core costs: a million queued jobs of one shard, four billion shards of one job. */
#include <criterion/criterion.h>
#include <malloc.h>
#include <stdio.h>

#include "tests/unit/dispatcher/kit.h"

static struct kit k;

static size_t heap_bytes(void)
{
	struct mallinfo2 m = mallinfo2();

	return m.uordblks + m.hblkhd;
}

/* Straight to the core: the kit keeps each record. */
static void accept_jobs(struct dispatcher_core *core, struct dispatcher_effects *out, uint32_t from,
			uint32_t count, const struct definition_body *def)
{
	struct text_item values[] = {{BYTES_LIT("reads/2026-11-23/sample-000001.fastq")},
				     {BYTES_LIT("1048576")}};

	for (uint32_t i = from; i < from + count; i++) {
		struct new_job j = {.definition = def->sha256,
				    .planner = PLANNER_PURE,
				    .values = {values, 2},
				    .event_id_hi = i * 0x9e3779b97f4a7c15ull,
				    .event_id_lo = i * 0xc2b2ae3d27d4eb4full,
				    .plan = {.kind = PLAN_COUNT, .shard_count = 1, .step = 1}};
		struct input_accept in = {.request = i,
					  .key_hi = (i + 1) * 0x9e3779b97f4a7c15ull,
					  .key_lo = (i + 1) * 0xbf58476d1ce4e5b9ull,
					  .definitions = {(struct definition_body *)def, 1},
					  .jobs = {&j, 1}};
		struct dispatcher_input input = {1000, 1700000000000000, INPUT_ACCEPT, &in};

		cr_assert_eq(dispatcher_core_step(core, &input, out), 0);
		cr_assert_eq(out->items[0].reply.code, ERR_OK);
	}
}

Test(size, a_million_queued_jobs_cost_less_than_400_bytes_each)
{
	static const uint8_t sha[32] = {1};
	struct phase_def phase = {.name = BYTES_LIT("shards"),
				  .policy = {.shape = {.cpu_milli = 1000}, .attempts_max = 3}};
	struct definition_body def = {.sha256 = BYTES(sha, 32),
				      .name = BYTES_LIT("fastq-qc"),
				      .queue = BYTES_LIT("default"),
				      .phases = {&phase, 1}};
	struct dispatcher_config config = kit_config();
	struct dispatcher_core *core = dispatcher_core_create(&config);
	struct dispatcher_effects out;
	struct input_open open = {.seed = 1};
	struct input_durable durable = {0};
	struct dispatcher_input input = {1000, 1700000000000000, INPUT_OPEN, &open};
	struct view_counters c;
	size_t before, each;

	dispatcher_effects_init(&out);
	cr_assert_eq(dispatcher_core_replay_end(core, NULL), 0);
	cr_assert_eq(dispatcher_core_step(core, &input, &out), 0);
	accept_jobs(core, &out, 1, 1, &def);
	before = heap_bytes();
	accept_jobs(core, &out, 2, 1000000, &def);
	durable.lsn = out.last_lsn;
	input.type = INPUT_DURABLE;
	input.body = &durable;
	cr_assert_eq(dispatcher_core_step(core, &input, &out), 0);
	each = (heap_bytes() - before) / 1000000;
	dispatcher_view_counters(core, &c);
	cr_assert_eq(c.runnable_jobs, 1000001);
	cr_assert_eq(c.dedup_entries, 1000001);
	fprintf(stderr, "%zu bytes a queued job of one shard\n", each);
	cr_assert_lt(each, 400);
	dispatcher_effects_fini(&out);
	dispatcher_core_destroy(core);
}

Test(size, four_billion_shards_cost_kilobytes)
{
	const uint32_t n = 4000000000u;
	struct view_job v;
	size_t before, after;
	uint64_t job;

	kit_prepare(&k);
	k.config.lease_time_us = 3600 * USEC_PER_SEC;
	kit_start(&k);
	kit_register(&k, 0, 1000);
	kit_register(&k, 1, 3000);
	job = kit_submit(&k, (struct kit_job){.shards = 1});
	kit_cancel(&k, job);
	before = heap_bytes();
	job = kit_submit(&k, (struct kit_job){.shards = n});
	for (uint32_t i = 0; kit_view(&k, job).state == JOB_ACTIVE; i++) {
		uint32_t w = i % 3 == 0 ? 0 : 1;
		struct kit_worker *kw = &k.workers[w];
		struct kit_lease l;
		struct range r;
		struct outcome o;

		if (kw->lease_count == 0)
			continue;
		l = kw->leases[--kw->lease_count]; /* the newest first: done is not in order */
		r = (struct range){l.first, l.count};
		o = (struct outcome){
		    .token = l.token, .job = job, .done = {&r, 1}, .totals.run_us = l.count / 1000 + 1};
		kit_report(&k, w, &o, 1);
		cr_assert_lt(i, 3000);
	}
	v = kit_view(&k, job);
	cr_assert_eq(v.state, JOB_SUCCEEDED);
	cr_assert_eq(v.first_done, n);
	/* The kit keeps the journal: it is not the core's. */
	after = heap_bytes() - k.journal.capacity - k.sizes.capacity - k.arena.held_bytes;
	fprintf(stderr, "%lld bytes more than before\n", (long long)after - (long long)before);
	cr_assert_lt((long long)after - (long long)before, 256 * 1024);
	kit_close(&k);
}
