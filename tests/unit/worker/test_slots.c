/* Slots are cut by shape, hold two leases each, and are lost now and then. */
#include <criterion/criterion.h>

#include "tests/unit/worker/rig.h"

static void lease_of(struct rig *r, const char *sha, uint64_t job, uint32_t first, uint32_t count)
{
	struct lease l = rig_lease_of(r, first, count);
	struct leases m = {.session = r->session, .leases = {&l, 1}};

	l.definition = BYTES(sha, 32);
	l.job = job;
	cr_assert_eq(rig_frame(r, MESSAGE_LEASES, &m), 0);
}

static const struct outcome *outcome(const struct rig *r)
{
	const struct report *m = rig_last(r, MESSAGE_REPORT, 0);

	cr_assert_gt(m->outcomes.count, 0);
	return &m->outcomes.items[0];
}

Test(slots, each_gets_one_lease_before_any_gets_two)
{
	struct worker_config config = rig_config();
	struct rig r;

	rig_ready(&r, &config, false);
	for (uint32_t i = 0; i < 5; i++)
		rig_lease(&r, i * 10, 10);
	cr_assert_eq(rig_view(&r).slots_open, 4);
	for (uint32_t s = 0; s < 4; s++)
		cr_assert(cell_is_armed(&r.slots[s].cells[0].cell));
	cr_assert(cell_is_armed(&r.slots[0].cells[1].cell));

	/* No hop: the next lease is in the slot already. */
	rig_begin(&r, 0, 10);
	rig_end(&r, 0, 0, 0);
	cr_assert_eq(rig_in_work(&r, 0)->arm.range.first, 40);
	rig_fini(&r);
}

Test(slots, that_are_idle_take_over_what_waits_in_a_busy_one)
{
	struct worker_config config = rig_config();
	struct rig r;

	rig_ready(&r, &config, false);
	for (uint32_t i = 0; i < 5; i++)
		rig_lease(&r, i * 10, 10);
	rig_begin(&r, 0, 1);
	rig_begin(&r, 1, 10);
	rig_end(&r, 1, 0, 0); /* slot 1 has nothing; 40+10 waits behind slot 0's ten */
	cr_assert_eq(rig_in_work(&r, 1)->arm.range.first, 40);
	cr_assert_eq(rig_in_work(&r, 1)->arm.slice_first, 40);
	cr_assert_eq(cell_peek(&r.slots[0].cells[1].cell).end, 40);
	cr_assert_eq(rig_begin(&r, 0, 100), 9);
	rig_end(&r, 0, 0, 0);
	rig_progress(&r, 0, 1, true); /* the emptied cell */
	rig_begin(&r, 1, 10);
	rig_end(&r, 1, 0, 0);
	cr_assert_eq(rig_view(&r).done, 30);
	rig_fini(&r);
}

Test(slots, of_a_large_shape_get_their_turn)
{
	struct worker_config config = rig_config();
	uint32_t steps = 0;
	struct rig r;

	rig_ready(&r, &config, false);
	rig_parameters_of(&r, RIG_SHA_2, (struct resources){.cpu_milli = 4000}, 8);
	for (uint32_t i = 0; i < 8; i++)
		rig_lease(&r, i, 1);
	lease_of(&r, RIG_SHA_2, 8, 0, 1);
	for (uint32_t i = 8; i < 40; i++)
		rig_lease(&r, i, 1);
	while (!r.slots[0].open || r.slots[0].cells[0].arm.job != 8) {
		cr_assert_lt(++steps, 10, "the large lease waits for ever");
		for (uint32_t s = 0; s < 4; s++)
			if (rig_in_work(&r, s) != NULL && rig_begin(&r, s, 1))
				rig_end(&r, s, 0, 0);
	}
	cr_assert_eq(rig_view(&r).slots_open, 1);
	rig_begin(&r, 0, 1);
	rig_end(&r, 0, 0, 0);
	cr_assert_eq(rig_view(&r).slots_open, 4, "and makes room again");
	rig_fini(&r);
}

Test(slots, need_the_memory_that_the_lease_names)
{
	struct worker_config config = rig_config();
	struct lease l;
	struct leases m = {.leases = {&l, 1}};
	struct rig r;

	rig_ready(&r, &config, false);
	m.session = r.session;
	for (uint32_t i = 0; i < 3; i++) {
		l = rig_lease_of(&r, i, 1);
		l.memory_bytes = 3ull << 30; /* two fit into 8 GiB */
		cr_assert_eq(rig_frame(&r, MESSAGE_LEASES, &m), 0);
	}
	cr_assert_eq(rig_view(&r).slots_open, 2);
	cr_assert_eq(rig_in_work(&r, 0)->arm.shape.memory_bytes, 3ull << 30);
	rig_fini(&r);
}

