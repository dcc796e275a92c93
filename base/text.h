/* Bytes from strangers, made fit for one line of a log, a message or JSON. Pure.
 *
 * What is escaped: control characters (C0, DEL, C1), line separators and marks that turn the
 * direction of writing (they can make a terminal show what is not there), quotes, backslashes, and
 * whatever is not UTF-8 (RFC 3629: overlong forms and surrogates are not). */
#pragma once

#include "base/buf.h"
#include "base/types.h"

/* Bytes of the character that b begins with, its code point in *ret_code (may be NULL);
 * 0 when b is empty or begins with no UTF-8. */
size_t text_utf8_next(struct bytes b, uint32_t *ret_code);
bool text_is_utf8(struct bytes b);
/* Appends b with \n \t \r \" \\ and \xNN (for each byte of what is escaped). */
void text_escape(struct buf *out, struct bytes b);
/* The inside of a JSON string (RFC 8259): \n \t \r \" \\ and \uNNNN; a byte that is not UTF-8
 * becomes the four characters \xNN, so that it can still be read. */
void text_escape_json(struct buf *out, struct bytes b);
/* For messages: b in double quotes, escaped, cut with an ellipsis when it does not fit into size
 * (>= 8, the NUL included). Returns buf. */
const char *text_quote(char *buf, size_t size, struct bytes b);

#define TEXT_DISTANCE_BYTES_MAX 64u
/* Edits (insert, delete, change a byte, swap two neighbours) from a to b, to guess what was meant; SIZE_MAX
 * when one is longer than TEXT_DISTANCE_BYTES_MAX. */
size_t text_distance(struct bytes a, struct bytes b);
/* The one of `known` that a person probably meant: at most a third of it mistyped, or the first that begins
 * with what was typed; else NULL. */
const char *text_nearest(struct bytes typed, const char *const known[], size_t known_count);

#define TEXT_LINES_MAX 8u
/* The last lines of what a program wrote: at most `lines` (up to TEXT_LINES_MAX), and of these the last that
 * fit whole into size, the NUL included; a last one that does not fit is cut at its end. Empty lines are left
 * out. */
void text_last_lines(char *buf, size_t size, struct bytes written, unsigned lines);
/* What stands between a sentence and such lines behind it: nothing when there are none, ":\n" before several,
 * so that they stand by themselves; else one_line. */
const char *text_joint(struct bytes words, const char *one_line);

/* Two lower-case digits a byte and a NUL; as many bytes as fit. Returns buf. */
const char *text_hex(char *buf, size_t size, struct bytes b);
/* 0 to 15, of a digit in either case; else -1. */
int text_hex_digit(uint8_t c);
