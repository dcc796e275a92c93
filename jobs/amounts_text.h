/* Named resources as people write them on a command line: license=4,scratch=0.5. Pure. */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "jobs/schema.h"

/* At most NAMED_RESOURCES_MAX, sorted by name, each once; "" is none. The names point into the text.
 * ret->items is the caller's, and has room for all. */
int amounts_parse_named(const char *text, struct named_amount_list *ret, struct error *reterr) MUST_CHECK;
/* The same back; appended to out. */
void amounts_format_named(const struct named_amount_list *named, struct buf *out);
/* A name of a definition, of a queue, of a resource: letters, digits and, behind the first, . _ and -; at
 * most NAME_BYTES_MAX. */
bool is_name(struct bytes text);
