/* POST /v1/events: the events of one body, each accepted in a commit of its own or with its neighbours;
 * the answer comes when the last of them is durable. */
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "dispatcher/api/request.h"
#include "dispatcher/intake/intake.h"

struct post {
	struct request *request;
	json_t *events; /* of the answer */
	uint32_t open;	/* without an answer yet */
	bool failed;
	struct error error; /* the first */
};

/* One event of a post, in the core's hands. */
struct post_event {
	struct post *post;
	json_t *result; /* borrowed from post->events */
};

static void post_destroy(void *state)
{
	struct post *p = state;

	json_decref(p->events);
	free(p);
}

static void post_close(struct post *p)
{
	struct request *r = p->request;

	if (--p->open > 0)
		return;
	if (p->failed)
		request_fail_status(
		    r, p->error.code == ERR_BUSY ? MHD_HTTP_TOO_MANY_REQUESTS : MHD_HTTP_SERVICE_UNAVAILABLE,
		    &p->error);
	else
		request_answer(r, MHD_HTTP_OK, json_pack("{s:O}", "events", p->events));
}

static void on_reply(struct server *s, void *arg, const struct dispatcher_reply *reply)
{
	struct post_event *pe = arg;
	struct post *p = pe->post;
	json_t *jobs = json_object_get(pe->result, "jobs");

	(void)s;
	if (reply->code != ERR_OK && !p->failed) {
		p->failed = true;
		error_set(&p->error, reply->code, "%s", reply->why);
		error_help(&p->error, "send it again: what was taken already is not taken twice");
	}
	json_object_set_new(pe->result, "duplicate", json_boolean(reply->duplicate));
	for (uint32_t i = 0; reply->code == ERR_OK && i < reply->job_count; i++)
		json_array_append_new(jobs, json_integer((json_int_t)(reply->job + i)));
	free(pe);
	post_close(p);
}

static json_t *errors_json(const struct intake_result *result)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < result->errors && i < INTAKE_ERRORS_MAX; i++) {
		json_t *outer = json_of_error(&result->list[i].error);

		json_object_set_new(outer, "rule", json_of_bytes(bytes_of(result->list[i].rule)));
		json_array_append_new(list, outer);
	}
	return list;
}

static void offer(struct post *p, const struct event *e)
{
	struct server *s = p->request->server;
	struct intake_error errors[INTAKE_ERRORS_MAX];
	struct intake_result result = {.list = errors};
	struct post_event *pe = check_calloc(1, sizeof(*pe));

	pe->post = p;
	pe->result = json_pack("{s:O,s:b,s:[]}", "id", json_object_get(e->dom, "id"), "duplicate", 0, "jobs");
	json_array_append_new(p->events, pe->result);
	p->open++;
	intake_offer(s, e, event_dedup_key(e, s->dedup_secret), on_reply, pe, &result);
	if (result.jobs == 0)
		p->open--;
	/* pe may be gone by now only if the core answered at once; its result stands in the list. */
	if (result.errors > 0)
		json_object_set_new(json_array_get(p->events, json_array_size(p->events) - 1), "errors",
				    errors_json(&result));
	if (result.jobs == 0)
		free(pe);
}

void api_events(struct request *r)
{
	struct event_list list = {0};
	struct error e = {0};
	struct post *p;
	int rc = server_has_room(r->server, &e);

	if (rc < 0) {
		request_fail_status(
		    r, rc == ERR_BUSY ? MHD_HTTP_TOO_MANY_REQUESTS : MHD_HTTP_SERVICE_UNAVAILABLE, &e);
		return;
	}
	if (events_read(buf_bytes(&r->body), clock_wall_us(), &list, &e) < 0) {
		request_fail(r, &e);
		events_fini(&list);
		return;
	}
	p = check_calloc(1, sizeof(*p));
	p->request = r;
	p->events = json_array();
	p->open = 1; /* ours, until all are offered */
	r->state = p;
	r->state_fini = post_destroy;
	for (uint32_t i = 0; i < list.count; i++)
		offer(p, &list.items[i]);
	events_fini(&list);
	post_close(p);
}
