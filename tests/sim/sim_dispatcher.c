#include "tests/sim/sim_dispatcher.h"

#include <stdlib.h>
#include <string.h>

#include "jobs/frame.h"
#include "tests/sim/sim.h"

/* A tiny journal carries when it has more segments than this. */
#define SEGMENTS_KEPT 3

void sim_dispatcher_init(struct sim_dispatcher *d, struct sim *sim)
{
	memset(d, 0, sizeof *d);
	d->sim = sim;
	d->tick_at_us = USEC_NEVER;
	dispatcher_effects_init(&d->effects);
	arena_init(&d->arena, 0);
}

static void process_ends(struct sim_dispatcher *d)
{
	dispatcher_core_destroy(d->core);
	d->core = NULL;
	d->life = 0;
	d->doomed = false;
	d->tick_at_us = USEC_NEVER;
	d->batch_count = 0;
	d->carry_end_lsn = d->carry_done_lsn = 0;
	buf_clear(&d->records);
	sim_effects_forget(d);
	for (size_t i = 0; i < d->peer_count; i++)
		free(d->peers[i].jobs);
	d->peer_count = 0;
	for (size_t i = 0; i < ARRAY_LENGTH(d->planners); i++)
		d->planners[i].ticket = 0;
}

void sim_dispatcher_fini(struct sim_dispatcher *d)
{
	process_ends(d);
	free(d->waiting);
	free(d->peers);
	free(d->batches);
	buf_fini(&d->records);
	dispatcher_effects_fini(&d->effects);
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

/* ---- commits ---- */

static void submit(struct sim_dispatcher *d)
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

static void take_records(struct sim_dispatcher *d)
{
	if (d->effects.record_count == 0)
		return;
	buf_append_bytes(&d->records, buf_bytes(&d->effects.records));
	if (d->batch_count == d->batch_capacity) {
		d->batch_capacity = d->batch_capacity ? 2 * d->batch_capacity : 16;
		d->batches = check_realloc(d->batches, d->batch_capacity, sizeof *d->batches);
	}
	d->batches[d->batch_count++] = (struct sim_batch){.size_bytes = d->effects.records.size,
							  .record_count = d->effects.record_count};
}

static void tick_later(struct sim_dispatcher *d)
{
	struct world *w = &d->sim->world;
	usec_t deadline = dispatcher_core_deadline(d->core), at;

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

void sim_dispatcher_step(struct sim_dispatcher *d, enum input_type type, const void *body)
{
	struct world *w = &d->sim->world;
	struct dispatcher_input in = {
	    .mono_us = world_mono(w, HOST_DISPATCHER),
	    .wall_us = world_wall(w, HOST_DISPATCHER),
	    .type = type,
	    .body = body,
	};

	if (dispatcher_core_step(d->core, &in, &d->effects) < 0)
		world_fail(w, "the dispatcher's core refuses input %d", (int)type);
	d->step_count++;
	dispatcher_core_check(d->core, CHECK_FULL);
	world_digest_u64(w, d->effects.last_lsn);
	if (type == INPUT_OPEN) {
		struct view_counters v;

		dispatcher_view_counters(d->core, &v);
		d->epoch = v.epoch;
	}
	take_records(d);
	sim_effects_take(d);
	submit(d);
	tick_later(d);
}

void sim_dispatcher_tick(struct sim_dispatcher *d)
{
	d->tick_at_us = USEC_NEVER;
	if (dispatcher_core_deadline(d->core) <= world_mono(&d->sim->world, HOST_DISPATCHER))
		sim_dispatcher_step(d, INPUT_TICK, &(struct input_tick){0});
	else
		tick_later(d);
}

void sim_dispatcher_frame(struct sim_dispatcher *d, uint64_t peer, struct bytes frame)
{
	struct view_counters v;

	sim_dispatcher_step(d, INPUT_MESSAGE, &(struct input_message){.peer = peer, .frame = frame});
	dispatcher_view_counters(d->core, &v);
	if (v.late + v.duplicate > d->late_count)
		coverage_hit(d->sim->coverage, ROW_LATE, d->sim->world.now_us);
	d->late_count = v.late + v.duplicate;
}

void sim_dispatcher_gone(struct sim_dispatcher *d, struct uuid worker)
{
	coverage_hit(d->sim->coverage, ROW_GONE, d->sim->world.now_us);
	SAY(&d->sim->world, "d: is told that w%u is gone", (unsigned)worker.hi);
	sim_dispatcher_step(d, INPUT_GONE, &(struct input_gone){.worker = worker});
}

/* ---- carrying forward, history ---- */

/* A step does what is due besides what it is asked for: only when it did not, nothing may change. */
static bool only_carried(struct sim_dispatcher *d)
{
	struct bytes rest = buf_bytes(&d->effects.records);
	uint32_t type;
	void *body;

	arena_reset(&d->arena);
	while (rest.size > 0) {
		if (codec_union_decode(&record_union, &rest, &type, &body, &d->arena, NULL) < 0)
			world_fail(&d->sim->world, "a record of the step cannot be decoded");
		if (type == RECORD_GRANTED)
			return false;
	}
	return true;
}

static void carry(struct sim_dispatcher *d)
{
	struct disk *disk = &d->sim->disk;
	uint64_t before;

	if (!d->sim->scenario.journal_tiny || disk->segment_count <= SEGMENTS_KEPT)
		return;
	if (d->carry_end_lsn == 0)
		d->carry_end_lsn = disk_oldest_end_lsn(disk);
	if (d->carry_done_lsn == 0) {
		before = dispatcher_core_digest(d->core);
		sim_dispatcher_step(d, INPUT_CARRY,
				    &(struct input_carry){.oldest_lsn = d->carry_end_lsn, .bytes_max = 4096});
		if (dispatcher_core_digest(d->core) != before && only_carried(d))
			world_fail(&d->sim->world,
				   "carrying forward what is known changed the dispatcher's durable state");
		if (d->effects.carry_done)
			d->carry_done_lsn = d->effects.last_lsn;
	}
	if (d->carry_done_lsn == 0 || disk->durable_lsn < d->carry_done_lsn ||
	    d->history_lsn + 1 < d->carry_end_lsn)
		return;
	disk_trim(disk, d->carry_end_lsn);
	coverage_hit(d->sim->coverage, ROW_TRIMMED, d->sim->world.now_us);
	d->carry_end_lsn = d->carry_done_lsn = 0;
}

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
	sim_effects_release(d, disk->durable_lsn);
	submit(d);
	sim_dispatcher_step(d, INPUT_DURABLE, &(struct input_durable){.lsn = disk->durable_lsn});
	carry(d);
}

void sim_dispatcher_history(struct sim_dispatcher *d, uint64_t lsn)
{
	if (lsn <= d->history_lsn)
		return;
	d->history_lsn = lsn;
	sim_dispatcher_step(d, INPUT_HISTORY, &(struct input_history){.lsn = lsn});
	carry(d);
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
	sim_dispatcher_step(
	    d, INPUT_OPEN,
	    &(struct input_open){.seed = rng_u64(&s->world.rng), .history_lsn = d->history_lsn});
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
