#include "dispatcher/core/volatile/sessions.h"

#include <string.h>

#include "dispatcher/core/volatile/resource_names.h"
#include "dispatcher/core/volatile/estimate.h"
#include "dispatcher/core/durable/job_table.h"
#include "dispatcher/core/durable/lease_table.h"
#include "dispatcher/core/volatile/limits.h"
#include "dispatcher/core/volatile/runnable.h"
#include "dispatcher/core/decide/steps.h"
#include "dispatcher/core/volatile/trouble.h"

struct session *session_find(const struct dispatcher_core *core, uint64_t id)
{
	struct session *s = NULL;

	HASH_FIND(hh, core->sessions, &id, sizeof id, s);
	return s;
}

struct session *session_of_peer(const struct dispatcher_core *core, uint64_t peer)
{
	struct session *s = NULL;

	HASH_FIND(hh_peer, core->peers, &peer, sizeof peer, s);
	return s;
}

static void keep_registration(struct session *s, const struct register_worker *m)
{
	struct register_worker kept = *m;
	struct buf b = {0};

	kept.tokens = (struct held_token_list){0};
	kept.gone = (struct uuid_list){0};
	codec_encode(codec_register_worker(), &kept, &b);
	blob_set(&s->registered, buf_bytes(&b));
	buf_fini(&b);
}

/* A shard that may not be leased ahead keeps its slot's share of lease_ahead_us for itself. Any other lease
 * takes at most half, so that one fits behind it however long it runs. Half is also what a lease of unknown
 * run time takes, and one that is short only because its job's estimate is young, or because its job comes to
 * an end: many of these would be held where one long one is meant. */
static void set_load(struct dispatcher_core *core, const struct session *s, struct lease_entry *lease)
{
	const struct job_row *row = job_get(core, lease->job);
	struct amounts need = amounts_doubled(&lease->shape->need, lease->traits.doublings);
	uint64_t slots = amounts_slots(&s->offered, &need), ns = estimate_shard_ns(core, row);
	uint64_t max = 1000 * (uint64_t)core->config.lease_ahead_us, hard;

	if (estimate_allows_prefetch(core, row))
		max /= 2;
	if (!lease->charge.is_whole && lease->count * ns < 1000 * (uint64_t)core->config.lease_time_us &&
	    runnable_shards(core, lease->job, row, &hard) > 0)
		ns = 0;
	lease_load_set(lease, ns > 0 ? ns : max, max, slots > 1 ? (uint32_t)slots : 1);
}

struct session *session_create(struct dispatcher_core *core, uint64_t id, uint64_t peer,
			       struct worker *worker, const struct register_worker *m)
{
	struct session *s = check_calloc(1, sizeof *s), *other = session_of_peer(core, peer);
	struct lease_entry *lease;

	CHECK(worker->session == NULL);
	if (other != NULL) { /* a connection speaks for one session at a time */
		HASH_DELETE(hh_peer, core->peers, other);
		other->peer = 0;
	}
	s->id = id;
	s->peer = peer;
	s->worker = worker;
	worker->session = s;
	keep_registration(s, m);
	s->draining = m->draining;
	s->wire = m->wire_max < core->config.wire_max ? m->wire_max : core->config.wire_max;
	s->heard_us = core->live_us;
	HASH_ADD(hh, core->sessions, id, sizeof s->id, s);
	HASH_ADD(hh_peer, core->peers, peer, sizeof s->peer, s);
	DL_APPEND2(core->heard, s, heard_prev, heard_next);
	DL_APPEND2(core->full, s, list_prev, list_next);
	amounts_of_offer(core, &m->capacity, &s->capacity);
	session_offer(core, s, &m->capacity);
	DL_FOREACH2(worker->leases, lease, worker_next)
	{
		if (lease->shape != NULL) {
			amounts_add(&s->used, amounts_doubled(&lease->shape->need, lease->traits.doublings));
			set_load(core, s, lease);
		}
		if (lease->count == 1 && lease->traits.crashes >= ALONE_CRASHES)
			s->alone = core->set_apart = true;
	}
	worker_changed(core, s);
	return s;
}

