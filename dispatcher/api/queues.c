/* GET, PUT and PATCH /v1/queues: what the settings of queues are, and giving them others. */
#include <string.h>

#include "base/log.h"
#include "dispatcher/api/asker.h"
#include "dispatcher/api/job_json.h"
#include "jobs/definition_read.h"
#include "jobs/json.h"
#include "jobs/principal.h"

/* ---- as it is ---- */

static struct api_queue_limits limits_of(const struct queue_limits *l)
{
	return (struct api_queue_limits){.running = l->running,
					 .cpus_milli = l->cpu_milli,
					 .jobs = l->jobs,
					 .submissions_milli = l->submissions_milli};
}

static json_t *weights_json(const struct queue_weight_list *list)
{
	json_t *weights = json_array();

	for (uint32_t i = 0; i < list->count; i++) {
		const struct api_queue_weight w = {.key = list->items[i].key,
						   .weight = list->items[i].weight};

		json_array_append_new(weights, object_write(object_queue_weight(), &w));
	}
	return weights;
}

static json_t *queue_json(const struct view_queue *v)
{
	static const struct queue_changed defaults = {.weight = 1};
	const struct queue_changed *as = v->settings != NULL ? v->settings : &defaults;
	struct buf by = {0};
	struct api_queue q = {.name = v->name,
			      .weight = as->weight,
			      .paused = as->paused,
			      .why = as->why,
			      .limits = limits_of(&as->limits),
			      .owner_limits = limits_of(&as->owner_limits),
			      .submitters = json_array(),
			      .weights = weights_json(&as->weights),
			      .running = v->running,
			      .running_cpus_milli = v->cpu_milli,
			      .live_jobs = v->live_jobs,
			      .waiting_jobs = v->waiting_jobs,
			      .waiting_shards = v->waiting_shards,
			      .changed_wall_us = as->wall_us};
	json_t *json;

	for (uint32_t i = 0; i < as->submitters.count; i++)
		json_array_append_new(q.submitters, json_of_bytes(as->submitters.items[i].text));
	principal_words(&as->by, &by);
	q.changed_by = buf_bytes(&by);
	json = object_write(object_queue(), &q);
	buf_fini(&by);
	return json;
}

void api_queues(struct request *r)
{
	struct api_queues answer = {.queues = json_array()};
	struct view_queue_list list;
	struct arena arena;

	arena_init(&arena, 0);
	dispatcher_view_queues(services_core(r->services), &arena, &list);
	for (uint32_t i = 0; i < list.count; i++)
		json_array_append_new(answer.queues, queue_json(&list.items[i]));
	arena_fini(&arena);
	request_answer(r, MHD_HTTP_OK, object_write(object_queues(), &answer));
}

/* The queue that the path names; false: answered. */
static bool request_name(struct request *r)
{
	struct error e = {0};

	if (is_name(bytes_of(r->argument)))
		return true;
	error_set(&e, ERR_INVALID, "expected a name of letters, digits, \".\", \"_\" and \"-\"");
	error_where(&e, "the queue in the path");
	request_fail(r, &e);
	return false;
}

static void answer_queue(struct request *r)
{
	struct view_queue v;

	(void)dispatcher_view_queue(services_core(r->services), bytes_of(r->argument), &v);
	request_answer(r, MHD_HTTP_OK, queue_json(&v));
}

void api_queue(struct request *r)
{
	if (request_name(r))
		answer_queue(r);
}

/* ---- as it is to be ---- */

static int read_limits(json_t *json, const char *name, struct queue_limits *l, struct error *reterr)
{
	struct api_queue_limits_asked asked;
	char place[64];
	int rc = object_read_request(object_queue_limits_asked(), json, &asked, reterr);

	if (rc < 0) {
		snprintf(place, sizeof(place), "%.60s", reterr->where);
		return error_where(reterr, "%s.%s", name, place);
	}
	if (asked.has_running)
		l->running = (uint32_t)asked.running;
	if (asked.has_cpus_milli)
		l->cpu_milli = asked.cpus_milli;
	if (asked.has_jobs)
		l->jobs = (uint32_t)asked.jobs;
	if (asked.has_submissions_milli)
		l->submissions_milli = asked.submissions_milli;
	return 0;
}

static int read_submitters(const json_t *json, struct arena *arena, struct text_item_list *ret,
			   struct error *reterr)
{
	json_t *item;
	size_t i;

	*ret = (struct text_item_list){0};
	if (json_array_size(json) > QUEUE_SUBMITTERS_MAX) {
		error_set(reterr, ERR_INVALID, "expected at most %d", QUEUE_SUBMITTERS_MAX);
		return error_where(reterr, "submitters");
	}
	ret->items = arena_alloc(arena, (json_array_size(json) + 1) * sizeof(*ret->items));
	json_array_foreach(json, i, item)
	{
		if (!json_is_string(item)) {
			error_set(reterr, ERR_INVALID, "expected text, found %s", json_kind_name(item));
			return error_where(reterr, "submitters[%zu]", i);
		}
		ret->items[ret->count++].text = bytes_of(json_string_value(item));
	}
	return 0;
}

