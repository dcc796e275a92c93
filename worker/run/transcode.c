#include "worker/run/transcode.h"

#include <msgpack.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/text.h"

struct reader {
	struct bytes in;
	size_t at;
	int depth;
	struct error *reterr;
};

static int value(struct reader *r, struct buf *out);

static int refuse(struct reader *r, const char *expected)
{
	if (r->at >= r->in.size)
		return error_set(r->reterr, ERR_INVALID, "expected %s, but the JSON ends", expected);
	return error_set(r->reterr, ERR_INVALID, "expected %s at byte %zu, found 0x%02x", expected, r->at,
			 r->in.data[r->at]);
}

static int peek(struct reader *r)
{
	while (r->at < r->in.size && strchr(" \t\r\n", r->in.data[r->at]) != NULL &&
	       r->in.data[r->at] != '\0')
		r->at++;
	return r->at < r->in.size ? r->in.data[r->at] : -1;
}

static bool take(struct reader *r, int c)
{
	if (peek(r) != c)
		return false;
	r->at++;
	return true;
}

static int hex4(struct reader *r, uint32_t *ret)
{
	uint32_t u = 0;

	for (int i = 0; i < 4; i++, r->at++) {
		int digit = r->at < r->in.size ? text_hex_digit(r->in.data[r->at]) : -1;

		if (digit < 0)
			return refuse(r, "four hex digits");
		u = u << 4 | (uint32_t)digit;
	}
	*ret = u;
	return 0;
}

static void append_utf8(struct buf *out, uint32_t u)
{
	uint8_t b[4];
	size_t n = u < 0x80 ? 1 : u < 0x800 ? 2 : u < 0x10000 ? 3 : 4;
	static const uint8_t lead[] = {0, 0x00, 0xc0, 0xe0, 0xf0};

	for (size_t i = n; i-- > 1; u >>= 6)
		b[i] = (uint8_t)(0x80 | (u & 0x3f));
	b[0] = (uint8_t)(lead[n] | u);
	buf_append(out, b, n);
}

static int escaped_unicode(struct reader *r, struct buf *text)
{
	uint32_t u, low;
	int rc = hex4(r, &u);

	if (rc < 0)
		return rc;
	if (u >= 0xd800 && u < 0xdc00 && r->in.size - r->at >= 6 &&
	    memcmp(r->in.data + r->at, "\\u", 2) == 0) {
		size_t before = r->at;

		r->at += 2;
		rc = hex4(r, &low);
		if (rc < 0)
			return rc;
		if (low >= 0xdc00 && low < 0xe000)
			u = 0x10000 + ((u - 0xd800) << 10) + (low - 0xdc00);
		else
			r->at = before;
	}
	append_utf8(text, u >= 0xd800 && u < 0xe000 ? 0xfffd : u);
	return 0;
}

static int text_body(struct reader *r, struct buf *text)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";

	while (r->at < r->in.size && r->in.data[r->at] != '"') {
		uint8_t c = r->in.data[r->at++];
		const char *which;

		if (c < 0x20) {
			r->at--;
			return refuse(r, "no control character inside a text");
		}
		if (c != '\\') {
			buf_append(text, &c, 1);
			continue;
		}
		c = r->at < r->in.size ? r->in.data[r->at] : 0;
		which = c == 0 ? NULL : strchr(from, c);
		if (c == 'u') {
			int rc;

			r->at++;
			rc = escaped_unicode(r, text);
			if (rc < 0)
				return rc;
			continue;
		}
		if (which == NULL)
			return refuse(r, "an escape");
		buf_append(text, &to[which - from], 1);
		r->at++;
	}
	return take(r, '"') ? 0 : refuse(r, "the end of a text");
}

static int text(struct reader *r, struct buf *out)
{
	struct buf body = {0};
	msgpack_packer pk;
	int rc;

	if (!take(r, '"'))
		return refuse(r, "a text");
	rc = text_body(r, &body);
	if (rc == 0) {
		msgpack_packer_init(&pk, out, buf_msgpack_write);
		msgpack_pack_str(&pk, body.size);
		msgpack_pack_str_body(&pk, body.data, body.size);
	}
	buf_fini(&body);
	return rc;
}

