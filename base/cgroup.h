/* Where this process stands among the control groups, and what bounds it there.
 *
 * Format of /proc/self/cgroup: cgroups(7); of /proc/self/mountinfo: proc(5). Limits of v2:
 * https://docs.kernel.org/admin-guide/cgroup-v2.html; of v1: .../cgroup-v1/memory.html and
 * .../scheduler/sched-bwc.html. */
#pragma once

#include "base/types.h"

struct cgroup {
	int version;	  /* of the hierarchy that has the controller: 2, 1; 0 = it is mounted nowhere */
	char mount[4096]; /* where the hierarchy is seen */
	char path[4096];  /* ours below it: "" or "/a/b" */
};

/* Pure: from the texts of the two files. A controller that a v1 hierarchy has is looked for there only,
 * as the kernel gives it to one hierarchy. A group that the mount does not show (another namespace's) is
 * taken for the mount itself. */
void cgroup_parse(struct bytes self, struct bytes mountinfo, const char *controller, struct cgroup *ret);
/* The same for this process. */
void cgroup_own(const char *controller, struct cgroup *ret);

/* The least limit of the group and of all above it; 0 = none. */
uint64_t cgroup_memory_bytes(const struct cgroup *c); /* v2 memory.max, v1 memory.limit_in_bytes */
uint64_t cgroup_quota_milli(const struct cgroup *c);  /* thousandths of a cpu; v2 cpu.max, v1 cpu.cfs_* */
