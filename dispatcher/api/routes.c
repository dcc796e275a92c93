#include "dispatcher/api/routes.h"

#include <stdio.h>
#include <string.h>

#include "base/limits.h"

static const struct route routes[ROUTE_COUNT] = {
#define ROUTE(id, method, path, since, request, answers, doc)                                                \
	{ROUTE_##id, #id, method, path, since, request, answers, doc},
#include "dispatcher/api/routes.def"
#undef ROUTE
};

static const struct query queries[] = {
#define NUMBER(route_, name_, min_, max_, fallback_, doc_)                                                   \
	{.route = ROUTE_##route_,                                                                            \
	 .form = QUERY_NUMBER,                                                                               \
	 .name = name_,                                                                                      \
	 .min = min_,                                                                                        \
	 .max = max_,                                                                                        \
	 .fallback = fallback_,                                                                              \
	 .words = "",                                                                                        \
	 .doc = doc_},
#define TEXT(route_, name_, words_, doc_)                                                                    \
	{.route = ROUTE_##route_, .form = QUERY_TEXT, .name = name_, .words = words_, .doc = doc_},
#define HEADER(route_, name_, doc_)                                                                          \
	{.route = ROUTE_##route_, .form = QUERY_HEADER, .name = name_, .words = "", .doc = doc_},
#include "dispatcher/api/queries.def"
#undef NUMBER
#undef TEXT
#undef HEADER
};

const struct query *query_at(size_t i)
{
	return i < ARRAY_LENGTH(queries) ? &queries[i] : NULL;
}

const struct query *query_find(enum route_id route, const char *name)
{
	for (size_t i = 0; i < ARRAY_LENGTH(queries); i++)
		if (queries[i].route == route && strcmp(queries[i].name, name) == 0)
			return &queries[i];
	return NULL;
}

const struct route *route_at(enum route_id id)
{
	return &routes[id];
}

static bool path_matches(const char *pattern, const char *path, struct bytes *ret_argument)
{
	struct bytes argument = {0};

	for (;; pattern++, path++) {
		if (*pattern == '{') {
			size_t length = strcspn(path, "/");

			if (length == 0)
				return false;
			argument = BYTES(path, length);
			pattern = strchr(pattern, '}') + 1;
			path += length;
		}
		if (*pattern != *path)
			return false;
		if (*pattern == '\0')
			break;
	}
	*ret_argument = argument;
	return true;
}

enum route_found route_find(const char *method, const char *path, const struct route **ret_route,
			    struct bytes *ret_argument)
{
	const struct route *other = NULL;

	if (strcmp(method, "HEAD") == 0)
		method = "GET";
	for (size_t i = 0; i < ROUTE_COUNT; i++) {
		struct bytes argument;

		if (!path_matches(routes[i].path, path, &argument))
			continue;
		if (strcmp(routes[i].method, method) == 0) {
			*ret_route = &routes[i];
			*ret_argument = argument;
			return ROUTE_FOUND;
		}
		if (other == NULL)
			other = &routes[i];
	}
	if (other == NULL)
		return ROUTE_NO_PATH;
	*ret_route = other;
	return ROUTE_NO_METHOD;
}

const char *route_methods(const struct route *route, char *buf, size_t size)
{
	size_t used = 0;

	buf[0] = '\0';
	for (size_t i = 0; i < ROUTE_COUNT && used < size; i++)
		if (strcmp(routes[i].path, route->path) == 0)
			used += (size_t)snprintf(buf + used, size - used, "%s%s", used > 0 ? ", " : "",
						 routes[i].method);
	return buf;
}
