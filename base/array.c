#include "base/array.h"

#define FIRST_BYTES 256u
#define FIRST_MIN 4u
#define FIRST_MAX 64u

size_t array_room(size_t capacity, size_t wanted, size_t max, size_t size)
{
	size_t first = FIRST_BYTES / size, room = capacity;

	CHECK(wanted <= max);
	if (room == 0)
		room = first < FIRST_MIN ? FIRST_MIN : first > FIRST_MAX ? FIRST_MAX : first;
	while (room < wanted && room <= max / 2)
		room *= 2;
	return room < wanted || room > max ? max : room;
}