static size_t digits(const char *s)
{
	return strspn(s, "0123456789");
}

/* The grammar of RFC 8259, section 6: strtod alone would take hex, inf and nan. */
static size_t number_length(const char *s, bool *whole)
{
	size_t n = s[0] == '-', d = digits(s + n);

	if (d == 0 || (d > 1 && s[n] == '0'))
		return 0;
	n += d;
	*whole = true;
	if (s[n] == '.') {
		d = digits(s + n + 1);
		if (d == 0)
			return 0;
		n += 1 + d;
		*whole = false;
	}
	if (s[n] == 'e' || s[n] == 'E') {
		size_t sign = s[n + 1] == '+' || s[n + 1] == '-';

		d = digits(s + n + 1 + sign);
		if (d == 0)
			return 0;
		n += 1 + sign + d;
		*whole = false;
	}
	return n;
}

static int number(struct reader *r, struct buf *out)
{
	char copy[64];
	size_t left = r->in.size - r->at, n;
	msgpack_packer pk;
	bool whole = false;

	n = left < sizeof copy - 1 ? left : sizeof copy - 1;
	memcpy(copy, r->in.data + r->at, n);
	copy[n] = '\0';
	n = number_length(copy, &whole);
	if (n == 0 || n == sizeof copy - 1)
		return refuse(r, "a JSON value (a number of at most 62 characters)");
	copy[n] = '\0';
	msgpack_packer_init(&pk, out, buf_msgpack_write);
	if (!whole || n > 20)
		msgpack_pack_double(&pk, strtod(copy, NULL));
	else if (copy[0] == '-')
		msgpack_pack_int64(&pk, strtoll(copy, NULL, 10));
	else
		msgpack_pack_uint64(&pk, strtoull(copy, NULL, 10));
	r->at += n;
	return 0;
}

static int word(struct reader *r, struct buf *out)
{
	static const struct {
		const char *name;
		uint8_t tag;
	} words[] = {{"null", 0xc0}, {"false", 0xc2}, {"true", 0xc3}};

	for (size_t i = 0; i < ARRAY_LENGTH(words); i++) {
		size_t n = strlen(words[i].name);

		if (r->in.size - r->at >= n && memcmp(r->in.data + r->at, words[i].name, n) == 0) {
			buf_append(out, &words[i].tag, 1);
			r->at += n;
			return 0;
		}
	}
	return refuse(r, "a JSON value");
}

/* Lists and maps are counted while they are read: their msgpack header goes in front afterwards. */
static int container(struct reader *r, struct buf *out, bool map)
{
	struct buf body = {0};
	msgpack_packer pk;
	uint32_t count = 0;
	int rc = 0;

	r->at++;
	if (++r->depth > FRAME_DEPTH_MAX)
		return error_set(r->reterr, ERR_LIMIT, "JSON is nested deeper than %d", FRAME_DEPTH_MAX);
	while (rc == 0 && !(count == 0 && peek(r) == (map ? '}' : ']'))) {
		if (map)
			rc = text(r, &body);
		if (rc == 0 && map && !take(r, ':'))
			rc = refuse(r, "`:`");
		if (rc == 0)
			rc = value(r, &body);
		count++;
		if (rc < 0 || !take(r, ','))
			break;
	}
	if (rc == 0 && !take(r, map ? '}' : ']'))
		rc = refuse(r, map ? "`,` or `}`" : "`,` or `]`");
	if (rc == 0) {
		msgpack_packer_init(&pk, out, buf_msgpack_write);
		if (map)
			msgpack_pack_map(&pk, count);
		else
			msgpack_pack_array(&pk, count);
		buf_append_bytes(out, buf_bytes(&body));
	}
	buf_fini(&body);
	r->depth--;
	return rc;
}

