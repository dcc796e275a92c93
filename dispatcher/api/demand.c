/* What waits to be run, for the scaler and for KEDA. One pool takes all work until definitions name
 * pools: workers are counted by the pool that they say they belong to. */
#include "dispatcher/api/demand.h"

#include <string.h>

#include "dispatcher/api/request.h"

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

static json_t *shape_json(const struct view_demand *d)
{
	json_t *value = json_object();

	json_object_set_new(value, "cpus", json_real((double)d->shape->cpu_milli / 1000));
	json_object_set_new(value, "memory_bytes", json_integer((json_int_t)d->shape->memory_bytes));
	json_object_set_new(value, "gpus",
			    d->shape->gpu_milli % 1000 == 0 ? json_integer(d->shape->gpu_milli / 1000)
							    : json_real((double)d->shape->gpu_milli / 1000));
	json_object_set_new(value, "jobs", json_integer((json_int_t)d->jobs));
	json_object_set_new(value, "shards", json_integer((json_int_t)d->pending_shards));
	json_object_set_new(value, "runnable_seconds", json_real((double)d->pending_us / 1e6));
	json_object_set_new(value, "leases", json_integer((json_int_t)d->leases));
	return value;
}

static json_t *pool_json(const struct pool_count *p)
{
	json_t *value = json_object();

	json_object_set_new(value, "pool", json_of_bytes(bytes_of(p->name)));
	json_object_set_new(value, "workers", json_integer((json_int_t)p->workers));
	json_object_set_new(value, "busy", json_integer((json_int_t)p->busy));
	json_object_set_new(value, "draining", json_integer((json_int_t)p->draining));
	json_object_set_new(value, "leases", json_integer((json_int_t)p->leases));
	json_object_set_new(value, "cpus", json_real((double)p->cpu_milli / 1000));
	return value;
}

void api_demand(struct request *r)
{
	struct view_demand shapes[SHAPES_MAX];
	struct pool_count pools[POOLS_MAX];
	size_t shape_count = dispatcher_view_demand(services_core(r->services), shapes, SHAPES_MAX);
	size_t pool_count = demand_count_pools(r->services, pools);
	uint64_t shards = 0, leases = 0, us = 0, cpu_us = 0;
	json_t *answer = json_object(), *list = json_array(), *by_pool = json_array();

	for (size_t i = 0; i < shape_count; i++) {
		shards += shapes[i].pending_shards;
		leases += shapes[i].leases;
		us += shapes[i].pending_us;
		cpu_us += shapes[i].pending_us / 1000 * shapes[i].shape->cpu_milli;
		json_array_append_new(list, shape_json(&shapes[i]));
	}
	for (size_t i = 0; i < pool_count; i++)
		json_array_append_new(by_pool, pool_json(&pools[i]));
	json_object_set_new(answer, "runnable_seconds", json_real((double)us / 1e6));
	json_object_set_new(answer, "runnable_cpu_seconds", json_real((double)cpu_us / 1e6));
	json_object_set_new(answer, "shards", json_integer((json_int_t)shards));
	json_object_set_new(answer, "leases", json_integer((json_int_t)leases));
	json_object_set_new(answer, "shapes", list);
	json_object_set_new(answer, "pools", by_pool);
	request_answer(r, MHD_HTTP_OK, answer);
}
