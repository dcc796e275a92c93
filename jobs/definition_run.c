/* run and gather: what is started, with what, and how long it may take. */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/text.h"
#include "jobs/definition_read.h"

#define RESERVED_PREFIX "SHARDMILL_"

/* What the readers of one phase fill. */
struct run_target {
	struct phase_def *phase;
	unsigned scope;
	bool is_gather; /* its inputs are outputs */
	bool is_plan;	/* it has none */
};

void run_defaults(struct run_spec *run)
{
	*run = (struct run_spec){.kind = RUN_EXEC,
				 .input = FEED_NONE,
				 .format = FORMAT_MSGPACK,
				 .shape = {.cpu_milli = 1000},
				 .pin = PIN_CORE,
				 .durable_output = true};
}

static bool read_argv(struct definition_reader *r, const struct node *n, struct run_target *t)
{
	struct text_item_list argv;

	if (!read_template_list(r, n, t->scope, ARGV_COUNT_MAX, &argv))
		return false;
	if (argv.items[0].text.size == 0)
		return read_refuse(r, n->children, NULL, "a program");
	t->phase->run.argv = argv;
	return true;
}

static bool read_exec(struct definition_reader *r, const struct node *n, void *target)
{
	struct run_target *t = target;

	t->phase->run.kind = RUN_EXEC;
	return read_argv(r, n, t);
}

static bool read_runner(struct definition_reader *r, const struct node *n, void *target)
{
	struct run_target *t = target;

	t->phase->run.kind = RUN_RUNNER;
	t->scope = TEMPLATE_EVENT | TEMPLATE_JOB; /* it is started once for many shards */
	return read_argv(r, n, t);
}

static bool read_format(struct definition_reader *r, const struct node *n, void *target)
{
	struct run_target *t = target;

	return read_kind(r, n, runner_format_of, runner_format_names(), &t->phase->run.format);
}

/* "cut by bytes or items to have an input", of the kinds that give one. */
static const char *help_to_input(char *buf, size_t size)
{
	const struct plan_row *row;
	size_t used = (size_t)snprintf(buf, size, "cut by"), count = 0;

	for (size_t i = 0; (row = plan_row_at(i)) != NULL && used < size; i++)
		if (row->keys[0].name != NULL && row->input != PLAN_INPUT_NONE)
			used += (size_t)snprintf(buf + used, size - used, "%s %s", count++ > 0 ? " or" : "",
						 row->keys[0].name);
	if (used < size)
		snprintf(buf + used, size - used, " to have an input");
	return buf;
}

static bool read_input(struct definition_reader *r, const struct node *n, void *target)
{
	struct run_target *t = target;
	const struct plan_row *plan = plan_row(r->d->shard.kind);
	char help[120], expected[120];

	if (!read_kind(r, n, input_mode_of, input_mode_names(), &t->phase->run.input))
		return false;
	if (t->phase->run.input == FEED_FILE)
		t->scope |= TEMPLATE_INPUT;
	if (t->phase->run.input != FEED_NONE && t->is_plan)
		return read_refuse(r, n, "name the object in an argument: {{event.object}}",
				   "none, since what makes the items has no shard yet");
	if (t->phase->run.input != FEED_NONE && !t->is_gather && plan->input == PLAN_INPUT_NONE) {
		snprintf(expected, sizeof expected, "none, since shards by %s have no input",
			 plan_kind_name(plan->kind));
		return read_refuse(r, n, help_to_input(help, sizeof help), expected);
	}
	return true;
}

/* ---- stdin ---- */

static bool read_stdin_file(struct definition_reader *r, const struct node *n, void *target)
{
	struct run_target *t = target;
	struct bytes text;

	if (!read_template(r, n, t->scope, true, &text))
		return false;
	if (text.size == 0 || text.size > URL_BYTES_MAX ||
	    (text.data[0] != '/' && memcmp(text.data, "{{", text.size < 2 ? 1 : 2) != 0))
		return read_refuse(r, n, NULL, "an absolute path");
	t->phase->run.stdin_file = text;
	return true;
}

