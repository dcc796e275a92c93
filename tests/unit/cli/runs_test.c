/* Sets of numbers as runs. */
#include <criterion/criterion.h>
#include <string.h>

#include "base/rng.h"
#include "cli/runs.h"

#define SEED 20240521u
#define NUMBERS 300u

Test(runs, are_as_a_plain_array_says)
{
	bool have[NUMBERS] = {false};
	struct runs runs = {0};
	struct rng r;

	rng_seed(&r, SEED);
	for (int i = 0; i < 1500; i++) {
		uint64_t n = rng_below(&r, NUMBERS), end = n + rng_below(&r, 4), size = 0, absent = NUMBERS;

		end = end < NUMBERS ? end : NUMBERS;
		runs_add(&runs, n, end);
		for (uint64_t k = n; k < end; k++)
			have[k] = true;
		for (uint64_t k = NUMBERS; k-- > 0;) {
			size += have[k];
			absent = have[k] ? absent : k;
			cr_assert_eq(runs_have(&runs, k), have[k], "seed %u, step %d, %d", SEED, i, (int)k);
			cr_assert_eq(runs_next_absent(&runs, k), absent, "seed %u, step %d, %d", SEED, i,
				     (int)k);
		}
		cr_assert_eq(runs_size(&runs), size, "seed %u, step %d", SEED, i);
		for (size_t k = 1; k < runs.count; k++)
			cr_assert_lt(runs.items[k - 1].end, runs.items[k].first, "seed %u, step %d", SEED, i);
	}
	cr_assert_not(runs_have(&runs, UINT64_MAX));
	runs_fini(&runs);
}
