/* What attempts took goes with their shards into reports, and is bounded. */
#include <criterion/criterion.h>

#include "tests/unit/worker/rig.h"

static const struct outcome *outcome_of(const struct rig *r, uint32_t i)
{
	const struct report *m = rig_last(r, MESSAGE_REPORT, 0);

	return i < m->outcomes.count ? &m->outcomes.items[i] : NULL;
}

/* The first four shards fail, the next two are done and wrote something. */
static void end_some(struct rig *r)
{
	rig_begin(r, 0, 4);
	rig_end(r, 0, FAILURE_EXIT, 0);
	rig_begin(r, 0, 2);
	rig_end(r, 0, 0, 100);
}

static uint32_t has(const struct outcome *o, uint8_t kind)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < o->efforts.count; i++)
		n += o->efforts.items[i].kind == kind;
	return n;
}

Test(efforts, stand_in_the_outcome_that_has_their_shards)
{
	struct worker_config config = rig_config();
	uint32_t failed = 0, done = 0;
	struct rig r;

	config.capacity.cpu_milli = 1000;
	rig_ready(&r, &config, true);
	rig_lease(&r, 0, 100);
	r.now += 100 * USEC_PER_MSEC;
	end_some(&r);
	for (int turn = 0; turn < 3; turn++) {
		if (r.sync != 0)
			rig_synced(&r);
		rig_until(&r, r.now + 30 * USEC_PER_MSEC);
		rig_ack(&r, ((const struct report *)rig_last(&r, MESSAGE_REPORT, 0))->seq);
	}
	for (uint32_t n = 0; n < rig_count(&r, MESSAGE_REPORT); n++) {
		const struct report *m = rig_last(&r, MESSAGE_REPORT, n);

		for (uint32_t i = 0; i < m->outcomes.count; i++) {
			const struct outcome *o = &m->outcomes.items[i];

			cr_expect_eq(o->attempt, 1);
			cr_expect_eq(has(o, FAILURE_EXIT), o->failed.count > 0 ? 4 : 0);
			cr_expect_eq(has(o, 0), o->done.count > 0 ? 2 : 0);
			failed += has(o, FAILURE_EXIT);
			done += has(o, 0);
		}
	}
	cr_expect_eq(failed, 4);
	cr_expect_eq(done, 2);
	rig_fini(&r);
}

Test(efforts, of_a_report_are_bounded_and_sums_say_the_rest)
{
	struct worker_config config = rig_config();
	const struct outcome *o;
	uint64_t shards = 0, run_us = 0;
	struct rig r;

	config.capacity.cpu_milli = 1000;
	rig_ready(&r, &config, false);
	rig_lease(&r, 0, 1000);
	r.now += 100 * USEC_PER_MSEC;
	rig_begin(&r, 0, 1000);
	rig_end(&r, 0, 0, 0);
	o = outcome_of(&r, 0);
	cr_assert_eq(o->efforts.count, EFFORTS_PER_OUTCOME_MAX);
	for (uint32_t i = 0; i < o->efforts.count; i++) {
		shards += o->efforts.items[i].count;
		run_us += o->efforts.items[i].totals.run_us;
	}
	cr_expect_eq(shards, 1000);
	cr_expect_eq(run_us, 1000 * 1024);
	cr_expect(!o->efforts.items[0].sum);
	cr_expect(o->efforts.items[EFFORTS_PER_OUTCOME_MAX - 1].sum);
	rig_fini(&r);
}

Test(efforts, go_with_the_pieces_of_an_outcome_that_is_too_large)
{
	struct worker_config config = rig_config();
	uint32_t told = 0;
	struct rig r;

	config.capacity.cpu_milli = 1000;
	config.report_ranges_max = 2;
	rig_ready(&r, &config, false);
	r.now += 100 * USEC_PER_MSEC;
	rig_lease(&r, 0, 100);
	for (int i = 0; i < 6; i++) { /* done and failed take turns; one is unacknowledged: they gather */
		rig_begin(&r, 0, 1);
		rig_end(&r, 0, i % 2 ? FAILURE_EXIT : 0, 0);
	}
	rig_until(&r, r.now + 100 * USEC_PER_MSEC);
	for (uint32_t n = 0; n < rig_count(&r, MESSAGE_REPORT); n++) {
		const struct report *m = rig_last(&r, MESSAGE_REPORT, n);

		for (uint32_t i = 0; i < m->outcomes.count; i++) {
			const struct outcome *o = &m->outcomes.items[i];
			uint64_t shards = 0;

			for (uint32_t j = 0; j < o->done.count; j++)
				shards += o->done.items[j].count;
			for (uint32_t j = 0; j < o->failed.count; j++)
				shards += o->failed.items[j].count;
			cr_expect_eq(o->efforts.count, shards);
			told += o->efforts.count;
		}
	}
	cr_expect_eq(told, 6);
	rig_fini(&r);
}
