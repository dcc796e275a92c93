/* Jobs whose shards each wait for the same shard of another job (`after-shard`). Which of a job's shards may
 * not start yet is durable state of its own (run.blocked): the records that finish shards of the other job
 * take them out of it in apply, and so pin what is done there. When the other job is past its shards, those
 * that are left can never start. A job may wait for one job with a lower id. Pure.
 *
 * Memory: 64 bytes a job that is waited for, 72 bytes a job that waits, and its blocked set. */
#pragma once

#include "dispatcher/core/durable/state.h"

struct shard_wait {
	DURABLE uint64_t job;
	DURABLE uint64_t parent;
	DURABLE uint32_t phase;				/* of the parent's shards */
	struct shard_wait *DURABLE next, *DURABLE prev; /* of the same parent */
	DURABLE UT_hash_handle hh;			/* d->shard_waits */
};

/* A job whose shards are waited for. */
struct shard_parent {
	DURABLE uint64_t job;
	DURABLE uint32_t count;
	struct shard_wait *DURABLE waits;
	DURABLE UT_hash_handle hh; /* d->shard_parents */
};

/* NULL: its shards wait for no other job (any more). */
const struct shard_wait *shard_wait_find(const struct durable *d, uint64_t job);
/* Shards that can never start. */
uint64_t shards_barred(const struct durable *d, const struct run *run);
/* How many wait for shards of this job. */
uint32_t shard_waits_count(const struct durable *d, uint64_t job);
/* At the end of a replay: ERR_CORRUPT when one is waited for that is not there. */
int shard_waits_check_known(const struct durable *d, struct error *reterr) MUST_CHECK;
void shard_waits_check(const struct durable *d);
