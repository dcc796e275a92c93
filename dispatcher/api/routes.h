/* The tables of the API's routes (routes.def) and of what they are asked with (queries.def), and finding one.
 * Pure. */
#pragma once

#include "base/types.h"

enum route_id {
#define ROUTE(id, ...) ROUTE_##id,
#include "dispatcher/api/routes.def"
#undef ROUTE
	ROUTE_COUNT
};

struct route {
	enum route_id id;
	const char *name;
	const char *method;
	const char *path; /* with at most one {argument} */
	uint32_t since;
	const char *request, *answers; /* see routes.def */
	const char *doc;
};

const struct route *route_at(enum route_id id);

enum query_form { QUERY_NUMBER, QUERY_TEXT, QUERY_HEADER };

struct query {
	enum route_id route;
	enum query_form form;
	const char *name;
	uint64_t min, max, fallback; /* NUMBER */
	const char *words;	     /* TEXT; "": any */
	const char *doc;
};

/* The i-th of all; NULL behind the last. */
const struct query *query_at(size_t i);
/* NULL: the route is not asked with it. */
const struct query *query_find(enum route_id route, const char *name);

enum route_found {
	ROUTE_FOUND,
	ROUTE_NO_PATH,	 /* 404 */
	ROUTE_NO_METHOD, /* 405: the path is there; *ret_route is the first route that has it */
};

/* HEAD is answered as GET is. *ret_argument is what stands in {…}, borrowed from path; else empty. */
enum route_found route_find(const char *method, const char *path, const struct route **ret_route,
			    struct bytes *ret_argument) MUST_CHECK;
/* The methods that the path of `route` knows: "GET, POST", for Allow. Returns buf. */
const char *route_methods(const struct route *route, char *buf, size_t size);
