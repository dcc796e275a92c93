/* The shell of the real dispatcher core: one commit in flight, effects let out in lsn order,
 * parameters before leases, planners and rules that answer later, replay at each start. */
#pragma once

#include "dispatcher/core/core.h"
#include "dispatcher/core/view.h"
#include "tests/sim/scenario.h"
#include "tests/sim/world.h"

struct sim;
struct frame;

/* An effect that waits for its lsn; what it needs is copied. */
struct sim_waiting {
	uint64_t after_lsn;
	enum dispatcher_effect_kind kind;
	uint64_t peer;
	struct sim_frame *frame;
	bool leases;	/* the frame is LEASES */
	struct ack ack; /* session 0: the frame is none */
	struct dispatcher_reply reply;
	uint64_t job;
	uint32_t phase, shard_count, cursor, reopens;
};

/* What a peer was sent in its session: such parameters are not sent twice. */
struct sim_peer {
	uint64_t session;
	uint64_t life; /* of the worker behind it */
	struct job_ref *jobs;
	size_t job_count;
	uint64_t definitions; /* a bit per sim job */
};

/* The records of one step. */
struct sim_batch {
	size_t size_bytes;
	uint32_t record_count;
};

/* A planner at work for a job. */
struct sim_planner {
	uint64_t job; /* 0 = none */
	uint64_t ticket;
	uint32_t phase, piece;
	uint32_t fails; /* of this job's planner so far; outlives the process */
};

struct sim_dispatcher {
	struct sim *sim;
	uint64_t life; /* 0 = down */
	struct dispatcher_core *core;
	struct dispatcher_effects effects;
	struct arena arena; /* of what is decoded or built for one step */
	struct sim_waiting *waiting;
	size_t waiting_count, waiting_capacity;
	struct sim_peer *peers; /* by peer number - 1 */
	size_t peer_count;
	struct buf records; /* of steps since the last commit was submitted */
	struct sim_batch *batches;
	size_t batch_count, batch_capacity;
	uint32_t epoch;
	usec_t tick_at_us;
	uint64_t history_lsn;	 /* outlives the process */
	uint64_t carry_end_lsn;	 /* being carried: the oldest segment's end; 0 = nothing is */
	uint64_t carry_done_lsn; /* the carried records are all at or before it; 0 = not done */
	struct sim_planner planners[8 * SIM_JOBS_MAX];
	uint64_t next_ticket;
	uint64_t step_count, start_count;
	uint64_t late_count; /* outcomes that counted for nothing, so far */
	bool doomed;	     /* dies in its next commit */
};

void sim_dispatcher_init(struct sim_dispatcher *d, struct sim *sim);
void sim_dispatcher_fini(struct sim_dispatcher *d);

void sim_dispatcher_start(struct sim_dispatcher *d);
void sim_dispatcher_crash(struct sim_dispatcher *d, const char *why);
void sim_dispatcher_tick(struct sim_dispatcher *d);
void sim_dispatcher_frame(struct sim_dispatcher *d, uint64_t peer, struct bytes frame);
void sim_dispatcher_synced(struct sim_dispatcher *d);
void sim_dispatcher_history(struct sim_dispatcher *d, uint64_t lsn);
void sim_dispatcher_gone(struct sim_dispatcher *d, struct uuid worker);
/* One input, with all that follows at once. */
void sim_dispatcher_step(struct sim_dispatcher *d, enum input_type type, const void *body);
/* A core made of the journal as it now stands, with what is not yet written, equals the live one. */
void sim_dispatcher_verify(struct sim_dispatcher *d);

/* sim_effects.c */
void sim_effects_take(struct sim_dispatcher *d);
void sim_effects_release(struct sim_dispatcher *d, uint64_t durable_lsn);
void sim_effects_forget(struct sim_dispatcher *d);

/* sim_clients.c: who asks, plans and settles. */
void sim_client_act(struct sim *s, uint64_t action);
void sim_client_replied(struct sim *s, const struct dispatcher_reply *r);
void sim_planner_begin(struct sim_dispatcher *d, const struct sim_waiting *w);
void sim_planner_stop(struct sim_dispatcher *d, uint64_t job);
void sim_planner_step(struct sim_dispatcher *d, uint64_t job, uint64_t ticket);
/* end: of which of the job's lives. */
void sim_settle(struct sim_dispatcher *d, uint64_t job, uint32_t end);
