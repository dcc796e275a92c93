/* The oracle sees only the outside: what clients were answered, what workers really executed and
 * synced, and the durable records that history is made of. It knows nothing of how the cores come
 * to their decisions; it says whether the promises were kept. */
#pragma once

#include "jobs/schema.h"
#include "jobs/shard_set.h"
#include "tests/sim/coverage.h"
#include "tests/sim/scenario.h"
#include "tests/sim/world.h"

#define ORACLE_FATED 1024 /* shards below this are counted one by one */
#define ORACLE_PHASES 15  /* plan, shards, and the levels of a gather tree */

/* The one value that each simulated job stores: who it is. */
struct sim_job_value {
	uint32_t sim_job;
	uint32_t second; /* which of its event's jobs; 0: the first */
	uint64_t parent; /* the job whose end started it; 0 = none */
	uint64_t after;	 /* the job that it waits for; 0 = none */
};

/* What really happened to one shard, and what the journal says of it. */
struct shard_facts {
	uint16_t ended;	   /* executions that came to an end, or ended their worker */
	uint16_t failed;   /* its own failures, executed */
	uint16_t fatal;	   /* of these, with an exit code that is dead at once */
	uint16_t recorded; /* failures in the journal, since a person revived it */
	uint16_t recorded_ever;
	uint16_t crashes; /* in the journal */
	bool kills;	  /* it took a worker with it */
	bool unlucky;	  /* it was leased to a worker that was lost before */
};

struct oracle_phase {
	uint32_t shard_count; /* as journaled so far */
	bool sealed;
	struct shard_set done, dead;
	struct shard_facts *facts; /* of the first ORACLE_FATED; made when first asked for */
};

/* A job as the outside knows it. */
struct oracle_job {
	uint64_t id;
	uint32_t sim_job;
	uint32_t second;
	bool chained;
	uint64_t parent;
	uint64_t key_hi, key_lo;
	uint32_t phase;	       /* in work */
	uint32_t shards_phase; /* behind a plan phase 1, else 0 */
	struct oracle_phase phases[ORACLE_PHASES];
	uint8_t ended; /* enum job_state; 0 = not yet */
	bool planner_failed, cancel_asked;
	bool event_due, settled;
	uint32_t reopens;	      /* so far */
	uint32_t due_ends;	      /* ends of all its lives that were to be told to the rules */
	uint64_t after;		      /* the job that it still waits for; 0 = none */
	bool after_broken;	      /* that ended otherwise than it should have */
	bool by_shards;		      /* its shards wait for those of another job */
	uint64_t shards_of;	      /* that one, as long as it is not past its shards; 0 = it is */
	struct shard_set opened;      /* those that were done there */
	usec_t deadline_wall_us;      /* 0 = none */
	bool grouped;		      /* it names the concurrency group */
	bool active;		      /* of a grouped job: a record said so */
	bool due;		      /* of a grouped job: it may wait for its time */
	usec_t rate_us[SIM_RATE_MAX]; /* when its shards of the last second were granted */
	uint32_t rate_count;
	struct token earlier; /* tokens up to this one are of an earlier life */
	struct job_ended end; /* the numbers of its last one; nothing is borrowed */
	struct totals totals; /* of the outcomes taken */
};

/* A lease as it was sent. */
struct oracle_lease {
	struct token token;
	size_t job; /* index */
	uint32_t phase;
	struct range range;
	struct shard_set well, synced; /* executed with success; output on disk */
	struct shard_set kept;	       /* failed; output on disk */
	struct range *wholes;	       /* with one output each */
	size_t whole_count, whole_capacity;
	bool taken; /* a slot of a worker that lived got it */
};

/* Shards that a report names as done, until it is acknowledged. */
struct oracle_reported {
	uint32_t host;
	uint64_t session, seq;
	struct token token;
	uint64_t job;
	uint32_t phase;
	struct range done;
	bool whole;
	bool moot; /* its job was reopened since: it may have been taken while that had ended */
};

/* What of a worker's session was acknowledged, as far as it left the dispatcher. */
struct oracle_acked {
	uint64_t session, seq;
};

struct oracle_event {
	uint64_t key_lo;
	uint64_t answered_job; /* 0 = not answered yet */
	bool skipped;	       /* it made no job, as its group was full */
};

struct oracle {
	struct world *world;
	const struct scenario *scenario;
	struct coverage *coverage;
	struct oracle_job *jobs;
	size_t job_count, job_capacity;
	struct oracle_lease *leases;
	size_t lease_count, lease_capacity;
	struct oracle_reported *reported;
	size_t reported_count, reported_capacity;
	struct oracle_acked acked[SIM_HOSTS_MAX];
	uint64_t seen_lsn; /* records up to this one were read */
	struct oracle_event events[SIM_JOBS_MAX];
	uint32_t epoch;
};

