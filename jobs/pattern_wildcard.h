/* Texts with stars: * stands for any characters, also none. Pure.
 *
 * The texts between the stars are searched one behind the other, each once, so that the cost is linear in the
 * text whatever the pattern is. */
#pragma once

#include "base/arena.h"

struct pattern_wildcard {
	struct bytes *parts; /* between the stars */
	uint32_t part_count; /* stars + 1 */
};

/* \* and \\ stand for themselves. NULL, or what is wrong with it, and at which character (from 1).
 * Bound: PATTERN_STARS_MAX. */
const char *pattern_wildcard_parse(struct bytes text, struct arena *arena, struct pattern_wildcard *ret,
				   size_t *ret_at) MUST_CHECK;
bool pattern_wildcard_matches(const struct pattern_wildcard *w, struct bytes text);
