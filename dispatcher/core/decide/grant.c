/* Leases: which shards of which job for which worker. A grant asks whose turn it is (volatile/turns.h) and
 * takes the first shards of that job. It hardly ever waits: the lease leaves NOW, its record goes with the
 * next commit. Only for shards that waited for others it leaves when what finished those is durable. */
#include "dispatcher/core/decide/grant.h"

#include "dispatcher/core/volatile/resource_names.h"
#include "dispatcher/core/durable/apply.h"
#include "dispatcher/core/volatile/estimate.h"
#include "dispatcher/core/volatile/limits.h"
#include "dispatcher/core/durable/lease_table.h"
#include "dispatcher/core/volatile/paces.h"
#include "dispatcher/core/volatile/runnable.h"
#include "dispatcher/core/volatile/sessions.h"
#include "dispatcher/core/volatile/shared.h"
#include "dispatcher/core/durable/shards.h"
#include "dispatcher/core/decide/steps.h"
#include "dispatcher/core/volatile/trouble.h"
#include "dispatcher/core/volatile/turns.h"
#include "jobs/rank.h"

/* The first shards that may be leased with others: suspects first (they are short), then what is due for
 * another attempt, what came back, and the frontier. count 0 when there is none. */
static struct candidate first_shards(const struct dispatcher_core *core, const struct job_row *row,
				     uint32_t size)
{
	const struct run *run = row->run;
	struct candidate c = {0};

	if (run == NULL) {
		c.shards = (struct range){0, row->shard_count < size ? row->shard_count : size};
		return c;
	}
	for (uint32_t i = 0; i < run->special_count; i++)
		if (!runnable_is_hard(run->special[i].shards, run->special[i].traits))
			return (struct candidate){.shards = run->special[i].shards,
						  .traits = run->special[i].traits};
	for (uint32_t i = 0; i < run->delayed_count && run->delayed[i].due_wall_us <= steady_us(core); i++)
		if (run->delayed[i].traits.doublings == 0) {
			shard_set_next_range(&run->delayed[i].shards, 0, &c.shards);
			c.traits = run->delayed[i].traits;
			c.shards.count = c.shards.count < size ? c.shards.count : size;
			return c;
		}
	if (trouble_next_returned(run, false, &c.shards)) {
		c.shards.count = c.shards.count < size ? c.shards.count : size;
		return c;
	}
	uint32_t ready = PLANTED(lease_before_durable) ? row->shard_count : run->ready_count;

	if (ready > run->frontier)
		c.shards = (struct range){run->frontier,
					  ready - run->frontier < size ? ready - run->frontier : size};
	return c;
}

void grant_open(struct dispatcher_core *core, struct grant_round *g, struct session *s)
{
	*g = (struct grant_round){.core = core, .session = s};
	g->record.worker = s->worker->id;
	g->record.wall_us = core->wall_us;
}

static void grow(struct grant_round *g)
{
	struct grant_hint *hints;
	struct lease *leases;

	if (g->record.hints.count < g->capacity)
		return;
	g->capacity = g->capacity == 0 ? 8 : 2 * g->capacity;
	hints = step_alloc(g->core, g->capacity * sizeof *hints);
	leases = step_alloc(g->core, g->capacity * sizeof *leases);
	for (uint32_t i = 0; i < g->record.hints.count; i++) {
		hints[i] = g->record.hints.items[i];
		leases[i] = g->leases.items[i];
	}
	g->record.hints.items = hints;
	g->leases.items = leases;
}

/* What a lease is charged until it is known what it took. One of unknown run time counts as much as a
 * quantum: if it counted for more, others would run ahead of it until its first report. */
static double expected_us(const struct dispatcher_core *core, const struct job_row *row, uint32_t shards)
{
	if (estimate_shard_ns(core, row) == 0)
		return (double)turns_quantum_us(core);
	return (double)estimate_work_us(core, row, shards);
}

