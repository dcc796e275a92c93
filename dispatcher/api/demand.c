/* What waits to be run, for the scaler and for KEDA. One pool takes all work until definitions name
 * pools: workers are counted by the pool that they say they belong to. */
#include "dispatcher/api/demand.h"

#include <string.h>

#include "dispatcher/api/request.h"
#include "jobs/amounts_text.h"

#define SHAPES_MAX 256

size_t demand_count_pools(struct services *s, struct pool_count pools[POOLS_MAX])
{
	struct view_worker w;
	uint64_t after = 0;
	struct arena arena;
	size_t count = 0;

	arena_init(&arena, 0);
	for (; dispatcher_view_next_worker(services_core(s), after, &arena, &w); arena_reset(&arena)) {
		size_t i = 0;

		after = w.session;
		while (i < count && !bytes_equal(bytes_of(pools[i].name), w.pool))
			i++;
		if (i == POOLS_MAX || w.pool.size > NAME_BYTES_MAX)
			continue;
		if (i == count) {
			pools[count] = (struct pool_count){0};
			memcpy(pools[count++].name, w.pool.data, w.pool.size);
		}
		pools[i].workers++;
		pools[i].busy += w.leases > 0;
		pools[i].draining += w.draining;
		pools[i].quarantined += w.quarantined;
		pools[i].leases += w.leases;
		pools[i].cpu_milli += w.draining ? 0 : w.capacity.cpu_milli;
	}
	arena_fini(&arena);
	return count;
}

static json_t *shape_json(const struct dispatcher_core *core, const struct view_demand *d)
{
	struct buf named = {0};
	struct resources own;
	struct arena arena;
	json_t *json;
	struct api_shape shape = {
	    .cpus_milli = d->shape->cpu_milli,
	    .memory_bytes = d->shape->memory_bytes,
	    .gpus_milli = d->shape->gpu_milli,
	    .jobs = d->jobs,
	    .shards = d->pending_shards,
	    .runnable_us = (usec_t)d->pending_us,
	    .leases = d->leases,
	};

	arena_init(&arena, 0);
	dispatcher_view_own_need(core, d->shape, &arena, &own);
	amounts_format_named(&own.named, &named);
	shape.named = buf_bytes(&named);
	json = object_write(object_shape(), &shape);
	buf_fini(&named);
	arena_fini(&arena);
	return json;
}

static json_t *pool_json(const struct pool_count *p)
{
	const struct api_pool_workers pool = {
	    .pool = bytes_of(p->name),
	    .workers = p->workers,
	    .busy = p->busy,
	    .draining = p->draining,
	    .leases = p->leases,
	    .cpus_milli = p->cpu_milli,
	};

	return object_write(object_pool_workers(), &pool);
}

void api_demand(struct request *r)
{
	struct view_demand shapes[SHAPES_MAX];
	struct pool_count pools[POOLS_MAX];
	size_t shape_count = dispatcher_view_demand(services_core(r->services), shapes, SHAPES_MAX);
	size_t pool_count = demand_count_pools(r->services, pools);
	struct api_demand answer = {.shapes = json_array(), .pools = json_array()};

	for (size_t i = 0; i < shape_count; i++) {
		answer.shards += shapes[i].pending_shards;
		answer.leases += shapes[i].leases;
		answer.runnable_us += (usec_t)shapes[i].pending_us;
		answer.runnable_cpu_us += (usec_t)(shapes[i].pending_us / 1000 * shapes[i].shape->cpu_milli);
		json_array_append_new(answer.shapes, shape_json(services_core(r->services), &shapes[i]));
	}
	for (size_t i = 0; i < pool_count; i++)
		json_array_append_new(answer.pools, pool_json(&pools[i]));
	request_answer(r, MHD_HTTP_OK, object_write(object_demand(), &answer));
}
