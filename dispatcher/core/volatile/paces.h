/* How fast shards of a job may start (its rate): a bucket of tokens for each such job, one for a shard that
 * is granted. Volatile: a start begins with empty buckets, since nobody knows what was granted last. Pure.
 *
 * In any time of the rate's length, [t, t + per), at most `count` shards are granted, also over a start of
 * the dispatcher and over a reopening. For that the bucket holds b = 1 + count / 32 tokens, and one is added
 * each per / (count - b + 1): so up to 31 shards a time are spread evenly, at just the rate; of more, up to b
 * are granted together, and in the long run 3 % fewer than the rate allows. What comes back without having
 * run (a drain, a lost worker) gives no token back. Nothing is granted until the epoch is durable: leases are
 * kept back until then, and would leave together. */
#pragma once

#include "dispatcher/core/volatile/state.h"

struct pace {
	uint64_t job;
	int64_t interval_ns; /* in which a token is added */
	int64_t empty_ns;    /* mono: when the bucket had, or will have, no token */
	uint32_t burst;	     /* tokens that it holds */
	usec_t reminded_us;  /* mono: when its job is looked at again */
	UT_hash_handle hh;
};

/* A new job begins with a full bucket; any other with an empty one. */
void pace_add(struct dispatcher_core *core, uint64_t job, const struct rate *rate, bool is_new);
void pace_drop(struct dispatcher_core *core, uint64_t job);
/* So many shards were granted. */
void pace_take(struct dispatcher_core *core, uint64_t job, uint32_t shards);
/* How many may be granted now. */
uint32_t pace_tokens(const struct dispatcher_core *core, uint64_t job);
uint32_t pace_burst(const struct dispatcher_core *core, uint64_t job);
/* mono: from when on so many tokens are there, of at most a full bucket */
usec_t pace_when_us(const struct dispatcher_core *core, uint64_t job, uint32_t tokens);
/* The job is looked at again when so many tokens are there. */
void pace_remind(struct dispatcher_core *core, uint64_t job, uint32_t tokens);
void paces_fini(struct dispatcher_core *core);
