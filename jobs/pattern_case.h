/* Texts compared without their case, character by character, with Unicode's upper and lower case (ß is SS,
 * too). Pure. */
#pragma once

#include "base/arena.h"

/* One character: the texts that it matches. */
#define PATTERN_FORMS_MAX 3
struct pattern_letter {
	struct bytes forms[PATTERN_FORMS_MAX];
	uint32_t form_count;
};

struct pattern_letters {
	struct pattern_letter *items;
	uint32_t count;
};

struct pattern_letters pattern_letters_of(struct bytes text, struct arena *arena);
bool pattern_letters_equal(const struct pattern_letters *letters, struct bytes text);
bool pattern_letters_begin(const struct pattern_letters *letters, struct bytes text);
bool pattern_letters_end(const struct pattern_letters *letters, struct bytes text);
