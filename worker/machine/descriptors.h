/* How many descriptors this worker may have, and how many slots that is enough for. */
#pragma once

#include "base/types.h"

struct descriptors {
	uint64_t before; /* the soft limit that we were started with, which attempts keep */
	uint64_t limit;	 /* ours now */
};

/* Raises the soft limit to the hard one. To be called after nursery_open: attempts inherit the nursery's, so
 * that a program that closes all descriptors up to its limit, or uses select(2), is not surprised. */
struct descriptors descriptors_raise(void);
/* With a runner and an input of its own in each. */
uint64_t descriptors_slots(const struct descriptors *d);
