/* What the simulator's seeds found, each reduced to the story that goes wrong. */
#include <criterion/criterion.h>

#include "tests/unit/worker/rig.h"

/* Seed 4: the job was killed while its outputs were being synced; the next outputs began a second sync. */
Test(found, one_sync_is_under_way_also_when_its_job_was_killed)
{
	struct worker_config config = rig_config();
	struct token killed;
	uint64_t first;
	struct rig r;

	rig_ready(&r, &config, true);
	killed = rig_lease(&r, 0, 100);
	rig_begin(&r, 0, 1);
	rig_end(&r, 0, 0, 100);
	rig_until(&r, r.now + 5 * USEC_PER_MSEC);
	first = r.sync;
	cr_assert_neq(first, 0);
	rig_kill(&r, killed);
	rig_lease(&r, 100, 1);
	for (uint32_t slot = 0; slot < 4; slot++)
		if (rig_begin(&r, slot, 1) > 0)
			rig_end(&r, slot, 0, 100);
	rig_until(&r, r.now + 50 * USEC_PER_MSEC);
	cr_assert_eq(r.sync, first, "the second waits for the first");
	rig_synced(&r);
	rig_until(&r, r.now + 50 * USEC_PER_MSEC);
	cr_assert_eq(r.sync, first + 1);
	rig_fini(&r);
}

/* Seed 2: a gather of many inputs is a tree, a phase a level; the definition has one phase for them all. */
Test(found, each_level_of_a_gather_tree_is_run_as_the_last_phase_says)
{
	struct run_definition d = {.sha256 = BYTES_LIT(RIG_SHA_2)};
	struct phase_run phases[2] = {{.name = BYTES_LIT("shards")}, {.name = BYTES_LIT("gather")}};
	struct job_parameters j = {.job = 7, .phase = 3, .plan = {.kind = PLAN_GATHER, .shard_count = 2}};
	struct parameters p = {.definitions = {&d, 1}, .jobs = {&j, 1}};
	struct worker_config config = rig_config();
	struct leases m = {0};
	struct lease l;
	struct rig r;

	rig_ready(&r, &config, false);
	phases[0].run.shape.cpu_milli = phases[1].run.shape.cpu_milli = 1000;
	d.phases = (struct phase_run_list){phases, 2};
	p.session = m.session = r.session;
	cr_assert_eq(rig_frame(&r, MESSAGE_PARAMETERS, &p), 0);
	l = rig_lease_of(&r, 0, 1);
	l.phase = 3;
	l.definition = d.sha256;
	m.leases = (struct lease_list){&l, 1};
	cr_assert_eq(rig_frame(&r, MESSAGE_LEASES, &m), 0);
	cr_assert(r.slots[0].open);
	cr_assert_eq(r.slots[0].cells[0].arm.phase, 3);
	cr_assert(bytes_equal(r.slots[0].cells[0].arm.run->name, BYTES_LIT("gather")));
	rig_fini(&r);
}
