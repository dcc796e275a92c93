/* Positions in a read, and lengths of reads, in bins. Pure.
 *
 * Positions count from 0 here and from 1 in reports. The first 512 have a bin each (every Illumina
 * read); beyond, each octave [2^k, 2^(k+1)) has eight bins of equal width, so that a bin is never
 * wider than an eighth of where it begins. The bins are the same for every input: that is what
 * makes reports of parts mergeable without loss. */
#pragma once

#include "base/limits.h"
#include "base/types.h"

#define POSITION_SINGLES 512u /* 2^9 */
#define POSITION_BINS_PER_OCTAVE 8u
#define POSITION_OCTAVES 10u /* 2^9 … 2^19 */
#define POSITION_BINS (POSITION_SINGLES + POSITION_OCTAVES * POSITION_BINS_PER_OCTAVE)
/* Sequence and quality of a record are equally long and fit in RECORD_BYTES_MAX together. */
#define READ_LENGTH_MAX (POSITION_SINGLES << POSITION_OCTAVES)
_Static_assert(RECORD_BYTES_MAX / 2 <= READ_LENGTH_MAX, "a read's positions need a bin each");

/* position < READ_LENGTH_MAX. */
static inline uint32_t position_bin(uint32_t position)
{
	uint32_t octave;

	if (position < POSITION_SINGLES)
		return position;
	octave = 31u - (uint32_t)__builtin_clz(position);
	return POSITION_SINGLES + (octave - 9u) * POSITION_BINS_PER_OCTAVE +
	       ((position >> (octave - 3u)) & (POSITION_BINS_PER_OCTAVE - 1u));
}

/* The bin's first position. bin <= POSITION_BINS (the end of the last bin). */
static inline uint32_t position_bin_first(uint32_t bin)
{
	uint32_t beyond = bin - POSITION_SINGLES;

	if (bin < POSITION_SINGLES)
		return bin;
	return (POSITION_BINS_PER_OCTAVE + beyond % POSITION_BINS_PER_OCTAVE)
	       << (6u + beyond / POSITION_BINS_PER_OCTAVE);
}

/* Bins that reads of this length and shorter use. */
static inline uint32_t position_bins_of(uint32_t length)
{
	return length == 0 ? 0 : position_bin(length - 1) + 1;
}
