/* What a queue's settings allow: how much of it runs at a time, of all and of each owner, and what may be
 * submitted. Volatile: sums of what leases hold, which follow each change of a lease, and of jobs that live;
 * check.c adds all of them up again. Pure.
 *
 * Leased is running, as with a job's max_running. A queue that has no room, or is paused, is out of line: its
 * lanes are closed, however many jobs wait in it, and so are the entries of an owner that has none. They open
 * again when a lease ends. Among shapes of a queue whose cpus are bounded the first by rank is waited for, if
 * a worker could run it, so that smaller ones do not pass it for ever; an owner's smaller shapes may pass the
 * owner's larger ones. */
#pragma once

#include "dispatcher/core/durable/queue_table.h"
#include "dispatcher/core/volatile/turns.h"

/* Whose jobs some of a queue are, where owners have limits. It is there while a job of it lives. */
struct queue_owner {
	struct queue *queue;
	struct blob name;
	uint64_t live_jobs;
	uint64_t running, cpu_milli;
	usec_t next_submission_us;  /* mono */
	struct turn_entry *entries; /* of its jobs in line, by of_owner */
	bool changed;
	struct queue_owner *next_changed;
	UT_hash_handle hh;
};

/* Those of the row, or the defaults. */
uint32_t limits_weight(const struct queue *q);
uint32_t limits_key_weight(const struct queue *q, struct bytes key);

void limits_queue_init(struct dispatcher_core *core, struct queue *q);
void limits_queue_fini(struct queue *q); /* nobody names it */
/* A queue for each row, at the end of a replay. */
void limits_revive(struct dispatcher_core *core);
/* The row of that name was written, or is gone. */
void limits_set(struct dispatcher_core *core, struct bytes name);

/* A job lives from now on, or is about to end. */
void limits_job_begins(struct dispatcher_core *core, const struct job_row *row);
void limits_job_ends(struct dispatcher_core *core, const struct job_row *row);
/* A lease counts from now on; what it holds changed; it counts no more. */
void limits_bind(struct dispatcher_core *core, struct lease_entry *lease);
void limits_follow(struct lease_entry *lease);
void limits_unbind(struct lease_entry *lease);

/* Of a job of the queue; NULL: its owners have no limits. */
struct queue_owner *limits_owner(const struct queue *q, const struct job_row *row);
bool limits_lane_opens(const struct turn_lane *lane);
bool limits_entry_opens(const struct turn_entry *e);
/* Who is first in the queue may have changed. */
void limits_line_changed(struct queue *q);
/* What workers offer changed: who is first may have one now, or none any more. */
void limits_workers_changed(struct dispatcher_core *core);
/* What follows from sums and settings that changed: who is in line. */
void limits_settle(struct dispatcher_core *core);

/* How many more of the job's shards may be leased now. */
uint64_t limits_room(const struct dispatcher_core *core, const struct job_row *row);
/* At most `size`: as many as there is room for, and no more than what leaves something for each slot. */
uint32_t limits_lease_size(const struct dispatcher_core *core, const struct job_row *row, uint32_t size);
/* The first limit that keeps the job's shards from being leased; false: none does. */
enum limit_kind { LIMIT_PAUSED = 1, LIMIT_RUNNING, LIMIT_CPUS };
struct limit_met {
	enum limit_kind kind;
	uint64_t limit, used, need; /* shards, or thousandths of a cpu */
	const struct queue *queue;
	const struct queue_owner *owner; /* whose limit it is; NULL: the queue's */
};
bool limits_met(const struct dispatcher_core *core, const struct job_row *row, struct limit_met *ret);
/* The same of a shard that needs so much of the cpus; o: as limits_owner. */
bool limits_met_by(const struct queue *q, const struct queue_owner *o, uint64_t need, struct limit_met *ret);

/* queue_demand.c: what of the demand is the queue's. */
void queue_demand_add(struct queue *q, const struct shape *shape, uint64_t shards);
void queue_demand_remove(struct queue *q, const struct shape *shape, uint64_t shards);
/* Shards of the shape that limits keep from running now: no worker is needed for them. */
uint64_t queue_demand_excess(const struct dispatcher_core *core, const struct shape *shape);
void queue_demand_check(const struct dispatcher_core *core, const struct queue *q);

void limits_check(const struct dispatcher_core *core);