static int value(struct reader *r, struct buf *out)
{
	int c = peek(r);

	if (c == '{' || c == '[')
		return container(r, out, c == '{');
	if (c == '"')
		return text(r, out);
	if (c == '-' || (c >= '0' && c <= '9'))
		return number(r, out);
	return word(r, out);
}

int json_to_msgpack(struct bytes json, struct buf *out, struct error *reterr)
{
	struct reader r = {.in = json, .reterr = reterr};
	size_t before = out->size;
	int rc = value(&r, out);

	if (rc == 0 && peek(&r) >= 0)
		rc = refuse(&r, "nothing behind the value");
	if (rc < 0)
		out->size = before;
	return rc;
}

/* And back */

static void json_text(const char *s, size_t size, struct buf *out)
{
	buf_append(out, "\"", 1);
	for (size_t i = 0; i < size; i++) {
		uint8_t c = (uint8_t)s[i];

		if (c == '"' || c == '\\')
			buf_printf(out, "\\%c", c);
		else if (c < 0x20 || c == 0x7f)
			buf_printf(out, "\\u%04x", c);
		else
			buf_append(out, &c, 1);
	}
	buf_append(out, "\"", 1);
}

static int write_json(const msgpack_object *o, struct buf *out, struct error *reterr)
{
	int rc = 0;

	switch (o->type) {
	case MSGPACK_OBJECT_NIL:
		buf_printf(out, "null");
		return 0;
	case MSGPACK_OBJECT_BOOLEAN:
		buf_printf(out, "%s", o->via.boolean ? "true" : "false");
		return 0;
	case MSGPACK_OBJECT_POSITIVE_INTEGER:
		buf_printf(out, "%llu", (unsigned long long)o->via.u64);
		return 0;
	case MSGPACK_OBJECT_NEGATIVE_INTEGER:
		buf_printf(out, "%lld", (long long)o->via.i64);
		return 0;
	case MSGPACK_OBJECT_FLOAT32:
	case MSGPACK_OBJECT_FLOAT64:
		buf_printf(out, "%.17g", o->via.f64);
		return 0;
	case MSGPACK_OBJECT_STR:
		json_text(o->via.str.ptr, o->via.str.size, out);
		return 0;
	case MSGPACK_OBJECT_BIN:
		json_text(o->via.bin.ptr, o->via.bin.size, out);
		return 0;
	case MSGPACK_OBJECT_ARRAY:
		for (uint32_t i = 0; rc == 0 && i < o->via.array.size; i++) {
			buf_printf(out, "%s", i ? "," : "[");
			rc = write_json(&o->via.array.ptr[i], out, reterr);
		}
		buf_printf(out, "%s", o->via.array.size ? "]" : "[]");
		return rc;
	case MSGPACK_OBJECT_MAP:
		for (uint32_t i = 0; rc == 0 && i < o->via.map.size; i++) {
			buf_printf(out, "%s", i ? "," : "{");
			rc = write_json(&o->via.map.ptr[i].key, out, reterr);
			buf_printf(out, ":");
			if (rc == 0)
				rc = write_json(&o->via.map.ptr[i].val, out, reterr);
		}
		buf_printf(out, "%s", o->via.map.size ? "}" : "{}");
		return rc;
	default:
		return error_set(reterr, ERR_INVALID, "this msgpack value has no form in JSON");
	}
}

int msgpack_to_json(struct bytes in, struct buf *out, struct error *reterr)
{
	msgpack_unpacked u;
	size_t offset = 0;
	int rc = ERR_INVALID;

	msgpack_unpacked_init(&u);
	if (msgpack_unpack_next(&u, (const char *)in.data, in.size, &offset) == MSGPACK_UNPACK_SUCCESS)
		rc = write_json(&u.data, out, reterr);
	else
		error_set(reterr, ERR_INVALID, "not a msgpack value");
	msgpack_unpacked_destroy(&u);
	return rc;
}
