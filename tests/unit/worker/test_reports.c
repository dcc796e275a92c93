/* When reports leave, how they are cut, and that outputs are on disk before. */
#include <criterion/criterion.h>
#include <string.h>

#include "tests/unit/worker/rig.h"

#define MSEC USEC_PER_MSEC

static const struct report *last(const struct rig *r)
{
	return rig_last(r, MESSAGE_REPORT, 0);
}

Test(reports, leave_at_once_then_with_the_acknowledgement_or_after_20_ms)
{
	struct worker_config config = rig_config();
	usec_t start;
	struct rig r;

	config.capacity.cpu_milli = 1000;
	rig_ready(&r, &config, false);
	rig_lease(&r, 0, 100);
	start = r.now += 100 * MSEC;
	rig_begin(&r, 0, 1);
	rig_end(&r, 0, 0, 0);
	cr_assert_eq(last(&r)->seq, 2, "none was unacknowledged: at once");

	r.now = start + 5 * MSEC;
	rig_begin(&r, 0, 1);
	rig_end(&r, 0, 0, 0);
	cr_assert_eq(last(&r)->seq, 2, "one is unacknowledged");
	rig_until(&r, start + 19 * MSEC);
	cr_assert_eq(last(&r)->seq, 2);
	rig_until(&r, start + 20 * MSEC);
	cr_assert_eq(last(&r)->seq, 3, "20 ms are over");

	rig_begin(&r, 0, 1);
	rig_end(&r, 0, 0, 0);
	r.now += MSEC;
	rig_ack(&r, 3);
	cr_assert_eq(last(&r)->seq, 3, "not sooner than 2 ms after the last");
	rig_until(&r, start + 22 * MSEC);
	cr_assert_eq(last(&r)->seq, 4);
	cr_assert(!last(&r)->slot_idle);
	rig_fini(&r);
}

Test(reports, are_rarer_while_each_slot_has_a_lease_behind_its_own)
{
	struct worker_config config = rig_config();
	struct token behind;
	usec_t start;
	struct rig r;

	config.capacity.cpu_milli = 1000;
	rig_ready(&r, &config, false);
	rig_lease(&r, 0, 100);
	start = r.now += 100 * MSEC;
	rig_begin(&r, 0, 1);
	rig_end(&r, 0, 0, 0);
	rig_ack(&r, 2);
	behind = rig_lease(&r, 100, 100);

	rig_begin(&r, 0, 1);
	rig_end(&r, 0, 0, 0);
	rig_until(&r, start + 99 * MSEC);
	cr_assert_eq(last(&r)->seq, 2, "nobody waits for it");
	rig_until(&r, start + 100 * MSEC);
	cr_assert_eq(last(&r)->seq, 3);
	rig_ack(&r, 3);

	rig_revoke(&r, behind, 150);
	rig_until(&r, start + 102 * MSEC);
	cr_assert_eq(last(&r)->seq, 4, "what is given back does not wait");
	cr_assert_str_eq(rig_text(last(&r)->outcomes.items[0].returned), "150+50");
	rig_fini(&r);
}

/* Each lease of one shard is one that the dispatcher may give anew when it is told of it. */
Test(reports, leave_sooner_when_something_of_many_leases_has_ended)
{
	struct worker_config config = rig_config();
	usec_t start;
	struct rig r;

	config.capacity.cpu_milli = 1000;
	config.report_leases = 3;
	rig_ready(&r, &config, false);
	rig_lease(&r, 0, 1);
	for (uint32_t i = 1; i < 10; i++)
		rig_lease(&r, i, 1);
	start = r.now += 100 * MSEC;
	rig_begin(&r, 0, 1);
	rig_end(&r, 0, 0, 0);
	rig_ack(&r, 2);
	cr_assert_eq(last(&r)->seq, 2);

	r.now = start + 30 * MSEC;
	for (uint32_t i = 0; i < 2; i++) {
		rig_begin(&r, 0, 1);
		rig_end(&r, 0, 0, 0);
	}
	rig_tick(&r);
	cr_assert_eq(last(&r)->seq, 2, "two are not many");
	rig_begin(&r, 0, 1);
	rig_end(&r, 0, 0, 0);
	cr_assert_eq(last(&r)->seq, 3, "three are");
	cr_assert_eq(last(&r)->outcomes.count, 3);
	rig_fini(&r);
}

