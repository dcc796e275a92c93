#include "base/log.h"
#include "base/text.h"
#include "dispatcher/api/asker.h"
#include "jobs/output_index.h"
#include "jobs/principal.h"

static json_t *trouble_json(const struct view_worker *w)
{
	json_t *value = json_object();

	json_object_set_new(value, "kind", json_string(failure_kind_name(w->trouble_kind)));
	json_object_set_new(value, "why", json_of_bytes(w->trouble));
	json_object_set_new(value, "since", json_of_time(w->trouble_since_wall_us));
	return value;
}

static json_t *worker_json(const struct view_worker *w)
{
	json_t *value = json_object();
	char id[33];

	uuid_text(&w->worker, id);
	json_object_set_new(value, "id", json_string(id));
	json_object_set_new(value, "host", json_of_bytes(w->host));
	json_object_set_new(value, "pid", json_integer(w->pid));
	json_object_set_new(value, "pool", json_of_bytes(w->pool));
	json_object_set_new(value, "provider_id", json_of_bytes(w->provider_id));
	json_object_set_new(value, "numa_node", json_integer(w->numa_node));
	json_object_set_new(value, "cpus", json_real((double)w->capacity.cpu_milli / 1000));
	json_object_set_new(value, "memory_bytes", json_integer((json_int_t)w->capacity.memory_bytes));
	json_object_set_new(value, "leases", json_integer(w->leases));
	json_object_set_new(value, "leased_shards", json_integer((json_int_t)w->leased_shards));
	json_object_set_new(value, "done_shards", json_integer((json_int_t)w->done_shards));
	json_object_set_new(value, "failed_shards", json_integer((json_int_t)w->failed_shards));
	json_object_set_new(value, "state",
			    json_string(w->quarantined	? "quarantined"
					: w->draining	? "draining"
					: w->resting	? "resting"
					: w->leases > 0 ? "busy"
							: "idle"));
	if (w->trouble_kind != 0)
		json_object_set_new(value, "trouble", trouble_json(w));
	json_object_set_new(value, "heard_seconds", json_real((double)w->heard_us_ago / 1e6));
	return value;
}

void api_workers(struct request *r)
{
	json_t *answer = json_object(), *list = json_array();
	struct view_worker w;
	struct error e = {0};
	struct arena arena;
	uint64_t after, limit, count = 0;

	if (request_query_number(r, "limit", 1, 100000, 1000, &limit, &e) < 0 ||
	    request_query_number(r, "cursor", 0, UINT64_MAX, 0, &after, &e) < 0) {
		json_decref(answer);
		json_decref(list);
		request_fail(r, &e);
		return;
	}
	arena_init(&arena, 0);
	for (; count < limit && dispatcher_view_next_worker(services_core(r->services), after, &arena, &w);
	     count++) {
		json_array_append_new(list, worker_json(&w));
		after = w.session;
		arena_reset(&arena);
	}
	arena_fini(&arena);
	json_object_set_new(answer, "workers", list);
	json_object_set_new(answer, "next", count == limit ? json_integer((json_int_t)after) : json_null());
	request_answer(r, MHD_HTTP_OK, answer);
}

/* The worker that the path names; false: answered. */
static bool request_worker(struct request *r, struct uuid *ret)
{
	struct error e = {0};

	if (uuid_parse(bytes_of(r->argument), ret) == 0)
		return true;
	error_set(&e, ERR_INVALID, "expected a worker's id of 32 hex digits, found \"%.40s\"", r->argument);
	error_where(&e, "the worker in the path");
	request_fail(r, &e);
	return false;
}

static void on_drain_reply(void *arg, const struct dispatcher_reply *reply)
{
	struct request *r = arg;
	struct error e = {0};

	if (reply->code == ERR_OK) {
		struct principal by = request_by(r);
		struct buf words = {0};

		principal_words(&by, &words);
		log_info("a worker is to leave", log_text("worker", r->argument),
			 log_text("by", buf_text(&words)));
		buf_fini(&words);
		request_answer(r, MHD_HTTP_ACCEPTED, json_pack("{s:s}", "state", "draining"));
		return;
	}
	error_set(&e, reply->code, "%s", reply->why);
	request_fail(r, &e);
}

void api_drain(struct request *r)
{
	struct input_drain in = {.by = request_by(r)};

	if (!request_worker(r, &in.worker))
		return;
	port_submit(r->services->port, INPUT_DRAIN, &in, &(struct ticket){on_drain_reply, r});
}

void api_gone(struct request *r)
{
	struct input_gone in;

	if (!request_worker(r, &in.worker))
		return;
	port_submit(r->services->port, INPUT_GONE, &in, NULL);
	request_answer(r, MHD_HTTP_OK, json_pack("{s:s}", "state", "gone"));
}
