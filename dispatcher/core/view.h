/* What the API, the scaler and the shell may read of the dispatcher's core. Nothing here changes it.
 * Texts and structs are borrowed until the next step, or live in the arena that was given. Pure. */
#pragma once

#include "dispatcher/core/core.h"

/* Words for people, derived from the state; enum job_state is what it is. */
enum job_word {
	JOB_WORD_HELD = 1,
	JOB_WORD_PLANNING,
	JOB_WORD_QUEUED,
	JOB_WORD_RUNNING,
	JOB_WORD_GATHERING,
	JOB_WORD_PAUSED,
	JOB_WORD_SUCCEEDED,
	JOB_WORD_FAILED,
	JOB_WORD_CANCELLED,
};

const char *job_word_name(enum job_word word);

/* Shards of the phase in work: together they are all of it. */
struct view_counts {
	uint64_t shards;  /* N as known now */
	uint64_t pending; /* due retries and suspects are pending */
	uint64_t delayed;
	uint64_t leased;
	uint64_t done;
	uint64_t dead;
};

/* When something that runs will have ended, from now on, by how long its like took. */
struct view_until {
	bool known;
	bool late; /* it has run for longer than nearly all of its like: nobody knows */
	usec_t least_us, most_us;
};

#define VIEW_AFTER_MAX 16  /* of the jobs that one waits for */
#define VIEW_HOLDERS_MAX 3 /* of the active jobs of a group */

/* A job's concurrency group, and how it stands there. */
struct view_group {
	struct bytes name; /* in the arena; size 0: it names none */
	uint32_t limit;
	uint8_t mode; /* enum concurrency_mode */
	bool latest;
	bool waits;	 /* nothing but room keeps it from starting */
	uint32_t before; /* jobs that wait and are older */
	uint32_t active; /* of the group */
	uint64_t holders[VIEW_HOLDERS_MAX];
	uint32_t holder_count;
	struct view_until until; /* the first holder ends, if nothing keeps its shards waiting */
};

struct view_job {
	uint64_t job;
	uint8_t state; /* enum job_state */
	enum job_word word;
	bool paused, sealed;
	struct bytes name;	 /* in the arena */
	struct bytes why;	 /* of the pause or the end; in the arena */
	struct bytes definition; /* sha256 */
	uint32_t phase;
	uint32_t depth;
	int64_t priority;
	uint32_t max_running; /* of its shards at a time; 0 = no bound */
	usec_t accepted_wall_us, started_wall_us, ended_wall_us, due_wall_us; /* 0 = not (yet) */
	uint64_t retries;
	struct totals totals;
	uint32_t shards_phase;	   /* which phase the shards are: 1 behind a plan phase, else 0 */
	struct view_counts counts; /* of the phase in work; of the shards phase once ended */
	uint64_t first_shards, first_done, first_dead; /* of the shards phase */
	struct phase_counts_list later;		       /* behind it, through; once ended all; in the arena */
	uint64_t estimate_us;			       /* of one shard; 0 = not known */
	usec_t next_attempt_wall_us;		       /* when the first delayed shard is due; 0 = none is */
	uint32_t planner_failures;		       /* so far */
	usec_t planner_due_wall_us;		       /* the next try; 0 = none is waited for */
	struct bytes planner_why;		       /* of the last failure, where known; in the arena */
	uint64_t last_done_lsn;			       /* gather's slice needs history past this */
	uint32_t reopens;			       /* how often it was reopened */
	uint64_t event_id_hi, event_id_lo;	       /* as in new_job; 0, 0 = none */
	struct principal by;	     /* who asked for it; kind 0: not known; names in the arena */
	struct principal stopped_by; /* who paused or cancelled it */
	struct principal again_by;   /* who retried or reopened it last */
	uint64_t ended_lsn;	     /* once ended: history has its end when it is past this */
	bool event_due;		     /* once ended: the rules have not seen it */
	struct after_job_list after; /* that it still waits for, the first VIEW_AFTER_MAX; in the arena */
	uint32_t after_count;	     /* all of them */
	uint64_t blocked;	     /* pending shards that wait for the same shard of another job */
	usec_t deadline_wall_us, start_by_wall_us; /* as in new_job; 0 = none, or it has ended */
	struct view_group group;		   /* of a live job */
	struct rate rate;			   /* likewise; count 0 = no bound */
	usec_t rate_wait_us;			   /* until it lets a shard start; 0 = now */
};

/* Does it know the job? It may have ended. */
bool dispatcher_view_has_job(const struct dispatcher_core *core, uint64_t job);
/* False when there is no such job (any more: history has it). */
bool dispatcher_view_job(const struct dispatcher_core *core, uint64_t job, struct arena *arena,
			 struct view_job *ret) MUST_CHECK;