Test(reports, of_an_idle_slot_do_not_wait)
{
	struct worker_config config = rig_config();
	struct rig r;

	config.capacity.cpu_milli = 1000;
	rig_ready(&r, &config, false);
	rig_lease(&r, 0, 1);
	rig_begin(&r, 0, 1);
	rig_end(&r, 0, 0, 0);
	rig_ack(&r, 2);
	rig_lease(&r, 1, 1);
	rig_begin(&r, 0, 1);
	rig_end(&r, 0, 0, 0); /* all in the same microsecond */
	cr_assert_eq(last(&r)->seq, 3);
	cr_assert(last(&r)->slot_idle);
	rig_fini(&r);
}

Test(reports, not_acknowledged_are_sent_again_with_their_numbers)
{
	struct worker_config config = rig_config();
	struct rig r;

	rig_ready(&r, &config, false);
	rig_lease(&r, 0, 100);
	for (int i = 0; i < 3; i++) {
		rig_begin(&r, 0, 1);
		rig_end(&r, 0, 0, 0);
		rig_until(&r, r.now + 30 * MSEC);
	}
	cr_assert_eq(last(&r)->seq, 4);
	rig_ack(&r, 2);
	rig_until(&r, r.now + 6 * USEC_PER_SEC);
	cr_assert_eq(rig_view(&r).reports_resent, 2);
	cr_assert_eq(((const struct report *)rig_last(&r, MESSAGE_REPORT, 1))->seq, 3);
	cr_assert_eq(last(&r)->seq, 4);
	cr_assert_str_eq(rig_text(last(&r)->outcomes.items[0].done), "2+1");
	rig_fini(&r);
}

Test(reports, coalesce_ranges_and_failures_and_count_run_times)
{
	struct worker_config config = rig_config();
	const struct outcome *o;
	struct rig r;

	rig_ready(&r, &config, false);
	rig_lease(&r, 0, 100);
	for (int i = 0; i < 20; i++) {
		rig_begin(&r, 0, 1);
		rig_end(&r, 0, i < 10 ? 0 : FAILURE_EXIT, 0);
	}
	rig_ack(&r, 2);
	rig_until(&r, r.now + 2 * MSEC);
	cr_assert_eq(last(&r)->outcomes.count, 1);
	o = &last(&r)->outcomes.items[0];
	cr_assert_str_eq(rig_text(o->done), "1+9");
	cr_assert_eq(o->failed.count, 1);
	cr_assert_eq(o->failed.items[0].count, 10);
	cr_assert(bytes_equal(o->failed.items[0].why, BYTES_LIT("exit 1")));
	cr_assert_eq(o->totals.run_us, 19 * 1024);
	cr_assert_eq(last(&r)->run_histogram.size, RUN_BUCKETS);
	cr_assert_eq(last(&r)->run_histogram.data[10], 19);
	rig_fini(&r);
}

Test(reports, never_cut_what_has_one_output_nor_mix_it_with_others)
{
	struct worker_config config = rig_config();
	struct rig r;

	config.report_bytes_max = 1; /* a range a report */
	rig_ready(&r, &config, false);
	rig_lease(&r, 0, 100);
	rig_step(&r, (struct worker_input){.kind = WORKER_DISCONNECTED});
	for (int i = 0; i < 4; i++) { /* 0-9 by themselves, 10-29 in two wholes, 30-39 by themselves */
		r.whole = i == 1 || i == 2;
		rig_begin(&r, 0, 10);
		rig_end(&r, 0, 0, 0);
	}
	rig_step(&r, (struct worker_input){.kind = WORKER_CONNECTED});
	rig_registered(&r, TOKEN_KEEP);
	for (uint32_t n = 0; n < 3; n++) {
		static const char *const want[] = {"30+10", "10+20", "0+10"};
		const struct report *m = rig_last(&r, MESSAGE_REPORT, n);

		cr_assert_eq(m->outcomes.count, 1);
		cr_assert_str_eq(rig_text(m->outcomes.items[0].done), want[n]);
		cr_assert_eq(m->outcomes.items[0].whole, n == 1);
	}
	rig_fini(&r);
}

