/* What the core holds. Durable state is a fold over records: only apply_*.c change it, live and in
 * replay. Volatile state (sessions, the index of runnable jobs, timers, estimates) is rebuilt. Pure.
 *
 * A job:
 *
 *   state \ event | due       | all phases  | shard dead beyond | cancel    | history past END,
 *                 | (CHANGED) | done (ENDED)| tolerate, planner | (ENDED)   | event settled
 *                 |           |             | failed (ENDED)    |           |
 *   held          | active    | -           | failed            | cancelled | -
 *   active        | -         | succeeded   | failed            | cancelled | -
 *   succeeded, failed, cancelled: the row's removal, or active by REOPENED, in place: the shards phase
 *   begins where it stood, with what was done; all else is pending. So also a row that is removed.
 *
 *   `-` cannot happen: a held job has no leases, an ended one has no shards.
 *
 * A shard of the phase in work, and where it stands:
 *
 *   state \ event | GRANTED | done | failed   | failed | returned | CRASHED   | RETRIED | due  | ENDED
 *                 |         |      |          | (dead) |          |           |         |      |
 *   pending       | leased  | done | -        | -      | -        | -         | -       | -    | dropped
 *   delayed       | leased* | done | -        | -      | -        | -         | -       | (pending) | dropped
 *   special       | leased  | done | -        | -      | -        | -         | -       | -    | dropped
 *   leased        | -       | done | delayed  | dead   | pending**| special,  | -       | -    | dropped
 *                 |         |      |          |        |          | dead      |         |      |
 *   done          | -       | -    | -        | -      | -        | -         | -       | -    | (done)
 *   dead          | -       | done | -        | -      | -        | -         | pending | -    | (dead)
 *
 *   pending: run.returned below run.frontier, everything from the frontier up. delayed: run.delayed;
 *   being due is a matter of the clock, not of a record. special: run.special, pending but leased by
 *   itself (suspects of a crash, shards that need more memory). leased: held of a lease. done, dead:
 *   their sets. *: when due, or adopted. **: special, when the lease was. */
#pragma once

#include "base/rng.h"
#include "dispatcher/core/core.h"
#include "dispatcher/core/hash.h"
#include "jobs/phases.h"
#include "jobs/shard_set.h"

#define DEAD_NOTES_MAX 16 /* dead shards of a phase whose code and why are kept */
#define WHY_BYTES_MAX 400
#define DELAYED_MAX 64 /* due buckets of a phase; beyond, the two that are due first become one */
#define AMOUNTS (3 + NAMED_RESOURCES_MAX)
#define ALONE_CRASHES 2 /* a single shard that took this many workers is leased alone on one */
#define JOB_BLOCK_ROWS 256

struct blob {
	uint8_t *data; /* owned */
	uint32_t size;
};

/* ---- resources, shapes, queues, definitions ---- */

/* cpu_milli, memory_bytes, gpu_milli, then named ones by their number in the core's table. */
struct amounts {
	uint64_t v[AMOUNTS];
};

struct estimate {
	uint64_t shard_ns; /* a running mean of what one shard takes */
	uint64_t shards;   /* that it knows of; 0: nothing is known */
	uint32_t largest;  /* lease that was reported: what the next ones grow from (estimate.c) */
};

/* Room for one attempt; interned, counted by the definitions that name it. */
struct shape {
	struct amounts need;
	struct resources resources; /* texts in the arena */
	struct arena arena;
	uint32_t index;
	uint32_t references;
	uint64_t plain_shards; /* runnable, of jobs without a run */
	uint64_t plain_jobs;
	uint64_t demand_shards; /* runnable, of jobs with one */
	uint64_t demand_us;
	uint64_t demand_jobs;
	uint64_t leases;
	struct estimate estimate;
};

struct queue {
	struct blob name;
	uint32_t index;
	uint32_t references;
	uint64_t served_us;	 /* of work leased; the queue with the least goes first */
	struct bucket **buckets; /* with runnable jobs, highest priority first */
	uint32_t bucket_count, bucket_capacity;
};

struct definition {
	uint8_t sha256[32];
	bool known; /* false: named by a job, its record has not come (replay of a trimmed journal) */
	uint32_t index;
	uint32_t references; /* job rows */
	uint64_t lsn;	     /* of its newest full copy */
	struct definition_body body;
	struct arena arena;
	struct shape *shapes[PHASES_MAX]; /* volatile */
	struct queue *queue;		  /* volatile */
	struct estimate estimates[PHASES_MAX];
	UT_hash_handle hh;
};

