#include "base/s3/profile.h"

#include <string.h>

static struct bytes trim(struct bytes b)
{
	while (b.size > 0 && strchr(" \t\r", b.data[0]) != NULL && b.data[0] != '\0')
		b = BYTES(b.data + 1, b.size - 1);
	while (b.size > 0 && b.data[b.size - 1] != '\0' && strchr(" \t\r", b.data[b.size - 1]) != NULL)
		b.size--;
	return b;
}

static bool take_line(struct bytes *rest, struct bytes *ret)
{
	const uint8_t *end;

	if (rest->size == 0)
		return false;
	end = memchr(rest->data, '\n', rest->size);
	*ret = BYTES(rest->data, end == NULL ? rest->size : (size_t)(end - rest->data));
	*rest = end == NULL ? BYTES(NULL, 0) : BYTES(end + 1, rest->size - ret->size - 1);
	return true;
}

/* "[profile x]" */
static bool section_is(struct bytes line, bool is_config, const char *profile)
{
	static const struct bytes word = BYTES_LIT("profile");
	struct bytes name = trim(BYTES(line.data + 1, line.size - 1));
	bool is_default = strcmp(profile, "default") == 0;

	if (name.size == 0 || name.data[name.size - 1] != ']')
		return false;
	name.size--;
	name = trim(name);
	if (is_config && is_default && bytes_equal(name, bytes_of("default")))
		return true;
	if (is_config) {
		if (name.size <= word.size || memcmp(name.data, word.data, word.size) != 0)
			return false;
		name = trim(BYTES(name.data + word.size, name.size - word.size));
	}
	return bytes_equal(name, bytes_of(profile));
}

bool s3_profile_value(struct bytes file, bool is_config, const char *profile, const char *name,
		      struct buf *out)
{
	bool inside = false;
	struct bytes line;

	while (take_line(&file, &line)) {
		bool indented = line.size > 0 && (line.data[0] == ' ' || line.data[0] == '\t');
		const uint8_t *equals;
		struct bytes key;

		line = trim(line);
		if (line.size == 0 || line.data[0] == '#' || line.data[0] == ';')
			continue;
		if (line.data[0] == '[') {
			inside = section_is(line, is_config, profile);
			continue;
		}
		equals = memchr(line.data, '=', line.size);
		if (!inside || indented || equals == NULL)
			continue;
		key = trim(BYTES(line.data, (size_t)(equals - line.data)));
		if (!bytes_equal(key, bytes_of(name)))
			continue;
		buf_clear(out);
		buf_append_bytes(out, trim(BYTES(equals + 1, line.size - (size_t)(equals - line.data) - 1)));
		return true;
	}
	return false;
}

/* A JSON string that begins at *at with its quote; appended to out (may be NULL). */
static bool take_string(struct bytes *at, struct buf *out)
{
	size_t i = 1;

	for (; i < at->size && at->data[i] != '"'; i++) {
		uint8_t c = at->data[i];

		if (c == '\\') {
			if (++i >= at->size)
				return false;
			c = at->data[i];
			/* Keys and tokens are ASCII; of the escapes only these stand in them. */
			if (strchr("\"\\/", c) == NULL || c == '\0')
				return false;
		}
		if (out != NULL)
			buf_append(out, &c, 1);
	}
	if (i >= at->size)
		return false;
	*at = BYTES(at->data + i + 1, at->size - i - 1);
	return true;
}

static struct bytes skip_blanks(struct bytes b)
{
	while (b.size > 0 &&
	       (b.data[0] == ' ' || b.data[0] == '\t' || b.data[0] == '\r' || b.data[0] == '\n'))
		b = BYTES(b.data + 1, b.size - 1);
	return b;
}

bool s3_json_text(struct bytes body, const char *name, struct buf *out)
{
	struct buf key = {0};
	bool found = false;

	while (!found && body.size > 0) {
		if (body.data[0] != '"') {
			body = BYTES(body.data + 1, body.size - 1);
			continue;
		}
		buf_clear(&key);
		if (!take_string(&body, &key))
			break;
		body = skip_blanks(body);
		if (body.size == 0 || body.data[0] != ':')
			continue;
		body = skip_blanks(BYTES(body.data + 1, body.size - 1));
		if (body.size == 0 || body.data[0] != '"')
			continue;
		buf_clear(out);
		found = take_string(&body, out) && bytes_equal(buf_bytes(&key), bytes_of(name));
	}
	buf_fini(&key);
	if (!found)
		buf_clear(out);
	return found;
}

static bool digits(struct bytes text, size_t at, size_t count, int64_t *ret)
{
	int64_t value = 0;

	for (size_t i = at; i < at + count; i++) {
		if (i >= text.size || text.data[i] < '0' || text.data[i] > '9')
			return false;
		value = value * 10 + (text.data[i] - '0');
	}
	*ret = value;
	return true;
}

/* Days since 1970 of a date (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms"). */
static int64_t days_of(int64_t year, int64_t month, int64_t day)
{
	int64_t y = year - (month <= 2), era = y / 400, of_era = y - era * 400;
	int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

bool s3_time_read(struct bytes text, usec_t *ret_wall_us)
{
	int64_t year, month, day, hour, minute, second;

	if (text.size < 20 || text.data[4] != '-' || text.data[7] != '-' || text.data[10] != 'T' ||
	    text.data[13] != ':' || text.data[16] != ':' || text.data[text.size - 1] != 'Z')
		return false;
	if (!digits(text, 0, 4, &year) || !digits(text, 5, 2, &month) || !digits(text, 8, 2, &day) ||
	    !digits(text, 11, 2, &hour) || !digits(text, 14, 2, &minute) || !digits(text, 17, 2, &second))
		return false;
	if (year < 1970 || month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59 ||
	    second > 60)
		return false;
	*ret_wall_us = (((days_of(year, month, day) * 24 + hour) * 60 + minute) * 60 + second) * USEC_PER_SEC;
	return true;
}