static bool keep_stdin(struct definition_reader *r, const struct node *n, struct run_target *t,
		       struct bytes bytes)
{
	if (bytes.size > STDIN_BYTES_MAX) {
		(void)problems_add(
		    r->problems, n->at, ERR_LIMIT,
		    "give its commands a file that workers open: stdin: {file: /PATH}, or --stdin "
		    "FILE",
		    "%zu bytes of stdin; a definition holds at most %llu", bytes.size, STDIN_BYTES_MAX);
		return false;
	}
	t->phase->run.stdin_bytes = arena_copy(r->arena, bytes);
	return true;
}

static bool read_stdin_text(struct definition_reader *r, const struct node *n, void *target)
{
	if (n->kind != NODE_SCALAR)
		return read_refuse(r, n, NULL, "a text");
	return keep_stdin(r, n, target, n->text);
}

static bool read_stdin_base64(struct definition_reader *r, const struct node *n, void *target)
{
	struct buf bytes = {0};
	bool ok;

	if (n->kind != NODE_SCALAR || !event_base64_decode(&bytes, n->text))
		return read_refuse(r, n, NULL, "base64");
	ok = keep_stdin(r, n, target, buf_bytes(&bytes));
	buf_fini(&bytes);
	return ok;
}

/* One input for all shards; `input` says what else is on stdin. */
static bool read_stdin(struct definition_reader *r, const struct node *n, void *target)
{
	static const struct definition_key keys[] = {{"file", false, read_stdin_file},
						     {"text", false, read_stdin_text},
						     {"base64", false, read_stdin_base64}};
	struct run_target *t = target;

	if (n->kind != NODE_MAP || n->child_count != 1)
		return read_refuse(r, n, NULL, "one of file, text and base64");
	if (t->phase->run.input != FEED_STDIN)
		return read_map(r, n, "`stdin`", keys, ARRAY_LENGTH(keys), t);
	(void)problems_add(r->problems, n->key_at, ERR_INVALID,
			   "let the shard's part come in a file: input: file",
			   "stdin is the shard's part of the input already");
	return false;
}

static bool read_run_timeout(struct definition_reader *r, const struct node *n, void *target)
{
	struct run_target *t = target;

	return read_timeout(r, n, &t->phase->run.timeout_us);
}

static bool read_shape(struct definition_reader *r, const struct node *n, void *target)
{
	struct run_target *t = target;

	return read_resources(r, n, &t->phase->run);
}

static bool is_variable(struct bytes name)
{
	for (size_t i = 0; i < name.size; i++) {
		uint8_t c = name.data[i];
		bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';

		if (!letter && (i == 0 || c < '0' || c > '9'))
			return false;
	}
	return name.size > 0 && name.size <= NAME_BYTES_MAX;
}

static bool check_variable(struct definition_reader *r, const struct node *n)
{
	char quoted[80];

	text_quote(quoted, sizeof quoted, n->key);
	if (!is_variable(n->key)) {
		(void)problems_add(r->problems, n->key_at, ERR_INVALID, NULL,
				   "expected the name of an environment variable, found %s", quoted);
		return false;
	}
	if (strncmp((const char *)n->key.data, RESERVED_PREFIX, strlen(RESERVED_PREFIX)) != 0)
		return true;
	(void)problems_add(r->problems, n->key_at, ERR_INVALID, NULL,
			   "%s: names that begin with " RESERVED_PREFIX " are set by shardmill itself",
			   quoted);
	return false;
}

/* Sorted by name, so that their order in the file says nothing. */
static void insert_pair(struct pair_list *list, struct bytes name, struct bytes value)
{
	uint32_t at = list->count++;

	while (at > 0 && strcmp((const char *)list->items[at - 1].name.data, (const char *)name.data) > 0) {
		list->items[at] = list->items[at - 1];
		at--;
	}
	list->items[at] = (struct pair){name, value};
}

static bool read_pairs(struct definition_reader *r, const struct node *n, unsigned scope,
		       struct pair_list *ret)
{
	bool fine = true;

