/* Comma-separated values, as RFC 4180 has them, but that lines end with a newline alone; and the API's
 * objects as such. Pure. */
#pragma once

#include "base/buf.h"
#include "jobs/api/objects.h"

/* Appends a field, quoted where it has to be; begun: the line has one already. */
void csv_field(struct buf *out, struct bytes text, bool begun);
/* A line with the names of the object's members, those of an object in it among them. */
void csv_titles(struct buf *out, const struct object_type *o);
/* A line with their values; what is null or missing is empty. */
void csv_values(struct buf *out, const struct object_type *o, const json_t *json);
