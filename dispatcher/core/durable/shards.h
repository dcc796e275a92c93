/* Where the shards of the phase in work stand: questions. The moves are in writer.h. Pure. */
#pragma once

#include "dispatcher/core/durable/state.h"

bool shards_is_dead(const struct run *run, uint32_t shard);
/* Is it pending, delayed or special? */
bool shards_is_free(const struct run *run, uint32_t shard);
uint64_t shards_dead_count(const struct run *run);
uint64_t shards_delayed_count(const struct run *run);
uint64_t shards_special_count(const struct run *run);
/* Failures of the shard so far; *end (may be NULL) gets the first number behind it with another count,
 * limit at most. */
uint32_t shards_failures(const struct run *run, uint32_t shard, uint64_t limit, uint64_t *end);
/* Bytes of all sets. */
size_t shards_bytes(const struct run *run);

static inline bool traits_none(struct traits t)
{
	return t.crashes == 0 && t.doublings == 0;
}