struct definition_table {
	struct definition *by_hash;
	struct definition **items; /* by index; NULL = free */
	uint32_t capacity;
};

/* ---- jobs ---- */

enum job_flag {
	JOB_PAUSED = 1,
	JOB_SEALED = 2,	    /* the plan of the phase in work is whole */
	JOB_NOTED = 4,	    /* replay: a record named it before it was known */
	JOB_LOADING = 8,    /* replay: not all its slices have come */
	JOB_EVENT_DUE = 16, /* ended: the rules have not seen it */
	/* volatile */
	JOB_READY = 32,	    /* its commit is durable (jobs with a run: see ready_count) */
	JOB_QUEUED = 64,    /* waits for that */
	JOB_RUNNABLE = 128, /* is in a bucket */
	JOB_HARD = 256,	    /* is in the list of those with shards that need a worker to themselves */
	JOB_TOUCHED = 512,
	JOB_PLAIN = 1024,    /* its demand is counted as that of a job without a run */
	JOB_DEMANDED = 2048, /* its demand is counted */
};

/* A queued one-shard job is this and its body. Ids are a counter, so that a row is found by its place. */
struct job_row {
	uint64_t lsn; /* of its newest full copy; once ended, of END */
	usec_t accepted_wall_us;
	usec_t due_wall_us;	 /* held */
	uint64_t next, previous; /* in its bucket */
	struct run *run;	 /* NULL: nothing but queued */
	uint8_t *body;		 /* new_job, encoded, without job and definition; once ended: job_ended */
	uint32_t body_size;
	uint32_t definition;  /* index */
	uint32_t shard_count; /* N of the phase in work */
	int32_t priority;
	uint16_t phase;
	uint16_t depth;
	uint16_t flags;	 /* enum job_flag */
	uint8_t state;	 /* enum job_state; 0 = no such job */
	uint8_t planner; /* enum planner_kind */
};

_Static_assert(sizeof(struct job_row) <= 96, "a queued one-shard job is one row of at most 96 bytes");

struct job_block {
	uint64_t number; /* id / JOB_BLOCK_ROWS */
	uint32_t used;
	struct job_row rows[JOB_BLOCK_ROWS];
};

struct job_table {
	struct job_block **blocks; /* ascending */
	size_t block_count, block_capacity;
	uint64_t count;
};

/* What is special about a shard: how many workers it took with it, how often it ran out of memory. */
struct traits {
	uint8_t crashes;
	uint8_t doublings;
};

struct delayed {
	usec_t due_wall_us;
	struct traits traits;
	struct shard_set shards;
};

struct special {
	struct range shards;
	struct traits traits; /* not both 0 */
};

struct dead_kind {
	uint8_t kind; /* enum failure_kind */
	struct shard_set shards;
};

struct dead_note {
	struct range shards;
	uint8_t kind;
	int64_t code;
	struct blob why;
};

/* What is known of a job beyond its row: made when it is first leased, or planned in pieces. */
struct run {
	uint64_t job;
	uint32_t frontier; /* the first shard never leased */
	struct shard_set returned;
	struct shard_set done;
	struct delayed *delayed;  /* by due time */
	struct special *special;  /* by first shard */
	struct dead_kind *dead;	  /* by kind */
	struct shard_set *failed; /* [k-1]: not done, failed at least k times */
	struct dead_note *notes;
	uint32_t delayed_count, special_count, dead_count, failed_count, note_count;
	struct lease_entry *leases; /* in the order of their grant */
	uint32_t lease_count;
	uint64_t leased_shards;
	struct blob plan;		 /* of the phase in work; size 0 = the body's */
	struct blob cursor;		 /* the planner's */
	struct blob why;		 /* of the pause */
	struct blob paused_by, again_by; /* principals, encoded; again: of the last retry or reopening */
	uint32_t planner_failures;
	usec_t planner_due_wall_us;
	struct blob planner_why; /* of its last failure; for people: a carried journal does without it */
	usec_t started_wall_us;
	uint64_t retries;
	struct totals totals;
	uint64_t first_shards, first_done, first_dead; /* of the shards phase, once it is gathered */
	struct phase_counts *later;		       /* phases behind it that are through */
	uint32_t later_count;
	uint64_t phase_lsn; /* of PHASE_STARTED; all done shards of the phase before are below */
	uint32_t reopens;
	struct token earlier; /* tokens up to this one are of an earlier life */
	/* volatile */
	uint32_t ready_count;	    /* shards whose commit is durable */
	uint32_t queued_count;	    /* shards that wait for that, or are ready */
	bool planning;		    /* a planner runs */
	struct shard_set *troubled; /* of shards by how often they met a worker's trouble (trouble.c) */
	uint32_t troubled_count;
	struct estimate estimate;
	uint64_t demand_shards, demand_us; /* what the shape's demand has of it */
};

