#include "cli/reasons.h"

#include <ctype.h>

/* FNV-1a (http://www.isthe.com/chongo/tech/comp/fnv/) of what is not a number or its unit: "in 8s" and "in
 * 1m30s" are the same reason. */
static uint32_t mark_of(const char *why)
{
	uint32_t mark = 2166136261u;

	while (*why != '\0') {
		if (isdigit((unsigned char)*why)) {
			while (isalnum((unsigned char)*why) || *why == '.')
				why++;
			continue;
		}
		mark = (mark ^ (unsigned char)*why++) * 16777619u;
	}
	return mark;
}

bool reasons_note(struct reasons *r, usec_t mono_us, const char *why)
{
	uint32_t mark = mark_of(why);

	if (why[0] == '\0') {
		r->waits = false;
		return false;
	}
	if (!r->waits) {
		r->waits = true;
		r->since_us = mono_us;
	}
	if (mono_us - r->since_us < REASON_AFTER_US || r->count == REASONS_MAX)
		return false;
	for (size_t i = 0; i < r->count; i++)
		if (r->told[i] == mark)
			return false;
	r->told[r->count++] = mark;
	return true;
}
