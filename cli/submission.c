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
#include "jobs/definition.h"
#include "jobs/event.h"
#include "jobs/template.h"

#define OPTION_BYTES 40 /* of an option's name */

void submission_init(struct submission *s)
{
	*s = (struct submission){.event = NULL};
}

static void command_fini(struct api_command *c)
{
	json_decref(object_write(object_command(), c)); /* which takes over what is in it */
	*c = (struct api_command){.argv = NULL};
}

void submission_fini(struct submission *s)
{
	command_fini(&s->command);
	json_decref(s->kept);
	s->kept = NULL;
	json_decref(s->after);
}

/* A member that is a text or a number: array, cpus, …; NULL: there is none of that name. */
static json_t **scalar_of(const struct api_command *c, const struct object_field *f)
{
	if (f == NULL || f->kind != OBJECT_SCALAR)
		return NULL;
	return (json_t **)(uintptr_t)((const char *)c + f->offset);
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
	s->command.argv = submission_argv(argv + i + 1, (size_t)(*argc - i - 1));
	if (s->command.argv == NULL) {
		error_set(reterr, ERR_INVALID, "expected UTF-8");
		error_help(reterr, "an argument of other bytes can come from a file that the command reads");
		return error_where(reterr, "the command");
	}
	*argc = i;
	argv[i] = NULL;
	return 0;
}

/* ---- the body ---- */

/* text: what body borrows. */
static int add_definition(struct api_submission *body, struct buf *text, const char *path,
			  struct error *reterr)
{
	int r = cli_read_input(path, DEFINITION_BYTES_MAX, text, reterr);

	if (r != 0)
		return r;
	if (!text_is_utf8(buf_bytes(text))) {
		error_set(reterr, ERR_INVALID, "expected a definition, text in UTF-8");
		return error_where(reterr, "%.200s", path);
	}
	body->has_definition = true;
	body->definition = buf_bytes(text);
	if (strcmp(path, "-") != 0 && text_is_utf8(bytes_of(path)))
		body->file = bytes_of(path); /* for the places in errors */
	return 0;
}

int submission_add_path(struct buf *out, const char *path, const char *directory, struct error *reterr)
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
	r = submission_add_path(out, path, directory != NULL ? buf_text(&escaped) : NULL, reterr);
	buf_fini(&escaped);
	return r;
}

enum path_form {
	PATH_DIRECTORY,
	PATH_FILE, /* that is named by the shard, maybe from its first byte on */
	PATH_URL,
	PATH_OF_SHARD, /* a URL: a file that is named by the shard, maybe from its first byte on */
};

/* The daemons know no working directory: a path is made absolute here, and one of an object a URL. What has a
 * scheme, or begins with a placeholder that may be a path, is left. */
static int complete_path(json_t **member, enum path_form form, const char *directory, struct error *reterr)
{
	const char *value = json_string_value(*member);
	struct buf path = {0};
	int r;

	if (value == NULL || strstr(value, "://") != NULL ||
	    (form != PATH_OF_SHARD && strncmp(value, "{{", 2) == 0))
		return 0;
	r = form == PATH_URL || form == PATH_OF_SHARD ? submission_add_url(&path, value, directory, reterr)
						      : submission_add_path(&path, value, directory, reterr);
	if (r == 0) {
		json_decref(*member);
		*member = json_string(buf_text(&path));
		CHECK(*member != NULL);
	}
	buf_fini(&path);
	return r;
}

/* All shards get the bytes that are on stdin now, or a file that workers open. */
static int add_stdin(const struct submission *s, struct api_command *c, const char *directory,
		     struct error *reterr)
{
	struct buf bytes = {0}, digits = {0}, escaped = {0};
	int r;

	if (strcmp(s->stdin_of, "-") != 0) {
		c->stdin_file = json_string(s->stdin_of);
		if (directory != NULL)
			template_escape(&escaped, bytes_of(directory)); /* it is none */
		r = c->stdin_file == NULL
			? error_set(reterr, ERR_INVALID, "expected UTF-8")
			: complete_path(&c->stdin_file, PATH_FILE,
					directory != NULL ? buf_text(&escaped) : NULL, reterr);
		buf_fini(&escaped);
	} else {
		r = cli_read_input("-", STDIN_BYTES_MAX, &bytes, reterr);
		if (r == ERR_LIMIT)
			error_help(reterr, "write it to a file, and name that: --stdin FILE");
		event_base64(&digits, buf_bytes(&bytes));
		if (bytes.size > 0)
			c->stdin_base64 = json_string(buf_text(&digits));
		buf_fini(&bytes);
		buf_fini(&digits);
	}
	if (r != 0)
		options_where("stdin", s->stdin_of, reterr);
	return r;
}

static int add_command(const struct submission *s, struct api_submission *body, const char *directory,
		       struct error *reterr)
{
	const struct object_type *type = object_command();
	struct api_command c = s->command;
	int r;

