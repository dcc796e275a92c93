/* POST /v1/events: the events of one body, each accepted in a commit of its own or with its neighbours;
 * the answer comes when the last of them is durable. */
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "dispatcher/api/asker.h"
#include "dispatcher/intake/intake.h"
#include "dispatcher/retention/retention.h"
#include "dispatcher/rules.h"
#include "jobs/json.h"

struct post {
	struct request *request;
	struct principal by;
	json_t *events;	 /* of the answer */
	json_t *unknown; /* records that are not understood; NULL: there is none */
	uint32_t unknown_count;
	uint32_t open; /* without an answer yet */
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
	json_decref(p->unknown);
	free(p);
}

/* The jobs of an event have numbers in a row: errors name theirs, unless it is a repeat's, or some of them
 * were skipped. */
static void name_failed_jobs(json_t *result)
{
	json_t *first = json_array_get(json_object_get(result, "jobs"), 0), *error;
	bool known = first != NULL && !json_is_true(json_object_get(result, "duplicate")) &&
		     json_object_get(result, "skipped") == NULL;
	size_t i;

	json_array_foreach(json_object_get(result, "errors"), i, error)
	{
		json_int_t at = json_integer_value(json_object_get(error, "job"));

		json_object_set_new(error, "job",
				    known ? json_integer(json_integer_value(first) + at) : json_null());
	}
}

static json_t *answer_json(const struct post *p)
{
	const struct api_events_taken taken = {
	    .events = json_incref(p->events),
	    .not_understood = p->unknown != NULL ? json_incref(p->unknown) : NULL,
	    .not_understood_count = p->unknown_count,
	};

	return object_write(object_events_taken(), &taken);
}

static void post_close(struct post *p)
{
	struct request *r = p->request;
	json_t *result;
	size_t i;

	if (--p->open > 0)
		return;
	json_array_foreach(p->events, i, result) name_failed_jobs(result);
	if (p->failed)
		request_fail(r, &p->error);
	else
		request_answer(r, p->unknown != NULL ? MHD_HTTP_MULTI_STATUS : MHD_HTTP_OK, answer_json(p));
}

static bool is_final(enum error_code code)
{
	return code != ERR_BUSY && code != ERR_EXHAUSTED && code != ERR_CLOSED;
}

/* One answer for the body: what no repetition can mend comes before what one can. */
static void note_refusal(const struct post_event *pe, const struct dispatcher_reply *reply)
{
	struct post *p = pe->post;

	if (p->failed && (is_final(p->error.code) || !is_final(reply->code)))
		return;
	p->failed = true;
	error_set(&p->error, reply->code, "%s", reply->why);
	if (json_is_string(json_object_get(pe->result, "id")))
		error_where(&p->error, "event %.200s", json_string_value(json_object_get(pe->result, "id")));
	if (is_final(reply->code))
		error_help(&p->error,
			   "this event is never taken: leave it out, or change the rules that it "
			   "matches; other events of the body were taken, and are not taken twice");
	else
		error_help(&p->error, "send it again: what was taken already is not taken twice%s",
			   reply->code == ERR_BUSY ? "; the dispatcher's --jobs-max is the bound" : "");
}

static void on_reply(void *arg, const struct dispatcher_reply *reply)
{
	struct post_event *pe = arg;
	struct post *p = pe->post;
	json_t *jobs = json_object_get(pe->result, "jobs");

	if (reply->code != ERR_OK)
		note_refusal(pe, reply);
	json_object_set_new(pe->result, "duplicate", json_boolean(reply->duplicate));
	if (reply->duplicate && retention_has_forgotten(p->request->services, reply->job))
		json_object_set_new(pe->result, "forgotten", json_true());
	if (reply->code == ERR_OK && reply->skipped > 0) {
		json_object_set_new(pe->result, "skipped", json_integer(reply->skipped));
		json_object_set_new(pe->result, "skipped_why", json_of_bytes(bytes_of(reply->why)));
	}
	for (uint32_t i = 0; reply->code == ERR_OK && i < reply->job_count; i++)
		json_array_append_new(jobs, json_integer((json_int_t)(reply->job + i)));
	free(pe);
	post_close(p);
}

static json_t *errors_json(const struct intake_result *result)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < result->errors && i < INTAKE_ERRORS_MAX; i++) {
		const struct api_rule_error error = {
		    .error = api_error_of(&result->list[i].error),
		    .rule = bytes_of(result->list[i].rule),
		    .has_job = true,
		    .job = result->list[i].job, /* among them, yet */
		};

		json_array_append_new(list, object_write(object_rule_error(), &error));
	}
	return list;
}

static void offer(struct post *p, const struct event *e)
{
	struct services *s = p->request->services;
	struct intake_error errors[INTAKE_ERRORS_MAX];
	struct intake_result result = {.list = errors};
	struct post_event *pe = check_calloc(1, sizeof(*pe));
	const struct api_event_taken taken = {.id = bytes_of(e->id)};

	pe->post = p;
	pe->result = object_write(object_event_taken(), &taken);
	json_array_append_new(p->events, pe->result);
	p->open++;
	intake_offer(s, e, event_dedup_key(e, s->dedup_secret), &p->by, &(struct ticket){on_reply, pe},
		     &result);
	if (result.jobs == 0)
		p->open--;
	/* pe may be gone by now only if the core answered at once; its result stands in the list. */
	if (result.errors > 0)
		json_object_set_new(json_array_get(p->events, json_array_size(p->events) - 1), "errors",
				    errors_json(&result));
	if (result.jobs == 0)
		free(pe);
}

/* The others of the body start all the same. */
static void note_unknown(struct post *p, const struct event_problems *problems)
{
	char line[ERROR_LINE_MAX];

	if (problems->count == 0)
		return;
	p->unknown = json_array();
	p->unknown_count = problems->total;
	for (uint32_t i = 0; i < problems->count; i++)
		json_array_append_new(p->unknown, json_of_error(&problems->items[i]));
	log_warn("some records of a body are no events; the others start",
		 log_u64("records", problems->total),
		 log_error_field(&problems->items[0], line, sizeof(line)));
}

void api_events(struct request *r)
{
	struct event_problems problems = {0};
	struct event_list list = {0};
	struct error e = {0};
	struct post *p;
	int rc = port_has_room(r->services->port, &e);

	if (rc == 0)
		rc = rules_are_ready(r->services->rules, &e);
	if (rc < 0) {
		request_fail_room(r, &e);
		return;
	}
	if (events_read_each(buf_bytes(&r->body), clock_wall_us(), &list, &problems, &e) < 0) {
		request_fail(r, &e);
		events_fini(&list);
		free(problems.items);
		return;
	}
	p = check_calloc(1, sizeof(*p));
	p->request = r;
	p->by = request_by(r);
	p->events = json_array();
	note_unknown(p, &problems);
	free(problems.items);
	p->open = 1; /* ours, until all are offered */
	r->state = p;
	r->state_fini = post_destroy;
	for (uint32_t i = 0; i < list.count; i++)
		offer(p, &list.items[i]);
	events_fini(&list);
	post_close(p);
}
