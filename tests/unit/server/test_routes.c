/* The table of routes finds what it lists, and says what is wrong with the rest. */
#include <criterion/criterion.h>
#include <string.h>

#include "dispatcher/api/routes.h"

Test(routes, are_found_by_method_and_path)
{
	static const struct {
		const char *method, *path;
		enum route_found found;
		enum route_id id;
		const char *argument;
	} cases[] = {
	    {"GET", "/v1/status", ROUTE_FOUND, ROUTE_status, ""},
	    {"HEAD", "/v1/status", ROUTE_FOUND, ROUTE_status, ""},
	    {"GET", "/v1/jobs", ROUTE_FOUND, ROUTE_jobs, ""},
	    {"POST", "/v1/jobs", ROUTE_FOUND, ROUTE_submit, ""},
	    {"GET", "/v1/jobs/12", ROUTE_FOUND, ROUTE_job, "12"},
	    {"GET", "/v1/jobs/../../etc", ROUTE_NO_PATH, 0, ""},
	    {"GET", "/v1/jobs/12/wait", ROUTE_FOUND, ROUTE_wait, "12"},
	    {"POST", "/v1/jobs/x y/cancel", ROUTE_FOUND, ROUTE_cancel, "x y"},
	    {"POST", "/v1/jobs//cancel", ROUTE_NO_PATH, 0, ""},
	    {"GET", "/v1/jobs/12/cancel", ROUTE_NO_METHOD, ROUTE_cancel, ""},
	    {"DELETE", "/v1/jobs", ROUTE_NO_METHOD, ROUTE_submit, ""},
	    {"POST", "/v1/workers/00ff/drain", ROUTE_FOUND, ROUTE_drain, "00ff"},
	    {"GET", "/v1/jobs/12/", ROUTE_NO_PATH, 0, ""},
	    {"GET", "/v1/jobs/", ROUTE_NO_PATH, 0, ""},
	    {"GET", "/v1", ROUTE_NO_PATH, 0, ""},
	    {"GET", "/", ROUTE_NO_PATH, 0, ""},
	    {"GET", "", ROUTE_NO_PATH, 0, ""},
	    {"get", "/v1/status", ROUTE_NO_METHOD, ROUTE_status, ""},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		const struct route *route = NULL;
		struct bytes argument = {0};
		enum route_found found = route_find(cases[i].method, cases[i].path, &route, &argument);

		cr_assert_eq(found, cases[i].found, "%s %s", cases[i].method, cases[i].path);
		if (found == ROUTE_FOUND)
			cr_assert(bytes_equal(argument, bytes_of(cases[i].argument)), "%s", cases[i].path);
		if (found != ROUTE_NO_PATH)
			cr_assert_eq(route->id, cases[i].id, "%s %s gave %s", cases[i].method, cases[i].path,
				     route->name);
	}
}

Test(routes, name_the_methods_of_a_path)
{
	char methods[64];

	cr_assert_str_eq(route_methods(route_at(ROUTE_jobs), methods, sizeof(methods)), "POST, GET");
	cr_assert_str_eq(route_methods(route_at(ROUTE_cancel), methods, sizeof(methods)), "POST");
}

Test(routes, are_each_found_by_their_own_path)
{
	for (size_t i = 0; i < ROUTE_COUNT; i++) {
		const struct route *route = route_at((enum route_id)i), *found = NULL;
		struct bytes argument;

		cr_assert_eq(route_find(route->method, route->path, &found, &argument), ROUTE_FOUND);
		cr_assert_eq(found, route, "%s is hidden by %s", route->name, found->name);
		cr_assert(strlen(route->doc) > 0 || strstr(route->path, "{id}") != NULL);
	}
}