/* The first job id above `after` that is there; 0 when none. O(1) amortised. */
uint64_t dispatcher_view_next_job(const struct dispatcher_core *core, uint64_t after);
/* The last job id below `before` (0 = above all) that is there; 0 when none. */
uint64_t dispatcher_view_previous_job(const struct dispatcher_core *core, uint64_t before);

/* The JOB level for PARAMETERS: plan of the phase in work, name, values. False when the job is not
 * live or its phase is another one. In the arena. */
bool dispatcher_view_parameters(const struct dispatcher_core *core, uint64_t job, uint32_t phase,
				struct arena *arena, struct job_parameters *ret) MUST_CHECK;
/* The body as it was accepted. False when the job is not live. In the arena. */
bool dispatcher_view_body(const struct dispatcher_core *core, uint64_t job, struct arena *arena,
			  struct new_job *ret) MUST_CHECK;
/* False: no planner has written items down for the job. */
bool dispatcher_view_may_have_items(const struct dispatcher_core *core, uint64_t job);
/* NULL when no live job names it. Borrowed until the next step. */
const struct definition_body *dispatcher_view_definition(const struct dispatcher_core *core,
							 struct bytes sha256);

/* Runs of dead shards of the phase in work at or after *cursor, at most max; their number. *cursor
 * moves behind the last; start it at 0. code and why are known of the first few only. Borrowed. */
struct view_dead {
	struct range shards;
	uint8_t kind; /* enum failure_kind */
	bool noted;   /* code and why are known */
	int64_t code;
	struct bytes why;
};
size_t dispatcher_view_dead(const struct dispatcher_core *core, uint64_t job, uint64_t *cursor,
			    struct view_dead out[], size_t max);

/* Done runs of the phase in work, as dead above. */
size_t dispatcher_view_done(const struct dispatcher_core *core, uint64_t job, uint64_t *cursor,
			    struct range out[], size_t max);

/* Shards of the phase in work that follow each other and stand alike. */
struct view_shards {
	struct range shards;
	uint8_t state; /* enum shard_state */
	/* Of leased ones: */
	uint32_t attempt;
	struct uuid worker;
};
/* Those at or after *cursor that are in one of `states` (bit 1 << state), at most max; their number. *cursor
 * moves behind the last one, to the end of the phase when there are no more. O(leases of the job + max). */
size_t dispatcher_view_shards(const struct dispatcher_core *core, uint64_t job, uint32_t states,
			      uint64_t *cursor, struct view_shards out[], size_t max);
/* In the arena; size 0 when the worker is not registered now. */
struct bytes dispatcher_view_host(const struct dispatcher_core *core, const struct uuid *worker,
				  struct arena *arena);

/* A lease of a live job, and who has it. */
struct view_lease {
	struct token token;
	uint64_t job;
	uint32_t phase;
	struct uuid worker; /* it may be away for the moment */
};
/* Those of a job that were granted shards of `range`, in the order of their grant, at most max; their
 * number. O(leases of the job). */
size_t dispatcher_view_leases(const struct dispatcher_core *core, uint64_t job, struct range range,
			      struct view_lease out[], size_t max);
/* False unless the lease is there and the shard has no outcome under it. */
bool dispatcher_view_held(const struct dispatcher_core *core, struct token token, uint32_t shard,
			  struct view_lease *ret) MUST_CHECK;

/* Is the lease out, and its job live? */
bool dispatcher_view_is_leased(const struct dispatcher_core *core, struct token token);

struct view_worker {
	struct uuid worker;
	uint64_t session, peer;
	struct bytes host, pool, provider_id;
	uint32_t pid, numa_node;
	struct resources capacity; /* as registered */
	struct resources credit;   /* as last offered */
	uint64_t credit_bytes;
	uint32_t leases;
	uint64_t leased_shards;
	uint64_t done_shards; /* in this session */
	uint64_t failed_shards;
	bool draining, quarantined;
	bool resting;	      /* it has trouble, and takes nothing for a while */
	uint8_t trouble_kind; /* enum failure_kind; 0: it has none */
	usec_t trouble_since_wall_us;
	struct bytes trouble; /* in words; borrowed until the next step */
	usec_t heard_us_ago;  /* in time that the dispatcher itself ran */
};

/* Workers in the order of their registration, cursor-wise: the first session above `after`. In the
 * arena. */
bool dispatcher_view_next_worker(const struct dispatcher_core *core, uint64_t after, struct arena *arena,
				 struct view_worker *ret) MUST_CHECK;

/* How a worker is reached. */
struct view_session {
	uint64_t session, peer;
	uint32_t wire;
	usec_t heard_us_ago;
};
/* False: it is not registered now. */
bool dispatcher_view_session(const struct dispatcher_core *core, const struct uuid *worker,
			     struct view_session *ret) MUST_CHECK;

