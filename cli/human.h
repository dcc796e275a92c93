/* How quantities are written for people. Pure, but for the time zone and the locale. The functions return
 * buf, of HUMAN_TEXT_MAX bytes or more. */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/types.h"

#define HUMAN_TEXT_MAX 48u

/* 1,234,567 */
const char *human_count(uint64_t n, char *buf, size_t size);
/* 512 B, 1.5 GiB: three digits are enough to see. */
const char *human_size(uint64_t bytes, char *buf, size_t size);
/* 0.4 s, 12 s, 3 min 20 s, 1 h 3 min, 2 d 4 h; 35 ms below a tenth of a second. */
const char *human_span(usec_t us, char *buf, size_t size);
/* just now, 12 s ago, 3 min ago; of what is yet to come: in 3 min. */
const char *human_ago(usec_t wall_us, usec_t now_wall_us, char *buf, size_t size);
/* Shards a second: 0.25/s, 12/s, 1,300/s. */
const char *human_rate(double per_second, char *buf, size_t size);
/* 52 % rounded down: all of it is 100 %, and nothing less. "" when total is 0. */
const char *human_percent(uint64_t part, uint64_t total, char *buf, size_t size);

/* 2024-05-01 14:00:03 CEST: in the time zone of whoever reads it. */
const char *human_time(usec_t wall_us, char *buf, size_t size);
/* A time of RFC 3339 with Z or an offset, as the API writes it; ERR_INVALID. */
int human_parse_time(const char *text, usec_t *ret_wall_us) MUST_CHECK;

/* Appends text as it may be shown on a terminal: what could drive it, end the line or turn the
 * direction of writing is escaped (base/text.h), quotes and backslashes are left. With lines, a
 * newline stays one. */
void human_text(struct buf *out, struct bytes text, bool lines);
/* Appends one line of what may be several, as where only one is shown: the sentence before them and the last.
 */
void human_line(struct buf *out, struct bytes text);
/* The same with all of them; those behind the first are indented. */
void human_lines(struct buf *out, struct bytes text, size_t indent);
/* Columns that text takes on a terminal; it must have gone through human_text. */
size_t human_width(struct bytes text);
/* Bytes of the longest beginning of text that takes at most width columns. */
size_t human_fit(struct bytes text, size_t width);
