/* POST /v1/jobs: a definition, or a command line that is made into one. */
#include <string.h>

#include "base/clock.h"
#include "dispatcher/api/request.h"
#include "jobs/instantiate.h"
#include "jobs/json.h"

struct submission {
	json_t *body;
	struct definition *definition;
	struct event event;
	bool has_event;
	struct arena arena;
	struct pair *env;
};

static void submission_fini(struct submission *u)
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
    TEXT_MEMBER(name),	 TEXT_MEMBER(array),	TEXT_MEMBER(bytes),    TEXT_MEMBER(of),
    TEXT_MEMBER(align),	 TEXT_MEMBER(input),	TEXT_MEMBER(timeout),  TEXT_MEMBER(cpus),
    TEXT_MEMBER(memory), TEXT_MEMBER(gpus),	TEXT_MEMBER(attempts), TEXT_MEMBER(tolerate),
    TEXT_MEMBER(queue),	 TEXT_MEMBER(priority), TEXT_MEMBER(output),   TEXT_MEMBER(directory),
    TEXT_MEMBER(pin),
#undef TEXT_MEMBER
};

static int read_text(struct submission *u, const char *key, json_t *value, struct definition_command *c,
		     struct error *reterr)
{
	struct buf b = {0};
	size_t i = 0;