/* Which version of the messages the worker of the session speaks; 0: there is no such session. */
uint32_t dispatcher_view_wire(const struct dispatcher_core *core, uint64_t session);

/* What may still come of a worker. */
struct view_presence {
	bool registered, leased;
	struct token oldest; /* of its leases */
};
/* O(its leases). */
void dispatcher_view_presence(const struct dispatcher_core *core, const struct uuid *worker,
			      struct view_presence *ret);
/* Every lease that is granted from now on has a token above this one. */
struct token dispatcher_view_last_token(const struct dispatcher_core *core);

/* What the workers of now have for the phase in work of a live job. */
struct view_supply {
	const struct resources *need; /* of one attempt, of a worker; in the arena */
	uint32_t workers;	      /* that take leases: those below do not */
	uint32_t draining, quarantined, resting;
	struct bytes trouble; /* of one that rests; borrowed until the next step */
	uint32_t fitting;     /* of workers: those that have room for it when they are empty; VIEW_FITTING_MAX
				 of them are as good as any number */
	uint32_t idle;	      /* of fitting: with no lease */
	uint32_t older;	      /* of workers: those of a version that knows less than the job asks for; not of
				 fitting */
	struct resources largest; /* the most of each that one of the workers has (memory 0: no bound was
				     said); in the arena; not known when fitting is VIEW_FITTING_MAX */
	struct view_until until;  /* the next shard on one of the first that fit ends */
};
#define VIEW_FITTING_MAX 1000
/* False when the job is not live. O(workers). */
bool dispatcher_view_supply(const struct dispatcher_core *core, uint64_t job, struct arena *arena,
			    struct view_supply *ret) MUST_CHECK;
/* The same for a job that would need this; idle: what has room for it now. */
void dispatcher_view_supply_of(const struct dispatcher_core *core, const struct resources *need,
			       struct arena *arena, struct view_supply *ret);

/* What the cluster has together of a named resource (`--shared`), in thousandths. */
struct view_shared {
	struct bytes name; /* borrowed */
	uint64_t total, used;
	uint64_t need;	  /* by a shard, of view_shared_lack */
	uint64_t jobs[3]; /* that have some of it, the first found; of view_shared_lack */
	uint32_t job_count;
};
uint32_t dispatcher_view_shared(const struct dispatcher_core *core,
				struct view_shared out[NAMED_RESOURCES_MAX]);
/* The first of them of which too little is free for another shard of the job. false: there is none. */
bool dispatcher_view_shared_lack(const struct dispatcher_core *core, uint64_t job, struct view_shared *ret);
/* The same for a job that would need this. */
bool dispatcher_view_shared_lack_of(const struct dispatcher_core *core, const struct resources *need,
				    struct view_shared *ret);
/* What a worker has to have of it: all but what is shared; its list in the arena. */
void dispatcher_view_own_need(const struct dispatcher_core *core, const struct resources *need,
			      struct arena *arena, struct resources *ret);

/* Is there a worker, whatever it does now, that could run an attempt of this when it has nothing else? */
struct view_offers {
	uint32_t workers; /* looked at: all, unless one of them fits */
	bool fits;
	bool awaited; /* after a restart: workers may be about to come back */
	struct resources
	    largest; /* the most of each that one has (memory 0: no bound was said); in the arena */
};
/* O(workers), and seldom more than the first. */
void dispatcher_view_offers(const struct dispatcher_core *core, const struct resources *need,
			    struct arena *arena, struct view_offers *ret);

/* Per shape, in the order of their first use. */
struct view_demand {
	const struct resources *shape;
	uint64_t jobs;		 /* runnable */
	uint64_t pending_shards; /* runnable, and not waiting for a shared resource */
	uint64_t pending_us;	 /* the same, in seconds of one slot's work by the estimates */
	uint64_t leases;	 /* out now */
};
size_t dispatcher_view_demand(const struct dispatcher_core *core, struct view_demand out[], size_t max);

struct view_queue {
	struct bytes name;		      /* borrowed, as the next */
	const struct queue_changed *settings; /* NULL: the defaults */
	uint64_t running, cpu_milli;	      /* shards that are leased, and what they take */
	uint64_t live_jobs;
	uint64_t waiting_jobs, waiting_shards; /* that could run, as far as they themselves are concerned */
};
/* Queues that have settings or live jobs, by name; in the arena. */
struct view_queue_list {
	struct view_queue *items;
	uint32_t count;
};
void dispatcher_view_queues(const struct dispatcher_core *core, struct arena *arena,
			    struct view_queue_list *ret);
