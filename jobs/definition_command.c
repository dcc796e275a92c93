/* A command line as a definition: `shardmill submit --array 1-1000:2 -- prog {}`. */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/text.h"
#include "base/units.h"
#include "jobs/definition_read.h"
#include "jobs/definition_word.h"
#include "jobs/json.h"
#include "jobs/template.h"

static void set(json_t *to, const char *name, json_t *value)
{
	CHECK(value != NULL && json_object_set_new(to, name, value) == 0);
}

/* Not set when empty. The reader of definitions takes all values as text. */
static int set_text(json_t *to, const char *name, struct bytes text, struct error *reterr)
{
	json_t *value;

	if (text.size == 0)
		return 0;
	value = memchr(text.data, '\0', text.size) != NULL ? NULL
							   : json_stringn((const char *)text.data, text.size);
	if (value == NULL) {
		error_set(reterr, ERR_INVALID, "expected UTF-8 text without NUL");
		return error_where(reterr, "%s", name);
	}
	set(to, name, value);
	return 0;
}

/* ---- what braces mean in a word of the command ---- */

/* What {} stands for: the shard's number or item, or the file that holds its bytes. NULL: there is nothing
 * that it could stand for, and it stays as it is. */
static const char *braces_stand_for(const struct definition_command *c)
{
	if (c->bytes.size > 0)
		return "{{shard.input_file}}";
	return c->array.size > 0 || c->grid_count > 0 || c->item_count > 0 || c->lines.size > 0
		   ? "{{shard.value}}"
		   : NULL;
}

/* Of a job that is cut by bytes, {} is a file: a command that has one need not say so. */
static int fill_input_file(const struct definition_command *c, bool braces, json_t *run, struct error *reterr)
{
	if (!braces || bytes_equal(c->input, BYTES_LIT("file")))
		return 0;
	if (c->input.size == 0) {
		set(run, "input", json_string("file"));
		return 0;
	}
	error_set(reterr, ERR_INVALID, "{} is a file that holds the shard's bytes, and this asks for none");
	error_help(reterr, "leave out one of the two; where {} is a word of the command's own, write {{}}");
	return error_where(reterr, "input");
}

/* gather: its arguments, else the shards'. */
static int fill_argv(const struct definition_command *c, bool gather, json_t *run, struct error *reterr)
{
	size_t count = gather ? c->gather_count : c->argc;
	const char *stands_for = braces_stand_for(c);
	json_t *argv = json_array();
	bool braces = false;

	set(run, "exec", argv);
	for (size_t i = 0; i < count; i++) {
		struct buf text = {0};
		json_t *value;

		if (c->literal)
			template_escape(&text, gather ? c->gather[i] : c->argv[i]);
		else if (gather)
			buf_append_bytes(&text, c->gather[i]);
		else
			braces = definition_word(c->argv[i], stands_for, &text) || braces;
		value = text_is_utf8(buf_bytes(&text)) ? json_stringn(buf_text(&text), text.size) : NULL;
		buf_fini(&text);
		if (value == NULL) {
			error_set(reterr, ERR_INVALID, "expected UTF-8 text");
			return error_where(reterr, "%s[%zu]", gather ? "gather" : "argv", i);
		}
		CHECK(json_array_append_new(argv, value) == 0);
	}
	return gather || c->bytes.size == 0 ? 0 : fill_input_file(c, braces, run, reterr);
}

/* literal: the values are texts of templates. */
static int fill_pairs(const struct pair pairs[], size_t count, bool literal, json_t *map,
		      struct error *reterr)
{
	int rc = 0;

	for (size_t i = 0; i < count && rc == 0; i++) {
		struct buf name = {0}, value = {0};

		buf_append_bytes(&name, pairs[i].name);
		if (literal)
			template_escape(&value, pairs[i].value);
		else
			buf_append_bytes(&value, pairs[i].value);
		if (value.size == 0)
			set(map, buf_text(&name), json_string(""));
		else
			rc = set_text(map, buf_text(&name), buf_bytes(&value), reterr);
		buf_fini(&name);
		buf_fini(&value);
	}
	return rc;
}

static int fill_env(const struct definition_command *c, json_t *run, struct error *reterr)
{
	json_t *env = json_object();

	set(run, "env", env);
	return fill_pairs(c->env, c->env_count, true, env, reterr);
}

