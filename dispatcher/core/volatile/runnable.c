#include "dispatcher/core/volatile/runnable.h"

#include <string.h>

#include "base/array.h"
#include "base/plant.h"
#include "dispatcher/core/volatile/estimate.h"
#include "dispatcher/core/durable/job_table.h"
#include "dispatcher/core/volatile/limits.h"
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

uint64_t runnable_shards(const struct dispatcher_core *core, const struct job_row *row, uint64_t *hard)
{
	uint64_t n = count_runnable(core, row, hard), room;

	if (row->max_running == 0 || n + *hard == 0)
		return n;
	room = room_to_run(row);
	*hard = *hard < room ? *hard : room;
	return n < room ? n : room;
}

/* Of a job without a run: what it may run at a time, all of which are ready. */
static uint64_t plain_shards(const struct job_row *row)
{
	return row->max_running > 0 && row->max_running < row->shard_count ? row->max_running
									   : row->shard_count;
}

static void demand_remove(struct dispatcher_core *core, struct job_row *row)
{
	struct shape *shape = job_shape(core, row);
	struct queue *q = job_definition(core, row)->queue;

	queue_demand_remove(q, shape,
			    row->live_flags & JOB_PLAIN ? plain_shards(row) : row->run->demand_shards);
	if (row->live_flags & JOB_PLAIN) {
		shape->plain_shards -= plain_shards(row);
		shape->plain_jobs--;
		row->live_flags &= (uint8_t)~JOB_PLAIN;
		return;
	}
	shape->demand_shards -= row->run->demand_shards;
	shape->demand_us -= row->run->demand_us;
	shape->demand_jobs--;
	row->run->demand_shards = row->run->demand_us = 0;
}

static void demand_add(struct dispatcher_core *core, struct job_row *row, uint64_t shards)
{
	struct shape *shape = job_shape(core, row);

	queue_demand_add(job_definition(core, row)->queue, shape,
			 row->run == NULL ? plain_shards(row) : shards);
	if (row->run == NULL) {
		shape->plain_shards += plain_shards(row);
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
		demand_remove(core, row);
		row->live_flags &= (uint8_t)~JOB_DEMANDED;
	}
}

void runnable_refresh(struct dispatcher_core *core, uint64_t job, struct job_row *row)
{
	uint64_t hard, n = runnable_shards(core, row, &hard);

	if (n == 0 && (row->live_flags & JOB_RUNNABLE))
		runnable_remove(core, job, row);
	hard_refresh(core, job, row, hard > 0);
	if (row->live_flags & JOB_DEMANDED)
		demand_remove(core, row);
	row->live_flags &= (uint8_t)~JOB_DEMANDED;
	if (n + hard > 0) {
		demand_add(core, row, n + hard);
		row->live_flags |= JOB_DEMANDED;
	}
	if (n > 0 && !(row->live_flags & JOB_RUNNABLE)) {
		turns_add(core, job, row);
		row->live_flags |= JOB_RUNNABLE;
		core->runnable_jobs++;
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
