#include "tests/sim/sim_worker.h"

#include <stdlib.h>
#include <string.h>

#include "jobs/kinds.h"
#include "tests/sim/sim.h"
#include "tests/sim/sim_slots.h"

void sim_worker_init(struct sim_worker *w, struct sim *sim, uint32_t host)
{
	memset(w, 0, sizeof *w);
	w->sim = sim;
	w->host = host;
	w->tick_at_us = USEC_NEVER;
	worker_effects_init(&w->effects);
	arena_init(&w->arena, 0);
}

void sim_worker_fini(struct sim_worker *w)
{
	worker_core_destroy(w->core);
	w->core = NULL;
	worker_effects_fini(&w->effects);
	arena_fini(&w->arena);
	free(w->outputs);
}

static const char *const of_shard = "of a shard";

static void process_ends(struct sim_worker *w)
{
	worker_core_destroy(w->core);
	w->core = NULL;
	w->life = 0;
	w->output_count = 0;
	w->tick_at_us = USEC_NEVER;
	memset(w->slots, 0, sizeof w->slots);
	if (w->sim->scenario.scaler)
		sim_scaler_ended(&w->sim->scaler, w->host);
	worker_effects_clear(&w->effects);
	net_worker_down(&w->sim->net, w->host);
}

static void sync_outputs(struct sim_worker *w, const struct worker_sync *sync)
{
	struct world *world = &w->sim->world;

	if (w->sync_generation != 0)
		world_fail(world, "w%u starts a second sync", w->host);
	w->sync_generation = sync->generation;
	for (size_t i = 0; i < w->output_count; i++)
		for (uint32_t k = 0; k < sync->segment_count; k++)
			if (w->outputs[i].segment == sync->segments[k])
				w->outputs[i].generation = sync->generation;
	world_push(world,
		   world->now_us + (world_chance(world, 50000) ? world_between(world, 0, USEC_PER_SEC)
							       : world_between(world, 50, 5000)),
		   SIM_SYNC, w->host, w->life, sync->generation, NULL);
}

static void send(struct sim_worker *w, const struct worker_send *s)
{
	struct buf frame = {0};

	SAY(&w->sim->world, "w%u: sends %s", w->host, codec_union_find(&message_union, s->type)->name);
	if (s->type == MESSAGE_REPORT)
		oracle_reported(&w->sim->oracle, w->host, s->body);
	message_encode(s->wire, s->type, s->body, &frame);
	net_send_up(&w->sim->net, w->host, buf_bytes(&frame));
	buf_fini(&frame);
}

/* True when it was the end of the process. */
static bool carry_out(struct sim_worker *w, const struct worker_effect *e)
{
	switch (e->kind) {
	case WORKER_SEND:
		send(w, &e->send);
		break;
	case WORKER_OPEN_SLOT:
		sim_slot_open(w, e->open.slot);
		break;
	case WORKER_CLOSE_SLOT:
		sim_slot_close(w, e->close.slot);
		break;
	case WORKER_ARM:
		sim_slot_arm(w, &e->arm);
		break;
	case WORKER_LOWER_END:
		sim_slot_lower_end(w, &e->lower_end);
		break;
	case WORKER_STOP:
		sim_slot_stop(w, &e->stop);
		break;
	case WORKER_SYNC:
		sync_outputs(w, &e->sync);
		break;
	case WORKER_EXIT:
		SAY(&w->sim->world, "w%u: leaves with code %d", w->host, (int)e->exit.code);
		if (e->exit.code == WORKER_EXIT_REFUSED)
			world_fail(&w->sim->world, "w%u was refused: %.*s", w->host, (int)e->exit.why.size,
				   (const char *)e->exit.why.data);
		if (e->exit.code == WORKER_EXIT_DRAINED)
			coverage_hit(w->sim->coverage, ROW_BYE, w->sim->world.now_us);
		return true;
	default:
		break;
	}
	return false;
}

static void tick_later(struct sim_worker *w)
{
	struct world *world = &w->sim->world;
	usec_t deadline = worker_core_deadline(w->core), at;

	if (deadline == USEC_NEVER)
		return;
	at = deadline - world->hosts[w->host].mono_offset_us;
	if (at <= world->now_us)
		at = world->now_us + 1;
	if (at >= w->tick_at_us)
		return;
	w->tick_at_us = at;
	world_push(world, at, SIM_TICK, w->host, w->life, 0, NULL);
}

static void step_once(struct sim_worker *w, struct worker_input *in, bool *exit_ret)
{
	struct world *world = &w->sim->world;
	struct error e = {0};
	char text[800];

	in->mono_us = world_mono(world, w->host);
	in->wall_us = world_wall(world, w->host);
	worker_effects_clear(&w->effects);
	if (worker_core_step(w->core, in, &w->effects, &e) < 0)
		world_fail(world, "w%u refuses what an honest dispatcher sent: %s", w->host,
			   error_text(&e, text, sizeof text));
	worker_core_check(w->core, CHECK_FULL);
	for (uint32_t i = 0; i < w->effects.count; i++)
		*exit_ret |= carry_out(w, &w->effects.items[i]);
}

