#include "cli/submission.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/each_line.h"
#include "cli/human.h"
#include "cli/words.h"
#include "jobs/definition.h"
#include "jobs/template.h"

void submission_init(struct submission *s)
{
	*s = (struct submission){.texts = json_object(), .env = json_object()};
}

void submission_fini(struct submission *s)
{
	json_decref(s->texts);
	json_decref(s->env);
	json_decref(s->gather);
	json_decref(s->command);
}

int submission_add_env(void *arg, const char *value, struct error *reterr)
{
	struct submission *s = arg;
	const char *equals = strchr(value, '=');
	char found[80], *name;
	int failed;

	if (equals == NULL || equals == value)
		return error_set(reterr, ERR_INVALID, "expected NAME=VALUE, found %s",
				 text_quote(found, sizeof(found), bytes_of(value)));
	name = strndup(value, (size_t)(equals - value));
	CHECK(name != NULL);
	failed = json_object_set_new(s->env, name, json_string(equals + 1));
	free(name);
	return failed ? error_set(reterr, ERR_INVALID, "expected UTF-8") : 0;
}

static json_t *argv_json(char **argv, size_t count)
{
	json_t *list = json_array();

	for (size_t i = 0; i < count; i++) {
		if (json_array_append_new(list, json_string(argv[i])) != 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

int submission_set_gather(void *arg, const char *value, struct error *reterr)
{
	struct submission *s = arg;
	struct words w;
	int r = words_split(value, &w, reterr);

	if (r != 0)
		return r;
	json_decref(s->gather);
	s->gather = argv_json(w.items, w.count);
	words_fini(&w);
	return s->gather == NULL ? error_set(reterr, ERR_INVALID, "expected UTF-8") : 0;
}

int submission_take_command(struct submission *s, int *argc, char **argv, struct error *reterr)
{
	int i = 1;

	while (i < *argc && strcmp(argv[i], "--") != 0)
		i++;
	if (i == *argc)
		return 0;
	if (i + 1 == *argc)
		return error_set(reterr, ERR_INVALID, "expected a command behind --, found none");
	s->command = argv_json(argv + i + 1, (size_t)(*argc - i - 1));
	if (s->command == NULL) {
		error_set(reterr, ERR_INVALID, "expected UTF-8");
		error_help(reterr, "an argument of other bytes can come from a file that the command reads");
		return error_where(reterr, "the command");
	}
	*argc = i;
	argv[i] = NULL;
	return 0;
}

/* ---- the body ---- */

static int add_definition(json_t *body, const char *path, struct error *reterr)
{
	struct buf text = {0};
	int r = cli_read_input(path, DEFINITION_BYTES_MAX, &text, reterr);
	json_t *value = r == 0 ? json_stringn(text.size > 0 ? (const char *)text.data : "", text.size) : NULL;

	buf_fini(&text);
	if (r != 0)
		return r;
	if (value == NULL) {
		error_set(reterr, ERR_INVALID, "expected a definition, text in UTF-8");
		return error_where(reterr, "%.200s", path);
	}
	json_object_set_new(body, "definition", value);
	if (strcmp(path, "-") != 0 && text_is_utf8(bytes_of(path)))
		json_object_set_new(body, "file", json_string(path)); /* for the places in errors */
	return 0;
}

/* path, made absolute below directory; "" is the directory itself. */
static int add_path(struct buf *out, const char *path, const char *directory, struct error *reterr)
{
	char found[200];

	if (path[0] != '/' && directory == NULL) {
		error_set(reterr, ERR_INVALID, "the current directory does not exist any more");
		return error_help(reterr, "go to one that does, or name files and --directory from / on");
	}
	if (path[0] != '/' && !text_is_utf8(bytes_of(directory))) {
		error_set(reterr, ERR_INVALID, "the current directory's name is not UTF-8: %s",
			  text_quote(found, sizeof(found), bytes_of(directory)));
		return error_help(reterr,
				  "go there by a symbolic link whose name is, or let --directory name one");
	}
	if (path[0] == '/')
		buf_printf(out, "%s", path);
	else if (path[0] == '\0')
		buf_printf(out, "%s", directory);
	else
		buf_printf(out, "%s/%s", strcmp(directory, "/") == 0 ? "" : directory, path);
	return 0;
}

int submission_add_url(struct buf *out, const char *path, const char *directory, struct error *reterr)
{
	struct buf escaped = {0}; /* a URL is a template, but the name of a directory is none */
	int r;

	if (directory != NULL)
		template_escape(&escaped, bytes_of(directory));
	buf_printf(out, "file://");
	r = add_path(out, path, directory != NULL ? buf_text(&escaped) : NULL, reterr);
	buf_fini(&escaped);
	return r;
}

/* The daemons know no working directory: a path is made absolute here, and one of an object a URL. What has a
 * scheme, or begins with a placeholder, is left. */
static int complete_path(json_t *command, const char *name, const char *directory, struct error *reterr)
{
	const char *value = json_string_value(json_object_get(command, name));
	struct buf path = {0};
	int r;

	if (value == NULL || strncmp(value, "{{", 2) == 0 || strstr(value, "://") != NULL)
		return 0;
	r = strcmp(name, "of") == 0 ? submission_add_url(&path, value, directory, reterr)
				    : add_path(&path, value, directory, reterr);
	if (r == 0)
		CHECK(json_object_set_new(command, name, json_string(buf_text(&path))) == 0);
	buf_fini(&path);
	return r;
}

static int add_command(const struct submission *s, json_t *body, const char *directory, struct error *reterr)
{
	json_t *command = json_copy(s->texts);
	int r;

	json_object_set(command, "argv", s->command);
	if (json_object_size(s->env) > 0)
		json_object_set(command, "env", s->env);
	if (s->gather != NULL)
		json_object_set(command, "gather", s->gather);
	if (s->literal)
		json_object_set_new(command, "literal", json_true());
	if (json_object_get(command, "directory") == NULL)
		json_object_set_new(command, "directory", json_string("")); /* here */
	json_object_set_new(body, "command", command);
	r = complete_path(command, "directory", directory, reterr);
	if (r == 0)
		r = complete_path(command, "of", directory, reterr);
	return r == 0 && s->each_line != NULL ? each_line(s->each_line, directory, command, reterr) : r;
}

static int add_event(json_t *body, const char *path, struct error *reterr)
{
	struct buf text = {0};
	json_error_t where;
	json_t *event;
	int r = cli_read_input(path, EVENT_BYTES_MAX, &text, reterr);

	if (r != 0)
		return r;
	event = json_loadb((const char *)text.data, text.size, JSON_REJECT_DUPLICATES, &where);
	buf_fini(&text);
	if (event == NULL) {
		error_set(reterr, ERR_INVALID, "expected an event as JSON: %s", where.text);
		return error_where(reterr, "%.200s:%d:%d", path, where.line, where.column);
	}
	json_object_set_new(body, "event", event);
	return 0;
}

static int add_text(json_t *body, const char *name, const char *value, struct error *reterr)
{
	if (value == NULL || json_object_set_new(body, name, json_string(value)) == 0)
		return 0;
	error_set(reterr, ERR_INVALID, "expected UTF-8");
	options_where(name, value, reterr);
	return ERR_INVALID;
}

static int add_priority(json_t *body, const char *value, struct error *reterr)
{
	char *end;
	long number;

	if (value == NULL)
		return 0;
	errno = 0;
	number = strtol(value, &end, 10);
	if (value[0] == '\0' || *end != '\0' || errno != 0) {
		error_set(reterr, ERR_INVALID, "expected a whole number");
		options_where("priority", value, reterr);
		return ERR_INVALID;
	}
	json_object_set_new(body, "priority", json_integer(number));
	return 0;
}

static int check_kind(const struct submission *s, const char *definition, struct error *reterr)
{
	const char *key;
	json_t *value;

	if ((definition != NULL) == (s->command != NULL)) {
		error_set(reterr, ERR_INVALID,
			  definition != NULL ? "expected a definition or a command, found both"
					     : "expected a definition, or a command behind --");
		return error_help(reterr,
				  "shardmill submit job.yaml, or: shardmill submit --array 1-10 -- prog {}");
	}
	if (s->command != NULL && json_object_get(s->texts, "bytes") != NULL &&
	    json_object_get(s->texts, "of") == NULL && s->event == NULL) {
		error_set(reterr, ERR_INVALID, "expected --of too, the file that is to be cut");
		options_where("bytes", json_string_value(json_object_get(s->texts, "bytes")), reterr);
		return ERR_INVALID;
	}
	if (s->command != NULL && s->each_line != NULL &&
	    (json_object_get(s->texts, "array") != NULL || json_object_get(s->texts, "bytes") != NULL)) {
		error_set(reterr, ERR_INVALID,
			  "a job is cut by --array, --bytes or --each-line: by one of them");
		options_where("each-line", s->each_line, reterr);
		return ERR_INVALID;
	}
	if (s->command != NULL)
		return 0;
	if (s->each_line != NULL) {
		error_set(reterr, ERR_INVALID, "this is for a command; a definition says it itself");
		options_where("each-line", s->each_line, reterr);
		return ERR_INVALID;
	}
	json_object_foreach(s->texts, key, value)
	{
		error_set(reterr, ERR_INVALID, "this is for a command; a definition says it itself");
		options_where(key, json_string_value(value), reterr);
		return ERR_INVALID;
	}
	if (json_object_size(s->env) == 0 && s->gather == NULL && !s->literal)
		return 0;
	error_set(reterr, ERR_INVALID, "this is for a command; a definition says it itself");
	return error_where(reterr, "%s", s->gather != NULL ? "--gather" : s->literal ? "--literal" : "--env");
}

int submission_body(const struct submission *s, const char *definition, const char *directory, json_t **ret,
		    struct error *reterr)
{
	json_t *body = json_object();
	int r = check_kind(s, definition, reterr);

	if (r == 0 && definition != NULL)
		r = add_definition(body, definition, reterr);
	else if (r == 0)
		r = add_command(s, body, directory, reterr);
	if (r == 0 && s->event != NULL)
		r = add_event(body, s->event, reterr);
	if (r == 0)
		r = add_text(body, "id", s->id, reterr);
	if (r == 0)
		r = add_text(body, "name", s->name, reterr);
	if (r == 0)
		r = add_priority(body, s->priority, reterr);
	if (r != 0) {
		json_decref(body);
		return r;
	}
	*ret = body;
	return 0;
}

/* "command.env.A=B", "command.argv[2]", "command.array": what stood on the command line there. */
static void name_member(const struct submission *s, const char *member, struct error *e)
{
	const char *value = json_string_value(json_object_get(s->texts, member));
	unsigned long index = 0;
	char quoted[80];

	if (strncmp(member, "env.", 4) == 0) {
		options_where("env", member + 4, e);
	} else if (strncmp(member, "items", 5) == 0 || strncmp(member, "lines", 5) == 0) {
		options_where("each-line", s->each_line, e);
	} else if (strncmp(member, "gather", 6) == 0) {
		options_where("gather", NULL, e);
	} else if (strcmp(member, "argv") == 0) {
		error_where(e, "the command");
	} else if (sscanf(member, "argv[%lu]", &index) == 1) {
		value = json_string_value(json_array_get(s->command, index));
		error_where(e, "the command's word %s",
			    text_quote(quoted, sizeof(quoted), bytes_of(value != NULL ? value : "")));
		if (value != NULL && strstr(value, "{{") != NULL)
			error_help(e,
				   "--literal passes the command as it is, without placeholders; else {{{{ "
				   "stands for {{ itself");
	} else if (value != NULL) {
		options_where(member, value, e);
	}
}

void submission_name_options(const struct submission *s, struct error *e)
{
	const struct {
		const char *name, *value;
	} own[] = {{"id", s->id}, {"name", s->name}, {"priority", s->priority}, {"event", s->event}};
	char member[sizeof(e->where)];

	memcpy(member, e->where, sizeof(member));
	if (strncmp(member, "command.", 8) == 0)
		name_member(s, member + 8, e);
	for (size_t i = 0; i < ARRAY_LENGTH(own); i++) {
		size_t length = strlen(own[i].name);

		if (own[i].value == NULL || strncmp(member, own[i].name, length) != 0)
			continue;
		if (member[length] == '\0')
			options_where(own[i].name, own[i].value, e);
		else if (member[length] == '.')
			error_where(e, "--%s %.100s: %.100s", own[i].name, own[i].value, member + length + 1);
	}
}

void submission_explain(json_t *body, struct buf *out)
{
	json_t *text = json_object_get(body, "definition");
	const char *file = json_string_value(json_object_get(body, "file"));
	struct definition *d = NULL;
	struct buf report = {0};

	if (!json_is_string(text))
		return;
	if (definition_parse(BYTES(json_string_value(text), json_string_length(text)),
			     file != NULL ? file : "definition", &report, &d, NULL) == 0)
		definition_destroy(d);
	else
		human_text(out, buf_bytes(&report), true);
	buf_fini(&report);
}
