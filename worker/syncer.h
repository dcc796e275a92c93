/* The thread that syncs output segments, so that the agent never waits for a disk. */
#pragma once

#include <pthread.h>

#include "worker/slot.h"

struct syncer {
	pthread_t thread;
	pthread_mutex_t lock; /* of all below, and of the slots' table while a sync runs */
	pthread_cond_t wake;
	struct slot **slots; /* the agent's table */
	uint32_t slot_count;
	uint64_t wanted, done; /* generations */
	struct error failed;   /* of `done`; code 0 = fine */
	int failed_errno;
	bool stop, running;
	int fd; /* eventfd: readable when done moved */
};

int syncer_start(struct syncer *s, struct slot **slots, uint32_t slot_count, struct error *reterr) MUST_CHECK;
void syncer_stop(struct syncer *s);
/* One generation at a time. */
void syncer_request(struct syncer *s, uint64_t generation);
/* Takes a slot out of the table (or puts one in) between two syncs. */
void syncer_replace(struct syncer *s, uint32_t index, struct slot *slot);
