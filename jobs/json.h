/* Canonical JSON: keys sorted by their bytes, no blanks, the shortest number that reads back as the
 * same, UTF-8 as it is but for control characters and line separators. Equal values, equal text. Pure. */
#pragma once

#include <jansson.h>

#include "base/buf.h"
#include "base/error.h"

/* A new reference; NULL with reterr. Refused: more than max_bytes, nesting beyond max_depth, keys
 * given twice, NUL characters, text that is not UTF-8. where is "line:column". */
json_t *json_read(struct bytes text, size_t max_bytes, uint32_t max_depth, struct error *reterr) MUST_CHECK;
void json_write(struct buf *out, const json_t *value);
/* The fewest digits that read back as the same double; always with a point or an exponent, so that a
 * real stays one. */
void json_write_real(struct buf *out, double value);
/* "a string", "an object", …: for "found …". */
const char *json_kind_name(const json_t *value);
/* A string's bytes; empty when value is not a string (or NULL). */
struct bytes json_bytes(const json_t *value);
