#include "jobs/instantiate.h"

#include <string.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/text.h"
#include "base/url.h"
#include "jobs/after_text.h"
#include "jobs/kinds.h"
#include "jobs/plan.h"
#include "jobs/template.h"

#define OBJECT_PATH BYTES_LIT("event.object")

struct builder {
	const struct definition *d;
	const struct event *event; /* may be NULL */
	struct arena *arena;
	struct new_job *job;
};

static int event_text(const struct builder *b, struct bytes path, struct buf *out, struct error *reterr)
{
	char quoted[120];

	if (b->event != NULL)
		return event_value(b->event, path, out, reterr);
	error_set(reterr, ERR_INVALID, "the definition names %s, and there is no event",
		  text_quote(quoted, sizeof quoted, path));
	error_help(reterr, "give it one, as by `shardmill submit --event FILE`");
	return ERR_INVALID;
}

static int keep_bytes(const struct builder *b, struct bytes from, struct bytes *ret, struct error *reterr)
{
	*ret = arena_copy(b->arena, from);
	return ret->data != NULL ? 0 : error_set(reterr, ERR_LIMIT, "a job's values need too much room");
}

static int fill_values(struct builder *b, struct error *reterr)
{
	const struct text_item_list *names = &b->d->body.value_names;
	struct text_item_list *values = &b->job->values;
	struct buf text = {0};
	int rc = 0;

	if (names->count == 0)
		return 0;
	values->items = arena_alloc(b->arena, names->count * sizeof *values->items);
	if (values->items == NULL)
		return error_set(reterr, ERR_LIMIT, "a job's values need too much room");
	for (values->count = 0; values->count < names->count && rc == 0; values->count++) {
		struct bytes name = names->items[values->count].text;
		char quoted[120];

		buf_clear(&text);
		rc = event_text(b, name, &text, reterr);
		/* A worker could not put it into an argument, attempt after attempt. */
		if (rc == 0 && text.size > 0 && memchr(text.data, '\0', text.size) != NULL)
			rc = error_set(reterr, ERR_INVALID,
				       "the value of %s has a NUL byte, which no argument can carry",
				       text_quote(quoted, sizeof quoted, name));
		if (rc == 0 && text.size >= ARG_BYTES_MAX)
			rc = error_set(reterr, ERR_LIMIT,
				       "the value of %s has %zu bytes; at most %llu are taken",
				       text_quote(quoted, sizeof quoted, name), text.size, ARG_BYTES_MAX - 1);
		if (rc == 0)
			rc = keep_bytes(b, buf_bytes(&text), &values->items[values->count].text, reterr);
	}
	buf_fini(&text);
	return rc;
}

/* `..` in a key would climb out of the directory that a definition names. */
static int check_url(struct bytes url, struct error *reterr)
{
	struct url named = url_of(url);
	const uint8_t *slash;
	const char *expected = NULL;
	char quoted[160];

	if (url.size > URL_BYTES_MAX)
		return error_set(reterr, ERR_LIMIT, "a URL of %zu bytes; at most %d are taken", url.size,
				 URL_BYTES_MAX);
	if (memchr(url.data, '\0', url.size) != NULL) {
		expected = "a URL without NUL";
	} else if (named.scheme == URL_S3) {
		slash = memchr(named.rest.data, '/', named.rest.size);
		if (slash == NULL || slash == named.rest.data || slash + 1 == url.data + url.size)
			expected = "s3://bucket/key";
	} else if (named.scheme == URL_FILE) {
		if (url.data[url.size - 1] == '/')
			expected = "a file, not a directory";
		else if (url_climbs(url))
			expected = "a path that does not climb by ..";
	} else {
		expected = "s3://bucket/key or file:///path";
	}
	if (expected == NULL)
		return 0;
	return error_set(reterr, ERR_INVALID, "expected %s, found %s", expected,
			 text_quote(quoted, sizeof quoted, url));
}

static int expand(const struct builder *b, const struct template *t, struct buf *out, struct error *reterr)
{
	int rc = 0;

	for (uint32_t i = 0; i < t->part_count && rc == 0; i++) {
		if (t->parts[i].kind == PART_TEXT)
			buf_append_bytes(out, t->parts[i].text);
		else
			rc = event_text(b, t->parts[i].text, out, reterr);
	}
	return rc;
}

