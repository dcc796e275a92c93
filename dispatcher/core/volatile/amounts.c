#include "dispatcher/core/volatile/amounts.h"

#include <string.h>

/* The number of a name; NAMED_RESOURCES_MAX when it has none. */
static uint32_t find_name(const struct dispatcher_core *core, struct bytes name)
{
	uint32_t i = 0;

	while (i < NAMED_RESOURCES_MAX && core->resource_names[i] != NULL &&
	       !bytes_equal(bytes_of(core->resource_names[i]), name))
		i++;
	if (i < NAMED_RESOURCES_MAX && core->resource_names[i] == NULL)
		return NAMED_RESOURCES_MAX;
	return i;
}

static int intern_name(struct dispatcher_core *core, struct bytes name, uint32_t *ret, struct error *reterr)
{
	*ret = find_name(core, name);
	if (*ret < NAMED_RESOURCES_MAX)
		return 0;
	for (uint32_t i = 0; i < NAMED_RESOURCES_MAX; i++) {
		if (core->resource_names[i] != NULL)
			continue;
		core->resource_names[i] = check_calloc(1, name.size + 1);
		memcpy(core->resource_names[i], name.data, name.size);
		*ret = i;
		return 0;
	}
	error_set(reterr, ERR_LIMIT, "resource %.*s is one name more than the %d that are in use already",
		  (int)name.size, (const char *)name.data, NAMED_RESOURCES_MAX);
	error_help(reterr, "use one of the names that other definitions use");
	return ERR_LIMIT;
}

int amounts_of_shape(struct dispatcher_core *core, const struct resources *r, struct amounts *ret,
		     struct error *reterr)
{
	struct amounts a = {{0}};

	a.v[AMOUNT_CPU] = r->cpu_milli;
	a.v[AMOUNT_MEMORY] = r->memory_bytes;
	a.v[AMOUNT_GPUS] = r->gpu_milli;
	for (uint32_t i = 0; i < r->named.count; i++) {
		uint32_t number;
		int rc = intern_name(core, r->named.items[i].name, &number, reterr);

		if (rc < 0)
			return rc;
		a.v[AMOUNT_NAMED + number] = r->named.items[i].amount;
	}
	for (uint32_t i = 0; i < AMOUNTS; i++)
		if (a.v[i] >= AMOUNT_UNBOUNDED)
			return error_set(reterr, ERR_LIMIT,
					 "an attempt that needs %llu of a resource fits nowhere",
					 (unsigned long long)a.v[i]);
	*ret = a;
	return 0;
}

static uint64_t bounded(uint64_t v)
{
	return v < AMOUNT_UNBOUNDED ? v : AMOUNT_UNBOUNDED;
}

void amounts_of_offer(struct dispatcher_core *core, const struct resources *r, struct amounts *ret)
{
	struct amounts a = {{0}};

	a.v[AMOUNT_CPU] = bounded(r->cpu_milli);
	a.v[AMOUNT_MEMORY] = r->memory_bytes == 0 ? AMOUNT_UNBOUNDED : bounded(r->memory_bytes);
	a.v[AMOUNT_GPUS] = r->gpu_milli;
	for (uint32_t i = 0; i < r->named.count; i++) {
		uint32_t number;

		if (intern_name(core, r->named.items[i].name, &number, NULL) == 0)
			a.v[AMOUNT_NAMED + number] = bounded(r->named.items[i].amount);
	}
	*ret = a;
}

void amounts_to_resources(const struct dispatcher_core *core, const struct amounts *a, struct resources *ret,
			  struct arena *arena)
{
	struct named_amount *named = arena_alloc(arena, NAMED_RESOURCES_MAX * sizeof *named);

	CHECK(named != NULL);
	*ret = (struct resources){.cpu_milli = a->v[AMOUNT_CPU],
				  .memory_bytes =
				      a->v[AMOUNT_MEMORY] == AMOUNT_UNBOUNDED ? 0 : a->v[AMOUNT_MEMORY],
				  .gpu_milli = (uint32_t)a->v[AMOUNT_GPUS],
				  .named.items = named};
	for (uint32_t i = 0; i < NAMED_RESOURCES_MAX; i++)
		if (a->v[AMOUNT_NAMED + i] > 0)
			named[ret->named.count++] =
			    (struct named_amount){bytes_of(core->resource_names[i]), a->v[AMOUNT_NAMED + i]};
}

void amounts_add(struct amounts *a, struct amounts b)
{
	for (uint32_t i = 0; i < AMOUNTS; i++)
		a->v[i] += b.v[i];
}

void amounts_subtract(struct amounts *a, struct amounts b)
{
	for (uint32_t i = 0; i < AMOUNTS; i++) {
		CHECK(a->v[i] >= b.v[i]);
		a->v[i] -= b.v[i];
	}
}

struct amounts amounts_doubled(const struct amounts *a, uint32_t doublings)
{
	struct amounts r = *a;

	for (; doublings > 0 && r.v[AMOUNT_MEMORY] < AMOUNT_UNBOUNDED / 2; doublings--)
		r.v[AMOUNT_MEMORY] *= 2;
	return r;
}

bool amounts_fit(const struct amounts *used, const struct amounts *need, const struct amounts *offered)
{
	for (uint32_t i = 0; i < AMOUNTS; i++)
		if (need->v[i] > 0 && used->v[i] + need->v[i] > offered->v[i])
			return false;
	return true;
}

uint64_t amounts_slots(const struct amounts *offered, const struct amounts *need)
{
	uint64_t slots = UINT64_MAX;

	for (uint32_t i = 0; i < AMOUNTS; i++)
		if (need->v[i] > 0 && offered->v[i] / need->v[i] < slots)
			slots = offered->v[i] / need->v[i];
	return slots == UINT64_MAX ? 1 : slots;
}
