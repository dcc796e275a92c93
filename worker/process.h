/* Starting, watching and ending one attempt's process tree.
 *
 * The child leads a session of its own; it inherits the calling thread's binding and memory policy.
 * It is started like posix_spawn does it (clone with VM and VFORK: nothing of a large worker is
 * copied), by hand because posix_spawn can set no limits and gives no pidfd. In a control group it does
 * get a copy of our memory: a process that the kernel ends for lack of memory before it has become its
 * program would take with it all that share its memory, the worker.
 * Thread: any; a struct process belongs to one thread, but process_kill_tree may be called from another
 * while that one waits. */
#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include "base/error.h"

/* Bytes of stack that the child needs until it becomes another program. */
#define PROCESS_STACK_BYTES ((size_t)32768)

struct process_spec {
	const char *path;  /* of the executable, looked up already */
	char *const *argv; /* NULL-terminated, as envp */
	char *const *envp;
	const char *directory;
	int stdin_fd, stdout_fd, stderr_fd; /* -1: /dev/null */
	uint64_t file_bytes_max;	    /* RLIMIT_FSIZE; 0 = as the worker's */
	uint64_t data_bytes_max;	    /* RLIMIT_DATA; 0 = as the worker's */
	int cgroup_fd;	   /* of the group that it starts in: its cgroup.procs; 0 or -1 = the worker's */
	int cgroup_dir_fd; /* v2: its directory, too, which costs less; else 0 or -1 */
	void *stack;	   /* PROCESS_STACK_BYTES, 16-aligned; one start at a time */
};

struct process {
	pid_t pid;
	int pidfd;
};

struct process_end {
	bool exited; /* else by a signal */
	int code;    /* exit code or signal */
	/* Of the whole group, as far as somebody waited for it. Only times (tv_usec may pass a second) and
	 * ru_maxrss are to be read; the latter is never below what the starting process had in memory: the
	 * child was in there until it became another program. */
	struct rusage usage;
};

/* The executable that argv[0] names: itself when it has a slash, else by PATH. The text goes to
 * ret[size]. ERR_NOT_FOUND and ERR_DENIED in words. */
int process_find(const char *name, char *ret, size_t size, struct error *reterr) MUST_CHECK;

/* On failure the errno of the step that failed is in *ret_errno and its words in reterr. */
int process_start(const struct process_spec *spec, struct process *ret, int *ret_errno,
		  struct error *reterr) MUST_CHECK;

/* Blocks until the leader ends, then ends what is left of its group, waits for that too (as far as it is
 * handed to us: prctl(PR_SET_CHILD_SUBREAPER)), and closes the pidfd. */
void process_wait(struct process *p, struct process_end *ret);

/* User and system time. */
uint64_t process_end_cpu_us(const struct process_end *end);
uint64_t process_end_max_rss_bytes(const struct process_end *end);

/* What a process that is not reaped has taken so far, without its children; 0 = not known. */
uint64_t process_cpu_us(pid_t pid);
uint64_t process_max_rss_bytes(pid_t pid);

/* Signals the whole group; harmless when it has ended. */
void process_kill_tree(pid_t leader, int sig);
