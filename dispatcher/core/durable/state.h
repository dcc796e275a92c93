/* Durable state: a fold over records, live and in replay. Pure.
 *
 * The compiler checks who changes it. Each member that is marked DURABLE is const, but for the files of this
 * folder, which include writer.h first. What a struct has beside those is volatile: it is built again at a
 * start (volatile/), and whoever decides may write it.
 *
 * A job:
 *
 *   state \ event | due       | all phases  | shard dead beyond | cancel    | history past END,
 *                 | (CHANGED) | done (ENDED)| tolerate, planner | (ENDED)   | event settled
 *                 | and waits |             | failed, too late  |           |
 *                 | met       |             | (ENDED)           |           |
 *   held          | active    | -           | failed            | cancelled | -
 *   active        | -         | succeeded   | failed            | cancelled | -
 *   succeeded, failed, cancelled: the row's removal, or active by REOPENED, in place: the shards phase
 *   begins where it stood, with what was done; all else is pending. So also a row that is removed.
 *
 *   `-` cannot happen: a held job has no leases, an ended one has no shards. A job is held until its due time
 *   and until the ends of other jobs that it waits for (waits.h), whichever comes last; one that names a
 *   concurrency group is held until its group has room as well, and it is so again after REOPENED.
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

#include "dispatcher/core/core.h"
#include "base/hash.h"
#include "jobs/phases.h"
#include "jobs/shard_set.h"

#ifndef DURABLE
#define DURABLE const
#endif

#define DEAD_NOTES_MAX 16 /* dead shards of a phase whose code and why are kept */
#define WHY_BYTES_MAX 400
#define DELAYED_MAX 64 /* due buckets of a phase; beyond, the two that are due first become one */
#define JOB_BLOCK_ROWS 256

struct blob {
	DURABLE uint8_t *data; /* owned; blob_set makes it anew */
	uint32_t size;
};

/* ---- definitions ---- */

/* Volatile. */
struct estimate {
	uint64_t shard_ns; /* a running mean of what one shard takes */
	uint64_t apart_ns; /* a running mean of how far from it they were */
	uint64_t shards;   /* that it knows of; 0: nothing is known */
	uint32_t largest;  /* lease that was reported: what the next ones grow from (estimate.c) */
};

/* Volatile: what a lease cost its queue and fairness key, by the estimate (volatile/turns.h). */
struct turn_charge {
	struct fair_key *key; /* NULL: nothing, or it is closed */
	double used;	      /* for the shards that it still holds; at the clock's scale, before weights */
	bool is_whole;	      /* no longer lease would have been its turn */
};

struct definition {
	DURABLE uint8_t sha256[32];
	DURABLE bool known; /* false: named by a job, its record has not come (replay of a trimmed journal) */
	DURABLE uint32_t index;
	DURABLE uint32_t references; /* job rows */
	DURABLE uint64_t lsn;	     /* of its newest full copy */
	DURABLE struct definition_body body;
	DURABLE struct arena arena;
	DURABLE UT_hash_handle hh;
	/* volatile */
	struct shape *shapes[PHASES_MAX];
	struct queue *queue;
	struct estimate estimates[PHASES_MAX];
};

struct definition_table {
	struct definition *DURABLE by_hash;
	struct definition *DURABLE *DURABLE items; /* by index; NULL = free */
	DURABLE uint32_t capacity;
};

/* ---- jobs ---- */

enum job_flag {
	JOB_PAUSED = 1,
	JOB_SEALED = 2,	    /* the plan of the phase in work is whole */
	JOB_NOTED = 4,	    /* replay: a record named it before it was known */
	JOB_LOADING = 8,    /* replay: not all its slices have come */
	JOB_EVENT_DUE = 16, /* ended: the rules have not seen it */
	JOB_TIMED = 32,	    /* its body has a deadline, or a time by which it starts */
	JOB_GROUPED = 64,   /* its body names a concurrency group: held until a record activates it */
	JOB_RATED = 128,    /* its body bounds how fast its shards start */
};

enum job_live_flag {
	JOB_READY = 1,	  /* its commit is durable (jobs with a run: see ready_count) */
	JOB_QUEUED = 2,	  /* waits for that */
	JOB_RUNNABLE = 4, /* is in line */
	JOB_HARD = 8,	  /* is in the list of those with shards that need a worker to themselves */
	JOB_TOUCHED = 16,
	JOB_PLAIN = 32,	   /* its demand is counted as that of a job without a run */
	JOB_DEMANDED = 64, /* its demand is counted */
	JOB_WAITED = 128,  /* stands in d->waited */
};

