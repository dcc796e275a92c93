#include "jobs/pattern_wildcard.h"

#include <string.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/text.h"

#define DIGITS_OF_(bound) #bound
#define DIGITS_OF(bound) DIGITS_OF_(bound)

static size_t character_at(struct bytes text, size_t at)
{
	size_t character = 1;

	for (size_t i = 0; i < at; character++) {
		size_t length = text_utf8_next(BYTES(text.data + i, text.size - i), NULL);

		i += length > 0 ? length : 1;
	}
	return character;
}

static const char *check_at(struct bytes text, size_t i, uint32_t stars)
{
	bool last = i + 1 == text.size;

	if (text.data[i] == '\\' && (last || (text.data[i + 1] != '*' && text.data[i + 1] != '\\')))
		return "a \\ stands in front of * or \\ only";
	if (text.data[i] == '*' && !last && text.data[i + 1] == '*')
		return "one * stands for any characters, two are not taken";
	if (text.data[i] == '*' && stars == PATTERN_STARS_MAX)
		return "at most " DIGITS_OF(PATTERN_STARS_MAX) " stars are taken";
	return NULL;
}

const char *pattern_wildcard_parse(struct bytes text, struct arena *arena, struct pattern_wildcard *ret,
				   size_t *ret_at)
{
	uint8_t *out = arena_alloc(arena, text.size + 1);
	struct bytes parts[PATTERN_STARS_MAX + 1];
	uint32_t stars = 0;
	size_t size = 0;

	CHECK(out != NULL);
	parts[0] = BYTES(out, 0);
	for (size_t i = 0; i < text.size; i++) {
		const char *wrong = check_at(text, i, stars);

		if (wrong != NULL) {
			*ret_at = character_at(text, i);
			return wrong;
		}
		if (text.data[i] == '*') {
			parts[++stars] = BYTES(out + size, 0);
			continue;
		}
		i += text.data[i] == '\\';
		out[size++] = text.data[i];
		parts[stars].size++;
	}
	ret->part_count = stars + 1;
	ret->parts = arena_alloc(arena, ret->part_count * sizeof *parts);
	CHECK(ret->parts != NULL);
	memcpy(ret->parts, parts, ret->part_count * sizeof *parts);
	return NULL;
}

bool pattern_wildcard_matches(const struct pattern_wildcard *w, struct bytes text)
{
	struct bytes first = w->parts[0], last = w->parts[w->part_count - 1];

	if (w->part_count == 1)
		return bytes_equal(first, text);
	if (text.size < first.size + last.size ||
	    (first.size > 0 && memcmp(text.data, first.data, first.size) != 0) ||
	    (last.size > 0 && memcmp(text.data + text.size - last.size, last.data, last.size) != 0))
		return false;
	text = BYTES(text.data + first.size, text.size - first.size - last.size);
	for (uint32_t i = 1; i + 1 < w->part_count; i++) {
		struct bytes part = w->parts[i];
		const uint8_t *found =
		    part.size == 0 ? text.data : memmem(text.data, text.size, part.data, part.size);
		size_t passed;

		if (found == NULL && part.size > 0)
			return false;
		passed = part.size == 0 ? 0 : (size_t)(found - text.data) + part.size;
		text = BYTES(text.data + passed, text.size - passed);
	}
	return true;
}
