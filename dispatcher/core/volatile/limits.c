#include "dispatcher/core/volatile/limits_impl.h"

#include <string.h>

#include "base/plant.h"
#include "dispatcher/core/decide/steps.h"
#include "dispatcher/core/durable/job_table.h"
#include "jobs/principal.h"

#define SWEEP_FIRST 64 /* owners of a queue, before those are looked for that have nothing left */

static const struct queue_limits no_limits;

const struct queue_limits *limits_of(const struct queue *q)
{
	return q->row != NULL ? &q->row->as.limits : &no_limits;
}

const struct queue_limits *limits_of_owners(const struct queue *q)
{
	return q->row != NULL ? &q->row->as.owner_limits : &no_limits;
}

uint32_t limits_weight(const struct queue *q)
{
	return q->row != NULL && !PLANTED(weight_ignored) ? q->row->as.weight : 1;
}

uint32_t limits_key_weight(const struct queue *q, struct bytes key)
{
	for (uint32_t i = 0; q->row != NULL && i < q->row->as.weights.count; i++)
		if (bytes_equal(q->row->as.weights.items[i].key, key))
			return q->row->as.weights.items[i].weight;
	return 1;
}

/* ---- owners ---- */

void limits_owner_drop(struct queue_owner *o)
{
	CHECK(o->live_jobs == 0 && o->running == 0 && o->entries == NULL && !o->changed);
	HASH_DEL(o->queue->owners, o);
	blob_fini(&o->name);
	free(o);
}

bool limits_owner_is_idle(const struct queue_owner *o, usec_t now_us)
{
	return o->live_jobs == 0 && o->running == 0 && o->entries == NULL && !o->changed &&
	       o->next_submission_us <= now_us;
}

/* So seldom that an owner costs the same however many there are. */
static void sweep(struct queue *q, usec_t now_us)
{
	struct queue_owner *o, *next;

	if (HASH_COUNT(q->owners) < q->sweep_at)
		return;
	HASH_ITER (hh, q->owners, o, next)
		if (limits_owner_is_idle(o, now_us))
			limits_owner_drop(o);
	q->sweep_at = 2 * HASH_COUNT(q->owners);
	q->sweep_at = q->sweep_at < SWEEP_FIRST ? SWEEP_FIRST : q->sweep_at;
}

struct queue_owner *limits_owner_named(struct dispatcher_core *core, struct queue *q, struct bytes name)
{
	struct queue_owner *o = NULL;

	HASH_FIND(hh, q->owners, name.data, name.size, o);
	if (o != NULL)
		return o;
	sweep(q, core->mono_us);
	o = check_calloc(1, sizeof *o);
	o->queue = q;
	blob_set(&o->name, name);
	HASH_ADD_KEYPTR(hh, q->owners, o->name.data, o->name.size, o);
	return o;
}

void limits_owner_words(const struct new_job *j, struct buf *out)
{
	if (j->owner.size > 0)
		buf_append_bytes(out, j->owner);
	else if (j->by.kind != 0)
		principal_words(&j->by, out);
	else
		buf_printf(out, "nobody");
}

static void words_of_row(const struct job_row *row, struct buf *out)
{
	struct new_job body;
	struct arena arena;

	arena_init(&arena, 0);
	job_row_body(row, codec_new_job(), &body, &arena);
	limits_owner_words(&body, out);
	arena_fini(&arena);
}

struct queue_owner *limits_owner(const struct queue *q, const struct job_row *row)
{
	struct queue_owner *o = NULL;
	struct buf words = {0};

	if (!q->has_owners)
		return NULL;
	if (row->entry != NULL)
		return row->entry->owner;
	words_of_row(row, &words);
	HASH_FIND(hh, q->owners, words.data, words.size, o);
	buf_fini(&words);
	CHECK(o != NULL); /* it is there while the job lives */
	return o;
}

void limits_owner_begins(struct dispatcher_core *core, struct queue *q, const struct job_row *row)
{
	struct buf words = {0};

	words_of_row(row, &words);
	limits_owner_named(core, q, buf_bytes(&words))->live_jobs++;
	buf_fini(&words);
}

/* ---- sums ---- */

void limits_queue_changed(struct queue *q)
{
	if (q->changed)
		return;
	q->changed = true;
	q->next_changed = q->turns->changed;
	q->turns->changed = q;
}

void limits_owner_changed(struct queue_owner *o)
{
	if (!o->changed) {
		o->changed = true;
		o->next_changed = o->queue->changed_owners;
		o->queue->changed_owners = o;
	}
	limits_queue_changed(o->queue);
}

void limits_line_changed(struct queue *q)
{
	if (limits_of(q)->cpu_milli > 0)
		limits_queue_changed(q);
}

static void count(struct lease_entry *lease, uint32_t shards)
{
	uint64_t cpu_milli = lease->shape->need.v[AMOUNT_CPU];
	uint64_t before = lease->counted * cpu_milli, after = shards * cpu_milli;

	lease->queue->running += (uint64_t)shards - lease->counted;
	lease->queue->cpu_milli += after - before;
	if (lease->queue->row != NULL)
		limits_queue_changed(lease->queue);
	if (lease->owner != NULL) {
		lease->owner->running += (uint64_t)shards - lease->counted;
		lease->owner->cpu_milli += after - before;
		limits_owner_changed(lease->owner);
	}
	lease->counted = shards;
}

