/* Gpus are given to slots by their numbers, and no gpu is given out twice. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "base/rng.h"
#include "tests/unit/worker/rig.h"

/* "0,2" */
static const char *text_of(const struct gpu_share *s)
{
	static char text[4][200];
	static unsigned next;
	char *t = text[next++ % 4];
	size_t used = 0;

	t[0] = '\0';
	for (uint32_t i = 0; i < s->count; i++)
		used +=
		    (size_t)snprintf(t + used, sizeof(text[0]) - used, "%s%u", i > 0 ? "," : "", s->items[i]);
	return t;
}

Test(gpus, are_taken_by_number_and_parts_are_packed)
{
	static const struct {
		uint32_t count;
		struct {
			uint32_t milli;
			const char *got; /* NULL: refused */
		} takes[6];
	} cases[] = {
	    {2, {{1000, "0"}, {1000, "1"}, {1000, NULL}}},
	    {4, {{2000, "0,1"}, {3000, NULL}, {2000, "2,3"}}},
	    /* A part goes where a part is, so that the others stay whole. */
	    {2, {{500, "0"}, {1000, "1"}, {500, "0"}, {1, NULL}}},
	    /* The sum would do; no gpu has so much left. */
	    {2, {{600, "0"}, {600, "1"}, {600, NULL}, {400, "0"}, {400, "1"}}},
	    /* The gpu that it leaves least of. */
	    {2, {{300, "0"}, {800, "1"}, {200, "1"}, {700, "0"}}},
	    /* A whole one and a part of another. */
	    {3, {{1500, "0,1"}, {500, "1"}, {1500, NULL}, {1000, "2"}}},
	    {1, {{0, ""}, {1500, NULL}, {2000, NULL}}},
	    {0, {{0, ""}, {1, NULL}}},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct gpus g;

		gpus_init(&g, cases[i].count);
		for (size_t k = 0; cases[i].takes[k].milli > 0 || cases[i].takes[k].got != NULL; k++) {
			struct gpu_share s;
			bool fits = gpus_fit(&g, cases[i].takes[k].milli);

			cr_assert_eq(gpus_take(&g, cases[i].takes[k].milli, &s), fits);
			cr_assert_eq(fits, cases[i].takes[k].got != NULL, "case %zu, take %zu", i, k);
			if (fits)
				cr_expect_str_eq(text_of(&s), cases[i].takes[k].got, "case %zu, take %zu: %s",
						 i, k, text_of(&s));
		}
	}
}

/* Whatever comes and goes: what is out of each gpu is at most the whole of it, and a whole one is alone. */
Test(gpus, are_never_given_out_twice)
{
	static const uint32_t wanted[] = {1, 100, 333, 500, 700, 999, 1000, 1250, 2000, 3000};
	struct gpu_share out[64];
	uint32_t count = 0;
	struct gpus g;
	struct rng rng;

	rng_seed(&rng, 11);
	gpus_init(&g, 5);
	for (int step = 0; step < 20000; step++) {
		uint32_t used[5] = {0};

		if (count < ARRAY_LENGTH(out) && rng_below(&rng, 2) == 0) {
			uint32_t milli = wanted[rng_below(&rng, ARRAY_LENGTH(wanted))];

			count += gpus_take(&g, milli, &out[count]);
		} else if (count > 0) {
			uint32_t at = (uint32_t)rng_below(&rng, count);

			gpus_give_back(&g, &out[at]);
			out[at] = out[--count];
		}
		for (uint32_t i = 0; i < count; i++)
			for (uint32_t k = 0; k < out[i].count; k++) {
				bool part = k + 1 == out[i].count && out[i].milli % 1000 > 0;

				used[out[i].items[k]] += part ? out[i].milli % 1000 : 1000;
			}
		for (uint32_t i = 0; i < 5; i++)
			cr_assert_eq(used[i] + g.free_milli[i], 1000, "step %d, gpu %u", step, i);
	}
}

#define SHA_3 "33333333333333333333333333333333"

static void lease_of(struct rig *r, const char *sha, uint64_t job, uint32_t first)
{
	struct lease l = rig_lease_of(r, first, 1);
	struct leases m = {.session = r->session, .leases = {&l, 1}};

	l.definition = BYTES(sha, 32);
	l.job = job;
	cr_assert_eq(rig_frame(r, MESSAGE_LEASES, &m), 0);
}

/* 600 thousandths fit thrice into the sum of two gpus, and twice into the gpus. */
Test(gpus, slots_are_opened_while_a_gpu_has_room)
{
	struct worker_config config = rig_config();
	struct rig r;

	config.capacity.gpu_milli = 2000;
	rig_ready(&r, &config, false);
	rig_parameters_of(&r, RIG_SHA_2, (struct resources){.cpu_milli = 1000, .gpu_milli = 600}, 8);
	for (uint32_t i = 0; i < 3; i++)
		lease_of(&r, RIG_SHA_2, 8, i);
	cr_assert_eq(rig_view(&r).slots_open, 2);
	cr_expect_str_eq(text_of(&r.slots[0].gpus), "0");
	cr_expect_str_eq(text_of(&r.slots[1].gpus), "1");
	cr_expect(cell_is_armed(&r.slots[0].cells[1].cell), "the third waits behind the first");
	/* What needs none has the cores that are left. */
	rig_lease(&r, 0, 1);
	cr_assert_eq(rig_view(&r).slots_open, 3);
	cr_expect_eq(r.slots[2].gpus.count, 0);
	rig_fini(&r);
}

/* An idle slot's gpu is free for a shape that needs it whole. */
Test(gpus, idle_slots_make_room)
{
	struct worker_config config = rig_config();
	struct rig r;

	config.capacity.gpu_milli = 1000;
	rig_ready(&r, &config, false);
	rig_parameters_of(&r, RIG_SHA_2, (struct resources){.cpu_milli = 1000, .gpu_milli = 500}, 8);
	lease_of(&r, RIG_SHA_2, 8, 0);
	rig_begin(&r, 0, 1);
	rig_end(&r, 0, 0, 0);
	cr_assert_eq(rig_view(&r).slots_open, 1);
	rig_parameters_of(&r, SHA_3, (struct resources){.cpu_milli = 1000, .gpu_milli = 1000}, 9);
	lease_of(&r, SHA_3, 9, 0);
	cr_assert_eq(rig_view(&r).slots_open, 1);
	cr_expect_eq(rig_in_work(&r, 0)->arm.job, 9);
	cr_expect_str_eq(text_of(&r.slots[0].gpus), "0");
	cr_expect_eq(r.slots[0].gpus.milli, 1000);
	rig_fini(&r);
}
