#include "dispatcher/api/submission.h"

#include <string.h>

#include "base/clock.h"
#include "base/units.h"
#include "dispatcher/api/after.h"
#include "jobs/json.h"

void submission_fini(struct submission *u)
{
	if (u->has_event)
		event_fini(&u->event);
	definition_destroy(u->definition);
	json_decref(u->body);
	arena_fini(&u->arena);
}

/* ---- a command ---- */

/* Members of "command" and the fields they fill; numbers may be written as numbers. */
static const struct {
	const char *name;
	size_t offset;
} texts[] = {
#define TEXT_MEMBER(member)                                                                                  \
	{                                                                                                    \
#member, offsetof(struct definition_command, member)                                         \
	}
    TEXT_MEMBER(name),	     TEXT_MEMBER(array),	TEXT_MEMBER(bytes),	   TEXT_MEMBER(of),
    TEXT_MEMBER(align),	     TEXT_MEMBER(input),	TEXT_MEMBER(timeout),	   TEXT_MEMBER(cpus),
    TEXT_MEMBER(memory),     TEXT_MEMBER(gpus),		TEXT_MEMBER(attempts),	   TEXT_MEMBER(tolerate),
    TEXT_MEMBER(queue),	     TEXT_MEMBER(priority),	TEXT_MEMBER(output),	   TEXT_MEMBER(directory),
    TEXT_MEMBER(pin),	     TEXT_MEMBER(lines),	TEXT_MEMBER(max_failures), TEXT_MEMBER(out),
    TEXT_MEMBER(err),	     TEXT_MEMBER(max_running),	TEXT_MEMBER(concurrency),  TEXT_MEMBER(rate),
    TEXT_MEMBER(stdin_file), TEXT_MEMBER(stdin_base64),
#undef TEXT_MEMBER
};

static void help_members(struct error *reterr)
{
	const struct object_type *o = object_command();
	struct buf names = {0};

	for (size_t i = 0; i < o->field_count; i++)
		buf_printf(&names, "%s%s", i > 0 ? ", " : "", o->fields[i].name);
	error_help(reterr, "%s", buf_text(&names));
	buf_fini(&names);
}

static int read_text(struct submission *u, const char *key, json_t *value, struct definition_command *c,
		     struct error *reterr)
{
	struct buf b = {0};
	size_t i = 0;

	while (i < ARRAY_LENGTH(texts) && strcmp(texts[i].name, key) != 0)
		i++;
	if (i == ARRAY_LENGTH(texts)) {
		error_set(reterr, ERR_INVALID, "there is no such member of a command");
		help_members(reterr);
		return error_where(reterr, "command.%.100s", key);
	}
	if (!json_is_string(value) && !json_is_number(value)) {
		error_set(reterr, ERR_INVALID, "expected text or a number, found %s", json_kind_name(value));
		return error_where(reterr, "command.%s", key);
	}
	if (json_is_string(value) && json_string_length(value) == 0) {
		error_set(reterr, ERR_INVALID, "expected a value, found an empty text");
		error_help(reterr, "leave it out where nothing is to be said");
		return error_where(reterr, "command.%s", key);
	}
	if (json_is_string(value))
		buf_append_bytes(&b, json_bytes(value));
	else
		json_write(&b, value);
	*(struct bytes *)((char *)c + texts[i].offset) = arena_copy(&u->arena, buf_bytes(&b));
	buf_fini(&b);
	return 0;
}

/* name: argv or gather. */
static int read_argv(struct submission *u, const char *name, json_t *value, struct definition_command *c,
		     struct error *reterr)
{
	struct bytes *argv;
	size_t i;
	json_t *arg;

