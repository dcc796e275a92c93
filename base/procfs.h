/* What /proc tells of processes (proc(5)). */
#pragma once

#include <sys/types.h>

#include "base/types.h"

/* Children of the calling process, which must have one thread only. Returns how many of ret[room] were
 * filled; there may be more. */
unsigned procfs_children(pid_t *ret, unsigned room);
