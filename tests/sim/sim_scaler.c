#include "tests/sim/sim_scaler.h"

#include <stdio.h>
#include <string.h>

#include "tests/sim/sim.h"

#define SHARD_US_FIRST (50 * USEC_PER_MSEC)

static usec_t mono(const struct sim_scaler *s)
{
	return s->sim->world.now_us + 7 * USEC_PER_SEC;
}

static void create(struct sim_scaler *s)
{
	const struct scaler_provider provider = {.cpu_milli = 2000, .start_cost_us = USEC_PER_SEC};
	struct scaler_pool_config pool;
	struct error e = {0};

	scaler_pool_config_init(&pool, &s->sim->params, &provider);
	pool.name = bytes_of("pool");
	pool.max_workers = s->sim->scenario.worker_count;
	pool.step_max = 2;
	pool.idle_before_shrink_us = 2 * USEC_PER_SEC;
	pool.start_timeout_us = 8 * USEC_PER_SEC;
	pool.fail_backoff_us = 500 * USEC_PER_MSEC;
	pool.fail_backoff_max_us = 4 * USEC_PER_SEC;
	pool.demand_stale_us = 5 * USEC_PER_SEC;

	if (scaler_core_create(&(struct scaler_config){.pools = &pool, .pool_count = 1}, &s->core, &e) < 0)
		world_fail(&s->sim->world, "the scaler's core: %s", e.what);
}

void sim_scaler_init(struct sim_scaler *s, struct sim *sim)
{
	memset(s, 0, sizeof *s);
	s->sim = sim;
	create(s);
}

void sim_scaler_fini(struct sim_scaler *s)
{
	scaler_core_destroy(s->core);
	s->core = NULL;
}

static void step(struct sim_scaler *s, struct scaler_input *in);

/* ---- the provider ---- */

static uint32_t free_host(const struct sim_scaler *s)
{
	for (uint32_t host = 1; host <= s->sim->scenario.worker_count; host++)
		if (s->instances[host].number == 0 && s->sim->workers[host].life == 0)
			return host;
	return 0;
}

/* Those that leave do not count: others come in their place. */
static void check_bound(const struct sim_scaler *s)
{
	uint32_t count = 0;

	for (uint32_t host = 1; host < SIM_HOSTS_MAX; host++)
		count += s->instances[host].number != 0 && !s->told_draining[host];
	/* A worker that is cut off may not hear that it should leave, and come back after its replacement. */
	if (s->sim->world.harm_count == 0 && count >= s->sim->scenario.worker_count)
		world_fail(&s->sim->world, "the scaler starts one more than its pool may have: %u are there",
			   count);
}

static void provide(struct sim_scaler *s, uint64_t start)
{
	struct world *w = &s->sim->world;
	uint32_t host = free_host(s);
	struct sim_instance *i = &s->instances[host];
	struct scaler_input in = {.kind = SCALER_STARTED, .started = {.start = start}};

	check_bound(s);
	if (host == 0 || (!s->sim->calm && world_chance(w, 100000))) {
		in = (struct scaler_input){.kind = SCALER_START_FAILED,
					   .start_failed = {.start = start, .why = BYTES_LIT("no room")}};
		SAY(w, "scaler: a start fails");
		step(s, &in);
		return;
	}
	i->number = ++s->next_number;
	i->void_start = !s->sim->calm && world_chance(w, 80000);
	snprintf(i->id, sizeof i->id, "i-%llu", (unsigned long long)i->number);
	SAY(w, "scaler: starts w%u as %s%s", host, i->id, i->void_start ? ", which will never come" : "");
	if (!i->void_start) {
		s->sim->workers[host].wanted = true;
		world_push(w, w->now_us + world_between(w, 10 * USEC_PER_MSEC, 2 * USEC_PER_SEC), SIM_START,
			   host, 0, 0, NULL);
		coverage_hit(s->sim->coverage, ROW_SCALED_UP, w->now_us);
	}
	in.started.provider_id = bytes_of(i->id);
	step(s, &in);
}

static void abandon(struct sim_scaler *s, struct bytes provider_id)
{
	for (uint32_t host = 1; host < SIM_HOSTS_MAX; host++)
		if (s->instances[host].number != 0 && s->sim->workers[host].life == 0 &&
		    bytes_equal(bytes_of(s->instances[host].id), provider_id)) {
			s->instances[host].number = 0;
			s->sim->workers[host].wanted = false;
		}
}

void sim_scaler_ended(struct sim_scaler *s, uint32_t host)
{
	s->instances[host].number = 0;
	s->registered[host] = (struct uuid){0};
	s->told_draining[host] = false;
	s->sim->workers[host].wanted = false;
}

static void drain(struct sim_scaler *s, struct uuid id)
{
	struct sim_dispatcher *d = &s->sim->dispatcher;

	if (d->life == 0) { /* nobody hears it; it says so again */
		s->sim->world.harm_count++;
		return;
	}
	if (s->told_busy[id.hi])
		world_fail(&s->sim->world, "the scaler drains w%u, which is busy", (unsigned)id.hi);
	SAY(&s->sim->world, "scaler: drains w%u", (unsigned)id.hi);
	coverage_hit(s->sim->coverage, ROW_SCALED_DOWN, s->sim->world.now_us);
	sim_dispatcher_submit(d, INPUT_DRAIN, &(struct input_drain){.worker = id}, 0);
	s->told_draining[id.hi] = true;
}

/* ---- the core ---- */

