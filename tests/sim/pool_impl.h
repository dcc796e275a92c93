/* What the files of pool*.c share: pool.c has events and the dispatcher, pool_worker.c workers and their
 * slots. */
#pragma once

#include "base/buf.h"
#include "tests/sim/pool.h"

#define POOL_WALL_US 1700000000000000ll

enum event_kind {
	EVENT_TICK_DISPATCHER,
	EVENT_TICK_WORKER,
	EVENT_TO_DISPATCHER,
	EVENT_TO_WORKER,
	EVENT_SHARD_ENDS,
};

struct event {
	usec_t at_us;
	uint64_t serial;
	enum event_kind kind;
	uint32_t worker, slot;
	struct message *message;
};

struct message {
	size_t size;
	uint8_t data[];
};

struct pool_cell {
	struct cell cell;
	uint64_t job;
};

struct pool_slot {
	bool open, busy;
	uint32_t shard;	  /* busy: of the current cell */
	uint32_t current; /* the cell in work, or the next */
	uint64_t skip;	  /* a bit a cell: it was released before its turn */
	struct pool_cell cells[SLOT_CELLS];
};

struct pool_worker {
	struct worker_core *core;
	struct worker_effects effects;
	struct pool_slot *slots;
	usec_t tick_us; /* of the tick that is on its way; USEC_NEVER: none */
	bool *sent;	/* by job: its parameters */
	uint64_t sent_capacity;
};

struct pool {
	struct pool_config config;
	struct dispatcher_core *core;
	struct dispatcher_effects out;
	struct arena arena; /* of what a message decodes to */
	struct pool_worker *workers;
	struct pool_job *jobs; /* by id - 1 */
	uint64_t job_count, job_capacity;
	struct event *events; /* a heap */
	size_t event_count, event_capacity;
	uint64_t serial;
	usec_t now_us, tick_us;
	uint64_t durable_lsn, history_lsn;
	uint64_t ran;
};

void pool_push(struct pool *p, struct event e);
void pool_send(struct pool *p, enum event_kind kind, uint32_t worker, enum message_type type,
	       const void *body);
struct pool_job *pool_job_at(struct pool *p, uint64_t id);

/* pool_worker.c */
void pool_worker_open(struct pool *p, uint32_t w);
void pool_worker_fini(struct pool *p, uint32_t w);
void pool_worker_step(struct pool *p, uint32_t w, struct worker_input in);
void pool_shard_ends(struct pool *p, uint32_t w, uint32_t slot);
