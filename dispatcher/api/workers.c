#include "base/log.h"
#include "base/text.h"
#include "dispatcher/api/asker.h"
#include "jobs/amounts_text.h"
#include "jobs/ids.h"
#include "jobs/principal.h"

static const char *state_of(const struct view_worker *w)
{
	if (w->quarantined)
		return "quarantined";
	if (w->draining)
		return "draining";
	if (w->resting)
		return "resting";
	return w->leases > 0 ? "busy" : "idle";
}

static json_t *worker_json(const struct view_worker *w)
{
	char id[UUID_TEXT_BYTES];
	struct buf named = {0};
	json_t *json;
	struct api_worker worker = {
	    .host = w->host,
	    .pid = w->pid,
	    .pool = w->pool,
	    .provider_id = w->provider_id,
	    .numa_node = w->numa_node,
	    .cpus_milli = w->capacity.cpu_milli,
	    .memory_bytes = w->capacity.memory_bytes,
	    .gpus_milli = w->capacity.gpu_milli,
	    .leases = w->leases,
	    .leased_shards = w->leased_shards,
	    .done_shards = w->done_shards,
	    .failed_shards = w->failed_shards,
	    .state = bytes_of(state_of(w)),
	    .has_trouble = w->trouble_kind != 0,
	    .trouble = {.kind = bytes_of(failure_kind_name(w->trouble_kind)),
			.why = w->trouble,
			.since_wall_us = w->trouble_since_wall_us},
	    .heard_us = w->heard_us_ago,
	};

	uuid_text(&w->worker, id);
	worker.id = bytes_of(id);
	amounts_format_named(&w->capacity.named, &named);
	worker.named = buf_bytes(&named);
	json = object_write(object_worker(), &worker);
	buf_fini(&named);
	return json;
}

static void answer_state(struct request *r, unsigned status, const char *state)
{
	const struct api_worker_state answer = {.state = bytes_of(state)};

	request_answer(r, status, object_write(object_worker_state(), &answer));
}

void api_workers(struct request *r)
{
	struct api_workers answer = {.workers = json_array()};
	struct view_worker w;
	struct error e = {0};
	struct arena arena;
	uint64_t after, limit, count = 0;

	if (request_number(r, "limit", &limit, &e) < 0 || request_number(r, "cursor", &after, &e) < 0) {
		json_decref(answer.workers);
		request_fail(r, &e);
		return;
	}
	arena_init(&arena, 0);
	for (; count < limit && dispatcher_view_next_worker(services_core(r->services), after, &arena, &w);
	     count++) {
		json_array_append_new(answer.workers, worker_json(&w));
		after = w.session;
		arena_reset(&arena);
	}
	arena_fini(&arena);
	answer.next = count == limit ? after : 0;
	request_answer(r, MHD_HTTP_OK, object_write(object_workers(), &answer));
}

/* The worker that the path names; false: answered. */
static bool request_worker(struct request *r, struct uuid *ret)
{
	struct error e = {0};

	if (uuid_parse(bytes_of(r->argument), ret, &e) == 0)
		return true;
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
		answer_state(r, MHD_HTTP_ACCEPTED, "draining");
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
	answer_state(r, MHD_HTTP_OK, "gone");
}
