/* A worker's own directory: <scratch>/<worker id>/, with a lock that ends with its process; and the
 * directories of workers that are no more, whose leftovers a new worker ends. */
#pragma once

#include "jobs/schema.h"

struct home {
	struct uuid worker;
	char path[3000];
	int lock_fd;
	struct uuid *gone; /* workers whose directories were found with a free lock */
	uint32_t gone_count;
};

/* The directory that homes lie in: `said`, or when that is "" <TMPDIR or /tmp>/shardmill-<uid>, which is made
 * for us alone. One of that name that is another's, a link, or open to others is refused: who may write
 * there may plant what we then run or remove. (Not $XDG_RUNTIME_DIR: inputs are put there, and it is a
 * small part of memory.) */
int home_scratch(const char *said, char *ret, size_t size, struct error *reterr) MUST_CHECK;

/* Draws a random id, makes and locks the directory, then sweeps: for each sibling whose lock is free,
 * every process that has its id in SHARDMILL_WORKER is killed, its directory removed, its id noted. */
int home_open(struct home *h, const char *scratch, struct error *reterr) MUST_CHECK;
/* Removes the directory. */
void home_close(struct home *h);
