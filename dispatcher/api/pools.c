/* GET and POST /v1/pools: what scalers tell of their pools, kept in memory (dispatcher/pools.h). */
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "dispatcher/api/job_json.h"
#include "jobs/json.h"

#define CPU_MILLI_MAX 4096000.0
#define UNFIT_MAX 9e15 /* what a double counts exactly */

/* ---- as JSON ---- */

static void set(json_t *object, const char *name, uint64_t value)
{
	json_object_set_new(object, name, json_integer((json_int_t)value));
}

static json_t *seconds(usec_t us)
{
	return json_real((double)(us > 0 ? us : 0) / USEC_PER_SEC);
}

static json_t *pool_json(const struct pool_told *p, usec_t now_us)
{
	json_t *value = json_object();
	struct buf does = {0};

	why_pool(p, now_us, &does);
	if (does.size > 0 && p->unfit_shards > 0)
		buf_printf(&does, "; ");
	why_pool_unfit(p, &does);
	json_object_set_new(value, "pool", json_of_bytes(bytes_of(p->name)));
	json_object_set_new(value, "provider", json_of_bytes(bytes_of(p->provider)));
	set(value, "wanted", p->wanted);
	set(value, "ready", p->ready);
	set(value, "busy", p->busy);
	set(value, "starting", p->starting);
	set(value, "draining", p->draining);
	set(value, "min", p->min_workers);
	set(value, "max", p->max_workers);
	json_object_set_new(value, "cpus", json_real((double)p->cpu_milli / 1000));
	json_object_set_new(value, "does", json_of_bytes(buf_bytes(&does)));
	json_object_set_new(value, "why", json_of_bytes(bytes_of(p->why)));
	set(value, "unfit_shards", p->unfit_shards);
	set(value, "failed_starts", p->failed_starts);
	json_object_set_new(value, "failure", json_of_bytes(bytes_of(p->failure)));
	json_object_set_new(value, "retry_seconds",
			    p->retry_us > 0 ? seconds(p->retry_us - now_us) : json_null());
	json_object_set_new(value, "told_seconds", seconds(now_us - p->told_us));
	buf_fini(&does);
	return value;
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
	request_answer(r, MHD_HTTP_OK, json_pack("{s:o}", "pools", pools_json(r->services)));
}

/* ---- being told ---- */

/* A member that is a number from 0 to max; 0 where it is missing. */
static int take_real(json_t *body, const char *name, double max, double *ret, struct error *reterr)
{
	json_t *value = json_object_get(body, name);

	*ret = 0;
	if (value == NULL)
		return 0;
	*ret = json_is_number(value) ? json_number_value(value) : -1;
	if (*ret >= 0 && *ret <= max)
		return 0;
	error_set(reterr, ERR_INVALID, "expected a number from 0 to %.0f, found %s", max,
		  json_is_number(value) ? "another one" : json_kind_name(value));
	return error_where(reterr, "%s", name);
}

static int take_count(json_t *body, const char *name, uint32_t *ret, struct error *reterr)
{
	double value;
	int rc = take_real(body, name, WORKERS_MAX, &value, reterr);

	if (rc == 0 && floor(value) < value) {
		error_set(reterr, ERR_INVALID, "expected a whole number");
		rc = error_where(reterr, "%s", name);
	}
	*ret = rc == 0 ? (uint32_t)value : 0;
	return rc;
}

/* text that fits size, its NUL included; needed: not empty. */
static int take_text(json_t *body, const char *name, bool needed, char *ret, size_t size,
		     struct error *reterr)
{
	const char *text;
	int rc = object_text(body, name, &text, reterr);

	if (rc < 0)
		return rc;
	text = text != NULL ? text : "";
	if (strlen(text) < size && (text[0] != '\0' || !needed)) {
		memcpy(ret, text, strlen(text) + 1);
		return 0;
	}
	error_set(reterr, ERR_INVALID, "expected a text of %s%zu bytes", needed ? "1 to " : "at most ",
		  size - 1);
	return error_where(reterr, "%s", name);
}

static int take_texts(json_t *body, struct pool_told *p, struct error *reterr)
{
	int rc = take_text(body, "pool", true, p->name, sizeof(p->name), reterr);

	if (rc == 0)
		rc = take_text(body, "provider", false, p->provider, sizeof(p->provider), reterr);
	if (rc == 0)
		rc = take_text(body, "why", false, p->why, sizeof(p->why), reterr);
	if (rc == 0)
		rc = take_text(body, "failure", false, p->failure, sizeof(p->failure), reterr);
	return rc;
}

static int take_times(json_t *body, struct pool_told *p, struct error *reterr)
{
	double turn = 0, retry = 0, cpus = 0, unfit = 0;
	int rc = take_real(body, "turn_seconds", (double)POOL_TURN_US_MAX / USEC_PER_SEC, &turn, reterr);

	if (rc == 0)
		rc = take_real(body, "retry_seconds", 365 * 86400.0, &retry, reterr);
	if (rc == 0)
		rc = take_real(body, "cpus", CPU_MILLI_MAX / 1000, &cpus, reterr);
	if (rc == 0)
		rc = take_real(body, "unfit_shards", UNFIT_MAX, &unfit, reterr);
	if (rc < 0)
		return rc;
	p->told_us = clock_mono_us();
	p->turn_us = (usec_t)(turn * (double)USEC_PER_SEC);
	if (p->turn_us < POOL_TURN_US_MIN)
		p->turn_us = POOL_TURN_US_MIN;
	p->retry_us = retry > 0 ? p->told_us + (usec_t)(retry * (double)USEC_PER_SEC) : 0;
	p->unfit_shards = (uint64_t)unfit;
	p->cpu_milli = (uint64_t)(cpus * 1000 + 0.5);
	return 0;
}

static int take(json_t *body, struct pool_told *p, struct error *reterr)
{
	static const char *const names[] = {
	    "pool",	"provider",	 "wanted",	 "ready",	 "busy", "starting",
	    "draining", "min",		 "max",		 "cpus",	 "why",	 "failed_starts",
	    "failure",	"retry_seconds", "turn_seconds", "unfit_shards", NULL};
	const struct {
		const char *name;
		uint32_t *ret;
	} counts[] = {{"wanted", &p->wanted},	  {"ready", &p->ready},
		      {"busy", &p->busy},	  {"starting", &p->starting},
		      {"draining", &p->draining}, {"min", &p->min_workers},
		      {"max", &p->max_workers},	  {"failed_starts", &p->failed_starts}};
	int rc = object_only(body, names, reterr);

	if (rc == 0)
		rc = take_texts(body, p, reterr);
	for (size_t i = 0; i < ARRAY_LENGTH(counts) && rc == 0; i++)
		rc = take_count(body, counts[i].name, counts[i].ret, reterr);
	if (rc == 0)
		rc = take_times(body, p, reterr);
	return rc;
}

void api_tell_pool(struct request *r)
{
	struct pool_told told = {0};
	struct error e = {0};
	json_t *body = request_object(r);
	int rc;

	if (body == NULL)
		return;
	rc = take(body, &told, &e);
	json_decref(body);
	if (rc == 0)
		rc = pools_tell(r->services->pools, &told, &e);
	if (rc == 0) {
		port_tell_pool(r->services->port, bytes_of(told.name));
		request_answer(
		    r, MHD_HTTP_OK,
		    json_pack("{s:f}", "kept_seconds", (double)(POOL_TURNS * told.turn_us) / USEC_PER_SEC));
	} else {
		request_fail(r, &e);
	}
}
