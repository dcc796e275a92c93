/* Questions that may block (history, outputs, plan blobs, files, object stores) are answered in a few threads
 * of their own, so that the loop waits for nothing but its commit. Each thread has a connection to history.
 *
 * Readings of one lane never exceed the lane's bound, so that a store that hangs keeps no more threads than
 * that. A directory that is watched, and that of the rules, has readers of its own with one thread: it may
 * hang, and what is done with it is done in order.
 *
 * What still may block in the loop: the commit of the turn, and before a trim of the journal a note of it in
 * the state directory; lines of the log; SIGHUP, which opens the log and reads the keys again; and all that
 * comes before the doors are open, such as the first read of the rules and the opening of the watched
 * directories. The end of the dispatcher waits for readings that run.
 *
 * Thread: the loop's, but for what says otherwise. */
#pragma once

#include <stdatomic.h>

#include "base/error.h"
#include "base/loop.h"

struct history_reader;
struct readers;

/* The caller's memory, part of a larger struct; not to be touched until `done`, but for cancelled. */
struct reading {
	/* In one of the threads. history: NULL if the reading is without it. */
	void (*run)(struct history_reader *history, struct reading *r);
	/* In the loop, or in readers_close. */
	void (*done)(struct reading *r);
	uint64_t lane;	   /* 0: none */
	uint32_t lane_max; /* of this lane, the same for all of it; 0: the pool's */
	bool without_history;
	int rc; /* set by run; ERR_CLOSED when it was never run */
	struct error error;
	_Atomic bool cancelled; /* run may look at it, in any thread */
	struct reading **list;	/* the pool's, as what follows */
	struct reading *prev, *next;
};

/* Plan blobs, of which a few files are kept open. */
#define READERS_LANE_BLOBS 1
/* Whatever reads the output directory, which may be another machine's. */
#define READERS_LANE_OUTPUT 2
#define READERS_LANE_OUTPUT_MAX 3

/* Files of deduplication keys: looks, what changes their list, and two that become one. */
#define READERS_LANE_KEYS 3
#define READERS_LANE_KEYS_MAX 2
#define READERS_LANE_KEYS_LIST 4
#define READERS_LANE_KEYS_MERGE 5

struct readers_config {
	const char *history; /* path of the database; NULL: all are without history */
	uint32_t threads;
	uint32_t lane_max; /* readings of one lane that run at one time */
};

int readers_open(struct readers **ret, struct loop *loop, const struct readers_config *config,
		 struct error *reterr) MUST_CHECK;
/* Cancels all; those that were never run are done, too: somebody waits for them. NULL is fine. */
void readers_close(struct readers *rs);

void readers_ask(struct readers *rs, struct reading *r);
/* It ends soon, and is done all the same: with ERR_CLOSED when it was never run. */
void readers_cancel(struct readers *rs, struct reading *r);

/* True while history cannot be opened for reading; reterr says why. Thread: any. */
bool readers_are_failing(struct readers *rs, struct error *reterr);
