/* Starting, watching and ending one attempt's processes, through a reaper (worker/run/reaper.h).
 *
 * Thread: a struct reaper and what it runs belong to one thread. */
#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/error.h"
#include "jobs/totals.h"
#include "worker/run/nursery.h"

/* It runs one process after the other. Its own process is made when it is needed, and again when it was
 * killed. */
struct reaper {
	const struct nursery *nursery;
	int fd; /* -1: no process yet */
	struct buf text;
};

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
	/* So long, below a second, the caller waits to see whether it ends at once, which is cheaper. */
	uint32_t patience_us;
};

struct process_end {
	bool exited; /* else by a signal */
	int code;    /* exit code or signal */
	/* Of all its processes, as far as somebody waited for them. Only times and ru_maxrss are to be read;
	 * the latter is never below what the reaper has in memory, where the child began. */
	struct rusage usage;
};

struct process {
	struct reaper *reaper;
	pid_t pid;		/* of the first one, the leader of its session */
	int end_fd;		/* readable when all have ended */
	bool has_ended;		/* while it was started */
	struct process_end end; /* then */
};

/* The executable that argv[0] names: itself when it has a slash, else by PATH. The text goes to
 * ret[size]. ERR_NOT_FOUND and ERR_DENIED in words. */
int process_find(const char *name, char *ret, size_t size, struct error *reterr) MUST_CHECK;

void reaper_init(struct reaper *r, const struct nursery *n);
/* Ends what runs in it, without waiting. */
void reaper_fini(struct reaper *r);
/* What starts from now on runs where the calling thread may run, and has its memory where the calling thread
 * has. The reaper's process takes this over when it is made, so only a change must be told. */
void reaper_bind_as_caller(struct reaper *r);

/* On failure the errno of the step that failed is in *ret_errno and its words in reterr. */
int process_start(struct reaper *r, const struct process_spec *spec, struct process *ret, int *ret_errno,
		  struct error *reterr) MUST_CHECK;

/* Blocks until the leader has ended, and then all that is left of what it started, wherever it went. */
void process_wait(struct process *p, struct process_end *ret);

/* User and system time. */
/* What it took, as far as the system tells: the rest of *ret stays. */
void process_end_totals(const struct process_end *end, struct totals *ret);

/* What a process that is not reaped has taken so far, without its children: what can be looked at for each
 * shard of microseconds, and what costs more. What is not told (any more) stays in *ret as it is. */
void process_cheap_totals(pid_t pid, struct totals *ret);
void process_other_totals(pid_t pid, struct totals *ret);

/* Signals the leader's process group; harmless when it has ended. SIGKILL ends all. */
void process_signal(const struct process *p, int sig);
