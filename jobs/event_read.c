/* Tells the forms apart in which events come in. */
#include <string.h>

#include "base/limits.h"
#include "jobs/event.h"
#include "jobs/event_cloudevents.h"
#include "jobs/event_parts.h"
#include "jobs/event_s3.h"
#include "jobs/json.h"

/* Envelopes add a few levels around an event. */
#define BODY_DEPTH_MAX (EVENT_DEPTH_MAX + 8)
#define ENVELOPES_MAX 4 /* an event in an SNS message in an SQS message in … */

struct reader {
	usec_t now_wall_us;
	struct event_list *list;
	uint32_t envelopes;
};

static int read_any(struct reader *r, json_t *body, struct error *reterr);

static bool says(const json_t *object, const char *name, const char *text)
{
	const json_t *value = json_object_get(object, name);

	return json_is_string(value) && strcmp(json_string_value(value), text) == 0;
}

/* An event, or another envelope, that stands as text in a member. */
static int open_text(struct reader *r, const json_t *object, const char *name, struct error *reterr)
{
	const json_t *text = json_object_get(object, name);
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
	return rc < 0 ? event_error_under(reterr, "%s", name) : 0;
}

/* S3's own, or those that AWS hands to a function for a message of SQS or SNS. */
static int read_record(struct reader *r, const json_t *record, struct error *reterr)
{
	struct event e;
	int rc;

	if (says(record, "eventSource", "aws:sqs"))
		return open_text(r, record, "body", reterr);
	if (says(record, "EventSource", "aws:sns")) {
		rc = open_text(r, json_object_get(record, "Sns"), "Message", reterr);
		return rc < 0 ? event_error_under(reterr, "Sns") : 0;
	}
	rc = event_s3_read(record, r->now_wall_us, &e, reterr);
	if (rc == 0)
		event_list_add(r->list, &e);
	return rc;
}

static int read_records(struct reader *r, json_t *records, struct error *reterr)
{
	if (!json_is_array(records)) {
		error_set(reterr, ERR_INVALID, "expected an array, found %s", json_kind_name(records));
		return error_where(reterr, "Records");
	}
	for (size_t i = 0; i < json_array_size(records); i++)
		if (read_record(r, json_array_get(records, i), reterr) < 0)
			return event_error_under(reterr, "Records[%zu]", i);
	return 0;
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

/* CloudEvents' batch, or any events side by side. */
static int read_list(struct reader *r, const json_t *list, struct error *reterr)
{
	for (size_t i = 0; i < json_array_size(list); i++)
		if (read_any(r, json_array_get(list, i), reterr) < 0)
			return event_error_under(reterr, "[%zu]", i);
	return 0;
}

/* Back to the first `count`: all or none. */
static void cut_list(struct event_list *list, uint32_t count)
{
	while (list->count > count)
		event_fini(&list->items[--list->count]);
}

int events_read(struct bytes body, usec_t now_wall_us, struct event_list *list, struct error *reterr)
{
	struct reader r = {.now_wall_us = now_wall_us, .list = list};
	uint32_t before = list->count;
	json_t *dom = json_read(body, HTTP_BODY_BYTES_MAX, BODY_DEPTH_MAX, reterr);
	int rc = 0;

	if (dom == NULL)
		return ERR_INVALID;
	if (json_is_array(dom))
		rc = read_list(&r, dom, reterr);
	else
		rc = read_any(&r, dom, reterr);
	json_decref(dom);
	if (rc < 0)
		cut_list(list, before);
	return rc;
}
