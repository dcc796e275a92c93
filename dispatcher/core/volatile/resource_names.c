#include "dispatcher/core/volatile/resource_names.h"

#include <string.h>

/* False: it has no number, and there is none left. */
static bool intern(struct dispatcher_core *core, struct bytes name)
{
	struct amount_names *names = &core->resource_names;
	uint8_t *copy;

	if (amount_names_find(names, name) < NAMED_RESOURCES_MAX)
		return true;
	if (names->count == NAMED_RESOURCES_MAX)
		return false;
	copy = check_calloc(1, name.size + 1);
	memcpy(copy, name.data, name.size);
	names->items[names->count++] = BYTES(copy, name.size);
	return true;
}

int amounts_of_shape(struct dispatcher_core *core, const struct resources *r, struct amounts *ret,
		     struct error *reterr)
{
	struct bytes unknown;

	for (uint32_t i = 0; i < r->named.count; i++)
		if (!intern(core, r->named.items[i].name)) {
			error_set(reterr, ERR_LIMIT,
				  "resource %.*s is one name more than the %d that are in use already",
				  (int)r->named.items[i].name.size, (const char *)r->named.items[i].name.data,
				  NAMED_RESOURCES_MAX);
			error_help(reterr, "use one of the names that other definitions use");
			return ERR_LIMIT;
		}
	if (!amounts_needed(r, &core->resource_names, ret, &unknown))
		CHECK_NEVER("all names have numbers");
	for (uint32_t i = 0; i < AMOUNTS; i++)
		if (ret->v[i] >= AMOUNT_UNBOUNDED)
			return error_set(reterr, ERR_LIMIT,
					 "an attempt that needs %llu of a resource fits nowhere",
					 (unsigned long long)ret->v[i]);
	return 0;
}

void amounts_of_offer(struct dispatcher_core *core, const struct resources *r, struct amounts *ret)
{
	for (uint32_t i = 0; i < r->named.count; i++)
		(void)intern(core, r->named.items[i].name);
	amounts_offered(r, &core->resource_names, ret);
}

void amounts_to_resources(const struct dispatcher_core *core, const struct amounts *a, struct resources *ret,
			  struct arena *arena)
{
	struct named_amount *named = arena_alloc(arena, NAMED_RESOURCES_MAX * sizeof *named);

	CHECK(named != NULL);
	amounts_write(a, &core->resource_names, ret, named);
}

void resource_names_fini(struct dispatcher_core *core)
{
	for (uint32_t i = 0; i < core->resource_names.count; i++)
		free((void *)(uintptr_t)core->resource_names.items[i].data);
}
