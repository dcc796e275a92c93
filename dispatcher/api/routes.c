#include "dispatcher/api/routes.h"

#include <stdio.h>
#include <string.h>

static const struct route routes[ROUTE_COUNT] = {
#define ROUTE(id, method, path, doc) {ROUTE_##id, #id, method, path, doc},
#include "dispatcher/api/routes.def"
#undef ROUTE
};

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
