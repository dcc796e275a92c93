#include "dispatcher/store/lz.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#define HASH_BITS 14
#define MATCH_MIN 4
#define OFFSET_MAX 65535
#define TAIL 12 /* bytes at the end that no match begins in */

static uint32_t word_at(const uint8_t *p)
{
	uint32_t w;

	memcpy(&w, p, sizeof w);
	return w;
}

static uint32_t hash_of(uint32_t word)
{
	return (word * 2654435761u) >> (32 - HASH_BITS);
}

/* What of a length does not fit into its four bits. */
static uint8_t *put_length(uint8_t *at, size_t rest)
{
	for (; rest >= 255; rest -= 255)
		*at++ = 255;
	*at++ = (uint8_t)rest;
	return at;
}

/* Literals, and a match behind them; match 0: the end. */
static uint8_t *put_sequence(uint8_t *at, const uint8_t *literals, size_t count, size_t match, size_t offset)
{
	uint8_t *token = at++;
	size_t more = match > 0 ? match - MATCH_MIN : 0;

	*token = (uint8_t)((count < 15 ? count : 15) << 4 | (more < 15 ? more : 15));
	if (count >= 15)
		at = put_length(at, count - 15);
	if (count > 0)
		memcpy(at, literals, count);
	at += count;
	if (match == 0)
		return at;
	*at++ = (uint8_t)offset;
	*at++ = (uint8_t)(offset >> 8);
	return more >= 15 ? put_length(at, more - 15) : at;
}

static size_t match_length(const uint8_t *a, const uint8_t *b, const uint8_t *end)
{
	const uint8_t *begin = b;

	while (b + 8 <= end) {
		uint64_t x, y;

		memcpy(&x, a, sizeof x);
		memcpy(&y, b, sizeof y);
		if (x != y)
			return (size_t)(b - begin) + (size_t)__builtin_ctzll(x ^ y) / 8;
		a += 8;
		b += 8;
	}
	while (b < end && *a == *b) {
		a++;
		b++;
	}
	return (size_t)(b - begin);
}

void lz_press(struct bytes in, struct buf *out)
{
	uint32_t *seen = check_calloc((size_t)1 << HASH_BITS, sizeof *seen); /* positions + 1 */
	uint8_t *begin = buf_reserve(out, in.size + in.size / 255 + 32), *at = begin;
	size_t anchor = 0, i = 0, tries = 0;

	CHECK(in.size < UINT32_MAX);
	while (i + TAIL < in.size) {
		uint32_t word = word_at(in.data + i), h = hash_of(word), before = seen[h];

		seen[h] = (uint32_t)i + 1;
		if (before == 0 || i - (before - 1) > OFFSET_MAX || word_at(in.data + before - 1) != word) {
			i += 1 + (tries++ >> 6); /* what cannot be pressed is passed faster and faster */
			continue;
		}
		tries = 0;
		size_t from = before - 1;
		size_t match = match_length(in.data + from, in.data + i, in.data + in.size - 5);

		at = put_sequence(at, in.data + anchor, i - anchor, match, i - from);
		i += match;
		anchor = i;
	}
	at = put_sequence(at, in.data + anchor, in.size - anchor, 0, 0);
	out->size += (size_t)(at - begin);
	free(seen);
}

/* False: it goes on behind the end. */
static bool get_length(const uint8_t **at, const uint8_t *end, size_t *length)
{
	uint8_t b;

	if (*length < 15)
		return true;
	do {
		if (*at == end)
			return false;
		b = *(*at)++;
		*length += b;
	} while (b == 255);
	return true;
}

bool lz_expand(struct bytes in, uint8_t *out, size_t size)
{
	const uint8_t *at = in.data, *end = in.data + in.size;
	size_t done = 0;

	while (at < end) {
		size_t count = *at >> 4, match = *at & 15, offset;

		at++;
		if (!get_length(&at, end, &count) || count > (size_t)(end - at) || count > size - done)
			return false;
		memcpy(out + done, at, count);
		at += count;
		done += count;
		if (at == end)
			break;
		if (end - at < 2)
			return false;
		offset = (size_t)at[0] | (size_t)at[1] << 8;
		at += 2;
		if (!get_length(&at, end, &match))
			return false;
		match += MATCH_MIN;
		if (offset == 0 || offset > done || match > size - done)
			return false;
		if (offset >= match) {
			memcpy(out + done, out + done - offset, match);
		} else {
			for (size_t i = 0; i < match; i++)
				out[done + i] = out[done + i - offset];
		}
		done += match;
	}
	return done == size;
}
