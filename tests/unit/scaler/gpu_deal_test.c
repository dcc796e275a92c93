/* Gpus go to the workers of their nodes, each to one. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "scaler/providers/gpu_deal.h"

Test(gpu_deal, each_belongs_to_one_place_of_its_node)
{
	static const struct {
		unsigned place_nodes[4];
		size_t places;
		int gpu_nodes[6];
		unsigned gpus;
		const char *parts[4];
		size_t order[4];
		unsigned most;
	} cases[] = {
	    {{0, 1}, 2, {0, 0, 1, 1}, 4, {"0,1", "2,3"}, {0, 1}, 2},
	    {{0, 1, 0, 1}, 4, {1, 1, 0, 1}, 4, {"2", "0,3", "", "1"}, {1, 0, 3, 2}, 2},
	    {{0, 1}, 2, {1, 1}, 2, {"", "0,1"}, {1, 0}, 2},
	    /* A node that no worker is of, and none that is known. */
	    {{0, 1}, 2, {3, 3, -1}, 3, {"0,2", "1"}, {0, 1}, 2},
	    {{0}, 1, {0}, 0, {""}, {0}, 0},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct core_place places[4] = {{.numa_node = 0}};
		const struct core_deal cores = {.places = places, .count = cases[i].places};
		struct gpu_list gpus = {.count = cases[i].gpus};
		struct gpu_deal d;

		for (size_t k = 0; k < cases[i].places; k++)
			places[k].numa_node = cases[i].place_nodes[k];
		for (unsigned k = 0; k < cases[i].gpus; k++) {
			snprintf(gpus.items[k].name, sizeof(gpus.items[k].name), "%u", k);
			gpus.items[k].numa_node = cases[i].gpu_nodes[k];
		}
		gpu_deal_init(&d, &cores, &gpus);
		cr_expect_eq(d.most, cases[i].most, "case %zu: %u", i, d.most);
		for (size_t k = 0; k < cases[i].places; k++) {
			cr_expect_str_eq(d.parts[k].text, cases[i].parts[k], "case %zu, place %zu: %s", i, k,
					 d.parts[k].text);
			cr_expect_eq(d.order[k], cases[i].order[k], "case %zu, turn %zu: %zu", i, k,
				     d.order[k]);
		}
		gpu_deal_fini(&d);
	}
}

Test(gpu_deal, lists_that_share_a_gpu)
{
	static const struct {
		const char *a, *b;
		bool overlap;
	} cases[] = {
	    {"", "", false},	{"0", "", false},	{"0", "0", true},	    {"0,1", "1,2", true},
	    {"1", "11", false}, {"10,2", "0,1", false}, {"GPU-a", "0,GPU-a", true},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
		cr_expect_eq(gpu_lists_overlap(cases[i].a, cases[i].b), cases[i].overlap, "case %zu", i);
}
