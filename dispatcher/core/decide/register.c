/* A worker opens a session and says what it still has of earlier ones. */
#include "base/plant.h"
#include "dispatcher/core/durable/apply.h"
#include "dispatcher/core/durable/lease_table.h"
#include "dispatcher/core/volatile/sessions.h"
#include "dispatcher/core/durable/shards.h"
#include "dispatcher/core/decide/steps.h"

static void refuse(struct dispatcher_core *core, uint64_t peer, const char *why)
{
	struct refused *m = step_alloc(core, sizeof *m);

	m->why = bytes_of(why);
	effect_send(core, peer, MESSAGE_REFUSED, m, 0);
	tell(core, true, 0, why);
}

/* NULL when it can be served. */
static const char *why_refused(struct dispatcher_core *core, const struct register_worker *m)
{
	if (m->wire_min > core->config.wire_max || m->wire_max < core->config.wire_min)
		return step_text(
		    core,
		    "worker %.*s speaks wire versions %u to %u, the dispatcher %u to %u: use the same build",
		    (int)m->host.size, (const char *)m->host.data, m->wire_min, m->wire_max,
		    core->config.wire_min, core->config.wire_max);
	if (m->worker.hi == 0 && m->worker.lo == 0)
		return step_text(core, "a worker registers without an id");
	if (m->tokens.count > TOKENS_PER_WORKER_MAX)
		return step_text(core, "a worker lists %u tokens: at most %d are allowed", m->tokens.count,
				 TOKENS_PER_WORKER_MAX);
	return NULL;
}

static void add_valid(struct dispatcher_core *core, struct shard_set *set, const struct range_list *list,
		      uint32_t shard_count)
{
	for (uint32_t i = 0; i < list->count; i++) {
		if (range_is_valid(list->items[i], shard_count))
			shard_set_add(set, list->items[i].first, list->items[i].count);
		else
			core->strange++;
	}
}

static struct range_list list_of(struct dispatcher_core *core, const struct shard_set *set)
{
	uint32_t runs = shard_set_run_count(set);
	struct range_list list = {.items = step_alloc(core, runs * sizeof(struct range))};

	list.count = (uint32_t)shard_set_ranges(set, &(uint64_t){0}, list.items, runs);
	return list;
}

/* Of a lease that the dispatcher knows as this worker's: what is not listed goes back. */
static enum token_fate keep_known(struct dispatcher_core *core, struct lease_entry *lease,
				  const struct shard_set *listed, uint64_t seen)
{
	struct shard_set gone = {0};
	struct outcome_taken o = {.token = lease->token, .job = lease->job, .phase = lease->phase};
	struct outcomes_taken r = {
	    .worker = lease->worker->id, .wall_us = core->wall_us, .outcomes = {&o, 1}};
	enum token_fate fate;

	shard_set_copy(&gone, &lease->held);
	shard_set_subtract(&gone, listed);
	o.returned = list_of(core, &gone);
	o.closed = shard_set_count(&gone) == shard_set_count(&lease->held);
	fate = o.closed ? TOKEN_FINISH : TOKEN_KEEP;
	lease->seen = seen;
	lease->revoked_us = 0;
	if (!shard_set_is_empty(&gone))
		emit(core, RECORD_OUTCOMES, &r);
	shard_set_fini(&gone);
	return fate;
}

/* What of the listed shards nobody else has: pending, delayed or special. */
static void keep_free(const struct run *run, struct shard_set *listed)
{
	struct shard_set free_ones = {0}, part = {0};
	struct range r;

	if (run == NULL)
		return;
	shard_set_copy(&part, listed);
	shard_set_subtract(&part, &run->done);
	for (uint32_t i = 0; i < run->dead_count; i++)
		shard_set_subtract(&part, &run->dead[i].shards);
	const struct lease_entry *lease;

	DL_FOREACH2(run->leases, lease, job_next)
	shard_set_subtract(&part, &lease->held);
	for (uint64_t at = 0; shard_set_next_range(&part, at, &r); at = range_end(r))
		shard_set_add(&free_ones, r.first, r.count);
	shard_set_copy(listed, &free_ones);
	shard_set_fini(&free_ones);
	shard_set_fini(&part);
}

