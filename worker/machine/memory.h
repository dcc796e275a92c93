/* Who holds attempts to the memory that their shape gives them, and what is known when one needed more.
 *
 * By a control group for each slot (v2 where it is delegated, v1 where its memory controller can be
 * written): all processes of an attempt together, page cache and tmpfs too, no swap. The kernel ends what
 * passes the bound, and says so. https://docs.kernel.org/admin-guide/cgroup-v2.html (memory.max,
 * memory.oom.group, cgroup.kill), .../cgroup-v1/memory.html.
 * Else by RLIMIT_DATA: each process by itself, its heap, private writable mappings and thread stacks,
 * touched or not; a larger allocation then fails, and what the program does about that is its own. That it
 * was memory can be told only when the program says so in its last line, or when it was seen near the
 * bound; an attempt that fails at once and says nothing is an exit code or a signal.
 *
 * Bounds are opened by the agent. A group belongs to a slot's thread. */
#pragma once

#include <sys/types.h>

#include "base/types.h"
#include "jobs/schema.h"
#include "worker/machine/cgroup_root.h"

enum memory_means { MEMORY_OFF, MEMORY_CGROUP2, MEMORY_CGROUP1, MEMORY_RLIMIT };

struct memory_bounds {
	uint8_t means;		 /* enum memory_means */
	char parent[4096];	 /* the group below which ours lies */
	struct cgroup_root root; /* <parent>/shardmill-<worker id>: of all our groups */
	bool moved;		 /* the worker had to leave <parent>, and stands in <root>/worker */
};

enum memory_how { MEMORY_HOW_AUTO, MEMORY_HOW_CGROUP, MEMORY_HOW_RLIMIT, MEMORY_HOW_OFF };

/* how: as the parameter memory_bound. group: a directory below a cgroup mount that is ours to use; "" is
 * the process's own. Beside ours, those of workers that are gone (nobody holds their lock) are removed, with
 * what runs in them.
 * ERR_DENIED when it must be a cgroup and cannot. *b is to be closed in any case. */
int memory_bounds_open(struct memory_bounds *b, uint8_t how, const char *group, const struct uuid *worker,
		       struct error *reterr) MUST_CHECK;
void memory_bounds_close(struct memory_bounds *b);
/* "cgroup v2 below /sys/fs/cgroup/…": for the log. */
const char *memory_bounds_text(const struct memory_bounds *b, char *buf, size_t size);

struct memory_group {
	uint8_t means;
	uint64_t bytes;
	char path[4400];
	int dir_fd;	     /* v2: of its directory, -1: none */
	int procs_fd;	     /* of its cgroup.procs, -1: none; who writes "0" there is in it */
	uint64_t kills;	     /* before the attempt began */
	uint64_t hits;	     /* v2: the bound was passed so often */
	uint64_t peak_bytes; /* rlimit: the most that was seen */
};

/* bytes 0, or bounds NULL: unbounded. name: unique within the worker. What cannot be made is told in the
 * log, and rlimits do. */
void memory_group_open(struct memory_group *g, const struct memory_bounds *bounds, const char *name,
		       uint64_t bytes);
void memory_group_close(struct memory_group *g);

/* An attempt begins. */
void memory_group_begin(struct memory_group *g);
/* Kills all that is in it, wherever it went; true when there is a group. */
bool memory_group_kill(const struct memory_group *g);
/* RLIMIT_DATA of what starts in it; 0: none. */
uint64_t memory_data_bytes(const struct memory_group *g);
/* Its processes are to be looked at by memory_look while they run. */
bool memory_wants_looks(const struct memory_group *g);
void memory_look(struct memory_group *g, pid_t leader);

enum memory_verdict {
	MEMORY_ENOUGH, /* or nothing is known */
	MEMORY_SHORT,  /* it needed more than its bound */
	MEMORY_BEYOND, /* the kernel ended one for lack of memory elsewhere: the machine's, a group's above */
};
/* The attempt's leader has ended: what is left of it is killed and reaped. failed: by itself, with these
 * last words. Why: in ret[size]. */
enum memory_verdict memory_group_end(struct memory_group *g, bool failed, const char *words, char *ret,
				     size_t size);
