#include "jobs/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/text.h"

/* Line and column of a byte, both from 1. */
static void find_place(struct bytes text, size_t at, unsigned *line, unsigned *column)
{
	*line = 1;
	*column = 1;
	for (size_t i = 0; i < at && i < text.size; i++) {
		if (text.data[i] == '\n') {
			(*line)++;
			*column = 1;
		} else if ((text.data[i] & 0xc0) != 0x80) {
			(*column)++;
		}
	}
}

static int fail_at(struct bytes text, size_t at, struct error *reterr)
{
	unsigned line, column;

	find_place(text, at, &line, &column);
	return error_where(reterr, "line %u, column %u", line, column);
}

/* Depth before the parser recurses. Quotes are followed just far enough to skip strings. */
static int check_shape(struct bytes text, uint32_t max_depth, struct error *reterr)
{
	uint32_t depth = 0;
	bool quoted = false;

	for (size_t i = 0; i < text.size; i++) {
		uint8_t c = text.data[i];

		if (quoted) {
			if (c == '\\')
				i++;
			else if (c == '"')
				quoted = false;
		} else if (c == '"') {
			quoted = true;
		} else if ((c == '[' || c == '{') && ++depth > max_depth) {
			error_set(reterr, ERR_LIMIT, "JSON nested deeper than %u levels", max_depth);
			return fail_at(text, i, reterr);
		} else if ((c == ']' || c == '}') && depth > 0) {
			depth--;
		}
	}
	return 0;
}

static int check_utf8(struct bytes text, struct error *reterr)
{
	for (size_t at = 0; at < text.size;) {
		size_t length = text_utf8_next(BYTES(text.data + at, text.size - at), NULL);

		if (length == 0) {
			error_set(reterr, ERR_INVALID, "JSON has to be UTF-8; the byte 0x%02x is not",
				  text.data[at]);
			return fail_at(text, at, reterr);
		}
		at += length;
	}
	return 0;
}

json_t *json_read(struct bytes text, size_t max_bytes, uint32_t max_depth, struct error *reterr)
{
	json_error_t err;
	json_t *value;

	if (text.size > max_bytes) {
		error_set(reterr, ERR_LIMIT, "JSON of %zu bytes; at most %zu are read", text.size, max_bytes);
		return NULL;
	}
	if (check_utf8(text, reterr) < 0 || check_shape(text, max_depth, reterr) < 0)
		return NULL;
	value =
	    json_loadb((const char *)text.data, text.size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &err);
	if (value != NULL)
		return value;
	switch (json_error_code(&err)) {
	case json_error_null_character:
	case json_error_null_byte_in_key:
		error_set(reterr, ERR_INVALID, "a string has a NUL character (\\u0000), which is not taken");
		break;
	case json_error_out_of_memory:
		error_set(reterr, ERR_EXHAUSTED, "out of memory");
		break;
	default: {
		char quoted[200];

		error_set(reterr, ERR_INVALID, "expected JSON: %s",
			  text.size == 0 ? "found nothing"
					 : text_quote(quoted, sizeof quoted, bytes_of(err.text)));
	}
	}
	error_where(reterr, "line %d, column %d", err.line, err.column);
	return NULL;
}

static int compare_keys(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void write_string(struct buf *out, const char *text, size_t size)
{
	buf_append(out, "\"", 1);
	text_escape_json(out, BYTES(text, size));
	buf_append(out, "\"", 1);
}

static void write_object(struct buf *out, const json_t *value)
{
	size_t count = json_object_size(value), i = 0;
	const char **keys = check_calloc(count + 1, sizeof *keys);
	const char *key;
	json_t *member;

	json_object_foreach((json_t *)value, key, member) keys[i++] = key;
	qsort(keys, count, sizeof *keys, compare_keys);
	buf_append(out, "{", 1);
	for (i = 0; i < count; i++) {
		if (i > 0)
			buf_append(out, ",", 1);
		write_string(out, keys[i], strlen(keys[i]));
		buf_append(out, ":", 1);
		json_write(out, json_object_get(value, keys[i]));
	}
	buf_append(out, "}", 1);
	free(keys);
}

void json_write_real(struct buf *out, double value)
{
	char text[40];
	int digits = 15;

	do
		snprintf(text, sizeof text - 2, "%.*g", digits, value);
	while (digits++ < 17 && strtod(text, NULL) != value);
	for (char *c = text; *c != '\0'; c++)
		if (*c == ',') /* a locale's decimal point */
			*c = '.';
	if (strpbrk(text, ".e") == NULL)
		strcat(text, ".0");
	buf_append(out, text, strlen(text));
}

void json_write(struct buf *out, const json_t *value)
{
	switch (json_typeof(value)) {
	case JSON_OBJECT:
		write_object(out, value);
		break;
	case JSON_ARRAY:
		buf_append(out, "[", 1);
		for (size_t i = 0; i < json_array_size(value); i++) {
			if (i > 0)
				buf_append(out, ",", 1);
			json_write(out, json_array_get(value, i));
		}
		buf_append(out, "]", 1);
		break;
	case JSON_STRING:
		write_string(out, json_string_value(value), json_string_length(value));
		break;
	case JSON_INTEGER:
		buf_printf(out, "%lld", (long long)json_integer_value(value));
		break;
	case JSON_REAL:
		json_write_real(out, json_real_value(value));
		break;
	case JSON_TRUE:
		buf_append(out, "true", 4);
		break;
	case JSON_FALSE:
		buf_append(out, "false", 5);
		break;
	case JSON_NULL:
		buf_append(out, "null", 4);
		break;
	}
}

const char *json_kind_name(const json_t *value)
{
	if (value == NULL)
		return "nothing";
	switch (json_typeof(value)) {
	case JSON_OBJECT:
		return "an object";
	case JSON_ARRAY:
		return "an array";
	case JSON_STRING:
		return "a string";
	case JSON_INTEGER:
	case JSON_REAL:
		return "a number";
	case JSON_TRUE:
	case JSON_FALSE:
		return "a boolean";
	case JSON_NULL:
		break;
	}
	return "null";
}

struct bytes json_bytes(const json_t *value)
{
	if (!json_is_string(value))
		return BYTES(NULL, 0);
	return BYTES(json_string_value(value), json_string_length(value));
}
