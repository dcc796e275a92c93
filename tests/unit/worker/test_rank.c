/* What a worker holds ahead never outranks what comes later. */
#include <criterion/criterion.h>

#include "tests/unit/worker/rig.h"

static void ranked_of(struct rig *r, const char *sha, uint64_t job, uint32_t first, uint32_t count,
		      struct rank rank)
{
	struct lease l = rig_lease_of(r, first, count);
	struct leases m = {.session = r->session, .leases = {&l, 1}};

	l.definition = BYTES(sha, 32);
	l.job = job;
	l.rank = rank;
	cr_assert_eq(rig_frame(r, MESSAGE_LEASES, &m), 0);
}

static void ranked(struct rig *r, uint32_t first, uint32_t count, struct rank rank)
{
	ranked_of(r, RIG_SHA, 7, first, count, rank);
}

/* One slot; the first shards of the next n leases that it runs, each run to its end. */
static void runs(struct rig *r, uint32_t n, const uint32_t *want)
{
	for (uint32_t i = 0; i < n; i++) {
		const struct rig_cell *cell;

		for (uint32_t k = 0; k < SLOT_CELLS; k++)
			if (cell_is_armed(&r->slots[0].cells[k].cell) && !r->slots[0].cells[k].stopped &&
			    cell_peek(&r->slots[0].cells[k].cell).end == r->slots[0].cells[k].arm.range.first)
				rig_progress(r, 0, k, true); /* emptied before it was begun */
		cell = rig_in_work(r, 0);
		cr_assert_not_null(cell, "lease %u", i);
		cr_expect_eq(cell->arm.range.first, want[i], "lease %u is %u, not %u", i,
			     cell->arm.range.first, want[i]);
		rig_begin(r, 0, 100);
		rig_end(r, 0, 0, 0);
	}
}

static struct worker_config one_core(void)
{
	struct worker_config config = rig_config();

	config.capacity.cpu_milli = 1000;
	return config;
}

Test(rank, of_one_queue_the_higher_priority_goes_first_from_the_next_shard_on)
{
	struct worker_config config = one_core();
	struct rig r;

	rig_ready(&r, &config, false);
	ranked(&r, 0, 10, (struct rank){.queue_turn = 1});
	ranked(&r, 10, 10, (struct rank){.queue_turn = 2});
	ranked(&r, 20, 10, (struct rank){.queue_turn = 3});
	cr_assert_eq(rig_begin(&r, 0, 3), 3);
	ranked(&r, 100, 1, (struct rank){.queue_turn = 4, .priority = 5});
	cr_expect_eq(rig_begin(&r, 0, 100), 0, "what is not begun is given back");
	rig_end(&r, 0, 0, 0);
	runs(&r, 4, (uint32_t[]){100, 3, 10, 20});
	cr_expect_eq(rig_view(&r).done, 31);
	cr_expect_eq(rig_view(&r).returned, 0, "to the worker itself, not to the dispatcher");
	rig_fini(&r);
}

Test(rank, between_queues_the_turn_counts_and_no_priority)
{
	struct worker_config config = one_core();
	struct rig r;

	rig_ready(&r, &config, false);
	ranked(&r, 0, 1, (struct rank){.queue = 1, .queue_turn = 1});
	rig_begin(&r, 0, 1);
	ranked(&r, 10, 1, (struct rank){.queue = 1, .queue_turn = 2});
	ranked(&r, 30, 1, (struct rank){.queue = 1, .queue_turn = 4});
	ranked(&r, 40, 1, (struct rank){.queue = 2, .queue_turn = 3, .priority = 9});
	rig_end(&r, 0, 0, 0);
	runs(&r, 3, (uint32_t[]){10, 40, 30});
	rig_fini(&r);
}

Test(rank, whoever_goes_first_in_a_queue_takes_the_turn_of_who_does_not)
{
	struct worker_config config = one_core();
	struct rig r;

	rig_ready(&r, &config, false);
	ranked(&r, 0, 1, (struct rank){.queue = 1, .queue_turn = 1});
	rig_begin(&r, 0, 1);
	ranked(&r, 5, 1, (struct rank){.queue = 1, .queue_turn = 1}); /* in the second cell */
	ranked(&r, 10, 1, (struct rank){.queue = 1, .queue_turn = 3});
	ranked(&r, 20, 1, (struct rank){.queue = 2, .queue_turn = 4});
	ranked(&r, 30, 1, (struct rank){.queue = 1, .queue_turn = 5, .priority = 1});
	rig_end(&r, 0, 0, 0);
	runs(&r, 4, (uint32_t[]){30, 5, 20, 10});
	rig_fini(&r);
}

