/* The dispatcher's core: jobs, phases, leases, sessions, deduplication. A deterministic state machine:
 * inputs and two clocks in, records and effects out. Pure: no socket, clock, file, thread or global.
 *
 * The map: this header (what goes in and out) · view.h (what may be read) · durable/ (what the records
 * say, and the only code that changes it; state.h has the drawn tables of jobs and shards) · volatile/
 * (what a start builds again: indexes, estimates, sessions) · decide/ (one file a verb: accept, plan,
 * grant, revoke, report, register, expire, cancel, reopen, advance (phases and ends), carry, open;
 * lease.h says what an outcome does, cell by cell) · check.c (what holds).
 *
 * Use: create; apply for each record of the journal, in lsn order; replay_end; step(INPUT_OPEN);
 * step for each input. Not thread safe. Rules: PROTOCOL.md. */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/check.h"
#include "base/error.h"
#include "jobs/kinds.h"
#include "jobs/schema.h"

struct dispatcher_core;

/* ---- what it is created with: copied ---- */

struct params;

/* Zero is a value like any other: dispatcher_config_init fills all of it, and what is to be otherwise is set
 * afterwards. The core CHECKs that it was filled. */
struct dispatcher_config {
	struct uuid cluster; /* whoever creates the core sets it */
	/* What the cluster has together; the names are the caller's, until the core is made. */
	struct named_amount shared[NAMED_RESOURCES_MAX];
	uint32_t shared_count;
	bool complete; /* dispatcher_config_init alone sets it */
#define FIELD(type, name, least, value) type name;
#include "dispatcher/core/config.def"
};

void dispatcher_config_init(struct dispatcher_config *c, const struct params *params);

struct dispatcher_core *dispatcher_core_create(const struct dispatcher_config *config) MUST_CHECK;
void dispatcher_core_destroy(struct dispatcher_core *core); /* NULL is fine */

/* ---- in ---- */

struct dispatcher_input {
	usec_t mono_us;	  /* CLOCK_BOOTTIME; never goes back */
	usec_t wall_us;	  /* UTC; may jump */
	uint32_t type;	  /* enum input_type */
	const void *body; /* the struct that inputs.tbl names; borrowed for the step */
};

/* ---- out ---- */

enum dispatcher_effect_kind {
	DISPATCHER_SEND = 1,
	DISPATCHER_REPLY,      /* the answer to an input with a request */
	DISPATCHER_PLAN,       /* run a planner; answer with PIECE, SEALED, PLAN_FAILED */
	DISPATCHER_PLAN_STOP,  /* the job ended: its planner's answers are not wanted any more */
	DISPATCHER_JOB_ENDED,  /* offer its event to the rules: ACCEPTs with keys, then SETTLED */
	DISPATCHER_PARAMETERS, /* answer a worker's NEED with PARAMETERS */
	DISPATCHER_LOOKED,     /* a worker answers LOOK or TAIL */
	DISPATCHER_WORKER,     /* one registered, left, drains, or has trouble */
	DISPATCHER_TELL,       /* a sentence for the log */
	DISPATCHER_SEAL, /* buckets of keys are to be put into a file: their entries are read by view.h, and
			    never change; answer with DEDUP_KEPT when that is synced */
};

/* To a worker. LEASES come without slices; the shell sends PARAMETERS first for what the worker was not
 * sent in this session, and cuts slices. */
struct dispatcher_send {
	uint64_t peer;
	enum message_type type;
	const void *body;
};

struct dispatcher_reply {
	uint64_t request;
	enum error_code code; /* ERR_OK, or why not: then no record was written for it */
	bool duplicate;	      /* the key was known: job and job_count are the first event's */
	uint64_t job;	      /* the first of job_count; 0 = none */
	uint32_t job_count;
	uint32_t skipped; /* jobs that were not made, as their concurrency groups are full */
	const char *why;  /* of the error, or why the first was skipped; "" when there is nothing to say */
	enum error_code cause; /* of an ERR_BUSY that lasts until a person acts: ERR_IO or ERR_CORRUPT, of a
				  file that is needed for an answer. ERR_OK: time mends it, or who knows */
};

