/* Leases that end without their worker's word: it listed them no more, left, or is lost. */
#include "base/plant.h"
#include "dispatcher/core/durable/lease_table.h"
#include "dispatcher/core/volatile/sessions.h"
#include "dispatcher/core/decide/steps.h"

static struct range_list held_ranges(struct dispatcher_core *core, const struct lease_entry *lease)
{
	uint32_t runs = shard_set_run_count(&lease->held);
	struct range_list list = {.items = step_alloc(core, runs * sizeof(struct range))};

	list.count = (uint32_t)shard_set_ranges(&lease->held, &(uint64_t){0}, list.items, runs);
	return list;
}

void lease_return(struct dispatcher_core *core, struct worker *worker, uint64_t seen)
{
	struct outcomes_taken r = {.worker = worker->id, .wall_us = core->wall_us};
	struct outcome_taken *items = step_alloc(core, worker->lease_count * sizeof *items);
	struct lease_entry *lease;

	DL_FOREACH2(worker->leases, lease, worker_next)
	if (seen == 0 || lease->seen != seen)
		items[r.outcomes.count++] = (struct outcome_taken){.token = lease->token,
								   .job = lease->job,
								   .phase = lease->phase,
								   .returned = held_ranges(core, lease),
								   .closed = true};
	r.outcomes.items = items;
	if (r.outcomes.count > 0)
		emit(core, RECORD_OUTCOMES, &r);
}

static void add_suspect(struct shard_count_range_list *list, struct range r, uint32_t crashes)
{
	if (r.count > 0)
		list->items[list->count++] = (struct shard_count_range){r.first, r.count, crashes};
}

/* One shard too often in work when its worker was lost is dead; more than one are cut in two, each part
 * to be leased by itself, until the one that kills is found. What is left of a larger lease is not dead,
 * however often: it was not alone on the worker (see ALONE_CRASHES), another may have killed it. */
static void crash_one(struct dispatcher_core *core, const struct lease_entry *lease, uint32_t crashes)
{
	struct range_list held = held_ranges(core, lease);
	struct crashed r = {.token = lease->token,
			    .job = lease->job,
			    .phase = lease->phase,
			    .worker = lease->worker->id,
			    .wall_us = core->wall_us};

	r.suspects.items = step_alloc(core, 2 * held.count * sizeof(struct shard_count_range));
	r.dead.items = step_alloc(core, held.count * sizeof(struct range));
	for (uint32_t i = 0; i < held.count; i++) {
		struct range whole = held.items[i];
		uint64_t middle = whole.first + whole.count / 2;

		core->shards_lost += whole.count;
		if (lease->count == 1 && crashes >= core->config.crashes_max) {
			r.dead.items[r.dead.count++] = whole;
			continue;
		}
		add_suspect(&r.suspects, range_between(whole.first, middle), crashes);
		if (PLANTED(border_off_by_one_at_split) && whole.count > 1)
			middle++;
		add_suspect(&r.suspects, range_between(middle, range_end(whole)), crashes);
	}
	emit(core, RECORD_CRASHED, &r);
}

void lease_crash(struct dispatcher_core *core, struct worker *worker)
{
	bool was_pinned = worker->pinned;

	worker->pinned = true;
	while (worker->leases != NULL) {
		uint32_t crashes = worker->leases->traits.crashes + 1u;

		if (PLANTED(crash_not_counted))
			crashes = 0;
		crash_one(core, worker->leases, crashes < UINT8_MAX ? crashes : UINT8_MAX);
	}
	worker->pinned = was_pinned;
	worker_release(&core->d, worker);
}