/* A token without a hint: its grant was not durable, or it was given up. Adopted if its shards are free. */
static enum token_fate adopt(struct dispatcher_core *core, struct worker *worker, struct job_row *row,
			     const struct held_token *t, struct shard_set *listed, uint64_t seen)
{
	struct grant_hint hint = {.token = t->token, .job = t->job, .phase = t->phase, .attempt = 1};
	struct granted r = {.worker = worker->id, .hints = {&hint, 1}, .wall_us = core->wall_us};
	struct lease_entry *lease;
	struct range_list parts;

	if (!PLANTED(adopt_without_check))
		keep_free(row->run, listed);
	if (shard_set_is_empty(listed) || t->token.epoch == 0 || t->token.epoch > core->d.epoch ||
	    lease_find(&core->d, t->token) != NULL)
		return TOKEN_FINISH;
	parts = list_of(core, listed);
	hint.first = parts.items[0].first;
	hint.count = (uint32_t)(range_end(parts.items[parts.count - 1]) - hint.first);
	hint.holes.items = step_alloc(core, parts.count * sizeof(struct range));
	for (uint32_t i = 1; i < parts.count; i++)
		hint.holes.items[hint.holes.count++] =
		    range_between(range_end(parts.items[i - 1]), parts.items[i].first);
	if (row->run != NULL)
		hint.attempt = shards_failures(row->run, hint.first, hint.first, NULL) + 1;
	emit(core, RECORD_GRANTED, &r);
	lease = lease_find(&core->d, t->token);
	lease->seen = seen;
	session_bind(core, lease, job_shape(core, row));
	return TOKEN_KEEP;
}

static enum token_fate fate_of(struct dispatcher_core *core, struct worker *worker,
			       const struct held_token *t, uint64_t seen)
{
	struct job_row *row = job_get_live(core, t->job);
	struct lease_entry *lease = lease_find(&core->d, t->token);
	bool known =
	    lease != NULL && lease->worker == worker && lease->job == t->job && lease->phase == t->phase;
	struct shard_set listed = {0};
	enum token_fate fate;

	if (row == NULL || row->state != JOB_ACTIVE || row->phase != t->phase ||
	    job_token_is_earlier(row, t->token))
		return TOKEN_KILL;
	add_valid(core, &listed, &t->running, row->shard_count);
	add_valid(core, &listed, &t->unstarted, row->shard_count);
	/* What has ended is not adopted: it may be that its outcome was taken and only the word that it was
	 * got lost. Done it counts from any token; a failure would count a second time. */
	if (known)
		add_valid(core, &listed, &t->unreported, row->shard_count);
	if (known)
		fate = keep_known(core, lease, &listed, seen);
	else
		fate = adopt(core, worker, row, t, &listed, seen);
	shard_set_fini(&listed);
	return fate;
}

static void send_registered(struct dispatcher_core *core, struct session *s, const struct register_worker *m,
			    struct token_verdict *verdicts)
{
	struct registered *r = step_alloc(core, sizeof *r);

	*r = (struct registered){.wire = s->wire,
				 .session = s->id,
				 .epoch = core->d.epoch,
				 .tokens = {verdicts, m->tokens.count},
				 .heartbeat_us = core->config.heartbeat_us,
				 .timeout_us = core->config.timeout_us,
				 .cluster = core->config.cluster,
				 .serial = m->serial};
	effect_send(core, s->peer, MESSAGE_REGISTERED, r, 0);
	if (s->draining && !m->draining) { /* it was asked before it came back */
		struct drain *d = step_alloc(core, sizeof *d);

		d->session = s->id;
		effect_send(core, s->peer, MESSAGE_DRAIN, d, 0);
	}
}

static void take_gone(struct dispatcher_core *core, const struct register_worker *m)
{
	for (uint32_t i = 0; i < m->gone.count; i++)
		if (!uuid_equal(m->gone.items[i], m->worker))
			step_gone(core, m->gone.items[i]);
}

static struct session *open_session(struct dispatcher_core *core, uint64_t peer, struct worker *worker,
				    const struct register_worker *m)
{
	uint64_t id = (uint64_t)core->d.epoch << 32 | ++core->next_session;
	bool draining = false, quarantined = false;
	struct session *s;

	if (worker->session != NULL) {
		draining = worker->session->draining;
		quarantined = worker->session->quarantined;
		session_destroy(core, worker->session);
	}
	s = session_create(core, id, peer, worker, m);
	s->draining = s->draining || draining;
	s->quarantined = quarantined;
	core->quarantine = core->quarantine || quarantined;
	return s;
}

void step_register(struct dispatcher_core *core, uint64_t peer, const struct register_worker *m)
{
	const char *why = why_refused(core, m);
	struct token_verdict *verdicts;
	struct worker *worker;
	struct session *s;

	if (why != NULL) {
		refuse(core, peer, why);
		return;
	}
	worker = worker_intern(&core->d, m->worker);
	if (worker->session != NULL && m->serial != 0 && m->serial <= worker->serial)
		return; /* late: it has registered again since */
	worker->serial = m->serial;
	worker->pinned = true;
	take_gone(core, m);
	s = open_session(core, peer, worker, m);
	verdicts = step_alloc(core, m->tokens.count * sizeof *verdicts);
	for (uint32_t i = 0; i < m->tokens.count; i++)
		verdicts[i] = (struct token_verdict){
		    m->tokens.items[i].token, (uint8_t)fate_of(core, worker, &m->tokens.items[i], s->id)};
	lease_return(core, worker, s->id);
	worker->pinned = false;
	send_registered(core, s, m, verdicts);
}
