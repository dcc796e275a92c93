/* What the worker's core consists of; only its own files include this.
 *
 * A lease is split into parts: each is queued for slots of one shape, waits for parameters, or is
 * armed in a cell. What became of shards is gathered in tallies: fresh (outputs not synced), syncing,
 * ready, or in a report that is not acknowledged. Pointers run one way:
 *
 *   core -> leases -> parts -> (class or slot)        core -> params entries -> values
 *                  -> tallies -> (one of four lists)  core -> reports -> tallies */
#pragma once

#include "base/check.h"
#include "base/hash.h"
#include "base/plant.h"
#include "base/rng.h"
#include "jobs/amounts.h"
#include "jobs/kinds.h"
#include "jobs/shard_set.h"
#include "worker/core/core.h"

#undef assert /* of utlist.h */
#define assert(cond) CHECK(cond)

#define SHA256_BYTES 32
#define WHY_BYTES_MAX 400
#define REGISTER_BYTES_MAX (WIRE_FRAME_BYTES_MAX - 32 * KIB) /* its lists; the rest of it is short */
#define NEED_JOBS_MAX 16384				     /* of one frame; the rest is asked for next */
#define NEED_DEFINITIONS_MAX 4096
#define LEASES_REMEMBERED (1u << 20) /* ids of a session by which a repeat is told */
#define LEASE_ID_MODULUS (1u << 31)
#define LINE_ORDERS 2 /* by turn, by rank in the queue */

/* ---- parameters.c: definitions and jobs that leases name ---- */

enum params_kind {
	PARAMS_DEFINITION = 1,
	PARAMS_JOB = 2,
};

/* Compared as bytes: all of it is set. */
struct params_key {
	uint8_t sha256[SHA256_BYTES]; /* or zeros */
	uint64_t job;
	uint32_t phase;
	uint32_t kind;
};

/* Never changes; shared by the cache and by cells that run by it. */
struct params_value {
	uint32_t uses;
	struct arena arena;
	union {
		struct run_definition definition;
		struct job_parameters job;
	};
};

/* How long a job's shards took here. */
struct timed {
	bool is_timed;
	uint64_t shard_ns, apart_ns; /* the mean, and how far they were from it */
};

struct params_entry {
	UT_hash_handle hh;
	struct params_key key;
	struct params_value *value; /* NULL: missing */
	uint32_t wanted;	    /* leases that name it; 0: may be forgotten */
	usec_t ask_us, ask_delay_us;
	struct timed timed;		  /* of a job */
	struct params_entry *prev, *next; /* in core->missing (wanted, no value) or core->spare */
};

/* ---- slots.c: slots cut by shape ---- */

struct slot {
	bool open;
	uint32_t id;
	uint32_t turn;	 /* the cell to arm next */
	uint32_t armed;	 /* cells */
	uint64_t shards; /* in them, as they were armed */
	usec_t since_us; /* when the last of its shards ended, or it had something to do again */
	struct shape_class *class;
	struct gpu_share gpus;
	struct part *cells[SLOT_CELLS];
	struct slot **list; /* the class's list that it is in */
	struct slot *prev, *next;
};

/* What slots have taken of the capacity, and what they have left of each gpu. */
struct slots_room {
	struct amounts used;
	struct gpus gpus;
};

/* Parts that wait, in the order of their ranks (line.c). */
struct line {
	struct line_queue **queues; /* those that have parts; few */
	uint32_t count, capacity;
};

/* Slots of one shape, and the parts that wait for them. */
struct shape_class {
	struct amounts amounts;
	struct resources shape;
	struct named_amount named[NAMED_RESOURCES_MAX];
	struct line line;
	uint32_t arrived;  /* parts that came since it was last asked who has to give way (give_way.c) */
	struct slot *idle; /* no cell is armed; the last to become idle first */
	struct slot *half; /* may be given more */
	struct slot *full;
	bool is_timed;
	uint64_t shard_ns; /* is_timed: a running mean of what one shard takes */
	uint32_t slots_open;
	bool tried; /* in this round of placing */
	struct shape_class *prev, *next;
};

/* ---- held.c ---- */

struct token_key {
	uint64_t lease;
	uint32_t epoch;
	uint32_t zero;
};

enum part_place {
	PART_WAITING, /* for parameters */
	PART_QUEUED,  /* in class->line */
	PART_ARMED,   /* in slot->cells[cell] */
};