	for (size_t i = 0; i < type->field_count; i++) /* all but a flag is JSON */
		if (type->fields[i].kind != OBJECT_BOOL)
			json_incref(*(json_t **)(void *)((char *)&c + type->fields[i].offset));
	if (c.directory == NULL)
		c.directory = json_string(""); /* here */
	r = complete_path(&c.directory, PATH_DIRECTORY, directory, reterr);
	if (r == 0)
		r = complete_path(&c.of, PATH_URL, directory, reterr);
	if (r == 0)
		r = complete_path(&c.out, PATH_OF_SHARD, directory, reterr);
	if (r == 0)
		r = complete_path(&c.err, PATH_OF_SHARD, directory, reterr);
	if (r == 0 && s->stdin_of != NULL)
		r = add_stdin(s, &c, directory, reterr);
	if (r == 0 && s->each_line != NULL)
		r = each_line(s->each_line, directory, &c, reterr);
	if (r == 0)
		body->command = object_write(type, &c);
	else
		command_fini(&c);
	return r;
}

static int add_event(struct api_submission *body, const char *path, struct error *reterr)
{
	struct buf text = {0};
	json_error_t where;
	int r = cli_read_input(path, EVENT_BYTES_MAX, &text, reterr);

	if (r != 0)
		return r;
	body->event = json_loadb((const char *)text.data, text.size, JSON_REJECT_DUPLICATES, &where);
	buf_fini(&text);
	if (body->event != NULL)
		return 0;
	error_set(reterr, ERR_INVALID, "expected an event as JSON: %s", where.text);
	return error_where(reterr, "%.200s:%d:%d", path, where.line, where.column);
}

static int add_text(struct bytes *member, const char *name, const char *value, struct error *reterr)
{
	if (value == NULL)
		return 0;
	if (text_is_utf8(bytes_of(value))) {
		*member = bytes_of(value);
		return 0;
	}
	error_set(reterr, ERR_INVALID, "expected UTF-8");
	options_where(name, value, reterr);
	return ERR_INVALID;
}

static int add_priority(struct api_submission *body, const char *value, struct error *reterr)
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
	body->has_priority = true;
	body->priority = number;
	return 0;
}

static int reads_stdin(const char *file)
{
	return file != NULL && strcmp(file, "-") == 0;
}

static int check_command(const struct submission *s, struct error *reterr)
{
	const struct api_command *c = &s->command;

	if (reads_stdin(s->stdin_of) + reads_stdin(s->each_line) + reads_stdin(s->event) > 1)
		return error_set(reterr, ERR_INVALID, "two options read stdin: only one of them can be -");
	if (c->bytes != NULL && c->of == NULL && s->event == NULL) {
		error_set(reterr, ERR_INVALID, "expected --of too, the file that is to be cut");
		options_where("bytes", json_string_value(c->bytes), reterr);
		return ERR_INVALID;
	}
	if (s->each_line != NULL && (c->array != NULL || c->bytes != NULL || c->grid != NULL)) {
		error_set(reterr, ERR_INVALID,
			  "a job is cut by --array, --bytes, --grid or --each-line: by one of them");
		options_where("each-line", s->each_line, reterr);
		return ERR_INVALID;
	}
	return 0;
}

/* The option that fills a member: max_failures is --max-failures. */
static const char *option_of(const char *member, char name[static OPTION_BYTES])
{
	snprintf(name, OPTION_BYTES, "%.*s", OPTION_BYTES - 1, member);
	for (char *c = name; *c != '\0'; c++)
		*c = *c == '_' ? '-' : *c;
	return name;
}

/* Is anything in it? */
static bool is_given(const struct api_command *c, const struct object_field *f)
{
	const void *at = (const char *)c + f->offset;

	return f->kind == OBJECT_BOOL ? *(const bool *)at : *(json_t *const *)at != NULL;
}

/* None of a command's options stands beside a definition. */
static int check_definition(const struct submission *s, struct error *reterr)
{
	const struct object_type *type = object_command();
	const struct api_command *c = &s->command;
	const char *name = NULL, *value = NULL;
	char option[OPTION_BYTES];

	for (size_t i = 0; i < type->field_count && name == NULL; i++) {
		json_t **member = scalar_of(c, &type->fields[i]);

		if (!is_given(c, &type->fields[i]))
			continue;
		name = option_of(type->fields[i].name, option);
		value = member != NULL ? json_string_value(*member) : NULL;
	}
	if (s->each_line != NULL || s->stdin_of != NULL) {
		name = s->each_line != NULL ? "each-line" : "stdin";
		value = s->each_line != NULL ? s->each_line : s->stdin_of;
	}
	if (name == NULL)
		return 0;
	error_set(reterr, ERR_INVALID, "this is for a command; a definition says it itself");
	if (value == NULL)
		return error_where(reterr, "--%s", name);
	options_where(name, value, reterr);
	return ERR_INVALID;
}

static int check_kind(const struct submission *s, const char *definition, struct error *reterr)
{
	bool command = s->command.argv != NULL;

	if ((definition != NULL) != command)
		return command ? check_command(s, reterr) : check_definition(s, reterr);
	error_set(reterr, ERR_INVALID,
		  command ? "expected a definition or a command, found both"
			  : "expected a definition, or a command behind --");
	return error_help(reterr, "shardmill submit job.yaml, or: shardmill submit --array 1-10 -- prog {}");
}

