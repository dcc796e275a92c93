#include "cli/csv.h"

#include <stdio.h>
#include <string.h>

static bool wants_quotes(struct bytes text)
{
	for (size_t i = 0; i < text.size; i++)
		if (strchr(",\"\r\n", text.data[i]) != NULL) /* a NUL, too */
			return true;
	return text.size > 0 && (text.data[0] == ' ' || text.data[text.size - 1] == ' ');
}

void csv_field(struct buf *out, struct bytes text, bool begun)
{
	bool quotes = wants_quotes(text);

	buf_append(out, ",", begun);
	buf_append(out, "\"", quotes);
	for (size_t i = 0; i < text.size; i++) {
		buf_append(out, "\"", text.data[i] == '"');
		buf_append(out, &text.data[i], 1);
	}
	buf_append(out, "\"", quotes);
}

static void add_value(struct buf *out, const json_t *value, bool begun)
{
	char text[64] = "";

	if (json_is_string(value)) {
		csv_field(out, BYTES(json_string_value(value), json_string_length(value)), begun);
		return;
	}
	if (json_is_integer(value))
		snprintf(text, sizeof(text), "%lld", (long long)json_integer_value(value));
	else if (json_is_real(value))
		snprintf(text, sizeof(text), "%.6f", json_real_value(value));
	else if (json_is_boolean(value))
		snprintf(text, sizeof(text), "%s", json_is_true(value) ? "true" : "false");
	csv_field(out, bytes_of(text), begun);
}

static void add_titles(struct buf *out, const struct object_type *o, bool *begun)
{
	for (size_t i = 0; i < o->field_count; i++) {
		if (o->fields[i].kind == OBJECT_SUB) {
			add_titles(out, o->fields[i].of(), begun);
			continue;
		}
		csv_field(out, bytes_of(o->fields[i].name), *begun);
		*begun = true;
	}
}

static void add_values(struct buf *out, const struct object_type *o, const json_t *json, bool *begun)
{
	for (size_t i = 0; i < o->field_count; i++) {
		const json_t *value = json_object_get(json, o->fields[i].name);

		if (o->fields[i].kind == OBJECT_SUB) {
			add_values(out, o->fields[i].of(), value, begun);
			continue;
		}
		add_value(out, value, *begun);
		*begun = true;
	}
}

void csv_titles(struct buf *out, const struct object_type *o)
{
	bool begun = false;

	add_titles(out, o, &begun);
	buf_append(out, "\n", 1);
}

void csv_values(struct buf *out, const struct object_type *o, const json_t *json)
{
	bool begun = false;

	add_values(out, o, json, &begun);
	buf_append(out, "\n", 1);
}
