/* The children of the calling process, and what is below them. A process that is a subreaper
 * (PR_SET_CHILD_SUBREAPER) is the parent of every descendant whose own parent has ended, so it has
 * descendants as long as it has children. Thread: the process must have one thread only, except for
 * offspring_kill. */
#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include "base/types.h"

/* So many children are reaped before something else is done: processes that fork and end all the time may
 * become our children faster than we reap them. */
#define OFFSPRING_REAPED_MAX 256u

/* Adds the times of `from`, and takes the larger ru_maxrss. */
void offspring_add_usage(struct rusage *to, const struct rusage *from);

/* Kills each child of this process that is not in spared[count], and the child's process group with it unless
 * that is our own. The kernel signals a whole group at once, so a group cannot escape by forking. Waits for
 * nobody. */
void offspring_kill(const pid_t spared[], unsigned count);

/* Kills and reaps until this process has no child any more. Adds what they took to *usage. SIGCHLD must be
 * blocked. Returns false when some are left after wait_us. */
bool offspring_end(usec_t wait_us, struct rusage *usage);
