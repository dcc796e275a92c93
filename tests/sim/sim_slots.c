/* A worker's slots: what its slot threads and processes would do, in virtual time. */
#include "base/array.h"
#include "tests/sim/sim_slots.h"

#include <string.h>

#include "jobs/kinds.h"
#include "tests/sim/sim.h"

#define PLAIN_CHUNK_BIG (1u << 24)
#define PLAIN_CHUNK_SMALL 16u

static const struct sim_job *spec_of(const struct sim_worker *w, uint64_t job)
{
	const struct oracle_job *j = oracle_job(&w->sim->oracle, job);

	if (j == NULL)
		world_fail(&w->sim->world, "w%u runs job %llu, which nobody accepted durably", w->host,
			   (unsigned long long)job);
	return &w->sim->scenario.jobs[j->sim_job];
}

_Static_assert(SLOT_CELLS <= 64, "a bit a cell");

static void expect_answer(struct sim_slot *s, uint32_t cell)
{
	s->answers |= 1ull << cell;
}

bool sim_slot_answers(const struct sim_slot *s, uint32_t cell)
{
	return (s->answers >> cell & 1) != 0;
}

void sim_slot_open(struct sim_worker *w, uint32_t slot)
{
	struct sim_slot *s = &w->slots[slot];

	if (slot >= SIM_SLOTS_MAX || s->open)
		world_fail(&w->sim->world, "w%u opens slot %u, which is open or too high", w->host, slot);
	memset(s, 0, sizeof *s);
	s->open = true;
}

void sim_slot_close(struct sim_worker *w, uint32_t slot)
{
	struct sim_slot *s = &w->slots[slot];

	if (slot >= SIM_SLOTS_MAX || !s->open || s->held > 0)
		world_fail(&w->sim->world, "w%u closes slot %u, which is not open and free", w->host, slot);
	s->open = false;
}

void sim_slot_arm(struct sim_worker *w, const struct worker_arm *a)
{
	struct sim_slot *s = &w->slots[a->slot];
	struct world *world = &w->sim->world;
	uint32_t last;

	if (a->slot >= SIM_SLOTS_MAX || !s->open || s->cell_held[a->cell])
		world_fail(world, "w%u arms cell %u of slot %u, which is not free", w->host, a->cell,
			   a->slot);
	if (s->held == 0 && a->cell != s->current)
		world_fail(world, "w%u arms the cells of slot %u out of turn", w->host, a->slot);
	last = a->definition->phases.count - 1;
	if (a->run != &a->definition->phases.items[a->phase < last ? a->phase : last] ||
	    a->parameters->job != a->job || a->parameters->phase != a->phase)
		world_fail(world, "w%u arms job %llu with another's parameters", w->host,
			   (unsigned long long)a->job);
	cell_arm(&s->cells[a->cell], a->token, a->range);
	s->cell_held[a->cell] = true;
	s->held++;
	s->job[a->cell] = a->job;
	s->phase[a->cell] = a->phase;
	s->durable[a->cell] = a->run->run.durable_output;
	oracle_taken(&w->sim->oracle, a->token);
	SAY(world, "w%u: slot %u cell %u gets token %u.%llu: job %llu phase %u shards %u+%u", w->host,
	    a->slot, a->cell, a->token.epoch, (unsigned long long)a->token.lease, (unsigned long long)a->job,
	    a->phase, a->range.first, a->range.count);
}

static bool holds(const struct sim_slot *s, uint32_t cell, struct token t)
{
	return s->open && s->cell_held[cell] && s->cells[cell].token.epoch == t.epoch &&
	       s->cells[cell].token.lease == t.lease;
}

void sim_slot_lower_end(struct sim_worker *w, const struct worker_lower_end *l)
{
	struct sim_slot *s = &w->slots[l->slot];

	if (!holds(s, l->cell, l->token))
		return;
	cell_lower_end(&s->cells[l->cell], l->end);
	expect_answer(s, l->cell);
}

