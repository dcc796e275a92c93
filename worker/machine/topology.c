#include "worker/machine/topology.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cgroup.h"
#include "base/check.h"
#include "jobs/kinds.h"

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
static int usable(struct topology *t, const char *cores, struct error *reterr)
{
	/* A topology that was given (HWLOC_SYNTHETIC) is not this machine: no binding to ask for. */
	if (hwloc_get_cpubind(t->hwloc, t->all, HWLOC_CPUBIND_PROCESS) < 0)
		hwloc_bitmap_copy(t->all, hwloc_topology_get_allowed_cpuset(t->hwloc));
	hwloc_bitmap_and(t->all, t->all, hwloc_topology_get_allowed_cpuset(t->hwloc));
	hwloc_bitmap_copy(t->set, t->all);
	if (cores == NULL)
		return 0;
	hwloc_bitmap_zero(t->set);
	if (!parse_cores(cores, t->set)) {
		error_set(reterr, ERR_INVALID, "expected cores like 0-3,8, found `%s`", cores);
		return ERR_INVALID;
	}
	if (!hwloc_bitmap_isincluded(t->set, t->all)) {
		error_set(reterr, ERR_DENIED, "the cores %s are not all this process's to use", cores);
		error_help(reterr, "see `taskset -p %d` for those that are", (int)getpid());
		return ERR_DENIED;
	}
	return 0;
}

/* Cores in hwloc's order, which puts neighbours side by side. In some guests no cores are known: each
 * processing unit is one then. */
static void pick_cores(struct topology *t)
{
	int count = hwloc_get_nbobjs_by_type(t->hwloc, HWLOC_OBJ_CORE);
	hwloc_obj_type_t type = count > 0 ? HWLOC_OBJ_CORE : HWLOC_OBJ_PU;

	for (hwloc_obj_t o = NULL; (o = hwloc_get_next_obj_by_type(t->hwloc, type, o)) != NULL;) {
		hwloc_cpuset_t both = hwloc_bitmap_alloc();

		hwloc_bitmap_and(both, o->cpuset, t->set);
		if (hwloc_bitmap_iszero(both)) {
			hwloc_bitmap_free(both);
			continue;
		}
		t->cores = check_realloc(t->cores, t->core_count + 1, sizeof(hwloc_cpuset_t));
		t->cores[t->core_count++] = both;
	}
}

/* Of a node's memory the part that its processing units of ours are of all of them. */
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
static void pick_node(struct topology *t)
{
	int count = hwloc_get_nbobjs_by_type(t->hwloc, HWLOC_OBJ_NUMANODE), best = -1;

	t->node_count = count > 0 ? (unsigned)count : 1;
	for (int i = 0; i < count; i++) {
		hwloc_obj_t node = hwloc_get_obj_by_type(t->hwloc, HWLOC_OBJ_NUMANODE, (unsigned)i);
		hwloc_cpuset_t both = hwloc_bitmap_alloc();

		hwloc_bitmap_and(both, node->cpuset, t->set);
		if (hwloc_bitmap_weight(both) > best) {
			best = hwloc_bitmap_weight(both);
			t->numa_node = node->os_index;
			t->memory_bytes = memory_part(node, t->set);
		}
		hwloc_bitmap_free(both);
	}
}

/* A cgroup's bound is for all that is in it: of several workers each would count the whole. */
static void apply_cgroup(struct topology *t)
{
	struct cgroup own;
	uint64_t limit;

	cgroup_own("memory", &own);
	limit = cgroup_memory_bytes(&own);
	if (limit != 0 && (t->memory_bytes == 0 || limit < t->memory_bytes))
		t->memory_bytes = limit;
}

int topology_open(const char *cores, int pin, struct topology *ret, struct error *reterr)
{
	struct topology t = {.all = hwloc_bitmap_alloc(), .set = hwloc_bitmap_alloc()};
	int rc = load(&t.hwloc, reterr);

	if (rc == 0)
		rc = usable(&t, cores, reterr);
	if (rc < 0) {
		topology_close(&t);
		return rc;
	}
	pick_cores(&t);
	pick_node(&t);
	apply_cgroup(&t);
	t.pin = pin == 1 ||
		(pin == 0 && (cores != NULL ||
			      !hwloc_bitmap_isequal(t.set, hwloc_topology_get_complete_cpuset(t.hwloc))));
	*ret = t;
	return 0;
}

void topology_close(struct topology *t)
{
	hwloc_bitmap_free(t->all);
	hwloc_bitmap_free(t->set);
	for (unsigned i = 0; i < t->core_count; i++)
		hwloc_bitmap_free(t->cores[i]);
	free(t->cores);
	if (t->hwloc != NULL)
		hwloc_topology_destroy(t->hwloc);
	*t = (struct topology){0};
}

/* Binding */

/* Strictly: hwloc would else only prefer the node, and the kernel then goes to another one as soon as
 * cached files fill it, in place of dropping some. Of a machine with one node, too, so that it is tried
 * everywhere. A kernel without NUMA has nothing to bind to. */
static int bind_memory(const struct topology *t, bool anywhere, int flags)
{
	hwloc_nodeset_t nodes;
	int rc;

	if (!hwloc_topology_get_support(t->hwloc)->membind->set_thisthread_membind)
		return 0;
	nodes = hwloc_bitmap_alloc();
	if (anywhere)
		hwloc_bitmap_copy(nodes, hwloc_topology_get_complete_nodeset(t->hwloc));
	else
		hwloc_bitmap_set(nodes, t->numa_node);
	rc = hwloc_set_membind(t->hwloc, nodes, anywhere ? HWLOC_MEMBIND_DEFAULT : HWLOC_MEMBIND_BIND,
			       HWLOC_MEMBIND_THREAD | HWLOC_MEMBIND_BYNODESET |
				   (anywhere ? 0 : HWLOC_MEMBIND_STRICT) | flags);
	hwloc_bitmap_free(nodes);
	return rc;
}

int topology_bind_thread(const struct topology *t, const unsigned cores[], unsigned count, uint8_t pin,
			 struct error *reterr)
{
	hwloc_cpuset_t set;
	int rc;

	if (!t->pin)
		return 0;
	set = hwloc_bitmap_alloc();
	topology_pin_set(t, cores, count, pin, set);
	rc = hwloc_set_cpubind(t->hwloc, set, HWLOC_CPUBIND_THREAD);
	if (rc == 0)
		rc = bind_memory(t, pin == PIN_NONE, 0);
	hwloc_bitmap_free(set);
	return rc == 0 ? 0
		       : error_set(reterr, ERR_IO, "cannot bind a slot to its cores: %s", strerror(errno));
}

int topology_bind_worker(const struct topology *t, struct error *reterr)
{
	if (!t->pin)
		return 0;
	if (hwloc_set_cpubind(t->hwloc, t->set, HWLOC_CPUBIND_THREAD) == 0 &&
	    bind_memory(t, false, HWLOC_MEMBIND_MIGRATE) == 0)
		return 0;
	return error_set(reterr, ERR_IO, "cannot bind the worker to its cores: %s", strerror(errno));
}
