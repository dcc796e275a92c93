/* Control groups that end attempts: one for each reaper, and what the reaper starts is born in it.
 *
 * A reaper ends what is below it one by one, so many processes that fork all the time may outrun it. The
 * kernel ends a whole group at once, and no fork gets away. That costs a millisecond or more, since the
 * reaper has to leave the group before: it is what a reaper does when it was not quick enough by itself. v2:
 * cgroup.kill (Linux 5.14), else cgroup.freeze; needs no controller.
 * https://docs.kernel.org/admin-guide/cgroup-v2.html. v1: the freezer; what is frozen cannot fork while it is
 * killed. https://docs.kernel.org/admin-guide/cgroup-v1/freezer-subsystem.html.
 *
 * Groups lie in <parent>/shardmill-reapers-<worker id>/<number>. That group has no controllers below it, so
 * that it may hold processes: reapers that have left theirs. */
#pragma once

#include "base/error.h"
#include "worker/machine/cgroup_root.h"

struct memory_bounds;

struct groups {
	struct cgroup_root root; /* its fd is -1: there are none */
};

/* Below a group that the process may use, a directory. Groups of workers that are gone are removed, with what
 * runs in them. ERR_DENIED: attempts cannot be ended by groups below it. */
int groups_open(struct groups *g, const char *parent, const struct uuid *worker,
		struct error *reterr) MUST_CHECK;
/* Below the first that can be used: `group` (the parameter; "": none), the memory bounds' parent, this
 * process's own group of v2, of the v1 freezer. None is no failure. */
void groups_find(struct groups *g, const char *group, const struct memory_bounds *memory,
		 const struct uuid *worker);
/* The nursery has ended. Accepts one that is not open. */
void groups_close(struct groups *g);

/* In a new reaper, whose number no living one has: it enters the group <number> below groups_fd. Returns the
 * group's descriptor; -1: it cannot, or groups_fd is -1. */
int group_enter(int groups_fd, unsigned number);
/* The calling process leaves the group, for the one that all groups lie in, and comes back. */
bool group_leave(int group_fd);
bool group_return(int group_fd);
/* Kills all that is in the group and in those below it, without waiting. The caller is not. */
void group_kill(int group_fd);
/* The reaper has ended: the group is removed; what is still in it is killed, and the group stays until
 * groups_close. */
void group_remove(int groups_fd, unsigned number);
