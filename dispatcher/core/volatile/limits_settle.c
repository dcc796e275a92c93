/* Settings and sums of queues change: who is in line follows. */
#include "dispatcher/core/decide/steps.h"
#include "dispatcher/core/durable/job_table.h"
#include "dispatcher/core/volatile/keys.h"
#include "dispatcher/core/volatile/limits_impl.h"
#include "dispatcher/core/volatile/sessions.h"

/* ---- who is in line ---- */

static bool is_within(const void *ctx, const struct shape *shape)
{
	const struct queue *q = ctx;

	return shape->need.v[AMOUNT_CPU] <= limits_of(q)->cpu_milli;
}

/* Some worker has room for it, when it is empty. */
static bool could_run(const struct dispatcher_core *core, const struct shape *shape)
{
	static const struct amounts nothing;

	for (const struct session *s = core->sessions; s != NULL; s = s->hh.next)
		if (amounts_fit(&nothing, &shape->need, &s->offered))
			return true;
	return false;
}

static bool is_closed(const struct dispatcher_core *core, const struct queue *q)
{
	const struct queue_limits *l = limits_of(q);
	const struct turn_entry *first;

	if (q->row == NULL)
		return false;
	if (q->row->as.paused || (l->running > 0 && q->running >= l->running))
		return true;
	first = l->cpu_milli > 0 ? turns_best_of(q, is_within, q) : NULL;
	return first != NULL && limits_queue_room(q, first->level->lane->shape) == 0 &&
	       could_run(core, first->level->lane->shape);
}

static bool settle_owners(struct dispatcher_core *core, struct queue *q)
{
	struct queue_owner *o;
	bool opened = false;

	while ((o = q->changed_owners) != NULL) {
		q->changed_owners = o->next_changed;
		o->changed = false;
		for (struct turn_entry *e = o->entries; e != NULL; e = e->of_owner)
			opened = turns_entry_refresh(core, e) || opened;
		if (limits_owner_is_idle(o, core->mono_us))
			limits_owner_drop(o);
	}
	return opened;
}

static bool settle_queue(struct dispatcher_core *core, struct queue *q)
{
	bool opened = settle_owners(core, q);

	q->closed = is_closed(core, q);
	for (uint32_t i = 0; i < q->lane_count; i++)
		opened = turns_lane_refresh(core, q->lanes[i]) || opened;
	return opened;
}

void limits_settle(struct dispatcher_core *core)
{
	struct queue *q;

	while ((q = core->turns.changed) != NULL) {
		core->turns.changed = q->next_changed;
		q->changed = false;
		if (settle_queue(core, q))
			sessions_are_hungry(core);
		core->hard_dirty = core->hard_dirty || core->hard_count > 0;
	}
}

void limits_workers_changed(struct dispatcher_core *core)
{
	for (uint32_t i = 0; i < core->queue_count; i++)
		if (core->queues[i] != NULL)
			limits_line_changed(core->queues[i]);
}

/* ---- settings ---- */

static bool is_of(const struct dispatcher_core *core, const struct job_row *row, const struct queue *q)
{
	return row != NULL && !job_state_is_ended(row->state) && job_definition(core, row)->queue == q;
}

/* Owners are told apart from now on, or no more: all that knows them is made anew. O(jobs + leases). */
static void tell_owners(struct dispatcher_core *core, struct queue *q, bool has_owners)
{
	struct lease_entry *lease, *next;
	struct queue_owner *o, *after;

	for (uint64_t job = job_table_next(&core->d.jobs, 0); job != 0;
	     job = job_table_next(&core->d.jobs, job)) {
		struct job_row *row = job_get(core, job);

		if (is_of(core, row, q) && (row->live_flags & JOB_RUNNABLE))
			turns_remove(core, row);
	}
	HASH_ITER (hh, core->d.leases, lease, next)
		if (lease->queue == q)
			limits_unbind(lease);
	q->changed_owners = NULL;
	HASH_ITER (hh, q->owners, o, after) {
		o->live_jobs = 0;
		o->changed = false;
		limits_owner_drop(o);
	}
	q->has_owners = has_owners;
	for (uint64_t job = job_table_next(&core->d.jobs, 0); job != 0;
	     job = job_table_next(&core->d.jobs, job)) {
		struct job_row *row = job_get(core, job);

		if (!is_of(core, row, q))
			continue;
		if (has_owners)
			limits_owner_begins(core, q, row);
		if (row->live_flags & JOB_RUNNABLE)
			turns_add(core, job, row);
	}
	HASH_ITER (hh, core->d.leases, lease, next)
		if (lease->queue == NULL && lease->shape != NULL)
			limits_bind(core, lease);
}

static void use_settings(struct dispatcher_core *core, struct queue *q)
{
	bool has_owners = limits_bound_owners(q);

	share_set_weight(&q->share, limits_weight(q));
	keys_weigh(core, q);
	if (has_owners != q->has_owners)
		tell_owners(core, q, has_owners);
	for (struct queue_owner *o = q->owners; o != NULL; o = o->hh.next)
		limits_owner_changed(o);
	limits_queue_changed(q);
}