static int read_weights(const json_t *json, struct arena *arena, struct queue_weight_list *ret,
			struct error *reterr)
{
	struct api_queue_weight w;
	json_t *item;
	size_t i;

	*ret = (struct queue_weight_list){0};
	if (json_array_size(json) > QUEUE_KEY_WEIGHTS_MAX) {
		error_set(reterr, ERR_INVALID, "expected at most %d", QUEUE_KEY_WEIGHTS_MAX);
		return error_where(reterr, "weights");
	}
	ret->items = arena_alloc(arena, (json_array_size(json) + 1) * sizeof(*ret->items));
	json_array_foreach(json, i, item)
	{
		int rc = json_is_object(item) ? object_read_request(object_queue_weight(), item, &w, reterr)
					      : error_set(reterr, ERR_INVALID, "expected an object, found %s",
							  json_kind_name(item));

		if (rc == 0 && (w.key.size == 0 || w.weight < 1 || w.weight > QUEUE_WEIGHT_MAX))
			rc = error_set(reterr, ERR_INVALID, "expected a key, and a weight from 1 to %d",
				       QUEUE_WEIGHT_MAX);
		if (rc < 0)
			return error_where(reterr, "weights[%zu]", i);
		ret->items[ret->count++] = (struct queue_weight){w.key, (uint32_t)w.weight};
	}
	return 0;
}

/* What the body gives, over what *ret has. Texts are the body's. */
static int read_settings(json_t *body, struct arena *arena, struct queue_changed *ret, struct error *reterr)
{
	struct api_queue_settings asked;
	int rc = object_read_request(object_queue_settings(), body, &asked, reterr);

	if (rc == 0 && asked.has_limits)
		rc = read_limits(json_object_get(body, "limits"), "limits", &ret->limits, reterr);
	if (rc == 0 && asked.has_owner_limits)
		rc = read_limits(json_object_get(body, "owner_limits"), "owner_limits", &ret->owner_limits,
				 reterr);
	if (rc == 0 && asked.has_submitters)
		rc = read_submitters(asked.submitters, arena, &ret->submitters, reterr);
	if (rc == 0 && asked.has_weights)
		rc = read_weights(asked.weights, arena, &ret->weights, reterr);
	if (rc < 0)
		return rc;
	if (asked.has_weight)
		ret->weight = (uint32_t)asked.weight;
	if (asked.has_paused)
		ret->paused = asked.paused;
	if (asked.has_why || asked.has_paused) /* the reason is of this pause */
		ret->why = asked.why;
	return 0;
}

static void on_reply(void *arg, const struct dispatcher_reply *reply)
{
	struct request *r = arg;
	struct error e = {0};

	if (reply->code != ERR_OK) {
		error_set(&e, reply->code, "%s", reply->why);
		error_where(&e, "queue %s", r->argument);
		request_fail(r, &e);
		return;
	}
	if (!reply->duplicate) {
		struct principal by = request_by(r);
		struct buf words = {0};

		principal_words(&by, &words);
		log_info("the settings of a queue changed", log_text("queue", r->argument),
			 log_text("by", buf_text(&words)));
		buf_fini(&words);
	}
	answer_queue(r);
}

static void set(struct request *r, bool keeps_others)
{
	struct input_queue_set in = {.as = {.weight = 1}};
	struct error e = {0};
	struct view_queue v;
	struct arena arena;
	json_t *body;
	int rc;

	if (!request_name(r))
		return;
	if (port_has_room(r->services->port, &e) < 0) {
		request_fail_room(r, &e);
		return;
	}
	body = request_object(r);
	if (body == NULL)
		return;
	arena_init(&arena, 0);
	/* A copy: the row changes while the input is read. */
	if (keeps_others && dispatcher_view_queue(services_core(r->services), bytes_of(r->argument), &v) &&
	    v.settings != NULL)
		CHECK(codec_copy(codec_queue_changed(), v.settings, &in.as, &arena));
	rc = read_settings(body, &arena, &in.as, &e);
	in.as.name = bytes_of(r->argument);
	in.as.by = request_by(r);
	if (rc < 0)
		request_fail(r, &e);
	else
		port_submit(r->services->port, INPUT_QUEUE_SET, &in, &(struct ticket){on_reply, r});
	arena_fini(&arena);
	json_decref(body);
}

void api_set_queue(struct request *r)
{
	set(r, false);
}

void api_change_queue(struct request *r)
{
	set(r, true);
}