/* False: it has neither; *ret is what such a queue is. */
bool dispatcher_view_queue(const struct dispatcher_core *core, struct bytes name, struct view_queue *ret);

/* What keeps a job with pending shards from getting a lease though some worker might take it. */
enum view_hold_kind {
	VIEW_HOLD_NONE,
	VIEW_HOLD_PAUSED,  /* its queue */
	VIEW_HOLD_RUNNING, /* a limit of its queue, or of its owner there */
	VIEW_HOLD_CPUS,
	VIEW_HOLD_FIRST,    /* its queue has room, but job `next` goes first and has none yet */
	VIEW_HOLD_PRIORITY, /* it is the turn of job `next`, in its queue */
	VIEW_HOLD_SHARE,    /* the same: of another fairness key */
	VIEW_HOLD_AGE,	    /* the same: it is older */
	VIEW_HOLD_QUEUE,    /* it is the turn of job `next`, of another queue */
};
#define VIEW_HOLDERS_MAX 3

struct view_hold {
	enum view_hold_kind kind;
	struct bytes queue,
	    owner;	     /* owner: whose limit it is; size 0: the queue's. In the arena, as the next */
	struct bytes why;    /* of the pause */
	struct principal by; /* who paused it */
	uint64_t limit, used, need; /* shards, or thousandths of a cpu */
	uint64_t next;
	struct bytes next_queue;
	uint32_t weight, next_weight; /* of queues */
	struct view_holder {
		uint64_t job, used;
	} holders[VIEW_HOLDERS_MAX]; /* jobs that use the most of the limit */
	uint32_t holder_count;
	uint64_t shard_us;	 /* the least that a shard of these takes; 0 = not known */
	struct view_until until; /* the next shard that counts for the limit ends */
};
/* Of a live job. O(leases). */
void dispatcher_view_hold(const struct dispatcher_core *core, uint64_t job, struct arena *arena,
			  struct view_hold *ret);
/* Of one that would be accepted now. */
void dispatcher_view_hold_of(const struct dispatcher_core *core, const struct new_job *job,
			     const struct definition_body *body, struct arena *arena, struct view_hold *ret);

/* A job that would be accepted now, as it would stand: pending or held, with what it would wait for. */
struct view_trial {
	struct view_job job; /* its number is 0 */
	struct view_supply supply;
	struct view_hold hold;
	struct view_shared shared; /* of which too little is free; size 0 of its name: none */
	bool version_known;	   /* its definition is kept by a live job */
};
/* Of a job that step_accept takes. O(workers + leases). */
void dispatcher_view_trial(const struct dispatcher_core *core, const struct new_job *job,
			   const struct definition_body *body, struct arena *arena, struct view_trial *ret);

struct view_counters {
	uint32_t epoch;
	uint64_t next_job;
	uint64_t last_lsn, durable_lsn;
	uint64_t live_jobs, ended_jobs; /* ended: not yet in history or not settled */
	uint64_t held_jobs, runnable_jobs;
	uint64_t leases, leased_shards, unbound_leases; /* unbound: their worker is not here yet */
	uint64_t sessions;
	uint64_t dedup_entries;
	usec_t dedup_forget_before_us; /* buckets of keys that began before count no more */
	usec_t dedup_sealed_us;	       /* those up to this one are in files; 0: none ever was */
	usec_t dedup_first_us;	       /* the first of those in memory; 0: there is none */
	uint64_t definitions;
	uint64_t late, duplicate, strange; /* outcomes that counted for nothing; strange: named nothing */
	/* In this epoch: */
	uint64_t shards_done, shards_failed, shards_lost;
	uint64_t events_accepted, events_repeated, jobs_accepted, jobs_skipped;
	uint64_t jobs_ended[3]; /* succeeded, failed, cancelled */
};
void dispatcher_view_counters(const struct dispatcher_core *core, struct view_counters *ret);

/* Keys of the buckets that began up to a time, which never change, piece by piece: the next ones of one
 * bucket, at most max; 0: there are no more. A bucket may go between two pieces. */
struct view_sealing {
	usec_t bucket_wall_us; /* of the last piece; all zero: it begins with the first bucket */
	uint32_t next;
};
struct dedup_entry;
uint32_t dispatcher_view_sealing(const struct dispatcher_core *core, usec_t up_to_wall_us,
				 struct view_sealing *at, uint32_t max, struct dedup_entry *ret);
/* Is the key one of those in memory? */
bool dispatcher_view_has_key(const struct dispatcher_core *core, uint64_t hi, uint64_t lo);

/* The position that INPUT_WATERMARK last gave for an intake; size 0 when none. Borrowed. */
struct bytes dispatcher_view_watermark(const struct dispatcher_core *core, struct bytes intake);