void oracle_init(struct oracle *o, struct world *w, const struct scenario *s, struct coverage *c);
void oracle_fini(struct oracle *o);

/* How many dead shards the job may have and still succeed. */
uint64_t oracle_tolerated(const struct oracle *o, const struct oracle_job *j);
struct oracle_lease *oracle_lease(struct oracle *o, struct token t);
/* NULL: it has not gone out. */
struct oracle_lease *oracle_find_lease(const struct oracle *o, struct token t);
void oracle_taken(struct oracle *o, struct token t);

/* NULL when no durable record made this job. */
struct oracle_job *oracle_job(struct oracle *o, uint64_t id);
struct shard_facts *oracle_facts(struct oracle_job *j, uint32_t phase, uint32_t shard);

/* A lease leaves the dispatcher: its job must be durable. */
void oracle_granted(struct oracle *o, const struct lease *l);
/* Executions. A shard whose success could not be synced has failed after all. */
void oracle_well(struct oracle *o, struct token t, struct range r);
/* The shards of r wrote one output. */
void oracle_whole(struct oracle *o, struct token t, struct range r);
void oracle_synced(struct oracle *o, struct token t, struct range r, bool failed);
void oracle_failed(struct oracle *o, struct token t, uint32_t shard, enum fate fate);
void oracle_crashed(struct oracle *o, struct token t, uint32_t shard);

/* oracle_acks.c: a worker sends a report; an acknowledgement leaves the dispatcher. */
void oracle_reported(struct oracle *o, uint32_t host, const struct report *r);
void oracle_acknowledged(struct oracle *o, uint64_t session, uint64_t seq);

/* oracle_records.c: the job, if it lives and is in that phase; else the run has failed. */
struct oracle_job *oracle_alive(struct oracle *o, uint64_t id, uint32_t phase, const char *what);
/* oracle_crashes.c: a lease ended with its worker. */
void oracle_lost(struct oracle *o, const struct crashed *c);
/* oracle_after.c: a job is accepted that waits for another; one has ended, for which others may wait. */
void oracle_awaits(struct oracle *o, struct oracle_job *j, uint64_t after);
void oracle_awaited(struct oracle *o, const struct oracle_job *j);
/* oracle_groups.c: a job is accepted, or lives again; an event makes no job; a job may start; may the group
 * cancel it now; all records of a commit are known. */
void oracle_joins(struct oracle *o, struct oracle_job *j, const struct new_job *n);
void oracle_skipped(struct oracle *o, uint64_t sim_job);
void oracle_activated(struct oracle *o, struct oracle_job *j);
bool oracle_group_cancels(const struct oracle *o, const struct oracle_job *j);
void oracle_groups_settled(const struct oracle *o);
/* oracle_rate.c */
void oracle_rated(struct oracle *o, struct oracle_job *j, const struct lease *l);
/* Shards of a job are done, or it is past them: shards of others may start, or never do. */
void oracle_shards_done(struct oracle *o, const struct oracle_job *j, uint32_t phase, struct range r);
void oracle_shards_over(struct oracle *o, const struct oracle_job *j);
/* Those that can never start. */
uint64_t oracle_barred(const struct oracle_job *j);
/* What n says of its shards that wait. */
void oracle_check_blocked(struct oracle *o, const struct oracle_job *j, const struct new_job *n);
/* oracle_reopened.c: an ended job may live again by this record, and by no other. */
void oracle_reopened(struct oracle *o, const struct reopened *r);
/* Might a person let it go on? */
bool oracle_may_reopen(const struct oracle *o, const struct oracle_job *j);
bool oracle_is_earlier(const struct oracle_job *j, struct token t);
/* Nothing can be run of it: it fails in the commit that accepts it. */
bool oracle_is_stillborn(const struct oracle *o, const struct oracle_job *j);

/* The durable records, each once, in order. */
/* A case of the table was met. */
void oracle_hit(struct oracle *o, enum cover_row row);
/* That `what` names; it fails the world when there is none. */
struct oracle_job *oracle_known(struct oracle *o, uint64_t id, const char *what);
void oracle_ended(struct oracle *o, const struct job_ended *e);
void oracle_ended_block(struct oracle *o, const struct ended_block *b);
void oracle_record(struct oracle *o, uint32_t type, const void *body);
/* A client's event was answered. */
void oracle_answered(struct oracle *o, uint32_t sim_job, uint64_t job, bool repeat);
void oracle_cancel_asked(struct oracle *o, uint64_t job);
void oracle_told_ended(struct oracle *o, uint64_t job);

/* All accepted jobs have ended and are settled. */
bool oracle_is_quiet(const struct oracle *o);
/* Fails the run with what is not quiet. */
_Noreturn void oracle_fail_unquiet(const struct oracle *o, const char *when);
/* The run is over: everything must add up. */
void oracle_finish(struct oracle *o);
