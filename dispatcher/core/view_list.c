/* Views that walk: jobs, dead and done shards, workers, demand, counters. */
#include "dispatcher/core/volatile/resource_names.h"
#include "dispatcher/core/durable/job_table.h"
#include "dispatcher/core/durable/lease_table.h"
#include "dispatcher/core/durable/shards.h"
#include "dispatcher/core/volatile/limits.h"
#include "dispatcher/core/volatile/sessions.h"
#include "dispatcher/core/volatile/shared.h"
#include "dispatcher/core/volatile/trouble.h"
#include "dispatcher/core/decide/steps.h"
#include "dispatcher/core/view_until.h"

uint64_t dispatcher_view_next_job(const struct dispatcher_core *core, uint64_t after)
{
	uint64_t job = after == UINT64_MAX ? 0 : job_table_next(&core->d.jobs, after);

	return job;
}

uint64_t dispatcher_view_previous_job(const struct dispatcher_core *core, uint64_t before)
{
	return job_table_previous(&core->d.jobs, before);
}

/* The next run of dead shards, whatever its kind. */
static bool next_dead(const struct run *run, uint64_t from, struct view_dead *ret)
{
	bool found = false;

	for (uint32_t i = 0; i < run->dead_count; i++) {
		struct range r;

		if (!shard_set_next_range(&run->dead[i].shards, from, &r) ||
		    (found && r.first >= ret->shards.first))
			continue;
		*ret = (struct view_dead){.shards = r, .kind = run->dead[i].kind};
		found = true;
	}
	return found;
}

/* A run that starts in a note ends with it, one before a note ends there: each has its own why. */
static void add_note(const struct run *run, struct view_dead *d)
{
	for (uint32_t i = 0; i < run->note_count; i++) {
		const struct dead_note *n = &run->notes[i];

		if (!range_overlaps(n->shards, d->shards))
			continue;
		if (range_contains(n->shards, d->shards.first)) {
			d->shards = range_intersect(d->shards, n->shards);
			d->noted = true;
			d->code = n->code;
			d->why = blob_bytes(&n->why);
		} else {
			d->shards = range_between(d->shards.first, n->shards.first);
		}
	}
}

size_t dispatcher_view_dead(const struct dispatcher_core *core, uint64_t job, uint64_t *cursor,
			    struct view_dead out[], size_t max)
{
	const struct job_row *row = job_get_live(core, job);
	size_t n = 0;

	if (row == NULL || row->run == NULL)
		return 0;
	while (n < max && next_dead(row->run, *cursor, &out[n])) {
		add_note(row->run, &out[n]);
		*cursor = range_end(out[n++].shards);
	}
	return n;
}

size_t dispatcher_view_done(const struct dispatcher_core *core, uint64_t job, uint64_t *cursor,
			    struct range out[], size_t max)
{
	const struct job_row *row = job_get_live(core, job);

	if (row == NULL || row->run == NULL)
		return 0;
	return shard_set_ranges(&row->run->done, cursor, out, max);
}

static void fill_lease(const struct lease_entry *lease, struct view_lease *ret)
{
	*ret = (struct view_lease){
	    .token = lease->token, .job = lease->job, .phase = lease->phase, .worker = lease->worker->id};
}

size_t dispatcher_view_leases(const struct dispatcher_core *core, uint64_t job, struct range range,
			      struct view_lease out[], size_t max)
{
	const struct job_row *row = job_get_live(core, job);
	const struct lease_entry *lease;
	size_t n = 0;

	if (row == NULL || row->run == NULL)
		return 0;
	for (lease = row->run->leases; lease != NULL && n < max; lease = lease->job_next)
		if (range_overlaps((struct range){lease->first, lease->count}, range))
			fill_lease(lease, &out[n++]);
	return n;
}

bool dispatcher_view_held(const struct dispatcher_core *core, struct token token, uint32_t shard,
			  struct view_lease *ret)
{
	const struct lease_entry *lease = lease_find(&core->d, token);

	if (lease == NULL || job_get_live(core, lease->job) == NULL ||
	    !shard_set_contains(&lease->held, shard))
		return false;
	fill_lease(lease, ret);
	return true;
}

bool dispatcher_view_is_leased(const struct dispatcher_core *core, struct token token)
{
	const struct lease_entry *lease = lease_find(&core->d, token);

	return lease != NULL && job_get_live(core, lease->job) != NULL;
}

static void fill_worker(const struct dispatcher_core *core, const struct session *s, struct arena *arena,
			struct view_worker *ret)
{
	struct register_worker *m = arena_alloc(arena, sizeof *m);
	int rc = codec_decode(codec_register_worker(), blob_bytes(&s->registered), m, arena, NULL);