/* The name of a file a shard: of a part of an object {} is the number, since its bytes make no name. */
static int fill_stream(const struct definition_command *c, struct bytes stream, json_t *map, const char *name,
		       struct error *reterr)
{
	const char *stands_for = c->bytes.size > 0 ? "{{shard.index}}" : braces_stand_for(c);
	struct buf text = {0};
	int rc;

	if (c->literal)
		buf_append_bytes(&text, stream);
	else
		(void)definition_word(stream, stands_for, &text);
	rc = set_text(map, name, buf_bytes(&text), reterr);
	buf_fini(&text);
	return rc;
}

static int fill_stdin(const struct definition_command *c, json_t *run, struct error *reterr)
{
	json_t *map;
	int rc;

	if (c->stdin_file.size == 0 && c->stdin_base64.size == 0)
		return 0;
	map = json_object();
	set(run, "stdin", map);
	rc = fill_stream(c, c->stdin_file, map, "file", reterr);
	return rc == 0 ? set_text(map, "base64", c->stdin_base64, reterr) : rc;
}

static int fill_run(const struct definition_command *c, json_t *run, struct error *reterr)
{
	json_t *resources = json_object();
	int rc = fill_argv(c, false, run, reterr);

	set(run, "resources", resources);
	if (rc == 0)
		rc = fill_env(c, run, reterr);
	if (rc == 0)
		rc = set_text(run, "input", c->input, reterr);
	if (rc == 0)
		rc = fill_stdin(c, run, reterr);
	if (rc == 0)
		rc = set_text(run, "timeout", c->timeout, reterr);
	if (rc == 0)
		rc = set_text(run, "directory", c->directory, reterr);
	if (rc == 0)
		rc = set_text(resources, "cpus", c->cpus, reterr);
	if (rc == 0)
		rc = set_text(resources, "memory", c->memory, reterr);
	if (rc == 0)
		rc = set_text(resources, "gpus", c->gpus, reterr);
	if (rc == 0)
		rc = set_text(resources, "pin", c->pin, reterr);
	return rc;
}

/* It runs where the shards do, with their variables. */
static int fill_gather(const struct definition_command *c, json_t *map, struct error *reterr)
{
	json_t *gather;
	int rc;

	if (c->gather_count == 0)
		return 0;
	gather = json_object();
	set(map, "gather", gather);
	rc = fill_argv(c, true, gather, reterr);
	if (rc == 0)
		rc = fill_env(c, gather, reterr);
	if (rc == 0)
		rc = set_text(gather, "directory", c->directory, reterr);
	return rc;
}

/* What cuts, and what only goes with it: an option that would be overlooked is refused. */
static int check_cut(const struct definition_command *c, struct error *reterr)
{
	const struct {
		const char *name;
		bool given;
	} cuts[] = {{"array", c->array.size > 0},
		    {"grid", c->grid_count > 0},
		    {"items", c->item_count > 0},
		    {"lines", c->lines.size > 0},
		    {"bytes", c->bytes.size > 0}};
	const char *first = NULL;

	for (size_t i = 0; i < ARRAY_LENGTH(cuts); i++) {
		if (cuts[i].given && first != NULL) {
			error_set(reterr, ERR_INVALID, "a job is cut by %s or by %s, not by both", first,
				  cuts[i].name);
			return error_where(reterr, "%s", cuts[i].name);
		}
		if (cuts[i].given)
			first = cuts[i].name;
	}
	if (c->bytes.size > 0 || (c->of.size == 0 && c->align.size == 0))
		return 0;
	error_set(reterr, ERR_INVALID, "it goes with bytes, the size of a shard");
	return error_where(reterr, c->of.size > 0 ? "of" : "align");
}

/* As Slurm writes it: 1-1000%50. Where there is no %, all of it is the array. */
static struct bytes array_without_bound(const struct definition_command *c)
{
	const uint8_t *bound = c->array.size > 0 ? memchr(c->array.data, '%', c->array.size) : NULL;

	return bound != NULL ? BYTES(c->array.data, (size_t)(bound - c->array.data)) : c->array;
}