static int expand_url(struct builder *b, const struct template *t, struct error *reterr)
{
	struct buf text = {0};
	int rc = expand(b, t, &text, reterr);

	if (rc == 0)
		rc = keep_bytes(b, buf_bytes(&text), &b->job->plan.url, reterr);
	buf_fini(&text);
	return rc == 0 ? check_url(b->job->plan.url, reterr) : rc;
}

/* An event that knows size and eTag knows all. Without an eTag shards could read different versions. */
static int plan_object(struct builder *b, struct error *reterr)
{
	struct plan *p = &b->job->plan;
	struct event_object object;
	int rc = event_object(b->event, b->arena, &object, reterr);

	if (rc < 0)
		return rc;
	p->url = object.url;
	rc = check_url(p->url, reterr);
	if (rc < 0)
		return rc;
	p->etag = object.etag;
	if (!object.size_known || object.etag.size == 0) {
		b->job->planner = PLANNER_SIZE;
		return 0;
	}
	b->job->planner = PLANNER_PURE;
	p->size_bytes = object.size_bytes;
	return plan_size(p, reterr);
}

static int plan_url(struct builder *b, struct error *reterr)
{
	const struct shard_section *s = &b->d->shard;
	struct template t;

	CHECK(template_compile(s->of, TEMPLATE_EVENT, b->arena, &t, NULL, NULL) == 0);
	if (plan_row(s->kind)->input == PLAN_INPUT_PART && b->event != NULL && t.part_count == 1 &&
	    bytes_equal(t.parts[0].text, OBJECT_PATH) && t.parts[0].kind == PART_EVENT)
		return plan_object(b, reterr);
	b->job->planner = s->planner;
	return expand_url(b, &t, reterr);
}

static int fill_plan(struct builder *b, struct error *reterr)
{
	const struct shard_section *s = &b->d->shard;
	struct plan *p = &b->job->plan;

	b->job->planner = PLANNER_PURE;
	if (b->d->body.items_planner != 0) { /* the plan phase: its command is one shard */
		*p = plan_by_number(1);
		return 0;
	}
	p->kind = s->kind;
	plan_row(s->kind)->cut(s, p);
	return s->planner == PLANNER_PURE ? plan_validate(p, reterr) : plan_url(b, reterr);
}

static int check_depth(const struct event *event, struct error *reterr)
{
	if (event == NULL || event->depth <= CHAIN_DEPTH_MAX)
		return 0;
	error_set(reterr, ERR_LIMIT, "a chain of jobs that start jobs, %u deep; at most %d are allowed",
		  event->depth, CHAIN_DEPTH_MAX);
	error_help(reterr, "let the rule's pattern leave out the jobs that it starts itself");
	return ERR_LIMIT;
}

static int check_job_name(struct bytes name, struct error *reterr)
{
	if (name.size > NAME_BYTES_MAX) {
		error_set(reterr, ERR_LIMIT,
			  "the job's name has %zu bytes with the values of its event; at most %d are taken",
			  name.size, NAME_BYTES_MAX);
		return error_help(reterr, "let `name` say less of the event");
	}
	if (name.size == 0)
		return error_set(reterr, ERR_INVALID, "the job's name is empty with the values of its event");
	if (memchr(name.data, '\0', name.size) != NULL)
		return error_set(reterr, ERR_INVALID, "the job's name has a NUL byte");
	return 0;
}

static int fill_name(struct builder *b, struct error *reterr)
{
	struct bytes *name = &b->job->name;
	struct template t;
	struct buf text = {0};
	int rc;

	if (name->size > 0)
		return 0;
	*name = b->d->body.name;
	if (memmem(name->data, name->size, "{{", 2) == NULL)
		return 0;
	CHECK(template_compile(*name, TEMPLATE_EVENT, b->arena, &t, NULL, NULL) == 0);
	rc = expand(b, &t, &text, reterr);
	if (rc == 0)
		rc = check_job_name(buf_bytes(&text), reterr);
	if (rc == 0)
		rc = keep_bytes(b, buf_bytes(&text), name, reterr);
	buf_fini(&text);
	return rc;
}

/* The text of a template, at most KEY_BYTES_MAX. what: "the fairness key"; member: of the definition. */
static int fill_key(struct builder *b, struct bytes text, const char *what, const char *member,
		    struct bytes *ret, struct error *reterr)
{
	struct template t;
	struct buf key = {0};
	int rc;