static void carry_out(struct sim_scaler *s, const struct scaler_effect *e)
{
	switch (e->kind) {
	case SCALER_START:
		provide(s, e->start);
		break;
	case SCALER_DRAIN:
		drain(s, e->drain);
		break;
	case SCALER_ABANDON:
		abandon(s, e->abandon.provider_id);
		break;
	case SCALER_TELL:
		SAY(&s->sim->world, "scaler: %s", (const char *)e->tell.why.data);
		break;
	}
}

static void step(struct sim_scaler *s, struct scaler_input *in)
{
	struct scaler_effects mine;
	struct error e = {0};

	in->mono_us = mono(s);
	in->wall_us = world_true_wall(&s->sim->world);
	scaler_effects_init(&mine); /* an effect's answer is a step of its own */
	if (scaler_core_step(s->core, in, &mine, &e) < 0)
		world_fail(&s->sim->world, "the scaler's core refuses input %d: %s", (int)in->kind, e.what);
	scaler_core_check(s->core, CHECK_FULL);
	for (uint32_t i = 0; i < mine.count; i++)
		carry_out(s, &mine.items[i]);
	scaler_effects_fini(&mine);
}

struct workers {
	struct scaler_worker items[8 * SIM_HOSTS_MAX];
	uint32_t count;
	bool seen[SIM_HOSTS_MAX];
};

static void add_worker(struct sim_scaler *s, struct workers *all, const struct view_worker *v)
{
	uint32_t host = (uint32_t)v->worker.hi;
	bool busy = v->leases > 0;

	if (all->count == ARRAY_LENGTH(all->items) - SIM_HOSTS_MAX)
		return;
	if (busy || s->idle_since_us[host] == 0)
		s->idle_since_us[host] = mono(s);
	if (s->sim->workers[host].life != 0 && v->worker.lo == s->sim->workers[host].id.lo) {
		s->registered[host] = v->worker;
		s->told_draining[host] = v->draining;
		all->seen[host] = true;
	}
	s->told_busy[host] = busy;
	all->items[all->count++] =
	    (struct scaler_worker){.id = v->worker,
				   .provider_id = v->provider_id,
				   .draining = v->draining,
				   .busy = busy,
				   .idle_us = busy ? 0 : mono(s) - s->idle_since_us[host]};
}

/* A worker that the dispatcher does not see now, but the provider does, is still there: cut off, or the
 * dispatcher was started anew. For all that is known it is busy. */
static void add_missing(struct sim_scaler *s, struct workers *all)
{
	for (uint32_t host = 1; host < SIM_HOSTS_MAX; host++)
		if (s->instances[host].number != 0 && s->registered[host].lo != 0 && !all->seen[host])
			all->items[all->count++] =
			    (struct scaler_worker){.id = s->registered[host],
						   .provider_id = bytes_of(s->instances[host].id),
						   .draining = s->told_draining[host],
						   .busy = true};
}

static void tell_workers(struct sim_scaler *s, uint64_t *leased_ret)
{
	struct workers all = {.count = 0};
	struct scaler_input in = {.kind = SCALER_WORKERS};
	struct view_worker v;
	struct arena arena;

	arena_init(&arena, 0);
	for (uint64_t at = 0; dispatcher_view_next_worker(s->sim->dispatcher.core, at, &arena, &v);
	     at = v.session) {
		*leased_ret += v.leased_shards;
		add_worker(s, &all, &v);
	}
	add_missing(s, &all);
	in.workers.items = all.items;
	in.workers.count = all.count;
	step(s, &in);
	arena_fini(&arena);
}

static void tell_instances(struct sim_scaler *s)
{
	struct bytes ids[SIM_HOSTS_MAX];
	struct scaler_input in = {.kind = SCALER_INSTANCES, .instances = {.provider_ids = ids}};

	for (uint32_t host = 1; host < SIM_HOSTS_MAX; host++)
		if (s->instances[host].number != 0)
			ids[in.instances.count++] = bytes_of(s->instances[host].id);
	step(s, &in);
}

static void tell_demand(struct sim_scaler *s, uint64_t leased)
{
	struct view_demand shapes[16];
	size_t n = dispatcher_view_demand(s->sim->dispatcher.core, shapes, ARRAY_LENGTH(shapes));
	struct scaler_input in = {.kind = SCALER_DEMAND, .demand = {.leased_shards = leased}};

	for (size_t i = 0; i < n; i++) {
		in.demand.queued_shards += shapes[i].pending_shards;
		in.demand.work_us += shapes[i].pending_us * shapes[i].shape->cpu_milli / 1000;
	}
	in.demand.work_us += leased * (uint64_t)SHARD_US_FIRST;
	step(s, &in);
}

void sim_scaler_turn(struct sim_scaler *s)
{
	struct world *w = &s->sim->world;
	struct scaler_input tick = {.kind = SCALER_TICK};
	uint64_t leased = 0;

	world_push(w, w->now_us + world_between(w, 200 * USEC_PER_MSEC, USEC_PER_SEC), SIM_SCALER,
		   HOST_DISPATCHER, 0, 0, NULL);
	if (!s->sim->calm && world_chance(w, 20000)) {
		SAY(w, "scaler: dies and is back");
		scaler_core_destroy(s->core);
		create(s);
	}
	if (s->sim->dispatcher.life == 0 || w->hosts[HOST_DISPATCHER].paused_until_us > w->now_us) {
		step(s, &tick);
		return;
	}
	tell_workers(s, &leased);
	tell_instances(s);
	tell_demand(s, leased);
	step(s, &tick);
}
