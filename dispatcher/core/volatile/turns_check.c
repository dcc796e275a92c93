/* What always holds of who has their turn. */
#include "dispatcher/core/decide/steps.h"
#include "dispatcher/core/durable/job_table.h"
#include "dispatcher/core/volatile/limits.h"
#include "dispatcher/core/volatile/turns.h"

static uint64_t entry_check(const struct dispatcher_core *core, const struct turn_entry *e)
{
	uint64_t n = 0, previous = 0;

	for (uint64_t job = e->head; job != 0; n++) {
		const struct job_row *row = job_get(core, job);

		CHECK(row != NULL && (row->live_flags & JOB_RUNNABLE) && row->previous == previous);
		CHECK(row->entry == e && row->priority == e->level->priority);
		CHECK(job_shape(core, row) == e->level->lane->shape);
		previous = job;
		job = row->next;
	}
	CHECK(n == e->count && n > 0 && previous == e->tail);
	return n;
}

/* The number of its entries. */
static uint64_t lane_check(const struct turn_lane *lane)
{
	uint64_t entries = 0;
	uint32_t open = 0;

	for (uint32_t k = 0; k < lane->count; k++) {
		const struct turn_level *level = lane->levels[k];

		CHECK(k == 0 || level->priority > lane->levels[k - 1]->priority);
		CHECK(level->lane == lane && level->entries > 0 && level->keys.count <= level->entries);
		share_line_check(&level->keys);
		entries += level->entries;
		open += level->keys.count;
	}
	CHECK(lane->count > 0 && open == lane->open_entries);
	CHECK((lane->place.line != NULL) == (open > 0 && limits_lane_opens(lane)));
	return entries;
}

static uint64_t queue_check(const struct queue *q)
{
	uint64_t entries = 0;
	uint32_t open = 0;

	share_line_check(&q->keys);
	for (uint32_t i = 0; i < q->lane_count; i++) {
		CHECK(q->lanes[i]->queue == q);
		entries += lane_check(q->lanes[i]);
		open += q->lanes[i]->place.line != NULL;
	}
	CHECK(open == q->open_lanes && (open > 0) == (q->waiting.line != NULL));
	return entries;
}

/* The number of its jobs in line; of its entries in *entries. */
static uint64_t key_check(const struct dispatcher_core *core, const struct fair_key *key, uint64_t *entries)
{
	uint64_t n = 0, waiting = 0;

	for (const struct turn_entry *e = key->entries; e != NULL; e = e->of_key) {
		bool is_open = e->place.line != NULL;

		CHECK(e->key == key && is_open == limits_entry_opens(e));
		n += entry_check(core, e);
		waiting += is_open ? e->count : 0;
		(*entries)++;
	}
	CHECK(waiting == key->jobs && (waiting > 0) == (key->waiting.line != NULL));
	return n;
}

uint64_t turns_check(const struct dispatcher_core *core)
{
	uint64_t n = 0, of_lanes = 0, of_keys = 0;

	share_line_check(&core->turns.queues);
	for (uint32_t i = 0; i < core->queue_count; i++)
		of_lanes += core->queues[i] != NULL ? queue_check(core->queues[i]) : 0;
	for (const struct fair_key *key = core->turns.keys; key != NULL; key = key->hh.next)
		n += key_check(core, key, &of_keys);
	CHECK(of_lanes == of_keys);
	for (uint32_t i = 0; i < core->shape_count; i++)
		if (core->shapes[i] != NULL)
			share_line_check(&core->shapes[i]->queues);
	return n;
}