/* A queued one-shard job is this and its body. Ids are a counter, so that a row is found by its place. */
struct job_row {
	DURABLE uint64_t lsn; /* of its newest full copy; once ended, of END */
	DURABLE usec_t accepted_wall_us;
	DURABLE usec_t due_wall_us; /* held */
	uint64_t next, previous;    /* volatile: in its entry: */
	struct turn_entry *entry;   /* in line, or NULL (volatile/turns.h) */
	struct run *DURABLE run;    /* NULL: nothing but queued */
	DURABLE uint8_t *DURABLE
	    body; /* new_job, encoded, without job, definition and after; once ended: job_ended */
	DURABLE uint32_t body_size;
	DURABLE uint32_t definition;  /* index */
	DURABLE uint32_t shard_count; /* N of the phase in work */
	DURABLE int32_t priority;
	DURABLE uint32_t max_running; /* of its shards at a time; 0 = no bound */
	DURABLE uint16_t phase;
	DURABLE uint16_t depth;
	DURABLE uint8_t flags;	 /* enum job_flag */
	uint8_t live_flags;	 /* volatile: enum job_live_flag */
	DURABLE uint8_t state;	 /* enum job_state; 0 = no such job */
	DURABLE uint8_t planner; /* enum planner_kind */
};

_Static_assert(sizeof(struct job_row) <= 96, "a queued one-shard job is one row of at most 96 bytes");

struct job_block {
	DURABLE uint64_t number; /* id / JOB_BLOCK_ROWS */
	DURABLE uint32_t used;
	struct job_row rows[JOB_BLOCK_ROWS];
};

struct job_table {
	struct job_block *DURABLE *DURABLE blocks; /* ascending */
	DURABLE size_t block_count, block_capacity;
	DURABLE uint64_t count;
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
	DURABLE uint64_t job;
	DURABLE uint32_t frontier; /* the first shard never leased */
	DURABLE struct shard_set returned;
	DURABLE struct shard_set done;
	DURABLE struct shard_set blocked;	  /* wait for the same shard of another job (shard_waits.h) */
	DURABLE struct delayed *DURABLE delayed;  /* by due time */
	DURABLE struct special *DURABLE special;  /* by first shard */
	DURABLE struct dead_kind *DURABLE dead;	  /* by kind */
	DURABLE struct shard_set *DURABLE failed; /* [k-1]: not done, failed at least k times */
	DURABLE struct dead_note *DURABLE notes;
	DURABLE uint32_t delayed_count, special_count, dead_count, failed_count, note_count;
	struct lease_entry *DURABLE leases; /* in the order of their grant */
	DURABLE uint32_t lease_count;
	DURABLE uint64_t leased_shards;
	DURABLE struct blob plan;   /* of the phase in work; size 0 = the body's */
	DURABLE struct blob cursor; /* the planner's */
	DURABLE struct blob why;    /* of the pause */
	DURABLE struct blob paused_by,
	    again_by; /* principals, encoded; again: of the last retry or reopening */
	DURABLE uint32_t planner_failures;
	DURABLE usec_t planner_due_wall_us;
	DURABLE struct blob
	    planner_why; /* of its last failure; for people: a carried journal does without it */
	DURABLE usec_t started_wall_us;
	DURABLE uint64_t retries;
	DURABLE struct totals totals;
	DURABLE uint64_t first_shards, first_done, first_dead; /* of the shards phase, once it is gathered */
	DURABLE struct phase_counts *DURABLE later;	       /* phases behind it that are through */
	DURABLE uint32_t later_count;
	DURABLE uint64_t phase_lsn; /* of PHASE_STARTED; all done shards of the phase before are below */
	DURABLE uint32_t reopens;
	DURABLE struct token earlier; /* tokens up to this one are of an earlier life */
	/* volatile */
	uint32_t ready_count;  /* shards whose commit is durable */
	uint32_t queued_count; /* shards that wait for that, or are ready */
	uint64_t opened_lsn;   /* what last took shards out of blocked: leases leave when it is durable */
	bool planning;	       /* a planner runs */
	struct shard_set *troubled; /* of shards by how often they met a worker's trouble (trouble.c) */
	uint32_t troubled_count;
	struct estimate estimate;
	uint64_t demand_shards, demand_us; /* what the shape's demand has of it */
};

/* ---- leases, workers ---- */

