/* Whose turn it is among runnable jobs. Queues share the cluster by weight; inside a queue the higher
 * priority goes first; inside a priority fairness keys share by weight; inside a key the older job goes
 * first. A job whose shape a worker has no room for is passed over.
 *
 *   queue (a share)  -> lanes, one a shape -> levels, one a priority -> entries, one a key -> jobs by age
 *   fair_key (a share of its queue) -> its entries
 *
 * Finding whose turn it is costs O(shapes + lanes of one queue), changing it O(log queues + log keys).
 * Volatile: what was served in an earlier epoch is not known in this one. */
#pragma once

#include "dispatcher/core/volatile/state.h"

#define FAIR_KEYS_MAX 65536 /* of all queues; jobs of more share the key without a name */

/* A key's jobs of one priority and shape; where owners have limits, of one owner. It is open when these allow
 * to lease some of it. */
struct turn_entry {
	struct share_place place; /* in level->keys, when it is open */
	struct fair_key *key;
	struct queue_owner *owner; /* NULL: owners have no limits */
	struct turn_entry *of_owner;
	struct turn_level *level;
	uint64_t head, tail; /* job ids, 0 = none */
	uint64_t count;
	struct turn_entry *of_key;
};

struct turn_level {
	int32_t priority;
	struct turn_lane *lane;
	uint32_t entries;
	struct share_line keys; /* those that are open */
};

/* A queue's jobs of one shape. It is open when some entry is, and the queue's limits allow it. */
struct turn_lane {
	struct share_place place; /* in shape->queues, when it is open */
	uint32_t open_entries;
	struct queue *queue;
	struct shape *shape;
	struct turn_level **levels; /* the highest priority last */
	uint32_t count, capacity;
};

/* Who shares a queue. It is kept while jobs or leases name it, and for a while longer, for what it was
 * served. */
struct fair_key {
	struct share_place waiting; /* in queue->keys */
	struct queue *queue;
	struct blob name;
	uint32_t leases; /* that name it */
	uint32_t jobs;	 /* that wait in open entries */
	struct share share;
	struct turn_entry *entries;
	int64_t turn; /* the last that a lease was given */
	UT_hash_handle hh;
};

void turns_init(struct dispatcher_core *core);
void turns_fini(struct dispatcher_core *core); /* after all queues */
/* The step's time. */
void turns_set_time(struct dispatcher_core *core);

void turns_queue_init(struct dispatcher_core *core, struct queue *q);
void turns_queue_fini(struct dispatcher_core *core, struct queue *q); /* no job and no lease names it */

/* A job comes into line, in the order of its id, or leaves it. */
void turns_add(struct dispatcher_core *core, uint64_t job, struct job_row *row);
void turns_remove(struct dispatcher_core *core, struct job_row *row);

/* After limits changed: the entry, the lane is open or not, as they say. True: it has opened. */
bool turns_entry_refresh(struct dispatcher_core *core, struct turn_entry *e);
bool turns_lane_refresh(struct dispatcher_core *core, struct turn_lane *lane);

/* Whose turn it is, of the shapes for which `takes` is true; NULL: nobody's. */
typedef bool turns_takes_fn(const void *ctx, const struct shape *shape);
struct turn_entry *turns_next(const struct dispatcher_core *core, turns_takes_fn *takes, const void *ctx);
/* The same inside a queue. */
struct turn_entry *turns_next_of(const struct queue *q, turns_takes_fn *takes, const void *ctx);
/* The same, also of lanes that are not open. */
struct turn_entry *turns_best_of(const struct queue *q, turns_takes_fn *takes, const void *ctx);
/* Somebody in the queue ranks before what it holds ahead, or may: it is looked at for a while. */
void turns_overtake(struct dispatcher_core *core, struct queue *q);
/* Does another key or queue wait too? Then this one may not run ahead. */
bool turns_contended(const struct dispatcher_core *core, const struct turn_entry *e);
/* How far it may run ahead: of a slot's time. */
usec_t turns_quantum_us(const struct dispatcher_core *core);

/* What a lease of this entry would have. */
struct rank turns_rank(const struct dispatcher_core *core, const struct turn_entry *e);
/* A lease of this entry is granted that is expected to take its slot for `us`. */
void turns_charge(struct dispatcher_core *core, const struct turn_entry *e, double us,
		  struct turn_charge *ret, struct rank *rank);
/* Of the `held` shards of a lease of the shape `ended` have ended, and took `us`. */
void turns_correct(struct dispatcher_core *core, struct turn_charge *c, const struct shape *shape,
		   uint32_t ended, uint32_t held, double us);
/* Of the `held` shards `returned` are given back: nothing of them was served. */
void turns_refund(struct turn_charge *c, uint32_t returned, uint32_t held);
/* The lease is gone; what it still held was not served. Also of a lease that was never charged. */
void turns_close(struct turn_charge *c);

/* CHECKs that all of it hangs together; the number of jobs in line. */
uint64_t turns_check(const struct dispatcher_core *core);
