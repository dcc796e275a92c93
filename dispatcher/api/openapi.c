#include "dispatcher/api/openapi.h"

#include <ctype.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "dispatcher/api/routes.h"
#include "jobs/api/objects.h"
#include "jobs/json.h"

#define SCHEMAS "#/components/schemas/"

static json_t *reference(const char *place, struct bytes name)
{
	char path[128];

	snprintf(path, sizeof(path), "%s%.*s", place, (int)name.size, (const char *)name.data);
	return json_pack("{s:s}", "$ref", path);
}

/* ---- what is asked with ---- */

static json_t *number_schema(const struct query *q)
{
	json_t *schema = json_pack("{s:s,s:I,s:I}", "type", "integer", "minimum", (json_int_t)q->min,
				   "maximum", (json_int_t)q->max);

	/* Where a must depends on the job, the documentation tells it. */
	if (q->fallback >= q->min && q->doc[0] == '\0')
		json_object_set_new(schema, "default", json_integer((json_int_t)q->fallback));
	return schema;
}

static json_t *text_schema(const char *words)
{
	json_t *schema = json_pack("{s:s}", "type", "string"), *list = json_array();

	for (; *words != '\0'; words += strspn(words, " ")) {
		json_array_append_new(list, json_stringn(words, strcspn(words, " ")));
		words += strcspn(words, " ");
	}
	if (json_array_size(list) > 0)
		json_object_set(schema, "enum", list);
	json_decref(list);
	return schema;
}

static json_t *query_json(const struct query *q)
{
	json_t *json =
	    json_pack("{s:s,s:s,s:o}", "name", q->name, "in", q->form == QUERY_HEADER ? "header" : "query",
		      "schema", q->form == QUERY_NUMBER ? number_schema(q) : text_schema(q->words));

	if (q->doc[0] != '\0')
		json_object_set_new(json, "description", json_string(q->doc));
	return json;
}

/* {id}, {worker} or {name} of the path. */
static json_t *argument_json(const char *name, size_t length)
{
	json_t *schema =
	    strncmp(name, "id", length) == 0
		? json_pack("{s:s,s:i}", "type", "integer", "minimum", 1)
		: json_pack("{s:s,s:s}", "type", "string", "pattern",
			    strncmp(name, "name", length) == 0 ? "^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"
							       : "^[0-9a-f]{32}$");

	return json_pack("{s:s%,s:s,s:b,s:o}", "name", name, length, "in", "path", "required", 1, "schema",
			 schema);
}

static json_t *parameters(const struct route *route)
{
	const char *brace = strchr(route->path, '{');
	json_t *list = json_array();

	if (brace != NULL)
		json_array_append_new(list, argument_json(brace + 1, strcspn(brace + 1, "}")));
	for (size_t i = 0; query_at(i) != NULL; i++)
		if (query_at(i)->route == route->id)
			json_array_append_new(list, query_json(query_at(i)));
	return list;
}

/* ---- bodies ---- */

static json_t *content(const char *media_type, json_t *schema)
{
	json_t *inner = json_object();

	if (schema != NULL)
		json_object_set_new(inner, "schema", schema);
	return json_pack("{s:o}", media_type, inner);
}

static json_t *request_body(const struct route *route)
{
	bool any = strcmp(route->request, "*") == 0;
	json_t *schema = any ? json_object() : reference(SCHEMAS, bytes_of(route->request));

	CHECK(any || object_of(bytes_of(route->request)) != NULL);
	return json_pack("{s:o,s:b}", "content", content("application/json", schema), "required",
			 strcmp(route->request, "reason") != 0);
}

/* "object" or "=media type" */
static json_t *answer_json(struct bytes what)
{
	const struct object_type *o = object_of(what);
	char media_type[64];

	if (o != NULL)
		return json_pack("{s:s,s:o}", "description", o->doc, "content",
				 content("application/json", reference(SCHEMAS, what)));
	CHECK(what.size > 1 && what.size < sizeof(media_type) && what.data[0] == '=');
	snprintf(media_type, sizeof(media_type), "%.*s", (int)what.size - 1, (const char *)what.data + 1);
	return json_pack("{s:s,s:o}", "description", "The answer.", "content", content(media_type, NULL));
}

