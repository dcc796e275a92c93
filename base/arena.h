/* A bump allocator: what one frame, one step or one compilation needs, freed at once. Pure.
 * Its blocks begin small and double, so that an arena for a handful of bytes costs a handful of bytes.
 * Bounded: an arena with max_bytes refuses (returns NULL) what would make its blocks cost more than that. */
#pragma once

#include "base/types.h"

struct arena_block;

struct arena {
	struct arena_block *head;
	size_t held_bytes; /* what all blocks cost on the heap */
	size_t max_bytes;  /* 0 = no bound */
};

void arena_init(struct arena *a, size_t max_bytes);
void arena_fini(struct arena *a);
/* Forget all that was allocated; keeps one block, of 16 KiB at most, for the next round. */
void arena_reset(struct arena *a);
/* Zeroed, aligned to 16. NULL only when max_bytes would be passed. */
void *arena_alloc(struct arena *a, size_t size) MUST_CHECK;
/* A copy with a NUL behind it (not counted in the size). data is NULL only as above. */
struct bytes arena_copy(struct arena *a, struct bytes b) MUST_CHECK;
