/* The metrics that have labels, one function each; which they are says metrics.def. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "dispatcher/api/demand.h"
#include "dispatcher/api/listener.h"
#include "dispatcher/api/metrics.h"
#include "dispatcher/pools.h"

#define SHAPES_MAX 256
#define NUMBER_TEXT 32

void metrics_build_info(const struct metrics *m, const char *name, struct buf *out)
{
	(void)m;
	metrics_sample(out, name, 1, "version", SHARDMILL_VERSION, NULL);
}

void metrics_jobs_ended(const struct metrics *m, const char *name, struct buf *out)
{
	for (uint32_t state = JOB_SUCCEEDED; state <= JOB_CANCELLED; state++)
		metrics_sample(out, name, (double)m->core.jobs_ended[state - JOB_SUCCEEDED], "state",
			       job_state_name(state), NULL);
}

/* ---- shapes ---- */

static void shape_sample(struct buf *out, const char *name, const struct resources *shape, double value)
{
	char cpus[NUMBER_TEXT], memory[NUMBER_TEXT], gpus[NUMBER_TEXT];

	snprintf(cpus, sizeof(cpus), "%.10g", (double)shape->cpu_milli / 1000);
	snprintf(memory, sizeof(memory), "%" PRIu64, shape->memory_bytes);
	snprintf(gpus, sizeof(gpus), "%.10g", (double)shape->gpu_milli / 1000);
	metrics_sample(out, name, value, "cpus", cpus, "memory_bytes", memory, "gpus", gpus, NULL);
}

static bool same_labels(const struct resources *a, const struct resources *b)
{
	return a->cpu_milli == b->cpu_milli && a->memory_bytes == b->memory_bytes &&
	       a->gpu_milli == b->gpu_milli;
}

/* Shapes that differ in named resources alone are one line: a set of labels may come once. */
static void add_shapes(const struct metrics *m, const char *name, bool seconds, struct buf *out)
{
	struct view_demand d[SHAPES_MAX];
	double sums[SHAPES_MAX] = {0};
	size_t count = dispatcher_view_demand(services_core(m->services), d, SHAPES_MAX);

	for (size_t i = 0; i < count; i++) {
		size_t first = 0;

		while (!same_labels(d[first].shape, d[i].shape))
			first++;
		sums[first] += seconds ? (double)d[i].pending_us / 1e6 : (double)d[i].pending_shards;
		if (first < i)
			sums[i] = -1;
	}
	for (size_t i = 0; i < count; i++)
		if (sums[i] >= 0)
			shape_sample(out, name, d[i].shape, sums[i]);
}

void metrics_shards_runnable(const struct metrics *m, const char *name, struct buf *out)
{
	add_shapes(m, name, false, out);
}

void metrics_runnable_seconds(const struct metrics *m, const char *name, struct buf *out)
{
	add_shapes(m, name, true, out);
}

/* ---- pools ---- */

void metrics_pool_workers(const struct metrics *m, const char *name, struct buf *out)
{
	struct pool_count pools[POOLS_MAX];
	size_t count = demand_count_pools(m->services, pools);

	for (size_t i = 0; i < count; i++) {
		const struct pool_count *p = &pools[i];
		uint64_t out_of_it = p->draining + p->quarantined;
		uint64_t rest = p->workers > out_of_it ? p->workers - out_of_it : 0;
		uint64_t busy = p->busy < rest ? p->busy : rest;

		metrics_sample(out, name, (double)busy, "pool", p->name, "state", "busy", NULL);
		metrics_sample(out, name, (double)(rest - busy), "pool", p->name, "state", "idle", NULL);
		metrics_sample(out, name, (double)p->draining, "pool", p->name, "state", "draining", NULL);
		metrics_sample(out, name, (double)p->quarantined, "pool", p->name, "state", "quarantined",
			       NULL);
	}
}

void metrics_pool_cpus(const struct metrics *m, const char *name, struct buf *out)
{
	struct pool_count pools[POOLS_MAX];
	size_t count = demand_count_pools(m->services, pools);

	for (size_t i = 0; i < count; i++)
		metrics_sample(out, name, (double)pools[i].cpu_milli / 1000, "pool", pools[i].name, NULL);
}

void metrics_pool_wanted(const struct metrics *m, const char *name, struct buf *out)
{
	const struct pools *p = m->services->pools;

	for (uint32_t i = 0; i < p->count; i++)
		metrics_sample(out, name, p->items[i].wanted, "pool", p->items[i].name, NULL);
}

void metrics_pool_failed_starts(const struct metrics *m, const char *name, struct buf *out)
{
	const struct pools *p = m->services->pools;

	for (uint32_t i = 0; i < p->count; i++)
		metrics_sample(out, name, p->items[i].failed_starts, "pool", p->items[i].name, NULL);
}

/* ---- HTTP ---- */

void metrics_http_requests(const struct metrics *m, const char *name, struct buf *out)
{
	const struct api *api = m->services->api;

	for (uint32_t route = 0; route <= ROUTE_COUNT; route++)
		for (uint32_t class = 1; class < API_STATUS_CLASSES; class ++) {
			const char code[] = {(char)('0' + class), 'x', 'x', '\0'};
			uint64_t count = api->answers[route][class];

			if (count > 0)
				metrics_sample(out, name, (double)count, "route",
					       route < ROUTE_COUNT ? route_at(route)->name : "none", "code",
					       code, NULL);
		}
}
