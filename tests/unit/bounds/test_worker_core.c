/* What a worker's core keeps: definitions and jobs that no lease names, slices of leases. */
#include "base/check.h"
#include "base/limits.h"
#include "tests/unit/bounds/heap.h"
#include "tests/unit/worker/rig.h"

#include <string.h>

/* Not by the rig, which keeps each frame. */
static void take(struct rig *r, struct worker_effects *out, enum message_type type, const void *body)
{
	struct worker_input in = {.mono_us = r->now,
				  .wall_us = r->now,
				  .kind = WORKER_FRAME,
				  .frame = {.type = type, .body = body}};

	cr_assert_eq(worker_core_step(r->core, &in, out, NULL), 0);
	worker_effects_clear(out);
}

static void parameters(struct rig *r, struct worker_effects *out, uint64_t job, size_t value_bytes)
{
	static const uint8_t value[4096];
	struct text_item item = {BYTES(value, value_bytes)};
	struct job_parameters j = {
	    .job = job, .values = {&item, 1}, .plan = {.kind = PLAN_COUNT, .shard_count = 1, .step = 1}};
	struct parameters m = {.session = r->session, .jobs = {&j, 1}};

	take(r, out, MESSAGE_PARAMETERS, &m);
}

Test(bounds, a_workers_cache)
{
	static const size_t value_bytes[] = {0, 36, 500, 4096};

	for (size_t i = 0; i < ARRAY_LENGTH(value_bytes); i++) {
		struct worker_config config = rig_config();
		struct worker_effects out;
		size_t before, full;
		struct rig r;

		config.cache_bytes_max = 4 * MIB;
		worker_effects_init(&out);
		rig_ready(&r, &config, false);
		before = heap_now();
		for (uint64_t job = 100; job < 30100; job++)
			parameters(&r, &out, job, value_bytes[i]);
		full = heap_now();
		expect_bound("a worker's cache", config.cache_bytes_max, full - before);
		for (uint64_t job = 30100; job < 40100; job++)
			parameters(&r, &out, job, value_bytes[i]);
		cr_expect_leq(heap_now(), full + full / 20, "it is full");
		worker_effects_fini(&out);
		rig_fini(&r);
	}
}

/* As many leases as a worker takes, and slices so large that they fill it. */
Test(bounds, a_workers_slices)
{
	static const uint8_t slice[4096];
	struct worker_config config = rig_config();
	struct worker_effects out;
	size_t before;
	struct rig r;

	config.slice_bytes_max = 4 * MIB;
	worker_effects_init(&out);
	rig_ready(&r, &config, false);
	before = heap_now();
	for (uint32_t i = 0; i < 1500; i++) {
		struct lease l = rig_lease_of(&r, i, 1);
		struct leases m = {.session = r.session, .leases = {&l, 1}};

		l.slice = BYTES(slice, sizeof slice);
		take(&r, &out, MESSAGE_LEASES, &m);
	}
	cr_expect_lt(rig_view(&r).unstarted, 1100, "what does not fit is given back");
	expect_bound("a worker's slices", config.slice_bytes_max, heap_now() - before);
	worker_effects_fini(&out);
	rig_fini(&r);
}

/* Its size is reckoned from above before it is encoded, so that no frame is too large. */
Test(bounds, a_workers_report)
{
	struct worker_config config = rig_config();
	struct buf frame = {0};
	size_t largest = 0;
	struct rig r;

	config.report_bytes_max = 16 * KIB;
	rig_ready(&r, &config, false);
	rig_lease(&r, 4000000000u, 4000);
	rig_step(&r, (struct worker_input){.kind = WORKER_DISCONNECTED});
	for (int n = 0; n < 4000; n++) {
		rig_begin(&r, 0, 1);
		rig_end(&r, 0, n % 2 ? FAILURE_EXIT : 0, 0);
	}
	rig_step(&r, (struct worker_input){.kind = WORKER_CONNECTED});
	rig_registered(&r, TOKEN_KEEP);
	for (uint32_t n = 0; n < rig_count(&r, MESSAGE_REPORT); n++) {
		buf_clear(&frame);
		codec_union_encode(&message_union, MESSAGE_REPORT, rig_last(&r, MESSAGE_REPORT, n), &frame);
		largest = frame.size > largest ? frame.size : largest;
	}
	cr_expect_leq(largest, config.report_bytes_max);
	cr_expect_geq(largest, config.report_bytes_max / 2, "%zu", largest);
	buf_fini(&frame);
	rig_fini(&r);
}
