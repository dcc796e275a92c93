/* What the dispatcher is told of the pool, so that it can say why a job does not run. */
#include "base/log.h"
#include "jobs/amounts_text.h"
#include "jobs/api/objects.h"
#include "jobs/json.h"
#include "scaler/service_impl.h"

/* It forgets a scaler that has been silent for three of these. */
#define TELL_US (2 * USEC_PER_SEC)
#define CALL_US USEC_PER_SEC

/* Texts that are no UTF-8 are escaped: a failed start may tell anything, a worker's last line, a batch
 * system's answer. */
static struct api_pool_told pool_facts(const struct service *s, const struct scaler_view *v)
{
	return (struct api_pool_told){
	    .pool = bytes_of(s->pool),
	    .provider = bytes_of(s->provider->ops->name),
	    .wanted = v->wanted,
	    .ready = v->ready,
	    .busy = v->busy,
	    .starting = v->starting,
	    .draining = v->draining,
	    .min = s->min_workers,
	    .max = s->max_workers,
	    .cpus_milli = s->fleet.offer.cpu_milli,
	    .memory_bytes = s->fleet.offer.memory_bytes,
	    .gpus_milli = s->fleet.offer.gpu_milli,
	    .unfit_shards = s->fleet.unfit_shards,
	    .why = bytes_of(v->why),
	    .failed_starts = v->failed_starts,
	    .failure = bytes_of(v->failure_why),
	    .turn_us = TELL_US,
	};
}

static bool is_taken(struct service *s, struct bytes body)
{
	const struct http_call call = {
	    .method = "POST", .path = "/v1/pools", .body = body, .timeout_us = CALL_US};
	struct http_answer answer;
	bool good;

	if (http_client_call(s->http, &call, &answer, NULL) < 0)
		return false; /* that it does not answer is told elsewhere */
	good = answer.status < 400;
	if (!good)
		log_debug("the dispatcher does not take what it is told of the pool",
			  log_u64("status", answer.status), log_bytes("answer", buf_bytes(&answer.body)));
	http_answer_fini(&answer);
	return good;
}

static void write_pool(const struct api_pool_told *pool, struct buf *out)
{
	json_t *json = object_write(object_pool_told(), pool);

	json_write(out, json);
	json_decref(json);
}

void service_tell(struct service *s)
{
	usec_t now = loop_now_us(s->loop);
	struct scaler_view v;
	struct buf facts = {0}, body = {0}, named = {0};
	struct api_pool_told pool;

	scaler_core_view(s->core, 0, &v);
	pool = pool_facts(s, &v);
	amounts_format_named(&s->fleet.offer.named, &named);
	pool.named = buf_bytes(&named);
	write_pool(&pool, &facts);
	if (s->told_us == 0 || now - s->told_us >= TELL_US ||
	    !bytes_equal(buf_bytes(&facts), buf_bytes(&s->told))) {
		pool.has_retry_us = true;
		pool.retry_us = v.retry_in_us;
		write_pool(&pool, &body);
		s->told_us = is_taken(s, buf_bytes(&body)) ? now : 0;
		buf_clear(&s->told);
		buf_append_bytes(&s->told, buf_bytes(&facts));
	}
	buf_fini(&named);
	buf_fini(&facts);
	buf_fini(&body);
}