	if (!json_is_array(value) || json_array_size(value) == 0 || json_array_size(value) > ARGV_COUNT_MAX) {
		error_set(reterr, ERR_INVALID, "expected a list of 1 to %d texts", ARGV_COUNT_MAX);
		return error_where(reterr, "command.%s", name);
	}
	argv = arena_alloc(&u->arena, sizeof(*argv) * json_array_size(value));
	json_array_foreach(value, i, arg)
	{
		if (!json_is_string(arg)) {
			error_set(reterr, ERR_INVALID, "expected text, found %s", json_kind_name(arg));
			return error_where(reterr, "command.%s[%zu]", name, i);
		}
		argv[i] = json_bytes(arg);
	}
	if (strcmp(name, "gather") == 0) {
		c->gather = argv;
		c->gather_count = json_array_size(value);
	} else {
		c->argv = argv;
		c->argc = json_array_size(value);
	}
	return 0;
}

/* name: items or grid. */
static int read_texts(struct submission *u, const char *name, json_t *value, const struct bytes **ret,
		      size_t *ret_count, struct error *reterr)
{
	size_t count = json_array_size(value), i;
	struct bytes *list;
	json_t *text;

	if (count == 0 || count > DEFINITION_ITEMS_MAX) {
		error_set(reterr, ERR_INVALID, "expected a list of 1 to %d texts", DEFINITION_ITEMS_MAX);
		return error_where(reterr, "command.%s", name);
	}
	list = arena_alloc(&u->arena, sizeof(*list) * count);
	json_array_foreach(value, i, text)
	{
		if (!json_is_string(text)) {
			error_set(reterr, ERR_INVALID, "expected text, found %s", json_kind_name(text));
			return error_where(reterr, "command.%s[%zu]", name, i);
		}
		list[i] = json_bytes(text);
	}
	*ret = list;
	*ret_count = count;
	return 0;
}

/* member: env or exit. */
static int read_pairs(struct submission *u, const char *member, json_t *value, const struct pair **ret,
		      size_t *ret_count, struct error *reterr)
{
	struct pair *pairs;
	const char *name;
	json_t *text;

	if (!json_is_object(value) || json_object_size(value) > ENV_COUNT_MAX) {
		error_set(reterr, ERR_INVALID, "expected an object of at most %d names with their values",
			  ENV_COUNT_MAX);
		return error_where(reterr, "command.%s", member);
	}
	pairs = arena_alloc(&u->arena, sizeof(*pairs) * (json_object_size(value) + 1));
	*ret = pairs;
	json_object_foreach(value, name, text)
	{
		if (!json_is_string(text)) {
			error_set(reterr, ERR_INVALID, "expected text, found %s", json_kind_name(text));
			return error_where(reterr, "command.%s.%.100s", member, name);
		}
		pairs[(*ret_count)++] = (struct pair){.name = bytes_of(name), .value = json_bytes(text)};
	}
	return 0;
}

static int read_flag(const char *name, json_t *value, bool *ret, struct error *reterr)
{
	if (!json_is_boolean(value)) {
		error_set(reterr, ERR_INVALID, "expected true or false, found %s", json_kind_name(value));
		return error_where(reterr, "command.%s", name);
	}
	*ret = json_is_true(value);
	return 0;
}

static int read_command(struct submission *u, json_t *command, struct error *reterr)
{
	struct definition_command c = {0};
	struct error e = {0};
	const char *key;
	json_t *value;
	int r = 0;

	if (!json_is_object(command)) {
		error_set(reterr, ERR_INVALID, "expected an object, found %s", json_kind_name(command));
		return error_where(reterr, "command");
	}
	json_object_foreach(command, key, value)
	{
		if (strcmp(key, "argv") == 0 || strcmp(key, "gather") == 0)
			r = read_argv(u, key, value, &c, reterr);
		else if (strcmp(key, "items") == 0)
			r = read_texts(u, key, value, &c.items, &c.item_count, reterr);
		else if (strcmp(key, "grid") == 0)
			r = read_texts(u, key, value, &c.grid, &c.grid_count, reterr);
		else if (strcmp(key, "env") == 0)
			r = read_pairs(u, key, value, &c.env, &c.env_count, reterr);
		else if (strcmp(key, "exit") == 0)
			r = read_pairs(u, key, value, &c.exits, &c.exit_count, reterr);
		else if (strcmp(key, "literal") == 0)
			r = read_flag(key, value, &c.literal, reterr);
		else if (strcmp(key, "keep_going") == 0)
			r = read_flag(key, value, &c.keep_going, reterr);
		else
			r = read_text(u, key, value, &c, reterr);
		if (r < 0)
			return r;
	}
	if (c.argc == 0) {
		error_set(reterr, ERR_INVALID, "expected argv, the command and its arguments");
		return error_where(reterr, "command.argv");
	}
	r = definition_from_command(&c, &u->definition, &e);
	if (r < 0) {
		error_set(reterr, r, "%s", e.what);
		error_help(reterr, "%s", e.help);
		error_where(reterr, "command%s%.200s", e.where[0] != '\0' ? "." : "", e.where);
	}
	return r;
}

