#include "dispatcher/core/volatile/shared.h"

#include "dispatcher/core/volatile/resource_names.h"

void shared_init(struct dispatcher_core *core)
{
	const struct resources all = {.named = {core->config.shared, core->config.shared_count}};
	struct amounts a;

	amounts_of_offer(core, &all, &a);
	for (uint32_t i = AMOUNT_NAMED; i < AMOUNTS; i++)
		core->shared.v[i] = a.v[i];
	core->config.shared_count = 0; /* whose names are the caller's */
}

bool shared_split(const struct dispatcher_core *core, struct amounts *need, struct amounts *ret_shared)
{
	bool any = false;

	*ret_shared = (struct amounts){{0}};
	for (uint32_t i = AMOUNT_NAMED; i < AMOUNTS; i++) {
		if (core->shared.v[i] == 0 || need->v[i] == 0)
			continue;
		ret_shared->v[i] = need->v[i];
		need->v[i] = 0;
		any = true;
	}
	return any;
}

void shared_used(const struct dispatcher_core *core, struct amounts *ret)
{
	struct amounts used = {{0}};

	for (uint32_t i = 0; i < core->shape_count; i++) {
		const struct shape *s = core->shapes[i];

		for (uint32_t k = AMOUNT_NAMED; s != NULL && s->is_shared && k < AMOUNTS; k++)
			used.v[k] += s->leases * s->shared.v[k];
	}
	*ret = used;
}

uint64_t shared_room(const struct dispatcher_core *core, const struct shape *shape)
{
	uint64_t room = UINT64_MAX;
	struct amounts used;

	if (!shape->is_shared)
		return room;
	shared_used(core, &used);
	for (uint32_t i = AMOUNT_NAMED; i < AMOUNTS; i++) {
		/* More may be out than there is: it was more before the last start. */
		uint64_t left = used.v[i] < core->shared.v[i] ? core->shared.v[i] - used.v[i] : 0;

		if (shape->shared.v[i] > 0 && left / shape->shared.v[i] < room)
			room = left / shape->shared.v[i];
	}
	return room;
}

bool shared_came_back(struct dispatcher_core *core)
{
	struct amounts used;
	bool less = false;

	shared_used(core, &used);
	for (uint32_t i = AMOUNT_NAMED; i < AMOUNTS; i++)
		less = less || used.v[i] < core->shared_seen.v[i];
	core->shared_seen = used;
	return less;
}

bool shared_blocks_all(const struct dispatcher_core *core)
{
	for (uint32_t i = 0; i < core->shape_count; i++) {
		const struct shape *s = core->shapes[i];

		if (s != NULL && s->plain_jobs + s->demand_jobs > 0 && shared_room(core, s) > 0)
			return false;
	}
	return true;
}

void shared_check(const struct dispatcher_core *core)
{
	uint64_t *leases = check_calloc(core->shape_count + 1ul, sizeof *leases);
	const struct lease_entry *lease, *next;

	HASH_ITER (hh, core->d.leases, lease, next)
		if (lease->shape != NULL)
			leases[lease->shape->index]++;
	for (uint32_t i = 0; i < core->shape_count; i++)
		CHECK(leases[i] == (core->shapes[i] != NULL ? core->shapes[i]->leases : 0));
	free(leases);
}