static bool answer_slots(struct sim_worker *w, bool *exit_ret)
{
	bool any = false;

	for (uint32_t i = 0; i < SIM_SLOTS_MAX; i++)
		for (uint32_t k = 0; w->slots[i].open && w->slots[i].answers != 0 && k < SLOT_CELLS; k++) {
			struct worker_input in;

			if (!sim_slot_answers(&w->slots[i], k) || !w->slots[i].cell_held[k])
				continue;
			in = (struct worker_input){.kind = WORKER_SLOT_PROGRESS};
			sim_slot_progress(w, i, k, NULL, &in.progress);
			step_once(w, &in, exit_ret);
			any = true;
			if (*exit_ret)
				return true;
		}
	return any;
}

/* A step, and all that follows from it at the same time. */
static void step(struct sim_worker *w, struct worker_input *in)
{
	struct world *world = &w->sim->world;
	struct worker_view v;
	bool exited = false;
	uint32_t rounds = 0;

	step_once(w, in, &exited);
	while (!exited) {
		bool begun = sim_slots_begin(w), answered = answer_slots(w, &exited);

		if (!begun && !answered)
			break;
		if (++rounds > 100000)
			world_fail(world, "w%u steps for ever", w->host);
	}
	if (exited) {
		process_ends(w);
		w->last_died = false;
		if (w->wanted)
			world_push(world, world->now_us + world_between(world, 1, 3 * USEC_PER_SEC),
				   SIM_START, w->host, 0, 0, NULL);
		return;
	}
	worker_core_view(w->core, &v);
	if (v.reports_resent > w->resent_count)
		coverage_hit(w->sim->coverage, ROW_REPORT_AGAIN, world->now_us);
	w->resent_count = v.reports_resent;
	tick_later(w);
}

void sim_worker_start(struct sim_worker *w)
{
	struct world *world = &w->sim->world;
	struct worker_config config;
	struct uuid gone = w->last_id;

	if (w->life != 0 || !w->wanted)
		return;
	w->life = ++w->sim->next_life;
	w->id = (struct uuid){.hi = w->host, .lo = rng_u64(&world->rng)};
	w->draining = false;
	w->resent_count = 0;
	worker_config_init(&config, &w->sim->params);
	config.worker = w->id;
	config.host = bytes_of("host");
	config.pid = (uint32_t)w->life;
	config.pool = bytes_of("pool");
	config.provider_id =
	    bytes_of(w->sim->scenario.scaler ? w->sim->scaler.instances[w->host].id : "by hand");
	config.capacity.cpu_milli = w->sim->scenario.worker_cpu_milli[w->host];
	config.capacity.memory_bytes = 64ull << 30;
	config.seed = rng_u64(&world->rng);
	if (w->last_died && world_chance(world, 300000))
		config.gone = (struct uuid_list){.items = &gone, .count = 1};
	config.resend_us = world_between(world, USEC_PER_SEC, 3 * USEC_PER_SEC);
	config.register_retry_max_us = 2 * USEC_PER_SEC;
	if (world_chance(world, 300000))
		config.report_ranges_max = (uint32_t)world_between(world, 2, 8);
	if (world_chance(world, 200000))
		config.tokens_max = (uint32_t)world_between(world, 64, 100);
	if (world_chance(world, 300000))
		config.cache_bytes_max = 1;
	w->core = worker_core_create(&config);
	SAY(world, "w%u: starts, life %llu", w->host, (unsigned long long)w->life);
	if (config.gone.count > 0)
		coverage_hit(w->sim->coverage, ROW_GONE, world->now_us);
	w->last_id = w->id;
	w->last_died = false;
	w->sync_generation = 0;
	net_worker_up(&w->sim->net, w->host, w->life);
	tick_later(w);
}

void sim_worker_crash(struct sim_worker *w, const char *why)
{
	struct world *world = &w->sim->world;

	if (w->life == 0)
		return;
	SAY(world, "w%u: dies (%s)", w->host, why);
	coverage_fault(w->sim->coverage, FAULT_WORKER_CRASH, world->now_us);
	world->harm_count += why != of_shard;
	w->last_died = true;
	if (world_chance(world, 500000)) /* somebody saw it */
		world_push(world, world->now_us + world_between(world, 0, 2 * USEC_PER_SEC), SIM_SUPERVISOR,
			   HOST_DISPATCHER, w->id.hi, w->id.lo, NULL);
	process_ends(w);
	world->hosts[w->host].paused_until_us = 0;
	world_push(world, world->now_us + world_between(world, 1000, 4 * USEC_PER_SEC), SIM_START, w->host, 0,
		   0, NULL);
}

