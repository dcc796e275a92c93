/* What this machine has, and where a slot's thread runs (hwloc).
 *
 * A worker owns cores of one NUMA node. It binds itself and its slots only when those cores are its own:
 * under a cpuset that is narrower than the machine, or when its provider says so (`cores`). Under a bare
 * CPU quota it counts slots and binds nothing. */
#pragma once

#include <hwloc.h>

#include "base/error.h"

struct topology {
	hwloc_topology_t hwloc;
	hwloc_cpuset_t all;    /* that the process could run on when it started */
	hwloc_cpuset_t set;    /* ours: the whole of it, or what the provider dealt */
	hwloc_cpuset_t *cores; /* the processing units of each of our cores; neighbours stand side by side */
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

/* Chooses cores for a slot of cpu_milli; used_milli[core_count] says what other slots take of each.
 * A part of a core goes where it fits best, so that whole cores stay whole; several cores lie below one
 * cache, or as near as they can. Writes their numbers to ret_cores[core_count], returns how many.
 * topology_use adds or takes away what the slot takes of them. */
unsigned topology_place(const struct topology *t, const uint32_t used_milli[], uint64_t cpu_milli,
			unsigned ret_cores[]);
void topology_use(uint32_t used_milli[], uint64_t cpu_milli, const unsigned cores[], unsigned count,
		  int sign);

/* The processing units that slots on these cores are bound to: enum pin_kind (0 is core). */
void topology_pin_set(const struct topology *t, const unsigned cores[], unsigned count, uint8_t pin,
		      hwloc_cpuset_t ret);
/* Binds the calling thread to them, and its memory to our node; what it starts inherits both. Does
 * nothing when the worker does not pin. `pin: none` lets it run and allocate anywhere. */
int topology_bind_thread(const struct topology *t, const unsigned cores[], unsigned count, uint8_t pin,
			 struct error *reterr) MUST_CHECK;
/* The process as a whole, before it starts threads: to all our cores and to our node, where the memory
 * goes that it already has. */
int topology_bind_worker(const struct topology *t, struct error *reterr) MUST_CHECK;
