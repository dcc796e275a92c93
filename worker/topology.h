/* What this machine has, and where a slot's thread runs (hwloc).
 *
 * A worker owns cores of one NUMA node. It pins its slots only when those cores are its own: under a
 * cpuset that is narrower than the machine, or when its provider says so (`cores`). Under a bare CPU
 * quota it counts slots and pins nothing. */
#pragma once

#include <hwloc.h>

#include "base/error.h"

struct topology {
	hwloc_topology_t hwloc;
	hwloc_cpuset_t cores; /* one processing unit of each core that is ours */
	unsigned core_count;
	unsigned node_count; /* NUMA nodes of the machine */
	unsigned numa_node;  /* ours (the one with most of our cores), as the system numbers it */
	uint64_t
	    memory_bytes; /* the part of that node's that goes with our cores, or the cgroup's when less */
	bool pin;
};

/* cores: "0-3,8" as the provider dealt them, or NULL: all that the process may use.
 * pin: 0 auto, 1 on, 2 off. */
int topology_open(const char *cores, int pin, struct topology *ret, struct error *reterr) MUST_CHECK;
void topology_close(struct topology *t);

/* Binds the calling thread to `count` cores from `first` on (counted within ours), and its memory to
 * our node. Does nothing when it does not pin. */
int topology_bind_thread(const struct topology *t, unsigned first, unsigned count,
			 struct error *reterr) MUST_CHECK;
