#include "dispatcher/core/volatile/runnable.h"

#include <string.h>

#include "base/array.h"
#include "base/plant.h"
#include "dispatcher/core/volatile/estimate.h"
#include "dispatcher/core/durable/job_table.h"
#include "dispatcher/core/volatile/limits.h"
#include "dispatcher/core/volatile/paces.h"
#include "dispatcher/core/volatile/sessions.h"
#include "dispatcher/core/durable/shards.h"
#include "dispatcher/core/decide/steps.h"
#include "dispatcher/core/volatile/trouble.h"
#include "dispatcher/core/volatile/turns.h"

bool runnable_is_hard(struct range shards, struct traits traits)
{
	return traits.doublings > 0 || (shards.count == 1 && traits.crashes >= ALONE_CRASHES);
}

static uint32_t ready_shards(const struct job_row *row)
{
	if (PLANTED(lease_before_durable))
		return row->shard_count;
	if (row->run != NULL)
		return row->run->ready_count;
	return row->live_flags & JOB_READY ? row->shard_count : 0;
}

/* How many more may be leased of a job that may only run so many at a time. Leased is running: of a lease
 * that was given back in part two slots may work on shards. A range under suspicion is leased as a whole. */
static uint64_t room_to_run(const struct job_row *row)
{
	const struct run *run = row->run;
	uint64_t leased = run != NULL ? run->leased_shards : 0;
	uint64_t room = row->max_running > leased ? row->max_running - leased : 0;

	for (uint32_t i = 0; run != NULL && i < run->special_count; i++)
		if (!runnable_is_hard(run->special[i].shards, run->special[i].traits) && leased > 0 &&
		    run->special[i].shards.count > room)
			return 0;
	return room;
}

static uint64_t count_runnable(const struct dispatcher_core *core, const struct job_row *row, uint64_t *hard)
{
	uint32_t ready = ready_shards(row);
	const struct run *run = row->run;
	uint64_t n;

	*hard = 0;
	if (row->state != JOB_ACTIVE || (row->flags & JOB_PAUSED) || ready == 0)
		return 0;
	if (run == NULL)
		return ready;
	if (row->phase > 0 && core->history_lsn < run->phase_lsn)
		return 0;
	*hard = trouble_alone_count(run);
	n = shard_set_count(&run->returned) - *hard;
	n += ready > run->frontier ? ready - run->frontier : 0;
	for (uint32_t i = 0; i < run->special_count; i++) {
		if (runnable_is_hard(run->special[i].shards, run->special[i].traits))
			*hard += run->special[i].shards.count;
		else
			n += run->special[i].shards.count;
	}
	for (uint32_t i = 0; i < run->delayed_count && run->delayed[i].due_wall_us <= steady_us(core); i++) {
		if (run->delayed[i].traits.doublings > 0)
			*hard += shard_set_count(&run->delayed[i].shards);
		else
			n += shard_set_count(&run->delayed[i].shards);
	}
	return n;
}

/* What its next lease takes of the rate at least: a range under suspicion is leased as a whole. It came from
 * a lease, so that a full bucket is enough. */
static uint32_t least_of_rate(const struct dispatcher_core *core, uint64_t job, const struct job_row *row)
{
	const struct run *run = row->run;
	uint32_t burst = pace_burst(core, job);

	for (uint32_t i = 0; run != NULL && i < run->special_count; i++)
		if (!runnable_is_hard(run->special[i].shards, run->special[i].traits))
			return run->special[i].shards.count < burst ? run->special[i].shards.count : burst;
	return 1;
}

/* Until the epoch is durable leases are kept back, and would leave together. */
static bool leases_leave(const struct dispatcher_core *core)
{
	return core->durable_lsn >= core->epoch_lsn;
}

static uint64_t room_of_rate(const struct dispatcher_core *core, uint64_t job, const struct job_row *row)
{
	uint32_t tokens = pace_tokens(core, job);

	return leases_leave(core) && tokens >= least_of_rate(core, job, row) ? tokens : 0;
}

static uint64_t at_most(uint64_t n, uint64_t room)
{
	return n < room ? n : room;
}

uint64_t runnable_shards(const struct dispatcher_core *core, uint64_t job, const struct job_row *row,
			 uint64_t *hard)
{
	uint64_t n = count_runnable(core, row, hard), room = UINT64_MAX;

	if (n + *hard == 0)
		return n;
	if (row->max_running > 0)
		room = room_to_run(row);
	if ((row->flags & JOB_RATED) && !PLANTED(rate_not_kept))
		room = at_most(room, room_of_rate(core, job, row));
	*hard = at_most(*hard, room);
	return at_most(n, room);
}

/* Of a job without a run, all of whose shards are ready: what it may run at a time, resp. start at once. */
static uint64_t plain_shards(const struct dispatcher_core *core, uint64_t job, const struct job_row *row)
{
	uint64_t n = row->shard_count;

	if (row->max_running > 0)
		n = at_most(n, row->max_running);
	return row->flags & JOB_RATED ? at_most(n, pace_burst(core, job)) : n;
}

#define BURST_PARTS 8 /* in which what may be granted together is looked at */

