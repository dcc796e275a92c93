/* How a reaper makes the first process of an attempt.
 *
 * The child leads a session of its own; it inherits the calling process's binding and memory policy.
 * It is started as posix_spawn does it (clone with VM and VFORK: no memory is copied), by hand because
 * posix_spawn sets no limits. A child that starts in a control group gets a copy of our memory instead: the
 * kernel may kill it for lack of memory before it has become its program, and would kill all that share its
 * memory, too. Thread: the only one. */
#pragma once

#include <sys/types.h>

#include "base/types.h"

struct spawn_spec {
	const char *path;
	char *const *argv, *const *envp;
	const char *directory;	 /* NULL: ours */
	int streams[3];		 /* above 2; -1: /dev/null, which must be our descriptor 0 */
	uint64_t file_bytes_max; /* RLIMIT_FSIZE; 0 = as ours */
	uint64_t data_bytes_max; /* RLIMIT_DATA; 0 = as ours */
	int cgroup_procs_fd,
	    cgroup_dir_fd; /* of the group that it starts in; the latter in v2 only; else -1 */
};

/* Returns when the child has become its program: its id, or -1 with the errno and the step that failed. */
pid_t spawn(const struct spawn_spec *spec, int *ret_errno, const char **ret_step);
