/* Values for answers of the API, which all who tell of themselves make. New references. */
#pragma once

#include <jansson.h>

#include "base/error.h"
#include "jobs/schema.h"

json_t *json_of_bytes(struct bytes text); /* bytes that are no UTF-8 are escaped */
json_t *json_of_hex(struct bytes bytes);
json_t *json_of_time(usec_t wall_us); /* RFC 3339; 0 = null */
/* {kind, name, number, text}; null for nobody. */
json_t *json_of_principal(const struct principal *p);
json_t *json_of_error(const struct error *e); /* {"error": {…}} */
