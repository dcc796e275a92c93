/* Planners, which tell of a job's shards in pieces, and fail as the scenario wants it. */
#include <string.h>

#include "jobs/kinds.h"
#include "tests/sim/sim.h"

static struct sim_planner *planner_of(struct sim_dispatcher *d, uint64_t job)
{
	for (size_t i = 0; i < ARRAY_LENGTH(d->planners); i++) {
		if (d->planners[i].job == 0)
			d->planners[i].job = job;
		if (d->planners[i].job == job)
			return &d->planners[i];
	}
	world_fail(&d->sim->world, "more jobs with planners than there are jobs");
}

static uint32_t pieces_end(const struct sim_job *j, uint32_t pieces)
{
	return j->plan_pieces == 0 ? 0 : (uint32_t)((uint64_t)j->shard_count * pieces / j->plan_pieces);
}

static void planner_later(struct sim_dispatcher *d, const struct sim_planner *p)
{
	struct world *w = &d->sim->world;

	world_push(w, w->now_us + world_between(w, 100, 300 * USEC_PER_MSEC), SIM_PLANNER, HOST_DISPATCHER,
		   p->ticket, p->job, NULL);
}

void sim_planner_begin(struct sim_dispatcher *d, const struct dispatcher_plan *plan)
{
	struct sim_planner *p = planner_of(d, plan->job);
	const struct oracle_job *j = oracle_job(&d->sim->oracle, plan->job);
	uint32_t cursor = 0;

	if (plan->cursor.size == sizeof cursor)
		memcpy(&cursor, plan->cursor.data, sizeof cursor);
	if (j == NULL)
		world_fail(&d->sim->world, "a planner starts for job %llu, which is not durable",
			   (unsigned long long)plan->job);
	if (plan->phase != scenario_shards_phase(&d->sim->scenario.jobs[j->sim_job]))
		world_fail(&d->sim->world, "job %llu's planner starts in phase %u",
			   (unsigned long long)plan->job, plan->phase);
	if (pieces_end(&d->sim->scenario.jobs[j->sim_job], cursor) != plan->shard_count)
		world_fail(&d->sim->world, "job %llu's planner is told of %u shards at piece %u",
			   (unsigned long long)plan->job, plan->shard_count, cursor);
	SAY(&d->sim->world, "planner: of job %llu goes on at piece %u", (unsigned long long)plan->job,
	    cursor);
	p->ticket = ++d->next_ticket;
	p->phase = plan->phase;
	p->piece = cursor;
	planner_later(d, p);
}

void sim_planner_stop(struct sim_dispatcher *d, uint64_t job)
{
	planner_of(d, job)->ticket = 0;
}

static void planner_fails(struct sim_dispatcher *d, struct sim_planner *p, bool final)
{
	p->fails++;
	p->ticket = 0;
	SAY(&d->sim->world, "planner: of job %llu fails%s", (unsigned long long)p->job,
	    final ? " for good" : "");
	sim_dispatcher_submit(d, INPUT_PLAN_FAILED,
			      &(struct input_plan_failed){.job = p->job,
							  .phase = p->phase,
							  .kind = FAILURE_PLAN,
							  .final = final,
							  .why = BYTES_LIT("as the scenario wants it")},
			      0);
}

void sim_planner_step(struct sim_dispatcher *d, uint64_t job, uint64_t ticket)
{
	struct sim_planner *p = planner_of(d, job);
	const struct sim_job *j = &d->sim->scenario.jobs[oracle_job(&d->sim->oracle, job)->sim_job];
	uint32_t cursor = p->piece + 1;

	if (p->ticket != ticket)
		return;
	if ((j->plan_hopeless || p->fails < j->plan_fails) && (p->piece > 0 || j->plan_pieces < 2)) {
		planner_fails(d, p, j->plan_hopeless && world_chance(&d->sim->world, 300000));
		return;
	}
	if (p->piece == j->plan_pieces) {
		p->ticket = 0;
		sim_dispatcher_submit(d, INPUT_SEALED, &(struct input_sealed){.job = job, .phase = p->phase},
				      0);
		return;
	}
	p->piece++;
	planner_later(d, p);
	sim_dispatcher_submit(
	    d, INPUT_PIECE,
	    &(struct input_piece){.job = job,
				  .phase = p->phase,
				  .count = pieces_end(j, p->piece) - pieces_end(j, p->piece - 1),
				  .blob = BYTES_LIT("plan"),
				  .cursor = BYTES(&cursor, sizeof cursor)},
	    0);
}
