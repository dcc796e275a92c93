/* A worker's own directory: <scratch>/<worker id>/, with a lock that ends with its process; and the
 * directories of workers that are no more, which a new worker removes. */
#pragma once

#include <pthread.h>

#include "jobs/schema.h"
#include "worker/machine/disk.h"

struct nursery;

struct home {
	struct uuid worker;
	char path[3000];
	int fd; /* of the directory */
	struct disk_watch disk;
	int lock_fd;
	const struct nursery *nursery; /* that holds the lock as well; NULL: none */
	pthread_mutex_t ensuring;
	struct uuid *gone; /* workers whose directories were found with a free lock */
	uint32_t gone_count;
};

/* Draws a random id, makes and locks the directory, then sweeps: each sibling whose lock is free is
 * removed, and its id noted. If the nursery holds the lock as well (home_share), a
 * free one says that none of its worker's attempts runs. */
int home_open(struct home *h, const char *scratch, struct error *reterr) MUST_CHECK;
/* The nursery, which outlives whatever the worker started, holds the lock from now on, too, and each later
 * lock. */
int home_share(struct home *h, const struct nursery *n, struct error *reterr) MUST_CHECK;
/* Its lock is there, so that no other worker takes the directory for a dead one's. Cleaners of temporary
 * directories remove old files, and leave the directories. */
bool home_is_locked(const struct home *h);
/* The directory is there and ours, and it is locked: else, when somebody has removed it or put something in
 * its place, it is made again. Thread: any, after home_open. */
int home_ensure(struct home *h, struct error *reterr) MUST_CHECK;
/* Removes the directory. Accepts one that is all zero but for descriptors of -1. */
void home_close(struct home *h);