void limits_bind(struct dispatcher_core *core, struct lease_entry *lease)
{
	const struct job_row *row = job_get(core, lease->job);

	lease->queue = job_definition(core, row)->queue;
	lease->owner = limits_owner(lease->queue, row);
	count(lease, shard_set_count(&lease->held));
}

void limits_follow(struct lease_entry *lease)
{
	if (lease->queue != NULL && lease->counted != shard_set_count(&lease->held))
		count(lease, shard_set_count(&lease->held));
}

void limits_unbind(struct lease_entry *lease)
{
	if (lease->queue == NULL)
		return;
	count(lease, 0);
	lease->queue = NULL;
	lease->owner = NULL;
}

void limits_job_begins(struct dispatcher_core *core, const struct job_row *row)
{
	struct queue *q = job_definition(core, row)->queue;

	q->live_jobs++;
	if (q->has_owners)
		limits_owner_begins(core, q, row);
}

void limits_job_ends(struct dispatcher_core *core, const struct job_row *row)
{
	struct queue *q = job_definition(core, row)->queue;
	struct queue_owner *o = limits_owner(q, row);

	q->live_jobs--;
	if (o == NULL)
		return;
	if (--o->live_jobs == 0)
		limits_owner_changed(o);
}

/* ---- room ---- */

uint64_t limits_room_of(const struct queue_limits *l, uint64_t running, uint64_t cpu_milli, uint64_t need)
{
	uint64_t room = UINT64_MAX;

	if (l->running > 0)
		room = l->running > running ? l->running - running : 0;
	if (l->cpu_milli > 0 && need > 0) {
		uint64_t of_cpus = l->cpu_milli > cpu_milli ? (l->cpu_milli - cpu_milli) / need : 0;

		room = of_cpus < room ? of_cpus : room;
	}
	return room;
}

uint64_t limits_queue_room(const struct queue *q, const struct shape *shape)
{
	if (q->row != NULL && q->row->as.paused)
		return 0;
	return limits_room_of(limits_of(q), q->running, q->cpu_milli, shape->need.v[AMOUNT_CPU]);
}

uint64_t limits_owner_room(const struct queue_owner *o, const struct shape *shape)
{
	if (o == NULL)
		return UINT64_MAX;
	return limits_room_of(limits_of_owners(o->queue), o->running, o->cpu_milli,
			      shape->need.v[AMOUNT_CPU]);
}

bool limits_lane_opens(const struct turn_lane *lane)
{
	return !lane->queue->closed && limits_queue_room(lane->queue, lane->shape) > 0;
}

bool limits_entry_opens(const struct turn_entry *e)
{
	return limits_owner_room(e->owner, e->level->lane->shape) > 0;
}

uint64_t limits_room(const struct dispatcher_core *core, const struct job_row *row)
{
	const struct queue *q = job_definition(core, row)->queue;
	uint64_t room = limits_queue_room(q, job_shape(core, row));
	uint64_t of_owner = room > 0 ? limits_owner_room(limits_owner(q, row), job_shape(core, row)) : 0;

	return room < of_owner ? room : of_owner;
}

/* What may run at a time is not to wait for one another in one slot. */
static uint64_t for_each_slot(const struct queue_limits *l, uint64_t need, uint64_t slots)
{
	uint64_t most = limits_room_of(l, 0, 0, need);

	return most / slots > 0 ? most / slots : 1;
}

uint32_t limits_lease_size(const struct dispatcher_core *core, const struct job_row *row, uint32_t size)
{
	const struct queue *q = job_definition(core, row)->queue;
	uint64_t need = job_shape(core, row)->need.v[AMOUNT_CPU], most, of_owner, room;
	uint64_t slots = core->offered_cpu_milli / (need > 0 ? need : 1000);

	if (q->row == NULL)
		return size;
	slots = slots > 0 ? slots : 1;
	most = for_each_slot(limits_of(q), need, slots);
	of_owner = for_each_slot(limits_of_owners(q), need, slots);
	room = limits_room(core, row);
	most = most < of_owner ? most : of_owner;
	most = most < room ? most : room;
	return most < size ? (uint32_t)most : size;
}

/* ---- settings ---- */

bool limits_bound_owners(const struct queue *q)
{
	const struct queue_limits *l = limits_of_owners(q);

	return l->running > 0 || l->cpu_milli > 0 || l->jobs > 0 || l->submissions_milli > 0;
}

void limits_queue_init(struct dispatcher_core *core, struct queue *q)
{
	q->turns = &core->turns;
	q->row = queue_row_find(&core->d, blob_bytes(&q->name));
	q->has_owners = limits_bound_owners(q);
	q->sweep_at = SWEEP_FIRST;
	q->closed = q->row != NULL && q->row->as.paused;
	q->references += q->row != NULL;
}

void limits_queue_fini(struct queue *q)
{
	struct queue **link = &q->turns->changed;
	struct queue_owner *o, *next;

	if (q->changed) {
		while (*link != q)
			link = &(*link)->next_changed;
		*link = q->next_changed;
	}
	HASH_ITER (hh, q->owners, o, next) {
		HASH_DEL(q->owners, o);
		blob_fini(&o->name);
		free(o);
	}
	free(q->demands);
}