struct lease_entry {
	DURABLE struct token token;
	DURABLE uint64_t key_epoch, key_lease; /* the token again, without padding: the key */
	DURABLE uint64_t job;
	DURABLE uint32_t phase;
	DURABLE uint32_t first, count; /* as granted */
	DURABLE struct shard_set held; /* what of it has no outcome yet */
	DURABLE uint32_t attempt;
	DURABLE struct traits traits;
	struct worker *DURABLE worker;
	struct run *DURABLE run;
	struct lease_entry *DURABLE job_next, *DURABLE job_prev;
	struct lease_entry *DURABLE worker_next, *DURABLE worker_prev;
	DURABLE UT_hash_handle hh;
	/* volatile */
	struct shape *shape; /* NULL in replay */
	usec_t revoked_us;   /* mono; 0 = never */
	uint64_t seen;	     /* the session whose REGISTER named it */
	uint64_t shard_ns; /* estimate of one shard when the session got it; all of load_ns_max if unknown */
	uint64_t load_ns_max; /* what it counts for at most, before it is divided by slots */
	uint32_t slots;	      /* attempts of its shape that the session runs at a time; 0: load_ns is 0 */
	uint64_t load_ns;     /* its part of worker->load_ns */
	struct turn_charge charge;
	struct rank rank;	   /* of one that is charged */
	struct queue *queue;	   /* that it counts for (volatile/limits.h); NULL in replay */
	struct queue_owner *owner; /* of that queue, where owners have limits; or NULL */
	uint32_t counted;	   /* shards, in the sums of both */
	usec_t since_us;	   /* mono: its session got it, or the last of its shards that ended did so */
};

/* A worker that holds leases or has a session; what it holds outlives its sessions. */
struct worker {
	DURABLE struct uuid id;
	struct lease_entry *DURABLE leases;
	DURABLE uint32_t lease_count;
	DURABLE uint64_t leased_shards;
	DURABLE UT_hash_handle hh;
	/* volatile */
	struct session *session; /* NULL: not here (yet) */
	uint64_t serial;	 /* of its last REGISTER */
	bool pinned;		 /* a step works with it: not to be freed */
	uint64_t load_ns;	 /* how long its session will be busy with its leases (lease_load_set) */
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
	DURABLE usec_t start_wall_us;
	uint64_t lsn; /* volatile, where the journal has it: all of it stands from here on */
	DURABLE struct dedup_item *DURABLE *DURABLE
	    chunks; /* DEDUP_CHUNK items each, in the order of their coming */
	DURABLE uint32_t count;
	DURABLE uint32_t *DURABLE slots; /* open addressing: item number + 1; a power of two */
	DURABLE uint32_t slot_count;
};

struct dedup {
	struct dedup_bucket *DURABLE *DURABLE buckets; /* by start */
	DURABLE uint32_t bucket_count;
	DURABLE uint32_t count;
	DURABLE usec_t sealed_wall_us; /* buckets that began up to then are in files; 0 = none ever was */
	DURABLE uint64_t sealed_lsn;   /* of its newest copy */
};

/* ---- all of it ---- */

struct mark {
	struct blob intake;
	struct blob position;
	uint64_t lsn;
};

struct durable {
	DURABLE uint32_t epoch;
	DURABLE uint64_t next_job;
	DURABLE uint64_t last_lsn;
	DURABLE uint64_t late, duplicate;
	DURABLE usec_t forget_before_us;
	DURABLE uint64_t counters_lsn; /* of the newest full copy of the above */
	DURABLE struct definition_table definitions;
	DURABLE struct job_table jobs;
	struct lease_entry *DURABLE leases; /* by token */
	struct worker *DURABLE workers;	    /* by id */
	DURABLE struct dedup dedup;
	DURABLE struct mark *DURABLE marks;
	DURABLE uint32_t mark_count;
	struct window_row *DURABLE windows;	    /* windows.h; by name */
	struct waiter *DURABLE waiters;		    /* waits.h; by job */
	struct awaited *DURABLE awaited;	    /* by the job that is waited for */
	struct shard_wait *DURABLE shard_waits;	    /* shard_waits.h; by job */
	struct shard_parent *DURABLE shard_parents; /* by the job that is waited for */
	struct queue_row *DURABLE queues;	    /* queue_table.h; by name */
	DURABLE uint64_t carry_lsn;		    /* of part 0 of the job whose slices are being written */
	DURABLE uint64_t noted_count;
	DURABLE bool live; /* replay is over */
	/* Volatile: jobs that the step touched, each once. */
	uint64_t *touched;
	uint32_t touched_count, touched_capacity;
	/* Volatile: jobs whose waiting is over, and nothing followed from it yet. */
	uint64_t *waited;
	uint32_t waited_head, waited_count, waited_capacity;
};
