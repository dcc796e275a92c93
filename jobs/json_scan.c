#include "jobs/json_scan.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/text.h"
#include "jobs/json.h"

#define INTEGER_DIGITS_MAX 18 /* these are below 2^63 */
#define NUMBER_BYTES_MAX 40

struct json_scan_member {
	struct bytes key; /* in the input */
	size_t from, to;  /* in out: the key, the colon and the value */
};

void json_scan_init(struct json_scan *s, struct bytes text, uint32_t max_depth, struct buf *out)
{
	*s = (struct json_scan){
	    .at = text.data, .end = text.data + text.size, .depth_left = max_depth, .out = out};
}

void json_scan_fini(struct json_scan *s)
{
	free(s->members);
	buf_fini(&s->moved);
	buf_fini(&s->text);
}

uint8_t json_scan_peek(struct json_scan *s)
{
	while (s->at < s->end && (*s->at == ' ' || *s->at == '\n' || *s->at == '\r' || *s->at == '\t'))
		s->at++;
	return s->at < s->end ? *s->at : 0;
}

bool json_scan_take(struct json_scan *s, uint8_t c)
{
	if (s->at >= s->end || *s->at != c) {
		if (json_scan_peek(s) != c)
			return false;
	}
	s->at++;
	return true;
}

/* Of a string, the bytes that stand for themselves in JSON and in canonical JSON. */
static bool is_plain(uint8_t c)
{
	return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

static const uint8_t *skip_plain(const struct json_scan *s)
{
	const uint8_t *at = s->at;

	while (at < s->end && is_plain(*at))
		at++;
	return at;
}

bool json_scan_key(struct json_scan *s, struct bytes *ret)
{
	const uint8_t *behind;

	if (!json_scan_take(s, '"'))
		return false;
	behind = skip_plain(s);
	if (behind == s->end || *behind != '"')
		return false;
	*ret = BYTES(s->at, (size_t)(behind - s->at));
	s->at = behind + 1;
	return json_scan_take(s, ':');
}

static bool take_hex(struct json_scan *s, uint32_t *ret)
{
	uint32_t value = 0;

	if (s->end - s->at < 4)
		return false;
	for (int i = 0; i < 4; i++) {
		uint8_t c = *s->at++;

		if (c >= '0' && c <= '9')
			value = value << 4 | (uint32_t)(c - '0');
		else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
			value = value << 4 | (uint32_t)((c | 0x20) - 'a' + 10);
		else
			return false;
	}
	*ret = value;
	return true;
}

static void append_code(struct buf *out, uint32_t code)
{
	uint8_t utf8[4];
	size_t size = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
	static const uint8_t lead[] = {0, 0, 0xc0, 0xe0, 0xf0};

	for (size_t i = size; i > 1; i--, code >>= 6)
		utf8[i - 1] = (uint8_t)(0x80 | (code & 0x3f));
	utf8[0] = (uint8_t)(lead[size] | code);
	buf_append(out, utf8, size);
}

/* Behind \u. NUL is not taken, nor half of a pair. */
static bool take_code(struct json_scan *s)
{
	uint32_t code, low;

	if (!take_hex(s, &code) || code == 0 || (code >= 0xdc00 && code < 0xe000))
		return false;
	if (code >= 0xd800 && code < 0xdc00) {
		if (s->end - s->at < 2 || s->at[0] != '\\' || s->at[1] != 'u')
			return false;
		s->at += 2;
		if (!take_hex(s, &low) || low < 0xdc00 || low >= 0xe000)
			return false;
		code = 0x10000 + ((code - 0xd800) << 10 | (low - 0xdc00));
	}
	append_code(&s->text, code);
	return true;
}

/* Behind a backslash. */
static bool take_escape(struct json_scan *s)
{
	static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
	const char *found;
	uint8_t c;

	if (s->at == s->end || *s->at == '\0')
		return false;
	c = *s->at++;
	if (c == 'u')
		return take_code(s);
	found = strchr(names, c);
	if (found == NULL)
		return false;
	buf_append(&s->text, &values[found - names], 1);
	return true;
}

/* A string that has more than plain bytes, from behind its quote. */
static bool take_text(struct json_scan *s)
{
	buf_clear(&s->text);
	while (s->at < s->end && *s->at != '"') {
		const uint8_t *behind = skip_plain(s);
		size_t length = (size_t)(behind - s->at);

		if (length == 0 && *s->at == '\\') {
			s->at++;
			if (!take_escape(s))
				return false;
			continue;
		}
		if (length == 0) /* control characters have to be escaped, what is beyond ASCII be UTF-8 */
			length =
			    *s->at < 0x20 ? 0 : text_utf8_next(BYTES(s->at, (size_t)(s->end - s->at)), NULL);
		if (length == 0)
			return false;
		buf_append(&s->text, s->at, length);
		s->at += length;
	}
	if (s->at == s->end)
		return false;
	s->at++;
	buf_append(s->out, "\"", 1);
	text_escape_json(s->out, buf_bytes(&s->text));
	buf_append(s->out, "\"", 1);
	return true;
}

static bool scan_string(struct json_scan *s)
{
	const uint8_t *from = s->at++, *behind = skip_plain(s);

	if (behind == s->end)
		return false;
	if (*behind != '"')
		return take_text(s);
	s->at = behind + 1;
	buf_append(s->out, from, (size_t)(s->at - from));
	return true;
}

static size_t digits_at(struct json_scan *s)
{
	const uint8_t *from = s->at;

	while (s->at < s->end && *s->at >= '0' && *s->at <= '9')
		s->at++;
	return (size_t)(s->at - from);
}

static bool scan_real(struct json_scan *s, const uint8_t *from)
{
	char text[NUMBER_BYTES_MAX + 1], *end;
	size_t size;
	double value;

	if (s->at < s->end && *s->at == '.') {
		s->at++;
		if (digits_at(s) == 0)
			return false;
	}
	if (s->at < s->end && (*s->at | 0x20) == 'e') {
		s->at++;
		if (s->at < s->end && (*s->at == '+' || *s->at == '-'))
			s->at++;
		if (digits_at(s) == 0)
			return false;
	}
	size = (size_t)(s->at - from);
	if (size > NUMBER_BYTES_MAX)
		return false;
	memcpy(text, from, size);
	text[size] = '\0';
	value = strtod(text, &end);
	if (end != text + size || !isfinite(value))
		return false;
	json_write_real(s->out, value);
	return true;
}

static bool scan_number(struct json_scan *s)
{
	const uint8_t *from = s->at, *first;
	size_t digits;

	if (*s->at == '-')
		s->at++;
	first = s->at;
	digits = digits_at(s);
	if (digits == 0 || (digits > 1 && *first == '0'))
		return false;
	if (s->at < s->end && (*s->at == '.' || (*s->at | 0x20) == 'e'))
		return scan_real(s, from);
	if (digits > INTEGER_DIGITS_MAX || (*first == '0' && first != from)) /* -0 is 0 */
		return false;
	buf_append(s->out, from, (size_t)(s->at - from));
	return true;
}

static bool scan_word(struct json_scan *s, const char *word)
{
	size_t size = strlen(word);

	if ((size_t)(s->end - s->at) < size || memcmp(s->at, word, size) != 0)
		return false;
	s->at += size;
	buf_append(s->out, word, size);
	return true;
}

static bool scan_array(struct json_scan *s)
{
	buf_append(s->out, "[", 1);
	s->at++;
	if (!json_scan_take(s, ']')) {
		if (!json_scan_value(s))
			return false;
		while (json_scan_take(s, ',')) {
			buf_append(s->out, ",", 1);
			if (!json_scan_value(s))
				return false;
		}
		if (!json_scan_take(s, ']'))
			return false;
	}
	buf_append(s->out, "]", 1);
	return true;
}

static int compare_keys(struct bytes a, struct bytes b)
{
	size_t size = a.size < b.size ? a.size : b.size;
	int order = size == 0 ? 0 : memcmp(a.data, b.data, size);

	return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

static int compare_members(const void *a, const void *b)
{
	const struct json_scan_member *left = a, *right = b;

	return compare_keys(left->key, right->key);
}

/* The members from `first` on, which stand in out from `from` on, in the order of their keys. False: a key
 * stands there twice. */
static bool sort_members(struct json_scan *s, uint32_t first, size_t from)
{
	struct json_scan_member *m = s->members + first;
	uint32_t count = s->member_count - first;

	qsort(m, count, sizeof(*m), compare_members);
	buf_clear(&s->moved);
	buf_append(&s->moved, s->out->data + from, s->out->size - from);
	s->out->size = from;
	for (uint32_t i = 0; i < count; i++) {
		if (i > 0 && compare_members(&m[i - 1], &m[i]) == 0)
			return false;
		if (i > 0)
			buf_append(s->out, ",", 1);
		buf_append(s->out, s->moved.data + (m[i].from - from), m[i].to - m[i].from);
	}
	return true;
}

static bool scan_member(struct json_scan *s, uint32_t first, bool *sorted)
{
	struct json_scan_member m;

	if (s->member_count > first)
		buf_append(s->out, ",", 1);
	m.from = s->out->size;
	if (!json_scan_key(s, &m.key))
		return false;
	buf_append(s->out, m.key.data - 1, m.key.size + 2); /* with its quotes */
	buf_append(s->out, ":", 1);
	if (!json_scan_value(s))
		return false;
	m.to = s->out->size;
	if (s->member_count > first && compare_keys(s->members[s->member_count - 1].key, m.key) >= 0)
		*sorted = false;
	ARRAY_GROW(s->members, s->member_capacity, s->member_count);
	s->members[s->member_count++] = m;
	return true;
}

static bool scan_object(struct json_scan *s)
{
	uint32_t first = s->member_count;
	bool sorted = true;
	size_t from;

	buf_append(s->out, "{", 1);
	from = s->out->size;
	s->at++;
	if (!json_scan_take(s, '}')) {
		do {
			if (!scan_member(s, first, &sorted))
				return false;
		} while (json_scan_take(s, ','));
		if (!json_scan_take(s, '}') || (!sorted && !sort_members(s, first, from)))
			return false;
	}
	s->member_count = first;
	buf_append(s->out, "}", 1);
	return true;
}

static bool scan_deeper(struct json_scan *s, bool (*scan)(struct json_scan *s))
{
	bool ok;

	if (s->depth_left == 0)
		return false;
	s->depth_left--;
	ok = scan(s);
	s->depth_left++;
	return ok;
}

bool json_scan_value(struct json_scan *s)
{
	switch (json_scan_peek(s)) {
	case '"':
		return scan_string(s);
	case '{':
		return scan_deeper(s, scan_object);
	case '[':
		return scan_deeper(s, scan_array);
	case 't':
		return scan_word(s, "true");
	case 'f':
		return scan_word(s, "false");
	case 'n':
		return scan_word(s, "null");
	default:
		return s->at < s->end && scan_number(s);
	}
}
