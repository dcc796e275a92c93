/* Which cores each worker of this machine gets: disjoint sets, each inside one NUMA node (hwloc).
 *
 * A whole core is dealt, with all its hardware threads. Under a CPU quota (cgroup) that is less than
 * the cores only as many are dealt as the quota pays for, and the workers must not pin: which cores the
 * quota is spent on is the kernel's affair. */
#pragma once

#include <hwloc.h>

#include "base/error.h"

/* Room for one worker. */
struct core_place {
	hwloc_bitmap_t set;
	char *text; /* "0-3,8", as the worker's --cores takes it */
	unsigned core_count;
	unsigned numa_node;    /* as the system numbers it */
	uint64_t memory_bytes; /* its part of the node's; 0 = not known */
};

struct core_deal {
	struct core_place *places;
	size_t count;
	unsigned core_count;  /* of the machine, that we may use */
	unsigned quota_cores; /* 0 = no quota below core_count */
	bool clamped;	      /* no node has as many cores as were asked for; a worker gets a whole one */
};

/* Cuts the cores of `usable` (NULL = all). cpu_milli: of each worker, rounded up to cores; 0 = all of a
 * node. quota_milli, limit_bytes: the cgroup's; 0 = none. A node's remainder that fills no worker stays
 * unused. Places alternate between nodes, so that the first few have a node each.
 * core_deal_fini is due. */
void core_deal_init(struct core_deal *d, hwloc_topology_t topology, hwloc_const_bitmap_t usable,
		    uint32_t cpu_milli, uint64_t quota_milli, uint64_t limit_bytes);
void core_deal_fini(struct core_deal *d);
/* The same for this process on this machine. ERR_IO. */
int core_deal_machine(struct core_deal *d, uint32_t cpu_milli, struct error *reterr) MUST_CHECK;
/* True when the list shares a core with the place; text that is no list shares all. */
bool core_place_overlaps(const struct core_place *p, const char *list);
