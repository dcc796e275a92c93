#include "jobs/event.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/check.h"
#include "base/limits.h"
#include "base/text.h"
#include "jobs/event_extensions.h"
#include "jobs/json.h"

static void set_text(json_t *object, const char *name, const char *text)
{
	CHECK(json_object_set_new(object, name, json_string(text)) == 0);
}

static bool is_digits(const char *text, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (text[i] < '0' || text[i] > '9')
			return false;
	return true;
}

bool event_time_is(const char *t)
{
	static const char shape[] = "dddd-dd-ddTdd:dd:dd";
	size_t i;

	for (i = 0; shape[i] != '\0'; i++)
		if (shape[i] == 'd' ? !is_digits(t + i, 1) : (t[i] != shape[i] && t[i] != (shape[i] | 0x20)))
			return false;
	if (t[i] == '.') {
		size_t digits = 0;

		while (is_digits(t + i + 1 + digits, 1))
			digits++;
		if (digits == 0)
			return false;
		i += 1 + digits;
	}
	if (t[i] == 'Z' || t[i] == 'z')
		return t[i + 1] == '\0';
	return (t[i] == '+' || t[i] == '-') && strlen(t + i) == 6 && is_digits(t + i + 1, 2) &&
	       t[i + 3] == ':' && is_digits(t + i + 4, 2);
}

static int take_text(const json_t *from, json_t *to, const char *name, bool required, struct error *reterr)
{
	json_t *value = json_object_get(from, name);

	if (value == NULL && !required)
		return 0;
	if (!json_is_string(value)) {
		error_set(reterr, ERR_INVALID, "expected a string, found %s", json_kind_name(value));
		return error_where(reterr, "%s", name);
	}
	if (required && json_string_length(value) == 0) {
		error_set(reterr, ERR_INVALID, "expected a string that is not empty");
		return error_where(reterr, "%s", name);
	}
	CHECK(json_object_set(to, name, value) == 0);
	return 0;
}

static int take_time(const json_t *from, json_t *to, usec_t now_wall_us, struct error *reterr)
{
	const json_t *value = json_object_get(from, "time");
	char text[EVENT_TIME_BYTES_MAX], quoted[80];
	int rc;

	if (value == NULL) {
		set_text(to, "time", event_time(now_wall_us, text));
		return 0;
	}
	rc = take_text(from, to, "time", true, reterr);
	if (rc < 0)
		return rc;
	if (event_time_is(json_string_value(value)))
		return 0;
	error_set(reterr, ERR_INVALID, "expected a time like 2026-11-22T13:30:54Z (RFC 3339), found %s",
		  text_quote(quoted, sizeof quoted, json_bytes(value)));
	return error_where(reterr, "time");
}

static int take_resources(const json_t *from, json_t *to, struct error *reterr)
{
	json_t *value = json_object_get(from, "resources"), *copy;

	if (value != NULL && !json_is_array(value)) {
		error_set(reterr, ERR_INVALID, "expected an array of strings, found %s",
			  json_kind_name(value));
		return error_where(reterr, "resources");
	}
	if (json_array_size(value) > EVENT_RESOURCES_MAX) {
		error_set(reterr, ERR_LIMIT, "%zu resources; at most %d are taken", json_array_size(value),
			  EVENT_RESOURCES_MAX);
		return error_where(reterr, "resources");
	}
	copy = json_array();
	for (size_t i = 0; i < json_array_size(value); i++) {
		json_t *item = json_array_get(value, i);

		if (!json_is_string(item)) {
			error_set(reterr, ERR_INVALID, "expected a string, found %s", json_kind_name(item));
			json_decref(copy);
			return error_where(reterr, "resources[%zu]", i);
		}
		CHECK(json_array_append(copy, item) == 0);
	}
	CHECK(json_object_set_new(to, "resources", copy) == 0);
	return 0;
}

static int take_detail(const json_t *from, json_t *to, struct error *reterr)
{
	json_t *value = json_object_get(from, "detail");

	if (value == NULL) {
		CHECK(json_object_set_new(to, "detail", json_object()) == 0);
		return 0;
	}
	if (!json_is_object(value)) {
		error_set(reterr, ERR_INVALID, "expected an object, found %s", json_kind_name(value));
		return error_where(reterr, "detail");
	}
	CHECK(json_object_set(to, "detail", value) == 0);
	return 0;
}

static int take_all(const json_t *from, json_t *to, usec_t now_wall_us, struct error *reterr)
{
	static const struct {
		const char *name;
		bool required;
	} texts[] = {
	    {"id", true}, {"source", true}, {"detail-type", true}, {"account", false}, {"region", false},
	};
	/* Names that an extension cannot have are left out. */
	static const char *const own[] = {"id",	     "source", "time",	  "resources",	"detail",
					  "account", "region", "version", "extensions", NULL};
	int rc = 0;

	for (size_t i = 0; i < ARRAY_LENGTH(texts) && rc == 0; i++)
		rc = take_text(from, to, texts[i].name, texts[i].required, reterr);
	if (rc == 0)
		rc = take_time(from, to, now_wall_us, reterr);
	if (rc == 0)
		rc = take_resources(from, to, reterr);
	if (rc == 0)
		rc = take_detail(from, to, reterr);
	if (rc == 0)
		event_take_extensions(from, own, to);
	return rc;
}

