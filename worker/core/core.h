/* The worker's core: what a worker knows of its session, its leases and their outcomes, and what it
 * does next. A deterministic state machine: inputs and two clocks in, effects as data out. Pure.
 *
 * It does not know sockets, processes, files or threads: the shell tells it what came and what its
 * slots did, and carries the effects out in order. It has no journal: what it knows lives as long as
 * its process, and survives any number of restarts of the dispatcher.
 *
 * Each shard of a lease that it took is accounted for exactly once in its outcomes: done, failed or
 * returned. Exempt are leases that the dispatcher killed: nothing of them is told.
 *
 * Rules: PROTOCOL.md, sections Leases, Reports, Sessions, Outputs. Not thread safe. */
#pragma once

#include "base/check.h"
#include "base/error.h"
#include "jobs/schema.h"
#include "worker/core/cell.h"
#include "worker/core/gpus.h"

struct worker_core;

/* ---- what it is created with: copied; all _us in microseconds ---- */

struct params;

/* Zero is a value like any other: worker_config_init fills all of it but what each worker has for itself, and
 * what is to be otherwise is set afterwards. The core CHECKs that it was filled. */
struct worker_config {
	/* Whoever creates the core sets these. */
	struct uuid worker; /* random, of this process */
	struct bytes host;
	uint32_t pid;
	struct bytes pool;
	struct bytes provider_id;
	uint32_t numa_node;
	struct resources capacity; /* all it offers; slots are cut from it */
	struct uuid_list gone;	   /* for REGISTER: found dead in the worker directory */
	uint64_t seed;		   /* of jitter */

	bool complete; /* worker_config_init alone sets it */
#define FIELD(type, name, least, value) type name;
#include "worker/core/config.def"
};

void worker_config_init(struct worker_config *c, const struct params *params);

/* ---- inputs ---- */

enum worker_input_kind {
	WORKER_TICK,	     /* time passed, and no frame is waiting: expire after draining the socket */
	WORKER_FRAME,	     /* a decoded message of the dispatcher */
	WORKER_CONNECTED,    /* a connection stands; also again without a DISCONNECTED before */
	WORKER_DISCONNECTED, /* what was sent since the last ACK may be lost */
	WORKER_SLOT_PROGRESS,
	WORKER_SLOT_LOST,
	WORKER_SYNCED, /* the outputs that SYNC named are on disk */
	WORKER_SYNC_FAILED,
	WORKER_DRAIN, /* SIGTERM: finish what runs, give back the rest, leave */
	WORKER_ABORT, /* a second SIGTERM: stop what runs, say so, leave */
};

#define RUN_BUCKETS 32 /* bucket k counts run times in [2^k, 2^(k+1)) us; 0 us counts in bucket 0 */

/* What a slot did since its last progress, for one cell. Sent whenever something ended, as the answer
 * to LOWER_END and STOP, and when the cell is released. Deltas: each shard stands in done or failed of
 * exactly one progress, and was begun. Ignored when the cell holds no such token (any more). */
struct worker_slot_progress {
	uint32_t slot;
	uint32_t cell;
	struct token token;
	struct range_list done;
	bool whole; /* each range of done wrote one output, which is told as a whole, or not at all */
	struct failure_list
	    failed; /* kinds that are the shard's own or the worker's (kinds.h); segment as above, or 0 */
	struct totals totals;	    /* of done and failed */
	struct effort_list efforts; /* of them, in the order in which they ended; may be left out */
	uint32_t segment;	    /* that holds the done */
	const uint32_t *run_counts; /* RUN_BUCKETS counts; NULL = none */
	uint32_t next;		    /* first not begun */
	uint32_t end;		    /* the end that really holds: [next, end) will be begun */
	/* The cell is empty, each of its attempts has ended, it may be armed again. What was begun and
	 * is neither done nor failed by now was stopped, or lost: it is given back. */
	bool released;
};

/* A slot is no more: its runner died or its thread could not start. Its cells are as if released, its
 * resources are free, its number may be opened again. What was in work of the older cell goes back:
 * failed when kind is the shard's own, else returned with that kind. What was not begun stays with the
 * worker, unless nothing was in work: then the older cell's rest is returned, so that a slot that
 * cannot start does not try for ever. */
struct worker_slot_lost {
	uint32_t slot;
	uint8_t kind; /* enum failure_kind: lost, start, runner, oom, … */
	int64_t code;
	struct bytes why;
	uint32_t next[SLOT_CELLS]; /* per armed cell: first not begun; 0: as in the last progress */
};

struct worker_sync_failed {
	uint64_t generation;
	int64_t code; /* errno */
	struct bytes why;
};

struct worker_frame {
	enum message_type type;
	const void *body; /* struct registered, leases, …: as message_union decodes it */
};

struct worker_input {
	usec_t mono_us; /* CLOCK_BOOTTIME; never goes back */
	usec_t wall_us; /* UTC; may jump */
	enum worker_input_kind kind;
	union {
		struct worker_frame frame;
		struct worker_slot_progress progress;
		struct worker_slot_lost lost;
		struct worker_sync_failed sync_failed;
		uint64_t synced; /* generation */
	};
};

/* ---- effects: to be carried out in order ---- */