void grant_add(struct grant_round *g, uint64_t job, struct job_row *row, struct candidate c,
	       const struct turn_entry *e)
{
	struct dispatcher_core *core = g->core;
	struct amounts need = amounts_doubled(&job_shape(core, row)->need, c.traits.doublings);
	struct token token = {core->d.epoch, ++core->next_lease};
	struct grant_hint *hint;
	struct lease_entry *entry;
	struct error err = {0};
	uint64_t end = range_end(c.shards);
	uint32_t times = 0;
	int rc;

	if (row->run != NULL) /* all of a lease's shards are at the same attempt */
		times = shards_failures(row->run, c.shards.first, end, &end);
	c.shards = range_between(c.shards.first, end);
	grow(g);
	hint = &g->record.hints.items[g->record.hints.count++];
	*hint = (struct grant_hint){.token = token,
				    .job = job,
				    .phase = row->phase,
				    .first = c.shards.first,
				    .count = c.shards.count,
				    .attempt = times + 1,
				    .crashes = c.traits.crashes,
				    .doublings = c.traits.doublings};
	g->leases.items[g->leases.count++] = (struct lease){
	    .token = token,
	    .job = job,
	    .phase = row->phase,
	    .definition = arena_copy(&core->out->arena, BYTES(job_definition(core, row)->sha256, 32)),
	    .first = c.shards.first,
	    .count = c.shards.count,
	    .attempt = times + 1,
	    .memory_bytes = c.traits.doublings > 0 ? need.v[AMOUNT_MEMORY] : 0};
	/* What its shards waited for may be lost by a crash until then. */
	if (row->run != NULL && row->run->opened_lsn > core->durable_lsn &&
	    row->run->opened_lsn > g->after_lsn && !PLANTED(shards_open_early))
		g->after_lsn = row->run->opened_lsn;
	rc = apply_hint(&core->d, g->session->worker->id, hint, core->wall_us, &err);
	CHECK(rc == 0);
	entry = lease_find(&core->d, token);
	if (e != NULL) {
		turns_charge(core, e, expected_us(core, row, c.shards.count), &entry->charge, &entry->rank);
		entry->charge.is_whole = c.is_whole;
		g->session->last = g->leases.items[g->leases.count - 1].rank = entry->rank;
	}
	session_bind(core, entry, job_shape(core, row));
	if (row->flags & JOB_RATED)
		pace_take(core, job, c.shards.count);
	runnable_refresh(core, job, row);
	limits_settle(core);
}

void grant_close(struct grant_round *g)
{
	struct leases *m;

	if (g->leases.count == 0)
		return;
	emit_applied(g->core, RECORD_GRANTED, &g->record);
	m = step_alloc(g->core, sizeof *m);
	*m = (struct leases){.session = g->session->id, .leases = g->leases};
	effect_send(g->core, g->session->peer, MESSAGE_LEASES, m, g->after_lsn);
	g->session->slot_idle = false;
}

#define AHEAD_AT_A_TIME 16 /* leases of one worker, before it is the next one's turn */

/* What a session is given: leases for slots that are free, or also leases that wait behind others. */
enum grant_pass {
	GRANT_NOW,
	GRANT_AHEAD,
};

/* Could the session run an attempt of this shape: now, or once what it holds has ended? */
static bool takes_shape(const struct session *s, const struct shape *shape, enum grant_pass pass)
{
	static const struct amounts nothing;

	return session_knows(s, shape) &&
	       amounts_fit(pass == GRANT_NOW ? &s->used : &nothing, &shape->need, &s->offered);
}

struct taker {
	const struct dispatcher_core *core;
	const struct session *session;
	enum grant_pass pass;
};

static bool taker_takes(const void *ctx, const struct shape *shape)
{
	const struct taker *t = ctx;

	/* What waits at a worker would have its share of what others could use. */
	if (shape->is_shared && (t->pass == GRANT_AHEAD || shared_room(t->core, shape) == 0))
		return false;
	return takes_shape(t->session, shape, t->pass);
}

static bool may_be_held_there(const struct dispatcher_core *core, const struct session *s,
			      const struct turn_entry *e)
{
	uint64_t slots = amounts_slots(&s->offered, &e->level->lane->shape->need);

	return s->worker->lease_count < TOKENS_PER_WORKER_MAX &&
	       s->worker->lease_count / LEASES_PER_SLOT_MAX < slots &&
	       estimate_allows_prefetch(core, job_get(core, e->head));
}

/* Waiting until the worker holds less would be for nothing, when it is run first. But the time that is held
 * ahead is not exceeded by more than as much again. */
bool grant_may_be_sent_before(const struct dispatcher_core *core, const struct session *s,
			      const struct turn_entry *e)
{
	return may_be_held_there(core, s, e) &&
	       s->worker->load_ns < 2000 * (uint64_t)core->config.lease_ahead_us;
}

/* May the session hold a lease of this entry's first job behind those that it has? What goes first is never
 * passed over: while it has to wait for a free slot, nothing of lower rank is sent ahead, or no slot would
 * ever be free. */
