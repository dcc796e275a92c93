/* JSON as bytes in one pass: checked, and written again as canonical text (json.h), without a tree. Pure.
 *
 * A scanner takes what json_read takes, but for rare forms: keys with escapes or outside ASCII, long numbers,
 * integers that need more than 18 digits. It has no errors of its own: at the first byte that is wrong or
 * rare it says no, and the caller reads the text with json_read, which knows what is wrong and where. What is
 * taken has the text that json_read and json_write give. */
#pragma once

#include <jansson.h>

#include "base/buf.h"

struct json_scan_member;

struct json_scan {
	const uint8_t *at, *end;
	uint32_t depth_left; /* objects and arrays that may still be opened, one in the other */
	struct buf *out;     /* where the canonical text is appended */
	/* Of objects that are open; kept for the next. */
	struct json_scan_member *members;
	uint32_t member_count;
	uint32_t member_capacity;
	struct buf moved; /* members on their way to their places */
	struct buf text;  /* a string without its escapes */
};

void json_scan_init(struct json_scan *s, struct bytes text, uint32_t max_depth, struct buf *out);
void json_scan_fini(struct json_scan *s);

/* The next byte that is not blank; 0 at the end. */
uint8_t json_scan_peek(struct json_scan *s);
/* Takes the next byte that is not blank if it is c. */
bool json_scan_take(struct json_scan *s, uint8_t c) MUST_CHECK;
/* A member's key, as it stands, and the colon behind it. Writes nothing. */
bool json_scan_key(struct json_scan *s, struct bytes *ret) MUST_CHECK;
/* A value of any kind, written to out; after false, out has a part of it. */
bool json_scan_value(struct json_scan *s) MUST_CHECK;
