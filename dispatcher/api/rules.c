#include "dispatcher/rules.h"

#include "dispatcher/api/job_json.h"
#include "dispatcher/intake/buckets.h"

static json_t *rule_json(const struct rule_view *v)
{
	const struct definition *d = v->definition;
	struct api_rule rule = {
	    .file = bytes_of(v->file),
	    .has_error = v->error->code != ERR_OK,
	    .error = api_error_of(v->error),
	    .last_good = v->error->code != ERR_OK && d != NULL,
	    .matched = v->matched,
	    .has_job_error = v->job_error->code != ERR_OK,
	};
	const struct api_error job_error = api_error_of(v->job_error);
	char sha256[HEX_BYTES_MAX];

	if (d != NULL) {
		rule.has_name = rule.has_definition = true;
		rule.name = d->body.name;
		rule.definition = hex_of(d->body.sha256, sha256);
	}
	rule.job_error = (struct api_rule_job_error){.code = job_error.code,
						     .message = job_error.message,
						     .where = job_error.where,
						     .help = job_error.help,
						     .event = bytes_of(v->job_error_event),
						     .time_wall_us = v->job_error_wall_us};
	return object_write(object_rule(), &rule);
}

void rules_add_status(const struct services *s, struct api_status *status, struct error *reterr)
{
	status->rules = rules_count(s->rules);
	for (size_t i = 0; i < status->rules; i++) {
		struct rule_view v;

		rules_at(s->rules, i, &v);
		status->rules_stale += v.error->code != ERR_OK && v.definition != NULL;
		status->rules_unreadable += v.definition == NULL;
	}
	status->has_rules_error = rules_are_ready(s->rules, reterr) < 0;
	status->rules_error = api_error_of(reterr);
}

static int read_apply(const json_t *body, struct api_apply *ret, struct error *reterr)
{
	int rc = object_read_request(object_apply(), body, ret, reterr);

	if (rc < 0 || ret->rule.data != NULL)
		return rc;
	error_set(reterr, ERR_INVALID, "expected the name of a rule");
	return error_where(reterr, "rule");
}

void api_apply_rule(struct request *r)
{
	json_t *body = request_object(r), *answer = NULL;
	struct api_apply apply;
	struct error e = {0};
	int rc;

	if (body == NULL)
		return;
	rc = read_apply(body, &apply, &e);
	if (rc == 0)
		rc = buckets_apply(r->services, api_text(apply.rule),
				   apply.bucket.data != NULL ? api_text(apply.bucket) : NULL,
				   (usec_t)apply.since * USEC_PER_SEC, &answer, &e);
	json_decref(body);
	if (rc == 0)
		request_answer(r, MHD_HTTP_OK, answer);
	else
		request_fail(r, &e);
}

void api_rules(struct request *r)
{
	struct api_rules answer = {.rules = json_array()};

	for (size_t i = 0; i < rules_count(r->services->rules); i++) {
		struct rule_view v;

		rules_at(r->services->rules, i, &v);
		json_array_append_new(answer.rules, rule_json(&v));
	}
	request_answer(r, MHD_HTTP_OK, object_write(object_rules(), &answer));
}
