#include "dispatcher/json_values.h"

#include "base/buf.h"
#include "base/text.h"
#include "jobs/event.h"
#include "jobs/kinds.h"
#include "jobs/principal.h"

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

json_t *json_of_hex(struct bytes bytes)
{
	struct buf b = {0};
	json_t *value;

	for (size_t i = 0; i < bytes.size; i++)
		buf_printf(&b, "%02x", bytes.data[i]);
	value = json_string(buf_text(&b));
	buf_fini(&b);
	return value;
}

json_t *json_of_time(usec_t wall_us)
{
	char text[EVENT_TIME_BYTES_MAX];

	return wall_us == 0 ? json_null() : json_string(event_time(wall_us, text));
}

json_t *json_of_error(const struct error *e)
{
	json_t *inner = json_object();
	json_t *outer = json_object();

	json_object_set_new(inner, "code", json_string(error_code_name(e->code)));
	json_object_set_new(inner, "message", json_of_bytes(bytes_of(e->what)));
	json_object_set_new(inner, "where", json_of_bytes(bytes_of(e->where)));
	json_object_set_new(inner, "help", json_of_bytes(bytes_of(e->help)));
	json_object_set_new(outer, "error", inner);
	return outer;
}

json_t *json_of_principal(const struct principal *p)
{
	json_t *value = json_object();
	struct buf words = {0};

	if (p->kind == 0) {
		json_decref(value);
		return json_null();
	}
	principal_words(p, &words);
	json_object_set_new(value, "kind", json_string(principal_kind_name(p->kind)));
	json_object_set_new(value, "name", json_of_bytes(p->name));
	json_object_set_new(value, "number",
			    p->kind == BY_UID || p->kind == BY_JOB ? json_integer((json_int_t)p->number)
								   : json_null());
	json_object_set_new(value, "text", json_of_bytes(buf_bytes(&words)));
	buf_fini(&words);
	return value;
}
