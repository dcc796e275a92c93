#include "jobs/event_parts.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/text.h"
#include "jobs/event.h"
#include "jobs/json.h"

#define NAME_MAX_BYTES 256
#define SUFFIX "-base64"

/* RFC 4648, section 4, with padding. */
static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void event_base64(struct buf *out, struct bytes in)
{
	for (size_t i = 0; i < in.size; i += 3) {
		size_t have = in.size - i < 3 ? in.size - i : 3;
		uint32_t bits = (uint32_t)in.data[i] << 16;
		char four[4];

		if (have > 1)
			bits |= (uint32_t)in.data[i + 1] << 8;
		if (have > 2)
			bits |= in.data[i + 2];
		for (size_t k = 0; k < 4; k++)
			four[k] = k <= have ? digits[bits >> (18 - 6 * k) & 63] : '=';
		buf_append(out, four, 4);
	}
}

bool event_base64_decode(struct buf *out, struct bytes in)
{
	size_t before = out->size, pad = 0;

	while (pad < 2 && pad < in.size && in.data[in.size - 1 - pad] == '=')
		pad++;
	if (in.size % 4 != 0)
		return false;
	for (size_t i = 0; i < in.size; i += 4) {
		uint32_t bits = 0;
		size_t have = i + 4 == in.size ? 3 - pad : 3;
		uint8_t three[3];

		for (size_t k = 0; k < 4; k++) {
			const char *digit = NULL;

			if (k <= have)
				digit = in.data[i + k] == '\0' ? NULL : strchr(digits, in.data[i + k]);
			if (k <= have && digit == NULL) {
				out->size = before;
				return false;
			}
			bits = bits << 6 | (digit == NULL ? 0 : (uint32_t)(digit - digits));
		}
		for (size_t k = 0; k < 3; k++)
			three[k] = (uint8_t)(bits >> (16 - 8 * k));
		buf_append(out, three, have);
	}
	return true;
}

static bool is_plain(struct bytes value)
{
	return text_is_utf8(value) && (value.size == 0 || memchr(value.data, '\0', value.size) == NULL);
}

static void set_text(json_t *object, const char *name, struct bytes text)
{
	json_t *string = json_stringn((const char *)text.data, text.size);

	CHECK(string != NULL && json_object_set_new(object, name, string) == 0);
}

void event_set_bytes(json_t *object, const char *name, struct bytes value)
{
	struct buf shown = {0}, exact = {0};
	char exact_name[NAME_MAX_BYTES];

	if (is_plain(value)) {
		set_text(object, name, value.data == NULL ? BYTES("", 0) : value);
		return;
	}
	for (size_t i = 0; i < value.size;) {
		size_t length = text_utf8_next(BYTES(value.data + i, value.size - i), NULL);

		if (length > 0 && value.data[i] != '\0')
			buf_append(&shown, value.data + i, length);
		else
			buf_append(&shown, "\xef\xbf\xbd", 3);
		i += length > 0 ? length : 1;
	}
	event_base64(&exact, value);
	snprintf(exact_name, sizeof exact_name, "%s" SUFFIX, name);
	set_text(object, name, buf_bytes(&shown));
	set_text(object, exact_name, buf_bytes(&exact));
	buf_fini(&shown);
	buf_fini(&exact);
}

bool event_has_bytes(const json_t *object, const char *name)
{
	return json_is_string(json_object_get(object, name));
}

bool event_get_bytes(const json_t *object, const char *name, struct buf *out)
{
	char exact_name[NAME_MAX_BYTES];
	const json_t *shown = json_object_get(object, name), *exact = NULL;

	if (!json_is_string(shown))
		return false;
	if (snprintf(exact_name, sizeof exact_name, "%s" SUFFIX, name) < (int)sizeof exact_name)
		exact = json_object_get(object, exact_name);
	if (!json_is_string(exact) || !event_base64_decode(out, json_bytes(exact)))
		buf_append_bytes(out, json_bytes(shown));
	return true;
}

int event_error_under(struct error *reterr, const char *path, ...)
{
	char prefix[sizeof reterr->where], below[sizeof reterr->where];
	const char *dot = "";
	va_list ap;

	if (reterr == NULL)
		return ERR_INVALID;
	va_start(ap, path);
	vsnprintf(prefix, sizeof prefix, path, ap);
	va_end(ap);
	memcpy(below, reterr->where, sizeof below);
	if (below[0] != '\0' && below[0] != '[')
		dot = strncmp(below, "line ", 5) == 0 ? ", " : ".";
	return error_where(reterr, "%.160s%s%.90s", prefix, dot, below);
}

void event_set_text(json_t *object, const char *name, const char *text)
{
	if (text != NULL && text[0] != '\0')
		CHECK(json_object_set_new(object, name, json_string(text)) == 0);
}

void event_percent_decode(struct bytes in, bool plus_is_space, struct buf *out)
{
	for (size_t i = 0; i < in.size; i++) {
		uint8_t c = in.data[i];

		if (c == '+' && plus_is_space)
			c = ' ';
		if (c == '%' && i + 2 < in.size && text_hex_digit(in.data[i + 1]) >= 0 &&
		    text_hex_digit(in.data[i + 2]) >= 0) {
			c = (uint8_t)(text_hex_digit(in.data[i + 1]) << 4 | text_hex_digit(in.data[i + 2]));
			i += 2;
		}
		buf_append(out, &c, 1);
	}
}
