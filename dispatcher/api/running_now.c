#include "dispatcher/api/running_now.h"

#include <stdlib.h>

static int by_shard(const void *a, const void *b)
{
	uint32_t x = ((const struct running_found *)a)->attempt.shard;
	uint32_t y = ((const struct running_found *)b)->attempt.shard;

	return (x > y) - (x < y);
}

static bool same_uuid(const struct uuid *a, const struct uuid *b)
{
	return a->hi == b->hi && a->lo == b->lo;
}

static void take(struct running_now *now, const struct uuid *worker, const struct running_attempt *a)
{
	struct view_lease lease;

	if (now->count == RUNNING_FOUND_MAX || a->shard < now->first || a->out_bytes > INT64_MAX ||
	    a->err_bytes > INT64_MAX ||
	    !dispatcher_view_held(services_core(now->services), a->token, a->shard, &lease) ||
	    lease.job != now->job || !same_uuid(&lease.worker, worker))
		return;
	now->found[now->count++] = (struct running_found){lease, *a};
}

static void on_running(struct look_request *look, const void *body)
{
	struct running_now *now = look->arg;
	const struct running *m = body;

	for (uint32_t i = 0; m != NULL && i < m->attempts.count; i++)
		take(now, &look->worker, &m->attempts.items[i]);
	if (++now->answered < now->asked)
		return;
	qsort(now->found, now->count, sizeof(now->found[0]), by_shard);
	now->over(now);
}

int running_now_ask(struct running_now *now, const struct uuid *worker, struct error *reterr)
{
	struct look_request *ask;
	int rc;

	for (uint32_t i = 0; i < now->asked; i++)
		if (same_uuid(&now->asks[i].worker, worker))
			return 0;
	if (now->asked == RUNNING_WORKERS_MAX)
		return 0;
	ask = &now->asks[now->asked];
	ask->arg = now;
	rc = looks_ask_running(now->services->looks, ask, worker, on_running, reterr);
	now->asked += rc == 0;
	return rc == ERR_BUSY ? rc : 0;
}

void running_now_fini(struct running_now *now)
{
	for (uint32_t i = 0; i < now->asked; i++)
		looks_cancel(now->services->looks, &now->asks[i]);
}

const struct running_found *running_now_next(const struct running_now *now, uint32_t shard)
{
	size_t low = 0, high = now->count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (now->found[middle].attempt.shard < shard)
			low = middle + 1;
		else
			high = middle;
	}
	return low < now->count ? &now->found[low] : NULL;
}
