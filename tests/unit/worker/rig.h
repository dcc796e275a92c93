/* A worker core with a shell made of paper: virtual time, slots that do what the test says, and the
 * messages that it sent, encoded and decoded once. */
#pragma once

#include "jobs/kinds.h"
#include "jobs/shard_set.h"
#include "worker/core/core.h"

#define RIG_SLOTS 64
#define RIG_SHA "0123456789abcdef0123456789abcdef"
#define RIG_SHA_2 "fedcba9876543210fedcba9876543210"

struct rig_cell {
	struct cell cell;
	struct worker_arm arm;
	uint64_t armed; /* counts ARMs: the older cell is in work */
	struct shard_set begun;
	bool stopped;
};

struct rig_slot {
	bool open;
	struct gpu_share gpus;
	struct rig_cell cells[SLOT_CELLS];
};

struct rig_sent {
	enum message_type type;
	const void *body;
};

struct rig {
	struct worker_core *core;
	struct worker_effects effects;
	usec_t now;
	struct arena arena; /* of what was sent */
	struct rig_slot slots[RIG_SLOTS];
	uint64_t armed;
	struct rig_sent sent[4096];
	uint32_t sent_count;
	uint64_t sync; /* generation under way; 0: none */
	uint32_t sync_segments;
	uint32_t forgotten;
	bool exited;
	enum worker_exit exit_code;
	uint64_t session;
	uint32_t epoch;
	uint64_t lease; /* the last id granted */
	bool durable;	/* definitions say durable_output */
	bool whole;	/* what a slot tells at one time has one output */
	bool mute;	/* slots do not answer LOWER_END and STOP by themselves */
};

/* 4 cores, 8 GiB, 1 licence; times are the defaults. */
struct worker_config rig_config(void);
void rig_init(struct rig *r, const struct worker_config *config);
void rig_fini(struct rig *r);

/* Steps at the rig's time; carries the effects out; checks FULL. Returns what the step returned. */
int rig_step(struct rig *r, struct worker_input in);
int rig_frame(struct rig *r, enum message_type type, const void *body);
void rig_tick(struct rig *r);
/* Time goes to `us` by the core's own deadlines. */
void rig_until(struct rig *r, usec_t us);

/* CONNECTED, and REGISTERED with this fate for every token listed. */
void rig_connect(struct rig *r);
void rig_registered(struct rig *r, uint8_t fate);
/* PARAMETERS: the definition RIG_SHA (1000 milli-cores, one phase) and job 7's. */
void rig_parameters(struct rig *r);
void rig_parameters_of(struct rig *r, const char *sha, struct resources shape, uint64_t job);
struct lease rig_lease_of(struct rig *r, uint32_t first, uint32_t count);
struct token rig_lease(struct rig *r, uint32_t first, uint32_t count);
void rig_revoke(struct rig *r, struct token t, uint32_t keep_end);
void rig_kill(struct rig *r, struct token t);
void rig_ack(struct rig *r, uint64_t seq);
/* The whole way: connected, registered, parameters sent, first report acknowledged. */
void rig_ready(struct rig *r, const struct worker_config *config, bool durable);

/* A slot begins up to n shards of the cell in work; how many. */
uint32_t rig_begin(struct rig *r, uint32_t slot, uint32_t n);
/* All that it has begun ends: as done, or failed with this kind. Releases the cell when it is empty. */
void rig_end(struct rig *r, uint32_t slot, uint8_t failure, uint64_t output_bytes);
void rig_progress(struct rig *r, uint32_t slot, uint32_t cell, bool released);
struct rig_cell *rig_in_work(struct rig *r, uint32_t slot);
void rig_lost(struct rig *r, uint32_t slot, uint8_t kind);
void rig_synced(struct rig *r);

/* The n-th last message of a type, 0 = the last; NULL when there is none. */
const void *rig_last(const struct rig *r, enum message_type type, uint32_t n);
uint32_t rig_count(const struct rig *r, enum message_type type);
struct worker_view rig_view(const struct rig *r);
/* "5+3 9+1": for asserts. Static buffer, four at a time. */
const char *rig_text(struct range_list list);