void session_destroy(struct dispatcher_core *core, struct session *s)
{
	worker_changed(core, s);
	HASH_DEL(core->sessions, s);
	if (s->peer != 0)
		HASH_DELETE(hh_peer, core->peers, s);
	DL_DELETE2(core->heard, s, heard_prev, heard_next);
	if (s->hungry)
		DL_DELETE2(core->hungry, s, list_prev, list_next);
	else
		DL_DELETE2(core->full, s, list_prev, list_next);
	core->offered_cpu_milli -= s->offered.v[AMOUNT_CPU];
	s->worker->session = NULL;
	worker_release(&core->d, s->worker);
	blob_fini(&s->registered);
	trouble_is_over(s);
	free(s);
	core->hard_dirty = true;
	limits_workers_changed(core);
}

void session_offer(struct dispatcher_core *core, struct session *s, const struct resources *credit)
{
	struct amounts before = s->offered;

	core->offered_cpu_milli -= s->offered.v[AMOUNT_CPU];
	amounts_of_offer(core, credit, &s->offered);
	core->offered_cpu_milli += s->offered.v[AMOUNT_CPU];
	if (memcmp(&before, &s->offered, sizeof before) != 0) {
		session_is_hungry(core, s);
		limits_workers_changed(core);
	}
}

void session_heard(struct dispatcher_core *core, struct session *s)
{
	s->heard_us = core->live_us;
	DL_DELETE2(core->heard, s, heard_prev, heard_next);
	DL_APPEND2(core->heard, s, heard_prev, heard_next);
}

void session_is_hungry(struct dispatcher_core *core, struct session *s)
{
	core->hard_dirty = true;
	if (s->hungry)
		return;
	DL_DELETE2(core->full, s, list_prev, list_next);
	DL_APPEND2(core->hungry, s, list_prev, list_next);
	s->hungry = true;
}

void session_is_full(struct dispatcher_core *core, struct session *s)
{
	if (!s->hungry)
		return;
	DL_DELETE2(core->hungry, s, list_prev, list_next);
	DL_APPEND2(core->full, s, list_prev, list_next);
	s->hungry = false;
}

void quarantine_review(struct dispatcher_core *core)
{
	for (struct session *s = core->sessions; s != NULL; s = s->hh.next)
		if (session_takes_leases(s))
			return;
	core->quarantine = false;
	for (struct session *s = core->sessions; s != NULL; s = s->hh.next) {
		if (!s->quarantined)
			continue;
		s->quarantined = false;
		s->streak = s->streak_jobs = 0;
		session_is_hungry(core, s);
		tell(core, true, 0,
		     step_text(core, "worker %s gets work again: there is no other left",
			       step_uuid(core, &s->worker->id)));
	}
}

void sessions_are_hungry(struct dispatcher_core *core)
{
	while (core->full != NULL)
		session_is_hungry(core, core->full);
}

void session_bind(struct dispatcher_core *core, struct lease_entry *lease, struct shape *shape)
{
	struct session *s = lease->worker->session;

	if (lease->shape != NULL)
		return;
	lease->shape = shape;
	lease->since_us = core->mono_us;
	shape->leases++;
	limits_bind(core, lease);
	if (s == NULL)
		return;
	amounts_add(&s->used, amounts_doubled(&shape->need, lease->traits.doublings));
	set_load(core, s, lease);
}

void session_await_ack(struct session *s, uint64_t lsn)
{
	if (s->ack_count == ACKS_MAX) { /* the last waits for both */
		s->acks[ACKS_MAX - 1] = (struct pending_ack){s->seq, lsn};
		return;
	}
	s->acks[s->ack_count++] = (struct pending_ack){s->seq, lsn};
}

uint64_t session_acked(struct session *s, uint64_t durable_lsn)
{
	uint32_t n = 0;

	while (n < s->ack_count && s->acks[n].lsn <= durable_lsn)
		s->acked_seq = s->acks[n++].seq;
	s->ack_count -= n;
	memmove(s->acks, s->acks + n, s->ack_count * sizeof s->acks[0]);
	return s->acked_seq;
}

bool session_may_hold_more(const struct dispatcher_core *core, const struct session *s)
{
	return s->worker->lease_count < TOKENS_PER_WORKER_MAX &&
	       s->worker->load_ns < 1000 * (uint64_t)core->config.lease_ahead_us;
}

bool session_takes_leases(const struct session *s)
{
	return !s->draining && !s->quarantined && s->peer != 0;
}
