/* A Bloom filter of deduplication keys, 10 bits a key, in blocks of a cache line, so that one look costs one
 * miss: some 12 keys in a thousand that are not there seem to be. Keys are hashes: their lower half chooses
 * the block, their upper one six bits of it. (Putze, Sanders, Singler: Cache-, Hash- and Space-Efficient
 * Bloom Filters, 2007.) Pure. */
#pragma once

#include "base/types.h"

#define KEY_FILTER_BITS 10u /* a key */
#define KEY_FILTER_BLOCK_BYTES 64u
#define KEY_FILTER_PROBES 6u

static inline uint64_t key_filter_blocks(uint64_t keys)
{
	return (keys * KEY_FILTER_BITS + 8 * KEY_FILTER_BLOCK_BYTES - 1) / (8 * KEY_FILTER_BLOCK_BYTES) + 1;
}

/* What a key sets of its block; made once for all filters. */
typedef uint64_t key_filter_lane __attribute__((vector_size(16)));
struct key_mask {
	key_filter_lane lanes[4];
	uint32_t place;
};

static inline struct key_mask key_mask_of(uint64_t hi, uint64_t lo)
{
	union {
		uint64_t words[8];
		struct key_mask mask;
	} u = {.mask = {.place = (uint32_t)(lo >> 32)}};

	for (uint32_t i = 0; i < KEY_FILTER_PROBES; i++, hi >>= 9)
		u.words[hi >> 6 & 7] |= (uint64_t)1 << (hi & 63);
	return u.mask;
}

static inline key_filter_lane *key_filter_block(const uint64_t *words, uint64_t blocks,
						const struct key_mask *mask)
{
	return (key_filter_lane *)words + (mask->place * blocks >> 32) * 4;
}

static inline void key_filter_add(uint64_t *words, uint64_t blocks, const struct key_mask *mask)
{
	key_filter_lane *block = key_filter_block(words, blocks, mask);

	for (int i = 0; i < 4; i++)
		block[i] |= mask->lanes[i];
}

/* False: it was never added. */
static inline bool key_filter_may_have(const uint64_t *words, uint64_t blocks, const struct key_mask *mask)
{
	const key_filter_lane *block = key_filter_block(words, blocks, mask);
	key_filter_lane missing = (mask->lanes[0] & ~block[0]) | (mask->lanes[1] & ~block[1]) |
				  (mask->lanes[2] & ~block[2]) | (mask->lanes[3] & ~block[3]);

	return (missing[0] | missing[1]) == 0;
}

static inline void key_filter_prefetch(const uint64_t *words, uint64_t blocks, const struct key_mask *mask)
{
	__builtin_prefetch(key_filter_block(words, blocks, mask));
}
