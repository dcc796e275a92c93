#include "dispatcher/core/volatile/turns.h"

#include <string.h>

#include "base/array.h"
#include "base/plant.h"
#include "dispatcher/core/decide/steps.h"
#include "dispatcher/core/durable/job_table.h"
#include "dispatcher/core/volatile/keys.h"
#include "dispatcher/core/volatile/limits.h"
#include "dispatcher/core/volatile/sessions.h"

#define ORDER_WALK_MAX 64 /* jobs that are passed to find a place in the order of age */

void turns_init(struct dispatcher_core *core)
{
	share_clock_init(&core->turns.clock, core->config.fair_half_life_us, core->mono_us);
}

/* Of what was long past nothing may be left, and of two that are alike now the earlier goes first. */
static void sort_lines(struct dispatcher_core *core)
{
	share_line_sort(&core->turns.queues);
	for (uint32_t i = 0; i < core->shape_count; i++)
		if (core->shapes[i] != NULL)
			share_line_sort(&core->shapes[i]->queues);
	for (uint32_t i = 0; i < core->queue_count; i++) {
		struct queue *q = core->queues[i];

		if (q == NULL)
			continue;
		share_line_sort(&q->keys);
		for (uint32_t k = 0; k < q->lane_count; k++)
			for (uint32_t l = 0; l < q->lanes[k]->count; l++)
				share_line_sort(&q->lanes[k]->levels[l]->keys);
	}
}

/* All that is at the clock's scale. */
static void shrink(struct dispatcher_core *core, uint32_t halvings)
{
	struct lease_entry *lease, *next;

	core->turns.least = share_shrunk(core->turns.least, halvings);
	for (uint32_t i = 0; i < core->queue_count; i++) {
		if (core->queues[i] == NULL)
			continue;
		share_shrink(&core->queues[i]->share, halvings);
		core->queues[i]->least = share_shrunk(core->queues[i]->least, halvings);
	}
	keys_shrink(core, halvings);
	HASH_ITER (hh, core->d.leases, lease, next)
		lease->charge.used = share_shrunk(lease->charge.used, halvings);
	sort_lines(core);
}

void turns_set_time(struct dispatcher_core *core)
{
	uint32_t halvings = share_clock_set(&core->turns.clock, core->mono_us);

	if (halvings > 0)
		shrink(core, halvings);
}

void turns_queue_init(struct dispatcher_core *core, struct queue *q)
{
	q->share.weight = limits_weight(q);
	q->waiting = (struct share_place){.share = &q->share, .serial = ++core->turns.serial};
}

void turns_queue_fini(struct dispatcher_core *core, struct queue *q)
{
	CHECK(q->lane_count == 0 && q->waiting.line == NULL && q->open_lanes == 0);
	keys_drop_of(core, q);
	share_line_fini(&q->keys);
	free(q->lanes);
}

/* ---- lanes, levels, entries ---- */

static struct turn_lane *lane_intern(struct dispatcher_core *core, struct queue *q, struct shape *shape)
{
	struct turn_lane *lane;

	for (uint32_t i = 0; i < q->lane_count; i++)
		if (q->lanes[i]->shape == shape)
			return q->lanes[i];
	q->lanes = check_realloc(q->lanes, q->lane_count + 1ul, sizeof lane);
	lane = check_calloc(1, sizeof *lane);
	lane->queue = q;
	lane->shape = shape;
	lane->place = (struct share_place){.share = &q->share, .serial = ++core->turns.serial};
	q->lanes[q->lane_count++] = lane;
	return lane;
}

static void lane_drop(struct turn_lane *lane)
{
	struct queue *q = lane->queue;
	uint32_t at = 0;

	while (q->lanes[at] != lane)
		at++;
	CHECK(lane->place.line == NULL && lane->open_entries == 0);
	q->lanes[at] = q->lanes[--q->lane_count];
	free(lane->levels);
	free(lane);
}

