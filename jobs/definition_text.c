/* The canonical text. Every key that had a default when its version of the format was made is written, so
 * that a later build with another default reads the same; what is empty is left out. */
#include <stdio.h>

#include "base/check.h"
#include "base/text.h"
#include "base/units.h"
#include "jobs/definition_read.h"
#include "jobs/json.h"
#include "jobs/phases.h"
#include "jobs/plan.h"

static void set(json_t *to, const char *name, json_t *value)
{
	CHECK(value != NULL && json_object_set_new(to, name, value) == 0);
}

static json_t *text_of(struct bytes text)
{
	return json_stringn(text.data == NULL ? "" : (const char *)text.data, text.size);
}

static void set_text(json_t *to, const char *name, struct bytes text)
{
	if (text.size > 0)
		set(to, name, text_of(text));
}

static json_t *duration_of(int64_t us)
{
	char text[UNITS_TEXT_MAX];

	return json_string(units_format_duration(us, text, sizeof text));
}

static json_t *size_of(uint64_t bytes)
{
	char text[UNITS_TEXT_MAX];

	return json_string(units_format_size(bytes, text, sizeof text));
}

static json_t *milli_of(uint64_t milli)
{
	char text[UNITS_TEXT_MAX];

	return json_string(units_format_cpus((uint32_t)milli, text, sizeof text));
}

static json_t *list_of(const struct text_item_list *list)
{
	json_t *array = json_array();

	for (uint32_t i = 0; i < list->count; i++)
		CHECK(json_array_append_new(array, text_of(list->items[i].text)) == 0);
	return array;
}

static void set_pairs(json_t *to, const char *name, const struct pair_list *list)
{
	json_t *map = json_object();

	for (uint32_t i = 0; i < list->count; i++)
		set(map, (const char *)list->items[i].name.data, text_of(list->items[i].value));
	if (list->count > 0)
		set(to, name, map);
	else
		json_decref(map);
}

static void set_facts(json_t *to, const struct plan_facts *facts)
{
	char digits[PLAN_FACT_DIGITS];

	for (uint32_t i = 0; i < facts->count; i++) {
		const struct plan_fact *fact = &facts->items[i];

		set(to, fact->name,
		    fact->form == FACT_NUMBER ? json_integer(fact->number)
					      : text_of(fact_as_text(fact, digits)));
	}
}

static json_t *run_of(const struct run_spec *run);

/* A list, or where it is read. */
static json_t *items_of(const struct definition *d)
{
	json_t *from;

	if (d->shard.planner == PLANNER_PURE)
		return list_of(&d->shard.items);
	from = json_object();
	set(from, planner_kind_name(d->shard.planner),
	    d->body.items_planner != 0 ? run_of(&d->body.phases.items[0].run) : text_of(d->shard.of));
	return from;
}

static void set_parsed(json_t *to, const struct shard_key *key, const struct shard_section *s)
{
	struct plan_facts facts = {.count = 0};
	json_t *map;

	key->write(s, &facts);
	if (key->members[0] == NULL) {
		set_facts(to, &facts);
		return;
	}
	map = json_object();
	set_facts(map, &facts);
	set(to, key->name, map);
}

static json_t *shard_of(const struct definition *d)
{
	const struct shard_section *s = &d->shard;
	json_t *map = json_object();

	for (const struct shard_key *key = plan_row(s->kind)->keys; key->name != NULL; key++)
		switch (key->form) {
		case SHARD_TEXT:
			set_parsed(map, key, s);
			break;
		case SHARD_SIZE:
			set(map, key->name, size_of(s->step_bytes));
			break;
		case SHARD_ALIGN:
			set(map, key->name, json_string(align_kind_name(s->align)));
			break;
		case SHARD_URL:
			set(map, key->name, text_of(s->of));
			break;
		case SHARD_AXES:
			set(map, key->name, list_of(&s->items));
			break;
		case SHARD_ITEMS:
			set(map, key->name, items_of(d));
			break;
		}
	return map;
}

/* pin came later than the format: where it is left out it is `core` for all time. */
static json_t *resources_of(const struct run_spec *run)
{
	const struct resources *shape = &run->shape;
	json_t *map = json_object(), *named;

	set(map, "cpus", milli_of(shape->cpu_milli));
	if (shape->memory_bytes > 0)
		set(map, "memory", size_of(shape->memory_bytes));
	/* Parts of a gpu came later: whole ones are written as they always were. */
	if (shape->gpu_milli > 0)
		set(map, "gpus",
		    shape->gpu_milli % 1000 == 0 ? json_integer(shape->gpu_milli / 1000)
						 : milli_of(shape->gpu_milli));
	if (run->pin != PIN_CORE)
		set(map, "pin", json_string(pin_kind_name(run->pin)));
	if (shape->named.count == 0)
		return map;
	named = json_object();
	for (uint32_t i = 0; i < shape->named.count; i++)
		set(named, (const char *)shape->named.items[i].name.data,
		    milli_of(shape->named.items[i].amount));
	set(map, "named", named);
	return map;
}

/* As text where it is one that stays short in JSON. */
static bool is_stdin_text(struct bytes text)
{
	for (size_t i = 0; i < text.size; i++)
		if (text.data[i] < ' ' && text.data[i] != '\n' && text.data[i] != '\t' &&
		    text.data[i] != '\r')
			return false;
	return text_is_utf8(text);
}

