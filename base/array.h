/* Arrays that grow: the owner keeps the items, how many there are, and for how many there is room. Room is
 * doubled, so that adding n items moves fewer than 2n. Memory that is short, or a room that the type of the
 * capacity cannot count, is the end of the process, in words. Pure. */
#pragma once

#include "base/check.h"

/* capacity, doubled until `wanted` items fit; max: the most that can be counted; size: of an item. The first
 * room takes some 256 bytes, for 4 to 64 items. For arrays that share one capacity; others use the macros. */
size_t array_room(size_t capacity, size_t wanted, size_t max, size_t size);

/* Room for `wanted` items in all. items and capacity (of an unsigned type) are assigned to, and evaluated
 * more than once; both are zero at first. */
#define ARRAY_RESERVE(items, capacity, wanted)                                                               \
	do {                                                                                                 \
		size_t array_wanted_ = (wanted);                                                             \
                                                                                                             \
		if (array_wanted_ > (capacity)) {                                                            \
			(capacity) = (__typeof__(capacity))array_room(                                       \
			    (capacity), array_wanted_, (__typeof__(capacity))-1, sizeof *(items));           \
			(items) = check_realloc((items), (capacity), sizeof *(items));                       \
		}                                                                                            \
	} while (0)

/* Room for one more behind `count`. */
#define ARRAY_GROW(items, capacity, count) ARRAY_RESERVE(items, capacity, (size_t)(count) + 1)
