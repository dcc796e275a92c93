#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/limits.h"
#include "cli/cli.h"
#include "cli/human.h"
#include "jobs/json.h"
#include "jobs/pattern.h"

#define VALUE_SHOWN 100u /* bytes of a value of the event */
#define FIELDS_SHOWN 20u

struct decisions {
	struct pattern_decision *items;
	size_t count, capacity;
};

static void add_decision(void *arg, const struct pattern_decision *d)
{
	struct decisions *all = arg;

	if (all->count == all->capacity) {
		all->capacity = all->capacity == 0 ? 64 : 2 * all->capacity;
		all->items = check_realloc(all->items, all->capacity, sizeof(*all->items));
	}
	all->items[all->count++] = *d;
}

static void add_field(struct buf *out, const char *file, const struct pattern_decision *d)
{
	struct buf value = {0};

	buf_printf(out, "  %s:%u:%u: ", file, d->at.line, d->at.column);
	human_text(out, d->path, false);
	if (d->found == NULL) {
		buf_printf(out, " is not in the event%s\n", d->matches ? ", as it should be" : "");
		return;
	}
	json_write(&value, d->found);
	buf_printf(out, " %s: the event has ", d->matches ? "matches" : "does not match");
	human_text(out, BYTES(value.data, value.size < VALUE_SHOWN ? value.size : VALUE_SHOWN), false);
	buf_printf(out, "%s\n", value.size > VALUE_SHOWN ? "..." : "");
	buf_fini(&value);
}

/* The fields of the way that matches. */
static void tell_match(struct buf *out, const char *file, const struct decisions *all, uint32_t way)
{
	buf_printf(out, "match\n");
	for (size_t i = 0; i < all->count; i++)
		if (all->items[i].rule == way)
			add_field(out, file, &all->items[i]);
}

static bool told_before(const struct decisions *all, size_t i)
{
	const struct place at = all->items[i].at;

	for (size_t j = 0; j < i; j++)
		if (all->items[j].at.line == at.line && all->items[j].at.column == at.column)
			return true;
	return false;
}

/* Do all fields of the way that begins at *i match alone? *i goes behind it. */
static bool way_matches_alone(const struct decisions *all, size_t *i)
{
	uint32_t way = all->items[*i].rule;
	bool alone = true;

	for (; *i < all->count && all->items[*i].rule == way; (*i)++)
		alone = alone && all->items[*i].matches;
	return alone;
}

/* The fields that do not match, each once: one beside $or is a field of several ways. */
static void tell_no_match(struct buf *out, const char *file, const struct decisions *all, bool too_long)
{
	uint32_t shown = 0;
	bool apart = false;

	buf_printf(out, "no match\n");
	for (size_t i = 0; i < all->count && shown < FIELDS_SHOWN; i++) {
		if (all->items[i].matches || told_before(all, i))
			continue;
		add_field(out, file, &all->items[i]);
		if (++shown == FIELDS_SHOWN)
			buf_printf(out, "  ...\n");
	}
	for (size_t i = 0; i < all->count && !apart;)
		apart = way_matches_alone(all, &i);
	if (apart && !too_long)
		buf_printf(out, "  each field matches alone, but no element of a list has all of them\n");
	if (too_long)
		buf_printf(out, "  the search ended after %d values of the event\n", PATTERN_STEPS_MAX);
}

static json_t *field_json(const struct pattern_decision *d)
{
	json_t *field = json_object();

	json_object_set_new(field, "path", json_stringn((const char *)d->path.data, d->path.size));
	json_object_set_new(field, "line", json_integer(d->at.line));
	json_object_set_new(field, "column", json_integer(d->at.column));
	json_object_set_new(field, "way", json_integer(d->rule));
	json_object_set_new(field, "matches", json_boolean(d->matches));
	if (d->found != NULL)
		json_object_set(field, "found", (json_t *)d->found);
	return field;
}

static void print_json(const struct cli *cli, const struct decisions *all, bool matches)
{
	json_t *fields = json_array(), *answer = json_object();

	for (size_t i = 0; i < all->count; i++)
		json_array_append_new(fields, field_json(&all->items[i]));
	json_object_set_new(answer, "match", json_boolean(matches));
	json_object_set_new(answer, "fields", fields);
	cli_print_json_value(cli, answer);
	json_decref(answer);
}