Test(rank, of_one_priority_the_key_that_was_served_less_goes_first_and_of_one_key_the_older)
{
	struct worker_config config = one_core();
	struct rig r;

	rig_ready(&r, &config, false);
	ranked(&r, 0, 1, (struct rank){.key_turn = 10});
	rig_begin(&r, 0, 1);
	ranked(&r, 10, 1, (struct rank){.key_turn = 10});
	ranked(&r, 20, 1, (struct rank){.key_turn = 10});
	ranked(&r, 30, 1, (struct rank){.key_turn = 3});
	rig_end(&r, 0, 0, 0);
	runs(&r, 3, (uint32_t[]){30, 10, 20});
	rig_fini(&r);
}

Test(rank, slots_of_other_shapes_make_room_for_what_outranks_all_that_they_have)
{
	struct worker_config config = rig_config();
	struct rig r;

	rig_ready(&r, &config, false);
	rig_parameters_of(&r, RIG_SHA_2, (struct resources){.cpu_milli = 2000}, 8);
	for (uint32_t i = 0; i < 8; i++)
		ranked(&r, i * 100, 100, (struct rank){.queue_turn = i});
	for (uint32_t s = 0; s < 4; s++)
		rig_begin(&r, s, 1);
	ranked_of(&r, RIG_SHA_2, 8, 0, 1, (struct rank){.queue_turn = 20});
	cr_assert_eq(rig_begin(&r, 3, 1), 1, "it ranks behind all of them");
	ranked_of(&r, RIG_SHA_2, 8, 1, 1, (struct rank){.queue_turn = 21, .priority = 1});
	for (uint32_t s = 0; s < 4; s++)
		rig_end(&r, s, 0, 0);
	for (uint32_t s = 0; s < 4; s++)
		for (uint32_t k = 0; k < SLOT_CELLS; k++)
			if (r.slots[s].open && cell_is_armed(&r.slots[s].cells[k].cell) &&
			    cell_peek(&r.slots[s].cells[k].cell).end == r.slots[s].cells[k].arm.range.first)
				rig_progress(&r, s, k, true);
	uint32_t large = 0;

	for (uint32_t s = 0; s < RIG_SLOTS; s++)
		large += r.slots[s].open && r.slots[s].cells[0].arm.job == 8;
	cr_expect_eq(large, 1);
	cr_expect_eq(rig_view(&r).slots_open, 3, "two cores for the large one, two small slots work on");
	rig_fini(&r);
}

/* One core is busy for 100 shards more; the other is lent until then. */
Test(rank, what_ends_before_a_shape_has_its_room_may_use_it)
{
	struct worker_config config = rig_config();
	struct rig r;

	config.capacity.cpu_milli = 2000;
	rig_ready(&r, &config, false);
	rig_parameters_of(&r, RIG_SHA_2, (struct resources){.cpu_milli = 2000}, 8);
	rig_parameters_of(&r, RIG_SHA, (struct resources){.cpu_milli = 1000}, 9);
	ranked(&r, 0, 40, (struct rank){.queue_turn = 0});
	for (uint32_t i = 0; i < 40; i++) { /* each takes 1,024 us */
		rig_begin(&r, 0, 1);
		rig_end(&r, 0, 0, 0);
	}
	ranked(&r, 1000, 100, (struct rank){.queue_turn = 1});
	cr_assert_eq(rig_begin(&r, 0, 1), 1);
	ranked_of(&r, RIG_SHA_2, 8, 0, 1, (struct rank){.queue_turn = 5});
	ranked_of(&r, RIG_SHA, 9, 0, 1, (struct rank){.queue_turn = 8});
	cr_expect_eq(rig_view(&r).slots_open, 1, "nobody knows how long a shard of job 9 takes");
	ranked(&r, 2000, 500, (struct rank){.queue_turn = 9});
	cr_assert(r.slots[1].open && r.slots[1].cells[0].arm.job == 7);
	cr_expect_eq(r.slots[1].cells[0].arm.range.first, 2000);
	cr_expect_leq(r.slots[1].cells[0].arm.range.count, 98, "they end 2 ms before");
	cr_expect_geq(r.slots[1].cells[0].arm.range.count, 90);
	cr_expect_eq(rig_view(&r).unstarted, 100 + 1 + 1 + 500, "none is lost at the cut");
	rig_fini(&r);
}