/* ---- leases, workers, sessions ---- */

struct lease_entry {
	struct token token;
	uint64_t key_epoch, key_lease; /* the token again, without padding: the key */
	uint64_t job;
	uint32_t phase;
	uint32_t first, count; /* as granted */
	struct shard_set held; /* what of it has no outcome yet */
	uint32_t attempt;
	struct traits traits;
	struct worker *worker;
	struct run *run;
	struct lease_entry *job_next, *job_prev;
	struct lease_entry *worker_next, *worker_prev;
	/* volatile */
	struct shape *shape; /* NULL in replay */
	usec_t revoked_us;   /* mono; 0 = never */
	uint64_t seen;	     /* the session whose REGISTER named it */
	uint64_t shard_ns; /* estimate of one shard when the session got it; all of load_ns_max if unknown */
	uint64_t load_ns_max; /* what it counts for at most, before it is divided by slots */
	uint32_t slots;	      /* attempts of its shape that the session runs at a time; 0: load_ns is 0 */
	uint64_t load_ns;     /* its part of worker->load_ns */
	UT_hash_handle hh;
};

/* A worker that holds leases or has a session; what it holds outlives its sessions. */
struct worker {
	struct uuid id;
	struct lease_entry *leases;
	uint32_t lease_count;
	uint64_t leased_shards;
	struct session *session; /* volatile; NULL: not here (yet) */
	uint64_t serial;	 /* volatile: of its last REGISTER */
	bool pinned;		 /* a step works with it: not to be freed */
	uint64_t load_ns; /* volatile: how long its session will be busy with its leases (lease_load_set) */
	UT_hash_handle hh;
};

#define ACKS_MAX 16

struct pending_ack {
	uint64_t seq, lsn;
};

struct session {
	uint64_t id;
	uint64_t peer;
	struct worker *worker;
	struct blob registered; /* its register_worker, encoded, without tokens and gone */
	struct amounts offered; /* of credit */
	struct amounts used;	/* by its leases */
	uint64_t credit_bytes;
	uint64_t seq; /* of the last report taken */
	uint64_t acked_seq;
	struct pending_ack acks[ACKS_MAX];
	uint32_t ack_count;
	uint32_t wire;	 /* the version that both speak */
	usec_t heard_us; /* on the core's live clock */
	bool draining, quarantined, slot_idle;
	struct {
		uint8_t kind; /* 0: none */
		usec_t since_wall_us;
		struct blob why;
	} trouble;
	bool alone;	 /* a suspect has this worker to itself */
	bool reserved;	 /* is to become empty for one */
	bool hungry;	 /* stands in the list of sessions that may take more */
	uint32_t streak; /* failed shards since the last success */
	uint64_t streak_job;
	uint32_t streak_jobs; /* different ones, roughly */
	uint64_t streak_done; /* done shards of all workers when it began */
	uint64_t done_shards, failed_shards;
	struct kill *kill;			 /* within a step: the message that takes more tokens */
	struct revoke *revoke;			 /* likewise */
	struct session *list_next, *list_prev;	 /* hungry or full */
	struct session *heard_next, *heard_prev; /* longest silent first */
	UT_hash_handle hh;
	UT_hash_handle hh_peer;
};

/* ---- deduplication ---- */

struct dedup_item {
	uint64_t hi, lo;
	uint64_t job;
	uint32_t job_count;
	uint32_t lsn_low; /* of its record, the low half: an answer waits for it */
};

#define DEDUP_CHUNK 256

