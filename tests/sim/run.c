/* One run: makes the world, lets it go until it is quiet, asks the oracle. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "tests/sim/sim.h"

/* What accepted jobs may take, once nothing goes wrong any more. */
#define QUIET_WITHIN_US (900 * USEC_PER_SEC)
#define EVENTS_MAX 3000000
/* Late frames and timers get so long to do harm after the last job ended. */
#define AFTERMATH_US (3 * USEC_PER_SEC)

static struct world *in_work; /* for the hook of CHECK */

static void on_check(const char *file, int line, const char *func, const char *cond)
{
	if (in_work != NULL)
		world_fail(in_work, "%s:%d: %s: this must hold: %s", file, line, func, cond);
}

static void begin(struct sim *s)
{
	struct world *w = &s->world;
	const struct scenario *c = &s->scenario;

	scenario_draw(&s->scenario, w);
	scenario_say(c, w);
	net_init(&s->net, w, s->coverage);
	s->net.faults = (struct net_faults){c->loss_ppm, c->duplicate_ppm, c->delay_ppm};
	disk_init(&s->disk, w,
		  c->journal_tiny ? (size_t)world_between(w, 4, 10) * 8 * FRAME_BLOCK_BYTES : 1 << 19);
	oracle_init(&s->oracle, w, c, s->coverage);
	sim_dispatcher_init(&s->dispatcher, s);
	coverage_begin(s->coverage);
	world_push(w, 0, SIM_START, HOST_DISPATCHER, 0, 0, NULL);
	for (uint32_t host = 1; host < SIM_HOSTS_MAX; host++) {
		sim_worker_init(&s->workers[host], s, host);
		s->workers[host].wanted = host <= c->worker_count && !c->scaler;
		if (s->workers[host].wanted)
			world_push(w, world_between(w, 0, 2 * USEC_PER_SEC), SIM_START, host, 0, 0, NULL);
	}
	for (uint32_t i = 0; i < c->action_count; i++)
		world_push(w, c->actions[i].at_us, SIM_CLIENT, HOST_DISPATCHER, i, 0, NULL);
	if (c->scaler) {
		sim_scaler_init(&s->scaler, s);
		world_push(w, world_between(w, 0, USEC_PER_SEC), SIM_SCALER, HOST_DISPATCHER, 0, 0, NULL);
	}
	s->faults_left = c->fault_count;
	if (c->fault_count > 0)
		world_push(w, world_between(w, 0, c->calm_at_us), SIM_FAULT, HOST_DISPATCHER, 0, 0, NULL);
	world_push(w, c->calm_at_us, SIM_CALM, HOST_DISPATCHER, 0, 0, NULL);
}

static void end(struct sim *s)
{
	sim_dispatcher_fini(&s->dispatcher);
	for (uint32_t host = 1; host < SIM_HOSTS_MAX; host++)
		sim_worker_fini(&s->workers[host]);
	if (s->scenario.scaler)
		sim_scaler_fini(&s->scaler);
	oracle_fini(&s->oracle);
	disk_fini(&s->disk);
	net_fini(&s->net);
	world_fini(&s->world);
}

static void frame_arrives(struct sim *s, const struct sim_event *e)
{
	struct conn *c;
	uint32_t host;

	if (!net_arrives(&s->net, e, &c))
		return;
	if (e->kind == SIM_TO_DISPATCHER) {
		sim_dispatcher_frame(&s->dispatcher, c->peer, BYTES(e->frame->data, e->frame->size));
		return;
	}
	host = c->host;
	sim_worker_frame(&s->workers[host], BYTES(e->frame->data, e->frame->size));
}

static void connection_changes(struct sim *s, const struct sim_event *e)
{
	if (e->kind == SIM_CONNECT && net_connect(&s->net, e))
		sim_worker_connected(&s->workers[e->host], true);
	if (e->kind == SIM_BREAK && net_broken(&s->net, e)) {
		coverage_fault(s->coverage, FAULT_RECONNECT, s->world.now_us);
		if (world_chance(&s->world, 800000))
			sim_worker_connected(&s->workers[e->host], false);
	}
}

static void start(struct sim *s, uint32_t host)
{
	if (host == HOST_DISPATCHER)
		sim_dispatcher_start(&s->dispatcher);
	else
		sim_worker_start(&s->workers[host]);
}

static void tick(struct sim *s, const struct sim_event *e)
{
	if (e->host == HOST_DISPATCHER && e->a == s->dispatcher.life)
		sim_dispatcher_tick(&s->dispatcher);
	else if (e->host != HOST_DISPATCHER && e->a == s->workers[e->host].life)
		sim_worker_tick(&s->workers[e->host]);
}