void limits_set(struct dispatcher_core *core, struct bytes name)
{
	const struct queue_row *row = queue_row_find(&core->d, name);
	struct queue *q = queue_find(core, name);
	bool had_row = q != NULL && q->row != NULL;

	if (q == NULL) {
		(void)queue_intern(core, name);
		return;
	}
	q->row = row;
	q->references += row != NULL && !had_row;
	use_settings(core, q);
	if (row == NULL && had_row) {
		limits_settle(core);
		queue_release(core, q);
	}
}

void limits_revive(struct dispatcher_core *core)
{
	const struct queue_row *row, *next;

	HASH_ITER (hh, core->d.queues, row, next)
		(void)queue_intern(core, blob_bytes(&row->name));
}

/* ---- which one it is ---- */

static bool meets(const struct queue_limits *l, uint64_t running, uint64_t cpu_milli, uint64_t need,
		  struct limit_met *ret)
{
	bool by_count = l->running > 0 && running >= l->running;

	if (limits_room_of(l, running, cpu_milli, need) > 0)
		return false;
	ret->limit = by_count ? l->running : l->cpu_milli;
	ret->used = by_count ? running : cpu_milli;
	ret->need = by_count ? 1 : need;
	ret->kind = by_count ? LIMIT_RUNNING : LIMIT_CPUS;
	return true;
}

bool limits_met(const struct dispatcher_core *core, const struct job_row *row, struct limit_met *ret)
{
	const struct queue *q = job_definition(core, row)->queue;

	return limits_met_by(q, limits_owner(q, row), job_shape(core, row)->need.v[AMOUNT_CPU], ret);
}

bool limits_met_by(const struct queue *q, const struct queue_owner *o, uint64_t need, struct limit_met *ret)
{
	*ret = (struct limit_met){.queue = q};
	if (q->row == NULL)
		return false;
	if (q->row->as.paused) {
		ret->kind = LIMIT_PAUSED;
		return true;
	}
	if (meets(limits_of(q), q->running, q->cpu_milli, need, ret))
		return true;
	if (o != NULL && meets(&q->row->as.owner_limits, o->running, o->cpu_milli, need, ret)) {
		ret->owner = o;
		return true;
	}
	return false;
}

/* ---- what holds ---- */

struct sums {
	uint64_t running, cpu_milli, live_jobs;
};

static void add_up(const struct dispatcher_core *core, struct sums *sums)
{
	const struct lease_entry *lease, *next;

	HASH_ITER (hh, core->d.leases, lease, next) {
		uint32_t held = shard_set_count(&lease->held);

		CHECK(lease->queue != NULL && lease->counted == held);
		CHECK(lease->queue == job_definition(core, job_get(core, lease->job))->queue);
		CHECK((lease->owner != NULL) == lease->queue->has_owners);
		sums[lease->queue->index].running += held;
		sums[lease->queue->index].cpu_milli += held * lease->shape->need.v[AMOUNT_CPU];
	}
	for (uint64_t job = job_table_next(&core->d.jobs, 0); job != 0;
	     job = job_table_next(&core->d.jobs, job)) {
		const struct job_row *row = job_get(core, job);

		if (row != NULL && !job_state_is_ended(row->state))
			sums[job_definition(core, row)->queue->index].live_jobs++;
	}
}

static void check_owners(const struct dispatcher_core *core, const struct queue *q)
{
	const struct lease_entry *lease, *next;
	struct sums all = {0};

	for (const struct queue_owner *o = q->owners; o != NULL; o = o->hh.next) {
		uint64_t running = 0, cpu_milli = 0;

		HASH_ITER (hh, core->d.leases, lease, next)
			if (lease->owner == o) {
				running += lease->counted;
				cpu_milli += lease->counted * lease->shape->need.v[AMOUNT_CPU];
			}
		CHECK(o->queue == q && !o->changed);
		CHECK(running == o->running && cpu_milli == o->cpu_milli);
		all.running += running;
		all.live_jobs += o->live_jobs;
	}
	CHECK(q->changed_owners == NULL);
	CHECK(!q->has_owners || (all.running == q->running && all.live_jobs == q->live_jobs));
}

void limits_check(const struct dispatcher_core *core)
{
	struct sums *sums = check_calloc(core->queue_count + 1ul, sizeof *sums);

	CHECK(core->turns.changed == NULL);
	add_up(core, sums);
	for (uint32_t i = 0; i < core->queue_count; i++) {
		const struct queue *q = core->queues[i];

		if (q == NULL)
			continue;
		CHECK(q->row == queue_row_find(&core->d, blob_bytes(&q->name)));
		CHECK(q->running == sums[i].running && q->cpu_milli == sums[i].cpu_milli);
		CHECK(q->live_jobs == sums[i].live_jobs && q->closed == is_closed(core, q));
		CHECK(q->share.weight == limits_weight(q));
		check_owners(core, q);
		queue_demand_check(core, q);
	}
	free(sums);
}
