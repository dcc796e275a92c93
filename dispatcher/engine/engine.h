/* The dispatcher's engine: inputs -> core -> records -> journal, and what follows from them, in order. It has
 * no thread, no descriptor and no clock: what it needs of the world stands in one table of operations. The
 * shell (dispatcher/server) and the simulator (tests/sim) drive the same engine.
 *
 *   engine.c   an input becomes a step, a turn's records become one commit
 *   port.c     what all others see of it (port.h): tickets, waits, views
 *   release.c  effects wait here until the lsn that they name is durable
 *   stream.c   who subscribed; jobs that changed
 *   leases.c   LEASES get what they need beside them: definitions, jobs, slices; sent.c: what a peer has
 *   slice.c    the values of just the leased shards
 *   late.c     leases whose slices have to be read first; short.c: whose slices did not hold all
 *   carry.c    keeps the journal short
 *
 * An operation never calls back into the engine, but for the port's views. */
#pragma once

#include "dispatcher/engine/port.h"
#include "dispatcher/engine/slice.h"

struct engine;

struct engine_journal {
	uint64_t segments, bytes;
	uint64_t second_lsn; /* of the second oldest segment's first record; 0: there is one segment */
};

struct engine_ops {
	usec_t (*mono_us)(void *arg);
	usec_t (*wall_us)(void *arg);

	/* The journal takes over all records of a commit: the lsn of the last. alone: nothing else is about
	 * to be submitted. Its failure ends the process. */
	uint64_t (*submit)(void *arg, uint32_t epoch, struct bytes records, uint32_t count, bool alone);
	int (*has_room)(void *arg, struct error *reterr);
	void (*progress)(void *arg, uint64_t *ret_durable_lsn, uint64_t *ret_history_lsn);
	void (*journal)(void *arg, struct engine_journal *ret);
	/* All before lsn may go. An error: it stays, in words. */
	int (*trim)(void *arg, uint64_t lsn, struct error *reterr);

	/* A frame to a worker. */
	void (*send)(void *arg, uint64_t peer, enum message_type type, struct bytes frame);
	void (*plan)(void *arg, const struct dispatcher_plan *plan);
	void (*plan_stop)(void *arg, uint64_t job);
	/* The buckets of keys that began up to then are to be put into a file (decide/seal.c); answered by
	 * INPUT_DEDUP_KEPT. NULL: nobody does, and all stay in memory. */
	void (*seal)(void *arg, usec_t bucket_wall_us);
	/* For the log. */
	void (*tell)(void *arg, const struct dispatcher_tell *tell);

	/* Reads a slice somewhere else (slice_cut), and tells what became of it by engine_read, never at
	 * once. rq is borrowed for the call. */
	void (*read)(void *arg, uint64_t read, const struct slice_request *rq);

	/* The turn has to end, and engine_turn to be called, soon. */
	void (*wake)(void *arg);
	/* Each step: before it (out is NULL) and after it. May be NULL. */
	void (*observe)(void *arg, const struct dispatcher_input *in, const struct dispatcher_effects *out);
};

/* engine_bounds_init gives those of the dispatcher. */
struct engine_bounds {
	size_t batch_bytes;	     /* a commit that is larger is submitted before the turn ends */
	usec_t linger_us;	     /* what nobody waits for goes with the next commit, or after this */
	size_t waiting_max;	     /* effects that wait for the disk; beyond, there is no room */
	uint64_t segments_min;	     /* of a journal that is worth carrying forward */
	size_t carry_bytes;	     /* written in one step of that */
	uint64_t carry_look_records; /* between two looks whether it is */
};
void engine_bounds_init(struct engine_bounds *b);

/* core: replayed, not yet open; it stays the caller's, like ops. last_lsn: of the journal, all durable. */
struct engine *engine_create(const struct engine_ops *ops, void *arg, const struct engine_bounds *bounds,
			     struct dispatcher_core *core, uint64_t last_lsn,
			     uint64_t history_lsn) MUST_CHECK;
/* Nobody is told anything more. NULL is fine. */
void engine_destroy(struct engine *e);
struct port *engine_port(struct engine *e);

/* Steps INPUT_OPEN: the epoch begins. */
void engine_open(struct engine *e, uint64_t seed);
/* A worker's frame. */
void engine_frame(struct engine *e, uint64_t peer, struct bytes frame);
/* What ops->read was asked for: a slice of count shards, or why there is none. Fine for a number that nobody
 * waits for any more. */
void engine_read(struct engine *e, uint64_t read, struct bytes slice, uint32_t count,
		 const struct error *why);
/* From now on there is no room. */
void engine_stop(struct engine *e);

/* The end of a turn: commits, takes what is durable or in history, delivers. more: inputs are about to come.
 */
void engine_turn(struct engine *e, bool more);
/* All records go to the journal now: for the end. */
void engine_flush(struct engine *e);
/* When engine_tick wants to be called, on the mono clock; USEC_NEVER: nothing waits. Frames that have come in
 * meanwhile go first. */
usec_t engine_deadline(const struct engine *e);
void engine_tick(struct engine *e);
