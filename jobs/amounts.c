#include "jobs/amounts.h"

uint32_t amount_names_find(const struct amount_names *names, struct bytes name)
{
	uint32_t i = 0;

	while (i < names->count && !bytes_equal(names->items[i], name))
		i++;
	return i < names->count ? i : NAMED_RESOURCES_MAX;
}

static uint64_t bounded(uint64_t v)
{
	return v < AMOUNT_UNBOUNDED ? v : AMOUNT_UNBOUNDED;
}

bool amounts_needed(const struct resources *r, const struct amount_names *names, struct amounts *ret,
		    struct bytes *ret_unknown)
{
	struct amounts a = {.v[AMOUNT_CPU] = bounded(r->cpu_milli),
			    .v[AMOUNT_MEMORY] = bounded(r->memory_bytes),
			    .v[AMOUNT_GPUS] = r->gpu_milli};

	for (uint32_t i = 0; i < r->named.count; i++) {
		const struct named_amount *n = &r->named.items[i];
		uint32_t number = amount_names_find(names, n->name);

		if (number < NAMED_RESOURCES_MAX) {
			uint64_t *v = &a.v[AMOUNT_NAMED + number];

			*v = bounded(*v + bounded(n->amount));
		} else if (n->amount > 0) {
			*ret_unknown = n->name;
			return false;
		}
	}
	*ret = a;
	return true;
}

void amounts_offered(const struct resources *r, const struct amount_names *names, struct amounts *ret)
{
	struct amounts a = {.v[AMOUNT_CPU] = bounded(r->cpu_milli),
			    .v[AMOUNT_MEMORY] =
				r->memory_bytes == 0 ? AMOUNT_UNBOUNDED : bounded(r->memory_bytes),
			    .v[AMOUNT_GPUS] = r->gpu_milli};

	for (uint32_t i = 0; i < r->named.count; i++) {
		uint32_t number = amount_names_find(names, r->named.items[i].name);

		if (number < NAMED_RESOURCES_MAX)
			a.v[AMOUNT_NAMED + number] = bounded(r->named.items[i].amount);
	}
	*ret = a;
}

void amounts_write(const struct amounts *a, const struct amount_names *names, struct resources *ret,
		   struct named_amount named[NAMED_RESOURCES_MAX])
{
	*ret = (struct resources){.cpu_milli = a->v[AMOUNT_CPU],
				  .memory_bytes =
				      a->v[AMOUNT_MEMORY] == AMOUNT_UNBOUNDED ? 0 : a->v[AMOUNT_MEMORY],
				  .gpu_milli = (uint32_t)a->v[AMOUNT_GPUS],
				  .named.items = named};
	for (uint32_t i = 0; i < names->count; i++)
		if (a->v[AMOUNT_NAMED + i] > 0)
			named[ret->named.count++] =
			    (struct named_amount){names->items[i], a->v[AMOUNT_NAMED + i]};
}
