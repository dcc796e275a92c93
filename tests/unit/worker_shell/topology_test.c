/* Which cores are a worker's, and that a slot's commands run on those that it was given. */
#include <criterion/criterion.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jobs/kinds.h"
#include "tests/unit/worker_shell/slot_rig.h"
#include "worker/machine/topology.h"

TestSuite(topology);

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

/* ---- machines that are not here ---- */

/* Two nodes; in each two caches with two cores of two threads. */
#define SERVER "node:2 l3:2 core:2 pu:2"

static void open_machine(const char *synthetic, const char *cores, struct topology *t)
{
	struct error e = {0};

	cr_assert_eq(setenv("HWLOC_SYNTHETIC", synthetic, 1), 0);
	cr_assert_eq(topology_open(cores, 0, t, &e), 0, "%s", e.what);
}

Test(topology, what_each_kind_of_binding_means)
{
	static const struct {
		const char *machine, *cores;
		uint64_t cpu_milli;
		uint8_t pin;
		const char *expected;
	} cases[] = {
	    {SERVER, "8-15", 1000, PIN_CORE, "8-9"},
	    {SERVER, "8-15", 1000, 0, "8-9"}, /* as definitions of old say it */
	    {SERVER, "8-15", 1000, PIN_PU, "8"},
	    {SERVER, "8-15", 1000, PIN_L3, "8-11"},
	    {SERVER, "8-15", 1000, PIN_NUMA, "8-15"},
	    {SERVER, "8-15", 1000, PIN_NONE, "0-15"},
	    {SERVER, "8-15", 2000, PIN_CORE, "8-11"},
	    {SERVER, "8-15", 2000, PIN_PU, "8,10"},
	    {SERVER, "8-15", 3000, PIN_CORE, "8-13"},
	    {SERVER, "8-15", 3000, PIN_L3, "8-15"},
	    {SERVER, "8-15", 500, PIN_PU, "8"},
	    {SERVER, "8-15", 9000, PIN_CORE, "8-15"}, /* told to hand out more than there is */
	    /* What others own is left alone, also below a cache that is shared. */
	    {SERVER, "10-13", 1000, PIN_L3, "10-11"},
	    {SERVER, "9,11", 1000, PIN_CORE, "9"},
	    {SERVER, "9,11", 2000, PIN_NUMA, "9,11"},
	    /* No such cache is known: the node. */
	    {"node:2 core:4 pu:1", "4-7", 1000, PIN_L3, "4-7"},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		hwloc_bitmap_t set = hwloc_bitmap_alloc();
		uint32_t used[16] = {0};
		unsigned cores[16], count;
		struct topology t;
		char text[100];

		open_machine(cases[i].machine, cases[i].cores, &t);
		count = topology_place(&t, used, cases[i].cpu_milli, cores);
		topology_pin_set(&t, cores, count, cases[i].pin, set);
		hwloc_bitmap_list_snprintf(text, sizeof text, set);
		cr_expect_str_eq(text, cases[i].expected, "%zu: %s", i, text);
		hwloc_bitmap_free(set);
		topology_close(&t);
	}
}

/* Slots in the order in which they open: "cpus>cores"; "-n" closes the n-th. */
Test(topology, which_cores_slots_get)
{
	static const struct {
		const char *machine;
		struct {
			int milli; /* negative: closes the slot of that number, from 1 */
			const char *cores;
		} steps[8];
	} cases[] = {
	    /* Parts share a core, and leave the others whole. */
	    {"core:4 pu:1", {{500, "0"}, {500, "0"}, {1000, "1"}, {250, "2"}, {750, "2"}, {1000, "3"}}},
	    /* A part goes where it just fits. */
	    {"core:3 pu:1", {{300, "0"}, {800, "1"}, {200, "1"}, {700, "0"}, {100, "2"}}},
	    /* It fits nowhere: the one that has least to do. */
	    {"core:2 pu:1", {{600, "0"}, {700, "1"}, {500, "0"}}},
	    /* Several lie below one cache, though single cores were taken before. */
	    {"l3:2 core:4 pu:1", {{1000, "0"}, {4000, "4-7"}, {2000, "1-2"}, {1000, "3"}}},
	    /* One goes where least is whole. */
	    {"l3:2 core:4 pu:1", {{3000, "0-2"}, {1000, "3"}, {4000, "4-7"}}},
	    /* They need not stand side by side, when a cache holds them. */
	    {"l3:2 core:4 pu:1",
	     {{1000, "0"}, {1000, "1"}, {1000, "2"}, {1000, "3"}, {-1, ""}, {-3, ""}, {2000, "0,2"}}},
	    /* No cache has so many: the node. */
	    {"node:2 l3:2 core:2 pu:1", {{3000, "0-2"}, {3000, "4-6"}, {1000, "3"}}},
	    /* One and a half leave a half. */
	    {"core:3 pu:1", {{1500, "0-1"}, {500, "1"}, {1000, "2"}}},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		uint32_t used[16] = {0};
		unsigned cores[8][16], count[8];
		struct topology t;

		open_machine(cases[i].machine, NULL, &t);
		for (size_t k = 0; k < 8 && cases[i].steps[k].milli != 0; k++) {
			hwloc_bitmap_t set = hwloc_bitmap_alloc();
			int milli = cases[i].steps[k].milli;
			char text[100];

			if (milli > 0) {
				count[k] = topology_place(&t, used, (uint64_t)milli, cores[k]);
				topology_use(used, (uint64_t)milli, cores[k], count[k], 1);
				for (unsigned n = 0; n < count[k]; n++)
					hwloc_bitmap_set(set, cores[k][n]);
			} else {
				size_t old = (size_t)-milli - 1;

				topology_use(used, (uint64_t)cases[i].steps[old].milli, cores[old],
					     count[old], -1);
			}
			hwloc_bitmap_list_snprintf(text, sizeof text, set);
			cr_expect_str_eq(text, cases[i].steps[k].cores, "case %zu, step %zu: %s", i, k, text);
			hwloc_bitmap_free(set);
		}
		topology_close(&t);
	}
}

