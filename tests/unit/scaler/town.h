/* A scaler core with a provider, a dispatcher and workers made of paper, in virtual time: second by
 * second the demand is told, starts take a while, workers work it off. */
#pragma once

#include "scaler/core/core.h"

#define TOWN_WORKERS 256

enum town_state {
	TOWN_NONE,
	TOWN_STARTING,
	TOWN_READY,
};

struct town_worker {
	enum town_state state;
	uint64_t start;
	char provider_id[24];
	usec_t ready_us; /* when it registers */
	bool draining;
	bool busy;
	usec_t idle_since_us;
};

struct town {
	struct scaler_core *core;
	struct scaler_effects effects;
	usec_t now;
	struct town_worker workers[TOWN_WORKERS];
	usec_t start_delay_us; /* of the provider */
	bool failing;	       /* the provider says no */
	bool deaf;	       /* the provider takes starts, and nothing ever comes */
	/* demand */
	uint64_t work_us; /* one CPU a worker works it off */
	usec_t shard_us;  /* of one shard; sets how many there are */
	usec_t oldest_wait_us;
	bool silent; /* the dispatcher says nothing */
	/* what was decided */
	uint32_t starts, drains, abandons, tells;
	uint32_t busy_drained;
	char told[SCALER_SENTENCE_MAX];
};

struct scaler_pool_config town_pool(void);
void town_init(struct town *t, const struct scaler_pool_config *pool);
void town_fini(struct town *t);
/* One step now; carries the effects out. */
void town_step(struct town *t, struct scaler_input in);
/* Tells demand and workers. */
void town_tell(struct town *t);
/* Seconds pass: work is done, starts register, drained ones leave. */
void town_run(struct town *t, uint32_t seconds);
void town_instances(struct town *t);
struct scaler_view town_view(const struct town *t);
uint32_t town_ready(const struct town *t);
