/* The dispatcher's server: one thread and its loop around the engine (dispatcher/engine/engine.h). It alone
 * knows all parts, and opens them in order.
 *
 *   start.c     state directory, keys, journal and history, replay, rules, then the doors open
 *   replay.c    journal, history and core, as they were when the last dispatcher ended
 *   losses.c    what the state directory has lost
 *   parts.c     the parts around the engine, in their order
 *   slices.c    slices of leases, read in other threads
 *   turn.c      what the engine needs of the world: clocks, journal, workers, planners, history
 *
 * One turn of the loop: frames are drained, requests read, timers run, each of them an input; at its end the
 * engine hands all records to the journal as one commit. Steps go on while it is in flight. With nothing else
 * queued the commit is made inline. */
#pragma once

#include "base/log.h"
#include "dispatcher/engine/engine.h"
#include "dispatcher/pools.h"
#include "dispatcher/services.h"
#include "dispatcher/trouble.h"
#include "dispatcher/store/history.h"
#include "dispatcher/store/journal.h"

struct server {
	struct services services;
	struct dispatcher_core *core;
	struct engine *engine;
	uint64_t replayed_lsn; /* the last of the journal when it was replayed */
	struct trouble trouble;
	struct pools pools;
	struct loop_watch journal_watch, history_watch;
	struct loop_task turn_end;
	struct loop_timer tick;
	struct log_quota tells;
};

/* ---- start.c ---- */

/* Opens all of it, in order. On failure server_close is due as well. */
int server_open(struct server *s, const struct params *params, struct error *reterr) MUST_CHECK;
/* Until SIGTERM or SIGINT. Leases stay with their workers. */
void server_run(struct server *s);
void server_close(struct server *s);

/* ---- turn.c ---- */

/* Creates the engine around the replayed core. */
void turn_init(struct server *s);
/* Ends a turn now. */
void turn_run(struct server *s);

/* ---- slices.c ---- */

/* What the engine asks for by its operation `read`. */
void slices_read(struct server *s, uint64_t number, const struct slice_request *rq);

/* ---- parts.c ---- */

/* Those of parts.def: the doors, or those before them. */
int parts_open(struct services *s, bool doors, struct error *reterr) MUST_CHECK;
void parts_close(struct services *s);
void parts_pause(struct services *s);
void parts_resume(struct services *s);