struct part {
	struct held *lease;
	enum part_place place;
	uint32_t first, next, end; /* next: first not begun; queued: = first */
	uint64_t number;	   /* age */
	int64_t turn;		   /* of its queue; queued: one that the queue has, not always its own */
	/* armed */
	struct slot *slot;
	uint32_t cell;
	uint32_t asked_end; /* of the last LOWER_END */
	uint32_t armed_shards;
	bool stopped;		/* STOP was told */
	struct shard_set ended; /* of [first, next), those with an outcome */
	struct params_value *definition, *job;
	struct shape_class *class;     /* queued */
	struct line_queue *line_queue; /* queued: where in class->line, */
	uint32_t at[LINE_ORDERS];      /* and where in its heaps */
	struct part *prev, *next_part; /* in core->waiting */
	struct part *lease_prev, *lease_next;
};

/* A lease that the worker holds (`struct lease` is the message). It is forgotten when it has no parts and
 * no tallies left. */
struct held {
	UT_hash_handle hh;
	struct token_key key;
	uint64_t job;
	uint32_t phase;
	uint32_t attempt;
	struct range range;
	uint64_t memory_bytes;
	struct bytes slice; /* owned */
	struct rank rank;
	struct params_entry *definition, *parameters;
	uint64_t keep_end; /* shards from here on are given back, unless begun */
	bool finish;	   /* leased elsewhere: begins nothing */
	bool killed;	   /* nothing of it is told */
	bool touched;	   /* by this step */
	uint64_t listed;   /* serial of the REGISTER that listed it last */
	struct part *parts;
	struct tally *tallies;
	struct tally *fresh, *ready; /* those that still take in outcomes; may be NULL */
	struct shard_set acked;
	struct held *touched_next;
};

/* ---- tally.c ---- */

struct fail {
	struct range range;
	uint8_t kind;
	int64_t code;
	struct bytes why; /* owned */
	uint32_t segment;
};

struct tally {
	struct held *lease;
	struct tally **list; /* the head of the list that it is in */
	struct shard_set done, returned;
	struct fail *failed;
	uint32_t fail_count, fail_capacity;
	uint32_t fail_shards;
	uint64_t why_bytes;
	uint8_t returned_why;
	uint32_t segment; /* of done */
	bool whole;	  /* each run of done stands or falls as one */
	struct totals totals;
	struct effort *efforts;
	uint32_t effort_count, effort_capacity;
	struct tally *prev, *next;
	struct tally *lease_prev, *lease_next;
};

/* ---- report.c ---- */

struct sent_report {
	uint64_t seq;
	usec_t sent_us;
	struct tally *tallies;
	uint64_t run_counts[RUN_BUCKETS];
	struct sent_report *prev, *next;
};

/* ---- config.c ---- */

void worker_config_check(const struct worker_config *c);

struct worker_core {
	struct worker_config config;
	struct arena arena; /* of the config */
	struct rng rng;
	usec_t now_us;
	struct worker_effects *out; /* of this step */

	/* session.c */
	enum worker_link link;
	bool cut_off;
	uint64_t session;
	uint32_t wire; /* of the session */
	uint32_t epoch;
	uint64_t serial;
	uint64_t lease_high;	      /* the highest lease id of this session */
	struct shard_set leases_seen; /* ids of this session modulo LEASE_ID_MODULUS */
	usec_t heartbeat_us, timeout_us;
	usec_t heard_us, sent_us;
	usec_t register_us, register_delay_us; /* when to try again */

	/* leave.c */
	bool draining, aborting;
	usec_t abort_us;

	/* rest.c */
	bool rest_wanted;     /* by this step */
	usec_t rest_until_us; /* 0: it does not rest */
	usec_t rest_us;	      /* the last one; 0: a success came after it */

	/* held.c */
	struct held *leases;
	struct held *touched;
	struct part *waiting;
	uint64_t part_number;
	uint64_t slice_bytes;
	uint32_t strays; /* leases that are killed, or finish: the dispatcher does not count them */

	/* parameters.c */
	struct params_entry *params;
	struct params_entry *missing, *spare; /* spare: unused longest first */
	uint64_t spare_bytes;

	/* slots.c */
	struct amounts capacity;
	struct slots_room used;	   /* by open slots */
	struct amount_names names; /* in the order of the capacity's */
	uint32_t slot_capacity;
	struct slot **slots; /* by id */
	uint32_t slots_open;
	struct shape_class *classes;
	bool place_wanted;

	/* report.c */
	struct tally *fresh, *syncing, *ready;
	uint64_t sync_generation; /* of the SYNC under way, or the last one */
	bool sync_running;
	struct sent_report *reports; /* not acknowledged, oldest first */
	uint32_t report_count;
	uint64_t seq;
	uint32_t untold;	   /* tallies made since the last report */
	usec_t report_us, sync_us; /* when the last one left, was asked for */
	bool report_wanted;	   /* credit or a flag changed */
	bool report_soon;	   /* somebody waits for what is given back */
	uint64_t run_counts[RUN_BUCKETS];

	struct worker_view totals; /* only the counters since the start */
};