static json_t *answers(const struct route *route)
{
	json_t *json = json_object();
	char status[4] = "";

	for (const char *at = route->answers; *at != '\0'; at += strspn(at, ", ")) {
		size_t length = strcspn(at, ",");

		CHECK(length > 4 && at[3] == ' ');
		memcpy(status, at, 3);
		json_object_set_new(json, status, answer_json(BYTES(at + 4, length - 4)));
		at += length;
	}
	json_object_set_new(json, "default", reference("#/components/responses/", BYTES_LIT("error")));
	return json;
}

/* ---- the document ---- */

static json_t *operation(const struct route *route)
{
	json_t *json = json_pack("{s:s,s:s,s:i,s:o}", "operationId", route->name, "description", route->doc,
				 "x-since", (int)route->since, "responses", answers(route));
	json_t *list = parameters(route);

	if (json_array_size(list) > 0)
		json_object_set(json, "parameters", list);
	json_decref(list);
	if (route->request[0] != '\0')
		json_object_set_new(json, "requestBody", request_body(route));
	return json;
}

static json_t *paths(void)
{
	json_t *json = json_object();

	for (size_t i = 0; i < ROUTE_COUNT; i++) {
		const struct route *route = route_at((enum route_id)i);
		json_t *path = json_object_get(json, route->path);
		char method[16];
		size_t size = 0;

		if (path == NULL) {
			path = json_object();
			json_object_set_new(json, route->path, path);
		}
		for (; route->method[size] != '\0' && size < sizeof(method); size++)
			method[size] = (char)tolower(route->method[size]);
		json_object_setn_new(path, method, size, operation(route));
	}
	return json;
}

static bool is_request(const struct object_type *o)
{
	for (size_t i = 0; i < ROUTE_COUNT; i++)
		if (strcmp(route_at((enum route_id)i)->request, o->name) == 0)
			return true;
	return strcmp(o->name, "command") == 0; /* inside a submission */
}

static json_t *schemas(void)
{
	json_t *json = json_object();

	for (size_t i = 0; object_at(i) != NULL; i++)
		json_object_set_new(json, object_at(i)->name,
				    object_schema(object_at(i), is_request(object_at(i))));
	return json;
}

static json_t *components(void)
{
	json_t *error = answer_json(BYTES_LIT("error_answer"));

	json_object_set_new(error, "description",
			    json_string("What went wrong. 429 and 503 have Retry-After."));
	return json_pack("{s:o,s:{s:o},s:{s:{s:s,s:s,s:s}}}", "schemas", schemas(), "responses", "error",
			 error, "securitySchemes", "token", "type", "http", "scheme", "bearer", "description",
			 "The token in keys/api-token of the state directory.");
}

void openapi_write(struct buf *out)
{
	char version[16];
	json_t *json;

	snprintf(version, sizeof(version), "1.%d", API_REVISION);
	json = json_pack("{s:s,s:{s:s,s:s,s:s},s:[{s:s,s:s}],s:[{},{s:[]}],s:o,s:o}", "openapi", "3.1.0",
			 "info", "title", "Shardmill", "version", version, "description",
			 "The dispatcher's API. x-since is the revision, the second number of the version, "
			 "that brought a route or a member; an answer may have members that are newer than "
			 "its reader. A change is answered when it is durable, never sooner.",
			 "servers", "url", "/", "description",
			 "The Unix socket, without a token, and with --api-listen TCP, with one.", "security",
			 "token", "paths", paths(), "components", components());
	CHECK(json != NULL);
	json_write(out, json);
	buf_append(out, "\n", 1);
	json_decref(json);
}
