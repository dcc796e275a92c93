/* Concurrency groups: the live jobs that name one, and how they stand. Nothing here is durable: a job's state
 * says whether it is active, and a start builds all of it from the jobs' rows. Pure.
 *
 *   group -> active jobs, those that wait in line, and those that came and are to be decided about
 *
 * Lists are in the order of the jobs' numbers, which is that of their age. Memory: 130 bytes a job that names
 * a group, 300 bytes a group with its name. */
#pragma once

#include "dispatcher/core/volatile/state.h"

/* Numbers of jobs, ascending. The first, the last and those behind the last cost O(1). */
struct job_line {
	uint64_t *jobs;
	uint32_t head, count, capacity;
};

struct group {
	struct blob name;
	struct job_line active;
	struct job_line waiting; /* of mode queue */
	struct job_line arrived; /* of the other modes: they start, cancel others or are cancelled at once */
	uint32_t members;
	bool is_due; /* it stands in the list of groups that are to be looked at */
	struct group *due_next, *due_prev;
	UT_hash_handle hh;
};

enum group_place {
	GROUP_AWAY, /* it waits for its time, or for other jobs */
	GROUP_WAITS,
	GROUP_ARRIVED,
	GROUP_ACTIVE,
};

struct group_member {
	uint64_t job;
	struct group *group;
	uint32_t limit; /* how many may be active for this job to start */
	uint8_t mode;	/* enum concurrency_mode */
	bool latest;
	uint8_t place; /* enum group_place */
	UT_hash_handle hh;
};

/* 0: it is empty. */
uint64_t job_line_first(const struct job_line *l);
uint64_t job_line_last(const struct job_line *l);
/* How many are below. */
uint32_t job_line_place(const struct job_line *l, uint64_t job);

/* NULL: no live job names the group. */
struct group *group_named(const struct dispatcher_core *core, struct bytes name);
/* NULL: the job names no group, or is not live. */
struct group_member *group_member_of(const struct dispatcher_core *core, uint64_t job);

/* A job that names a group comes: away until it is moved. */
struct group_member *group_join(struct dispatcher_core *core, uint64_t job, const struct concurrency *c);
/* The group is looked at when the step settles. */
void group_move(struct dispatcher_core *core, struct group_member *m, enum group_place place);
/* The job has ended; nothing when it names no group. */
void group_leave(struct dispatcher_core *core, uint64_t job);

void groups_fini(struct dispatcher_core *core);
/* CHECKs that all of it hangs together; the number of members. */
uint64_t groups_check(const struct dispatcher_core *core);
