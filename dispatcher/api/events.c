/* POST /v1/events: the events of one body, each accepted in a commit of its own or with its neighbours;
 * the answer comes when the last of them is durable. */
#include <stdlib.h>

#include "base/array.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "dispatcher/api/asker.h"
#include "dispatcher/dedup/dedup.h"
#include "dispatcher/intake/intake.h"
#include "dispatcher/retention/retention.h"
#include "dispatcher/rules.h"
#include "jobs/event_binary.h"
#include "jobs/json.h"

/* One event of a post: what became of it, and its jobs, whose numbers are in a row. */
struct post_event {
	struct post *post;
	struct api_event_taken taken; /* but for the jobs; texts in the post's arena */
	uint64_t job;		      /* the first */
	uint32_t job_count;
};

struct post {
	struct request *request;
	struct principal by;
	struct event_list list; /* until they are offered */
	struct dedup_key *keys; /* of these */
	struct post_event *events;
	uint32_t event_count;
	struct arena arena;
	json_t *unknown; /* records that are not understood; NULL: there is none */
	uint32_t unknown_count;
	uint32_t open; /* without an answer yet */
	bool failed;
	struct error error; /* the first */
};

static void post_destroy(void *state)
{
	struct post *p = state;

	for (uint32_t i = 0; i < p->event_count; i++)
		json_decref(p->events[i].taken.errors);
	free(p->events);
	free(p->keys);
	events_fini(&p->list);
	arena_fini(&p->arena);
	json_decref(p->unknown);
	free(p);
}

/* Errors name their job, unless it is a repeat's, or some of them were skipped. */
static void name_failed_jobs(const struct post_event *pe)
{
	bool known = pe->job_count > 0 && !pe->taken.duplicate && pe->taken.skipped == 0;
	json_t *error;
	size_t i;

	json_array_foreach(pe->taken.errors, i, error)
	{
		json_int_t at = json_integer_value(json_object_get(error, "job"));

		json_object_set_new(error, "job",
				    known ? json_integer((json_int_t)pe->job + at) : json_null());
	}
}

static void write_event(struct post_event *pe, struct buf *out)
{
	name_failed_jobs(pe);
	pe->taken.jobs = json_array();
	for (uint32_t i = 0; i < pe->job_count; i++)
		json_array_append_new(pe->taken.jobs, json_integer((json_int_t)(pe->job + i)));
	object_write_text(object_event_taken(), &pe->taken, out);
	pe->taken.jobs = pe->taken.errors = NULL; /* taken over */
}

/* The object events_taken, of which a body may have thousands of events. */
static void answer(struct post *p)
{
	struct buf text = {0};

	buf_printf(&text, "{\"events\":[");
	for (uint32_t i = 0; i < p->event_count; i++) {
		if (i > 0)
			buf_append(&text, ",", 1);
		write_event(&p->events[i], &text);
	}
	buf_append(&text, "]", 1);
	if (p->unknown != NULL) {
		buf_printf(&text, ",\"not_understood\":");
		json_write(&text, p->unknown);
		buf_printf(&text, ",\"not_understood_count\":%u", p->unknown_count);
	}
	buf_append(&text, "}", 1);
	request_answer_text(p->request, p->unknown != NULL ? MHD_HTTP_MULTI_STATUS : MHD_HTTP_OK, &text);
}

static void post_close(struct post *p)
{
	if (--p->open > 0)
		return;
	if (p->failed)
		request_fail(p->request, &p->error);
	else
		answer(p);
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
	error_where(&p->error, "event %.200s", (const char *)pe->taken.id.data);
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

	if (reply->code != ERR_OK)
		note_refusal(pe, reply);
	pe->taken.duplicate = reply->duplicate;
	pe->taken.forgotten = reply->duplicate && retention_has_forgotten(p->request->services, reply->job);
	if (reply->code == ERR_OK) {
		pe->job = reply->job;
		pe->job_count = reply->job_count;
		pe->taken.skipped = reply->skipped;
	}
	if (pe->taken.skipped > 0)
		pe->taken.skipped_why = arena_copy(&p->arena, bytes_of(reply->why));
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

static void offer(struct post_event *pe, const struct event *e, struct dedup_key key)
{
	struct post *p = pe->post;
	struct services *s = p->request->services;
	struct intake_error errors[INTAKE_ERRORS_MAX];
	struct intake_result result = {.list = errors};

	p->open++;
	intake_offer(s, e, key, &p->by, &(struct ticket){on_reply, pe}, &result);
	if (result.jobs == 0)
		p->open--;
	if (result.errors > 0)
		pe->taken.errors = errors_json(&result);
}

static void offer_all(void *arg)
{
	struct post *p = arg;
	const struct event_list *list = &p->list;

	p->events = check_calloc(list->count + 1, sizeof(*p->events));
	p->event_count = list->count;
	for (uint32_t i = 0; i < list->count; i++)
		p->events[i] = (struct post_event){
		    .post = p, .taken.id = arena_copy(&p->arena, bytes_of(list->items[i].id))};
	for (uint32_t i = 0; i < list->count; i++)
		offer(&p->events[i], &list->items[i], p->keys[i]);
	events_fini(&p->list);
	post_close(p);
}

/* In their order: none of them is offered before it is known of all whether they were taken before. */
static void look_up(struct post *p)
{
	struct services *s = p->request->services;

	p->keys = check_calloc(p->list.count + 1, sizeof(*p->keys));
	for (uint32_t i = 0; i < p->list.count; i++)
		p->keys[i] = event_dedup_key(&p->list.items[i], s->dedup_secret);
	if (!dedup_look_up(s, p->keys, p->list.count, offer_all, p))
		offer_all(p);
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

struct headers {
	struct event_header *items;
	uint32_t count, capacity;
};

static enum MHD_Result keep_header(void *arg, enum MHD_ValueKind kind, const char *name, size_t name_size,
				   const char *value, size_t value_size)
{
	struct headers *h = arg;

	(void)kind;
	ARRAY_GROW(h->items, h->capacity, h->count);
	h->items[h->count++] = (struct event_header){BYTES(name, name_size), BYTES(value, value_size)};
	return MHD_YES;
}

static int read_events(struct request *r, struct event_list *list, struct event_problems *problems,
		       struct error *reterr)
{
	struct headers h = {0};
	int rc;

	(void)MHD_get_connection_values_n(r->connection, MHD_HEADER_KIND, keep_header, &h);
	if (event_binary_is(h.items, h.count))
		rc = event_binary_read(h.items, h.count, buf_bytes(&r->body), clock_wall_us(), list, reterr);
	else
		rc = events_read_each(buf_bytes(&r->body), clock_wall_us(), list, problems, reterr);
	free(h.items);
	return rc;
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
	if (read_events(r, &list, &problems, &e) < 0) {
		request_fail(r, &e);
		events_fini(&list);
		free(problems.items);
		return;
	}
	p = check_calloc(1, sizeof(*p));
	p->request = r;
	p->by = request_by(r);
	arena_init(&p->arena, 0);
	note_unknown(p, &problems);
	free(problems.items);
	p->open = 1; /* ours, until all are offered */
	r->state = p;
	r->state_fini = post_destroy;
	p->list = list;
	look_up(p);
}