int submission_body(const struct submission *s, const char *definition, const char *directory, json_t **ret,
		    struct error *reterr)
{
	struct api_submission body = {.definition = {0}};
	struct buf text = {0};
	int r = check_kind(s, definition, reterr);

	if (r == 0 && definition != NULL)
		r = add_definition(&body, &text, definition, reterr);
	else if (r == 0)
		r = add_command(s, &body, directory, reterr);
	if (r == 0 && s->event != NULL)
		r = add_event(&body, s->event, reterr);
	if (r == 0)
		r = add_text(&body.id, "id", s->id, reterr);
	if (r == 0)
		r = add_text(&body.name, "name", s->name, reterr);
	if (r == 0)
		r = add_priority(&body, s->priority, reterr);
	if (r == 0)
		r = add_text(&body.deadline, "deadline", s->deadline, reterr);
	if (r == 0)
		r = add_text(&body.start_by, "start-by", s->start_by, reterr);
	if (r == 0) {
		body.after = json_incref(s->after);
		body.allow_pending = s->allow_pending;
		body.dry_run = s->dry_run;
		*ret = object_write(object_submission(), &body);
	} else {
		json_decref(body.command);
		json_decref(body.event);
	}
	buf_fini(&text);
	return r;
}

/* "command.env.A=B", "command.argv[2]", "command.array": what stood on the command line there. */
static void name_member(const struct submission *s, const char *member, struct error *e)
{
	json_t **scalar = scalar_of(&s->command, object_field_of(object_command(), member));
	const char *value = scalar != NULL ? json_string_value(*scalar) : NULL;
	unsigned long index = 0;
	char quoted[80], option[OPTION_BYTES];

	if (strncmp(member, "env.", 4) == 0) {
		options_where("env", member + 4, e);
	} else if (strncmp(member, "exit.", 5) == 0) {
		options_where("exit", member + 5, e);
	} else if (strncmp(member, "items", 5) == 0 || strncmp(member, "lines", 5) == 0) {
		options_where("each-line", s->each_line, e);
	} else if (sscanf(member, "grid[%lu]", &index) == 1) {
		options_where("grid", json_string_value(json_array_get(s->command.grid, index)), e);
	} else if (strncmp(member, "grid", 4) == 0) {
		options_where("grid", json_string_value(json_array_get(s->command.grid, 0)), e);
	} else if (strncmp(member, "stdin_", 6) == 0) {
		options_where("stdin", s->stdin_of, e);
	} else if (strncmp(member, "gather", 6) == 0) {
		options_where("gather", NULL, e);
	} else if (strcmp(member, "argv") == 0) {
		error_where(e, "the command");
	} else if (sscanf(member, "argv[%lu]", &index) == 1) {
		value = json_string_value(json_array_get(s->command.argv, index));
		error_where(e, "the command's word %s",
			    text_quote(quoted, sizeof(quoted), bytes_of(value != NULL ? value : "")));
		if (value != NULL && strstr(value, "{{") != NULL)
			error_help(e,
				   "--literal passes the command as it is, without placeholders; else {{{{ "
				   "stands for {{ itself");
	} else if (value != NULL) {
		options_where(option_of(member, option), value, e);
	} else if (strcmp(member, "keep_going") == 0) {
		error_where(e, "--keep-going");
	}
}

void submission_name_options(const struct submission *s, struct error *e)
{
	const struct {
		const char *name, *value, *option;
	} own[] = {{"id", s->id, "id"},
		   {"name", s->name, "name"},
		   {"priority", s->priority, "priority"},
		   {"event", s->event, "event"},
		   {"deadline", s->deadline, "deadline"},
		   {"start_by", s->start_by, "start-by"}};
	char member[sizeof(e->where)];
	unsigned long index = 0;

	memcpy(member, e->where, sizeof(member));
	if (strncmp(member, "command.", 8) == 0)
		name_member(s, member + 8, e);
	else if (sscanf(member, "after[%lu]", &index) == 1)
		options_where("after", json_string_value(json_array_get(s->after, index)), e);
	else if (strcmp(member, "after") == 0)
		options_where("after", NULL, e);
	for (size_t i = 0; i < ARRAY_LENGTH(own); i++) {
		size_t length = strlen(own[i].name);

		if (own[i].value == NULL || strncmp(member, own[i].name, length) != 0)
			continue;
		if (member[length] == '\0')
			options_where(own[i].option, own[i].value, e);
		else if (member[length] == '.')
			error_where(e, "--%s %.100s: %.100s", own[i].name, own[i].value, member + length + 1);
	}
}

void submission_explain(const json_t *body, struct buf *out)
{
	struct definition *d = NULL;
	struct api_submission sent;
	struct buf report = {0};

	object_read(object_submission(), body, &sent);
	if (!sent.has_definition)
		return;
	if (definition_parse(sent.definition, sent.file.size > 0 ? api_text(sent.file) : "definition",
			     &report, &d, NULL) == 0)
		definition_destroy(d);
	else
		human_text(out, buf_bytes(&report), true);
	buf_fini(&report);
}
