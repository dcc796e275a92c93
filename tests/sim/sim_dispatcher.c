#include "tests/sim/sim_dispatcher.h"

#include <stdlib.h>
#include <string.h>

#include "jobs/frame.h"
#include "tests/sim/sim.h"

/* A tiny journal carries when it has more segments than this, in small steps. */
#define SEGMENTS_KEPT 3
#define CARRY_BYTES 4096
#define BATCH_BYTES 4096

static void on_end(void *arg, const struct stream_item *item)
{
	struct sim_dispatcher *d = arg;
	struct world *w = &d->sim->world;

	oracle_told_ended(&d->sim->oracle, item->ended->job);
	world_push(w, w->now_us + world_between(w, 1, 200 * USEC_PER_MSEC), SIM_SETTLE, HOST_DISPATCHER,
		   d->life, item->ended->job | (uint64_t)item->ended->reopens << 32, NULL);
}

void sim_dispatcher_init(struct sim_dispatcher *d, struct sim *sim)
{
	memset(d, 0, sizeof *d);
	d->sim = sim;
	d->tick_at_us = USEC_NEVER;
	d->ends = (struct subscriber){.fn = on_end, .arg = d, .kinds = 1u << STREAM_JOB_ENDED};
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
	buf_fini(&d->records);
	arena_fini(&d->arena);
}

static struct dispatcher_core *new_core(const struct sim_dispatcher *d)
{
	const struct scenario *s = &d->sim->scenario;
	struct dispatcher_config config;

	dispatcher_config_init(&config, &d->sim->params);
	config.cluster = (struct uuid){.hi = 1, .lo = 2};
	config.heartbeat_us = s->heartbeat_us;
	config.timeout_us = s->timeout_us;
	config.adopt_wait_us = 2 * s->timeout_us;
	config.default_shard_us = 50 * USEC_PER_MSEC;
	config.crashes_max = s->crashes_max;
	return dispatcher_core_create(&config);
}

/* ---- commits and turns ---- */

void sim_dispatcher_commit(struct sim_dispatcher *d)
{
	struct disk *disk = &d->sim->disk;
	size_t size = 0, count = 0;
	uint32_t records = 0;

	if (disk->in_flight || d->batch_count == 0)
		return;
	while (count < d->batch_count &&
	       (count == 0 || size + d->batches[count].size_bytes <= disk_payload_bytes_max(disk))) {
		size += d->batches[count].size_bytes;
		records += d->batches[count++].record_count;
	}
	disk_submit(disk, BYTES(d->records.data, size), records, d->epoch, d->life);
	memmove(d->records.data, d->records.data + size, d->records.size - size);
	d->records.size -= size;
	if (d->doomed)
		world_push(&d->sim->world, d->sim->world.now_us + 1, SIM_DOOM, HOST_DISPATCHER, d->life, 0,
			   NULL);
	d->batch_count -= count;
	memmove(d->batches, d->batches + count, d->batch_count * sizeof *d->batches);
}

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

/* ---- what is durable, history ---- */

static void read_durable(void *context, const struct frame *f)
{
	struct sim_dispatcher *d = context;
	struct oracle *o = &d->sim->oracle;
	struct bytes rest = f->payload;
	uint64_t lsn = f->lsn;

	while (rest.size > 0) {
		uint32_t type;
		void *body;

		arena_reset(&d->arena);
		if (codec_union_decode(&record_union, &rest, &type, &body, &d->arena, NULL) < 0)
			world_fail(&d->sim->world, "record %llu cannot be decoded", (unsigned long long)lsn);
		if (lsn > o->seen_lsn) {
			o->seen_lsn = lsn;
			oracle_record(o, type, body);
		}
		lsn++;
	}
	if (lsn != f->lsn + f->record_count)
		world_fail(&d->sim->world, "a commit of %u records holds another number", f->record_count);
}

void sim_dispatcher_synced(struct sim_dispatcher *d)
{
	struct world *w = &d->sim->world;
	struct disk *disk = &d->sim->disk;

	disk_flight_read(disk, read_durable, d);
	disk_synced(disk);
	world_push(w, w->now_us + world_between(w, 1, d->sim->scenario.history_lag_us), SIM_HISTORY,
		   HOST_DISPATCHER, disk->durable_lsn, d->life, NULL);
	sim_dispatcher_commit(d);
	sim_dispatcher_turn(d);
}

void sim_dispatcher_history(struct sim_dispatcher *d, uint64_t lsn)
{
	if (lsn <= d->history_lsn)
		return;
	d->history_lsn = lsn;
	sim_dispatcher_turn(d);
}

/* ---- start, crash, replay ---- */

struct replay {
	struct sim_dispatcher *dispatcher;
	struct dispatcher_core *core;
	uint64_t lsn;
	bool for_oracle;
};

static void apply_payload(struct replay *r, struct bytes rest)
{
	struct sim_dispatcher *d = r->dispatcher;
	struct error e = {0};
	char text[800];

	while (rest.size > 0) {
		uint32_t type;
		void *body;

		arena_reset(&d->arena);
		if (codec_union_decode(&record_union, &rest, &type, &body, &d->arena, &e) < 0 ||
		    dispatcher_core_apply(r->core, type, body, r->lsn, &e) < 0)
			world_fail(&d->sim->world, "replay of record %llu: %s", (unsigned long long)r->lsn,
				   error_text(&e, text, sizeof text));
		r->lsn++;
	}
}

static void apply_frame(void *context, const struct frame *f)
{
	struct replay *r = context;

	r->lsn = f->lsn;
	apply_payload(r, f->payload);
	if (r->for_oracle)
		read_durable(r->dispatcher, f);
}

static void replay_end(struct replay *r)
{
	struct error e = {0};
	char text[800];

	if (dispatcher_core_replay_end(r->core, &e) < 0)
		world_fail(&r->dispatcher->sim->world, "the end of replay: %s",
			   error_text(&e, text, sizeof text));
}

void sim_dispatcher_verify(struct sim_dispatcher *d)
{
	struct replay r = {.dispatcher = d, .core = new_core(d)};

	engine_flush(d->engine);
	disk_read(&d->sim->disk, apply_frame, &r);
	apply_payload(&r, buf_bytes(&d->records));
	replay_end(&r);
	if (dispatcher_core_digest(r.core) != dispatcher_core_digest(d->core))
		world_fail(&d->sim->world,
			   "replaying the journal gives another state than the dispatcher has");
	dispatcher_core_destroy(r.core);
}

void sim_dispatcher_start(struct sim_dispatcher *d)
{
	struct sim *s = d->sim;
	struct replay r = {.dispatcher = d, .for_oracle = true};
	struct engine_bounds bounds;

	if (d->life != 0)
		return;
	d->life = ++s->next_life;
	SAY(&s->world, "d: starts, life %llu", (unsigned long long)d->life);
	d->core = r.core = new_core(d);
	disk_recover(&s->disk, apply_frame, &r);
	replay_end(&r);
	dispatcher_core_check(d->core, CHECK_FULL);
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
