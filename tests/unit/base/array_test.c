/* Arrays grow by doubling, by the type of their capacity, and never wrap around. */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdlib.h>

#include "base/array.h"

Test(array, room_is_doubled_until_it_is_enough)
{
	static const struct {
		size_t capacity, wanted, max, size, expected;
	} cases[] = {
	    {0, 1, SIZE_MAX, 1, 64},	   /* the first takes some 256 bytes, … */
	    {0, 1, SIZE_MAX, 8, 32},	   /* … */
	    {0, 1, SIZE_MAX, 4096, 4},	   /* … for 4 items at least */
	    {0, 65, SIZE_MAX, 1, 128},	   /* as many as are wanted */
	    {32, 33, SIZE_MAX, 8, 64},	   /* doubled */
	    {32, 1000, SIZE_MAX, 8, 1024}, /* more than once */
	    {3, 4, SIZE_MAX, 8, 6},	   /* a capacity that somebody else chose */
	    {128, 129, 255, 8, 255},	   /* what can be counted is used up to its end */
	    {0, 2, 3, 8, 3},
	    {SIZE_MAX / 2 + 2, SIZE_MAX, SIZE_MAX, 1, SIZE_MAX},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
		cr_expect_eq(array_room(cases[i].capacity, cases[i].wanted, cases[i].max, cases[i].size),
			     cases[i].expected, "case %zu", i);
}

Test(array, items_stay_and_are_seldom_moved)
{
	struct {
		uint32_t *items;
		uint32_t count, capacity;
	} a = {0};
	unsigned grown = 0;

	for (uint32_t i = 0; i < 100000; i++) {
		uint32_t before = a.capacity;

		ARRAY_GROW(a.items, a.capacity, a.count);
		cr_assert_gt(a.capacity, a.count);
		grown += a.capacity != before;
		a.items[a.count++] = i;
	}
	for (uint32_t i = 0; i < 100000; i++)
		cr_assert_eq(a.items[i], i);
	cr_assert_leq(grown, 12);
	ARRAY_RESERVE(a.items, a.capacity, a.count);
	ARRAY_RESERVE(a.items, a.capacity, 0);
	cr_assert_eq(a.capacity, 131072, "what there is is enough");
	free(a.items);
}

/* A count of 8 bits, as one of 32 would be at four thousand million. */
Test(array, all_that_the_type_can_count)
{
	uint64_t *items = NULL;
	uint8_t count = 0, capacity = 0;

	while (count < UINT8_MAX) {
		ARRAY_GROW(items, capacity, count);
		items[count++] = 7;
	}
	cr_assert_eq(capacity, UINT8_MAX);
	free(items);
}

Test(array, one_more_than_the_type_can_count_ends_the_process, .signal = SIGABRT)
{
	uint64_t *items = NULL;
	uint8_t count = UINT8_MAX, capacity = UINT8_MAX;

	ARRAY_GROW(items, capacity, count);
}

Test(array, more_bytes_than_there_are_end_the_process, .signal = SIGABRT)
{
	uint64_t *items = NULL;
	size_t capacity = 0;

	ARRAY_RESERVE(items, capacity, SIZE_MAX / 4);
}
