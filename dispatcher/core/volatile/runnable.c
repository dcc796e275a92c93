#include "dispatcher/core/volatile/runnable.h"

#include <string.h>

#include "base/plant.h"
#include "dispatcher/core/volatile/estimate.h"
#include "dispatcher/core/durable/job_table.h"
#include "dispatcher/core/volatile/sessions.h"
#include "dispatcher/core/durable/shards.h"
#include "dispatcher/core/decide/steps.h"
#include "dispatcher/core/volatile/trouble.h"

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

uint64_t runnable_shards(const struct dispatcher_core *core, const struct job_row *row, uint64_t *hard)
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

/* Buckets of a queue: highest priority first, then by shape. */
static struct bucket *bucket_intern(struct dispatcher_core *core, const struct job_row *row)
{
	struct queue *q = job_definition(core, row)->queue;
	uint32_t shape = job_shape(core, row)->index, at = 0;
	struct bucket *b;

	while (at < q->bucket_count &&
	       (q->buckets[at]->priority > row->priority ||
		(q->buckets[at]->priority == row->priority && q->buckets[at]->shape < shape)))
		at++;
	if (at < q->bucket_count && q->buckets[at]->priority == row->priority &&
	    q->buckets[at]->shape == shape)
		return q->buckets[at];
	if (q->bucket_count == q->bucket_capacity) {
		q->bucket_capacity = q->bucket_capacity == 0 ? 4 : 2 * q->bucket_capacity;
		q->buckets = check_realloc(q->buckets, q->bucket_capacity, sizeof(struct bucket *));
	}
	if (q->bucket_count == 0) { /* it does not catch up for the time it had nothing */
		uint64_t least = UINT64_MAX;

		for (uint32_t i = 0; i < core->queue_count; i++)
			if (core->queues[i] != NULL && core->queues[i]->bucket_count > 0 &&
			    core->queues[i]->served_us < least)
				least = core->queues[i]->served_us;
		if (least != UINT64_MAX && q->served_us < least)
			q->served_us = least;
	}
	b = check_calloc(1, sizeof *b);
	*b = (struct bucket){.shape = shape, .queue = q->index, .priority = row->priority};
	memmove(&q->buckets[at + 1], &q->buckets[at], (q->bucket_count - at) * sizeof(struct bucket *));
	q->buckets[at] = b;
	q->bucket_count++;
	sessions_are_hungry(core);
	return b;
}

static void bucket_remove(struct dispatcher_core *core, struct bucket *b)
{
	struct queue *q = core->queues[b->queue];
	uint32_t at = 0;

	while (q->buckets[at] != b)
		at++;
	q->bucket_count--;
	memmove(&q->buckets[at], &q->buckets[at + 1], (q->bucket_count - at) * sizeof(struct bucket *));
	free(b);
}

static struct job_row *row_at(struct dispatcher_core *core, uint64_t job)
{
	return job_table_get(&core->d.jobs, job);
}

/* Older jobs go first; one that comes back before the first one is the first again. */
static void list_insert(struct dispatcher_core *core, struct bucket *b, uint64_t job, struct job_row *row)
{
	if (b->head == 0) {
		b->head = b->tail = job;
	} else if (job < b->head) {
		row->next = b->head;
		row_at(core, b->head)->previous = job;
		b->head = job;
	} else {
		row->previous = b->tail;
		row_at(core, b->tail)->next = job;
		b->tail = job;
	}
	b->count++;
}

static void list_remove(struct dispatcher_core *core, struct bucket *b, uint64_t job, struct job_row *row)
{
	if (row->previous != 0)
		row_at(core, row->previous)->next = row->next;
	else
		b->head = row->next;
	if (row->next != 0)
		row_at(core, row->next)->previous = row->previous;
	else
		b->tail = row->previous;
	row->next = row->previous = 0;
	b->count--;
	(void)job;
}

static void demand_remove(struct dispatcher_core *core, struct job_row *row)
{
	struct shape *shape = job_shape(core, row);

	if (row->live_flags & JOB_PLAIN) {
		shape->plain_shards -= row->shard_count;
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

	if (row->run == NULL) {
		shape->plain_shards += shards;
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
		if (core->hard_count == core->hard_capacity) {
			core->hard_capacity = core->hard_capacity == 0 ? 16 : 2 * core->hard_capacity;
			core->hard = check_realloc(core->hard, core->hard_capacity, sizeof(uint64_t));
		}
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
		struct bucket *b = bucket_intern(core, row);

		list_remove(core, b, job, row);
		row->live_flags &= (uint8_t)~JOB_RUNNABLE;
		core->runnable_jobs--;
		if (b->count == 0)
			bucket_remove(core, b);
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
		struct bucket *b = bucket_intern(core, row);

		list_insert(core, b, job, row);
		row->live_flags |= JOB_RUNNABLE;
		core->runnable_jobs++;
	}
}

void runnable_fini(struct dispatcher_core *core)
{
	for (uint32_t i = 0; i < core->queue_count; i++) {
		struct queue *q = core->queues[i];

		if (q == NULL)
			continue;
		for (uint32_t k = 0; k < q->bucket_count; k++)
			free(q->buckets[k]);
		free(q->buckets);
		blob_fini(&q->name);
		free(q);
	}
	free(core->queues);
	free(core->hard);
}
