/* How long a shard takes: running means of a job's phase, of a definition's, of a shape's. Volatile.
 * Pure: integers only. */
#pragma once

#include "dispatcher/core/volatile/state.h"

/* `shards` attempts took run_us in a lease of lease_count shards. */
void estimate_take(struct dispatcher_core *core, struct job_row *row, uint64_t run_us, uint64_t shards,
		   uint32_t lease_count);
/* A version that no live job names is dropped. What was known of its shards is kept for the next job that
 * names it, as long as no other version takes its place: most events come one at a time. */
void estimates_keep(struct dispatcher_core *core, const struct definition *def);
void estimates_recall(const struct dispatcher_core *core, struct definition *def);
/* Nanoseconds of one shard; 0 = not known. */
uint64_t estimate_shard_ns(const struct dispatcher_core *core, const struct job_row *row);
/* What nearly every shard takes, by what others did: the mean, and twice their mean distance from it to both
 * sides. false: not known. */
bool estimate_shard_span(const struct dispatcher_core *core, const struct job_row *row, uint64_t *least_ns,
			 uint64_t *most_ns);
/* What `shards` of it will take a slot; with the default for what is not known. */
uint64_t estimate_work_us(const struct dispatcher_core *core, const struct job_row *row, uint64_t shards);
/* Shards short enough to wait at a worker that is busy. A shard of unknown run time counts as short: it would
 * otherwise wait until a slot is idle, which a busy worker's never is. */
bool estimate_allows_prefetch(const struct dispatcher_core *core, const struct job_row *row);
/* How many of `pending` shards the next lease gets: lease_time_us worth of them, growing fourfold from 1
 * while the estimate is young; at most a slot's share of what remains. But what takes 4 ms is leased at once.
 * 1..pending; 1 of what needs a shared resource. */
uint32_t estimate_lease_size(const struct dispatcher_core *core, const struct job_row *row, uint64_t pending);
