/* Views of what the cluster has together. */
#include "dispatcher/core/durable/job_table.h"
#include "dispatcher/core/decide/steps.h"
#include "dispatcher/core/view.h"
#include "dispatcher/core/volatile/shared.h"

#define LEASES_LOOKED_AT_MAX 100000 /* for who has it */

static bool is_shared(const struct dispatcher_core *core, struct bytes name)
{
	uint32_t number = amount_names_find(&core->resource_names, name);

	return number < NAMED_RESOURCES_MAX && core->shared.v[AMOUNT_NAMED + number] > 0;
}

uint32_t dispatcher_view_shared(const struct dispatcher_core *core,
				struct view_shared out[NAMED_RESOURCES_MAX])
{
	struct amounts used;
	uint32_t n = 0;

	shared_used(core, &used);
	for (uint32_t i = 0; i < core->resource_names.count; i++)
		if (core->shared.v[AMOUNT_NAMED + i] > 0)
			out[n++] = (struct view_shared){.name = core->resource_names.items[i],
							.total = core->shared.v[AMOUNT_NAMED + i],
							.used = used.v[AMOUNT_NAMED + i]};
	return n;
}

static void find_holders(const struct dispatcher_core *core, uint32_t amount, struct view_shared *ret)
{
	const struct lease_entry *lease = core->d.leases;

	for (uint32_t n = 0; lease != NULL && n < LEASES_LOOKED_AT_MAX; n++, lease = lease->hh.next) {
		bool known = lease->shape == NULL || lease->shape->shared.v[amount] == 0;

		for (uint32_t i = 0; i < ret->job_count; i++)
			known = known || ret->jobs[i] == lease->job;
		if (!known)
			ret->jobs[ret->job_count++] = lease->job;
		if (ret->job_count == ARRAY_LENGTH(ret->jobs))
			return;
	}
}

/* need: only what is shared counts. */
static bool find_lack(const struct dispatcher_core *core, const struct amounts *need, struct view_shared *ret)
{
	struct amounts used;

	shared_used(core, &used);
	for (uint32_t i = 0; i < core->resource_names.count; i++) {
		uint32_t at = AMOUNT_NAMED + i;

		if (core->shared.v[at] == 0 || need->v[at] == 0 ||
		    used.v[at] + need->v[at] <= core->shared.v[at])
			continue;
		*ret = (struct view_shared){.name = core->resource_names.items[i],
					    .total = core->shared.v[at],
					    .used = used.v[at],
					    .need = need->v[at]};
		find_holders(core, at, ret);
		return true;
	}
	return false;
}

bool dispatcher_view_shared_lack(const struct dispatcher_core *core, uint64_t job, struct view_shared *ret)
{
	const struct job_row *row = job_get_live(core, job);
	const struct shape *shape = row != NULL ? job_shape(core, row) : NULL;

	return shape != NULL && shape->is_shared && find_lack(core, &shape->shared, ret);
}

bool dispatcher_view_shared_lack_of(const struct dispatcher_core *core, const struct resources *need,
				    struct view_shared *ret)
{
	struct amounts amounts = {{0}};
	struct bytes unknown;

	(void)!amounts_needed(need, &core->resource_names, &amounts, &unknown);
	return find_lack(core, &amounts, ret);
}

void dispatcher_view_own_need(const struct dispatcher_core *core, const struct resources *need,
			      struct arena *arena, struct resources *ret)
{
	struct named_amount *items;
	uint32_t n = 0;

	*ret = *need;
	items = arena_alloc(arena, (need->named.count + 1) * sizeof(*items));
	CHECK(items != NULL);
	for (uint32_t i = 0; i < need->named.count; i++)
		if (!is_shared(core, need->named.items[i].name))
			items[n++] = need->named.items[i];
	ret->named = (struct named_amount_list){items, n};
}