	if (n->kind != NODE_MAP)
		return read_refuse(r, n, NULL, "a map of names and values");
	if (n->child_count > ENV_COUNT_MAX) {
		(void)problems_add(r->problems, n->at, ERR_LIMIT, NULL, "%u variables; at most %d are taken",
				   n->child_count, ENV_COUNT_MAX);
		return false;
	}
	ret->items = read_alloc(r, n->child_count, sizeof *ret->items);
	for (const struct node *child = n->children; child != NULL; child = child->next) {
		struct bytes value;

		if (!check_variable(r, child) || !read_template(r, child, scope, true, &value))
			fine = false;
		else
			insert_pair(ret, child->key, value);
	}
	return fine;
}

static bool read_env(struct definition_reader *r, const struct node *n, void *target)
{
	struct run_target *t = target;

	return read_pairs(r, n, t->scope, &t->phase->run.env);
}

static bool read_path(struct definition_reader *r, const struct node *n, struct bytes *ret)
{
	if (n->kind != NODE_SCALAR || n->text.size == 0 || n->text.data[0] != '/' ||
	    n->text.size > URL_BYTES_MAX)
		return read_refuse(r, n, NULL, "an absolute path");
	*ret = n->text;
	return true;
}

static bool read_env_from(struct definition_reader *r, const struct node *n, void *target)
{
	struct run_target *t = target;
	struct pair_list *list = &t->phase->run.env_from;
	bool fine = true;

	if (n->kind != NODE_MAP || n->child_count > ENV_COUNT_MAX)
		return read_refuse(r, n, NULL, "a map of names and files, at most 256");
	list->items = read_alloc(r, n->child_count, sizeof *list->items);
	for (const struct node *child = n->children; child != NULL; child = child->next) {
		struct bytes path;

		if (!check_variable(r, child) || !read_path(r, child, &path)) {
			fine = false;
			continue;
		}
		for (uint32_t i = 0; i < t->phase->run.env.count; i++)
			if (bytes_equal(t->phase->run.env.items[i].name, child->key)) {
				(void)problems_add(r->problems, child->key_at, ERR_INVALID, NULL,
						   "a variable that `env` sets, too");
				fine = false;
			}
		insert_pair(list, child->key, path);
	}
	return fine;
}

static bool read_directory(struct definition_reader *r, const struct node *n, void *target)
{
	struct run_target *t = target;

	return read_path(r, n, &t->phase->run.directory);
}

static bool read_durable(struct definition_reader *r, const struct node *n, void *target)
{
	struct run_target *t = target;

	return read_bool(r, n, &t->phase->run.durable_output);
}

static bool read_output_max(struct definition_reader *r, const struct node *n, void *target)
{
	struct run_target *t = target;

	return read_size(r, n, &t->phase->run.output_bytes_max);
}

static bool read_fanin(struct definition_reader *r, const struct node *n, void *target)
{
	struct run_target *t = target;
	int64_t fanin;

	if (n->kind == NODE_SCALAR && bytes_equal(n->text, BYTES_LIT("all"))) {
		t->phase->fanin = 0;
		return true;
	}
	if (!read_integer(r, n, 2, UINT32_MAX, &fanin))
		return false;
	t->phase->fanin = (uint32_t)fanin;
	return true;
}

static bool read_container(struct definition_reader *r, const struct node *n, void *target)
{
	(void)target;
	(void)problems_add(r->problems, n->key_at, ERR_VERSION,
			   "start the container in exec, as in [podman, run, --rm, IMAGE, …]",
			   "`container` is reserved for a later version");
	return false;
}

/* exec comes behind input, which widens what its arguments may name. */
#define COMMON_KEYS                                                                                          \
	{"input", false, read_input}, {"exec", false, read_exec}, {"runner", false, read_runner},            \
	    {"format", false, read_format}, {"timeout", false, read_run_timeout},                            \
	    {"resources", false, read_shape}, {"env", false, read_env}, {"env_from", false, read_env_from},  \
	    {"directory", false, read_directory}, {"durable_output", false, read_durable},                   \
	    {"output_max", false, read_output_max},                                                          \
	{                                                                                                    \
		"container", false, read_container                                                           \
	}