/* Events of the dispatcher's process; those of an earlier life are void. */
static void dispatcher_event(struct sim *s, const struct sim_event *e)
{
	struct sim_dispatcher *d = &s->dispatcher;

	switch (e->kind) {
	case SIM_DISK:
		if (e->a == d->life)
			sim_dispatcher_synced(d);
		break;
	case SIM_HISTORY:
		if (e->b == d->life)
			sim_dispatcher_history(d, e->a);
		break;
	case SIM_PLANNER:
		if (d->life != 0)
			sim_planner_step(d, e->b, e->a);
		break;
	case SIM_READ:
		if (e->a == d->life)
			sim_dispatcher_read(d, e->b);
		break;
	case SIM_KEYS:
		if (e->a == d->life)
			sim_keys_written(d, (usec_t)e->b);
		break;
	case SIM_KEPT:
		if (e->a == d->life)
			sim_keys_kept(d, (usec_t)e->b);
		break;
	case SIM_SETTLE:
		if (e->a == d->life)
			sim_settle(d, e->b & 0xffffffff, (uint32_t)(e->b >> 32));
		break;
	default: /* SIM_SUPERVISOR */
		if (d->life != 0)
			sim_dispatcher_gone(d, (struct uuid){.hi = e->a, .lo = e->b});
	}
}

static void happen(struct sim *s, const struct sim_event *e)
{
	switch (e->kind) {
	case SIM_TO_DISPATCHER:
	case SIM_TO_WORKER:
		frame_arrives(s, e);
		break;
	case SIM_CONNECT:
	case SIM_BREAK:
		connection_changes(s, e);
		break;
	case SIM_TICK:
		tick(s, e);
		break;
	case SIM_START:
		start(s, e->host);
		break;
	case SIM_ATTEMPT:
		if (e->a == s->workers[e->host].life)
			sim_worker_attempt(&s->workers[e->host], e->b);
		break;
	case SIM_SYNC:
		if (e->a == s->workers[e->host].life)
			sim_worker_synced(&s->workers[e->host], e->b);
		break;
	case SIM_CLIENT:
		sim_client_act(s, e->a);
		break;
	case SIM_FAULT:
		sim_fault(s);
		break;
	case SIM_DOOM:
		if (e->a == s->dispatcher.life)
			sim_dispatcher_crash(&s->dispatcher, "killed in a commit");
		break;
	case SIM_SCALER:
		sim_scaler_turn(&s->scaler);
		break;
	case SIM_CALM:
		sim_calm(s);
		break;
	default:
		dispatcher_event(s, e);
	}
	free(e->frame);
}

static void still_alive(struct sim *s)
{
	struct world *w = &s->world;

	if (w->now_us <= s->scenario.calm_at_us + QUIET_WITHIN_US && w->event_count <= EVENTS_MAX)
		return;
	if (w->trace)
		sim_describe(s);
	if (oracle_is_quiet(&s->oracle))
		world_fail(w, "there is no work, but the pool does not go to zero");
	oracle_fail_unquiet(&s->oracle, "not quiet long after the last fault");
}

/* A pool that nobody needs goes to zero. */
static bool pool_is_quiet(const struct sim *s)
{
	for (uint32_t host = 1; host < SIM_HOSTS_MAX && s->scenario.scaler; host++)
		if (s->workers[host].life != 0 || s->scaler.instances[host].number != 0)
			return false;
	return true;
}

/* What it has taken on may not be durable yet. */
static bool dispatcher_is_quiet(const struct sim *s)
{
	struct view_counters v;

	if (s->dispatcher.life == 0)
		return false;
	dispatcher_view_counters(s->dispatcher.core, &v);
	return v.live_jobs == 0;
}

static void live(struct sim *s)
{
	struct sim_event e;
	usec_t end_at = USEC_NEVER;

	while (s->world.now_us < end_at) {
		if (!world_next(&s->world, &e))
			oracle_fail_unquiet(&s->oracle, "nothing happens any more");
		happen(s, &e);
		still_alive(s);
		if (end_at == USEC_NEVER && s->calm && oracle_is_quiet(&s->oracle) && pool_is_quiet(s) &&
		    dispatcher_is_quiet(s))
			end_at = s->world.now_us + AFTERMATH_US;
	}
}

static void finish(struct sim *s)
{
	struct view_counters v;

	oracle_finish(&s->oracle);
	if (s->dispatcher.life == 0)
		return;
	sim_dispatcher_verify(&s->dispatcher);
	dispatcher_view_counters(s->dispatcher.core, &v);
	if (v.live_jobs != 0 || v.leases != 0 || v.runnable_jobs != 0)
		world_fail(&s->world, "all is over, but %llu jobs live, %llu leases are out",
			   (unsigned long long)v.live_jobs, (unsigned long long)v.leases);
}

void sim_run(uint64_t seed, bool trace, struct coverage *coverage, struct sim_result *ret)
{
	struct sim *s = check_calloc(1, sizeof *s);

	memset(ret, 0, sizeof *ret);
	world_init(&s->world, seed, trace);
	s->coverage = coverage;
	params_init(&s->params, PARAM_SCOPE_ALL);
	in_work = &s->world;
	check_set_hook(on_check);
	if (setjmp(s->world.out) == 0) {
		begin(s);
		live(s);
		finish(s);
		end(s);
	} else { /* what it holds is in no state to be freed */
		ret->failed = true;
		memcpy(ret->failure, s->world.failure, sizeof ret->failure);
	}
	in_work = NULL;
	params_fini(&s->params);
	ret->digest = s->world.digest;
	ret->event_count = s->world.event_count;
	ret->virtual_us = s->world.now_us;
	free(s);
}
