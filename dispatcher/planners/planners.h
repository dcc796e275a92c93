/* Planners that read before they know: sizes, lists of items. One thread runs them, one plan after the
 * other; what they find comes back as inputs of the core (PIECE, SEALED, PLAN_FAILED).
 *
 * A list is frozen into a plan blob piece by piece: each piece is synced before it is told, and its
 * cursor says where the next try goes on. */
#pragma once

#include "dispatcher/core/core.h"

struct planners;
struct server;

int planners_open(struct server *s, struct error *reterr) MUST_CHECK;
/* Ends the thread; what it has not told will be planned again. NULL is fine. */
void planners_close(struct planners *p);

/* Queues it; the plan is copied. */
void planners_run(struct planners *p, const struct dispatcher_plan *plan);
/* The job ended: stop planning it. */
void planners_forget(struct planners *p, uint64_t job);

/* The job ended: as above, and its blob goes. */
void planners_discard(struct server *s, uint64_t job);
/* Removes the blobs of jobs that are not live; also by itself, every ten minutes. */
void planners_sweep(struct server *s);
