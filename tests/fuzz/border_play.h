/* What the tests of record borders share: a search over a file in memory, fed in blocks of any size,
 * and the rule of jobs/border.h over, told a second time, for the whole file at once. */
#pragma once

#include "base/rng.h"
#include "base/types.h"
#include "jobs/border.h"

/* cut(at) by the search; block sizes from r, of at most block_max bytes. Returns 0 or the error; *ret
 * is written on success. CHECKs that the search asks for what border.h says and no more. */
int border_cut(struct bytes file, uint8_t align, uint64_t at, uint32_t record_max, struct rng *r,
	       size_t block_max, uint64_t *ret, struct error *reterr) MUST_CHECK;

/* starts[p] != 0 where a record starts, for p in 0..file.size-1. The caller frees it. */
uint8_t *border_starts(struct bytes file, uint8_t align) MUST_CHECK;

/* Cuts the file every step bytes, and CHECKs against border_starts that each shard gets what it should;
 * an error is allowed only when strict is not set. The number of shards that were not empty. */
uint64_t border_play(struct bytes file, uint8_t align, uint64_t step, uint32_t record_max, bool strict,
		     struct rng *r);
