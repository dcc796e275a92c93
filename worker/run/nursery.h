/* The nursery: a process that the worker forks before it is large, so that reapers are small. It forks a
 * reaper for each slot and each resident runner that asks for one.
 *
 * Below the worker stand the nursery, its reapers, their attempts. Each is a subreaper: what a reaper that
 * was killed leaves is handed to the nursery, which ends it. When the worker ends, in whatever way, the
 * sockets close, the reapers end their attempts and then themselves, and the nursery after them. Thread:
 * nursery_reaper any; the others the agent's. */
#pragma once

#include <sys/types.h>

#include "base/error.h"

struct nursery {
	int fd; /* readable when the nursery has ended, which it should not do by itself */
	pid_t pid;
};

/* To be called while the process is small, holds no secrets and has one thread. Attempts inherit the limits,
 * the directory and the standard error that the process has now. */
int nursery_open(struct nursery *ret, struct error *reterr) MUST_CHECK;
/* Waits until the nursery and all reapers have ended, so reapers' sockets must be closed. */
void nursery_close(struct nursery *n);

/* The nursery holds this descriptor open as well, until it ends or is given another; so do the reapers that
 * it forks meanwhile, until they end. A lock (flock) on it then says that the worker or something that it
 * started still runs. */
int nursery_hold(const struct nursery *n, int fd, struct error *reterr) MUST_CHECK;
/* Each later reaper enters a control group of its own below this one (worker/machine/groups.h). */
int nursery_groups(const struct nursery *n, const char *path, struct error *reterr) MUST_CHECK;
/* The socket of a new reaper (worker/run/reaper_protocol.h). */
int nursery_reaper(const struct nursery *n, int *ret_fd, struct error *reterr) MUST_CHECK;
