/* Tells the forms apart in which events come in. */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/limits.h"
#include "jobs/event.h"
#include "jobs/event_cloudevents.h"
#include "jobs/event_parts.h"
#include "jobs/event_plain.h"
#include "jobs/event_s3.h"
#include "jobs/json.h"

/* Envelopes add a few levels around an event. */
#define BODY_DEPTH_MAX (EVENT_DEPTH_MAX + 8)
#define ENVELOPES_MAX 4 /* an event in an SNS message in an SQS message in … */

struct reader {
	usec_t now_wall_us;
	struct event_list *list;
	struct event_problems *problems; /* NULL: the first ends it */
	uint32_t envelopes;
};

static int read_any(struct reader *r, json_t *body, struct error *reterr);

static bool says(const json_t *object, const char *name, const char *text)
{
	const json_t *value = json_object_get(object, name);

	return json_is_string(value) && strcmp(json_string_value(value), text) == 0;
}

/* Of one record among others; 0: the others are read. */
static int note_problem(struct reader *r, const struct error *e, int rc)
{
	struct event_problems *p = r->problems;

	if (p == NULL)
		return rc;
	if (p->items == NULL)
		p->items = check_calloc(EVENT_PROBLEMS_MAX, sizeof(*p->items));
	if (p->count < EVENT_PROBLEMS_MAX)
		p->items[p->count++] = *e;
	p->total++;
	return 0;
}

/* Those from `first` on stand in this member. */
static void put_under(struct reader *r, uint32_t first, const char *name)
{
	for (uint32_t i = first; r->problems != NULL && i < r->problems->count; i++)
		event_error_under(&r->problems->items[i], "%s", name);
}

static uint32_t problem_count(const struct reader *r)
{
	return r->problems != NULL ? r->problems->count : 0;
}

/* An event, or another envelope, that stands as text in a member. */
static int open_text(struct reader *r, const json_t *object, const char *name, struct error *reterr)
{
	const json_t *text = json_object_get(object, name);
	uint32_t first = problem_count(r);
	json_t *inner;
	int rc;

	if (!json_is_string(text)) {
		error_set(reterr, ERR_INVALID, "expected an event as a string, found %s",
			  json_kind_name(text));
		return error_where(reterr, "%s", name);
	}
	if (r->envelopes == ENVELOPES_MAX) {
		error_set(reterr, ERR_LIMIT, "more than %d envelopes around an event", ENVELOPES_MAX);
		return error_where(reterr, "%s", name);
	}
	inner = json_read(json_bytes(text), HTTP_BODY_BYTES_MAX, BODY_DEPTH_MAX, reterr);
	if (inner == NULL)
		return event_error_under(reterr, "%s", name);
	r->envelopes++;
	rc = read_any(r, inner, reterr);
	r->envelopes--;
	json_decref(inner);
	put_under(r, first, name);
	return rc < 0 ? event_error_under(reterr, "%s", name) : 0;
}

/* S3's own, or those that AWS hands to a function for a message of SQS or SNS. */
static int read_record(struct reader *r, json_t *record, struct error *reterr)
{
	uint32_t first = problem_count(r);
	struct event e;
	int rc;

	if (says(record, "eventSource", "aws:sqs"))
		return open_text(r, record, "body", reterr);
	if (says(record, "EventSource", "aws:sns")) {
		rc = open_text(r, json_object_get(record, "Sns"), "Message", reterr);
		put_under(r, first, "Sns");
		return rc < 0 ? event_error_under(reterr, "Sns") : 0;
	}
	rc = event_s3_read(record, r->now_wall_us, &e, reterr);
	if (rc == 0)
		event_list_add(r->list, &e);
	return rc;
}

typedef int read_fn(struct reader *r, json_t *value, struct error *reterr);

static int read_each(struct reader *r, json_t *list, const char *name, read_fn *read, struct error *reterr)
{
	for (size_t i = 0; i < json_array_size(list); i++) {
		uint32_t first = problem_count(r), before = r->list->count;
		struct error e = {0};
		char place[40];
		int rc = read(r, json_array_get(list, i), &e);

		snprintf(place, sizeof(place), "%s[%zu]", name, i);
		put_under(r, first, place);
		if (rc == 0)
			continue;
		event_error_under(&e, "%s", place);
		events_cut(r->list, before);
		rc = note_problem(r, &e, rc);
		if (rc == 0)
			continue;
		if (reterr != NULL)
			*reterr = e;
		return rc;
	}
	return 0;
}

static int read_records(struct reader *r, json_t *records, struct error *reterr)
{
	if (!json_is_array(records)) {
		error_set(reterr, ERR_INVALID, "expected an array, found %s", json_kind_name(records));
		return error_where(reterr, "Records");
	}
	return read_each(r, records, "Records", read_record, reterr);
}

static int read_any(struct reader *r, json_t *body, struct error *reterr)
{
	struct event e;
	int rc;

	if (json_object_get(body, "Records") != NULL)
		return read_records(r, json_object_get(body, "Records"), reterr);
	if (says(body, "Event", "s3:TestEvent")) /* S3 asks whether anybody listens */
		return 0;
	if (says(body, "Type", "Notification"))
		return open_text(r, body, "Message", reterr);
	if (says(body, "Type", "SubscriptionConfirmation")) {
		error_set(reterr, ERR_INVALID, "SNS asks to confirm a subscription; it is not confirmed yet");
		error_help(reterr, "open the SubscribeURL of this message once");
		return error_where(reterr, "Type");
	}
	if (event_cloudevents_is(body))
		rc = event_cloudevents_read(body, r->now_wall_us, &e, reterr);
	else
		rc = event_from_json(body, r->now_wall_us, &e, reterr);
	if (rc == 0)
		event_list_add(r->list, &e);
	return rc;
}

static int read_body(struct reader *r, struct bytes body, struct error *reterr)
{
	uint32_t before = r->list->count;
	json_t *dom = json_read(body, HTTP_BODY_BYTES_MAX, BODY_DEPTH_MAX, reterr);
	int rc = 0;

	if (dom == NULL)
		return ERR_INVALID;
	if (json_is_array(dom)) /* CloudEvents' batch, or any events side by side */
		rc = read_each(r, dom, "", read_any, reterr);
	else
		rc = read_any(r, dom, reterr);
	json_decref(dom);
	if (rc < 0)
		events_cut(r->list, before);
	return rc;
}

int events_read(struct bytes body, usec_t now_wall_us, struct event_list *list, struct error *reterr)
{
	return read_body(&(struct reader){.now_wall_us = now_wall_us, .list = list}, body, reterr);
}

int events_read_each(struct bytes body, usec_t now_wall_us, struct event_list *list,
		     struct event_problems *problems, struct error *reterr)
{
	uint32_t before = list->count;
	struct reader r = {.now_wall_us = now_wall_us, .list = list, .problems = problems};
	int rc;

	if (body.size <= HTTP_BODY_BYTES_MAX && events_read_plain(body, BODY_DEPTH_MAX, now_wall_us, list))
		return 0;
	rc = read_body(&r, body, reterr);
	if (rc < 0 || problems->count == 0 || list->count > before)
		return rc;
	if (reterr != NULL)
		*reterr = problems->items[0];
	return problems->items[0].code;
}
