#include "dispatcher/api/job_json.h"
#include "jobs/kinds.h"

static json_t *dead_json(const struct view_dead *d, uint32_t phase)
{
	json_t *value = json_object();

	json_object_set_new(value, "phase", json_integer(phase));
	json_object_set_new(value, "first", json_integer(d->shards.first));
	json_object_set_new(value, "count", json_integer(d->shards.count));
	json_object_set_new(value, "kind", json_string(failure_kind_name(d->kind)));
	json_object_set_new(value, "code", d->noted ? json_integer(d->code) : json_null());
	json_object_set_new(value, "why", d->noted ? json_of_bytes(d->why) : json_null());
	return value;
}

void api_shards(struct request *r)
{
	struct view_dead dead[1000];
	struct arena arena;
	struct view_job v;
	struct error e = {0};
	json_t *answer, *list;
	uint64_t job, limit, cursor;
	size_t count;
	bool found;

	if (!request_job(r, &job))
		return;
	arena_init(&arena, 0);
	found = dispatcher_view_job(r->server->core, job, &arena, &v);
	arena_fini(&arena);
	if (!found)
		error_set(&e, ERR_NOT_FOUND, "job %llu is not there (any more)", (unsigned long long)job);
	if (!found || request_query_number(r, "limit", 1, ARRAY_LENGTH(dead), 100, &limit, &e) < 0 ||
	    request_query_number(r, "cursor", 0, SHARDS_MAX, 0, &cursor, &e) < 0) {
		request_fail(r, &e);
		return;
	}
	count = dispatcher_view_dead(r->server->core, job, &cursor, dead, limit);
	answer = json_object();
	list = json_array();
	for (size_t i = 0; i < count; i++)
		json_array_append_new(list, dead_json(&dead[i], v.phase));
	json_object_set_new(answer, "shards", list);
	json_object_set_new(answer, "next", count == limit ? json_integer((json_int_t)cursor) : json_null());
	request_answer(r, MHD_HTTP_OK, answer);
}
