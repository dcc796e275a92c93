/* Values of the API's JSON, which all who tell of themselves make. New references. Pure. */
#pragma once

#include "jobs/api/objects.h"

#define HEX_BYTES_MAX 65 /* of a sha256, with its NUL */

json_t *json_of_bytes(struct bytes text);     /* bytes that are no UTF-8 are escaped */
json_t *json_of_time(usec_t wall_us);	      /* RFC 3339; 0 = null */
json_t *json_of_error(const struct error *e); /* {"error": {…}} */
/* Borrowed from e. */
struct api_error api_error_of(const struct error *e);
/* As lower-case hex digits, in buf. */
struct bytes hex_of(struct bytes bytes, char buf[HEX_BYTES_MAX]);
