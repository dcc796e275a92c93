/* uthash, with memory that cannot fail and no way to end the process by itself. Iterate only in
 * insertion order (HASH_ITER), which does not depend on the hash. Pure. */
#pragma once

#include "base/check.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Eight bytes at a time, where uthash's own function reads each by itself. Of keys that nobody outside
 * chooses: numbers that are counted up, digests, random ids. The multiplier is splitmix64's (Steele, Lea,
 * Flood: "Fast splittable pseudorandom number generators", 2014). */
static inline unsigned hash_words(const void *key, size_t size)
{
	const uint8_t *at = key;
	uint64_t h = size, word;

	for (; size >= sizeof word; at += sizeof word, size -= sizeof word) {
		memcpy(&word, at, sizeof word);
		h = (h ^ word) * 0xbf58476d1ce4e5b9ull;
		h ^= h >> 32;
	}
	if (size > 0) {
		word = 0;
		memcpy(&word, at, size);
		h = (h ^ word) * 0xbf58476d1ce4e5b9ull;
		h ^= h >> 32;
	}
	return (unsigned)h;
}

#define HASH_FUNCTION(key, size, ret) ((ret) = hash_words(key, size))
#define uthash_malloc(size) check_calloc(1, size)
#define uthash_free(ptr, size) free(ptr)
#define uthash_fatal(what) CHECK_NEVER(what)
#include <uthash.h>
#include <utlist.h>