Test(reports, are_cut_to_their_bounds)
{
	static const struct {
		uint32_t ranges;
		uint64_t bytes;
		uint32_t reports; /* for 50 shards, every other failed */
	} cases[] = {{1000, 1 << 20, 1}, {7, 1 << 20, 8}, {1, 1 << 20, 50}, {1000, 1, 50}, {1000, 1000, 5}};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct worker_config config = rig_config();
		uint32_t before, shards = 0;
		struct rig r;

		config.report_ranges_max = cases[i].ranges;
		config.report_bytes_max = cases[i].bytes;
		rig_ready(&r, &config, false);
		rig_lease(&r, 0, 50);
		rig_step(&r, (struct worker_input){.kind = WORKER_DISCONNECTED});
		for (int n = 0; n < 50; n++) {
			rig_begin(&r, 0, 1);
			rig_end(&r, 0, n % 2 ? FAILURE_EXIT : 0, 0);
		}
		rig_step(&r, (struct worker_input){.kind = WORKER_CONNECTED});
		before = rig_count(&r, MESSAGE_REPORT);
		rig_registered(&r, TOKEN_KEEP);
		for (uint32_t n = rig_count(&r, MESSAGE_REPORT) - before; n-- > 0;) {
			const struct report *m = rig_last(&r, MESSAGE_REPORT, n);

			shards += m->outcomes.items[0].done.count + m->outcomes.items[0].failed.count;
		}
		cr_assert_eq(rig_count(&r, MESSAGE_REPORT) - before, cases[i].reports, "%zu: %u", i,
			     rig_count(&r, MESSAGE_REPORT) - before);
		cr_assert_eq(shards, 50);
		cr_assert_eq(last(&r)->seq, cases[i].reports);
		rig_ack(&r, cases[i].reports);
		cr_assert_eq(rig_view(&r).leases, 0);
		rig_fini(&r);
	}
}

Test(reports, of_outputs_wait_for_the_disk)
{
	struct worker_config config = rig_config();
	struct rig r;

	rig_ready(&r, &config, true);
	rig_lease(&r, 0, 10);
	rig_lease(&r, 10, 10);
	rig_begin(&r, 0, 1);
	rig_end(&r, 0, 0, 500);
	cr_assert_neq(r.sync, 0);
	cr_assert_eq(last(&r)->seq, 1, "not on disk yet");
	for (uint32_t s = 0; s < 2; s++) {
		rig_begin(&r, s, 1);
		rig_end(&r, s, 0, 500);
	}
	rig_begin(&r, 0, 1);
	rig_end(&r, 0, FAILURE_EXIT, 0);
	cr_assert_eq(last(&r)->seq, 2, "a failure has no output to wait for");
	cr_assert_eq(last(&r)->outcomes.items[0].done.count, 0);
	rig_synced(&r);
	rig_ack(&r, 2);
	rig_until(&r, r.now + 2 * MSEC);
	cr_assert_str_eq(rig_text(last(&r)->outcomes.items[0].done), "0+1");
	cr_assert_eq(last(&r)->outcomes.items[0].totals.output_bytes, 500);

	rig_ack(&r, 3);
	rig_until(&r, r.now + 2 * MSEC);
	cr_assert_eq(r.sync_segments, 2, "one sync for both slots");
	rig_synced(&r);
	rig_until(&r, r.now + 2 * MSEC);
	cr_assert_eq(last(&r)->outcomes.count, 2);
	rig_fini(&r);
}

Test(reports, of_outputs_that_the_disk_did_not_take_are_failures)
{
	struct worker_config config = rig_config();
	struct rig r;
	const struct outcome *o;

	rig_ready(&r, &config, true);
	rig_lease(&r, 0, 10);
	rig_begin(&r, 0, 3);
	rig_end(&r, 0, 0, 500);
	rig_step(&r, (struct worker_input){.kind = WORKER_SYNC_FAILED,
					   .sync_failed = {r.sync, 28, BYTES_LIT("no space left")}});
	o = &last(&r)->outcomes.items[0];
	cr_assert_eq(o->done.count, 0);
	cr_assert_eq(o->totals.output_bytes, 0);
	cr_assert_eq(o->failed.items[0].kind, FAILURE_OUTPUT);
	cr_assert_eq(o->failed.items[0].code, 28);
	cr_assert_eq(o->failed.items[0].count, 3);
	cr_assert_eq(rig_view(&r).done, 0);
	rig_fini(&r);
}

