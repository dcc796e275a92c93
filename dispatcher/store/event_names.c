/* An event's names, found in its canonical JSON without a tree: members that nobody asks for are passed over.
 * What is no JSON has none. */
#include <string.h>

#include "dispatcher/store/history_block.h"

struct scan {
	const uint8_t *at, *end;
};

static void skip_space(struct scan *s)
{
	while (s->at < s->end && (*s->at == ' ' || *s->at == '\t' || *s->at == '\n' || *s->at == '\r'))
		s->at++;
}

static bool take(struct scan *s, char c)
{
	skip_space(s);
	if (s->at == s->end || *s->at != (uint8_t)c)
		return false;
	s->at++;
	return true;
}

/* What stands between the quotes. */
static bool take_text(struct scan *s, struct bytes *ret)
{
	const uint8_t *begin, *quote;

	if (!take(s, '"'))
		return false;
	begin = s->at;
	quote = memchr(begin, '"', (size_t)(s->end - begin));
	if (quote == NULL)
		return false;
	if (memchr(begin, '\\', (size_t)(quote - begin)) == NULL)
		s->at = quote;
	for (; s->at < s->end && *s->at != '"'; s->at++)
		if (*s->at == '\\' && ++s->at == s->end)
			return false;
	if (s->at == s->end)
		return false;
	*ret = BYTES(begin, (size_t)(s->at - begin));
	s->at++;
	return true;
}

/* A value of any kind. */
static bool skip_value(struct scan *s)
{
	uint32_t depth = 0;
	struct bytes text;

	do {
		skip_space(s);
		if (s->at == s->end)
			return false;
		switch (*s->at) {
		case '"':
			if (!take_text(s, &text))
				return false;
			break;
		case '{':
		case '[':
			depth++;
			s->at++;
			break;
		case '}':
		case ']':
			if (depth == 0)
				return true; /* behind the last value */
			depth--;
			s->at++;
			break;
		case ',':
			if (depth == 0)
				return true;
			s->at++;
			break;
		default:
			s->at++;
			break;
		}
	} while (depth > 0 || (s->at < s->end && *s->at != ',' && *s->at != '}' && *s->at != ']'));
	return true;
}

/* The next member of an object, of which none was looked at yet: the scan stands on its value. */
static bool next_member(struct scan *s, bool *begun, struct bytes *name)
{
	bool there = take(s, *begun ? ',' : '{');

	*begun = true;
	return there && take_text(s, name) && take(s, ':');
}

static uint32_t hex4(const uint8_t *at)
{
	uint32_t n = 0;

	for (int i = 0; i < 4; i++) {
		uint8_t c = at[i];

		n = n << 4 | (uint32_t)(c <= '9' ? c - '0' : (c | 32) - 'a' + 10);
	}
	return n & 0xffff;
}

static size_t put_utf8(uint8_t *out, uint32_t c)
{
	if (c < 0x80) {
		out[0] = (uint8_t)c;
		return 1;
	}
	if (c < 0x800) {
		out[0] = (uint8_t)(0xc0 | c >> 6);
		out[1] = (uint8_t)(0x80 | (c & 63));
		return 2;
	}
	if (c < 0x10000) {
		out[0] = (uint8_t)(0xe0 | c >> 12);
		out[1] = (uint8_t)(0x80 | (c >> 6 & 63));
		out[2] = (uint8_t)(0x80 | (c & 63));
		return 3;
	}
	out[0] = (uint8_t)(0xf0 | c >> 18);
	out[1] = (uint8_t)(0x80 | (c >> 12 & 63));
	out[2] = (uint8_t)(0x80 | (c >> 6 & 63));
	out[3] = (uint8_t)(0x80 | (c & 63));
	return 4;
}

static uint8_t plain_of(uint8_t c)
{
	static const char escapes[] = "b\bf\fn\nr\rt\t";

	for (size_t i = 0; escapes[i] != '\0'; i += 2)
		if (c == (uint8_t)escapes[i])
			return (uint8_t)escapes[i + 1];
	return c;
}

static struct bytes unescape(struct bytes text, struct arena *arena)
{
	uint8_t *out;
	size_t size = 0;

	if (text.size == 0 || memchr(text.data, '\\', text.size) == NULL)
		return text;
	out = arena_alloc(arena, text.size);
	for (size_t i = 0; out != NULL && i < text.size; i++) {
		uint32_t c;

		if (text.data[i] != '\\') {
			out[size++] = text.data[i];
			continue;
		}
		if (text.data[++i] != 'u' || i + 4 >= text.size) {
			out[size++] = plain_of(text.data[i]);
			continue;
		}
		c = hex4(text.data + i + 1);
		i += 4;
		if (c >= 0xd800 && c < 0xdc00 && i + 6 < text.size && text.data[i + 1] == '\\' &&
		    text.data[i + 2] == 'u') {
			c = 0x10000 + ((c & 0x3ff) << 10) + (hex4(text.data + i + 3) & 0x3ff);
			i += 6;
		}
		size += put_utf8(out + size, c);
	}
	return out != NULL ? BYTES(out, size) : (struct bytes){0};
}

static bool take_name(struct scan *s, struct bytes *ret, struct arena *arena)
{
	struct bytes text;

	skip_space(s);
	if (s->at == s->end || *s->at != '"')
		return skip_value(s);
	if (!take_text(s, &text))
		return false;
	*ret = unescape(text, arena);
	return true;
}

static bool is_object(struct scan *s)
{
	skip_space(s);
	return s->at < s->end && *s->at == '{';
}

/* What is asked for of an object, its members at this depth: id and detail, object, key. */
static bool look_at(struct scan *s, int depth, struct arena *arena, struct event_names *ret)
{
	bool begun = false, fine = true;
	struct bytes name;

	if (!is_object(s))
		return skip_value(s);
	while (fine && next_member(s, &begun, &name)) {
		if (depth == 0 && bytes_equal(name, BYTES_LIT("id")))
			fine = take_name(s, &ret->id, arena);
		else if (depth == 0 && bytes_equal(name, BYTES_LIT("source")))
			fine = take_name(s, &ret->source, arena);
		else if (depth == 2 && bytes_equal(name, BYTES_LIT("key")))
			fine = take_name(s, &ret->key, arena);
		else if (depth == 2 && bytes_equal(name, BYTES_LIT("key-base64")))
			fine = take_name(s, &ret->key_base64, arena);
		else if (depth < 2 &&
			 bytes_equal(name, depth == 0 ? BYTES_LIT("detail") : BYTES_LIT("object")))
			fine = look_at(s, depth + 1, arena, ret);
		else
			fine = skip_value(s);
	}
	return fine && take(s, '}');
}

void event_names_find(struct bytes json, struct arena *arena, struct event_names *ret)
{
	struct scan s = {json.data, json.data + json.size};

	*ret = (struct event_names){0};
	(void)look_at(&s, 0, arena, ret);
}