struct dispatcher_plan {
	uint64_t job;
	uint32_t phase;
	uint8_t planner;	 /* enum planner_kind */
	struct bytes cursor;	 /* of the last piece; empty = from the start */
	uint32_t shard_count;	 /* planned so far */
	const struct plan *plan; /* header: url, step_bytes, align, … */
};

struct dispatcher_parameters {
	uint64_t peer;
	uint64_t session;
	const struct need *need;
};

/* The session that it named is this worker's. */
struct dispatcher_looked {
	struct uuid worker;
	enum message_type type; /* RUNNING or TAIL_BYTES */
	const void *body;
};

struct dispatcher_tell {
	bool warning;
	uint64_t job; /* 0 = none */
	const char *what;
};

/* Bodies live in the effects' arena: until the next step with the same struct dispatcher_effects. */
struct dispatcher_effect {
	enum dispatcher_effect_kind kind;
	uint64_t after_lsn; /* 0 = NOW, in order among themselves; else when this lsn is durable */
	union {
		struct dispatcher_send send;
		struct dispatcher_reply reply;
		struct dispatcher_plan plan; /* of PLAN; job alone of PLAN_STOP */
		const struct job_ended *ended;
		struct dispatcher_parameters parameters;
		struct dispatcher_looked looked;
		struct uuid worker;
		struct dispatcher_tell tell;
		usec_t seal_wall_us; /* those that began up to then */
	};
};

/* The caller's; one may be used again for any number of steps, each clears it first. */
struct dispatcher_effects {
	struct dispatcher_effect *items;
	size_t count;
	size_t capacity;
	/* Records of this step, [type, struct] one behind the other: one commit, or part of one. */
	struct buf records;
	uint32_t record_count;
	uint64_t last_lsn;	 /* of the last record ever emitted or applied */
	bool carry_done;	 /* of INPUT_CARRY: all live state is written at or after oldest_lsn */
	const uint64_t *touched; /* jobs whose state changed, each once */
	uint32_t touched_count;
	struct arena arena;
};

void dispatcher_effects_init(struct dispatcher_effects *out);
void dispatcher_effects_fini(struct dispatcher_effects *out);

/* Negative, and nothing changed, only for what a shell must never hand in (unknown type, any input
 * before OPEN, a second OPEN): ERR_INVALID. Wrong frames and requests are answered by effects. */
int dispatcher_core_step(struct dispatcher_core *core, const struct dispatcher_input *in,
			 struct dispatcher_effects *out) MUST_CHECK;

/* When it next wants INPUT_TICK at the latest, on the mono clock; USEC_NEVER when nothing waits.
 * Workers expire, and what is due becomes due, in ticks only: drain the socket first. */
usec_t dispatcher_core_deadline(const struct dispatcher_core *core);

/* ---- replay ---- */

/* One record of the journal, decoded: the function that step uses for its own. lsn grows by one from
 * call to call, except that the first may be any. ERR_CORRUPT when the record cannot follow what was
 * applied before. Before OPEN only. */
int dispatcher_core_apply(struct dispatcher_core *core, uint32_t type, const void *record, uint64_t lsn,
			  struct error *reterr) MUST_CHECK;
/* All records are applied: ERR_CORRUPT when something they name never became known. */
int dispatcher_core_replay_end(struct dispatcher_core *core, struct error *reterr) MUST_CHECK;

/* ---- checks ---- */

/* CHECKs; FULL walks everything, TOUCHED what the last step touched. step ends with TOUCHED. */
void dispatcher_core_check(const struct dispatcher_core *core, enum check_depth depth);

/* A fingerprint of durable state. Equal for a live core and one that was replayed from its records,
 * also from a carried and trimmed journal. O(state). */
uint64_t dispatcher_core_digest(const struct dispatcher_core *core);
