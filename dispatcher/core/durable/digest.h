/* What fingerprints of durable state are made of: FNV-1a over numbers and bytes. Pure. */
#pragma once

#include "base/types.h"

#define DIGEST_SEED 0xcbf29ce484222325ull

static inline uint64_t digest_mix(uint64_t h, uint64_t v)
{
	for (int i = 0; i < 8; i++)
		h = (h ^ ((v >> (8 * i)) & 0xff)) * 0x100000001b3ull;
	return h ^ (h >> 29);
}

static inline uint64_t digest_mix_bytes(uint64_t h, struct bytes b)
{
	h = digest_mix(h, b.size);
	for (size_t i = 0; i < b.size; i++)
		h = (h ^ b.data[i]) * 0x100000001b3ull;
	return h;
}