	CHECK(rc == 0);
	*ret = (struct view_worker){.worker = s->worker->id,
				    .session = s->id,
				    .peer = s->peer,
				    .host = m->host,
				    .pool = m->pool,
				    .provider_id = m->provider_id,
				    .pid = m->pid,
				    .numa_node = m->numa_node,
				    .capacity = m->capacity,
				    .credit_bytes = s->credit_bytes,
				    .leases = s->worker->lease_count,
				    .leased_shards = s->worker->leased_shards,
				    .done_shards = s->done_shards,
				    .failed_shards = s->failed_shards,
				    .draining = s->draining,
				    .quarantined = s->quarantined,
				    .resting = trouble_rests(s),
				    .trouble_kind = s->trouble.kind,
				    .trouble_since_wall_us = s->trouble.since_wall_us,
				    .trouble = blob_bytes(&s->trouble.why),
				    .heard_us_ago = core->live_us - s->heard_us};
	amounts_to_resources(core, &s->offered, &ret->credit, arena);
}

bool dispatcher_view_next_worker(const struct dispatcher_core *core, uint64_t after, struct arena *arena,
				 struct view_worker *ret)
{
	const struct session *s = after == 0 ? NULL : session_find(core, after);

	if (s != NULL)
		s = s->hh.next;
	else /* from the start, or the one that the cursor stood at has gone */
		for (s = core->sessions; s != NULL && s->id <= after; s = s->hh.next)
			;
	if (s == NULL)
		return false;
	fill_worker(core, s, arena, ret);
	return true;
}

uint32_t dispatcher_view_wire(const struct dispatcher_core *core, uint64_t session)
{
	const struct session *s = session_find(core, session);

	return s != NULL ? s->wire : 0;
}

bool dispatcher_view_session(const struct dispatcher_core *core, const struct uuid *worker,
			     struct view_session *ret)
{
	const struct worker *w = worker_find(&core->d, *worker);
	const struct session *s = w != NULL ? w->session : NULL;

	if (s == NULL)
		return false;
	*ret = (struct view_session){
	    .session = s->id,
	    .peer = s->peer,
	    .wire = s->wire,
	    .heard_us_ago = core->live_us - s->heard_us,
	};
	return true;
}

void dispatcher_view_presence(const struct dispatcher_core *core, const struct uuid *worker,
			      struct view_presence *ret)
{
	const struct worker *w = worker_find(&core->d, *worker);
	const struct lease_entry *lease;

	*ret = (struct view_presence){.registered = w != NULL && w->session != NULL};
	for (lease = w != NULL ? w->leases : NULL; lease != NULL; lease = lease->worker_next) {
		if (!ret->leased || token_compare(lease->token, ret->oldest) < 0)
			ret->oldest = lease->token;
		ret->leased = true;
	}
}

struct token dispatcher_view_last_token(const struct dispatcher_core *core)
{
	return (struct token){core->d.epoch, core->next_lease};
}

#define UNTIL_LEASES_MAX 10000 /* that are looked at for when one ends */

/* amounts: NULL when no worker has ever had some of it. beside: a worker that has room is idle, whatever else
 * it does. */
static void fill_supply(const struct dispatcher_core *core, const struct resources *resources,
			const struct amounts *amounts, uint32_t wire_min, bool beside, struct arena *arena,
			struct view_supply *ret)
{
	const struct amounts nothing = {{0}};
	struct amounts most = {{0}};
	struct resources *need = arena_alloc(arena, sizeof(*need));
	uint32_t looked = 0;

	CHECK(need != NULL);
	dispatcher_view_own_need(core, resources, arena, need);
	*ret = (struct view_supply){.need = need};
	for (const struct session *s = core->sessions; s != NULL; s = s->hh.next) {
		if (s->draining || s->quarantined) {
			ret->draining += s->draining;
			ret->quarantined += !s->draining;
			continue;
		}
		if (trouble_rests(s)) {
			ret->resting++;
			ret->trouble = blob_bytes(&s->trouble.why);
			continue;
		}
		ret->workers++;
		ret->older += s->wire < wire_min;
		for (uint32_t i = 0; i < AMOUNTS; i++)
			most.v[i] = s->offered.v[i] > most.v[i] ? s->offered.v[i] : most.v[i];
		if (s->wire < wire_min || amounts == NULL || !amounts_fit(&nothing, amounts, &s->offered))
			continue;
		ret->idle +=
		    s->worker->lease_count == 0 || (beside && amounts_fit(&s->used, amounts, &s->offered));
		ret->fitting++;
		for (const struct lease_entry *l = s->worker->leases; l != NULL && looked < UNTIL_LEASES_MAX;
		     l = l->worker_next, looked++)
			until_lease(core, l, &ret->until);
		if (ret->fitting == VIEW_FITTING_MAX)
			break;
	}
	amounts_to_resources(core, &most, &ret->largest, arena);
}

bool dispatcher_view_supply(const struct dispatcher_core *core, uint64_t job, struct arena *arena,
			    struct view_supply *ret)
{
	const struct job_row *row = job_get_live(core, job);
	const struct shape *shape;

	if (row == NULL)
		return false;
	shape = job_shape(core, row);
	fill_supply(core, &shape->resources, &shape->need, shape->wire_min, false, arena, ret);
	return true;
}

void dispatcher_view_supply_of(const struct dispatcher_core *core, const struct resources *need,
			       struct arena *arena, struct view_supply *ret)
{
	struct amounts amounts = {{0}};
	struct resources own;
	struct bytes unknown;
	bool known;

