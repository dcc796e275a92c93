/* What starts workers somewhere: processes of this machine, jobs of Slurm, pods of Kubernetes, …
 *
 * A provider starts workers that register with (pool, provider id), lists those it has, and sees them
 * end. It ends none that may be busy: a worker leaves when the dispatcher has drained it. What it knows
 * can be found again by its next incarnation: in its own list (records, the batch system's queue). */
#pragma once

#include "base/error.h"
#include "base/types.h"
#include "jobs/ids.h"
#include "jobs/schema.h"

#define PROVIDER_ID_BYTES 64

struct provider;

/* A worker as its provider knows it. */
struct provider_worker {
	char id[PROVIDER_ID_BYTES];   /* what its REGISTER carries as provider_id */
	char worker[UUID_TEXT_BYTES]; /* its own id in 32 hex digits; "" until it was noted */
	bool ended;		      /* its end was seen; listed until it is forgotten */
	char how[240];		      /* of an end: "exit code 2", and what it said last when it is known */
};

struct provider_ops {
	const char *name;
	/* What a start costs, about: a backlog that is over sooner is not worth one. */
	usec_t start_cost_us;
	/* Starts one worker: it is under way, or queued, under ret_id. */
	int (*start)(struct provider *p, char ret_id[PROVIDER_ID_BYTES], struct error *reterr);
	/* Workers that it could have at once. */
	uint32_t (*capacity)(const struct provider *p);
	/* The most of each that one of the workers offers: thousandths of cpus and gpus; memory 0: not known.
	 */
	void (*offer)(const struct provider *p, struct resources *ret);
	/* Calls visit for each worker; visit may call note or forget for that one. */
	void (*list)(struct provider *p, void (*visit)(void *arg, const struct provider_worker *w),
		     void *arg);
	/* Its worker id is known: kept for after a restart. */
	void (*note)(struct provider *p, const char *id, const char *worker);
	/* It never registered: it may be taken off the queue, or asked to leave. */
	void (*abandon)(struct provider *p, const char *id);
	/* An end was dealt with. */
	void (*forget)(struct provider *p, const char *id);
	void (*destroy)(struct provider *p); /* its workers go on */
};

/* Providers begin with one. */
struct provider {
	const struct provider_ops *ops;
	/* Called from the loop when a worker's end is seen; set by the owner. */
	void (*changed)(void *arg);
	void *changed_arg;
};