/* effects.c */
struct worker_effect *worker_effect_push(struct worker_core *c, enum worker_effect_kind kind);
void *worker_effect_alloc(struct worker_core *c, size_t size);
struct bytes worker_effect_bytes(struct worker_core *c, struct bytes b);
/* A zeroed body in the effects' arena, to be filled; counts as a frame sent now. */
void *worker_effect_send(struct worker_core *c, enum message_type type, size_t size);

/* parameters.c */
struct params_entry *worker_params_want_definition(struct worker_core *c, struct bytes sha256);
struct params_entry *worker_params_want_job(struct worker_core *c, uint64_t job, uint32_t phase);
void worker_params_unwant(struct worker_core *c, struct params_entry *e);
void worker_params_value_drop(struct params_value *v);
int worker_params_take(struct worker_core *c, const struct parameters *p, struct error *reterr);
/* Ask for what is missing and due. */
void worker_params_ask(struct worker_core *c);
void worker_params_ask_anew(struct worker_core *c);
usec_t worker_params_deadline(const struct worker_core *c);
void worker_params_fini(struct worker_core *c);

/* held.c */
struct held *worker_held_find(struct worker_core *c, struct token t);
struct token worker_held_token_of(const struct held *l);
void worker_held_revoke(struct worker_core *c, struct held *l, uint32_t keep_end);
void worker_held_finish(struct worker_core *c, struct held *l);
int worker_held_take_leases(struct worker_core *c, const struct leases *m, struct error *reterr);
/* Unstarted shards of the lease come (back) to the core: they are queued by the age `number`, or given
 * back. */
void worker_held_take_back(struct worker_core *c, struct held *l, uint64_t first, uint64_t end,
			   uint64_t number);
/* Shards that are not begun and may not be begun go: all of it, or from keep_end on. */
void worker_held_trim(struct worker_core *c, struct held *l);
void worker_held_kill(struct worker_core *c, struct held *l);
void worker_held_touch(struct worker_core *c, struct held *l);
/* Forgets the lease when nothing is left of it. */
void worker_held_settle(struct worker_core *c, struct held *l);
void worker_held_destroy(struct worker_core *c, struct held *l);
/* Leases whose parameters came go to the queues. */
void worker_held_resolve(struct worker_core *c);
void worker_part_destroy(struct worker_core *c, struct part *p);
bool worker_held_starts(const struct worker_core *c, const struct held *l);
/* How the lease's shards are run; its definition is here. The levels of a gather tree (phases 1, 2, …)
 * are all run as the definition's last phase says. */
const struct phase_run *worker_held_run(const struct held *l, const struct run_definition *d);

/* classes.c */
/* The class of a shape; NULL and words when it does not fit into the whole capacity. */
struct shape_class *worker_class_of(struct worker_core *c, const struct resources *shape,
				    uint64_t memory_bytes, char *why, size_t why_size);
void worker_classes_drop_unused(struct worker_core *c);
void worker_credit_fill(struct worker_core *c, struct resources *ret);

/* slots.c */
/* Whether one more slot of the class fits beside what is taken; and what it would be without a slot. */
bool worker_room_fits(const struct worker_core *c, const struct slots_room *r, const struct shape_class *k);
void worker_room_without(struct slots_room *r, const struct slot *s);
/* Arm what can be armed; take parts back from busy slots for idle ones. */
void worker_slots_place(struct worker_core *c);
/* A slot without work, or a new one; NULL: there is no room. */
struct slot *worker_slot_idle(struct worker_core *c, struct shape_class *k);
void worker_slot_arm(struct worker_core *c, struct slot *s, struct part *p);
void worker_slot_lower(struct worker_core *c, struct part *p, uint32_t end);
void worker_slot_stop(struct worker_core *c, struct part *p);
/* So many shards of it have ended. */
void worker_slot_timed(struct worker_core *c, struct part *p, uint64_t run_us, uint64_t shards);
/* The part leaves its cell; the slot may take another one. */
void worker_slot_free_cell(struct worker_core *c, struct part *p);
void worker_slot_remove(struct worker_core *c, struct slot *s);
enum slots_lack {
	SLOTS_LACK_NOTHING, /* each has a lease behind the one in work, or more wait than there are slots */
	SLOTS_LACK_NEXT,    /* one will be idle when its lease ends */
	SLOTS_LACK_WORK,    /* one is idle, or could be opened */
};
enum slots_lack worker_slots_lack(const struct worker_core *c);
void worker_slots_fini(struct worker_core *c);

/* line.c */
struct part *worker_line_first(const struct line *l); /* NULL when nobody waits */
/* Of the parts that rank first in their queues, so many of each, the first one of which `takes` is true;
 * NULL: there is none. */
struct part *worker_line_find(const struct line *l, uint32_t most,
			      bool (*takes)(const void *ctx, const struct part *p), const void *ctx);
