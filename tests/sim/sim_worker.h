/* The shell of the real worker core: slots take virtual time per shard and end as the scenario
 * says, outputs sync with a delay, the process may crash, pause, drain or leave. */
#pragma once

#include "tests/sim/oracle.h"
#include "worker/core/core.h"

struct sim;

#define SIM_SLOTS_MAX 16

struct sim_slot {
	bool open;
	struct cell cells[SLOT_CELLS];
	bool cell_held[SLOT_CELLS]; /* armed, and the core not yet told of the release */
	uint32_t held;		    /* cells */
	uint64_t job[SLOT_CELLS];
	uint32_t phase[SLOT_CELLS];
	bool durable[SLOT_CELLS];
	uint32_t current;    /* the cell in work */
	bool busy, stopping; /* an attempt is in work */
	uint64_t attempt;    /* its number, for the event that ends it */
	usec_t begun_us;
	struct range work;
	enum fate fate;
	/* Ended, the core not yet told. */
	struct range done[8];
	uint32_t done_count;
	struct totals totals;
	uint64_t answers; /* a bit a cell: the core waits for a progress */
};

struct sim_output { /* of attempts that have ended; not synced */
	struct token token;
	struct range range;
	uint32_t segment;
	bool failed;
	uint64_t generation; /* of the sync that covers it; 0 = none yet */
};

struct sim_worker {
	struct sim *sim;
	uint32_t host;
	uint64_t life; /* 0 = no process */
	struct uuid id;
	struct worker_core *core;
	struct worker_effects effects;
	struct arena arena; /* of the frame in hand */
	struct sim_slot slots[SIM_SLOTS_MAX];
	uint64_t next_attempt;
	usec_t tick_at_us; /* world time of the earliest tick under way; USEC_NEVER = none */
	struct sim_output *outputs;
	size_t output_count, output_capacity;
	uint64_t sync_generation; /* under way */
	bool draining, wanted;	  /* wanted: its supervisor starts it again */
	uint64_t resent_count;
	struct uuid last_id; /* of the process before; told as gone by the next, sometimes */
	bool last_died;
};

void sim_worker_init(struct sim_worker *w, struct sim *sim, uint32_t host);
void sim_worker_fini(struct sim_worker *w);

void sim_worker_start(struct sim_worker *w);
/* SIGKILL, or the machine is gone. */
void sim_worker_crash(struct sim_worker *w, const char *why);
/* SIGTERM: the first drains, the second aborts. */
void sim_worker_term(struct sim_worker *w);
void sim_worker_connected(struct sim_worker *w, bool connected);
void sim_worker_frame(struct sim_worker *w, struct bytes frame);
void sim_worker_tick(struct sim_worker *w);
void sim_worker_attempt(struct sim_worker *w, uint64_t attempt);
void sim_worker_synced(struct sim_worker *w, uint64_t generation);
/* A runner dies under its slot. */
void sim_worker_lose_slot(struct sim_worker *w);
