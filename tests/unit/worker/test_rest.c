/* A worker that met trouble of its own rests: it gives back what it has not begun, and offers nothing for a
 * while. */
#include <criterion/criterion.h>

#include "base/constants.h"
#include "tests/unit/worker/rig.h"

static const struct report *last(const struct rig *r)
{
	return rig_last(r, MESSAGE_REPORT, 0);
}

static uint64_t returned(const struct rig *r)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < last(r)->outcomes.count; i++)
		for (uint32_t k = 0; k < last(r)->outcomes.items[i].returned.count; k++)
			n += last(r)->outcomes.items[i].returned.items[k].count;
	return n;
}

/* Shards begin and one meets trouble; the report that tells of it has left. */
static void meet_trouble(struct rig *r, uint32_t first)
{
	rig_lease(r, first, 1);
	cr_assert_eq(rig_begin(r, 0, 1), 1);
	rig_end(r, 0, FAILURE_START, 0);
	rig_until(r, r->now + 20 * USEC_PER_MSEC);
	rig_ack(r, last(r)->seq);
}

Test(rest, gives_back_what_is_not_begun_and_offers_nothing)
{
	struct worker_config config = rig_config();
	struct rig r;

	config.capacity.cpu_milli = 1000;
	rig_ready(&r, &config, false);
	rig_lease(&r, 100, 10);
	rig_lease(&r, 200, 10);
	rig_begin(&r, 0, 1);
	rig_end(&r, 0, FAILURE_START, 0);
	rig_until(&r, r.now + 20 * USEC_PER_MSEC);
	cr_assert_eq(last(&r)->outcomes.items[0].failed.items[0].kind, FAILURE_START);
	cr_assert_eq(returned(&r), 19, "%lu", (unsigned long)returned(&r));
	cr_assert_eq(last(&r)->credit.cpu_milli, 0);
	cr_assert_not(last(&r)->slot_idle);
	cr_assert(rig_view(&r).resting);
	rig_ack(&r, last(&r)->seq);
	rig_lease(&r, 300, 10);
	rig_until(&r, r.now + 20 * USEC_PER_MSEC);
	cr_assert_eq(returned(&r), 10, "a lease that was on its way goes back");
	rig_fini(&r);
}

Test(rest, is_twice_as_long_each_time_until_something_succeeds)
{
	static const usec_t rests_us[] = {REST_US, 2 * REST_US, 4 * REST_US};
	struct worker_config config = rig_config();
	struct rig r;

	config.capacity.cpu_milli = 1000;
	rig_ready(&r, &config, false);
	for (uint32_t i = 0; i < ARRAY_LENGTH(rests_us); i++) {
		usec_t begun;

		meet_trouble(&r, 100 * i);
		begun = r.now;
		rig_until(&r, begun + rests_us[i] - 100 * USEC_PER_MSEC);
		cr_assert(rig_view(&r).resting, "rest %u", i);
		rig_until(&r, begun + rests_us[i] + 100 * USEC_PER_MSEC);
		cr_assert_not(rig_view(&r).resting, "rest %u", i);
		cr_assert_eq(last(&r)->credit.cpu_milli, 1000, "it offers all again");
	}
	rig_lease(&r, 1000, 1);
	rig_begin(&r, 0, 1);
	rig_end(&r, 0, 0, 0);
	meet_trouble(&r, 2000);
	rig_until(&r, r.now + REST_US + 100 * USEC_PER_MSEC);
	cr_assert_not(rig_view(&r).resting, "the first rest after a success is short again");
	rig_fini(&r);
}

Test(rest, begins_also_when_outputs_cannot_be_synced_or_a_slot_does_not_start)
{
	struct worker_config config = rig_config();
	struct rig r;

	rig_ready(&r, &config, true);
	rig_lease(&r, 0, 10);
	rig_begin(&r, 0, 1);
	rig_end(&r, 0, 0, 500);
	rig_step(&r, (struct worker_input){.kind = WORKER_SYNC_FAILED,
					   .sync_failed = {r.sync, 28, BYTES_LIT("no space left")}});
	cr_assert(rig_view(&r).resting);
	rig_fini(&r);
	rig_ready(&r, &config, true);
	rig_lease(&r, 0, 10);
	rig_lost(&r, 0, FAILURE_START);
	cr_assert(rig_view(&r).resting);
	rig_fini(&r);
}
