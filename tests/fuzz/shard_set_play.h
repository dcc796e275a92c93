/* Plays bytes as operations on two shard sets and on two plain arrays, and CHECKs after each that
 * they tell the same. The property tests play random bytes, the fuzz target those of the fuzzer. */
#pragma once

#include "base/types.h"
#include "jobs/shard_set.h"

struct shard_set_played {
	uint64_t op_count;
	uint64_t form_count[SHARD_SET_BITMAP + 1]; /* how often a set was in it after an operation */
	uint64_t to_bitmap_count;
	uint64_t from_bitmap_count;
};

/* Adds to *played. Any bytes will do: the first ones choose the universe, the others are
 * operations. */
void shard_set_play(struct bytes script, struct shard_set_played *played);
