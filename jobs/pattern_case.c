#include "jobs/pattern_case.h"

#include <string.h>

#include "base/check.h"
#include "base/text.h"

struct shift {
	uint32_t first, last, step;
	int32_t added;
};

struct expansion {
	uint32_t character;
	const char *text;
};

#define UPPER(first, last, step, added)
#define UPPER_EXPANDS(character, text)
#define LOWER(first, last, step, added) {first, last, step, added},
#define LOWER_EXPANDS(character, text)
static const struct shift lower_shifts[] = {
#include "jobs/pattern_case.def"
};

#define UPPER(first, last, step, added)
#define UPPER_EXPANDS(character, text)
#define LOWER(first, last, step, added)
#define LOWER_EXPANDS(character, text) {character, text},
static const struct expansion lower_expansions[] = {
#include "jobs/pattern_case.def"
};

#define UPPER(first, last, step, added) {first, last, step, added},
#define UPPER_EXPANDS(character, text)
#define LOWER(first, last, step, added)
#define LOWER_EXPANDS(character, text)
static const struct shift upper_shifts[] = {
#include "jobs/pattern_case.def"
};

#define UPPER(first, last, step, added)
#define UPPER_EXPANDS(character, text) {character, text},
#define LOWER(first, last, step, added)
#define LOWER_EXPANDS(character, text)
static const struct expansion upper_expansions[] = {
#include "jobs/pattern_case.def"
};

static uint32_t shifted(uint32_t c, const struct shift *shifts, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (c >= shifts[i].first && c <= shifts[i].last &&
		    (c - shifts[i].first) % shifts[i].step == 0)
			return (uint32_t)((int32_t)c + shifts[i].added);
	return c;
}

static const char *expanded(uint32_t c, const struct expansion *expansions, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (expansions[i].character == c)
			return expansions[i].text;
	return NULL;
}

static struct bytes encode(uint32_t c, struct arena *arena)
{
	uint8_t out[4];
	size_t size = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
	static const uint8_t lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
	struct bytes copy;

	for (size_t i = size - 1; i > 0; i--, c >>= 6)
		out[i] = (uint8_t)(0x80 | (c & 0x3f));
	out[0] = (uint8_t)(lead[size] | c);
	copy = arena_copy(arena, BYTES(out, size));
	CHECK(copy.data != NULL);
	return copy;
}

static void add_form(struct pattern_letter *letter, struct bytes form)
{
	for (uint32_t i = 0; i < letter->form_count; i++)
		if (bytes_equal(letter->forms[i], form))
			return;
	letter->forms[letter->form_count++] = form;
}

static void add_other_case(struct pattern_letter *letter, uint32_t c, uint32_t other, const char *text,
			   struct arena *arena)
{
	if (text != NULL)
		add_form(letter, bytes_of(text));
	else if (other != c)
		add_form(letter, encode(other, arena));
}

struct pattern_letters pattern_letters_of(struct bytes text, struct arena *arena)
{
	struct pattern_letters letters = {.items = arena_alloc(arena, text.size * sizeof *letters.items + 1)};

	CHECK(letters.items != NULL);
	for (size_t i = 0; i < text.size;) {
		struct pattern_letter *letter = &letters.items[letters.count++];
		uint32_t c = 0;
		size_t length = text_utf8_next(BYTES(text.data + i, text.size - i), &c);

		if (length == 0)
			length = 1; /* not UTF-8: itself only */
		add_form(letter, BYTES(text.data + i, length));
		add_other_case(letter, c, shifted(c, lower_shifts, ARRAY_LENGTH(lower_shifts)),
			       expanded(c, lower_expansions, ARRAY_LENGTH(lower_expansions)), arena);
		add_other_case(letter, c, shifted(c, upper_shifts, ARRAY_LENGTH(upper_shifts)),
			       expanded(c, upper_expansions, ARRAY_LENGTH(upper_expansions)), arena);
		i += length;
	}
	return letters;
}

/* How many bytes at the text's begin (or end) are the letter; 0: none. */
static size_t letter_size(const struct pattern_letter *letter, struct bytes text, bool at_end)
{
	for (uint32_t i = 0; i < letter->form_count; i++) {
		struct bytes form = letter->forms[i];

		if (form.size <= text.size &&
		    memcmp(text.data + (at_end ? text.size - form.size : 0), form.data, form.size) == 0)
			return form.size;
	}
	return 0;
}

/* The text is cut behind the letters. */
static bool skip_letters(const struct pattern_letters *letters, struct bytes *text)
{
	for (uint32_t i = 0; i < letters->count; i++) {
		size_t size = letter_size(&letters->items[i], *text, false);

		if (size == 0)
			return false;
		*text = BYTES(text->data + size, text->size - size);
	}
	return true;
}

bool pattern_letters_begin(const struct pattern_letters *letters, struct bytes text)
{
	return skip_letters(letters, &text);
}

bool pattern_letters_equal(const struct pattern_letters *letters, struct bytes text)
{
	return skip_letters(letters, &text) && text.size == 0;
}

bool pattern_letters_end(const struct pattern_letters *letters, struct bytes text)
{
	for (uint32_t i = letters->count; i > 0; i--) {
		size_t size = letter_size(&letters->items[i - 1], text, true);

		if (size == 0)
			return false;
		text.size -= size;
	}
	return true;
}
