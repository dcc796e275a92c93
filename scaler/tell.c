/* What the dispatcher is told of the pool, so that it can say why a job does not run. */
#include <stdio.h>

#include "base/log.h"
#include "base/text.h"
#include "jobs/json.h"
#include "scaler/service_impl.h"

/* It forgets a scaler that has been silent for three of these. */
#define TELL_US (2 * USEC_PER_SEC)
#define CALL_US USEC_PER_SEC

static void set_number(json_t *object, const char *name, uint64_t value)
{
	json_object_set_new(object, name, json_integer((json_int_t)value));
}

static void set_seconds(json_t *object, const char *name, usec_t us)
{
	json_object_set_new(object, name, json_real((double)us / USEC_PER_SEC));
}

/* A failed start may tell anything: a worker's last line, a batch system's answer. */
static void set_text(json_t *object, const char *name, const char *text)
{
	struct buf escaped = {0};

	if (!text_is_utf8(bytes_of(text))) {
		text_escape(&escaped, bytes_of(text));
		text = buf_text(&escaped);
	}
	json_object_set_new(object, name, json_string(text));
	buf_fini(&escaped);
}

static json_t *pool_json(const struct service *s, const struct scaler_view *v)
{
	json_t *pool = json_object();

	set_text(pool, "pool", s->pool);
	set_text(pool, "provider", s->provider->ops->name);
	set_number(pool, "wanted", v->wanted);
	set_number(pool, "ready", v->ready);
	set_number(pool, "busy", v->busy);
	set_number(pool, "starting", v->starting);
	set_number(pool, "draining", v->draining);
	set_number(pool, "min", s->min_workers);
	set_number(pool, "max", s->max_workers);
	json_object_set_new(pool, "cpus", json_real((double)s->fleet.cpu_milli_max / 1000));
	set_number(pool, "unfit_shards", s->fleet.unfit_shards);
	set_text(pool, "why", v->why);
	set_number(pool, "failed_starts", v->failed_starts);
	set_text(pool, "failure", v->failure_why);
	set_seconds(pool, "turn_seconds", TELL_US);
	return pool;
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

void service_tell(struct service *s)
{
	usec_t now = loop_now_us(s->loop);
	struct scaler_view v;
	struct buf facts = {0}, body = {0};
	json_t *pool;

	scaler_core_view(s->core, 0, &v);
	pool = pool_json(s, &v);
	json_write(&facts, pool);
	if (s->told_us == 0 || now - s->told_us >= TELL_US ||
	    !bytes_equal(buf_bytes(&facts), buf_bytes(&s->told))) {
		set_seconds(pool, "retry_seconds", v.retry_in_us);
		json_write(&body, pool);
		s->told_us = is_taken(s, buf_bytes(&body)) ? now : 0;
		buf_clear(&s->told);
		buf_append_bytes(&s->told, buf_bytes(&facts));
	}
	json_decref(pool);
	buf_fini(&facts);
	buf_fini(&body);
}
