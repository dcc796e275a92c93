/* Why a job does not run: sentences from what the core, the workers and the scalers tell. The one place
 * where they are made, for `show`, `wait`, `explain` and `status` alike.
 *
 * Sentences are for people: they begin in small letters and end without a full stop, so that they can
 * follow a colon. Names come from strangers and are written as they are; who shows them escapes them.
 * Pure: times are arguments. */
#pragma once

#include "base/buf.h"
#include "dispatcher/core/view.h"
#include "dispatcher/pools.h"

struct why_facts {
	const struct view_job *job;
	const struct view_supply *supply; /* NULL: the job is not live */
	const struct view_shared *shared; /* of which too little is free; NULL: none */
	const struct view_hold *hold;	  /* NULL: nothing is pending, or it is not live */
	const struct pools *pools;
	const struct policy *policy; /* of its shards phase; NULL: not known */
	const char *trouble;	     /* a disk that cannot be written; "" or NULL: none */
	usec_t mono_us, wall_us;
};

/* May why_not need the supply? It costs a walk over the workers. */
bool why_asks_supply(const struct view_job *job);
/* Appends why nothing of it runs; nothing when something does, when it is about to, or when it has ended. */
/* "it waits for job 7 to succeed and job 8 to end"; nothing when it waits for none. */
void why_after(const struct view_job *v, struct buf *out);
/* "it waits for room in the concurrency group "x": job 7 holds it"; nothing when it waits for none. */
void why_group(const struct view_job *v, struct buf *out);
/* "10/1s"; nothing when its shards may start at any rate. */
void why_rate(const struct view_job *v, struct buf *out);
void why_not(const struct why_facts *f, struct buf *out);
/* Appends that its next shard waits for something that the cluster shares; nothing when it does not. */
void why_shared(const struct why_facts *f, struct buf *out);
/* why_hold.c. Appends which limit, or whose turn, keeps its pending shards; or nothing. */
void why_hold(const struct view_hold *h, struct buf *out);
/* Appends "in about 3s to 12s", "within about 12s"; or nothing. */
void why_until(const struct view_until *u, struct buf *out);
/* It is a limit of its queue. */
bool why_hold_is_limit(const struct view_hold *h);
/* Appends what its dead shards mean for a job that goes on; nothing when none is dead. */
void why_outlook(const struct why_facts *f, struct buf *out);
/* Appends how its planner fails; nothing when it does not. */
void why_planner(const struct view_job *v, usec_t wall_us, struct buf *out);
/* Appends which shards wait for another attempt, and how long; some do. */
void why_delayed(const struct view_job *v, usec_t wall_us, struct buf *out);
/* Appends what a pool does or cannot do: "starts 2 workers", "starts nothing: 3 starts failed, last: No
 * space left on device; next try in 8s". Nothing when there is nothing to say. */
void why_pool(const struct pool_told *p, usec_t mono_us, struct buf *out);
/* Appends "starts none for 3 shards that need more cpus than its workers have (2)"; or nothing. */
void why_pool_unfit(const struct pool_told *p, struct buf *out);
/* Appends a time as people write it, in whole seconds when it is more than one: "8s", "1h5m". */
void why_span(struct buf *out, usec_t us);
/* Appends "1 shard", "12 shards". */
void why_count(struct buf *out, uint64_t n, const char *noun);