Test(reports, of_failures_wait_for_the_sync_of_what_they_wrote)
{
	struct worker_config config = rig_config();
	struct rig r;
	const struct failure *f;

	rig_ready(&r, &config, true);
	rig_lease(&r, 0, 10);
	rig_begin(&r, 0, 1);
	rig_end(&r, 0, FAILURE_EXIT, 500);
	cr_assert_neq(r.sync, 0);
	cr_assert_eq(r.sync_segments, 1);
	cr_assert_eq(last(&r)->seq, 1, "not on disk yet");
	rig_synced(&r);
	f = &last(&r)->outcomes.items[0].failed.items[0];
	cr_assert_eq(f->segment, 1);
	rig_ack(&r, 2);

	/* A sync that fails takes nothing from the verdict, only its output. */
	rig_begin(&r, 0, 1);
	rig_end(&r, 0, FAILURE_EXIT, 500);
	rig_until(&r, r.now + 2 * MSEC);
	rig_step(&r, (struct worker_input){.kind = WORKER_SYNC_FAILED,
					   .sync_failed = {r.sync, 28, BYTES_LIT("no space left")}});
	rig_until(&r, r.now + 2 * MSEC);
	f = &last(&r)->outcomes.items[0].failed.items[0];
	cr_assert_eq(last(&r)->outcomes.items[0].failed.count, 1);
	cr_assert_eq(f->kind, FAILURE_EXIT);
	cr_assert_eq(f->segment, 0);
	rig_fini(&r);
}

Test(reports, sum_cpu_time_and_name_the_largest_process)
{
	struct worker_config config = rig_config();
	struct rig r;

	rig_ready(&r, &config, true);
	rig_lease(&r, 0, 10);
	rig_begin(&r, 0, 3);
	rig_end(&r, 0, 0, 500);
	rig_begin(&r, 0, 2);
	rig_end(&r, 0, 0, 500);
	rig_synced(&r);
	cr_assert_eq(last(&r)->outcomes.items[0].totals.cpu_us, 3 * 512);
	cr_assert_eq(last(&r)->outcomes.items[0].totals.max_rss_bytes, 1000);
	rig_ack(&r, 2);
	rig_until(&r, r.now + 2 * MSEC);
	rig_begin(&r, 0, 1);
	rig_end(&r, 0, FAILURE_EXIT, 0);
	rig_synced(&r);
	rig_until(&r, r.now + 2 * MSEC);
	cr_assert_eq(last(&r)->seq, 3);
	cr_assert_eq(last(&r)->outcomes.count, 1);
	cr_assert_eq(last(&r)->outcomes.items[0].totals.cpu_us, 512, "of a failed one, too");
	cr_assert_eq(last(&r)->outcomes.items[0].totals.max_rss_bytes, 1000);
	rig_fini(&r);
}

Test(reports, cut_a_long_why_between_two_characters)
{
	struct worker_config config = rig_config();
	char words[600];
	struct failure f = {.first = 0, .count = 1, .kind = FAILURE_EXIT, .why = {(uint8_t *)words, 599}};
	struct worker_slot_progress p = {.failed = {&f, 1}, .next = 1, .end = 10};
	const struct failure *told;
	struct token t;
	struct rig r;

	rig_ready(&r, &config, false);
	t = rig_lease(&r, 0, 10);
	rig_begin(&r, 0, 1);
	p.token = t;
	memset(words, 'a', sizeof(words));
	memcpy(words + 399, "é", 2);
	rig_step(&r, (struct worker_input){.kind = WORKER_SLOT_PROGRESS, .progress = p});
	told = &last(&r)->outcomes.items[0].failed.items[0];
	cr_assert_eq(told->why.size, 399);
	rig_fini(&r);
}
