/* How often a test repeats itself: MILL_TEST (quick, normal or long, as ./mill test was asked) chooses.
 * Without it: normal. tests/run.py gives a sanitizer's build the word below that of the plain one. */
#pragma once

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static inline uint32_t effort(uint32_t quick, uint32_t normal, uint32_t longest)
{
	const char *mode = getenv("MILL_TEST");

	if (mode != NULL && strcmp(mode, "quick") == 0)
		return quick;
	return mode != NULL && strcmp(mode, "long") == 0 ? longest : normal;
}
