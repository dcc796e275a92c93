/* Planners that read before they know: sizes, lists of items. A few threads run them, at most two
 * for one store, so that one that hangs delays nobody else; what they find comes back as inputs of the core
 * (PIECE, SEALED, PLAN_FAILED).
 *
 * A list is frozen into a plan blob piece by piece: each piece is synced before it is told, and its
 * cursor says where the next try goes on.
 *
 * When the part is closed its threads end; what they have not told will be planned again. */
#pragma once

#include "dispatcher/core/core.h"

struct planners;
struct services;

/* Queues it; the plan is copied. */
void planners_run(struct planners *p, const struct dispatcher_plan *plan);
/* What a plan would come to, without a job: nothing is written. The caller's memory until `done`. */
#define PLAN_PREVIEW_ITEMS 3u		 /* at either end */
#define PLAN_PREVIEW_BYTES_MAX (1 * GIB) /* of a list: what is behind is not counted */
struct plan_preview {
	uint8_t planner;  /* enum planner_kind, not PLANNER_PURE */
	struct plan plan; /* as definition_instantiate left it; then with what was found, shard_count too */
	struct arena arena;
	struct buf first[PLAN_PREVIEW_ITEMS]; /* of a list: its first items */
	struct buf last[PLAN_PREVIEW_ITEMS];  /* a ring: item n stands in n % PLAN_PREVIEW_ITEMS */
	bool at_least;			      /* there are more than shard_count */
	int rc;				      /* ERR_CLOSED: the dispatcher stops */
	struct error error;
	void (*done)(struct plan_preview *preview); /* in the loop, or in planners_close */
	void *arg;
	struct plan_preview *next; /* the planners' own */
};
void planners_preview(struct planners *p, struct plan_preview *preview);
void plan_preview_fini(struct plan_preview *preview); /* the arena, the items */

/* Ends the threads: `done` of all previews is called. For the end, before those who wait for them. */
void planners_stop(struct planners *p);
/* The job ended: stop planning it. */
void planners_forget(struct planners *p, uint64_t job);

/* Looks for blobs that no job needs any more (sweep.h). */
void planners_sweep(struct services *s);
