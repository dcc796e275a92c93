/* Which of two leases goes first: struct rank of messages.def. Pure. */
#pragma once

#include "jobs/schema.h"

/* Of one queue: < 0: a goes first, > 0: b does. */
static inline int rank_compare_in_queue(const struct rank *a, const struct rank *b)
{
	if (a->priority != b->priority)
		return a->priority > b->priority ? -1 : 1;
	return (a->key_turn > b->key_turn) - (a->key_turn < b->key_turn);
}

/* Of any two. */
static inline int rank_compare(const struct rank *a, const struct rank *b)
{
	if (a->queue == b->queue)
		return rank_compare_in_queue(a, b);
	return (a->queue_turn > b->queue_turn) - (a->queue_turn < b->queue_turn);
}
