/* The thread that syncs output segments, so that the agent never waits for a disk. */
#pragma once

#include <pthread.h>

#include "worker/io/output.h"

struct syncer {
	pthread_t thread;
	struct output_dir *dir;
	pthread_mutex_t lock; /* of all below; never held while a disk is waited for */
	pthread_cond_t wake;
	uint32_t *segments; /* of the generation wanted */
	uint32_t segment_count, segment_room;
	uint64_t wanted, done; /* generations */
	struct error failed;   /* of `done`; code 0 = fine */
	int failed_errno;
	bool stop, running;
	int fd; /* eventfd: readable when done moved */
};

int syncer_start(struct syncer *s, struct output_dir *dir, struct error *reterr) MUST_CHECK;
/* Finishes what is under way. Accepts one that never started, all zero. */
void syncer_stop(struct syncer *s);
/* One generation at a time: the one before is done. The numbers are copied. */
void syncer_request(struct syncer *s, uint64_t generation, const uint32_t *segments, uint32_t count);
