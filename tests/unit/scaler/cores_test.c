#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "scaler/providers/cores.h"

TestSuite(cores, .timeout = 20);

static hwloc_topology_t machine(const char *synthetic)
{
	hwloc_topology_t t;

	cr_assert_eq(hwloc_topology_init(&t), 0);
	cr_assert_eq(hwloc_topology_set_synthetic(t, synthetic), 0, "%s", synthetic);
	cr_assert_eq(hwloc_topology_load(t), 0);
	return t;
}

static const char *deal_text(const struct core_deal *d, char *buf, size_t size)
{
	buf[0] = '\0';
	for (size_t i = 0; i < d->count; i++)
		snprintf(buf + strlen(buf), size - strlen(buf), "%s%s", i > 0 ? " " : "", d->places[i].text);
	return buf;
}

#define TWO_NODES "node:2 core:4 pu:1"
#define THREADS "node:2 core:2 pu:2"

Test(cores, how_machines_are_dealt)
{
	static const struct {
		const char *machine;
		const char *usable; /* NULL: all */
		uint32_t cpu_milli;
		uint64_t quota_milli;
		const char *expected;
	} cases[] = {
	    /* One worker a node, by default. */
	    {TWO_NODES, NULL, 0, 0, "0-3 4-7"},
	    {THREADS, NULL, 0, 0, "0-3 4-7"},
	    {"node:1 core:2 pu:1", NULL, 0, 0, "0-1"},
	    /* So many cores each: nodes take turns, no worker straddles two, remainders stay unused. */
	    {TWO_NODES, NULL, 1000, 0, "0 4 1 5 2 6 3 7"},
	    {TWO_NODES, NULL, 2000, 0, "0-1 4-5 2-3 6-7"},
	    {TWO_NODES, NULL, 3000, 0, "0-2 4-6"},
	    {TWO_NODES, NULL, 1500, 0, "0-1 4-5 2-3 6-7"},
	    {TWO_NODES, NULL, 1, 0, "0 4 1 5 2 6 3 7"},
	    /* A core with all its threads. */
	    {THREADS, NULL, 1000, 0, "0-1 4-5 2-3 6-7"},
	    /* More than any node has: a whole one. */
	    {TWO_NODES, NULL, 64000, 0, "0-3 4-7"},
	    /* Only what this process may use. */
	    {TWO_NODES, "1-2,4", 0, 0, "1-2 4"},
	    {TWO_NODES, "1-2,4", 1000, 0, "1 4 2"},
	    {TWO_NODES, "6", 2000, 0, "6"},
	    {THREADS, "1,3", 0, 0, "1,3"},
	    /* A quota pays for so many cores, counted up. */
	    {TWO_NODES, NULL, 0, 2500, "0-2"},
	    {TWO_NODES, NULL, 0, 6000, "0-3"},
	    {TWO_NODES, NULL, 2000, 5000, "0-1 2-3"},
	    {TWO_NODES, NULL, 1000, 2000, "0 1"},
	    {TWO_NODES, NULL, 0, 100, "0"},
	    {TWO_NODES, NULL, 0, 64000, "0-3 4-7"},
	};
	char text[400];

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		hwloc_topology_t t = machine(cases[i].machine);
		hwloc_bitmap_t usable = hwloc_bitmap_alloc(), all = hwloc_bitmap_alloc();
		struct core_deal d;

		if (cases[i].usable != NULL)
			hwloc_bitmap_list_sscanf(usable, cases[i].usable);
		core_deal_init(&d, t, cases[i].usable != NULL ? usable : NULL, cases[i].cpu_milli,
			       cases[i].quota_milli, 0);
		cr_expect_str_eq(deal_text(&d, text, sizeof text), cases[i].expected, "case %zu: %s", i,
				 text);
		for (size_t k = 0; k < d.count; k++) {
			cr_expect_not(hwloc_bitmap_intersects(all, d.places[k].set), "case %zu: shared", i);
			hwloc_bitmap_or(all, all, d.places[k].set);
		}
		core_deal_fini(&d);
		hwloc_bitmap_free(usable);
		hwloc_bitmap_free(all);
		hwloc_topology_destroy(t);
	}
}

Test(cores, what_is_told_of_a_deal)
{
	hwloc_topology_t t = machine(TWO_NODES);
	struct core_deal d;

	core_deal_init(&d, t, NULL, 64000, 0, 0);
	cr_expect(d.clamped);
	cr_expect_eq(d.core_count, 8);
	cr_expect_eq(d.quota_cores, 0);
	cr_expect_eq(d.places[1].numa_node, 1);
	cr_expect_eq(d.places[1].core_count, 4);
	core_deal_fini(&d);
	core_deal_init(&d, t, NULL, 1000, 3000, 0);
	cr_expect_not(d.clamped);
	cr_expect_eq(d.quota_cores, 3);
	core_deal_fini(&d);
	hwloc_topology_destroy(t);
}

Test(cores, memory_is_cut_with_the_cores)
{
	hwloc_topology_t t = machine("node:2(memory=1073741824) core:4 pu:1");
	struct core_deal d;

	core_deal_init(&d, t, NULL, 1000, 0, 0);
	cr_expect_eq(d.places[0].memory_bytes, GIB / 4);
	core_deal_fini(&d);
	core_deal_init(&d, t, NULL, 2000, 0, GIB); /* the cgroup has half of the machine's */
	cr_expect_eq(d.places[3].memory_bytes, GIB / 4);
	core_deal_fini(&d);
	core_deal_init(&d, t, NULL, 1000, 2000, GIB); /* two workers share all that the cgroup has */
	cr_expect_eq(d.places[1].memory_bytes, GIB / 4, "but no more than their part of the node");
	core_deal_fini(&d);
	hwloc_topology_destroy(t);
}

Test(cores, lists_that_overlap)
{
	static const struct {
		const char *list;
		bool overlaps; /* with 0-1 */
	} cases[] = {{"0", true},      {"1-7", true}, {"0-1", true}, {"2", false},
		     {"2-3,8", false}, {"", true},    {"x", true}};
	hwloc_topology_t t = machine(TWO_NODES);
	struct core_deal d;

	core_deal_init(&d, t, NULL, 2000, 0, 0);
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
		cr_expect_eq(core_place_overlaps(&d.places[0], cases[i].list), cases[i].overlaps, "%s",
			     cases[i].list);
	core_deal_fini(&d);
	hwloc_topology_destroy(t);
}