void sim_worker_term(struct sim_worker *w)
{
	struct worker_input in = {.kind = w->draining ? WORKER_ABORT : WORKER_DRAIN};

	if (w->life == 0)
		return;
	SAY(&w->sim->world, "w%u: SIGTERM%s", w->host, w->draining ? ", the second" : "");
	w->draining = true;
	step(w, &in);
}

void sim_worker_connected(struct sim_worker *w, bool connected)
{
	struct worker_input in = {.kind = connected ? WORKER_CONNECTED : WORKER_DISCONNECTED};

	if (w->life != 0)
		step(w, &in);
}

void sim_worker_frame(struct sim_worker *w, struct bytes frame)
{
	struct worker_input in = {.kind = WORKER_FRAME};
	struct error e = {0};
	uint32_t type;
	void *body;
	char text[800];

	arena_reset(&w->arena);
	if (codec_union_decode(&message_union, &frame, &type, &body, &w->arena, &e) < 0)
		world_fail(&w->sim->world, "w%u cannot decode: %s", w->host,
			   error_text(&e, text, sizeof text));
	SAY(&w->sim->world, "w%u: hears %s", w->host, codec_union_find(&message_union, type)->name);
	in.frame = (struct worker_frame){.type = type, .body = body};
	step(w, &in);
}

void sim_worker_tick(struct sim_worker *w)
{
	struct worker_input in = {.kind = WORKER_TICK};

	w->tick_at_us = USEC_NEVER;
	if (worker_core_deadline(w->core) <= world_mono(&w->sim->world, w->host))
		step(w, &in);
	else
		tick_later(w);
}

void sim_worker_attempt(struct sim_worker *w, uint64_t attempt)
{
	for (uint32_t i = 0; i < SIM_SLOTS_MAX; i++) {
		struct sim_slot *s = &w->slots[i];
		struct worker_input in = {.kind = WORKER_SLOT_PROGRESS};
		struct failure failed;
		bool crash;

		if (!s->open || !s->busy || s->attempt != attempt)
			continue;
		if (sim_slot_attempt(w, s, &failed, &crash)) {
			sim_slot_progress(w, i, s->current, failed.count ? &failed : NULL, &in.progress);
			step(w, &in);
		} else if (crash) {
			sim_worker_crash(w, of_shard);
		} else {
			sim_slots_begin(w);
		}
		return;
	}
}

void sim_worker_synced(struct sim_worker *w, uint64_t generation)
{
	struct world *world = &w->sim->world;
	bool fails = !w->sim->calm && world_chance(world, 5000);
	struct worker_input in = {.kind = fails ? WORKER_SYNC_FAILED : WORKER_SYNCED};
	size_t kept = 0;

	if (generation != w->sync_generation)
		return;
	w->sync_generation = 0;
	for (size_t i = 0; i < w->output_count; i++) {
		struct sim_output *o = &w->outputs[i];

		if (o->generation != generation)
			w->outputs[kept++] = *o;
		else if (!fails)
			oracle_synced(&w->sim->oracle, o->token, o->range, o->failed);
	}
	w->output_count = kept;
	if (fails) {
		SAY(world, "w%u: a sync fails", w->host);
		in.sync_failed = (struct worker_sync_failed){
		    .generation = generation, .code = 5, .why = bytes_of("the disk says no")};
	} else {
		in.synced = generation;
	}
	step(w, &in);
}

void sim_worker_lose_slot(struct sim_worker *w)
{
	static const uint8_t kinds[] = {FAILURE_LOST, FAILURE_RUNNER, FAILURE_START};
	struct world *world = &w->sim->world;
	uint32_t slot = (uint32_t)rng_below(&world->rng, SIM_SLOTS_MAX);
	struct sim_slot *s = &w->slots[slot];
	struct worker_input in = {.kind = WORKER_SLOT_LOST};

	if (w->life == 0 || !s->open || s->done_count > 0 || s->stopping)
		return;
	SAY(world, "w%u: slot %u is lost", w->host, slot);
	in.lost = (struct worker_slot_lost){
	    .slot = slot,
	    .kind = kinds[rng_below(&world->rng, ARRAY_LENGTH(kinds))],
	    .why = bytes_of("its runner died"),
	};
	for (uint32_t k = 0; k < SLOT_CELLS; k++)
		in.lost.next[k] = cell_peek(&s->cells[k]).next;
	if (s->busy && failure_is_own(in.lost.kind))
		for (uint32_t k = 0; k < s->work.count && k < ORACLE_FATED; k++)
			oracle_failed(&w->sim->oracle, s->cells[s->current].token, s->work.first + k,
				      FATE_FAIL);
	memset(s, 0, sizeof *s);
	step(w, &in);
}
