/* Jobs that wait for the ends of others (`after`). What a job still waits for is durable state of its own:
 * the end of another job takes it away in apply, without a record, so that it is there although that end was
 * trimmed from the journal since. A job may wait for jobs with lower ids only, so that no two wait for each
 * other. Pure.
 *
 * Memory: 64 bytes a job that is waited for, 80 bytes a job that waits, 40 bytes a condition. */
#pragma once

#include "dispatcher/core/durable/state.h"

/* One condition of a job. It stands in the list of the job that it waits for until that ends. */
struct wait {
	DURABLE uint64_t parent;     /* the job that is waited for; 0 = met */
	DURABLE uint8_t condition;   /* enum after_condition */
	struct waiter *DURABLE from; /* who waits */
	struct wait *DURABLE next, *DURABLE prev;
};

/* A job that waits, or whose condition can no longer come true. */
struct waiter {
	DURABLE uint64_t job;
	struct wait *DURABLE waits;
	DURABLE uint32_t count, left; /* of waits: all, and those that are not met */
	DURABLE struct wait_broken {
		uint64_t parent; /* 0 = nothing is broken; else the first that ended otherwise */
		uint8_t condition, state;
	} broken;
	DURABLE UT_hash_handle hh; /* d->waiters */
};

/* A job that is waited for. */
struct awaited {
	DURABLE uint64_t job;
	struct wait *DURABLE waits; /* in the order of their coming */
	DURABLE UT_hash_handle hh;  /* d->awaited */
};

/* Does an end in this state (enum job_state) meet the condition? */
bool after_is_met(uint8_t condition, uint8_t state);
/* How many of these are the ends of jobs: such a job is held. */
uint32_t after_ends(const struct after_job_list *after);
/* NULL: it waits for no job. */
const struct waiter *waiter_find(const struct durable *d, uint64_t job);
/* At the end of a replay: ERR_CORRUPT when one is waited for that cannot end any more. */
int waits_check_known(const struct durable *d, struct error *reterr) MUST_CHECK;
void waits_check(const struct durable *d);
/* What is left of a job's conditions. */
uint64_t waits_digest(const struct durable *d, uint64_t job);
