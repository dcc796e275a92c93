/* Leases by token, by worker and by run. A lease is one contiguous range for one slot; it holds the
 * part of it that has no outcome yet. Durable, except what binds it to a session. Pure. */
#pragma once

#include "dispatcher/core/durable/state.h"

bool uuid_equal(struct uuid a, struct uuid b);
bool token_equal(struct token a, struct token b);
/* By epoch, then by lease: negative, 0, positive. */
int token_compare(struct token a, struct token b);

struct lease_entry *lease_find(const struct durable *d, struct token token);

/* What the lease adds to its worker's load: the work of the shards that it holds, at shard_ns each but at
 * most load_ns_max together, divided by the slots that share it. Follows what it holds from now on. slots 0:
 * nothing. */
void lease_load_set(struct lease_entry *lease, uint64_t shard_ns, uint64_t load_ns_max, uint32_t slots);

struct worker *worker_find(const struct durable *d, struct uuid id);
/* The worker with that id, made when there is none: alone it is nothing durable. */
struct worker *worker_intern(struct durable *d, struct uuid id);
/* Frees it when it has neither leases nor a session. */
void worker_release(struct durable *d, struct worker *worker);
