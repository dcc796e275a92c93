/* A list of presentation times. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct times {
	int64_t *items;
	size_t count, capacity;
};

void times_add(struct times *t, int64_t value);
void times_sort(struct times *t);
void times_fini(struct times *t);

/* Decoding times for frames that are stored in this order: each is at or before its presentation time, and
 * each later than the one before. They are the presentation times in ascending order, put back by as many
 * frames as the reordering needs. Replaces the times in t; equal times keep no order and give equal times. */
void times_to_decoding(struct times *t);
