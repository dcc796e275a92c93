/* Attributes of an event that the canonical form has no member for: traceparent, partitionkey, whatever a
 * producer adds. They are kept below `extensions`, as CloudEvents' extension context attributes are: names of
 * lower-case letters and digits, values that are text, numbers or booleans. Others are not kept, nor are
 * those beyond the bounds. Source: CloudEvents 1.0.2, "Context Attributes". Pure. */
#pragma once

#include <jansson.h>

#define EVENT_EXTENSIONS_MAX 32
#define EVENT_EXTENSION_NAME_BYTES_MAX 64
#define EVENT_EXTENSION_BYTES_MAX 1024 /* of a text */

/* Members of `from` that are not among `known` (NULL ends them), and what stands in its member `extensions`,
 * become to["extensions"]; nothing when there is none. */
void event_take_extensions(const json_t *from, const char *const known[], json_t *to);
