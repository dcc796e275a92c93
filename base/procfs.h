/* What /proc tells of processes (proc(5)). */
#pragma once

#include <sys/types.h>

#include "base/types.h"

/* A small file, with a NUL behind it: how many bytes of it are there; 0 when it cannot be read. No malloc,
 * and safe in a forked child. */
size_t procfs_read(const char *path, char *ret, size_t size);
/* Children of the calling process, which must have one thread only. Returns how many of ret[room] were
 * filled; there may be more. */
unsigned procfs_children(pid_t *ret, unsigned room);
