/* What scalers tell of their pools: the last decision of each, so that the dispatcher can say why a job
 * does not run. In memory only: it is told anew every few seconds, and forgotten when its scaler is
 * silent for POOL_TURNS of the turns that it promised.
 *
 * Bounded by POOLS_MAX pools, texts by NAME_BYTES_MAX and POOL_TEXT_BYTES_MAX; all are UTF-8. Pure, but for
 * the memory: time is an argument. Thread: the loop's. */
#pragma once

#include "base/error.h"
#include "base/limits.h"

#define POOL_TURNS 3
#define POOL_TURN_US_MIN (100 * USEC_PER_MSEC)
#define POOL_TURN_US_MAX (3600 * USEC_PER_SEC)

struct pool_told {
	char name[NAME_BYTES_MAX + 1];
	char provider[NAME_BYTES_MAX + 1];
	uint32_t wanted, ready, busy, starting, draining;
	uint32_t min_workers, max_workers;
	uint64_t cpu_milli;    /* of its largest worker; 0 = not said */
	uint64_t memory_bytes; /* likewise */
	uint32_t gpu_milli;
	char named[NAMED_TEXT_BYTES_MAX + 1];  /* as amounts_parse_named reads it */
	uint64_t unfit_shards;		       /* that wait and need more than that */
	uint32_t failed_starts;		       /* in a row */
	usec_t retry_us;		       /* mono: no start before; 0 = at once, or one is under way */
	usec_t turn_us;			       /* how often it is told, at least */
	usec_t told_us;			       /* mono */
	char failure[POOL_TEXT_BYTES_MAX + 1]; /* of the last failed start */
	char why[POOL_TEXT_BYTES_MAX + 1];     /* the decision, in the scaler's words */
};

struct pools {
	struct pool_told *items; /* by name */
	uint32_t count;
};

void pools_fini(struct pools *p);
/* Copied; replaces what was told of the pool before. told->told_us is now. ERR_LIMIT: there are POOLS_MAX
 * others. */
int pools_tell(struct pools *p, const struct pool_told *told, struct error *reterr) MUST_CHECK;
/* Forgets those whose scalers are silent. */
void pools_forget(struct pools *p, usec_t now_us);
