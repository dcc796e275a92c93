/* Which of a worker's cores a slot gets, and what it is bound to there. */
#include "base/check.h"
#include "jobs/kinds.h"
#include "worker/machine/topology.h"

#define CORE_MILLI 1000u

static bool lies_in(const struct topology *t, unsigned core, hwloc_obj_t o)
{
	return o == NULL || hwloc_bitmap_isincluded(t->cores[core], o->cpuset);
}

/* Where it just fits; where least is, when it fits nowhere. */
static unsigned place_part(const struct topology *t, const uint32_t used[], uint32_t milli)
{
	unsigned fits = t->core_count, least = 0;

	for (unsigned i = 0; i < t->core_count; i++) {
		if (used[i] + milli <= CORE_MILLI && (fits == t->core_count || used[i] > used[fits]))
			fits = i;
		if (used[i] < used[least])
			least = i;
	}
	return fits < t->core_count ? fits : least;
}

static unsigned unused_in(const struct topology *t, const uint32_t used[], hwloc_obj_t o)
{
	unsigned count = 0;

	for (unsigned i = 0; i < t->core_count; i++)
		count += used[i] == 0 && lies_in(t, i, o);
	return count;
}

/* The smallest part of the machine (cache, package, node) with so many unused cores; of several the one
 * with fewest of them, so that the others stay large. NULL: there is none. */
static hwloc_obj_t smallest_part(const struct topology *t, const uint32_t used[], unsigned count)
{
	int depth = hwloc_get_type_depth(t->hwloc, HWLOC_OBJ_CORE);

	if (depth < 0)
		depth = hwloc_get_type_depth(t->hwloc, HWLOC_OBJ_PU);
	while (depth-- > 0) {
		hwloc_obj_t best = NULL;
		unsigned least = UINT32_MAX;

		for (hwloc_obj_t o = NULL; (o = hwloc_get_next_obj_by_depth(t->hwloc, depth, o)) != NULL;) {
			unsigned unused = unused_in(t, used, o);

			if (unused >= count && unused < least) {
				best = o;
				least = unused;
			}
		}
		if (best != NULL)
			return best;
	}
	return NULL;
}

/* So many side by side that have least to do. */
static unsigned least_used(const struct topology *t, const uint32_t used[], unsigned count)
{
	uint64_t best_load = UINT64_MAX;
	unsigned best = 0;

	for (unsigned first = 0; first + count <= t->core_count; first++) {
		uint64_t load = 0;

		for (unsigned i = first; i < first + count; i++)
			load += used[i];
		if (load < best_load) {
			best = first;
			best_load = load;
		}
	}
	return best;
}

unsigned topology_place(const struct topology *t, const uint32_t used_milli[], uint64_t cpu_milli,
			unsigned ret_cores[])
{
	uint64_t wanted = (cpu_milli + CORE_MILLI - 1) / CORE_MILLI;
	/* More than there is, when the worker was told to hand out more. */
	unsigned count = wanted > t->core_count ? t->core_count : wanted == 0 ? 1 : (unsigned)wanted;
	unsigned n = 0, first;
	hwloc_obj_t part;

	if (cpu_milli < CORE_MILLI) {
		ret_cores[0] = place_part(t, used_milli, (uint32_t)cpu_milli);
		return 1;
	}
	part = smallest_part(t, used_milli, count);
	for (unsigned i = 0; part != NULL && i < t->core_count && n < count; i++)
		if (used_milli[i] == 0 && lies_in(t, i, part))
			ret_cores[n++] = i;
	first = n == count ? 0 : least_used(t, used_milli, count);
	for (; n < count; n++)
		ret_cores[n] = first + n;
	return count;
}

void topology_use(uint32_t used_milli[], uint64_t cpu_milli, const unsigned cores[], unsigned count, int sign)
{
	for (unsigned i = 0; i < count; i++) {
		uint32_t milli = cpu_milli > CORE_MILLI ? CORE_MILLI : (uint32_t)cpu_milli;

		used_milli[cores[i]] = sign > 0 ? used_milli[cores[i]] + milli : used_milli[cores[i]] - milli;
		cpu_milli -= milli;
	}
}

static void add_l3(const struct topology *t, unsigned core, hwloc_cpuset_t set)
{
	hwloc_obj_t o = hwloc_get_obj_covering_cpuset(t->hwloc, t->cores[core]);

	while (o != NULL && o->type != HWLOC_OBJ_L3CACHE)
		o = o->parent;
	hwloc_bitmap_or(set, set, o != NULL ? o->cpuset : t->set); /* none is known: the node */
}

void topology_pin_set(const struct topology *t, const unsigned cores[], unsigned count, uint8_t pin,
		      hwloc_cpuset_t ret)
{
	CHECK(count > 0);
	hwloc_bitmap_zero(ret);
	if (pin == PIN_NONE)
		hwloc_bitmap_copy(ret, t->all);
	else if (pin == PIN_NUMA)
		hwloc_bitmap_copy(ret, t->set);
	for (unsigned i = 0; i < count; i++) {
		CHECK(cores[i] < t->core_count);
		if (pin == PIN_PU)
			hwloc_bitmap_set(ret, (unsigned)hwloc_bitmap_first(t->cores[cores[i]]));
		else if (pin == PIN_L3)
			add_l3(t, cores[i], ret);
		else if (pin != PIN_NONE && pin != PIN_NUMA)
			hwloc_bitmap_or(ret, ret, t->cores[cores[i]]);
	}
	if (pin == PIN_L3)
		hwloc_bitmap_and(ret, ret, t->set);
}
