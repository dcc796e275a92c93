/* GET and POST /v1/pools: what scalers tell of their pools, kept in memory (dispatcher/pools.h). */
#include <string.h>

#include "base/clock.h"
#include "dispatcher/api/job_json.h"
#include "jobs/amounts_text.h"

/* ---- as JSON ---- */

static usec_t from_now(usec_t us)
{
	return us > 0 ? us : 0;
}

static json_t *pool_json(const struct pool_told *p, usec_t now_us)
{
	struct buf does = {0};
	struct api_pool pool;
	json_t *json;

	why_pool(p, now_us, &does);
	if (does.size > 0 && p->unfit_shards > 0)
		buf_printf(&does, "; ");
	why_pool_unfit(p, &does);
	pool = (struct api_pool){
	    .pool = bytes_of(p->name),
	    .provider = bytes_of(p->provider),
	    .wanted = p->wanted,
	    .ready = p->ready,
	    .busy = p->busy,
	    .starting = p->starting,
	    .draining = p->draining,
	    .min = p->min_workers,
	    .max = p->max_workers,
	    .cpus_milli = p->cpu_milli,
	    .memory_bytes = p->memory_bytes,
	    .gpus_milli = p->gpu_milli,
	    .named = bytes_of(p->named),
	    .does = buf_bytes(&does),
	    .why = bytes_of(p->why),
	    .unfit_shards = p->unfit_shards,
	    .failed_starts = p->failed_starts,
	    .failure = bytes_of(p->failure),
	    .has_retry_us = p->retry_us > 0,
	    .retry_us = from_now(p->retry_us - now_us),
	    .told_us = from_now(now_us - p->told_us),
	};
	json = object_write(object_pool(), &pool);
	buf_fini(&does);
	return json;
}

json_t *pools_json(struct services *s)
{
	usec_t now_us = clock_mono_us();
	json_t *list = json_array();

	pools_forget(s->pools, now_us);
	for (uint32_t i = 0; i < s->pools->count; i++)
		json_array_append_new(list, pool_json(&s->pools->items[i], now_us));
	return list;
}

void api_pools(struct request *r)
{
	const struct api_pools answer = {.pools = pools_json(r->services)};

	request_answer(r, MHD_HTTP_OK, object_write(object_pools(), &answer));
}

/* ---- being told ---- */

/* Their bounds stand in the table of objects. */
static void copy_text(char *to, struct bytes text)
{
	memcpy(to, api_text(text), text.size + 1);
}

static int take(json_t *body, struct pool_told *p, struct error *reterr)
{
	struct named_amount items[NAMED_RESOURCES_MAX];
	struct named_amount_list named = {.items = items};
	struct api_pool_told told;
	int rc = object_read_request(object_pool_told(), body, &told, reterr);

	if (rc < 0)
		return rc;
	*p = (struct pool_told){
	    .wanted = (uint32_t)told.wanted,
	    .ready = (uint32_t)told.ready,
	    .busy = (uint32_t)told.busy,
	    .starting = (uint32_t)told.starting,
	    .draining = (uint32_t)told.draining,
	    .min_workers = (uint32_t)told.min,
	    .max_workers = (uint32_t)told.max,
	    .failed_starts = (uint32_t)told.failed_starts,
	    .cpu_milli = told.cpus_milli,
	    .memory_bytes = told.memory_bytes,
	    .gpu_milli = (uint32_t)told.gpus_milli,
	    .unfit_shards = told.unfit_shards,
	    .turn_us = told.turn_us < POOL_TURN_US_MIN ? POOL_TURN_US_MIN : told.turn_us,
	    .told_us = clock_mono_us(),
	};
	p->retry_us = told.retry_us > 0 ? p->told_us + told.retry_us : 0;
	copy_text(p->name, told.pool);
	copy_text(p->provider, told.provider);
	copy_text(p->why, told.why);
	copy_text(p->failure, told.failure);
	copy_text(p->named, told.named);
	if (amounts_parse_named(p->named, &named, reterr) < 0)
		return error_where(reterr, "named");
	return 0;
}

void api_tell_pool(struct request *r)
{
	struct pool_told told = {0};
	struct api_pool_kept kept = {0};
	struct error e = {0};
	json_t *body = request_object(r);
	int rc;

	if (body == NULL)
		return;
	rc = take(body, &told, &e);
	json_decref(body);
	if (rc == 0)
		rc = pools_tell(r->services->pools, &told, &e);
	if (rc < 0) {
		request_fail(r, &e);
		return;
	}
	port_tell_pool(r->services->port, bytes_of(told.name));
	kept.kept_us = POOL_TURNS * told.turn_us;
	request_answer(r, MHD_HTTP_OK, object_write(object_pool_kept(), &kept));
}