void sim_slot_stop(struct sim_worker *w, const struct worker_stop *stop)
{
	struct sim_slot *s = &w->slots[stop->slot];
	struct world *world = &w->sim->world;

	if (!holds(s, stop->cell, stop->token))
		return;
	cell_lower_end(&s->cells[stop->cell], 0);
	if (!s->busy || s->current != stop->cell)
		return;			/* the slot comes to it in its turn and finds it empty */
	s->attempt = ++w->next_attempt; /* what was to end it does not any more */
	s->stopping = true;
	world_push(world, world->now_us + world_between(world, 0, 60 * USEC_PER_MSEC), SIM_ATTEMPT, w->host,
		   w->life, s->attempt, NULL);
}

static usec_t work_takes(struct sim_worker *w, const struct sim_job *j, uint32_t phase, uint32_t count,
			 enum fate fate)
{
	struct world *world = &w->sim->world;

	if (phase > scenario_shards_phase(j) && j->gather_us > 0)
		return world_between(world, j->gather_us / 2, j->gather_us);
	if (j->shard_count > 5000)
		return 1 + count / 1000;
	if (fate == FATE_TIMEOUT)
		return 8 * j->shard_us;
	return count * world_between(world, j->shard_us / 2, j->shard_us + j->shard_us / 2);
}

/* Takes from its cell and begins; true when the core has to be told something. */
static bool slot_begin(struct sim_worker *w, struct sim_slot *s)
{
	struct world *world = &w->sim->world;
	uint32_t c = s->current;
	struct cell_view v;
	const struct sim_job *j;
	uint32_t phase, max;

	if (!s->open || s->busy || !s->cell_held[c])
		return false;
	v = cell_peek(&s->cells[c]);
	if (v.next == v.end) {
		expect_answer(s, c);
		return true;
	}
	j = spec_of(w, s->job[c]);
	phase = s->phase[c];
	max = scenario_plain_run(v.next, j->shard_count > 5000 ? PLAIN_CHUNK_BIG : PLAIN_CHUNK_SMALL);
	s->work = cell_take(&s->cells[c], max ? max : 1);
	s->fate = FATE_OK;
	if (max == 0) {
		struct oracle_job *oj = oracle_job(&w->sim->oracle, s->job[c]);

		s->fate = scenario_fate(&w->sim->scenario, world->seed, oj->sim_job, phase, s->work.first,
					oracle_facts(oj, phase, s->work.first)->ended);
	}
	s->busy = true;
	s->begun_us = world->now_us;
	s->stopping = false;
	s->attempt = ++w->next_attempt;
	world_push(world, world->now_us + work_takes(w, j, phase, s->work.count, s->fate), SIM_ATTEMPT,
		   w->host, w->life, s->attempt, NULL);
	return false;
}

bool sim_slots_begin(struct sim_worker *w)
{
	bool tell = false;

	for (uint32_t i = 0; i < SIM_SLOTS_MAX; i++)
		tell |= slot_begin(w, &w->slots[i]);
	return tell;
}

/* A sync covers what the core was told of before it asked for it. */
static void remember_outputs(struct sim_worker *w, const struct sim_slot *s, struct token t)
{
	for (uint32_t i = 0; i < s->done_count; i++) {
		ARRAY_GROW(w->outputs, w->output_capacity, w->output_count);
		w->outputs[w->output_count++] =
		    (struct sim_output){.token = t, .range = s->done[i], .segment = (uint32_t)(s - w->slots)};
	}
}

static void remember_failed(struct sim_worker *w, const struct failure *f, struct token t)
{
	ARRAY_GROW(w->outputs, w->output_capacity, w->output_count);
	w->outputs[w->output_count++] = (struct sim_output){
	    .token = t, .range = {f->first, f->count}, .segment = f->segment, .failed = true};
}

static void ended_well(struct sim_worker *w, struct sim_slot *s)
{
	struct token t = s->cells[s->current].token;
	struct range *last = s->done_count ? &s->done[s->done_count - 1] : NULL;

	oracle_well(&w->sim->oracle, t, s->work);
	s->totals.output_bytes += 10ull * s->work.count;
	if (last != NULL && range_end(*last) == s->work.first)
		last->count += s->work.count;
	else
		s->done[s->done_count++] = s->work;
}

