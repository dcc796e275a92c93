/* Philox4x32-10: a counter-based generator. J. Salmon, M. Moraes, R. Dror, D. Shaw, Parallel random
 * numbers: as easy as 1, 2, 3 (SC'11). It has no state: four words are a function of a counter and a
 * key, so any scenario can be drawn by itself, in any order, on any machine. Pure. */
#pragma once

#include "base/types.h"

#define PHILOX_ROUNDS 10

static inline void philox4x32(const uint32_t counter[4], const uint32_t key[2], uint32_t ret[4])
{
	uint32_t a = counter[0], b = counter[1], c = counter[2], d = counter[3];
	uint32_t k0 = key[0], k1 = key[1];

	for (int round = 0; round < PHILOX_ROUNDS; round++) {
		uint64_t x = (uint64_t)0xD2511F53u * a, y = (uint64_t)0xCD9E8D57u * c;

		a = (uint32_t)(y >> 32) ^ b ^ k0;
		b = (uint32_t)y;
		c = (uint32_t)(x >> 32) ^ d ^ k1;
		d = (uint32_t)x;
		k0 += 0x9E3779B9u; /* the golden ratio */
		k1 += 0xBB67AE85u; /* the square root of 3, less 1 */
	}
	ret[0] = a;
	ret[1] = b;
	ret[2] = c;
	ret[3] = d;
}