static int fill_max_running(const struct definition_command *c, json_t *map, struct error *reterr)
{
	size_t size = array_without_bound(c).size;
	char text[16] = "";
	uint64_t n;

	if (size == c->array.size)
		return set_text(map, "max_running", c->max_running, reterr);
	if (c->max_running.size > 0) {
		error_set(reterr, ERR_INVALID, "max_running stands behind the %% of the array, too");
		return error_where(reterr, "max_running");
	}
	if (c->array.size - size <= sizeof text)
		memcpy(text, c->array.data + size + 1, c->array.size - size - 1);
	if (units_parse_number(text, 1, UINT32_MAX, &n, NULL) < 0) {
		error_set(reterr, ERR_INVALID,
			  "expected how many shards may run at a time behind %%, found %.*s",
			  (int)(c->array.size - size), (const char *)c->array.data + size);
		return error_where(reterr, "array");
	}
	set(map, "max_running", json_integer((json_int_t)n));
	return 0;
}

static int fill_list(json_t *shard, const char *name, const struct bytes texts[], size_t count,
		     struct error *reterr)
{
	json_t *list = json_array();

	set(shard, name, list);
	for (size_t i = 0; i < count; i++) {
		json_t *text =
		    text_is_utf8(texts[i]) ? json_stringn((const char *)texts[i].data, texts[i].size) : NULL;

		if (text == NULL) {
			error_set(reterr, ERR_INVALID, "expected UTF-8 text");
			return error_where(reterr, "%s[%zu]", name, i);
		}
		CHECK(json_array_append_new(list, text) == 0);
	}
	return 0;
}

static int fill_shard(const struct definition_command *c, json_t *map, struct error *reterr)
{
	struct bytes array = array_without_bound(c);
	json_t *shard = json_object();
	int rc = check_cut(c, reterr);

	set(map, "shard", shard);
	if (rc == 0 && c->item_count > 0)
		return fill_list(shard, "items", c->items, c->item_count, reterr);
	if (rc == 0 && c->grid_count > 0)
		return fill_list(shard, "grid", c->grid, c->grid_count, reterr);
	if (rc == 0 && c->lines.size > 0) {
		json_t *items = json_object();

		set(shard, "items", items);
		return set_text(items, "lines", c->lines, reterr);
	}
	if (rc == 0)
		rc = set_text(shard,
			      array.size > 0 && memchr(array.data, ',', array.size) != NULL ? "numbers"
											    : "count",
			      array, reterr);
	if (rc == 0)
		rc = set_text(shard, "bytes", c->bytes, reterr);
	if (rc == 0)
		rc = set_text(shard, "of", c->of, reterr);
	if (rc == 0)
		rc = set_text(shard, "align", c->align, reterr);
	if (json_object_size(shard) == 0) /* one shard */
		CHECK(json_object_del(map, "shard") == 0);
	return rc;
}

/* The program's file name, as far as it makes a name. */
static void name_of_program(struct bytes program, struct buf *out)
{
	size_t first = 0;

	for (size_t i = 0; i < program.size; i++)
		if (program.data[i] == '/')
			first = i + 1;
	for (size_t i = first; i < program.size && out->size < 64; i++) {
		uint8_t c = program.data[i];
		bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');

		if (letter || (out->size > 0 && memchr("._-", c, 3) != NULL))
			buf_append(out, &c, 1);
	}
	if (out->size == 0)
		buf_append(out, "command", 7);
}

static int fill_exits(const struct definition_command *c, json_t *retry, struct error *reterr)
{
	json_t *exits;

	if (c->exit_count == 0)
		return 0;
	exits = json_object();
	set(retry, "exit", exits);
	return fill_pairs(c->exits, c->exit_count, false, exits, reterr);
}

static int fill(const struct definition_command *c, json_t *map, struct error *reterr)
{
	json_t *run = json_object(), *retry = json_object();
	const struct {
		json_t *to;
		const char *name;
		struct bytes text;
	} texts[] = {
	    {retry, "attempts", c->attempts},	    {map, "tolerate", c->tolerate},
	    {map, "max_failures", c->max_failures}, {map, "queue", c->queue},
	    {map, "priority", c->priority},	    {map, "output", c->output},
	};
	struct buf name = {0};
	int rc;

	set(map, "version", json_integer(1));
	set(map, "run", run);
	set(map, "retry", retry);
	if (c->name.size > 0)
		buf_append_bytes(&name, c->name);
	else
		name_of_program(c->argv[0], &name);
	rc = set_text(map, "name", buf_bytes(&name), reterr);
	buf_fini(&name);
	if (rc == 0)
		rc = fill_shard(c, map, reterr);
	if (rc == 0)
		rc = fill_run(c, run, reterr);
	if (rc == 0)
		rc = fill_gather(c, map, reterr);
	if (rc == 0)
		rc = fill_max_running(c, map, reterr);
	if (rc == 0)
		rc = set_text(map, "concurrency", c->concurrency, reterr);
	if (rc == 0)
		rc = set_text(map, "rate", c->rate, reterr);
	if (rc == 0)
		rc = fill_exits(c, retry, reterr);
	if (rc == 0)
		rc = fill_stream(c, c->out, map, "out", reterr);
	if (rc == 0)
		rc = fill_stream(c, c->err, map, "err", reterr);
	if (c->keep_going)
		set(map, "keep_going", json_true());
	for (size_t i = 0; i < ARRAY_LENGTH(texts) && rc == 0; i++)
		rc = set_text(texts[i].to, texts[i].name, texts[i].text, reterr);
	return rc;
}

