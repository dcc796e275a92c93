#include "scaler/providers/cores.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cgroup.h"
#include "base/check.h"

/* ---- dealing ---- */

/* Whole cores of one node that are usable, one bitmap each; *ret_count of them. */
static hwloc_bitmap_t *cores_of(hwloc_topology_t topology, hwloc_const_bitmap_t set, unsigned *ret_count)
{
	int all = hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_CORE);
	/* In some guests no cores are known: each processing unit is one then. */
	hwloc_obj_type_t type = all > 0 ? HWLOC_OBJ_CORE : HWLOC_OBJ_PU;
	hwloc_bitmap_t *cores = NULL;
	unsigned count = 0;

	for (hwloc_obj_t o = NULL; (o = hwloc_get_next_obj_by_type(topology, type, o)) != NULL;) {
		hwloc_bitmap_t both = hwloc_bitmap_alloc();

		hwloc_bitmap_and(both, o->cpuset, set);
		if (hwloc_bitmap_iszero(both)) {
			hwloc_bitmap_free(both);
			continue;
		}
		cores = check_realloc(cores, count + 1, sizeof *cores);
		cores[count++] = both;
	}
	*ret_count = count;
	return cores;
}

static void add_place(struct core_deal *d, hwloc_obj_t node, hwloc_bitmap_t const *cores, unsigned count,
		      unsigned node_cores)
{
	struct core_place p = {.set = hwloc_bitmap_alloc(), .core_count = count};
	uint64_t memory = node->attr != NULL ? node->attr->numanode.local_memory : 0;

	for (unsigned i = 0; i < count; i++)
		hwloc_bitmap_or(p.set, p.set, cores[i]);
	CHECK(hwloc_bitmap_list_asprintf(&p.text, p.set) >= 0);
	p.numa_node = node->os_index;
	p.memory_bytes = memory / node_cores * count;
	d->places = check_realloc(d->places, d->count + 1, sizeof *d->places);
	d->places[d->count++] = p;
}

/* left: cores that the quota still pays for. */
static void deal_node(struct core_deal *d, hwloc_topology_t topology, hwloc_obj_t node,
		      hwloc_const_bitmap_t usable, unsigned wanted, unsigned *left)
{
	hwloc_bitmap_t set = hwloc_bitmap_alloc();
	unsigned count, size, first = 0;
	hwloc_bitmap_t *cores;

	hwloc_bitmap_and(set, node->cpuset, usable);
	cores = cores_of(topology, set, &count);
	d->core_count += count;
	size = wanted == 0 || wanted > count ? count : wanted;
	d->clamped = d->clamped || wanted > count;
	if (size > *left) /* the quota pays for no whole place: the first one gets what it does */
		size = d->count == 0 ? *left : 0;
	for (; size > 0 && first + size <= count && *left >= size; first += size, *left -= size)
		add_place(d, node, cores + first, size, count);
	for (unsigned i = 0; i < count; i++)
		hwloc_bitmap_free(cores[i]);
	free(cores);
	hwloc_bitmap_free(set);
}

/* The k-th places of all nodes before the k+1-th of any. */
static void alternate(struct core_deal *d)
{
	struct core_place *sorted = check_calloc(d->count + 1, sizeof *sorted);
	size_t done = 0;

	for (size_t k = 0; done < d->count; k++)
		for (size_t i = 0, nth = 0; i < d->count; i++) {
			nth = i > 0 && d->places[i].numa_node == d->places[i - 1].numa_node ? nth + 1 : 0;
			if (nth == k)
				sorted[done++] = d->places[i];
		}
	free(d->places);
	d->places = sorted;
}

void core_deal_init(struct core_deal *d, hwloc_topology_t topology, hwloc_const_bitmap_t usable,
		    uint32_t cpu_milli, uint64_t quota_milli, uint64_t limit_bytes)
{
	unsigned wanted = (cpu_milli + 999) / 1000, left = UINT32_MAX, dealt = 0;

	*d = (struct core_deal){0};
	if (usable == NULL)
		usable = hwloc_topology_get_allowed_cpuset(topology);
	if (quota_milli > 0)
		left = (unsigned)((quota_milli + 999) / 1000);
	for (hwloc_obj_t n = NULL; (n = hwloc_get_next_obj_by_type(topology, HWLOC_OBJ_NUMANODE, n)) != NULL;)
		deal_node(d, topology, n, usable, wanted, &left);
	if (quota_milli > 0 && (quota_milli + 999) / 1000 < d->core_count)
		d->quota_cores = (unsigned)((quota_milli + 999) / 1000);
	alternate(d);
	for (size_t i = 0; i < d->count; i++)
		dealt += d->places[i].core_count;
	for (size_t i = 0; i < d->count && limit_bytes > 0; i++) {
		struct core_place *p = &d->places[i];
		uint64_t part = limit_bytes / dealt * p->core_count;

		if (p->memory_bytes == 0 || part < p->memory_bytes)
			p->memory_bytes = part;
	}
}

void core_deal_fini(struct core_deal *d)
{
	for (size_t i = 0; i < d->count; i++) {
		hwloc_bitmap_free(d->places[i].set);
		free(d->places[i].text);
	}
	free(d->places);
	*d = (struct core_deal){0};
}

int core_deal_machine(struct core_deal *d, uint32_t cpu_milli, struct error *reterr)
{
	hwloc_bitmap_t usable = hwloc_bitmap_alloc();
	hwloc_topology_t topology = NULL;
	struct cgroup cpu, memory;
	int rc = 0;

	cgroup_own("cpu", &cpu);
	cgroup_own("memory", &memory);
	if (hwloc_topology_init(&topology) < 0 || hwloc_topology_load(topology) < 0) {
		rc = error_set(reterr, ERR_IO, "hwloc cannot read this machine's topology: %s",
			       strerror(errno));
	} else {
		/* A topology that was given (HWLOC_SYNTHETIC) is not this machine: no binding to ask for. */
		if (hwloc_get_cpubind(topology, usable, HWLOC_CPUBIND_PROCESS) < 0)
			hwloc_bitmap_copy(usable, hwloc_topology_get_allowed_cpuset(topology));
		hwloc_bitmap_and(usable, usable, hwloc_topology_get_allowed_cpuset(topology));
		core_deal_init(d, topology, usable, cpu_milli, cgroup_quota_milli(&cpu),
			       cgroup_memory_bytes(&memory));
	}
	if (topology != NULL)
		hwloc_topology_destroy(topology);
	hwloc_bitmap_free(usable);
	return rc;
}

bool core_place_overlaps(const struct core_place *p, const char *list)
{
	hwloc_bitmap_t set = hwloc_bitmap_alloc();
	bool overlaps;

	/* What cannot be read is taken to be in the way. */
	overlaps = hwloc_bitmap_list_sscanf(set, list) < 0 || hwloc_bitmap_iszero(set) ||
		   hwloc_bitmap_intersects(set, p->set);
	hwloc_bitmap_free(set);
	return overlaps;
}
