#include "dispatcher/rules.h"

#include "dispatcher/api/request.h"

static json_t *error_or_null(const struct error *e)
{
	json_t *outer, *inner;

	if (e->code == ERR_OK)
		return json_null();
	outer = json_of_error(e);
	inner = json_incref(json_object_get(outer, "error"));
	json_decref(outer);
	return inner;
}

static json_t *rule_json(const struct rule_view *v)
{
	json_t *value = json_object(), *error;
	const struct definition *d = v->definition;

	json_object_set_new(value, "name", d != NULL ? json_of_bytes(d->body.name) : json_null());
	json_object_set_new(value, "file", json_of_bytes(bytes_of(v->file)));
	json_object_set_new(value, "definition", d != NULL ? json_of_hex(d->body.sha256) : json_null());
	json_object_set_new(value, "error", error_or_null(v->error));
	json_object_set_new(value, "matched", json_integer((json_int_t)v->matched));
	error = error_or_null(v->job_error);
	if (json_is_object(error)) {
		json_object_set_new(error, "event", json_of_bytes(bytes_of(v->job_error_event)));
		json_object_set_new(error, "time", json_of_time(v->job_error_wall_us));
	}
	json_object_set_new(value, "job_error", error);
	return value;
}

void api_rules(struct request *r)
{
	json_t *answer = json_object(), *list = json_array();

	for (size_t i = 0; i < rules_count(r->server->rules); i++) {
		struct rule_view v;

		rules_at(r->server->rules, i, &v);
		json_array_append_new(list, rule_json(&v));
	}
	json_object_set_new(answer, "rules", list);
	request_answer(r, MHD_HTTP_OK, answer);
}
