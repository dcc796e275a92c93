/* Removes the blobs of jobs that are over for good: that no shard needs that is not done and may still be
 * asked for. A job's end brings it about, and what that missed is looked for at the start and every ten
 * minutes. Directory, files and history are read in a reader's thread. Thread: the loop's. */
#pragma once

#include "dispatcher/core/core.h"

struct services;
struct sweep;

/* dir_fd: of the plans, which outlives it. */
struct sweep *sweep_create(struct services *s, int dir_fd) MUST_CHECK;
/* After the readers are closed. NULL is fine. */
void sweep_destroy(struct sweep *sw);
/* Looks through the directory, unless it does already. */
void sweep_begin(struct sweep *sw);
/* It is told of each, since it may be reading what history said before. */
void sweep_on_ended(struct sweep *sw, const struct job_ended *job);
