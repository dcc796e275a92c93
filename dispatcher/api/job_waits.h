/* Who waits until a job changes, or history has passed a record, or the time is over. Nothing is looked at
 * by the clock: the stream tells. Thread: the loop's. */
#pragma once

#include <uthash.h>

#include "dispatcher/services.h"

struct job_waits;

/* Called once for each wait, at the end of a turn or when the time is over. */
typedef void job_wait_fn(void *arg, bool late);

/* The caller's memory; all zero when it waits for nothing. */
struct job_wait {
	struct job_waits *waits; /* NULL: it waits for nothing */
	uint64_t job;		 /* 0: for history */
	usec_t until_us;
	job_wait_fn *fn;
	void *arg;
	struct port_wait history;
	struct job_wait *prev, *next;	      /* by time */
	struct job_wait *job_prev, *job_next; /* of the same job; the first is in the hash */
	UT_hash_handle hh;
};

struct job_waits *job_waits_create(struct services *s) MUST_CHECK;
/* Nobody waits any more. NULL is fine. */
void job_waits_destroy(struct job_waits *w);

/* Until something of the job changes. patience_us: USEC_NEVER is fine. */
void job_wait_change(struct job_waits *w, struct job_wait *wait, uint64_t job, usec_t patience_us,
		     job_wait_fn *fn, void *arg);
/* Until history has passed lsn; at the end of the turn if it has. */
void job_wait_history(struct job_waits *w, struct job_wait *wait, uint64_t lsn, usec_t patience_us,
		      job_wait_fn *fn, void *arg);
/* Until history has the end of a job that has ended, or for some seconds; at the end of the turn for any
 * other.
 */
void job_wait_told(struct job_waits *w, struct job_wait *wait, uint64_t job, job_wait_fn *fn, void *arg);
/* Fine for one that waits for nothing. */
void job_wait_cancel(struct job_wait *wait);