static void set_stdin(json_t *to, const struct run_spec *run)
{
	json_t *map = json_object();
	struct buf digits = {0};

	set_text(map, "file", run->stdin_file);
	if (is_stdin_text(run->stdin_bytes)) {
		set_text(map, "text", run->stdin_bytes);
	} else {
		event_base64(&digits, run->stdin_bytes);
		set_text(map, "base64", buf_bytes(&digits));
		buf_fini(&digits);
	}
	if (json_object_size(map) > 0)
		set(to, "stdin", map);
	else
		json_decref(map);
}

static json_t *run_of(const struct run_spec *run)
{
	json_t *map = json_object();

	if (run->kind == RUN_RUNNER) {
		set(map, "runner", list_of(&run->argv));
		set(map, "format", json_string(runner_format_name(run->format)));
	} else {
		set(map, "exec", list_of(&run->argv));
		set(map, "input", json_string(input_mode_name(run->input)));
	}
	set(map, "timeout", run->timeout_us == 0 ? json_string("none") : duration_of(run->timeout_us));
	set(map, "resources", resources_of(run));
	set_pairs(map, "env", &run->env);
	set_pairs(map, "env_from", &run->env_from);
	set_text(map, "directory", run->directory);
	set(map, "durable_output", json_boolean(run->durable_output));
	if (run->output_bytes_max > 0)
		set(map, "output_max", size_of(run->output_bytes_max));
	set_stdin(map, run);
	return map;
}

static json_t *retry_of(const struct policy *p)
{
	json_t *map = json_object(), *rules;

	set(map, "attempts", json_integer(p->attempts_max));
	set(map, "backoff", duration_of(p->backoff_us));
	set(map, "max", duration_of(p->backoff_max_us));
	set(map, "oom", json_string(p->retry_larger ? "larger" : "same"));
	if (p->exit_rules.count == 0)
		return map;
	rules = json_object();
	for (uint32_t i = 0; i < p->exit_rules.count; i++) {
		const struct exit_rule *rule = &p->exit_rules.items[i];
		char codes[32];

		snprintf(codes, sizeof codes, rule->first == rule->last ? "%u" : "%u-%u", rule->first,
			 rule->last);
		set(rules, codes, json_string(exit_verdict_name(rule->verdict)));
	}
	set(map, "exit", rules);
	return map;
}

static void set_tolerate(json_t *to, const struct policy *p)
{
	char text[UNITS_TEXT_MAX];

	if (p->tolerate_kind == TOLERATE_COUNT)
		set(to, "tolerate", json_integer((json_int_t)p->tolerate));
	else if (p->tolerate_kind == TOLERATE_PPM)
		set(to, "tolerate",
		    json_string(units_format_percent((uint32_t)p->tolerate, text, sizeof text)));
	else if (p->tolerate_kind == TOLERATE_TO_THE_END)
		set(to, "keep_going", json_true());
	else if (p->tolerate_kind == TOLERATE_FAILURES)
		set(to, "max_failures", json_integer((json_int_t)p->tolerate));
}

static json_t *concurrency_of(const struct concurrency *c)
{
	json_t *map = json_object();

	set(map, "group", text_of(c->group));
	set(map, "limit", json_integer(c->limit));
	set(map, "mode", json_string(concurrency_mode_name(c->mode)));
	set(map, "latest", json_boolean(c->latest));
	return map;
}

static json_t *rate_of(const struct rate *r)
{
	char per[UNITS_TEXT_MAX], text[2 * UNITS_TEXT_MAX];

	snprintf(text, sizeof text, "%u/%s", r->count, units_format_duration(r->per_us, per, sizeof per));
	return json_string(text);
}

void definition_write(const struct definition *d, const json_t *on, struct buf *out)
{
	const struct phase_def *shards = &d->body.phases.items[phases_shards(&d->body)];
	json_t *map = json_object(), *gather;
	struct result_streams streams;

	set(map, "version", json_integer(1));
	set(map, "name", text_of(d->body.name));
	if (json_array_size(on) > 0)
		set(map, "on", json_incref((json_t *)on));
	set(map, "shard", shard_of(d));
	set(map, "run", run_of(&shards->run));
	set(map, "retry", retry_of(&shards->policy));
	set_tolerate(map, &shards->policy);
	if (phases_have_gather(&d->body)) {
		gather = run_of(&shards[1].run);
		set(gather, "fanin",
		    shards[1].fanin == 0 ? json_string("all") : json_integer(shards[1].fanin));
		set(map, "gather", gather);
	}
	if (result_streams_read(d->body.output, &streams)) {
		set_text(map, "out", streams.out);
		set_text(map, "err", streams.err);
	} else {
		set_text(map, "output", d->body.output);
	}
	set(map, "queue", text_of(d->body.queue));
	set(map, "priority", json_integer(d->body.priority));
	set_text(map, "fair_by", d->fair_by);
	if (d->max_running > 0)
		set(map, "max_running", json_integer(d->max_running));
	if (d->after.count > 0)
		set(map, "after", list_of(&d->after));
	if (d->deadline_us > 0)
		set(map, "deadline", duration_of(d->deadline_us));
	if (d->start_by_us > 0)
		set(map, "start_by", duration_of(d->start_by_us));
	if (d->concurrency.group.size > 0)
		set(map, "concurrency", concurrency_of(&d->concurrency));
	if (d->max_jobs > 0)
		set(map, "max_jobs", json_integer(d->max_jobs));
	if (d->rate.count > 0)
		set(map, "rate", rate_of(&d->rate));
	json_write(out, map);
	json_decref(map);
}
