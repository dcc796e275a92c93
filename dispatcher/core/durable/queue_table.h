/* Queues that have settings of their own: a durable row each, replaced as a whole. A queue without a row has
 * the defaults: weight 1, no limits, not paused, anyone submits. Pure.
 *
 * Memory: 400 bytes a row and its texts, at most QUEUE_ROWS_MAX rows. */
#pragma once

#include "dispatcher/core/durable/state.h"

struct queue_row {
	DURABLE struct blob name;
	DURABLE struct queue_changed as; /* its texts are in the arena */
	DURABLE struct arena arena;
	DURABLE uint64_t lsn;	   /* of its newest full copy: the table is in this order */
	DURABLE UT_hash_handle hh; /* d->queues */
};
/* A row stays where it is until the queue has the defaults again. */

/* ERR_INVALID, in words: no queue can have these settings. */
int queue_settings_check(const struct queue_changed *as, struct error *reterr) MUST_CHECK;
/* Nothing is kept of such a queue. */
bool queue_settings_are_default(const struct queue_changed *as);
/* NULL: the queue has the defaults. */
const struct queue_row *queue_row_find(const struct durable *d, struct bytes name);
uint64_t queues_digest(const struct durable *d);