static uint32_t depth_of(const struct event *e)
{
	json_int_t depth = json_integer_value(json_object_get(e->detail, "depth"));

	if (strcmp(e->source, EVENT_SOURCE_SHARDMILL) != 0 || depth < 0)
		return 0;
	return depth > UINT32_MAX ? UINT32_MAX : (uint32_t)depth;
}

int event_from_json(json_t *dom, usec_t now_wall_us, struct event *ret, struct error *reterr)
{
	struct event e = {0};
	struct buf text = {0};
	int rc;

	if (!json_is_object(dom))
		return error_set(reterr, ERR_INVALID, "expected an event, which is an object, found %s",
				 json_kind_name(dom));
	e.dom = json_object();
	rc = take_all(dom, e.dom, now_wall_us, reterr);
	if (rc < 0) {
		json_decref(e.dom);
		return rc;
	}
	e.id = json_string_value(json_object_get(e.dom, "id"));
	e.source = json_string_value(json_object_get(e.dom, "source"));
	e.detail_type = json_string_value(json_object_get(e.dom, "detail-type"));
	e.detail = json_object_get(e.dom, "detail");
	e.depth = depth_of(&e);
	event_write(&e, &text);
	if (text.size > EVENT_BYTES_MAX) {
		rc = error_set(reterr, ERR_LIMIT, "an event of %zu bytes; at most %llu are taken", text.size,
			       EVENT_BYTES_MAX);
		json_decref(e.dom);
	} else {
		*ret = e;
	}
	buf_fini(&text);
	return rc;
}

void event_fini(struct event *e)
{
	json_decref(e->dom);
	free((uint8_t *)e->text.data);
	*e = (struct event){0};
}

json_t *event_dom(const struct event *e)
{
	struct event *made =
	    (struct event *)e; /* what the event is does not change, only what is known of it */

	if (e->dom == NULL) {
		made->dom = json_loadb((const char *)e->text.data, e->text.size, 0, NULL);
		CHECK(e->dom != NULL);
		made->detail = json_object_get(e->dom, "detail");
	}
	return e->dom;
}

const json_t *event_detail(const struct event *e)
{
	return json_object_get(event_dom(e), "detail");
}

void event_write(const struct event *e, struct buf *out)
{
	if (e->text.size > 0)
		buf_append_bytes(out, e->text);
	else
		json_write(out, e->dom);
}

void event_list_add(struct event_list *list, struct event *e)
{
	ARRAY_GROW(list->items, list->capacity, list->count);
	list->items[list->count++] = *e;
	*e = (struct event){0};
}

void events_cut(struct event_list *list, uint32_t count)
{
	while (list->count > count)
		event_fini(&list->items[--list->count]);
}

void events_fini(struct event_list *list)
{
	events_cut(list, 0);
	free(list->items);
	*list = (struct event_list){0};
}

/* Days since 1970 to a date: H. Hinnant, "chrono-compatible low-level date algorithms". */
static void civil_from_days(int64_t days, int64_t *year, unsigned *month, unsigned *day)
{
	int64_t z = days + 719468, era = (z >= 0 ? z : z - 146096) / 146097;
	unsigned doe = (unsigned)(z - era * 146097);
	unsigned yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	unsigned doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	unsigned mp = (5 * doy + 2) / 153;

	*day = doy - (153 * mp + 2) / 5 + 1;
	*month = mp < 10 ? mp + 3 : mp - 9;
	*year = (int64_t)yoe + era * 400 + (*month <= 2);
}

const char *event_time(usec_t wall_us, char buf[EVENT_TIME_BYTES_MAX])
{
	const int64_t day_s = 86400;
	int64_t seconds = wall_us / USEC_PER_SEC - (wall_us % USEC_PER_SEC < 0);
	int64_t days = seconds / day_s - (seconds % day_s < 0), year;
	unsigned of_day = (unsigned)(seconds - days * day_s), month, day;
	unsigned micros = (unsigned)(wall_us - seconds * USEC_PER_SEC);

	civil_from_days(days, &year, &month, &day);
	if (year < 0 || year > 9999) /* four digits are all that RFC 3339 has */
		snprintf(buf, EVENT_TIME_BYTES_MAX, "%s",
			 year < 0 ? "0000-01-01T00:00:00.000000Z" : "9999-12-31T23:59:59.999999Z");
	else
		snprintf(buf, EVENT_TIME_BYTES_MAX, "%04u-%02u-%02uT%02u:%02u:%02u.%06uZ", (unsigned)year,
			 month, day, of_day / 3600, of_day / 60 % 60, of_day % 60, micros);
	return buf;
}
