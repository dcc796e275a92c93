/* Which cores are a worker's, and that a slot's commands run on those that it was given. */
#include <criterion/criterion.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jobs/kinds.h"
#include "tests/unit/worker_shell/slot_rig.h"
#include "worker/topology.h"

Test(topology, a_wrong_list_of_cores_is_refused_in_words)
{
	static const struct {
		const char *cores;
		int rc;
	} cases[] = {
	    {"", ERR_INVALID},	  {"x", ERR_INVALID},		{"0-", ERR_INVALID},
	    {"0x", ERR_INVALID},  {"0,,", ERR_INVALID},		{"1-0", ERR_INVALID},
	    {"-1", ERR_INVALID},  {"0 1", ERR_INVALID},		{"0-1-2", ERR_INVALID},
	    {"0;1", ERR_INVALID}, {"99999999999", ERR_INVALID}, {"0-4294967295", ERR_INVALID},
	    {"4000", ERR_DENIED},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct topology t;
		struct error e = {0};

		cr_expect_eq(topology_open(cases[i].cores, 0, &t, &e), cases[i].rc, "`%s`", cases[i].cores);
		cr_expect_neq(e.what[0], '\0', "`%s`", cases[i].cores);
	}
}

Test(topology, all_that_the_process_may_use_unless_it_is_told)
{
	struct topology t;
	struct error e = {0};
	cpu_set_t set;

	cr_assert_eq(sched_getaffinity(0, sizeof set, &set), 0);
	cr_assert_eq(topology_open(NULL, 0, &t, &e), 0, "%s", e.what);
	cr_assert(t.core_count > 0 && t.core_count <= (unsigned)CPU_COUNT(&set));
	cr_assert_gt(t.memory_bytes, 0);
	topology_close(&t);
}

static int first_cpu(void)
{
	cpu_set_t set;
	int cpu = 0;

	cr_assert_eq(sched_getaffinity(0, sizeof set, &set), 0);
	while (!CPU_ISSET(cpu, &set))
		cpu++;
	return cpu;
}

/* Two workers that share a node's cores share its memory, too. */
Test(topology, memory_is_the_part_that_goes_with_the_cores)
{
	struct topology all, one;
	char cores[20];

	snprintf(cores, sizeof cores, "%d", first_cpu());
	cr_assert_eq(topology_open(NULL, 0, &all, NULL), 0);
	cr_assert_eq(topology_open(cores, 0, &one, NULL), 0);
	cr_assert_eq(one.core_count, 1);
	cr_assert(one.pin);
	if (all.core_count > 1)
		cr_assert_lt(one.memory_bytes, all.memory_bytes);
	topology_close(&all);
	topology_close(&one);
}

Test(topology, a_command_runs_on_the_cores_of_its_slot, .timeout = 30)
{
	struct slot_rig rig;
	struct rig_work work = {0};
	struct buf text = {0};
	char cores[20], expected[60];

	snprintf(cores, sizeof cores, "%d", first_cpu());
	rig_open(&rig, &(struct rig_options){.cores = cores, .pin = true});
	rig_work_shell(&work, "grep Cpus_allowed_list /proc/self/status");
	rig_run(&rig, &work, 0, 1);
	rig_output(&rig, 0, "out", &text);
	snprintf(expected, sizeof expected, "Cpus_allowed_list:\t%s\n", cores);
	cr_assert_str_eq(buf_text(&text), expected);
	buf_fini(&text);
	rig_work_fini(&work);
	rig_close(&rig);
}

Test(topology, an_unpinned_slot_runs_anywhere, .timeout = 30)
{
	struct slot_rig rig;
	struct rig_work work = {0};
	struct buf text = {0};
	cpu_set_t set;

	rig_open(&rig, NULL);
	rig_work_shell(&work, "nproc");
	rig_run(&rig, &work, 0, 1);
	rig_output(&rig, 0, "out", &text);
	cr_assert_eq(sched_getaffinity(0, sizeof set, &set), 0);
	cr_assert_eq(atoi(buf_text(&text)), CPU_COUNT(&set));
	buf_fini(&text);
	rig_work_fini(&work);
	rig_close(&rig);
}