/* ---- as text, of which each line belongs to one member ---- */

struct lines {
	struct buf text, labels; /* as many lines in both */
};

static void end_line(struct lines *l, const char *label)
{
	buf_append(&l->text, "\n", 1);
	text_escape(&l->labels, bytes_of(label));
	buf_append(&l->labels, "\n", 1);
}

/* What the member of `parent` is called in a command. */
static const char *label_of(const char *parent, const char *key, char buf[static 200])
{
	bool named = strcmp(parent, "env") == 0 || strcmp(parent, "exit") == 0;

	if (strcmp(key, "exec") == 0)
		key = strcmp(parent, "gather") == 0 ? "gather" : "argv";
	else if (strcmp(key, "count") == 0 || strcmp(key, "numbers") == 0)
		key = "array";
	else if (strcmp(parent, "stdin_file") == 0)
		key = strcmp(key, "file") == 0 ? "stdin_file" : "stdin_base64";
	else if (strcmp(key, "stdin") == 0)
		key = "stdin_file";
	snprintf(buf, 200, "%s%s%s", named ? parent : "", named ? "." : "", key);
	return buf;
}

static void write_lines(struct lines *l, json_t *value, const char *label)
{
	bool first = true;
	char own[200];
	const char *key;
	json_t *child;
	size_t i;

	if (!json_is_object(value) && !json_is_array(value)) {
		json_write(&l->text, value);
		return;
	}
	buf_append(&l->text, json_is_object(value) ? "{" : "[", 1);
	json_object_foreach(value, key, child)
	{
		json_t *name = json_string(key);

		buf_append(&l->text, ",", !first);
		end_line(l, first ? label : own);
		first = false;
		json_write(&l->text, name);
		json_decref(name);
		buf_append(&l->text, ": ", 2);
		write_lines(l, child, label_of(label, key, own));
	}
	json_array_foreach(value, i, child)
	{
		buf_append(&l->text, ",", !first);
		end_line(l, first ? label : own);
		first = false;
		snprintf(own, sizeof own, "%s[%zu]", label, i);
		write_lines(l, child, own);
	}
	end_line(l, first ? label : own);
	buf_append(&l->text, json_is_object(value) ? "}" : "]", 1);
}

static void tell(const struct lines *l, const struct problems *problems, struct error *reterr)
{
	const char *label = (const char *)l->labels.data;

	if (reterr == NULL)
		return;
	*reterr = problems->first;
	for (uint32_t line = 1; line < problems->first_at.line && label != NULL; line++) {
		label = strchr(label, '\n');
		label += label != NULL;
	}
	if (problems->first_at.line > 0 && label != NULL)
		error_where(reterr, "%.*s", (int)strcspn(label, "\n"), label);
}

int definition_from_command(const struct definition_command *c, struct definition **ret, struct error *reterr)
{
	json_t *map = json_object();
	struct problems problems;
	struct lines lines = {0};
	int rc;

	if (c->argc == 0) {
		json_decref(map);
		return error_set(reterr, ERR_INVALID, "expected a command behind --, found nothing");
	}
	rc = fill(c, map, reterr);
	if (rc == 0) {
		write_lines(&lines, map, "");
		buf_text(&lines.labels);
		problems_init(&problems, "command line", buf_bytes(&lines.text));
		rc = definition_parse_in(&problems, ret);
		if (rc < 0)
			tell(&lines, &problems, reterr);
		problems_fini(&problems);
	}
	json_decref(map);
	buf_fini(&lines.text);
	buf_fini(&lines.labels);
	return rc;
}
