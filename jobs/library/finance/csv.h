/* Lines of comma separated fields, as both input files have them. Pure.
 *
 * Blanks around a field do not count, nor do empty lines and lines that begin with #. Lines end with LF
 * or CRLF. Fields are not quoted: names of assets and numbers need no quotes, and a quote is refused. */
#pragma once

#include "base/error.h"
#include "base/types.h"

#define CSV_FIELDS_MAX 1001u

struct csv {
	const char *name; /* of the file, for errors */
	struct bytes text;
	size_t at;
	uint32_t line; /* number of the last line read, from 1 */
	struct bytes fields[CSV_FIELDS_MAX];
	uint32_t field_count;
};

void csv_init(struct csv *c, const char *name, struct bytes text);
/* 1: the next line's fields are there; 0: no more; ERR_INVALID, ERR_LIMIT with file and line. */
int csv_next(struct csv *c, struct error *reterr) MUST_CHECK;
/* Adds the place, file:line, to an error that is set; returns its code. */
int csv_where(const struct csv *c, struct error *reterr);
/* A finite decimal number, all of the field. */
bool csv_number(struct bytes field, double *ret) MUST_CHECK;
/* A field for an error: quoted, cut where it is long. */
const char *csv_quote(struct bytes field, char ret[48]);
