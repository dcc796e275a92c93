/* Objects as JSON, and the values that JSON has no type for. */
#include "jobs/api/values.h"

#include <string.h>

#include "base/check.h"
#include "base/text.h"
#include "jobs/api/objects.h"
#include "jobs/event.h"
#include "jobs/json.h"

json_t *json_of_bytes(struct bytes text)
{
	struct buf b = {0};
	json_t *value;

	if (text_is_utf8(text))
		return json_stringn(text.size > 0 ? (const char *)text.data : "", text.size);
	text_escape(&b, text);
	value = json_stringn((const char *)b.data, b.size);
	buf_fini(&b);
	return value;
}

json_t *json_of_time(usec_t wall_us)
{
	char text[EVENT_TIME_BYTES_MAX];

	return wall_us == 0 ? json_null() : json_string(event_time(wall_us, text));
}

struct bytes hex_of(struct bytes bytes, char buf[HEX_BYTES_MAX])
{
	return bytes_of(text_hex(buf, HEX_BYTES_MAX, bytes));
}

struct api_error api_error_of(const struct error *e)
{
	return (struct api_error){.code = bytes_of(error_code_name(e->code)),
				  .message = bytes_of(e->what),
				  .where = bytes_of(e->where),
				  .help = bytes_of(e->help)};
}

json_t *json_of_error(const struct error *e)
{
	struct api_error_answer answer = {.error = api_error_of(e)};

	return object_write(object_error_answer(), &answer);
}

/* ---- objects ---- */

static bool is_zero(const struct object_field *f, const void *at)
{
	switch (f->kind) {
	case OBJECT_BOOL:
		return !*(const bool *)at;
	case OBJECT_COUNT:
	case OBJECT_SIZE:
	case OBJECT_INT:
	case OBJECT_SECONDS:
	case OBJECT_CPUS:
	case OBJECT_TIME:
		return *(const uint64_t *)at == 0;
	case OBJECT_TEXT:
		return ((const struct bytes *)at)->size == 0;
	case OBJECT_SUB:
		return false;
	case OBJECT_LIST:
	case OBJECT_TEXTS:
	case OBJECT_COUNTS:
	case OBJECT_EITHER:
	case OBJECT_SCALAR:
	case OBJECT_RAW:
		break;
	}
	return *(json_t *const *)at == NULL;
}

static json_t *write_value(const struct object_field *f, const void *at)
{
	json_t *json;

	switch (f->kind) {
	case OBJECT_BOOL:
		return json_boolean(*(const bool *)at);
	case OBJECT_COUNT:
	case OBJECT_SIZE:
	case OBJECT_INT:
		return json_integer((json_int_t) * (const int64_t *)at);
	case OBJECT_SECONDS:
		return json_real((double)*(const usec_t *)at / USEC_PER_SEC);
	case OBJECT_CPUS:
		return json_real((double)*(const uint64_t *)at / 1000);
	case OBJECT_TIME:
		return json_of_time(*(const usec_t *)at);
	case OBJECT_TEXT:
		return json_of_bytes(*(const struct bytes *)at);
	case OBJECT_SUB:
		return object_write(f->of(), at);
	case OBJECT_LIST:
	case OBJECT_TEXTS:
	case OBJECT_COUNTS:
	case OBJECT_EITHER:
		json = *(json_t *const *)at;
		return json != NULL ? json : json_array();
	case OBJECT_SCALAR:
	case OBJECT_RAW:
		break;
	}
	json = *(json_t *const *)at;
	return json != NULL ? json : json_null();
}

static bool is_there(const struct object_field *f, const void *value)
{
	const char *base = value;

	switch (f->there) {
	case THERE_ALWAYS:
		return true;
	case THERE_NULL_AT_0:
	case THERE_OUT_AT_0:
		return !is_zero(f, base + f->offset);
	case THERE_KNOWN:
	case THERE_GIVEN:
	case THERE_OPEN:
		break;
	}
	return *(const bool *)(base + f->has_offset);
}

json_t *object_write(const struct object_type *o, const void *value)
{
	json_t *json = json_object();

	for (size_t i = 0; i < o->field_count; i++) {
		const struct object_field *f = &o->fields[i];

		if (is_there(f, value))
			json_object_set_new(json, f->name, write_value(f, (const char *)value + f->offset));
		else if (f->there == THERE_NULL_AT_0 || f->there == THERE_KNOWN)
			json_object_set_new(json, f->name, json_null());
	}
	return json;
}

/* ---- as text ---- */

#define FIELDS_MAX 64

static void write_text(const struct object_field *f, const void *at, struct buf *out)
{
	const struct bytes *text = at;
	json_t *json;

	switch (f->kind) {
	case OBJECT_BOOL:
		buf_append_bytes(out, bytes_of(*(const bool *)at ? "true" : "false"));
		return;
	case OBJECT_COUNT:
	case OBJECT_SIZE:
	case OBJECT_INT:
		buf_printf(out, "%lld", (long long)*(const int64_t *)at);
		return;
	case OBJECT_TEXT:
		if (!text_is_utf8(*text))
			break;
		buf_append(out, "\"", 1);
		text_escape_json(out, *text);
		buf_append(out, "\"", 1);
		return;
	case OBJECT_SUB:
		object_write_text(f->of(), at, out);
		return;
	case OBJECT_SECONDS:
	case OBJECT_CPUS:
	case OBJECT_TIME:
	case OBJECT_LIST:
	case OBJECT_TEXTS:
	case OBJECT_COUNTS:
	case OBJECT_EITHER:
	case OBJECT_SCALAR:
	case OBJECT_RAW:
		break;
	}
	json = write_value(f, at);
	json_write(out, json);
	json_decref(json);
}

/* The fields that are written, in the order of their names. */
static size_t fields_in_order(const struct object_type *o, const void *value,
			      const struct object_field *fields[FIELDS_MAX])
{
	size_t count = 0;

	CHECK(o->field_count <= FIELDS_MAX);
	for (size_t i = 0; i < o->field_count; i++) {
		const struct object_field *f = &o->fields[i];
		size_t at = count;

		if (!is_there(f, value) && f->there != THERE_NULL_AT_0 && f->there != THERE_KNOWN)
			continue;
		for (; at > 0 && strcmp(fields[at - 1]->name, f->name) > 0; at--)
			fields[at] = fields[at - 1];
		fields[at] = f;
		count++;
	}
	return count;
}

void object_write_text(const struct object_type *o, const void *value, struct buf *out)
{
	const struct object_field *fields[FIELDS_MAX];
	size_t count = fields_in_order(o, value, fields);

	buf_append(out, "{", 1);
	for (size_t i = 0; i < count; i++) {
		buf_append(out, i == 0 ? "\"" : ",\"", i == 0 ? 1 : 2);
		buf_append(out, fields[i]->name, strlen(fields[i]->name));
		buf_append(out, "\":", 2);
		if (is_there(fields[i], value))
			write_text(fields[i], (const char *)value + fields[i]->offset, out);
		else
			buf_append(out, "null", 4);
	}
	buf_append(out, "}", 1);
}