struct dedup_bucket {
	usec_t start_wall_us;
	uint64_t lsn;		    /* from which on all of it stands in the journal */
	struct dedup_item **chunks; /* DEDUP_CHUNK items each, in the order of their coming */
	uint32_t count;
	uint32_t *slots; /* open addressing: item number + 1; a power of two */
	uint32_t slot_count;
};

struct dedup {
	struct dedup_bucket **buckets; /* by start */
	uint32_t bucket_count;
	uint32_t count;
};

/* ---- all of it ---- */

struct mark {
	struct blob intake;
	struct blob position;
	uint64_t lsn;
};

struct durable {
	uint32_t epoch;
	uint64_t next_job;
	uint64_t last_lsn;
	uint64_t late, duplicate;
	usec_t forget_before_us;
	uint64_t counters_lsn; /* of the newest full copy of the above */
	struct definition_table definitions;
	struct job_table jobs;
	struct lease_entry *leases; /* by token */
	struct worker *workers;	    /* by id */
	struct dedup dedup;
	struct mark *marks;
	uint32_t mark_count;
	struct window_row *windows; /* windows.h; by name */
	uint64_t carry_lsn;	    /* of part 0 of the job whose slices are being written */
	uint64_t noted_count;
	bool live; /* replay is over */
	/* Jobs that the step touched, each once. */
	uint64_t *touched;
	uint32_t touched_count, touched_capacity;
};

struct bucket {
	uint32_t shape, queue;
	int32_t priority;
	uint64_t head, tail; /* job ids, 0 = none */
	uint64_t count;
};

struct timer {
	usec_t due_us;
	uint64_t job;
};

struct timer_heap {
	struct timer *items;
	uint32_t count, capacity;
};

/* Waits for an lsn to be durable, or in history. */
struct waiting {
	uint64_t lsn;
	uint64_t job;
	uint32_t phase;
	uint32_t count; /* shards */
};

struct waiting_queue {
	struct waiting *items;
	uint32_t head, count, capacity; /* a ring; capacity a power of two */
};

struct carry {
	uint64_t oldest_lsn;
	uint32_t stage;
	uint64_t cursor;
	uint64_t job; /* 0 = none in the middle */
	uint32_t phase, part, from;
	uint64_t lsn; /* of a bucket's first chunk */
};

void dispatcher_config_check(const struct dispatcher_config *c); /* config.c */

struct dispatcher_core {
	struct dispatcher_config config;
	struct durable d;
	bool replayed, open;
	struct rng rng;
	usec_t mono_us, wall_us; /* of the step, or the last one */
	usec_t offset_us;	 /* wall - mono when the epoch began: dates retries, whatever the wall does */
	usec_t live_us;		 /* advances with mono, but a gap counts as one heartbeat at most */
	usec_t adopt_until_us;	 /* live; USEC_NEVER = over */
	uint64_t durable_lsn, history_lsn, epoch_lsn;
	uint64_t next_lease, next_session;
	struct session *sessions; /* by id */
	struct session *peers;	  /* by peer */
	struct session *hungry, *full;
	struct session *heard;
	uint64_t offered_cpu_milli; /* by all sessions */
	char *resource_names[NAMED_RESOURCES_MAX];
	struct shape **shapes; /* by index; NULL = free */
	uint32_t shape_count;
	struct queue **queues;
	uint32_t queue_count;
	uint64_t runnable_jobs;
	uint64_t *hard; /* job ids, ascending */
	uint32_t hard_count, hard_capacity;
	bool hard_dirty;	   /* something changed for them */
	bool set_apart;		   /* a session is alone or reserved */
	bool quarantine;	   /* some session may be in it */
	struct timer_heap held;	   /* on the wall clock */
	struct timer_heap retries; /* on the steady one: mono + offset */
	struct waiting_queue durable_waits, history_waits, ended;
	usec_t steal_us;      /* mono: when to look again for something to steal; USEC_NEVER: no need */
	usec_t steal_look_us; /* mono: not before */
	struct carry carry;
	uint64_t live_jobs, held_jobs, ended_jobs;
	uint64_t strange, shards_done, shards_failed, shards_lost; /* in this epoch, as what follows */
	uint64_t accepted_events, repeated_events, accepted_jobs, ended_by_state[3];
	struct dispatcher_effects *out; /* of the step */
	uint32_t step_records;
};
