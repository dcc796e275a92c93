#include "worker/topology.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"

#define CORE_NUMBER_MAX 65535

static int load(hwloc_topology_t *ret, struct error *reterr)
{
	if (hwloc_topology_init(ret) < 0 || hwloc_topology_load(*ret) < 0)
		return error_set(reterr, ERR_IO, "hwloc cannot read this machine's topology: %s",
				 strerror(errno));
	return 0;
}

/* "0-3,8", nothing else: hwloc's own parser takes much that is a mistake. */
static bool parse_cores(const char *text, hwloc_cpuset_t ret)
{
	for (;;) {
		unsigned long first, last;
		char *end;

		if (!isdigit((unsigned char)*text))
			return false;
		first = last = strtoul(text, &end, 10);
		if (*end == '-') {
			text = end + 1;
			if (!isdigit((unsigned char)*text))
				return false;
			last = strtoul(text, &end, 10);
		}
		if (last > CORE_NUMBER_MAX || first > last)
			return false;
		hwloc_bitmap_set_range(ret, (unsigned)first, (int)last);
		if (*end == '\0')
			return true;
		if (*end != ',')
			return false;
		text = end + 1;
	}
}

/* What we may use: the process's own binding, cut to what the caller names. */
static int usable(struct topology *t, const char *cores, hwloc_cpuset_t set, struct error *reterr)
{
	hwloc_cpuset_t named;

	if (hwloc_get_cpubind(t->hwloc, set, HWLOC_CPUBIND_PROCESS) < 0)
		hwloc_bitmap_copy(set, hwloc_topology_get_allowed_cpuset(t->hwloc));
	hwloc_bitmap_and(set, set, hwloc_topology_get_allowed_cpuset(t->hwloc));
	if (cores == NULL)
		return 0;
	named = hwloc_bitmap_alloc();
	if (!parse_cores(cores, named)) {
		hwloc_bitmap_free(named);
		error_set(reterr, ERR_INVALID, "expected cores like 0-3,8, found `%s`", cores);
		return ERR_INVALID;
	}
	if (!hwloc_bitmap_isincluded(named, set)) {
		hwloc_bitmap_free(named);
		error_set(reterr, ERR_DENIED, "the cores %s are not all this process's to use", cores);
		error_help(reterr, "see `taskset -p %d` for those that are", (int)getpid());
		return ERR_DENIED;
	}
	hwloc_bitmap_copy(set, named);
	hwloc_bitmap_free(named);
	return 0;
}

/* One processing unit of each core: hyperthreads of one core would fight for it. */
static void pick_cores(struct topology *t, hwloc_const_cpuset_t set)
{
	int count = hwloc_get_nbobjs_by_type(t->hwloc, HWLOC_OBJ_CORE);

	for (int i = 0; i < count; i++) {
		hwloc_obj_t core = hwloc_get_obj_by_type(t->hwloc, HWLOC_OBJ_CORE, (unsigned)i);
		hwloc_cpuset_t both = hwloc_bitmap_alloc();

		hwloc_bitmap_and(both, core->cpuset, set);
		if (!hwloc_bitmap_iszero(both))
			hwloc_bitmap_set(t->cores, (unsigned)hwloc_bitmap_first(both));
		hwloc_bitmap_free(both);
	}
	if (hwloc_bitmap_iszero(t->cores)) /* no cores known, as in some guests */
		hwloc_bitmap_copy(t->cores, set);
	t->core_count = (unsigned)hwloc_bitmap_weight(t->cores);
}

/* Of a node's memory the part that its processing units in `set` are of all of them. */
static uint64_t memory_part(hwloc_obj_t node, hwloc_const_cpuset_t set)
{
	hwloc_cpuset_t both = hwloc_bitmap_alloc();
	uint64_t all = (uint64_t)hwloc_bitmap_weight(node->cpuset), ours;

	hwloc_bitmap_and(both, node->cpuset, set);
	ours = (uint64_t)hwloc_bitmap_weight(both);
	hwloc_bitmap_free(both);
	return all == 0 ? 0
			: (uint64_t)((double)node->attr->numanode.local_memory * (double)ours / (double)all);
}