static bool check_run(struct definition_reader *r, const struct node *n, const char *what)
{
	const struct node *exec = node_get(n, "exec"), *runner = node_get(n, "runner");
	const struct node *format = node_get(n, "format"), *input = node_get(n, "input");

	if ((exec != NULL) == (runner != NULL)) {
		(void)problems_add(r->problems, exec != NULL ? runner->key_at : n->at, ERR_INVALID, NULL,
				   "%s needs exec or runner, and not both", what);
		return false;
	}
	if (exec != NULL && format != NULL) {
		(void)problems_add(r->problems, format->key_at, ERR_INVALID, NULL, "format goes with runner");
		return false;
	}
	if (runner != NULL && node_get(n, "stdin") != NULL) {
		(void)problems_add(r->problems, node_get(n, "stdin")->key_at, ERR_INVALID, NULL,
				   "a runner is spoken to over its stdin; `stdin` goes with exec");
		return false;
	}
	if (runner != NULL && input != NULL) {
		(void)problems_add(r->problems, input->key_at, ERR_INVALID, NULL,
				   "a runner gets its shards by the runner protocol; input goes with exec");
		return false;
	}
	return true;
}

/* Each shard of an object that is cut by bytes has a part of its own: a command that takes nothing of it does
 * the same thing again and again. `input: none` says that this is meant. */
static bool check_takes_bytes(struct definition_reader *r, const struct node *n)
{
	const struct node *exec = node_get(n, "exec");

	if (plan_row(r->d->shard.kind)->input != PLAN_INPUT_PART || exec == NULL ||
	    node_get(n, "input") != NULL || r->names_part)
		return true;
	(void)problems_add(
	    r->problems, exec->key_at, ERR_INVALID,
	    "let it read its part from stdin (input: stdin, or --input stdin), or from a file (input: "
	    "file and {{shard.input_file}}, or {} on a command line); input: none says that it needs "
	    "neither",
	    "the shards are cut by bytes, but their command takes nothing of its part");
	return false;
}

bool read_run(struct definition_reader *r, const struct node *n, void *target)
{
	static const struct definition_key keys[] = {COMMON_KEYS, {"stdin", false, read_stdin}};
	struct run_target t = {.phase = target,
			       .scope = TEMPLATE_EVENT | TEMPLATE_JOB | TEMPLATE_SHARD |
					TEMPLATE_PLAN(r->d->shard.kind)};

	r->names_part = false;
	return read_map(r, n, "`run`", keys, ARRAY_LENGTH(keys), &t) && check_run(r, n, "`run`") &&
	       check_takes_bytes(r, n);
}

bool read_gather(struct definition_reader *r, const struct node *n, void *target)
{
	static const struct definition_key keys[] = {COMMON_KEYS, {"fanin", false, read_fanin}};
	struct run_target t = {
	    .phase = target, .scope = TEMPLATE_EVENT | TEMPLATE_JOB | TEMPLATE_SHARD, .is_gather = true};

	t.phase->run.input = node_get(n, "runner") == NULL ? FEED_STDIN : FEED_NONE;
	return read_map(r, n, "`gather`", keys, ARRAY_LENGTH(keys), &t) && check_run(r, n, "`gather`");
}

bool read_plan_run(struct definition_reader *r, const struct node *n, void *target)
{
	static const struct definition_key keys[] = {COMMON_KEYS};
	struct run_target t = {.phase = target, .scope = TEMPLATE_EVENT | TEMPLATE_JOB, .is_plan = true};
	const struct node *runner = node_get(n, "runner");

	if (runner != NULL) {
		(void)problems_add(r->problems, runner->key_at, ERR_INVALID, NULL,
				   "a command that makes items is an exec: it runs once");
		return false;
	}
	return read_map(r, n, "the items' command", keys, ARRAY_LENGTH(keys), &t) &&
	       check_run(r, n, "the items' command");
}