static int decide(const struct cli *cli, const struct pattern *p, const json_t *event)
{
	struct decisions all = {NULL, 0, 0};
	struct buf out = {0};
	bool too_long = false;
	uint32_t way = 0;
	bool matches = pattern_explain(p, event, add_decision, &all, &way, &too_long);

	if (cli->json)
		print_json(cli, &all, matches);
	else if (matches)
		tell_match(&out, cli->argv[1], &all, way);
	else
		tell_no_match(&out, cli->argv[1], &all, too_long);
	cli_print(&out);
	free(all.items);
	return matches ? CLI_EXIT_FINE : CLI_EXIT_JOB_FAILED;
}

static json_t *read_event(const char *path, struct error *reterr)
{
	struct error e = {0};
	struct buf text = {0};
	json_t *event = NULL;

	if (cli_read_input(path, EVENT_BYTES_MAX, &text, reterr) != 0)
		return NULL;
	event = json_read(buf_bytes(&text), EVENT_BYTES_MAX, EVENT_DEPTH_MAX, &e);
	buf_fini(&text);
	if (event == NULL) {
		if (reterr != NULL)
			*reterr = e;
		error_where(reterr, "%.100s%s%.60s", path, e.where[0] != '\0' ? ":" : "", e.where);
		return NULL;
	}
	if (json_is_object(event))
		return event;
	error_set(reterr, ERR_INVALID, "expected an event, an object, found %s", json_kind_name(event));
	error_where(reterr, "%.100s", path);
	json_decref(event);
	return NULL;
}

/* An invalid pattern is told here, all that is wrong with it. */
static int test_pattern(struct cli *cli, struct bytes text, struct arena *arena, struct error *reterr)
{
	const struct pattern *p = NULL;
	struct problems problems;
	int r = CLI_EXIT_USAGE;
	struct node *n;
	json_t *event;

	problems_init(&problems, cli->argv[1], text);
	if (node_parse(text, arena, &problems, &n) < 0 || pattern_compile(n, arena, &problems, &p) < 0) {
		fputs(problems_text(&problems), stderr);
	} else {
		event = read_event(cli->argv[2], reterr);
		r = event != NULL ? decide(cli, p, event) : ERR_INVALID;
		json_decref(event);
	}
	problems_fini(&problems);
	return r;
}

static int work(struct cli *cli, void *options, struct error *reterr)
{
	struct arena arena;
	struct buf text = {0};
	int r = cli_expect_arguments(cli, 3, 3,
				     "expected `test`, a file with a pattern and one with an event", reterr);

	(void)options;
	if (r == 0 && strcmp(cli->argv[0], "test") != 0)
		r = error_set(reterr, ERR_INVALID, "expected `shardmill pattern test`");
	if (r == 0 && strcmp(cli->argv[1], "-") == 0 && strcmp(cli->argv[2], "-") == 0)
		r = error_set(reterr, ERR_INVALID, "the pattern and the event cannot both come from stdin");
	if (r == 0)
		r = cli_read_input(cli->argv[1], DEFINITION_BYTES_MAX, &text, reterr);
	if (r == 0) {
		arena_init(&arena, 0);
		r = test_pattern(cli, buf_bytes(&text), &arena, reterr);
		arena_fini(&arena);
	}
	buf_fini(&text);
	return r;
}

int verb_pattern(int argc, char **argv)
{
	struct buf details = {0};
	int code;

	buf_printf(
	    &details,
	    "The first FILE holds a pattern as below `on` of a rule, as YAML or JSON; the second one an "
	    "event as JSON.\n"
	    "- is stdin. It says which fields decided, asks no dispatcher, and exits with 0 when the event "
	    "matches,\n"
	    "1 when it does not, 2 when the pattern is invalid or a file cannot be read as what it should "
	    "be.\n\n"
	    "A pattern is a map. A list holds the alternatives of a field: values, and operators such as\n"
	    "{prefix: text}. {\"$or\": [{...}, {...}]} takes one of several maps. The operators:\n\n");
	pattern_operators_write(&details);
	const struct options_spec spec = {
	    .program = "shardmill pattern",
	    .synopsis = "test [OPTION]... FILE|- FILE|-",
	    .summary = "say whether an event matches a pattern, and which field decides",
	    .details = buf_text(&details),
	};
	code = cli_run(&spec, argc, argv, work, NULL);
	buf_fini(&details);
	return code;
}