/* ---- the body ---- */

static int read_definition(struct submission *u, struct error *reterr)
{
	const struct api_submission *asked = &u->asked;

	if ((asked->definition.data != NULL) == (asked->command != NULL)) {
		error_set(reterr, ERR_INVALID, "expected either \"definition\" or \"command\"");
		return error_where(reterr, "body");
	}
	if (asked->command != NULL)
		return read_command(u, asked->command, reterr);
	return definition_parse(asked->definition,
				asked->file.data != NULL ? api_text(asked->file) : "definition", NULL,
				&u->definition, reterr);
}

static int read_event(struct submission *u, struct error *reterr)
{
	json_t *event = u->asked.event;
	struct error e = {0};

	if (event == NULL || json_is_null(event))
		return 0;
	if (event_from_json(event, clock_wall_us(), &u->event, &e) < 0) {
		error_set(reterr, e.code, "%s", e.what);
		error_help(reterr, "%s", e.help);
		return error_where(reterr, "event%s%.200s", e.where[0] != '\0' ? "." : "", e.where);
	}
	u->has_event = true;
	return 0;
}

/* A duration of the body, in place of the definition's. */
static int read_time(struct bytes text, const char *member, int64_t *ret_us, struct error *reterr)
{
	usec_t us;

	if (text.size == 0)
		return 0;
	if (units_parse_duration(text, &us, reterr) < 0)
		return error_where(reterr, "%s", member);
	if (us == 0) {
		error_set(reterr, ERR_INVALID, "expected a time above 0");
		return error_where(reterr, "%s", member);
	}
	*ret_us = us;
	return 0;
}

static int read_limits(struct submission *u, struct error *reterr)
{
	int rc = after_read(u, reterr);

	if (rc == 0)
		rc = read_time(u->asked.deadline, "deadline", &u->job.deadline_wall_us, reterr);
	return rc == 0 ? read_time(u->asked.start_by, "start_by", &u->job.start_by_wall_us, reterr) : rc;
}

static int make_job(struct submission *u, struct error *reterr)
{
	struct bytes name = u->asked.name;
	int64_t priority = u->asked.priority;
	int r;

	if (name.data != NULL && (name.size == 0 || name.size > NAME_BYTES_MAX)) {
		error_set(reterr, ERR_LIMIT, "expected a name of 1 to %d bytes", NAME_BYTES_MAX);
		return error_where(reterr, "name");
	}
	r = definition_instantiate(u->definition, u->has_event ? &u->event : NULL, name, &u->arena, &u->job,
				   reterr);
	if (r == 0)
		r = read_limits(u, reterr);
	if (r < 0 || !u->asked.has_priority)
		return r;
	if (priority < INT32_MIN || priority > INT32_MAX) {
		error_set(reterr, ERR_INVALID, "expected a whole number of 32 bits");
		return error_where(reterr, "priority");
	}
	u->job.priority = priority;
	return 0;
}

int submission_read(struct submission *u, json_t *body, struct error *reterr)
{
	int rc;

	*u = (struct submission){.body = body};
	arena_init(&u->arena, 0);
	rc = object_read_request(object_submission(), body, &u->asked, reterr);
	if (rc == 0)
		rc = read_definition(u, reterr);
	if (rc == 0)
		rc = read_event(u, reterr);
	return rc == 0 ? make_job(u, reterr) : rc;
}
