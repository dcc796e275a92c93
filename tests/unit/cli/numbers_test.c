#include <criterion/criterion.h>

#include "cli/numbers.h"

Test(numbers, shards_of_an_array_have_its_numbers)
{
	struct numbers n;
	struct buf out = {0};
	struct error e = {0};
	uint64_t shard = 0;

	numbers_init(&n, BYTES_LIT("1,5,9-20:2"));
	cr_assert(numbers_differ(&n));
	cr_expect_eq(numbers_of(&n, 1), 5);
	cr_expect_eq(numbers_of(&n, 99), 99, "it has no such shard");
	cr_assert_eq(numbers_find(&n, 11, &shard, &e), 0);
	cr_expect_eq(shard, 3);
	cr_expect_eq(numbers_find(&n, 10, &shard, &e), ERR_INVALID);
	cr_expect_str_eq(e.what, "the job has no shard 10: its numbers are 1,5,9-19:2");
	cr_expect_eq(numbers_find(&n, UINT64_MAX, &shard, NULL), ERR_INVALID);
	numbers_add(&n, 0, 3, &out);
	cr_expect_str_eq(buf_text(&out), "1,5,9");
	buf_fini(&out);
	numbers_fini(&n);
}

/* Also of an array that a newer dispatcher tells in words of its own. */
Test(numbers, others_are_called_as_the_api_calls_them)
{
	static const char *const arrays[] = {"", "seed=1-9"};

	for (size_t i = 0; i < 2; i++) {
		struct numbers n;
		struct buf out = {0};
		uint64_t shard = 0;

		numbers_init(&n, bytes_of(arrays[i]));
		cr_expect(!numbers_differ(&n));
		cr_expect_eq(numbers_of(&n, 7), 7);
		cr_expect_eq(numbers_find(&n, 7, &shard, NULL), 0);
		cr_expect_eq(shard, 7);
		numbers_words(&n, 3, 2, &out);
		cr_expect_str_eq(buf_text(&out), "3 to 4");
		buf_fini(&out);
		numbers_fini(&n);
	}
}
