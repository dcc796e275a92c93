/* The real dispatcher's engine in a simulated world: one commit in flight, planners and rules that answer
 * later, replay at each start. */
#pragma once

#include "dispatcher/engine/engine.h"
#include "tests/sim/scenario.h"
#include "tests/sim/world.h"

struct sim;
struct frame;

/* The records of one submission. */
struct sim_batch {
	size_t size_bytes;
	uint32_t record_count;
};

/* Who waits for an answer. */
struct sim_ticket {
	struct sim *sim;
	uint64_t action;
};

/* A slice that is being read. */
struct sim_read {
	uint64_t number; /* 0 = none */
	uint32_t shards;
};
#define SIM_READS_MAX 32

/* A planner at work for a job. */
struct sim_planner {
	uint64_t job; /* 0 = none */
	uint64_t ticket;
	uint32_t phase, piece;
	uint32_t fails; /* of this job's planner so far; outlives the process */
};

/* A key in a file. */
struct sim_key {
	struct dedup_entry entry;
	usec_t bucket_us;
};

struct sim_dispatcher {
	struct sim *sim;
	uint64_t life; /* 0 = down */
	struct dispatcher_core *core;
	struct engine *engine;
	struct subscriber ends;
	uint64_t carried_from; /* the digest before a step that carries */
	struct arena arena;    /* of what is decoded */
	struct sim_ticket tickets[SIM_ACTIONS_MAX];
	struct sim_read reads[SIM_READS_MAX];
	struct buf records; /* submitted, and not in a commit yet */
	struct sim_batch *batches;
	size_t batch_count, batch_capacity;
	uint32_t epoch;
	uint64_t submitted_lsn;
	usec_t tick_at_us;
	uint64_t history_lsn; /* outlives the process */
	struct sim_key *keys; /* outlive the process */
	size_t key_count, key_capacity;
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
void sim_dispatcher_history(struct sim_dispatcher *d, uint64_t lsn);
void sim_dispatcher_gone(struct sim_dispatcher *d, struct uuid worker);
/* One input, with all that follows at once. The ticket is of the action's client; 0: nobody waits. */
#define SIM_TICKET_OF(action) ((action) + 1)
void sim_dispatcher_submit(struct sim_dispatcher *d, enum input_type type, void *body, uint64_t ticket);
void sim_dispatcher_turn(struct sim_dispatcher *d);

/* sim_effects.c: what the engine needs of the world. */
extern const struct engine_ops sim_engine_ops;

/* sim_journal.c: operations of the engine, whose arg is the dispatcher, and the end of a commit. */
uint64_t sim_journal_submit(void *arg, uint32_t epoch, struct bytes records, uint32_t count, bool alone);
void sim_journal_facts(void *arg, struct engine_journal *ret);
int sim_journal_trim(void *arg, uint64_t lsn, struct error *reterr);
void sim_dispatcher_synced(struct sim_dispatcher *d);

/* sim_slices.c: the engine asks for a slice; the end of that. */
void sim_slice_ask(void *arg, uint64_t read, const struct slice_request *rq);
void sim_dispatcher_read(struct sim_dispatcher *d, uint64_t number);

/* sim_keys.c: the engine asks for a bucket of keys to be sealed; its file stands; the core is told. */
bool sim_keys_are_sealed(const struct sim *s);
void sim_keys_seal(void *arg, usec_t bucket_wall_us);
void sim_keys_written(struct sim_dispatcher *d, usec_t bucket_us);
void sim_keys_kept(struct sim_dispatcher *d, usec_t bucket_us);
/* What the files say of a key; bucket 0: nothing. */
struct dedup_fact sim_keys_find(const struct sim_dispatcher *d, uint64_t hi, uint64_t lo);

/* sim_replay.c */
/* What the journal says after a crash; the oracle reads it, too. */
struct dispatcher_core *sim_replay_recovered(struct sim_dispatcher *d);
/* A core made of the journal as it now stands, with what is not yet written, equals the live one. */
void sim_dispatcher_verify(struct sim_dispatcher *d);

/* sim_observe.c: context and arg are the dispatcher. */
void sim_observe_durable(void *context, const struct frame *f);
void sim_observe_frame(struct sim_dispatcher *d, uint64_t peer, enum message_type type, struct bytes frame);
void sim_observe_step(void *arg, const struct dispatcher_input *in, const struct dispatcher_effects *out);

/* sim_clients.c: who asks, plans and settles. */
stream_fn sim_rules_on_end;
void sim_client_act(struct sim *s, uint64_t action);
void sim_client_replied(struct sim *s, uint64_t action, const struct dispatcher_reply *r);
void sim_planner_begin(struct sim_dispatcher *d, const struct dispatcher_plan *plan);
void sim_planner_stop(struct sim_dispatcher *d, uint64_t job);
void sim_planner_step(struct sim_dispatcher *d, uint64_t job, uint64_t ticket);
/* end: of which of the job's lives. */
void sim_settle(struct sim_dispatcher *d, uint64_t job, uint32_t end);