static bool may_wait_there(const struct dispatcher_core *core, const struct session *s,
			   const struct turn_entry *e)
{
	struct rank rank;

	if (session_may_hold_more(core, s))
		return may_be_held_there(core, s, e);
	rank = turns_rank(core, e);
	return s->wire >= WIRE_VERSION_RANK && rank_compare(&rank, &s->last) < 0 &&
	       grant_may_be_sent_before(core, s, e);
}

/* Nobody runs ahead of others that wait by more than a quantum, or one shard. */
static uint64_t no_more_than_its_turn(const struct dispatcher_core *core, const struct turn_entry *e,
				      const struct job_row *row)
{
	uint64_t ns = estimate_shard_ns(core, row), most;

	if (ns == 0 || !turns_contended(core, e))
		return UINT64_MAX;
	most = (uint64_t)turns_quantum_us(core) * 1000 / ns;
	return most > 1 ? most : 1;
}

void grant_from(struct grant_round *g, const struct turn_entry *e)
{
	struct dispatcher_core *core = g->core;
	uint64_t job = e->head, hard;
	struct job_row *row = job_get(core, job);
	uint64_t pending = runnable_shards(core, job, row, &hard);
	uint64_t most = no_more_than_its_turn(core, e, row);
	uint32_t size = limits_lease_size(core, row, estimate_lease_size(core, row, pending));
	struct candidate c = first_shards(core, row, size < most ? size : (uint32_t)most);

	CHECK(c.shards.count > 0 && size > 0);
	if (c.shards.count > size && limits_room(core, row) < c.shards.count)
		c.shards.count = size; /* of suspects, which are leased as a whole otherwise */
	c.is_whole = size >= most;
	grant_add(g, job, row, c, e);
}

/* What one step grants, a round a session. */
struct granting {
	struct dispatcher_core *core;
	struct grant_round *rounds;
};

static struct grant_round *round_of(struct granting *all, struct session *s)
{
	if (s->round != NULL)
		return s->round;
	s->round = step_alloc(all->core, sizeof *s->round);
	grant_open(all->core, s->round, s);
	s->round->next = all->rounds;
	all->rounds = s->round;
	return s->round;
}

static void close_rounds(struct granting *all)
{
	for (struct grant_round *g = all->rounds; g != NULL; g = g->next) {
		grant_close(g);
		g->session->round = NULL;
	}
}

/* At most `most` leases. False when there is work, but the session can take none of it: it is full. */
static bool grant_session(struct granting *all, struct session *s, enum grant_pass pass, uint32_t most)
{
	struct dispatcher_core *core = all->core;
	struct grant_round *g = round_of(all, s);
	bool takes = s->worker->lease_count < TOKENS_PER_WORKER_MAX;

	for (; most > 0 && core->turns.queues.count > 0 && s->worker->lease_count < TOKENS_PER_WORKER_MAX;
	     most--) {
		const struct turn_entry *e = turns_next(core, taker_takes, &(struct taker){core, s, pass});

		takes = e != NULL && (pass == GRANT_NOW || may_wait_there(core, s, e));
		if (!takes)
			break;
		grant_from(g, e);
	}
	if (pass == GRANT_AHEAD && !takes)
		grant_overtaking(g);
	return takes;
}

/* Each session in turn. True: some may take more. */
static bool grant_pass(struct granting *all, enum grant_pass pass)
{
	struct dispatcher_core *core = all->core;
	struct session *s, *next;
	bool more = false;

	DL_FOREACH_SAFE2(core->hungry, s, next, list_next)
	{
		uint32_t most = pass == GRANT_NOW ? UINT32_MAX : AHEAD_AT_A_TIME;

		if (core->turns.queues.count == 0)
			return false;
		if (!session_takes_leases(s) || s->alone || s->reserved ||
		    (!grant_session(all, s, pass, most) && pass == GRANT_AHEAD))
			session_is_full(core, s);
		else
			more = true;
	}
	return more;
}

/* First each worker what it can begin now, then what it may hold ahead: a little each, again and again, so
 * that nobody's shards are all in one place. */
void step_grant(struct dispatcher_core *core)
{
	struct granting all = {.core = core};

	if (shared_came_back(core)) {
		sessions_are_hungry(core);
		core->hard_dirty = true;
	}
	limits_settle(core);
	if (core->quarantine && (core->runnable_jobs > 0 || core->hard_count > 0))
		quarantine_review(core);
	grant_hard(core);
	(void)grant_pass(&all, GRANT_NOW);
	while (grant_pass(&all, GRANT_AHEAD))
		;
	close_rounds(&all);
	(void)shared_came_back(core); /* what was granted now is seen to come back, too */
}
