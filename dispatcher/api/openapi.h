/* What the API is, as an OpenAPI 3.1 document (https://spec.openapis.org/oas/v3.1.0), made of routes.def,
 * queries.def and the tables of objects in jobs/api. Pure. */
#pragma once

#include "base/buf.h"

/* Appends the document, as JSON. */
void openapi_write(struct buf *out);