/* Segment 0, the first slot's: as if it had written nothing. */
static void failure_of(const struct sim_slot *s, uint32_t slot, struct failure *f)
{
	static const struct {
		uint8_t kind;
		int64_t code;
	} table[] = {
	    [FATE_FAIL] = {FAILURE_EXIT, 1},	   [FATE_FATAL] = {FAILURE_EXIT, 42},
	    [FATE_TIMEOUT] = {FAILURE_TIMEOUT, 0}, [FATE_OOM] = {FAILURE_OOM, 9},
	    [FATE_TROUBLE] = {FAILURE_START, 11},
	};

	*f = (struct failure){
	    .first = s->work.first,
	    .count = s->work.count,
	    .kind = table[s->fate].kind,
	    .code = table[s->fate].code,
	    .why = bytes_of(s->fate == FATE_TROUBLE ? "no process" : "as the scenario wants it"),
	    .segment = s->fate == FATE_TROUBLE ? 0 : slot,
	};
}

bool sim_slot_attempt(struct sim_worker *w, struct sim_slot *s, struct failure *failed_ret, bool *crash_ret)
{
	struct world *world = &w->sim->world;
	struct token t = s->cells[s->current].token;
	struct cell_view v = cell_peek(&s->cells[s->current]);

	*crash_ret = false;
	failed_ret->count = 0;
	if (s->stopping) { /* it was ended: neither done nor failed */
		s->busy = s->stopping = false;
		expect_answer(s, s->current);
		return true;
	}
	s->totals.run_us += (uint64_t)(world->now_us - s->begun_us);
	s->totals.cpu_us += (uint64_t)(world->now_us - s->begun_us) / 2;
	if (4096 * (s->attempt % 97) > s->totals.max_rss_bytes)
		s->totals.max_rss_bytes = 4096 * (s->attempt % 97);
	SAY(world, "w%u: shards %u+%u of %u.%llu end: fate %d", w->host, s->work.first, s->work.count,
	    t.epoch, (unsigned long long)t.lease, (int)s->fate);
	if (s->fate == FATE_OK && !w->sim->calm && world_chance(world, 2000))
		s->fate = FATE_TROUBLE;
	switch (s->fate) {
	case FATE_OK:
	case FATE_EXCUSED:
		ended_well(w, s);
		break;
	case FATE_TROUBLE: /* nothing of it counts: the oracle is told nothing */
		failure_of(s, (uint32_t)(s - w->slots), failed_ret);
		break;
	case FATE_CRASH:
		oracle_crashed(&w->sim->oracle, t, s->work.first);
		*crash_ret = true;
		return false;
	default:
		oracle_failed(&w->sim->oracle, t, s->work.first, s->fate);
		failure_of(s, (uint32_t)(s - w->slots), failed_ret);
	}
	s->busy = false;
	if (failed_ret->count > 0 || s->done_count == ARRAY_LENGTH(s->done) || v.next == v.end ||
	    world_chance(world, 600000))
		expect_answer(s, s->current);
	return sim_slot_answers(s, s->current);
}

void sim_slot_progress(struct sim_worker *w, uint32_t slot, uint32_t cell, const struct failure *failed,
		       struct worker_slot_progress *ret)
{
	struct sim_slot *s = &w->slots[slot];
	struct cell *c = &s->cells[cell];
	struct cell_view v = cell_peek(c);
	bool current = s->current == cell;

	*ret = (struct worker_slot_progress){
	    .slot = slot,
	    .cell = cell,
	    .token = c->token,
	    .segment = slot,
	    .next = v.next,
	    .end = v.end,
	};
	s->answers &= ~(1ull << cell);
	if (!current)
		return;
	ret->done = (struct range_list){.items = s->done, .count = s->done_count};
	ret->whole = spec_of(w, s->job[cell])->whole;
	for (uint32_t i = 0; ret->whole && i < s->done_count; i++)
		oracle_whole(&w->sim->oracle, c->token, s->done[i]);
	ret->failed = (struct failure_list){.items = (struct failure *)failed, .count = failed ? 1 : 0};
	ret->totals = s->totals;
	if (s->durable[cell])
		remember_outputs(w, s, c->token);
	s->done_count = 0;
	if (s->durable[cell] && failed != NULL && failed->segment > 0)
		remember_failed(w, failed, c->token);
	s->totals = (struct totals){0};
	if (s->busy || v.next != v.end)
		return;
	ret->released = true;
	cell_release(c);
	s->cell_held[cell] = false;
	s->held--;
	s->current = cell_after(cell);
}