	dispatcher_view_own_need(core, need, arena, &own);
	known = amounts_needed(&own, &core->resource_names, &amounts, &unknown);
	fill_supply(core, need, known ? &amounts : NULL, 0, true, arena, ret);
}

void dispatcher_view_offers(const struct dispatcher_core *core, const struct resources *need,
			    struct arena *arena, struct view_offers *ret)
{
	const struct amounts nothing = {{0}};
	struct amounts most = {{0}}, amounts = {{0}};
	struct bytes unknown;
	bool known = amounts_needed(need, &core->resource_names, &amounts, &unknown);

	*ret =
	    (struct view_offers){.awaited = core->d.epoch > 1 && core->live_us < core->config.adopt_wait_us};
	for (const struct session *s = core->sessions; s != NULL && !ret->fits; s = s->hh.next) {
		ret->workers++;
		ret->fits = known && amounts_fit(&nothing, &amounts, &s->capacity);
		for (uint32_t i = 0; i < AMOUNTS; i++)
			most.v[i] = s->capacity.v[i] > most.v[i] ? s->capacity.v[i] : most.v[i];
	}
	amounts_to_resources(core, &most, &ret->largest, arena);
}

/* What limits of queues keep waiting. */
static void leave_out(struct view_demand *d, uint64_t shards)
{
	shards = shards < d->pending_shards ? shards : d->pending_shards;
	if (shards == 0)
		return;
	d->pending_us = (uint64_t)((double)d->pending_us * (double)(d->pending_shards - shards) /
				   (double)d->pending_shards);
	d->pending_shards -= shards;
	d->jobs = d->jobs < d->pending_shards ? d->jobs : d->pending_shards;
}

size_t dispatcher_view_demand(const struct dispatcher_core *core, struct view_demand out[], size_t max)
{
	size_t n = 0;

	for (uint32_t i = 0; i < core->shape_count && n < max; i++) {
		const struct shape *s = core->shapes[i];
		uint64_t shard_us, room;

		if (s == NULL)
			continue;
		shard_us = s->estimate.shards > 0 ? s->estimate.shard_ns / 1000
						  : (uint64_t)core->config.default_shard_us;
		out[n] = (struct view_demand){.shape = &s->resources,
					      .jobs = s->plain_jobs + s->demand_jobs,
					      .pending_shards = s->plain_shards + s->demand_shards,
					      .pending_us = s->plain_shards * shard_us + s->demand_us,
					      .leases = s->leases};
		/* No worker can run what waits for something that the cluster has no more of. */
		room = shared_room(core, s);
		if (out[n].pending_shards > room) {
			out[n].pending_us = out[n].pending_us / out[n].pending_shards * room;
			out[n].pending_shards = room;
		}
		leave_out(&out[n++], queue_demand_excess(core, s));
	}
	return n;
}

void dispatcher_view_counters(const struct dispatcher_core *core, struct view_counters *ret)
{
	const struct worker *w;

	*ret = (struct view_counters){
	    .epoch = core->d.epoch,
	    .next_job = core->d.next_job,
	    .last_lsn = core->d.last_lsn,
	    .durable_lsn = core->durable_lsn,
	    .live_jobs = core->live_jobs,
	    .ended_jobs = core->ended_jobs,
	    .held_jobs = core->held_jobs,
	    .runnable_jobs = core->runnable_jobs,
	    .leases = HASH_COUNT(core->d.leases),
	    .sessions = HASH_COUNT(core->sessions),
	    .dedup_entries = core->d.dedup.count,
	    .dedup_forget_before_us = core->d.forget_before_us,
	    .dedup_sealed_us = core->d.dedup.sealed_wall_us,
	    .dedup_first_us = core->d.dedup.bucket_count > 0 ? core->d.dedup.buckets[0]->start_wall_us : 0,
	    .definitions = HASH_COUNT(core->d.definitions.by_hash),
	    .late = core->d.late,
	    .duplicate = core->d.duplicate,
	    .strange = core->strange,
	    .shards_done = core->shards_done,
	    .shards_failed = core->shards_failed,
	    .shards_lost = core->shards_lost,
	    .events_accepted = core->accepted_events,
	    .events_repeated = core->repeated_events,
	    .jobs_accepted = core->accepted_jobs,
	    .jobs_skipped = core->skipped_jobs};
	for (size_t i = 0; i < ARRAY_LENGTH(ret->jobs_ended); i++)
		ret->jobs_ended[i] = core->ended_by_state[i];
	for (w = core->d.workers; w != NULL; w = w->hh.next) {
		ret->leased_shards += w->leased_shards;
		if (w->session == NULL)
			ret->unbound_leases += w->lease_count;
	}
}

struct bytes dispatcher_view_watermark(const struct dispatcher_core *core, struct bytes intake)
{
	for (uint32_t i = 0; i < core->d.mark_count; i++)
		if (bytes_equal(blob_bytes(&core->d.marks[i].intake), intake))
			return blob_bytes(&core->d.marks[i].position);
	return BYTES(NULL, 0);
}