/* What only its rate keeps from being leased is looked at when it allows that. */
static void await_rate(struct dispatcher_core *core, uint64_t job, const struct job_row *row)
{
	uint32_t tokens = pace_burst(core, job) / BURST_PARTS, least = least_of_rate(core, job, row);
	uint64_t hard;

	if (room_of_rate(core, job, row) > 0)
		return; /* something else keeps it, and tells when that is over */
	if (leases_leave(core) && count_runnable(core, row, &hard) + hard > 0)
		pace_remind(core, job, tokens > least ? tokens : least);
}

static void demand_remove(struct dispatcher_core *core, uint64_t job, struct job_row *row)
{
	struct shape *shape = job_shape(core, row);
	struct queue *q = job_definition(core, row)->queue;

	queue_demand_remove(
	    q, shape, row->live_flags & JOB_PLAIN ? plain_shards(core, job, row) : row->run->demand_shards);
	if (row->live_flags & JOB_PLAIN) {
		shape->plain_shards -= plain_shards(core, job, row);
		shape->plain_jobs--;
		row->live_flags &= (uint8_t)~JOB_PLAIN;
		return;
	}
	shape->demand_shards -= row->run->demand_shards;
	shape->demand_us -= row->run->demand_us;
	shape->demand_jobs--;
	row->run->demand_shards = row->run->demand_us = 0;
}

static void demand_add(struct dispatcher_core *core, uint64_t job, struct job_row *row, uint64_t shards)
{
	struct shape *shape = job_shape(core, row);

	queue_demand_add(job_definition(core, row)->queue, shape,
			 row->run == NULL ? plain_shards(core, job, row) : shards);
	if (row->run == NULL) {
		shape->plain_shards += plain_shards(core, job, row);
		shape->plain_jobs++;
		row->live_flags |= JOB_PLAIN;
		return;
	}
	row->run->demand_shards = shards;
	row->run->demand_us = estimate_work_us(core, row, shards);
	shape->demand_shards += row->run->demand_shards;
	shape->demand_us += row->run->demand_us;
	shape->demand_jobs++;
}

static uint32_t hard_place(const struct dispatcher_core *core, uint64_t job)
{
	uint32_t at = 0;

	while (at < core->hard_count && core->hard[at] < job)
		at++;
	return at;
}

static void hard_refresh(struct dispatcher_core *core, uint64_t job, struct job_row *row, bool wanted)
{
	uint32_t at;

	if (wanted)
		core->hard_dirty = true;
	if (wanted == ((row->live_flags & JOB_HARD) != 0))
		return;
	at = hard_place(core, job);
	if (wanted) {
		ARRAY_GROW(core->hard, core->hard_capacity, core->hard_count);
		memmove(&core->hard[at + 1], &core->hard[at], (core->hard_count - at) * sizeof(uint64_t));
		core->hard[at] = job;
		core->hard_count++;
		row->live_flags |= JOB_HARD;
	} else {
		core->hard_count--;
		memmove(&core->hard[at], &core->hard[at + 1], (core->hard_count - at) * sizeof(uint64_t));
		row->live_flags &= (uint8_t)~JOB_HARD;
	}
}

void runnable_remove(struct dispatcher_core *core, uint64_t job, struct job_row *row)
{
	hard_refresh(core, job, row, false);
	if (row->live_flags & JOB_RUNNABLE) {
		turns_remove(core, row);
		row->live_flags &= (uint8_t)~JOB_RUNNABLE;
		core->runnable_jobs--;
	}
	if (row->live_flags & JOB_DEMANDED) {
		demand_remove(core, job, row);
		row->live_flags &= (uint8_t)~JOB_DEMANDED;
	}
}

void runnable_refresh(struct dispatcher_core *core, uint64_t job, struct job_row *row)
{
	uint64_t hard, n = runnable_shards(core, job, row, &hard);

	if (n == 0 && (row->live_flags & JOB_RUNNABLE))
		runnable_remove(core, job, row);
	hard_refresh(core, job, row, hard > 0);
	if (row->live_flags & JOB_DEMANDED)
		demand_remove(core, job, row);
	row->live_flags &= (uint8_t)~JOB_DEMANDED;
	if (n + hard > 0) {
		demand_add(core, job, row, n + hard);
		row->live_flags |= JOB_DEMANDED;
	}
	if (n > 0 && !(row->live_flags & JOB_RUNNABLE)) {
		turns_add(core, job, row);
		row->live_flags |= JOB_RUNNABLE;
		core->runnable_jobs++;
	}
	if ((row->flags & JOB_RATED) && n + hard == 0)
		await_rate(core, job, row);
}

void runnable_refresh_paced(struct dispatcher_core *core)
{
	struct pace *p, *next;

	HASH_ITER (hh, core->paces, p, next) {
		struct job_row *row = job_get_live(core, p->job);

		runnable_refresh(core, p->job, row);
	}
}

void runnable_fini(struct dispatcher_core *core)
{
	turns_fini(core);
	for (uint32_t i = 0; i < core->queue_count; i++) {
		if (core->queues[i] == NULL)
			continue;
		limits_queue_fini(core->queues[i]);
		blob_fini(&core->queues[i]->name);
		free(core->queues[i]);
	}
	free(core->queues);
	free(core->hard);
}
