/* What goes wrong, when, and how it ends. */
#include "tests/sim/sim.h"

static uint32_t any_worker(struct sim *s)
{
	return 1 + (uint32_t)rng_below(&s->world.rng, s->scenario.worker_count);
}

/* From a blink to twice the timeout. */
static usec_t any_length(struct sim *s)
{
	usec_t timeout = s->scenario.timeout_us;

	if (world_chance(&s->world, 500000))
		return world_between(&s->world, USEC_PER_MSEC, timeout / 4);
	return world_between(&s->world, timeout / 4, 2 * timeout);
}

static void break_one(struct sim *s)
{
	uint32_t host = any_worker(s);

	if (!net_break(&s->net, host, world_chance(&s->world, 500000)))
		return;
	coverage_fault(s->coverage, FAULT_RECONNECT, s->world.now_us);
	if (world_chance(&s->world, 700000)) /* else nobody tells the worker */
		sim_worker_connected(&s->workers[host], false);
}

static void cut_off(struct sim *s)
{
	usec_t until = s->world.now_us + any_length(s);
	uint64_t way = rng_below(&s->world.rng, 4);
	uint32_t only = any_worker(s);
	bool all = world_chance(&s->world, 200000);

	s->world.harm_count++;
	coverage_fault(s->coverage, FAULT_PARTITION, until);
	for (uint32_t host = 1; host <= s->scenario.worker_count; host++)
		if (all || host == only)
			net_partition(&s->net, host, way != 0, way != 1, until);
}

static void pause_one(struct sim *s)
{
	uint32_t host = world_chance(&s->world, 400000) ? HOST_DISPATCHER : any_worker(s);
	usec_t until = s->world.now_us + any_length(s);

	s->world.harm_count++;
	SAY(&s->world, "host %u stands still for %.3f s", host, (double)(until - s->world.now_us) / 1e6);
	coverage_fault(s->coverage, FAULT_PAUSE, until);
	s->world.hosts[host].paused_until_us = until;
}

static void jump_wall(struct sim *s)
{
	static const usec_t spans[] = {USEC_PER_SEC, 60 * USEC_PER_SEC, 3600 * USEC_PER_SEC};
	uint32_t host = world_chance(&s->world, 700000) ? HOST_DISPATCHER : any_worker(s);
	usec_t span = spans[rng_below(&s->world.rng, ARRAY_LENGTH(spans))];
	usec_t by = world_between(&s->world, -span, span);

	SAY(&s->world, "the wall clock of host %u jumps by %.3f s", host, (double)by / 1e6);
	coverage_fault(s->coverage, FAULT_WALL, s->world.now_us);
	s->world.hosts[host].wall_offset_us += by;
}

static void strike(struct sim *s)
{
	const struct scenario *c = &s->scenario;
	uint32_t total = c->w_break + c->w_partition + c->w_pause + c->w_worker_crash +
			 c->w_dispatcher_crash + c->w_wall + c->w_slow_disk;
	uint32_t roll = (uint32_t)rng_below(&s->world.rng, total);

	if (roll < c->w_break)
		break_one(s);
	else if ((roll -= c->w_break) < c->w_partition)
		cut_off(s);
	else if ((roll -= c->w_partition) < c->w_pause)
		pause_one(s);
	else if ((roll -= c->w_pause) < c->w_worker_crash) {
		s->world.harm_count++;
		if (world_chance(&s->world, 250000))
			sim_worker_lose_slot(&s->workers[any_worker(s)]);
		else
			sim_worker_crash(&s->workers[any_worker(s)], "killed");
	} else if ((roll -= c->w_worker_crash) < c->w_dispatcher_crash) {
		if (world_chance(&s->world, 700000))
			s->dispatcher.doomed = true;
		else
			sim_dispatcher_crash(&s->dispatcher, "killed");
	} else if ((roll -= c->w_dispatcher_crash) < c->w_wall)
		jump_wall(s);
	else
		s->disk.slow_until_us = s->world.now_us + world_between(&s->world, 0, 3 * USEC_PER_SEC);
}

void sim_fault(struct sim *s)
{
	struct world *w = &s->world;

	if (s->calm || s->faults_left == 0)
		return;
	s->faults_left--;
	world_push(w, w->now_us + world_between(w, 0, s->scenario.calm_at_us / s->scenario.fault_count * 2),
		   SIM_FAULT, HOST_DISPATCHER, 0, 0, NULL);
	if (s->dispatcher.life != 0 && world_chance(w, 100000))
		sim_dispatcher_verify(&s->dispatcher);
	strike(s);
}

void sim_calm(struct sim *s)
{
	struct world *w = &s->world;

	SAY(w, "calm: faults are over");
	s->calm = true;
	s->dispatcher.doomed = false;
	s->net.faults = (struct net_faults){0};
	/* Held jobs wait for a time of day: the clocks are set right. */
	for (uint32_t host = 0; host < SIM_HOSTS_MAX; host++)
		w->hosts[host].wall_offset_us = w->hosts[host].wall_home_us;
	for (uint32_t host = 1; host <= s->scenario.worker_count; host++)
		world_push(w, w->now_us + world_between(w, 0, USEC_PER_SEC), SIM_START, host, 0, 0, NULL);
	for (uint64_t i = 0; i < SIM_JOBS_MAX; i++)
		world_push(w, w->now_us + world_between(w, 0, USEC_PER_SEC), SIM_CLIENT, HOST_DISPATCHER,
			   SIM_ACTIONS_MAX + i, 0, NULL);
	for (uint64_t i = SIM_JOBS_MAX; i < SIM_JOBS_MAX * EVENT_JOBS_MAX; i++) /* of events with many */
		world_push(w, w->now_us + USEC_PER_SEC, SIM_CLIENT, HOST_DISPATCHER, SIM_ACTIONS_MAX + i, 0,
			   NULL);
}
