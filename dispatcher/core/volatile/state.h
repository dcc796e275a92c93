/* What a start builds again from durable state, or does without: shapes and queues of definitions, sessions,
 * the index of runnable jobs, timers; and the core, that holds all of it. Volatile members of durable structs
 * stand in durable/state.h. Pure. */
#pragma once

#include "base/rng.h"
#include "dispatcher/core/durable/state.h"
#include "dispatcher/core/volatile/shares.h"
#include "jobs/amounts.h"

#define ALONE_CRASHES 2 /* a single shard that took this many workers is leased alone on one */

/* ---- resources, shapes, queues ---- */

/* Room for one attempt; interned, counted by the definitions that name it. */
struct shape {
	struct amounts need;   /* of a worker */
	struct amounts shared; /* of what the cluster has together (shared.h) */
	bool is_shared;
	uint32_t wire_min;	    /* that a worker speaks, or it would run such shards otherwise */
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
	struct share_line queues; /* lanes of queues with runnable jobs (turns.h) */
};

/* What of a queue's demand is of one shape. */
struct queue_demand {
	const struct shape *shape;
	uint64_t jobs, shards;
};

struct queue {
	struct blob name;
	uint32_t index;
	uint32_t references;	     /* by definitions, and by its row */
	const struct queue_row *row; /* its settings; NULL: the defaults */
	/* limits.h */
	struct turns *turns;
	uint64_t running, cpu_milli; /* shards that are leased, and what they take */
	uint64_t live_jobs;
	struct queue_demand *demands;
	uint32_t demand_count;
	bool has_owners;	    /* owners have limits */
	bool closed;		    /* nothing of it may be leased now */
	struct queue_owner *owners; /* by name; of those with live jobs */
	uint32_t sweep_at;
	usec_t next_submission_us; /* mono */
	bool changed;		   /* stands in the list of queues whose sums changed */
	struct queue *next_changed;
	struct queue_owner *changed_owners;
	/* turns.h */
	struct share share;	    /* of the cluster */
	struct share_place waiting; /* in core->turns.queues, while some lane is open */
	uint32_t open_lanes;
	struct share_line keys;	  /* fairness keys with runnable jobs */
	double least;		  /* what the least served of them was served when last one began or ceased */
	usec_t overtake_until_us; /* mono: grant_overtake.c */
	struct turn_lane **lanes; /* of shapes with runnable jobs; few */
	uint32_t lane_count;
};

/* ---- sessions ---- */

#define ACKS_MAX 16

struct pending_ack {
	uint64_t seq, lsn;
};

struct session {
	uint64_t id;
	uint64_t peer;
	struct worker *worker;
	struct blob registered;	 /* its register_worker, encoded, without tokens and gone */
	struct amounts capacity; /* as registered */
	struct amounts offered;	 /* of credit */
	struct amounts used;	 /* by its leases */
	struct rank last;	 /* of the last lease that it was given */
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
	bool host_told;	 /* a record has its host */
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
	struct grant_round *round;		 /* likewise: what it is granted */
	struct session *list_next, *list_prev;	 /* hungry or full */
	struct session *heard_next, *heard_prev; /* longest silent first */
	UT_hash_handle hh;
	UT_hash_handle hh_peer;
};

/* ---- indexes ---- */

/* Whose turn it is among runnable jobs: turns.h */
struct turns {
	struct share_clock clock;
	struct share_line queues; /* with runnable jobs */
	double least;		  /* as in struct queue */
	struct fair_key *keys;	  /* of all queues, by queue and name */
	usec_t overtake_until_us; /* the latest of all queues */
	uint32_t sweep_at;
	uint64_t refused;      /* keys, for lack of room */
	bool crowded;	       /* it was told that there are too many keys */
	struct queue *changed; /* queues whose limits are to be looked at */
	uint64_t serial;
};

/* groups.h */
struct groups {
	struct group *by_name;
	struct group_member *members; /* by job */
	struct group *due;	      /* of which something may follow */
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
	uint64_t lsn;	  /* of a bucket's first chunk */
	usec_t bucket_us; /* the bucket in work, or where the next one may begin */
};

/* Jobs that one record forgot: between the first and the last of them. */
#define FORGOTTEN_PIECES 64
struct forgotten_piece {
	uint64_t lsn; /* 0 = none */
	uint64_t first, last;
};

/* ---- all of it ---- */

void dispatcher_config_check(const struct dispatcher_config *c); /* config.c */

#define ESTIMATES_KEPT 256

/* Of a version that no live job names. */
struct kept_estimates {
	uint8_t sha256[32];
	struct estimate estimates[PHASES_MAX];
};

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
	uint64_t offered_cpu_milli;	    /* by all sessions */
	struct amount_names resource_names; /* their bytes are the core's */
	struct amounts shared;		    /* all that the cluster has together */
	struct amounts shared_seen;	    /* in use, when it was last asked */
	struct shape **shapes;		    /* by index; NULL = free */
	uint32_t shape_count;
	struct queue **queues;
	uint32_t queue_count;
	struct turns turns;
	uint64_t runnable_jobs;
	uint64_t *hard; /* job ids, ascending */
	uint32_t hard_count, hard_capacity;
	bool hard_dirty;	   /* something changed for them */
	bool set_apart;		   /* a session is alone or reserved */
	bool quarantine;	   /* some session may be in it */
	struct timer_heap held;	   /* on the wall clock */
	struct timer_heap late;	   /* likewise: deadlines, and times by which jobs start */
	struct timer_heap retries; /* on the steady one: mono + offset */
	struct groups groups;
	struct timer_heap paced; /* on the mono clock */
	struct pace *paces;	 /* paces.h; by job */
	struct waiting_queue durable_waits, history_waits, ended;
	usec_t steal_us;      /* mono: when to look again for something to steal; USEC_NEVER: no need */
	usec_t steal_look_us; /* mono: not before */
	struct carry carry;
	usec_t sealing_us; /* the bucket that is being sealed (seal.c); 0 = none */
	struct forgotten_piece forgotten[FORGOTTEN_PIECES]; /* of this epoch, the last ones: a ring */
	uint64_t forgotten_count;
	uint64_t forgotten_before_lsn;			      /* of the last one that had no room any more */
	struct kept_estimates kept_estimates[ESTIMATES_KEPT]; /* by sha256 (estimate.h) */
	bool ends_unwanted; /* no rule matches the end of a job (INPUT_INTEREST) */
	uint64_t live_jobs, held_jobs, ended_jobs;
	uint64_t timed_jobs;					   /* of the live ones: JOB_TIMED */
	uint64_t strange, shards_done, shards_failed, shards_lost; /* in this epoch, as what follows */
	uint64_t accepted_events, repeated_events, accepted_jobs, skipped_jobs, ended_by_state[3];
	struct dispatcher_effects *out; /* of the step */
	uint32_t step_records;
};