Test(slots, lost_give_back_what_was_in_work)
{
	static const struct {
		uint8_t kind;
		uint32_t begun;
		const char *returned, *failed;
		uint32_t left; /* that stay with the worker */
	} cases[] = {
	    {FAILURE_LOST, 2, "0+2", "", 8},	 /* the runner died */
	    {FAILURE_OOM, 2, "", "0+2", 8},	 /* the shard's own fault */
	    {FAILURE_START, 0, "1+9", "0+1", 0}, /* the slot cannot start: told, and not tried for ever */
	    {FAILURE_PREEMPTED, 10, "0+10", "", 0},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct worker_config config = rig_config();
		const struct outcome *o;
		struct rig r;

		rig_ready(&r, &config, false);
		rig_lease(&r, 0, 10);
		rig_begin(&r, 0, cases[i].begun);
		rig_lost(&r, 0, cases[i].kind);
		o = outcome(&r);
		cr_assert_str_eq(rig_text(o->returned), cases[i].returned);
		if (cases[i].returned[0])
			cr_assert_eq(o->returned_why,
				     cases[i].kind == FAILURE_START ? FAILURE_LOST : cases[i].kind);
		cr_assert_eq(o->failed.count, cases[i].failed[0] ? 1 : 0);
		if (cases[i].failed[0])
			cr_assert(o->failed.items[0].kind == cases[i].kind && o->failed.items[0].code == 9);
		cr_assert_eq(rig_begin(&r, 0, 100), cases[i].left, "the same number is opened again");
		rig_fini(&r);
	}
}

Test(slots, lost_keep_the_second_lease)
{
	struct worker_config config = rig_config();
	struct rig r;

	config.capacity.cpu_milli = 1000;
	rig_ready(&r, &config, false);
	rig_lease(&r, 0, 10);
	rig_lease(&r, 10, 10);
	rig_begin(&r, 0, 2);
	rig_lost(&r, 0, FAILURE_LOST);
	cr_assert_eq(rig_view(&r).unstarted, 18);
	cr_assert_eq(rig_begin(&r, 0, 100), 8);
	rig_end(&r, 0, 0, 0);
	cr_assert_eq(rig_begin(&r, 0, 100), 10);
	rig_fini(&r);
}

Test(slots, that_stop_a_shard_give_it_back_as_lost)
{
	struct worker_config config = rig_config();
	struct rig r;

	rig_ready(&r, &config, false);
	rig_lease(&r, 0, 2);
	rig_begin(&r, 0, 2);
	rig_progress(&r, 0, 0, true); /* released, and nothing said of the two */
	cr_assert_str_eq(rig_text(outcome(&r)->returned), "0+2");
	cr_assert_eq(outcome(&r)->returned_why, FAILURE_LOST);
	rig_fini(&r);
}

Test(slots, late_words_of_a_cell_are_ignored)
{
	struct worker_config config = rig_config();
	struct worker_slot_progress late = {.slot = 0, .cell = 0, .token = {1, 99}, .next = 5, .end = 5};
	struct rig r;

	rig_ready(&r, &config, false);
	rig_lease(&r, 0, 10);
	cr_assert_eq(rig_step(&r, (struct worker_input){.kind = WORKER_SLOT_PROGRESS, .progress = late}), 0);
	late.slot = 17;
	cr_assert_eq(rig_step(&r, (struct worker_input){.kind = WORKER_SLOT_PROGRESS, .progress = late}), 0);
	late.cell = SLOT_CELLS;
	cr_assert_eq(rig_step(&r, (struct worker_input){.kind = WORKER_SLOT_PROGRESS, .progress = late}),
		     ERR_INVALID);
	cr_assert_eq(rig_view(&r).unstarted, 10);
	rig_fini(&r);
}

/* The emptied second cell is free at once, while the slot is still busy with the first: an idle slot
 * that looks for something to take over finds nothing there. */
Test(slots, an_emptied_cell_is_released_while_the_older_one_works_on)
{
	struct worker_config config = rig_config();
	struct rig r;

	rig_ready(&r, &config, false);
	for (uint32_t i = 0; i < 5; i++)
		rig_lease(&r, i * 10, 10);
	rig_begin(&r, 0, 1);
	rig_begin(&r, 1, 10);
	rig_end(&r, 1, 0, 0);	      /* 40+10 moves to slot 1 */
	rig_progress(&r, 0, 1, true); /* early: slot 0 has its ten still in work */
	rig_begin(&r, 1, 10);
	rig_end(&r, 1, 0, 0); /* idle: looks at slot 0 again */
	cr_assert_eq(rig_begin(&r, 0, 100), 9);
	rig_end(&r, 0, 0, 0);
	rig_lease(&r, 90, 5);
	rig_begin(&r, 1, 5);
	rig_fini(&r);
}
