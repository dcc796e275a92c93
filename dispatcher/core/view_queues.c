/* Views of queues: their settings, and what is in them. */
#include <stdlib.h>
#include <string.h>

#include "dispatcher/core/decide/steps.h"
#include "dispatcher/core/durable/job_table.h"
#include "dispatcher/core/view.h"
#include "dispatcher/core/volatile/limits.h"

static void fill(const struct queue *q, struct view_queue *ret)
{
	*ret = (struct view_queue){.name = blob_bytes(&q->name),
				   .settings = q->row != NULL ? &q->row->as : NULL,
				   .running = q->running,
				   .cpu_milli = q->cpu_milli,
				   .live_jobs = q->live_jobs};
	for (uint32_t i = 0; i < q->demand_count; i++) {
		ret->waiting_jobs += q->demands[i].jobs;
		ret->waiting_shards += q->demands[i].shards;
	}
}

static bool is_seen(const struct queue *q)
{
	return q != NULL && (q->row != NULL || q->live_jobs > 0);
}

static int by_name(const void *a, const void *b)
{
	const struct view_queue *x = a, *y = b;
	size_t size = x->name.size < y->name.size ? x->name.size : y->name.size;
	int r = memcmp(x->name.data, y->name.data, size);

	return r != 0 ? r : (x->name.size > y->name.size) - (x->name.size < y->name.size);
}

void dispatcher_view_queues(const struct dispatcher_core *core, struct arena *arena,
			    struct view_queue_list *ret)
{
	*ret = (struct view_queue_list){
	    .items = arena_alloc(arena, (core->queue_count + 1ul) * sizeof *ret->items)};
	CHECK(ret->items != NULL);
	for (uint32_t i = 0; i < core->queue_count; i++)
		if (is_seen(core->queues[i]))
			fill(core->queues[i], &ret->items[ret->count++]);
	qsort(ret->items, ret->count, sizeof *ret->items, by_name);
}

bool dispatcher_view_queue(const struct dispatcher_core *core, struct bytes name, struct view_queue *ret)
{
	const struct queue *q = queue_find(core, name);

	*ret = (struct view_queue){.name = name};
	if (!is_seen(q))
		return false;
	fill(q, ret);
	return true;
}
