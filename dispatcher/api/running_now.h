/* Which attempts of a job run at this moment. Which leases there are, and who has them, the core says; which
 * of their shards run, their workers are asked (LOOK). An attempt is told only when both say so. Thread: the
 * loop's. */
#pragma once

#include "dispatcher/core/view.h"
#include "dispatcher/services.h"
#include "dispatcher/wire/looks.h"

#define RUNNING_WORKERS_MAX 256u /* that are asked at one time */
#define RUNNING_FOUND_MAX 8192u	 /* the attempts that are told */

struct running_found {
	struct view_lease lease;
	struct running_attempt attempt;
};

/* The caller's memory, all zero but for the first members. Large: for the heap. */
struct running_now {
	struct services *services;
	uint64_t job;
	uint32_t first;			       /* attempts at shards before it are left out */
	void (*over)(struct running_now *now); /* once: all have answered, or their time is over */
	void *arg;			       /* the caller's */

	uint32_t asked, answered;
	struct look_request asks[RUNNING_WORKERS_MAX];
	size_t count;
	struct running_found found[RUNNING_FOUND_MAX]; /* after over(): in the order of shards */
};

/* Asks a worker, unless it was asked already. One that cannot be asked, or is too many, is left out; over()
 * comes later, and only if any was asked. ERR_BUSY: too many questions wait for answers. */
int running_now_ask(struct running_now *now, const struct uuid *worker, struct error *reterr) MUST_CHECK;
/* Answers that still come are dropped. */
void running_now_fini(struct running_now *now);
/* The first attempt at this shard or a later one, or NULL. */
const struct running_found *running_now_next(const struct running_now *now, uint32_t shard);