	if (text.size == 0)
		return 0;
	CHECK(template_compile(text, TEMPLATE_EVENT, b->arena, &t, NULL, NULL) == 0);
	rc = expand(b, &t, &key, reterr);
	if (rc == 0 && key.size > KEY_BYTES_MAX) {
		error_set(reterr, ERR_LIMIT,
			  "%s has %zu bytes with the values of its event; at most %d are taken", what,
			  key.size, KEY_BYTES_MAX);
		rc = error_help(reterr, "let `%s` say less of the event", member);
	}
	if (rc == 0)
		rc = keep_bytes(b, buf_bytes(&key), ret, reterr);
	buf_fini(&key);
	return rc;
}

#define RULE_GROUP "rule:" /* and the definition's name: the group of max_jobs */

static int fill_rule_group(struct builder *b, struct error *reterr)
{
	struct concurrency *c = &b->job->concurrency;
	struct buf name = {0};
	int rc;

	*c = (struct concurrency){.limit = (uint32_t)b->d->max_jobs, .mode = CONCURRENCY_QUEUE};
	buf_printf(&name, RULE_GROUP);
	buf_append_bytes(&name, b->d->body.name);
	rc = keep_bytes(b, buf_bytes(&name), &c->group, reterr);
	buf_fini(&name);
	return rc;
}

static int fill_group(struct builder *b, struct error *reterr)
{
	struct concurrency *c = &b->job->concurrency;
	int rc;

	if (b->d->max_jobs > 0)
		return fill_rule_group(b, reterr);
	if (b->d->concurrency.group.size == 0)
		return 0;
	*c = b->d->concurrency;
	rc = fill_key(b, c->group, "the concurrency group", "concurrency", &c->group, reterr);
	if (rc == 0 && c->group.size == 0)
		rc = error_set(reterr, ERR_INVALID,
			       "the concurrency group is empty with the values of its event");
	return rc;
}

static int fill_after(struct builder *b, struct error *reterr)
{
	const struct text_item_list *texts = &b->d->after;
	struct after_job_list *list = &b->job->after;
	struct buf text = {0};
	int rc = 0;

	if (texts->count == 0)
		return 0;
	list->items = arena_alloc(b->arena, texts->count * sizeof *list->items);
	if (list->items == NULL)
		return error_set(reterr, ERR_LIMIT, "a job's values need too much room");
	for (uint32_t i = 0; i < texts->count && rc == 0; i++) {
		struct template t;

		CHECK(template_compile(texts->items[i].text, TEMPLATE_EVENT, b->arena, &t, NULL, NULL) == 0);
		buf_clear(&text);
		rc = expand(b, &t, &text, reterr);
		if (rc == 0)
			rc = after_text_parse(buf_bytes(&text), &list->items[list->count++], reterr);
	}
	buf_fini(&text);
	if (rc < 0 && reterr != NULL && reterr->where[0] == '\0')
		error_where(reterr, "after");
	return rc;
}

int definition_instantiate(const struct definition *d, const struct event *event, struct bytes job_name,
			   struct arena *arena, struct new_job *ret, struct error *reterr)
{
	struct new_job job = {.definition = d->body.sha256,
			      .name = job_name,
			      .priority = d->body.priority,
			      .max_running = (uint32_t)d->max_running,
			      .rate = d->rate,
			      .deadline_wall_us = d->deadline_us,
			      .start_by_wall_us = d->start_by_us,
			      .depth = event == NULL ? 0 : event->depth};
	struct builder b = {.d = d, .event = event, .arena = arena, .job = &job};
	int rc = check_depth(event, reterr);

	if (rc == 0)
		rc = fill_name(&b, reterr);
	if (rc == 0)
		rc = fill_key(&b, d->fair_by, "the fairness key", "fair_by", &job.fair_key, reterr);
	if (rc == 0)
		rc = fill_group(&b, reterr);
	if (rc == 0)
		rc = fill_after(&b, reterr);
	if (rc == 0)
		rc = fill_plan(&b, reterr);
	if (rc == 0)
		rc = fill_values(&b, reterr);
	if (rc == 0)
		*ret = job;
	return rc;
}