	while (i < ARRAY_LENGTH(texts) && strcmp(texts[i].name, key) != 0)
		i++;
	if (i == ARRAY_LENGTH(texts)) {
		error_set(reterr, ERR_INVALID, "there is no such member of a command");
		error_help(reterr, "argv, gather, env, name, array, bytes, of, align, input, timeout, cpus, "
				   "memory, gpus, pin, "
				   "attempts, tolerate, queue, priority, output, directory");
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

static int read_env(struct submission *u, json_t *value, struct definition_command *c, struct error *reterr)
{
	const char *name;
	json_t *text;

	if (!json_is_object(value) || json_object_size(value) > ENV_COUNT_MAX) {
		error_set(reterr, ERR_INVALID, "expected an object of at most %d names with their values",
			  ENV_COUNT_MAX);
		return error_where(reterr, "command.env");
	}
	u->env = arena_alloc(&u->arena, sizeof(*u->env) * (json_object_size(value) + 1));
	json_object_foreach(value, name, text)
	{
		if (!json_is_string(text)) {
			error_set(reterr, ERR_INVALID, "expected text, found %s", json_kind_name(text));
			return error_where(reterr, "command.env.%.100s", name);
		}
		u->env[c->env_count++] = (struct pair){.name = bytes_of(name), .value = json_bytes(text)};
	}
	c->env = u->env;
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
		else if (strcmp(key, "env") == 0)
			r = read_env(u, value, &c, reterr);
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
	const char *text, *file;
	json_t *command = json_object_get(u->body, "command");
	int r = object_text(u->body, "definition", &text, reterr);

	if (r == 0)
		r = object_text(u->body, "file", &file, reterr);
	if (r < 0)
		return r;
	if ((text != NULL) == (command != NULL)) {
		error_set(reterr, ERR_INVALID, "expected either \"definition\" or \"command\"");
		return error_where(reterr, "body");
	}
	if (command != NULL)
		return read_command(u, command, reterr);
	return definition_parse(json_bytes(json_object_get(u->body, "definition")),
				file != NULL ? file : "definition", NULL, &u->definition, reterr);
}

static int read_event(struct submission *u, struct error *reterr)
{
	json_t *event = json_object_get(u->body, "event");
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

static int make_job(struct submission *u, struct new_job *job, struct error *reterr)
{
	json_t *priority = json_object_get(u->body, "priority");
	const char *name;
	int r = object_text(u->body, "name", &name, reterr);

	if (r == 0 && name != NULL && (name[0] == '\0' || strlen(name) > NAME_BYTES_MAX)) {
		error_set(reterr, ERR_LIMIT, "expected a name of 1 to %d bytes", NAME_BYTES_MAX);
		r = error_where(reterr, "name");
	}
	if (r == 0)
		r = definition_instantiate(u->definition, u->has_event ? &u->event : NULL,
					   bytes_of(name != NULL ? name : ""), &u->arena, job, reterr);
	if (r < 0 || priority == NULL)
		return r;
	if (!json_is_integer(priority) || json_integer_value(priority) < INT32_MIN ||
	    json_integer_value(priority) > INT32_MAX) {
		error_set(reterr, ERR_INVALID, "expected a whole number of 32 bits");
		return error_where(reterr, "priority");
	}
	job->priority = json_integer_value(priority);
	return 0;
}

/* The header wins nothing: given twice, both have to say the same. */
static int read_key(struct request *r, struct submission *u, struct dedup_key *ret, struct error *reterr)
{
	const char *header = request_header(r, "Idempotency-Key");
	const char *id;
	int rc = object_text(u->body, "id", &id, reterr);
	struct bytes part;

	if (rc < 0)
		return rc;
	if (id != NULL && header[0] != '\0' && strcmp(id, header) != 0)
		error_set(reterr, ERR_INVALID, "the header Idempotency-Key and \"id\" are not the same");
	else if (id != NULL && (id[0] == '\0' || strlen(id) > KEY_BYTES_MAX))
		error_set(reterr, ERR_INVALID, "expected 1 to %d bytes", KEY_BYTES_MAX);
	else if (strlen(header) > KEY_BYTES_MAX)
		error_set(reterr, ERR_INVALID, "expected an Idempotency-Key of at most %d bytes",
			  KEY_BYTES_MAX);
	else {
		part = bytes_of(id != NULL ? id : header);
		if (part.size > 0)
			*ret = dedup_key_of("submit", &part, 1, r->server->dedup_secret);
		return 0;
	}
	return error_where(reterr, "id");
}

static void on_reply(struct server *s, void *arg, const struct dispatcher_reply *reply)
{
	struct request *r = arg;
	struct error e = {0};

	(void)s;
	if (reply->code != ERR_OK) {
		error_set(&e, reply->code, "%s", reply->why);
		if (reply->code == ERR_BUSY)
			error_help(
			    &e,
			    "send it again when jobs have ended; the dispatcher's --jobs-max is the bound");
		request_fail(r, &e);
		return;
	}
	request_answer(r, reply->duplicate ? MHD_HTTP_OK : MHD_HTTP_CREATED,
		       json_pack("{s:I,s:I,s:b}", "id", (json_int_t)reply->job, "jobs",
				 (json_int_t)reply->job_count, "duplicate", reply->duplicate));
}

static int submit(struct request *r, struct submission *u, struct error *reterr)
{
	static const char *const names[] = {"definition", "file", "command",  "event",
					    "id",	  "name", "priority", NULL};
	struct dedup_key key = {0};
	struct new_job job = {0};
	struct input_accept in = {0};
	struct buf event = {0};
	int rc = object_only(u->body, names, reterr);

	if (rc == 0)
		rc = read_key(r, u, &key, reterr);
	if (rc == 0)
		rc = read_definition(u, reterr);
	if (rc == 0)
		rc = read_event(u, reterr);
	if (rc == 0)
		rc = make_job(u, &job, reterr);
	if (rc < 0)
		return rc;
	if (u->has_event)
		event_write(&u->event, &event);
	job.event_id_hi = key.hi;
	job.event_id_lo = key.lo;
	in.key_hi = key.hi;
	in.key_lo = key.lo;
	in.definitions = (struct definition_body_list){&u->definition->body, 1};
	in.jobs = (struct new_job_list){&job, 1};
	in.event = buf_bytes(&event);
	in.request = replies_expect(&r->server->replies, on_reply, r);
	server_step(r->server, INPUT_ACCEPT, &in);
	buf_fini(&event);
	return 0;
}

void api_submit(struct request *r)
{
	struct submission u = {0};
	struct error e = {0};
	int rc = server_has_room(r->server, &e);

	if (rc < 0) {
		request_fail_room(r, &e);
		return;
	}
	u.body = request_object(r);
	if (u.body == NULL)
		return;
	arena_init(&u.arena, 0);
	if (submit(r, &u, &e) < 0)
		request_fail(r, &e);
	submission_fini(&u);
}
