#include "dispatcher/rules.h"

#include "dispatcher/api/job_json.h"
#include "dispatcher/intake/buckets.h"

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
	json_object_set_new(value, "last_good", json_boolean(v->error->code != ERR_OK && d != NULL));
	json_object_set_new(value, "matched", json_integer((json_int_t)v->matched));
	error = error_or_null(v->job_error);
	if (json_is_object(error)) {
		json_object_set_new(error, "event", json_of_bytes(bytes_of(v->job_error_event)));
		json_object_set_new(error, "time", json_of_time(v->job_error_wall_us));
	}
	json_object_set_new(value, "job_error", error);
	return value;
}

void rules_add_status(const struct services *s, json_t *value)
{
	size_t count = rules_count(s->rules), stale = 0, unreadable = 0;
	struct error e = {0};

	for (size_t i = 0; i < count; i++) {
		struct rule_view v;

		rules_at(s->rules, i, &v);
		stale += v.error->code != ERR_OK && v.definition != NULL;
		unreadable += v.definition == NULL;
	}
	json_object_set_new(value, "rules", json_integer((json_int_t)count));
	json_object_set_new(value, "rules_stale", json_integer((json_int_t)stale));
	json_object_set_new(value, "rules_unreadable", json_integer((json_int_t)unreadable));
	json_object_set_new(value, "rules_error",
			    rules_are_ready(s->rules, &e) < 0 ? error_or_null(&e) : json_null());
}

static int read_apply(json_t *body, const char **ret_rule, const char **ret_bucket, usec_t *ret_since_us,
		      struct error *reterr)
{
	static const char *const names[] = {"rule", "bucket", "since", NULL};
	json_t *since = json_object_get(body, "since");
	int rc = object_only(body, names, reterr);

	if (rc == 0)
		rc = object_text(body, "rule", ret_rule, reterr);
	if (rc == 0)
		rc = object_text(body, "bucket", ret_bucket, reterr);
	if (rc < 0)
		return rc;
	if (*ret_rule == NULL) {
		error_set(reterr, ERR_INVALID, "expected the name of a rule");
		return error_where(reterr, "rule");
	}
	if (since != NULL && (!json_is_integer(since) || json_integer_value(since) < 0 ||
			      json_integer_value(since) > INT64_MAX / USEC_PER_SEC)) {
		error_set(reterr, ERR_INVALID, "expected seconds since 1970");
		return error_where(reterr, "since");
	}
	*ret_since_us = json_integer_value(since) * USEC_PER_SEC;
	return 0;
}

void api_apply_rule(struct request *r)
{
	json_t *body = request_object(r), *answer = NULL;
	const char *rule = NULL, *bucket = NULL;
	usec_t since_us = 0;
	struct error e = {0};
	int rc;

	if (body == NULL)
		return;
	rc = read_apply(body, &rule, &bucket, &since_us, &e);
	if (rc == 0)
		rc = buckets_apply(r->services, rule, bucket, since_us, &answer, &e);
	json_decref(body);
	if (rc == 0)
		request_answer(r, MHD_HTTP_OK, answer);
	else
		request_fail(r, &e);
}

void api_rules(struct request *r)
{
	json_t *answer = json_object(), *list = json_array();

	for (size_t i = 0; i < rules_count(r->services->rules); i++) {
		struct rule_view v;

		rules_at(r->services->rules, i, &v);
		json_array_append_new(list, rule_json(&v));
	}
	json_object_set_new(answer, "rules", list);
	request_answer(r, MHD_HTTP_OK, answer);
}
