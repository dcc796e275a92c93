#include "jobs/event_binary.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/text.h"
#include "jobs/event_cloudevents.h"
#include "jobs/event_parts.h"
#include "jobs/json.h"

#define PREFIX "ce-"
#define PREFIX_BYTES (sizeof PREFIX - 1)
#define MODES "application/cloudevents" /* structured, or a batch: all of it is in the body */
#define HELP "this is read as a CloudEvent in HTTP's binary mode, since it has " PREFIX " headers"

static bool begins_with(struct bytes text, const char *what)
{
	size_t size = strlen(what);

	return text.size >= size && strncasecmp((const char *)text.data, what, size) == 0;
}

static bool ends_with(struct bytes text, const char *what)
{
	size_t size = strlen(what);

	return text.size >= size && strncasecmp((const char *)text.data + text.size - size, what, size) == 0;
}

/* Type and subtype, without parameters; empty when nothing is said. */
static struct bytes content_type(const struct event_header *headers, uint32_t count)
{
	struct bytes type = {0};
	const void *parameters;

	for (uint32_t i = 0; i < count; i++)
		if (headers[i].name.size == 12 && begins_with(headers[i].name, "content-type"))
			type = headers[i].value;
	parameters = type.size > 0 ? memchr(type.data, ';', type.size) : NULL;
	if (parameters != NULL)
		type.size = (size_t)((const uint8_t *)parameters - type.data);
	while (type.size > 0 && type.data[type.size - 1] == ' ')
		type.size--;
	return type;
}

bool event_binary_is(const struct event_header *headers, uint32_t count)
{
	if (begins_with(content_type(headers, count), MODES))
		return false;
	for (uint32_t i = 0; i < count; i++)
		if (begins_with(headers[i].name, PREFIX))
			return true;
	return false;
}

/* ---- attributes ---- */

static int refuse(struct bytes header, const char *what, struct error *reterr)
{
	error_set(reterr, ERR_INVALID, "%s", what);
	error_where(reterr, "%.*s", header.size < 80 ? (int)header.size : 80, (const char *)header.data);
	return error_help(reterr, HELP);
}

/* Section 3.1.3.2: quotes and what they escape first, then what is percent-encoded. */
static void decode_value(struct bytes in, struct buf *out)
{
	struct buf plain = {0};
	bool quoted = in.size >= 2 && in.data[0] == '"' && in.data[in.size - 1] == '"';

	for (size_t i = quoted; i < in.size - quoted; i++) {
		if (quoted && in.data[i] == '\\' && i + 1 < in.size - 1)
			i++;
		buf_append(&plain, &in.data[i], 1);
	}
	event_percent_decode(buf_bytes(&plain), false, out);
	buf_fini(&plain);
}

/* Of lower-case letters and digits, as all attributes are; header names have no case. */
static bool attribute_name(struct bytes header, char name[EVENT_ATTRIBUTE_BYTES_MAX + 1])
{
	size_t size = header.size - PREFIX_BYTES;

	if (size == 0 || size > EVENT_ATTRIBUTE_BYTES_MAX)
		return false;
	for (size_t i = 0; i < size; i++) {
		uint8_t c = header.data[PREFIX_BYTES + i];

		if (c >= 'A' && c <= 'Z')
			c = (uint8_t)(c - 'A' + 'a');
		if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9'))
			return false;
		name[i] = (char)c;
	}
	name[size] = '\0';
	return strcmp(name, "data") != 0;
}

static int take_attribute(json_t *event, const struct event_header *h, struct error *reterr)
{
	char name[EVENT_ATTRIBUTE_BYTES_MAX + 1];
	struct buf value = {0};
	int rc = 0;

	if (!attribute_name(h->name, name))
		return refuse(h->name,
			      "expected the name of an attribute behind " PREFIX ", letters and digits",
			      reterr);
	if (json_object_get(event, name) != NULL)
		return refuse(h->name, "this header is given twice", reterr);
	decode_value(h->value, &value);
	if (!text_is_utf8(buf_bytes(&value)) || memchr(value.data, '\0', value.size) != NULL)
		rc =
		    refuse(h->name, "expected text in UTF-8 without NUL characters, percent-encoded", reterr);
	else
		CHECK(json_object_set_new(event, name, json_stringn((const char *)value.data, value.size)) ==
		      0);
	buf_fini(&value);
	return rc;
}

/* ---- data ---- */

static int take_data(json_t *event, struct bytes type, struct bytes body, struct error *reterr)
{
	struct buf text = {0};
	json_t *data;

	if (body.size == 0)
		return 0;
	if (ends_with(type, "/json") || ends_with(type, "+json")) {
		data = json_read(body, HTTP_BODY_BYTES_MAX, EVENT_DEPTH_MAX, reterr);
		if (data == NULL) {
			event_error_under(reterr, "data");
			error_help(reterr, HELP ", and its Content-Type says that its data is JSON");
			return ERR_INVALID;
		}
		CHECK(json_object_set_new(event, "data", data) == 0);
		return 0;
	}
	if (begins_with(type, "text/") && text_is_utf8(body) && memchr(body.data, '\0', body.size) == NULL) {
		CHECK(json_object_set_new(event, "data", json_stringn((const char *)body.data, body.size)) ==
		      0);
		return 0;
	}
	event_base64(&text, body);
	CHECK(json_object_set_new(event, "data_base64", json_stringn((const char *)text.data, text.size)) ==
	      0);
	buf_fini(&text);
	return 0;
}

/* An error of an attribute names its header. */
static void name_header(struct error *reterr)
{
	char attribute[EVENT_ATTRIBUTE_BYTES_MAX + 1];

	if (reterr == NULL)
		return;
	snprintf(attribute, sizeof attribute, "%.*s", EVENT_ATTRIBUTE_BYTES_MAX, reterr->where);
	if (attribute[0] != '\0' && strncmp(attribute, "data", 4) != 0)
		error_where(reterr, PREFIX "%s", attribute);
	error_help(reterr, HELP);
}

int event_binary_read(const struct event_header *headers, uint32_t count, struct bytes body,
		      usec_t now_wall_us, struct event_list *list, struct error *reterr)
{
	json_t *event = json_object();
	struct event e;
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < count; i++)
		if (begins_with(headers[i].name, PREFIX))
			rc = take_attribute(event, &headers[i], reterr);
	if (rc == 0)
		rc = take_data(event, content_type(headers, count), body, reterr);
	if (rc == 0) {
		rc = event_cloudevents_read(event, now_wall_us, &e, reterr);
		if (rc == 0)
			event_list_add(list, &e);
		else
			name_header(reterr);
	}
	json_decref(event);
	return rc;
}
