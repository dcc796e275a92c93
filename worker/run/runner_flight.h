/* What a slot's runner has in hand: leases of one definition, in the order of their cells, and runs of their
 * shards, in the order in which they are answered. A lease stays until all of it has ended and its cell is
 * released; the next cell's joins it while there is room. Thread: the slot's. */
#pragma once

#include "worker/run/runner_impl.h"

#define FLIGHT_RUNS_MAX RUNNER_RUNS_MAX
#define RUN_US (40 * USEC_PER_MSEC) /* what a run is to take */

struct flight_lease {
	struct work work;
	uint32_t cell;
	uint32_t chunk; /* shards of its next run */
	uint32_t runs;	/* in flight */
	bool is_gone;	/* released before those that are older */
};

/* Taken from a cell, not done. */
struct flight_run {
	struct range shards;
	struct flight_lease *lease;
	off_t said_at; /* how long the runner's stderr was when it was told of the run */
};

struct flight {
	struct slot *slot;
	struct flight_lease leases[FLIGHT_RUNS_MAX]; /* a ring, oldest first, as the next */
	uint32_t lease_head, lease_count;
	struct flight_run runs[FLIGHT_RUNS_MAX];
	uint32_t run_head, run_count;
	uint32_t sent;	    /* how many of the runs the present runner was told */
	uint64_t shards;    /* of the runs */
	uint64_t probing;   /* shards that are sent one at a time: one of them may have ended a runner */
	usec_t since_us;    /* when the oldest run began */
	uint32_t segment;   /* where the results of the last answer are; 0: there were none */
	struct totals took; /* by the runner, not yet in a verdict */
	struct error why;
};

/* The first lease, ready to run, with its cell in work; it is the flight's from now on. */
void flight_init(struct flight *f, struct slot *s, const struct work *first);

struct flight_lease *flight_lease_at(struct flight *f, uint32_t i);
struct flight_run *flight_run_at(struct flight *f, uint32_t i);

/* Takes another run from the newest lease, or from the next that joins. False: there is none, or no room. */
bool flight_take(struct flight *f);
/* The first shards of the oldest run have an outcome. */
void flight_advance(struct flight *f, uint32_t count);
/* Releases the cells of leases of which all has ended. */
void flight_settle(struct flight *f);
/* Were some of the leases stopped? */
bool flight_is_stopped(const struct flight *f);
/* They go, with their runs: no one's outcome. None of the runs is sent any more. */
void flight_drop_stopped(struct flight *f);
