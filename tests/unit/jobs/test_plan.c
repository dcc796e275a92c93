/* A plan cuts what it says, at both ends of the numbers. */
#include <criterion/criterion.h>

#include "base/limits.h"
#include "jobs/kinds.h"
#include "jobs/plan.h"

Test(plan, bytes_are_counted_up_to_the_bound)
{
	static const struct {
		uint64_t size, step;
		int rc;
		uint32_t count;
	} cases[] = {
	    {0, 64, 0, 1},
	    {1, 64, 0, 1},
	    {64, 64, 0, 1},
	    {65, 64, 0, 2},
	    {SHARDS_MAX, 1, 0, (uint32_t)SHARDS_MAX},
	    {SHARDS_MAX + 1, 1, ERR_LIMIT, 0},
	    {UINT64_MAX, 1, ERR_LIMIT, 0},
	    {10, 0, ERR_INVALID, 0},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		uint32_t count = 0;

		cr_assert_eq(plan_bytes_count(cases[i].size, cases[i].step, &count, NULL), cases[i].rc);
		cr_assert_eq(count, cases[i].count);
	}
}

Test(plan, byte_ranges_cover_the_object_once)
{
	struct plan p = {.kind = PLAN_BYTES,
			 .size_bytes = 1000,
			 .step_bytes = 64,
			 .align = ALIGN_LINE,
			 .url = BYTES_LIT("file:///x")};
	uint64_t at = 0;

	cr_assert_eq(plan_bytes_count(p.size_bytes, p.step_bytes, &p.shard_count, NULL), 0);
	cr_assert_eq(plan_validate(&p, NULL), 0);
	for (uint32_t n = 0; n < p.shard_count; n++) {
		uint64_t first, end;

		plan_bytes_range(&p, n, &first, &end);
		cr_assert_eq(first, at);
		at = end;
	}
	cr_assert_eq(at, 1000);
}

Test(plan, gather_nodes_read_each_input_once)
{
	struct plan p = {.kind = PLAN_GATHER, .fanin = 7, .inputs = 100, .shard_count = 15};
	uint32_t at = 0;

	for (uint32_t n = 0; n < p.shard_count; n++) {
		struct range r = plan_gather_inputs(&p, n);

		cr_assert_eq(r.first, at);
		at += r.count;
	}
	cr_assert_eq(at, 100);
}

Test(plan, values_that_would_wrap_are_refused)
{
	struct plan p = {.kind = PLAN_COUNT, .shard_count = 3, .start = INT64_MAX - 1, .step = 1};

	cr_assert_eq(plan_validate(&p, NULL), ERR_LIMIT);
	p.start = -5;
	p.step = 5;
	cr_assert_eq(plan_validate(&p, NULL), 0);
	cr_assert_eq(plan_count_value(&p, 2), 5);
}
