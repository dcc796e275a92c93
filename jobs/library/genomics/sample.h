/* Which sequences occur how often, from a sample of them that does not depend on the order. Pure.
 *
 * Each sequence has a 64-bit hash. A sample of level L keeps every sequence whose hash begins with
 * L zero bits, one in 2^L, each with its exact count; L is the smallest level at which at most
 * SAMPLE_MAX sequences are kept (adaptive sampling: M. Wegman; P. Flajolet, "On adaptive sampling",
 * Computing 43, 1990). What is kept is therefore a function of the multiset of sequences alone: a
 * part never needs a higher level than the whole, so merging in any order and any grouping gives
 * the sample of the whole. At level 0 nothing was left out and counts are exact.
 *
 * Memory: SAMPLE_SLOTS * 16 bytes, inside the struct. Owner: the struct that holds it. */
#pragma once

#include "base/types.h"

#define SAMPLE_MAX 2048u
#define SAMPLE_SLOTS 8192u /* a power of two, at most a quarter full */
#define SAMPLE_LEVEL_MAX 63u
/* Reads longer than SAMPLE_WHOLE_MAX are compared by their first SAMPLE_PREFIX bases, as FastQC
 * does: in a long read one sequencing error would make a duplicate look unique. */
#define SAMPLE_WHOLE_MAX 75u
#define SAMPLE_PREFIX 50u

struct sample_entry {
	uint64_t hash;
	uint64_t count; /* 0: the slot is free */
};

struct sample {
	uint32_t level;
	uint32_t size; /* slots in use */
	struct sample_entry slots[SAMPLE_SLOTS];
};

/* The hash of a read's sequence; letter case makes no difference. Part of the report's format: the
 * same on every machine and in every build. */
uint64_t sample_hash(const uint8_t *sequence, size_t length);
void sample_clear(struct sample *s);
/* Count a hash that was seen count > 0 times. */
void sample_add(struct sample *s, uint64_t hash, uint64_t count);
/* Raise the level to at least this; level <= SAMPLE_LEVEL_MAX. */
void sample_raise(struct sample *s, uint32_t level);
void sample_merge(struct sample *into, const struct sample *from);
/* True when the hash belongs to samples of this level. */
static inline bool sample_keeps(uint32_t level, uint64_t hash)
{
	return level == 0 || hash >> (64u - level) == 0;
}
/* The entries in order of their hash; ret_entries has room for SAMPLE_MAX. Returns their number. */
uint32_t sample_sorted(const struct sample *s, struct sample_entry *ret_entries);
