/* A job that has ended lives again, in place. Knows what it was from history, which may be behind: it is
 * waited for. */
#pragma once

#include "dispatcher/api/request.h"

struct reopening;
struct segments;

struct reopen_counts {
	uint64_t shards, kept; /* kept: done before, and still */
	uint64_t lost;	       /* shards that were done, but whose output is lost */
	bool lost_gather;      /* the gathered output is */
};

/* Called once, never before reopening_start has returned; it may destroy the reopening. e: NULL when the job
 * goes on, and that is durable; counts: NULL when the job had not ended after all, and its dead shards run
 * again. */
typedef void reopen_fn(void *arg, const struct error *e, const struct reopen_counts *counts);

/* segments: NULL, or shared with others of the same request; it outlives them. */
struct reopening *reopening_create(struct api *api, uint64_t job, const struct principal *by,
				   struct segments *segments, reopen_fn *fn, void *arg) MUST_CHECK;
void reopening_start(struct reopening *o);
/* When fn is called or was, or when the server stops. NULL is fine. */
void reopening_destroy(void *reopening);