/* ---- this machine ---- */

static void run_and_read(const struct rig_options *o, uint8_t pin, const char *script, struct buf *text)
{
	struct slot_rig rig;
	struct rig_work work = {0};

	rig_open(&rig, o);
	rig_work_shell(&work, script);
	work.phase.run.pin = pin;
	rig_run(&rig, &work, 0, 1);
	rig_output(&rig, 0, "out", text);
	rig_work_fini(&work);
	rig_close(&rig);
}

/* Each kind in turn on one slot: the thread is bound anew when a definition asks for another. */
Test(topology, a_command_has_the_affinity_that_its_definition_asks_for)
{
	static const uint8_t kinds[] = {PIN_CORE, PIN_NONE, PIN_PU, PIN_NUMA, PIN_L3, PIN_NONE};
	struct slot_rig rig;
	struct rig_work work = {0};
	struct buf text = {0};

	rig_open(&rig, &(struct rig_options){.pin = true});
	rig_work_shell(&work, "grep Cpus_allowed_list /proc/self/status");
	for (uint32_t i = 0; i < ARRAY_LENGTH(kinds); i++) {
		hwloc_bitmap_t set = hwloc_bitmap_alloc();
		char list[100], expected[140];

		topology_pin_set(&rig.topology, &(unsigned){0}, 1, kinds[i], set);
		hwloc_bitmap_list_snprintf(list, sizeof list, set);
		snprintf(expected, sizeof expected, "Cpus_allowed_list:\t%s\n", list);
		work.phase.run.pin = kinds[i];
		rig_run(&rig, &work, i, 1);
		rig_output(&rig, i, "out", &text);
		cr_expect_str_eq(buf_text(&text), expected, "%s", pin_kind_name(kinds[i]));
		hwloc_bitmap_free(set);
	}
	buf_fini(&text);
	rig_work_fini(&work);
	rig_close(&rig);
}

/* numa_maps shows the policy behind each range's address. */
Test(topology, a_commands_memory_is_bound_to_the_workers_node)
{
	const char *script = "test -r /proc/self/numa_maps && cut -d' ' -f2 /proc/self/numa_maps | sort -u";
	struct rig_options own = {.pin = true}, bare = {0};
	struct buf text = {0};
	char expected[40];
	struct topology t;

	if (access("/proc/self/numa_maps", R_OK) != 0) {
		fprintf(stderr, "mill: skipped: topology: this kernel knows no NUMA nodes\n");
		cr_skip_test("this kernel knows no NUMA nodes");
	}
	cr_assert_eq(topology_open(NULL, 1, &t, NULL), 0);
	snprintf(expected, sizeof expected, "bind:%u\n", t.numa_node);
	topology_close(&t);
	run_and_read(&own, PIN_CORE, script, &text);
	cr_expect_str_eq(buf_text(&text), expected);
	run_and_read(&own, PIN_NONE, script, &text);
	cr_expect_str_eq(buf_text(&text), "default\n");
	run_and_read(&bare, PIN_CORE, script, &text);
	cr_expect_str_eq(buf_text(&text), "default\n", "whose cores are not its own binds nothing");
	buf_fini(&text);
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
