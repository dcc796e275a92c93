/* What the scaler's core consists of; only its own files include this. */
#pragma once

#include "scaler/core/core.h"

#define DEPARTED_MAX 256
/* Nobody is drained by an older list: who was idle may be busy now. */
#define WORKERS_FRESH_US USEC_PER_SEC
#define DRAIN_AGAIN_US (10 * USEC_PER_SEC) /* a DRAIN that did not show is said again */

struct worker_seen {
	struct uuid id;
	struct bytes provider_id; /* owned */
	bool draining;
	bool busy;
	usec_t idle_since_us;
	usec_t drain_told_us; /* 0: not told */
};

/* A START that has not registered yet. */
struct start {
	uint64_t id;
	usec_t at_us;
	struct bytes provider_id; /* owned; empty until STARTED */
	bool listed;		  /* the provider has had it in its list */
	bool adopted;		  /* found in the provider's list: from before this scaler began */
};

/* What the last decision was; a new one is told. */
enum decision {
	DECIDE_NOTHING_YET,
	DECIDE_STEADY,
	DECIDE_START,
	DECIDE_STEP_LIMIT,
	DECIDE_BACKOFF,
	DECIDE_FULL, /* more would be wanted than the bound allows */
	DECIDE_IDLE_WAIT,
	DECIDE_DRAIN,
	DECIDE_STALE,
};

void scaler_pool_config_check(const struct scaler_pool_config *c);

struct pool {
	struct scaler_pool_config config;
	bool demand_known, workers_known;
	struct scaler_demand demand;
	usec_t demand_us, workers_us; /* when they were told */
	struct worker_seen *workers;
	uint32_t worker_count;
	/* Provider ids that registered and left: the provider may list them a while longer. A ring. */
	struct bytes departed[DEPARTED_MAX];
	uint32_t departed_next;
	struct start *starts;
	uint32_t start_count, start_capacity;
	usec_t step_us; /* when this step's interval began */
	uint32_t step_used;
	uint32_t failures; /* in a row */
	usec_t retry_us;   /* no start before */
	uint64_t probe;	   /* the start that shows whether it works again */
	char failure_why[SCALER_FAILURE_MAX];
	usec_t low_since_us; /* wanted has been less than there are; USEC_NEVER: it is not */
	uint32_t low_peak;   /* the most wanted since */
	uint32_t wanted;
	enum decision decision;
	usec_t again_us; /* when the decision may change by itself */
	char why[SCALER_SENTENCE_MAX];
};

struct scaler_core {
	struct arena arena;
	struct pool *pools;
	uint32_t pool_count;
	uint64_t next_start;
	usec_t now_us;
	struct scaler_effects *out;
};

/* effects.c */
struct scaler_effect *scaler_effect_push(struct scaler_core *c, const struct pool *p,
					 enum scaler_effect_kind kind);
struct bytes scaler_effect_bytes(struct scaler_core *c, struct bytes b);

/* supply.c */
void scaler_workers_take(struct scaler_core *c, struct pool *p, const struct scaler_worker *items,
			 uint32_t count);
struct start *scaler_start_find(struct pool *p, uint64_t id);
void scaler_started(struct pool *p, const struct scaler_started *s);
void scaler_start_failed(struct scaler_core *c, struct pool *p, const struct scaler_start_failed *f);
void scaler_instances_take(struct scaler_core *c, struct pool *p, const struct bytes *ids, uint32_t count);
/* provider_id: of one that the provider has already, or empty. */
struct start *scaler_starts_add(struct scaler_core *c, struct pool *p, struct bytes provider_id);
/* Those that registered are no longer starting; those that took too long have failed. */
void scaler_starts_settle(struct scaler_core *c, struct pool *p);
usec_t scaler_starts_deadline(const struct pool *p);
void scaler_pool_fini(struct pool *p);
/* Copies text, cut between characters (UTF-8) where it does not fit. */
void scaler_text_copy(char *out, size_t size, const char *text, size_t length);

/* policy.c */
void scaler_decide(struct scaler_core *c, struct pool *p);
