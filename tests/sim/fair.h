/* Does everybody have their turn? Random pools, queues, priorities and keys, and what must hold of them; and
 * the figures of a large one. */
#pragma once

#include "base/types.h"

#define FAIR_EVERY 20	     /* so many of the simulator's seeds go by without a fair_run */
#define FAIR_LARGE_EVERY 100 /* and without a fair_large, which takes longer */

/* False: failure says what does not hold. */
bool fair_run(uint64_t seed, char failure[static 512]);
bool fair_large(uint64_t seed, char failure[static 512]);

struct fair_measure {
	uint32_t workers, cores, keys;
	usec_t shard_us, us;
};

/* Prints shares of keys over any 50 shards, and how soon newcomers start. False: worse than the goals. */
bool fair_measure(const struct fair_measure *m);
