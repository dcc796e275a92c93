#include "base/s3/xml.h"

#include <stdlib.h>
#include <string.h>

static struct bytes skip(struct bytes b, const uint8_t *to)
{
	return BYTES(to, b.size - (size_t)(to - b.data));
}

/* Behind '<' or "</": is it this name, whatever its prefix? */
static bool tag_is(struct bytes tag, const char *name)
{
	size_t size = 0;
	const uint8_t *colon;

	while (size < tag.size && strchr(" \t\r\n/>", tag.data[size]) == NULL)
		size++;
	colon = size > 0 ? memchr(tag.data, ':', size) : NULL;
	if (colon != NULL) {
		size -= (size_t)(colon - tag.data) + 1;
		tag.data = colon + 1;
	}
	return size == strlen(name) && memcmp(tag.data, name, size) == 0;
}

/* The next tag in *at, without its brackets; *at moves behind it. */
static bool next_tag(struct bytes *at, struct bytes *ret)
{
	const uint8_t *open = at->size > 0 ? memchr(at->data, '<', at->size) : NULL;
	const uint8_t *close;

	if (open == NULL)
		return false;
	*at = skip(*at, open + 1);
	close = at->size > 0 ? memchr(at->data, '>', at->size) : NULL;
	if (close == NULL)
		return false;
	*ret = BYTES(at->data, (size_t)(close - at->data));
	*at = skip(*at, close + 1);
	return true;
}

bool s3_xml_next(struct bytes *at, const char *name, struct bytes *ret)
{
	struct bytes rest = *at, tag, inside;

	do
		if (!next_tag(&rest, &tag))
			return false;
	while (!tag_is(tag, name));
	inside = rest;
	if (tag.size > 0 && tag.data[tag.size - 1] == '/') {
		inside.size = 0;
	} else {
		do
			if (!next_tag(&rest, &tag))
				return false;
		while (tag.size == 0 || tag.data[0] != '/' || !tag_is(skip(tag, tag.data + 1), name));
		inside.size = (size_t)(tag.data - 1 - inside.data);
	}
	*ret = inside;
	*at = rest;
	return true;
}

static void append_code(struct buf *out, unsigned long code)
{
	uint8_t u[4];
	size_t n = 0;

	if (code < 0x80) {
		u[n++] = (uint8_t)code;
	} else if (code < 0x800) {
		u[n++] = (uint8_t)(0xc0 | code >> 6);
		u[n++] = (uint8_t)(0x80 | (code & 0x3f));
	} else if (code < 0x10000) {
		u[n++] = (uint8_t)(0xe0 | code >> 12);
		u[n++] = (uint8_t)(0x80 | (code >> 6 & 0x3f));
		u[n++] = (uint8_t)(0x80 | (code & 0x3f));
	} else if (code < 0x110000) {
		u[n++] = (uint8_t)(0xf0 | code >> 18);
		u[n++] = (uint8_t)(0x80 | (code >> 12 & 0x3f));
		u[n++] = (uint8_t)(0x80 | (code >> 6 & 0x3f));
		u[n++] = (uint8_t)(0x80 | (code & 0x3f));
	}
	buf_append(out, u, n);
}

/* Bytes taken of `&…;`; 0 when it is no entity that we know. */
static size_t entity(struct buf *out, struct bytes b)
{
	static const struct {
		const char *name;
		char is;
	} known[] = {{"&amp;", '&'}, {"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'}, {"&apos;", '\''}};
	const uint8_t *end = memchr(b.data, ';', b.size < 12 ? b.size : 12);
	char number[12] = "";
	size_t size;

	for (size_t i = 0; i < ARRAY_LENGTH(known); i++) {
		size = strlen(known[i].name);
		if (b.size >= size && memcmp(b.data, known[i].name, size) == 0) {
			buf_append(out, &known[i].is, 1);
			return size;
		}
	}
	size = end == NULL ? 0 : (size_t)(end - b.data) + 1;
	if (size < 4 || b.data[1] != '#')
		return 0;
	memcpy(number, b.data + 2, size - 3);
	append_code(out, number[0] == 'x' ? strtoul(number + 1, NULL, 16) : strtoul(number, NULL, 10));
	return size;
}

bool s3_xml_text(struct bytes body, const char *name, struct buf *out)
{
	struct bytes inside;

	if (!s3_xml_next(&body, name, &inside))
		return false;
	buf_clear(out);
	while (inside.size > 0) {
		size_t used = inside.data[0] == '&' ? entity(out, inside) : 0;

		if (used == 0) {
			buf_append(out, inside.data, 1);
			used = 1;
		}
		inside = skip(inside, inside.data + used);
	}
	return true;
}

void s3_xml_escape(struct buf *out, struct bytes text)
{
	for (size_t i = 0; i < text.size; i++) {
		uint8_t c = text.data[i];

		if (c == '&' || c == '<' || c == '>' || c == '"' || c < 0x20)
			buf_printf(out, "&#%u;", c);
		else
			buf_append(out, &c, 1);
	}
}