/* Ours is the node with most of our cores. */
static void pick_node(struct topology *t, hwloc_const_cpuset_t set)
{
	int count = hwloc_get_nbobjs_by_type(t->hwloc, HWLOC_OBJ_NUMANODE), best = -1;

	t->node_count = count > 0 ? (unsigned)count : 1;
	for (int i = 0; i < count; i++) {
		hwloc_obj_t node = hwloc_get_obj_by_type(t->hwloc, HWLOC_OBJ_NUMANODE, (unsigned)i);
		hwloc_cpuset_t both = hwloc_bitmap_alloc();

		hwloc_bitmap_and(both, node->cpuset, t->cores);
		if (hwloc_bitmap_weight(both) > best) {
			best = hwloc_bitmap_weight(both);
			t->numa_node = node->os_index;
			t->memory_bytes = memory_part(node, set);
		}
		hwloc_bitmap_free(both);
	}
}

/* cgroup v2, then v1; a limit that is "max" or beyond the machine says nothing. */
static uint64_t cgroup_memory_bytes(void)
{
	static const char *const files[] = {"/sys/fs/cgroup/memory.max",
					    "/sys/fs/cgroup/memory/memory.limit_in_bytes"};
	unsigned long long bytes = 0;

	for (size_t i = 0; i < ARRAY_LENGTH(files); i++) {
		FILE *f = fopen(files[i], "re");

		if (f == NULL)
			continue;
		if (fscanf(f, "%llu", &bytes) != 1)
			bytes = 0;
		fclose(f);
		if (bytes != 0)
			break;
	}
	return bytes;
}

int topology_open(const char *cores, int pin, struct topology *ret, struct error *reterr)
{
	struct topology t = {.cores = hwloc_bitmap_alloc()};
	hwloc_cpuset_t set = hwloc_bitmap_alloc();
	uint64_t limit = cgroup_memory_bytes();
	int rc = load(&t.hwloc, reterr);

	if (rc == 0)
		rc = usable(&t, cores, set, reterr);
	if (rc == 0) {
		bool narrowed =
		    cores != NULL || !hwloc_bitmap_isequal(set, hwloc_topology_get_complete_cpuset(t.hwloc));

		pick_cores(&t, set);
		pick_node(&t, set);
		t.pin = pin == 1 || (pin == 0 && narrowed);
		if (limit != 0 && (t.memory_bytes == 0 || limit < t.memory_bytes))
			t.memory_bytes = limit;
		*ret = t;
	} else {
		topology_close(&t);
	}
	hwloc_bitmap_free(set);
	return rc;
}

void topology_close(struct topology *t)
{
	hwloc_bitmap_free(t->cores);
	if (t->hwloc != NULL)
		hwloc_topology_destroy(t->hwloc);
	*t = (struct topology){0};
}

int topology_bind_thread(const struct topology *t, unsigned first, unsigned count, struct error *reterr)
{
	hwloc_cpuset_t set;
	hwloc_nodeset_t nodes;
	int core = hwloc_bitmap_first(t->cores), rc;

	if (!t->pin)
		return 0;
	CHECK(count > 0 && first + count <= t->core_count);
	set = hwloc_bitmap_alloc();
	nodes = hwloc_bitmap_alloc();
	for (unsigned i = 0; i < first + count; i++) {
		if (i >= first)
			hwloc_bitmap_set(set, (unsigned)core);
		core = hwloc_bitmap_next(t->cores, core);
	}
	rc = hwloc_set_cpubind(t->hwloc, set, HWLOC_CPUBIND_THREAD);
	hwloc_bitmap_set(nodes, t->numa_node);
	if (rc == 0 && t->node_count > 1)
		rc = hwloc_set_membind(t->hwloc, nodes, HWLOC_MEMBIND_BIND,
				       HWLOC_MEMBIND_THREAD | HWLOC_MEMBIND_BYNODESET);
	if (rc < 0)
		error_set(reterr, ERR_IO, "cannot bind a slot to its cores: %s", strerror(errno));
	hwloc_bitmap_free(set);
	hwloc_bitmap_free(nodes);
	return rc < 0 ? ERR_IO : 0;
}
