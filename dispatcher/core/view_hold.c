/* Which limit or whose turn a job waits for. */
#include "dispatcher/core/decide/steps.h"
#include "dispatcher/core/durable/job_table.h"
#include "dispatcher/core/view_until.h"
#include "dispatcher/core/volatile/estimate.h"
#include "dispatcher/core/volatile/limits_impl.h"

static bool counts(const struct lease_entry *lease, const struct limit_met *met)
{
	return lease->queue == met->queue && (met->owner == NULL || lease->owner == met->owner);
}

/* What of the limit the job uses. */
static uint64_t used_by(const struct run *run, const struct limit_met *met)
{
	const struct lease_entry *lease;
	uint64_t used = 0;

	DL_FOREACH2(run->leases, lease, job_next)
	used += met->kind == LIMIT_CPUS ? lease->counted * lease->shape->need.v[AMOUNT_CPU] : lease->counted;
	return used;
}

static void add_holder(struct view_hold *ret, uint64_t job, uint64_t used)
{
	uint32_t at = ret->holder_count;

	while (at > 0 && ret->holders[at - 1].used < used)
		at--;
	if (at == VIEW_HOLDERS_MAX)
		return;
	if (ret->holder_count < VIEW_HOLDERS_MAX)
		ret->holder_count++;
	for (uint32_t i = ret->holder_count - 1; i > at; i--)
		ret->holders[i] = ret->holders[i - 1];
	ret->holders[at] = (struct view_holder){job, used};
}

/* Each job once: at its first lease. */
static void find_holders(const struct dispatcher_core *core, const struct limit_met *met,
			 struct view_hold *ret)
{
	const struct lease_entry *lease, *next;

	HASH_ITER (hh, core->d.leases, lease, next) {
		uint64_t us;

		if (!counts(lease, met))
			continue;
		until_lease(core, lease, &ret->until);
		if (lease->run->leases != lease)
			continue;
		add_holder(ret, lease->job, used_by(lease->run, met));
		us = estimate_shard_ns(core, job_get(core, lease->job)) / 1000;
		if (us > 0 && (ret->shard_us == 0 || us < ret->shard_us))
			ret->shard_us = us;
	}
}

static void fill_limit(const struct dispatcher_core *core, const struct limit_met *met, struct arena *arena,
		       struct view_hold *ret)
{
	const struct queue_changed *as = &met->queue->row->as;

	ret->kind = met->kind == LIMIT_PAUSED	 ? VIEW_HOLD_PAUSED
		    : met->kind == LIMIT_RUNNING ? VIEW_HOLD_RUNNING
						 : VIEW_HOLD_CPUS;
	if (met->kind == LIMIT_PAUSED) {
		ret->why = arena_copy(arena, as->why);
		ret->by = as->by;
		ret->by.name = arena_copy(arena, as->by.name);
		return;
	}
	ret->limit = met->limit;
	ret->used = met->used;
	ret->need = met->need;
	if (met->owner != NULL)
		ret->owner = arena_copy(arena, blob_bytes(&met->owner->name));
	find_holders(core, met, ret);
}

static bool is_shape(const void *ctx, const struct shape *shape)
{
	return shape == ctx;
}

static bool is_any(const void *ctx, const struct shape *shape)
{
	(void)ctx;
	(void)shape;
	return true;
}

static void fill_queue_turn(const struct job_row *row, const struct shape *shape, struct arena *arena,
			    struct view_hold *ret)
{
	const struct queue *q = row->entry->key->queue, *other;
	const struct turn_lane *lane = (const struct turn_lane *)share_line_first(&shape->queues);
	const struct turn_entry *e;

	if (lane == NULL || lane->queue == q)
		return;
	other = lane->queue;
	e = turns_next_of(other, is_shape, shape);
	if (e == NULL)
		return;
	ret->kind = VIEW_HOLD_QUEUE;
	ret->next = e->head;
	ret->next_queue = arena_copy(arena, blob_bytes(&other->name));
	ret->weight = q->share.weight;
	ret->next_weight = other->share.weight;
}

static void fill_turn(const struct dispatcher_core *core, uint64_t job, const struct job_row *row,
		      struct arena *arena, struct view_hold *ret)
{
	const struct queue *q = row->entry->key->queue;
	const struct turn_entry *e;

	if (row->entry->level->lane->place.line == NULL) { /* there is room, but not for who is first */
		e = turns_best_of(q, is_any, NULL);
		ret->kind = e != NULL && e->head != job ? VIEW_HOLD_FIRST : VIEW_HOLD_NONE;
		ret->next = e != NULL ? e->head : 0;
		return;
	}
	e = turns_next_of(q, is_shape, job_shape(core, row));
	if (e == NULL)
		return;
	ret->next = e->head;
	if (e->head == job)
		fill_queue_turn(row, job_shape(core, row), arena, ret);
	else if (e->level != row->entry->level)
		ret->kind = VIEW_HOLD_PRIORITY;
	else
		ret->kind = e->key == row->entry->key ? VIEW_HOLD_AGE : VIEW_HOLD_SHARE;
}

void dispatcher_view_hold(const struct dispatcher_core *core, uint64_t job, struct arena *arena,
			  struct view_hold *ret)
{
	const struct job_row *row = job_get_live(core, job);
	struct limit_met met;

	*ret = (struct view_hold){.kind = VIEW_HOLD_NONE};
	if (row == NULL || !(row->live_flags & JOB_DEMANDED))
		return;
	ret->queue = arena_copy(arena, job_definition(core, row)->body.queue);
	if (limits_met(core, row, &met))
		fill_limit(core, &met, arena, ret);
	else if (row->entry != NULL)
		fill_turn(core, job, row, arena, ret);
}

/* Which job of the queue would go first; it is the youngest. Of other keys nobody knows. */
static void fill_turn_of(const struct queue *q, const struct new_job *j, struct view_hold *ret)
{
	struct bytes key = j->fair_key.size > 0 ? j->fair_key : j->owner;
	const struct turn_entry *e = turns_next_of(q, is_any, NULL);

	if (e == NULL || e->level->priority < j->priority)
		return;
	if (e->level->priority > j->priority)
		ret->kind = VIEW_HOLD_PRIORITY;
	else if (key.size == 0 || bytes_equal(key, blob_bytes(&e->key->name)))
		ret->kind = VIEW_HOLD_AGE;
	ret->next = e->head;
}

void dispatcher_view_hold_of(const struct dispatcher_core *core, const struct new_job *job,
			     const struct definition_body *body, struct arena *arena, struct view_hold *ret)
{
	const struct queue *q = queue_find(core, body->queue);
	struct queue_owner *o = NULL;
	struct buf words = {0};
	struct limit_met met;

	*ret = (struct view_hold){.kind = VIEW_HOLD_NONE, .queue = body->queue};
	if (q == NULL)
		return;
	limits_owner_words(job, &words);
	if (q->has_owners)
		HASH_FIND(hh, q->owners, words.data, words.size, o);
	if (limits_met_by(q, o, body->phases.items[0].policy.shape.cpu_milli, &met))
		fill_limit(core, &met, arena, ret);
	else
		fill_turn_of(q, job, ret);
	buf_fini(&words);
}
