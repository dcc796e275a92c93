/* Seeded random numbers: xoshiro256** (Blackman, Vigna, 2018), seeded by splitmix64. Pure.
 * Not for secrets. The same seed gives the same numbers on every machine. */
#pragma once

#include "base/types.h"

struct rng {
	uint64_t s[4];
};

void rng_seed(struct rng *r, uint64_t seed);
uint64_t rng_u64(struct rng *r);
/* 0..bound-1, unbiased; bound > 0. */
uint64_t rng_below(struct rng *r, uint64_t bound);
/* True with probability ppm / 1,000,000. */
bool rng_chance(struct rng *r, uint32_t ppm);
