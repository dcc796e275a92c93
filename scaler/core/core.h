/* The scaler's core: how many workers each pool wants, when to start and which to drain, and a sentence
 * for each decision that says why. A deterministic policy: what is demanded, what is there and two
 * clocks in, effects as data out. Pure.
 *
 * Up at once, within the step limit; down only by drain, those idle longest first; never a busy one.
 * Nothing is decided before both the demand and the workers of a pool have been told, and nothing when
 * the demand is old: tell both together, every second or few. It keeps no state that cannot be found again:
 * after a restart of the scaler the registered workers and the provider's own list (INSTANCES) tell it all
 * but the backoff.
 *
 * Rules: DESIGN.md section 10. Not thread safe. */
#pragma once

#include "base/check.h"
#include "base/error.h"
#include "jobs/schema.h"

struct scaler_core;

#define SCALER_SENTENCE_MAX 480
#define SCALER_FAILURE_MAX 240

/* ---- what it is created with: copied ---- */

struct params;

/* What a provider says of its workers. */
struct scaler_provider {
	uint64_t cpu_milli;   /* of each */
	usec_t start_cost_us; /* from asking for one to its registration, about */
};

/* Zero is a value like any other: scaler_pool_config_init fills all of it but the name, and what is to be
 * otherwise is set afterwards. The core CHECKs that it was filled. */
struct scaler_pool_config {
	struct bytes name;
	bool complete; /* scaler_pool_config_init alone sets it */
#define FIELD(type, name, least, value) type name;
#include "scaler/core/config.def"
};

void scaler_pool_config_init(struct scaler_pool_config *c, const struct params *params,
			     const struct scaler_provider *provider);

struct scaler_config {
	const struct scaler_pool_config *pools;
	uint32_t pool_count;
};

/* ---- inputs; a pool is its index in the configuration ---- */

enum scaler_input_kind {
	SCALER_TICK,
	SCALER_DEMAND,
	SCALER_WORKERS,	     /* all that are registered for the pool; those not listed are gone */
	SCALER_STARTED,	     /* the provider took a START */
	SCALER_START_FAILED, /* it did not */
	SCALER_INSTANCES,    /* the provider's own list: all of the pool that it queues or runs */
};

struct scaler_demand {
	uint64_t work_us;	/* CPU time of all shards that could run now or are leased, estimated */
	uint64_t queued_shards; /* that could run now and are not leased */
	uint64_t leased_shards;
	usec_t oldest_wait_us; /* of a queued shard */
};

struct scaler_worker {
	struct uuid id;
	struct bytes provider_id; /* what STARTED said; may be empty for workers that people started */
	bool draining;
	bool busy;	/* holds a lease, or a report that is not acknowledged */
	usec_t idle_us; /* not busy: since how long */
};

struct scaler_started {
	uint64_t start; /* of the effect */
	struct bytes provider_id;
};

struct scaler_start_failed {
	uint64_t start;
	struct bytes why;
};

struct scaler_input {
	usec_t mono_us;
	usec_t wall_us;
	enum scaler_input_kind kind;
	uint32_t pool; /* not of TICK */
	union {
		struct scaler_demand demand;
		struct {
			const struct scaler_worker *items;
			uint32_t count;
		} workers;
		struct scaler_started started;
		struct scaler_start_failed start_failed;
		struct {
			const struct bytes *provider_ids;
			uint32_t count;
		} instances;
	};
};

/* ---- effects ---- */

enum scaler_effect_kind {
	SCALER_START,	/* ask the provider for one worker; answer STARTED or START_FAILED */
	SCALER_DRAIN,	/* ask the dispatcher to drain this worker */
	SCALER_ABANDON, /* a start that never registered: the provider may take it off its queue */
	SCALER_TELL,	/* a decision, in words; also when it is to do nothing and that is new */
};

struct scaler_effect {
	enum scaler_effect_kind kind;
	uint32_t pool;
	union {
		uint64_t start;	   /* names this start; never used again by this core */
		struct uuid drain; /* worker id */
		struct {
			uint64_t start;
			struct bytes provider_id; /* empty: the provider has not answered */
		} abandon;
		struct {
			uint32_t wanted;
			struct bytes why; /* one sentence with its facts; NUL behind it */
		} tell;
	};
};

/* Owned by the shell; what it points to lives until scaler_effects_clear. */
struct scaler_effects {
	struct scaler_effect *items;
	uint32_t count;
	uint32_t capacity;
	struct arena arena;
};

void scaler_effects_init(struct scaler_effects *e);
void scaler_effects_fini(struct scaler_effects *e);
void scaler_effects_clear(struct scaler_effects *e);

/* ---- the machine ---- */

/* ERR_INVALID in words for bounds that contradict each other. */
int scaler_core_create(const struct scaler_config *config, struct scaler_core **ret,
		       struct error *reterr) MUST_CHECK;
void scaler_core_destroy(struct scaler_core *core);

/* ERR_INVALID for a pool or an input that there is not; nothing changed then. */
int scaler_core_step(struct scaler_core *core, const struct scaler_input *in, struct scaler_effects *out,
		     struct error *reterr) MUST_CHECK;
usec_t scaler_core_deadline(const struct scaler_core *core);
void scaler_core_check(const struct scaler_core *core, enum check_depth depth);

struct scaler_view {
	uint32_t wanted;
	uint32_t ready; /* registered, not draining */
	uint32_t busy;	/* of those */
	uint32_t starting;
	uint32_t draining;
	uint32_t failed_starts; /* in a row */
	usec_t retry_in_us; /* after a failed start: until the next try; 0 = at once, or one is under way */
	char failure_why[SCALER_FAILURE_MAX]; /* of the last failed start */
	char why[SCALER_SENTENCE_MAX];	      /* of the last decision; "" before the first */
};

void scaler_core_view(const struct scaler_core *core, uint32_t pool, struct scaler_view *ret);
