#include "tests/sim/sim_dispatcher.h"

#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim.h"

/* A tiny journal carries when it has more segments than this, in small steps. */
#define SEGMENTS_KEPT 3
#define CARRY_BYTES 4096
#define BATCH_BYTES 4096

void sim_dispatcher_init(struct sim_dispatcher *d, struct sim *sim)
{
	memset(d, 0, sizeof *d);
	d->sim = sim;
	d->tick_at_us = USEC_NEVER;
	d->ends = (struct subscriber){.fn = sim_rules_on_end, .arg = d, .kinds = 1u << STREAM_JOB_ENDED};
	arena_init(&d->arena, 0);
}

static void process_ends(struct sim_dispatcher *d)
{
	engine_destroy(d->engine);
	dispatcher_core_destroy(d->core);
	d->engine = NULL;
	d->core = NULL;
	d->life = 0;
	d->doomed = false;
	d->tick_at_us = USEC_NEVER;
	d->batch_count = 0;
	memset(d->reads, 0, sizeof d->reads);
	buf_clear(&d->records);
	for (size_t i = 0; i < ARRAY_LENGTH(d->planners); i++)
		d->planners[i].ticket = 0;
}

void sim_dispatcher_fini(struct sim_dispatcher *d)
{
	process_ends(d);
	free(d->batches);
	free(d->keys);
	buf_fini(&d->records);
	arena_fini(&d->arena);
}

/* ---- turns ---- */

static void tick_later(struct sim_dispatcher *d)
{
	struct world *w = &d->sim->world;
	usec_t deadline = engine_deadline(d->engine), at;

	if (deadline == USEC_NEVER)
		return;
	at = deadline - w->hosts[HOST_DISPATCHER].mono_offset_us;
	if (at <= w->now_us)
		at = w->now_us + 1;
	if (at >= d->tick_at_us)
		return;
	d->tick_at_us = at;
	world_push(w, at, SIM_TICK, HOST_DISPATCHER, d->life, 0, NULL);
}

void sim_dispatcher_turn(struct sim_dispatcher *d)
{
	engine_turn(d->engine, false);
	tick_later(d);
}

void sim_dispatcher_tick(struct sim_dispatcher *d)
{
	d->tick_at_us = USEC_NEVER;
	if (engine_deadline(d->engine) <= world_mono(&d->sim->world, HOST_DISPATCHER))
		engine_tick(d->engine);
	sim_dispatcher_turn(d);
}

static void on_reply(void *arg, const struct dispatcher_reply *reply)
{
	const struct sim_ticket *t = arg;

	sim_client_replied(t->sim, t->action, reply);
}

void sim_dispatcher_submit(struct sim_dispatcher *d, enum input_type type, void *body, uint64_t ticket)
{
	struct sim_ticket *t = ticket > 0 && ticket <= SIM_ACTIONS_MAX ? &d->tickets[ticket - 1] : NULL;

	if (t != NULL)
		*t = (struct sim_ticket){d->sim, ticket - 1};
	port_submit(engine_port(d->engine), type, body, t != NULL ? &(struct ticket){on_reply, t} : NULL);
	sim_dispatcher_turn(d);
}

void sim_dispatcher_frame(struct sim_dispatcher *d, uint64_t peer, struct bytes frame)
{
	struct view_counters v;

	engine_frame(d->engine, peer, frame);
	sim_dispatcher_turn(d);
	dispatcher_view_counters(d->core, &v);
	if (v.late + v.duplicate > d->late_count)
		coverage_hit(d->sim->coverage, ROW_LATE, d->sim->world.now_us);
	d->late_count = v.late + v.duplicate;
}

void sim_dispatcher_gone(struct sim_dispatcher *d, struct uuid worker)
{
	coverage_hit(d->sim->coverage, ROW_GONE, d->sim->world.now_us);
	SAY(&d->sim->world, "d: is told that w%u is gone", (unsigned)worker.hi);
	sim_dispatcher_submit(d, INPUT_GONE, &(struct input_gone){.worker = worker}, 0);
}

void sim_dispatcher_history(struct sim_dispatcher *d, uint64_t lsn)
{
	if (lsn <= d->history_lsn)
		return;
	d->history_lsn = lsn;
	sim_dispatcher_turn(d);
}

/* ---- start, crash ---- */

void sim_dispatcher_start(struct sim_dispatcher *d)
{
	struct sim *s = d->sim;
	struct engine_bounds bounds;

	if (d->life != 0)
		return;
	d->life = ++s->next_life;
	SAY(&s->world, "d: starts, life %llu", (unsigned long long)d->life);
	d->core = sim_replay_recovered(d);
	if (s->disk.torn)
		/* Its consequences take the return of the workers, and their timeouts. */
		coverage_fault(s->coverage, FAULT_TORN, s->world.now_us + 3 * s->scenario.timeout_us);
	if (d->start_count++ > 0)
		coverage_hit(s->coverage, ROW_REPLAYED, s->world.now_us);
	net_dispatcher_up(&s->net, d->life);
	engine_bounds_init(&bounds);
	bounds.batch_bytes = BATCH_BYTES;
	bounds.segments_min = SEGMENTS_KEPT;
	bounds.carry_bytes = CARRY_BYTES;
	bounds.carry_look_records = 1;
	d->submitted_lsn = s->disk.durable_lsn;
	d->engine = engine_create(&sim_engine_ops, d, &bounds, d->core, s->disk.durable_lsn, d->history_lsn);
	port_subscribe(engine_port(d->engine), &d->ends);
	engine_open(d->engine, rng_u64(&s->world.rng));
	if (!scenario_chains(&s->scenario) && s->world.seed % 4 != 0)
		port_submit(engine_port(d->engine), INPUT_INTEREST, &(struct input_interest){0}, NULL);
	sim_dispatcher_turn(d);
}

void sim_dispatcher_crash(struct sim_dispatcher *d, const char *why)
{
	struct world *w = &d->sim->world;

	if (d->life == 0)
		return;
	SAY(w, "d: dies (%s)", why);
	coverage_fault(d->sim->coverage, FAULT_DISPATCHER_CRASH, w->now_us);
	process_ends(d);
	disk_crash(&d->sim->disk);
	net_dispatcher_down(&d->sim->net);
	w->hosts[HOST_DISPATCHER].paused_until_us = 0;
	world_push(w, w->now_us + world_between(w, 1000, 3 * USEC_PER_SEC), SIM_START, HOST_DISPATCHER, 0, 0,
		   NULL);
}