void worker_line_add(struct line *l, struct part *p);
void worker_line_remove(struct line *l, struct part *p);
void worker_line_fini(struct line *l); /* empty */
void worker_line_check(const struct line *l);
/* Does a go before b? Both may be queued or armed. */
bool worker_part_outranks(const struct part *a, const struct part *b);

/* backfill.c */
void worker_timed_take(struct timed *t, uint64_t run_us, uint64_t shards);
/* What ranks behind the class, which waits for room, uses what is free of it until then. */
void worker_slots_backfill(struct worker_core *c, const struct shape_class *k);

/* give_way.c */
/* What is armed and not begun goes back to the line for parts that came and outrank it; also from slots of
 * other shapes, for a shape that has none. */
void worker_slots_give_way(struct worker_core *c, struct shape_class *k);

/* progress.c */
int worker_slot_progress(struct worker_core *c, const struct worker_slot_progress *p, struct error *reterr);
int worker_slot_lost(struct worker_core *c, const struct worker_slot_lost *p, struct error *reterr);

/* tally.c */
struct done {
	uint32_t segment;
	bool unsynced; /* its output is not on disk yet */
	bool whole;
};
void worker_tally_done(struct worker_core *c, struct held *l, struct range r, const struct done *d);
/* unsynced: what they wrote is in f->segment, and goes with the next sync. */
void worker_tally_failed(struct worker_core *c, struct held *l, const struct failure *f, bool unsynced);
void worker_tally_returned(struct worker_core *c, struct held *l, uint64_t first, uint64_t end, uint8_t why);
/* Of what was taken in just before. */
void worker_tally_costs(struct worker_core *c, struct held *l, const struct worker_slot_progress *in);
/* After done and failed. done_unsynced, durable: where those went. */
void worker_tally_efforts(struct worker_core *c, struct held *l, const struct worker_slot_progress *in,
			  bool done_unsynced, bool durable);
/* To the end of a list; but into the lease's own ready one, when that can take it. */
void worker_tally_move(struct worker_core *c, struct tally *t, struct tally **list);
void worker_tally_destroy(struct tally *t);
uint32_t worker_tally_ranges(const struct tally *t);
uint64_t worker_tally_bytes(const struct tally *t);
uint64_t worker_tally_shards(const struct tally *t);
/* A new tally with at most `ranges` ranges (> 0) and about `bytes` bytes of t, at least one range, no
 * longer in t; t is gone when that is all of it. */
struct tally *worker_tally_split(struct tally *t, uint32_t ranges, uint64_t bytes);
/* All its done shards become failed. */
void worker_tally_spoil(struct worker_core *c, struct tally *t, uint8_t kind, int64_t code, struct bytes why);
/* The set as a list in the effects' arena. */
struct range_list worker_tally_list(struct worker_core *c, const struct shard_set *s);
void worker_tally_fill(struct worker_core *c, const struct tally *t, struct outcome *ret);

/* report.c */
void worker_reports_flush(struct worker_core *c);
int worker_reports_ack(struct worker_core *c, uint64_t seq, struct error *reterr);
void worker_reports_renumber(struct worker_core *c);
int worker_reports_synced(struct worker_core *c, uint64_t generation, struct error *reterr);
int worker_reports_sync_failed(struct worker_core *c, const struct worker_sync_failed *f,
			       struct error *reterr);
usec_t worker_reports_deadline(const struct worker_core *c);
bool worker_reports_pending(const struct worker_core *c);
void worker_reports_fini(struct worker_core *c);

/* session.c */
void worker_session_connected(struct worker_core *c);
void worker_session_disconnected(struct worker_core *c);
int worker_session_registered(struct worker_core *c, const struct registered *m, struct error *reterr);
void worker_session_who(struct worker_core *c);
/* On a tick: has the dispatcher been silent too long? */
void worker_session_expire(struct worker_core *c);
/* REGISTER again and heartbeats, when due. */
void worker_session_flush(struct worker_core *c);
usec_t worker_session_deadline(const struct worker_core *c);
bool worker_session_is(const struct worker_core *c, uint64_t session);

/* leave.c */
void worker_leave_drain(struct worker_core *c);
void worker_leave_abort(struct worker_core *c);
void worker_leave_refused(struct worker_core *c, struct bytes why);
void worker_leave_settle(struct worker_core *c);
usec_t worker_leave_deadline(const struct worker_core *c);

/* rest.c */
/* Trouble of the worker's own was met (failure_is_workers): it rests from the end of this step on. */
void worker_rest_wanted(struct worker_core *c);
void worker_rest_succeeded(struct worker_core *c);
void worker_rest_settle(struct worker_core *c);
bool worker_is_resting(const struct worker_core *c);
usec_t worker_rest_deadline(const struct worker_core *c);

/* check.c */
void worker_held_check(const struct worker_core *c, const struct held *l, enum check_depth depth);
