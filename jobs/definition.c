#include "jobs/definition.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/limits.h"
#include "jobs/after_text.h"
#include "jobs/definition_read.h"
#include "jobs/phases.h"
#include "jobs/plan.h"

#define VERSION 1

static bool read_version(struct definition_reader *r, const struct node *n, void *target)
{
	char found[60];

	(void)target;
	if (n->kind == NODE_SCALAR && bytes_equal(n->text, BYTES_LIT("1")))
		return true;
	(void)problems_add(r->problems, n->at, ERR_VERSION, "this build reads version 1",
			   "expected version %d, found %s", VERSION, node_found(n, found, sizeof found));
	return false;
}

/* With placeholders it names each job by its event; the text as it is names the definition and its rule. */
static bool read_definition_name(struct definition_reader *r, const struct node *n, void *target)
{
	struct definition *d = target;

	if (n->kind == NODE_SCALAR && memmem(n->text.data, n->text.size, "{{", 2) == NULL)
		return read_name(r, n, &d->body.name);
	if (!read_template(r, n, TEMPLATE_EVENT, false, &d->body.name))
		return false;
	if (d->body.name.size <= NAME_BYTES_MAX)
		return true;
	(void)problems_add(r->problems, n->at, ERR_LIMIT, NULL, "a name of %zu bytes; at most %d are taken",
			   d->body.name.size, NAME_BYTES_MAX);
	return false;
}

static bool read_on_section(struct definition_reader *r, const struct node *n, void *target)
{
	struct definition *d = target;

	return read_on(r, n, &d->on);
}

static bool read_shard_section(struct definition_reader *r, const struct node *n, void *target)
{
	struct definition *d = target;

	return read_shard(r, n, &d->shard);
}

static bool read_run_section(struct definition_reader *r, const struct node *n, void *target)
{
	(void)target;
	return read_run(r, n, &r->shards);
}

static bool read_gather_section(struct definition_reader *r, const struct node *n, void *target)
{
	(void)target;
	r->has_gather = true;
	return read_gather(r, n, &r->gather);
}

static bool read_retry_section(struct definition_reader *r, const struct node *n, void *target)
{
	(void)target;
	return read_retry(r, n, &r->shards.policy);
}

static bool read_tolerate_section(struct definition_reader *r, const struct node *n, void *target)
{
	(void)target;
	return read_tolerate(r, n, &r->shards.policy);
}

static bool read_keep_going_section(struct definition_reader *r, const struct node *n, void *target)
{
	(void)target;
	return read_keep_going(r, n, &r->shards.policy);
}

static bool read_max_failures_section(struct definition_reader *r, const struct node *n, void *target)
{
	(void)target;
	return read_max_failures(r, n, &r->shards.policy);
}

static bool read_queue(struct definition_reader *r, const struct node *n, void *target)
{
	struct definition *d = target;

	return read_name(r, n, &d->body.queue);
}

static bool read_priority(struct definition_reader *r, const struct node *n, void *target)
{
	struct definition *d = target;

	return read_integer(r, n, -DEFINITION_PRIORITY_MAX, DEFINITION_PRIORITY_MAX, &d->body.priority);
}

static bool read_max_running(struct definition_reader *r, const struct node *n, void *target)
{
	struct definition *d = target;

	return read_integer(r, n, 1, UINT32_MAX, &d->max_running);
}

static bool read_fair_by(struct definition_reader *r, const struct node *n, void *target)
{
	struct definition *d = target;

	return read_template(r, n, TEMPLATE_EVENT, false, &d->fair_by);
}

/* Is it a job, as far as it is known without an event? */
static bool check_after(struct definition_reader *r, const struct node *n, struct bytes text)
{
	struct after_job job;
	struct error e = {0};

	if (memmem(text.data, text.size, "{{", 2) != NULL || after_text_parse(text, &job, &e) == 0)
		return true;
	return read_refuse_error(r, n->at, &e);
}

static bool read_after(struct definition_reader *r, const struct node *n, void *target)
{
	struct definition *d = target;
	struct text_item_list list = {0};
	bool fine = true;

	if (n->kind != NODE_LIST || n->child_count == 0 || n->child_count > DEFINITION_AFTER_MAX)
		return read_refuse(r, n, "after: [7, \"8:any\", \"{{event.detail.job}}\"]",
				   "a list of at most 64 jobs");
	list.items = read_alloc(r, n->child_count, sizeof *list.items);
	for (const struct node *child = n->children; child != NULL; child = child->next) {
		struct bytes *text = &list.items[list.count++].text;

		fine = read_template(r, child, TEMPLATE_EVENT, false, text) && check_after(r, child, *text) &&
		       fine;
	}
	if (fine)
		d->after = list;
	return fine;
}

static bool read_limit(struct definition_reader *r, const struct node *n, int64_t *ret)
{
	if (!read_duration(r, n, ret))
		return false;
	if (*ret == 0)
		return read_refuse(r, n, "leave it out for no limit", "a duration above 0");
	return true;
}

static bool read_deadline(struct definition_reader *r, const struct node *n, void *target)
{
	return read_limit(r, n, &((struct definition *)target)->deadline_us);
}

static bool read_start_by(struct definition_reader *r, const struct node *n, void *target)
{
	return read_limit(r, n, &((struct definition *)target)->start_by_us);
}