enum worker_effect_kind {
	WORKER_SEND,
	WORKER_OPEN_SLOT,
	WORKER_CLOSE_SLOT,
	WORKER_ARM,
	WORKER_LOWER_END,
	WORKER_STOP,
	WORKER_SYNC,
	WORKER_FORGET_DEFINITION,
	WORKER_FORGET_JOB,
	WORKER_EXIT,
};

enum worker_exit {
	WORKER_EXIT_DRAINED = 0, /* all that it held is acknowledged */
	WORKER_EXIT_REFUSED = 1, /* the dispatcher cannot serve it: why */
	WORKER_EXIT_ABORTED = 2, /* it gave up waiting: what it held goes back by its session's end */
};

/* Arm a cell of a slot. The slot works on the cell that was armed first; cells of a slot are armed in
 * turn (0, 1, 2, … and around, from 0 when it is opened). A cell is armed again only after its release. */
struct worker_arm {
	uint32_t slot;
	uint32_t cell;
	struct token token;
	uint64_t job;
	uint32_t phase;
	struct range range;
	uint32_t attempt;	/* for people */
	struct bytes slice;	/* of the whole lease, of which range may be a part: */
	uint32_t slice_first;	/* its first shard */
	struct resources shape; /* the slot's, with the lease's memory */
	/* These three and slice live, unchanged, until the core is told of the release or of the
	 * slot's loss: slot threads may read them. */
	const struct run_definition *definition;
	const struct phase_run
	    *run; /* definition->phases.items[phase], or the last: levels of a gather tree */
	const struct job_parameters *parameters;
};

struct worker_slot_ref {
	uint32_t slot; /* 0..SLOTS_PER_WORKER_MAX-1, the lowest that is not open */
	struct resources shape;
	struct gpu_share gpus; /* its own until it is closed */
};

/* Take nothing at or above end, unless it is begun. Answer: a SLOT_PROGRESS that tells next and end, or
 * none when the cell holds another token or none. */
struct worker_lower_end {
	uint32_t slot;
	uint32_t cell;
	struct token token;
	uint32_t end;
};

/* Begin nothing more of this cell, end its attempts (SIGTERM, SIGKILL, the whole tree). Answer: a
 * SLOT_PROGRESS with released, when they are gone. */
struct worker_stop {
	uint32_t slot;
	uint32_t cell;
	struct token token;
};

/* Sync segments and their index; answer SYNCED or SYNC_FAILED. One is under way at a time. */
struct worker_sync {
	uint64_t generation;
	const uint32_t *segments; /* each once */
	uint32_t segment_count;
};

struct worker_send {
	enum message_type type;
	const void *body;
	uint32_t wire; /* for message_encode */
};

struct worker_effect {
	enum worker_effect_kind kind;
	union {
		struct worker_send send;
		struct worker_slot_ref open;  /* before the first ARM of a slot */
		struct worker_slot_ref close; /* all of its cells are free */
		struct worker_arm arm;
		struct worker_lower_end lower_end;
		struct worker_stop stop;
		struct worker_sync sync;
		struct bytes forget_definition; /* sha256: drop what was compiled from it */
		struct job_ref forget_job;
		struct {
			enum worker_exit code;
			struct bytes why; /* for people */
		} exit;			  /* the last effect ever */
	};
};

/* Owned by the shell. What effects point to lives until worker_effects_clear, but for what ARM says
 * of itself. */
struct worker_effects {
	struct worker_effect *items;
	uint32_t count;
	uint32_t capacity;
	struct arena arena;
};

void worker_effects_init(struct worker_effects *e);
void worker_effects_fini(struct worker_effects *e);
void worker_effects_clear(struct worker_effects *e);

/* ---- the machine ---- */

struct worker_core *worker_core_create(const struct worker_config *config);
void worker_core_destroy(struct worker_core *core);

/* Takes one input and appends effects. Negative when a frame makes no sense (ERR_INVALID, or
 * ERR_VERSION for a type that no dispatcher sends): it is dropped, nothing else changed. */
int worker_core_step(struct worker_core *core, const struct worker_input *in, struct worker_effects *out,
		     struct error *reterr) MUST_CHECK;

/* When it next wants a TICK, in mono_us; USEC_NEVER when only an input can wake it. May lie in the past. */
usec_t worker_core_deadline(const struct worker_core *core);

/* CHECKs the invariants. FULL: for each lease, its range = acknowledged ∪ unreported ∪ running ∪
 * unstarted, disjoint; each part is where it says; slots fit into the capacity; … */
void worker_core_check(const struct worker_core *core, enum check_depth depth);

enum worker_link {
	WORKER_DOWN,	    /* no connection */
	WORKER_REGISTERING, /* REGISTER is sent, no answer yet */
	WORKER_IN_SESSION,
	WORKER_ENDED, /* EXIT was told */
};

/* What people and tests look at. Counts of shards unless they say otherwise. */
struct worker_view {
	enum worker_link link;
	uint64_t session; /* of the last REGISTERED */
	uint32_t epoch;
	bool cut_off; /* nothing is started until the next REGISTERED */
	bool draining, resting;
	uint32_t leases;
	uint32_t slots_open, slots_busy;
	uint32_t reports_unacknowledged;
	uint64_t running, unstarted, unreported; /* unreported: ended, not acknowledged */
	uint64_t done, failed, returned;	 /* since the start */
	uint64_t leases_dropped;		 /* of another session, repeated, or senseless */
	uint64_t reports_sent, reports_resent;
};

void worker_core_view(const struct worker_core *core, struct worker_view *ret);
