#include "base/text.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"

size_t text_utf8_next(struct bytes b, uint32_t *ret_code)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	uint32_t code;
	size_t length;

	if (b.size == 0)
		return 0;
	if (b.data[0] < 0x80)
		length = 1;
	else if (b.data[0] >= 0xc2 && b.data[0] < 0xe0)
		length = 2;
	else if (b.data[0] >= 0xe0 && b.data[0] < 0xf0)
		length = 3;
	else if (b.data[0] >= 0xf0 && b.data[0] < 0xf5)
		length = 4;
	else
		return 0;
	if (length > b.size)
		return 0;
	code = length == 1 ? b.data[0] : b.data[0] & (0x7fu >> length);
	for (size_t i = 1; i < length; i++) {
		if ((b.data[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (b.data[i] & 0x3fu);
	}
	if (code < least[length] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
		return 0;
	if (ret_code != NULL)
		*ret_code = code;
	return length;
}

bool text_is_utf8(struct bytes b)
{
	while (b.size > 0) {
		size_t length = text_utf8_next(b, NULL);

		if (length == 0)
			return false;
		b = BYTES(b.data + length, b.size - length);
	}
	return true;
}

/* Characters that change how the rest of the line is shown, or that end it. */
static bool is_hostile(uint32_t code)
{
	return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0x200e || code == 0x200f ||
	       (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069) || code == 0xfeff;
}

static char short_escape(uint32_t code)
{
	switch (code) {
	case '\n':
		return 'n';
	case '\t':
		return 't';
	case '\r':
		return 'r';
	case '"':
		return '"';
	case '\\':
		return '\\';
	default:
		return 0;
	}
}

#define ONE_MAX 24 /* the longest escape: \xNN for four bytes, and a NUL */

/* The first character of *rest, escaped, into out; takes it from *rest. Returns its length. */
static size_t escape_one(char out[static ONE_MAX], struct bytes *rest, bool json)
{
	uint32_t code = 0;
	size_t length = text_utf8_next(*rest, &code);
	size_t taken = length > 0 ? length : 1;
	int used = 0;

	if (length > 0 && short_escape(code) != 0) {
		used = snprintf(out, ONE_MAX, "\\%c", short_escape(code));
	} else if (length > 0 && !is_hostile(code)) {
		memcpy(out, rest->data, length);
		used = (int)length;
	} else if (length > 0 && json) {
		used = snprintf(out, ONE_MAX, "\\u%04x", code);
	} else {
		for (size_t i = 0; i < taken; i++)
			used += snprintf(out + used, (size_t)(ONE_MAX - used), "%s\\x%02x", json ? "\\" : "",
					 rest->data[i]);
	}
	*rest = BYTES(rest->data + taken, rest->size - taken);
	return (size_t)used;
}

/* Printable ASCII that stands for itself; most of most texts. */
static size_t plain_size(struct bytes b)
{
	size_t n = 0;

	while (n < b.size && b.data[n] >= 0x20 && b.data[n] < 0x7f && b.data[n] != '"' && b.data[n] != '\\')
		n++;
	return n;
}

static void escape(struct buf *out, struct bytes b, bool json)
{
	char one[ONE_MAX];

	while (b.size > 0) {
		size_t plain = plain_size(b);

		buf_append(out, b.data, plain);
		b = BYTES(b.data + plain, b.size - plain);
		if (b.size > 0) {
			size_t used = escape_one(one, &b, json);

			buf_append(out, one, used);
		}
	}
}

void text_escape(struct buf *out, struct bytes b)
{
	escape(out, b, false);
}

void text_escape_json(struct buf *out, struct bytes b)
{
	escape(out, b, true);
}

const char *text_quote(char *buf, size_t size, struct bytes b)
{
	static const char ellipsis[] = "…\"";
	size_t used = 0, cut = 1; /* cut: the last place where an ellipsis still fits */
	char one[ONE_MAX];

	CHECK(size >= 8);
	buf[used++] = '"';
	while (b.size > 0) {
		size_t length = escape_one(one, &b, false);

		if (used + length + 2 > size) {
			memcpy(buf + cut, ellipsis, sizeof ellipsis);
			return buf;
		}
		memcpy(buf + used, one, length);
		used += length;
		if (used + sizeof ellipsis <= size)
			cut = used;
	}
	buf[used++] = '"';
	buf[used] = '\0';
	return buf;
}

static size_t fewest(size_t a, size_t b)
{
	return a < b ? a : b;
}

size_t text_distance(struct bytes a, struct bytes b)
{
	size_t rows[3][TEXT_DISTANCE_BYTES_MAX + 1];

	if (a.size > TEXT_DISTANCE_BYTES_MAX || b.size > TEXT_DISTANCE_BYTES_MAX)
		return SIZE_MAX;
	for (size_t j = 0; j <= b.size; j++)
		rows[0][j] = j;
	for (size_t i = 1; i <= a.size; i++) {
		size_t *row = rows[i % 3], *above = rows[(i + 2) % 3], *before = rows[(i + 1) % 3];

		row[0] = i;
		for (size_t j = 1; j <= b.size; j++) {
			bool same = a.data[i - 1] == b.data[j - 1];

			row[j] = fewest(fewest(above[j], row[j - 1]) + 1, above[j - 1] + !same);
			if (i > 1 && j > 1 && a.data[i - 1] == b.data[j - 2] &&
			    a.data[i - 2] == b.data[j - 1])
				row[j] = fewest(row[j], before[j - 2] + 1);
		}
	}
	return rows[a.size % 3][b.size];
}

const char *text_nearest(struct bytes typed, const char *const known[], size_t known_count)
{
	const char *nearest = NULL;
	size_t best = SIZE_MAX;

	for (size_t i = 0; i < known_count; i++) {
		struct bytes candidate = bytes_of(known[i]);
		size_t edits = text_distance(typed, candidate);

		if (edits < best && edits <= (candidate.size + 1) / 3 && edits < typed.size) {
			best = edits;
			nearest = known[i];
		}
	}
	for (size_t i = 0; nearest == NULL && typed.size > 1 && i < known_count; i++)
		if (strlen(known[i]) > typed.size && memcmp(known[i], typed.data, typed.size) == 0)
			nearest = known[i];
	return nearest;
}

/* The line that ends at *end, without what ends it; *end is then where the one before it ends. */
static struct bytes take_line_back(struct bytes text, size_t *end)
{
	const uint8_t *newline = memrchr(text.data, '\n', *end);
	size_t begin = newline != NULL ? (size_t)(newline - text.data) + 1 : 0, last = *end;

	*end = begin > 0 ? begin - 1 : 0;
	while (last > begin && (text.data[last - 1] == '\r' || text.data[last - 1] == '\0'))
		last--;
	return BYTES(text.data + begin, last - begin);
}

void text_last_lines(char *buf, size_t size, struct bytes written, unsigned lines)
{
	struct bytes found[TEXT_LINES_MAX];
	size_t end = written.size, room = size - 1;
	unsigned count = 0;

	while (end > 0 && count < lines && count < TEXT_LINES_MAX) {
		struct bytes line = take_line_back(written, &end);

		if (line.size == 0)
			continue;
		if (count == 0 && line.size > room)
			line.size = room;
		if (line.size + (count > 0) > room)
			break;
		room -= line.size + (count > 0);
		found[count++] = line;
	}
	for (; count > 0; count--) {
		memcpy(buf, found[count - 1].data, found[count - 1].size);
		buf += found[count - 1].size;
		if (count > 1)
			*buf++ = '\n';
	}
	*buf = '\0';
}

const char *text_joint(struct bytes words, const char *one_line)
{
	const uint8_t *newline = words.size > 0 ? memchr(words.data, '\n', words.size) : NULL;

	if (words.size == 0)
		return "";
	/* Else they begin with a sentence of their own. */
	return newline != NULL && (newline == words.data || newline[-1] != ':') ? ":\n" : one_line;
}

const char *text_hex(char *buf, size_t size, struct bytes b)
{
	static const char digits[] = "0123456789abcdef";
	size_t used = 0;

	for (size_t i = 0; i < b.size && used + 2 < size; i++) {
		buf[used++] = digits[b.data[i] >> 4];
		buf[used++] = digits[b.data[i] & 15];
	}
	buf[used] = '\0';
	return buf;
}

int text_hex_digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}
