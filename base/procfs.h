/* What /proc tells of other processes (proc(5)). */
#pragma once

#include <sys/types.h>

#include "base/types.h"

/* Is `line` ("NAME=value") in the environment that the process started with? false too when it has
 * ended, is a zombie, or is not ours to look at. */
bool procfs_has_environment(pid_t pid, const char *line);

/* A descriptor for procfs_adopted; -1 where the kernel was built without CONFIG_PROC_CHILDREN. */
int procfs_open_adopted(void);
/* Children of the process's main thread, up to `room`: those that it was
 * handed as a subreaper, since slots start theirs in threads of their own. Returns how many of
 * ret[room] were filled. */
unsigned procfs_adopted(int fd, pid_t *ret, unsigned room);

/* Parent of a process; 0: it is gone. */
pid_t procfs_parent(pid_t pid);