/* shard stands before run: what its plan gives decides what templates may name. */
static const struct definition_key sections[] = {
    {"version", true, read_version},
    {"name", true, read_definition_name},
    {"on", false, read_on_section},
    {"shard", false, read_shard_section},
    {"run", true, read_run_section},
    {"retry", false, read_retry_section},
    {"tolerate", false, read_tolerate_section},
    {"keep_going", false, read_keep_going_section},
    {"max_failures", false, read_max_failures_section},
    {"gather", false, read_gather_section},
    {"output", false, read_output},
    {"out", false, read_out},
    {"err", false, read_err},
    {"queue", false, read_queue},
    {"priority", false, read_priority},
    {"fair_by", false, read_fair_by},
    {"max_running", false, read_max_running},
    {"after", false, read_after},
    {"deadline", false, read_deadline},
    {"start_by", false, read_start_by},
    {"concurrency", false, read_concurrency},
    {"max_jobs", false, read_max_jobs},
    {"rate", false, read_rate},
};

static void set_defaults(struct definition_reader *r)
{
	struct definition *d = r->d;

	d->body.queue = BYTES_LIT("default");
	r->plan.name = BYTES_LIT("plan");
	r->shards.name = BYTES_LIT("shards");
	r->gather.name = BYTES_LIT("gather");
	run_defaults(&r->plan.run);
	run_defaults(&r->shards.run);
	run_defaults(&r->gather.run);
	policy_defaults(&r->shards.policy);
	d->shard = shard_section_default();
}

/* What both sides of a phase need stands in both parts; plan and gather are tried as often as shards are. */
static void add_phase(struct definition_reader *r, struct phase_def phase)
{
	struct phase_def_list *phases = &r->d->body.phases;

	phase.policy = r->shards.policy;
	if (phases->count != phases_shards(&r->d->body)) {
		phase.policy.tolerate_kind = TOLERATE_NONE;
		phase.policy.tolerate = 0;
	}
	phase.policy.shape = phase.run.shape;
	phase.policy.timeout_us = phase.run.timeout_us;
	phase.policy.durable_output = phase.run.durable_output;
	phase.run.exit_rules = phase.policy.exit_rules;
	phases->items[phases->count++] = phase;
}

static void set_phases(struct definition_reader *r)
{
	struct definition *d = r->d;

	if (d->shard.planner != PLANNER_PURE && d->shard.of.size == 0)
		d->body.items_planner = d->shard.planner;
	d->body.phases.items = read_alloc(r, PHASES_MAX, sizeof *d->body.phases.items);
	if (d->body.items_planner != 0)
		add_phase(r, r->plan);
	add_phase(r, r->shards);
	if (r->has_gather)
		add_phase(r, r->gather);
}

static void set_streams(struct definition_reader *r)
{
	struct buf text = {0};

	if (r->streams.out.size + r->streams.err.size == 0)
		return;
	result_streams_write(&r->streams, &text);
	r->d->body.output = arena_copy(r->arena, buf_bytes(&text));
	CHECK(r->d->body.output.data != NULL);
	buf_fini(&text);
}

static void set_text(struct definition_reader *r)
{
	struct definition *d = r->d;
	struct buf text = {0};
	uint8_t hash[crypto_hash_sha256_BYTES];

	definition_write(d, r->on, &text);
	crypto_hash_sha256(hash, text.data, text.size);
	d->body.text = arena_copy(r->arena, buf_bytes(&text));
	d->body.sha256 = arena_copy(r->arena, BYTES(hash, sizeof hash));
	buf_fini(&text);
}

static int read_all(struct definition_reader *r, struct bytes text)
{
	struct node *root;
	int rc = node_parse(text, r->arena, r->problems, &root);

	if (rc < 0)
		return rc;
	if (!read_map(r, root, "a definition", sections, ARRAY_LENGTH(sections), r->d)) {
		CHECK(r->problems->count > 0);
		return r->problems->first.code;
	}
	CHECK(r->problems->count == 0);
	r->d->body.value_names = (struct text_item_list){r->values, r->value_count};
	set_phases(r);
	set_streams(r);
	set_text(r);
	if (r->d->body.text.size > DEFINITION_BYTES_MAX)
		return problems_add(r->problems, (struct place){0, 0}, ERR_LIMIT, NULL,
				    "a definition of %zu bytes in canonical form; at most %llu are taken",
				    r->d->body.text.size, DEFINITION_BYTES_MAX);
	return 0;
}

int definition_parse_in(struct problems *problems, struct definition **ret)
{
	struct definition *d = check_calloc(1, sizeof *d);
	struct definition_reader r = {.d = d, .arena = &d->arena, .problems = problems, .on = json_array()};
	int rc;

	arena_init(&d->arena, 0);
	r.values = read_alloc(&r, DEFINITION_VALUES_MAX, sizeof *r.values);
	set_defaults(&r);
	rc = read_all(&r, problems->text);
	json_decref(r.on);
	if (rc == 0)
		*ret = d;
	else
		definition_destroy(d);
	return rc;
}

int definition_parse(struct bytes text, const char *file, struct buf *report, struct definition **ret,
		     struct error *reterr)
{
	struct problems problems;
	int rc;

	problems_init(&problems, file, text);
	rc = definition_parse_in(&problems, ret);
	if (rc != 0 && report != NULL)
		buf_append(report, problems_text(&problems), strlen(problems_text(&problems)));
	if (rc != 0 && reterr != NULL)
		*reterr = problems.first;
	problems_fini(&problems);
	return rc;
}

void definition_destroy(struct definition *d)
{
	if (d == NULL)
		return;
	arena_fini(&d->arena);
	free(d);
}

bool definition_may_match(const struct definition *d, struct bytes source)
{
	for (uint32_t i = 0; i < d->on.count; i++)
		if (pattern_allows(d->on.items[i], BYTES_LIT("source"), source))
			return true;
	return false;
}

bool definition_matches(const struct definition *d, const struct event *e)
{
	for (uint32_t i = 0; i < d->on.count; i++)
		if (pattern_matches_event(d->on.items[i], e))
			return true;
	return false;
}
