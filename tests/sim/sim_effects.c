#include "tests/sim/sim.h"

static usec_t op_mono_us(void *arg)
{
	return world_mono(&((struct sim_dispatcher *)arg)->sim->world, HOST_DISPATCHER);
}

static usec_t op_wall_us(void *arg)
{
	return world_wall(&((struct sim_dispatcher *)arg)->sim->world, HOST_DISPATCHER);
}

static int op_has_room(void *arg, struct error *reterr)
{
	(void)arg, (void)reterr;
	return 0;
}

static void op_progress(void *arg, uint64_t *ret_durable_lsn, uint64_t *ret_history_lsn)
{
	const struct sim_dispatcher *d = arg;

	*ret_durable_lsn = d->sim->disk.durable_lsn;
	*ret_history_lsn = d->history_lsn;
}

static void op_send(void *arg, uint64_t peer, enum message_type type, struct bytes frame)
{
	struct sim_dispatcher *d = arg;

	sim_observe_frame(d, peer, type, frame);
	net_send_down(&d->sim->net, peer, frame);
}

static void op_plan(void *arg, const struct dispatcher_plan *plan)
{
	sim_planner_begin(arg, plan);
}

static void op_plan_stop(void *arg, uint64_t job)
{
	sim_planner_stop(arg, job);
}

static void op_tell(void *arg, const struct dispatcher_tell *tell)
{
	SAY(&((struct sim_dispatcher *)arg)->sim->world, "d: says: %s", tell->what);
}

static void op_wake(void *arg)
{
	(void)arg; /* each event of the world is a turn */
}

const struct engine_ops sim_engine_ops = {
    .mono_us = op_mono_us,
    .wall_us = op_wall_us,
    .submit = sim_journal_submit,
    .has_room = op_has_room,
    .progress = op_progress,
    .journal = sim_journal_facts,
    .trim = sim_journal_trim,
    .send = op_send,
    .plan = op_plan,
    .plan_stop = op_plan_stop,
    .seal = sim_keys_seal,
    .tell = op_tell,
    .read = sim_slice_ask,
    .wake = op_wake,
    .observe = sim_observe_step,
};