/* The place of the first level whose priority is not below. */
static uint32_t level_place(const struct turn_lane *lane, int32_t priority)
{
	uint32_t low = 0, high = lane->count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (lane->levels[middle]->priority < priority)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct turn_level *level_intern(struct turn_lane *lane, int32_t priority)
{
	uint32_t at = level_place(lane, priority);
	struct turn_level *level;

	if (at < lane->count && lane->levels[at]->priority == priority)
		return lane->levels[at];
	ARRAY_GROW(lane->levels, lane->capacity, lane->count);
	memmove(&lane->levels[at + 1], &lane->levels[at], (lane->count - at) * sizeof level);
	level = check_calloc(1, sizeof *level);
	*level = (struct turn_level){.priority = priority, .lane = lane};
	lane->levels[at] = level;
	lane->count++;
	return level;
}

static void level_drop(struct turn_level *level)
{
	struct turn_lane *lane = level->lane;
	uint32_t at = level_place(lane, level->priority);

	CHECK(lane->levels[at] == level);
	lane->count--;
	memmove(&lane->levels[at], &lane->levels[at + 1], (lane->count - at) * sizeof level);
	share_line_fini(&level->keys);
	free(level);
	if (lane->count == 0)
		lane_drop(lane);
}

/* Not open. */
static struct turn_entry *entry_intern(struct dispatcher_core *core, struct turn_level *level,
				       struct fair_key *key, struct queue_owner *owner)
{
	struct turn_entry *e;

	for (e = key->entries; e != NULL; e = e->of_key)
		if (e->level == level && e->owner == owner)
			return e;
	e = check_calloc(1, sizeof *e);
	*e = (struct turn_entry){.key = key, .owner = owner, .level = level, .of_key = key->entries};
	e->place = (struct share_place){.share = &key->share, .serial = ++core->turns.serial};
	key->entries = e;
	if (owner != NULL) {
		e->of_owner = owner->entries;
		owner->entries = e;
		key->share.crowds = true;
	}
	level->entries++;
	return e;
}

static void entry_drop(struct turn_entry *e)
{
	struct turn_level *level = e->level;
	struct turn_entry **link = &e->key->entries;

	CHECK(e->place.line == NULL);
	while (*link != e)
		link = &(*link)->of_key;
	*link = e->of_key;
	if (e->owner != NULL) {
		for (link = &e->owner->entries; *link != e; link = &(*link)->of_owner)
			;
		*link = e->of_owner;
	}
	free(e);
	if (--level->entries == 0)
		level_drop(level);
}

/* ---- beginning and ceasing to wait ---- */

static double least_of(const struct share_line *l, double before)
{
	const struct share_place *first = share_line_first(l);

	return first != NULL && share_served(first->share) > before ? share_served(first->share) : before;
}

static void begin_key(struct dispatcher_core *core, struct fair_key *key)
{
	struct queue *q = key->queue;

	q->least = least_of(&q->keys, q->least);
	share_begin(&core->turns.clock, &key->share, q->least, (double)turns_quantum_us(core));
	share_line_add(&q->keys, &key->waiting);
}

static void cease_key(struct fair_key *key)
{
	struct queue *q = key->queue;

	q->least = least_of(&q->keys, q->least);
	share_line_remove(&key->waiting);
}

/* What a queue did not get while its limits kept it out of line it does not get later, as with a queue that
 * had no jobs. */
static void open_lane(struct dispatcher_core *core, struct turn_lane *lane)
{
	struct queue *q = lane->queue;
	struct turns *t = &core->turns;

	if (q->open_lanes++ == 0) {
		t->least = least_of(&t->queues, t->least);
		share_begin(&t->clock, &q->share, t->least, (double)turns_quantum_us(core));
		share_line_add(&t->queues, &q->waiting);
	}
	share_line_add(&lane->shape->queues, &lane->place);
}

static void close_lane(struct dispatcher_core *core, struct turn_lane *lane)
{
	struct queue *q = lane->queue;

	share_line_remove(&lane->place);
	if (--q->open_lanes > 0)
		return;
	core->turns.least = least_of(&core->turns.queues, core->turns.least);
	share_line_remove(&q->waiting);
}

bool turns_lane_refresh(struct dispatcher_core *core, struct turn_lane *lane)
{
	bool is_open = lane->place.line != NULL;
	bool may_open = lane->open_entries > 0 && limits_lane_opens(lane);

	if (may_open && !is_open)
		open_lane(core, lane);
	else if (!may_open && is_open)
		close_lane(core, lane);
	return may_open && !is_open;
}

static void open_entry(struct dispatcher_core *core, struct turn_entry *e)
{
	if (e->key->jobs == 0)
		begin_key(core, e->key);
	e->key->jobs += (uint32_t)e->count;
	share_line_add(&e->level->keys, &e->place);
	e->level->lane->open_entries++;
}

static void close_entry(struct turn_entry *e)
{
	share_line_remove(&e->place);
	e->level->lane->open_entries--;
	e->key->jobs -= (uint32_t)e->count;
	if (e->key->jobs == 0)
		cease_key(e->key);
}

bool turns_entry_refresh(struct dispatcher_core *core, struct turn_entry *e)
{
	bool is_open = e->place.line != NULL;
	bool may_open = e->count > 0 && limits_entry_opens(e);

	if (may_open && !is_open)
		open_entry(core, e);
	else if (!may_open && is_open)
		close_entry(e);
	if (may_open != is_open) {
		(void)turns_lane_refresh(core, e->level->lane);
		limits_line_changed(e->level->lane->queue);
	}
	return may_open && !is_open;
}

/* ---- jobs ---- */

/* The oldest goes first. One that comes back is among the first, mostly: where many older ones wait it may
 * come to stand behind some that are younger. */
static void list_insert(struct dispatcher_core *core, struct turn_entry *e, uint64_t job, struct job_row *row)
{
	uint64_t before = e->head; /* whom it comes before; 0: nobody */

	if (job > e->tail)
		before = 0;
	for (uint32_t i = 0; before != 0 && before < job; i++)
		before = i < ORDER_WALK_MAX ? job_get(core, before)->next : 0;
	row->next = before;
	row->previous = before != 0 ? job_get(core, before)->previous : e->tail;
	if (row->previous != 0)
		job_get(core, row->previous)->next = job;
	else
		e->head = job;
	if (before != 0)
		job_get(core, before)->previous = job;
	else
		e->tail = job;
	e->count++;
}

static void list_remove(struct dispatcher_core *core, struct turn_entry *e, struct job_row *row)
{
	if (row->previous != 0)
		job_table_get(&core->d.jobs, row->previous)->next = row->next;
	else
		e->head = row->next;
	if (row->next != 0)
		job_table_get(&core->d.jobs, row->next)->previous = row->previous;
	else
		e->tail = row->previous;
	row->next = row->previous = 0;
	e->count--;
}

/* A key whose jobs are of several owners has a list for each: the one with the oldest job goes first. */
static void put_by_age(struct turn_entry *e)
{
	if (e->owner != NULL && e->place.serial != e->head)
		share_place_renumber(&e->place, e->head);
}

void turns_add(struct dispatcher_core *core, uint64_t job, struct job_row *row)
{
	struct queue *q = job_definition(core, row)->queue;
	struct fair_key *key = keys_of_job(core, q, row);
	struct shape *shape = job_shape(core, row);
	struct queue_owner *owner = limits_owner(q, row);
	struct turn_level *level = level_intern(lane_intern(core, q, shape), row->priority);
	struct turn_entry *e = row->entry = entry_intern(core, level, key, owner);

	list_insert(core, e, job, row);
	if (e->place.line != NULL)
		key->jobs++;
	else
		(void)turns_entry_refresh(core, e);
	put_by_age(e);
	if (e->head == job) /* the first of the queue may be another */
		limits_line_changed(q);
	/* Sessions that had no room for whoever was first may have some for this one. */
	if (e->count == 1 && share_line_first(&e->level->keys) == &e->place) {
		sessions_are_hungry(core);
		if (q->share.ahead > 0)
			turns_overtake(core, q);
	}
}

void turns_remove(struct dispatcher_core *core, struct job_row *row)
{
	struct turn_entry *e = row->entry;
	bool was_first = row->previous == 0;

	if (e->place.line != NULL && e->count > 1)
		e->key->jobs--;
	list_remove(core, e, row);
	row->entry = NULL;
	if (e->count > 0) {
		put_by_age(e);
		if (was_first)
			limits_line_changed(e->level->lane->queue);
		return;
	}
	if (e->place.line != NULL) {
		e->count = 1; /* the job is still one of the key's */
		close_entry(e);
		e->count = 0;
		(void)turns_lane_refresh(core, e->level->lane);
		limits_line_changed(e->level->lane->queue);
	}
	entry_drop(e);
}

/* ---- the end ---- */

static void lane_free(struct turn_lane *lane)
{
	for (uint32_t i = 0; i < lane->count; i++) {
		free(lane->levels[i]->keys.items);
		free(lane->levels[i]);
	}
	free(lane->levels);
	free(lane);
}

/* All at once, whoever waits. */
void turns_fini(struct dispatcher_core *core)
{
	for (uint32_t i = 0; i < core->queue_count; i++) {
		struct queue *q = core->queues[i];

		for (uint32_t k = 0; q != NULL && k < q->lane_count; k++)
			lane_free(q->lanes[k]);
		if (q == NULL)
			continue;
		free(q->lanes);
		free(q->keys.items);
	}
	for (uint32_t i = 0; i < core->shape_count; i++)
		if (core->shapes[i] != NULL)
			free(core->shapes[i]->queues.items);
	free(core->turns.queues.items);
	keys_fini(core);
}
