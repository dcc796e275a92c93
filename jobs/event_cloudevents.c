#include "jobs/event_cloudevents.h"

#include <string.h>

#include "base/check.h"
#include "base/text.h"
#include "jobs/event_extensions.h"
#include "jobs/event_parts.h"
#include "jobs/json.h"

bool event_cloudevents_is(const json_t *body)
{
	return json_object_get(body, "specversion") != NULL;
}

static void rename_member(json_t *body, const char *from, json_t *to, const char *name)
{
	json_t *value = json_object_get(body, from);

	if (value != NULL)
		CHECK(json_object_set(to, name, value) == 0);
}

/* A detail is an object; other data stands in one, under its own name. */
static void take_data(json_t *body, json_t *envelope)
{
	json_t *data = json_object_get(body, "data"), *detail;

	if (json_is_object(data)) {
		rename_member(body, "data", envelope, "detail");
		return;
	}
	detail = json_object();
	rename_member(body, "data", detail, "data");
	rename_member(body, "data_base64", detail, "data_base64");
	CHECK(json_object_set_new(envelope, "detail", detail) == 0);
}

/* Errors speak of the attributes that the producer wrote. */
static void rename_error(struct error *reterr)
{
	if (reterr == NULL)
		return;
	if (strcmp(reterr->where, "detail-type") == 0)
		error_where(reterr, "type");
	else if (strncmp(reterr->where, "resources", 9) == 0)
		error_where(reterr, "subject");
	error_help(reterr, "this is read as a CloudEvent, since it has specversion");
}

int event_cloudevents_read(json_t *body, usec_t now_wall_us, struct event *ret, struct error *reterr)
{
	static const char *const same[] = {"id", "source", "time", "account", "region"};
	static const char *const own[] = {"specversion",     "id",   "source",	"type",	  "time",
					  "subject",	     "data", "account", "region", "extensions",
					  "datacontenttype", NULL};
	const json_t *version = json_object_get(body, "specversion"), *subject;
	char quoted[40];
	json_t *envelope;
	int rc;

	if (!bytes_equal(json_bytes(version), BYTES_LIT("1.0"))) {
		error_set(reterr, ERR_VERSION, "expected CloudEvents \"1.0\", found %s",
			  json_is_string(version) ? text_quote(quoted, sizeof quoted, json_bytes(version))
						  : json_kind_name(version));
		return error_where(reterr, "specversion");
	}
	envelope = json_object();
	for (size_t i = 0; i < ARRAY_LENGTH(same); i++)
		rename_member(body, same[i], envelope, same[i]);
	rename_member(body, "type", envelope, "detail-type");
	subject = json_object_get(body, "subject");
	if (subject != NULL)
		CHECK(json_object_set_new(envelope, "resources", json_pack("[O]", subject)) == 0);
	take_data(body, envelope);
	event_take_extensions(body, own, envelope);
	rc = event_from_json(envelope, now_wall_us, ret, reterr);
	json_decref(envelope);
	if (rc < 0)
		rename_error(reterr);
	return rc;
}

void event_cloudevents_write(const struct event *e, struct buf *out)
{
	static const char *const same[] = {"id", "source", "time", "account", "region"};
	json_t *dom = event_dom(e), *body = json_object(), *value;
	const json_t *resources = json_object_get(dom, "resources");
	const char *name;

	event_set_text(body, "specversion", "1.0");
	event_set_text(body, "datacontenttype", "application/json");
	for (size_t i = 0; i < ARRAY_LENGTH(same); i++)
		rename_member(dom, same[i], body, same[i]);
	rename_member(dom, "detail-type", body, "type");
	rename_member(dom, "detail", body, "data");
	if (json_array_size(resources) > 0)
		event_set_text(body, "subject", json_string_value(json_array_get(resources, 0)));
	json_object_foreach(json_object_get(dom, "extensions"), name, value)
	{
		if (json_object_get(body, name) == NULL)
			CHECK(json_object_set(body, name, value) == 0);
	}
	json_write(out, body);
	json_decref(body);
}
