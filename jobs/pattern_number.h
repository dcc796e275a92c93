/* Numbers in patterns and events, compared as EventBridge compares them. Pure.
 *
 * A number is compared by its value when the shortest text of its double (binary64) is that value again, so
 * 1, 1.0 and 10e-1 are equal. Other numbers (9007199254740993) equal only the same integer, and lie in no
 * range. Source: event-ruler's ComparableNumber. */
#pragma once

#include <jansson.h>

#include "base/types.h"

struct pattern_number {
	double real;
	int64_t integer; /* of a json_integer */
	bool comparable;
	bool is_integer;
};

/* A JSON number, and its text as it was written; text.size 0: it is not known. */
struct pattern_number pattern_number_of(const json_t *value, struct bytes text);
bool pattern_number_equal(const struct pattern_number *a, const struct pattern_number *b);
