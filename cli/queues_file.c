/* `shardmill queues apply FILE`: the settings of queues, from YAML. All of the file is read before any queue
 * is set. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "cli/queues.h"
#include "jobs/definition_read.h"
#include "jobs/node.h"

#define FILE_BYTES_MAX ((size_t)(4 * MIB))

struct queues_file {
	struct arena arena;
	struct problems problems;
	struct entry {
		const char *name;
		struct api_queue_settings as;
		json_t *json; /* its texts and lists are lent by this */
	} * entries;
	size_t count;
};

/* Where the key that the path of an error names, as "limits.running" or "submitters[3]", stands in the file.
 */
static struct place place_of(const struct node *n, const char *path)
{
	struct place at = n->key_at.line > 0 ? n->key_at : n->at;

	while (n != NULL && *path != '\0') {
		size_t size = strcspn(path, ".[");
		char key[64];

		snprintf(key, sizeof(key), "%.*s", (int)size, path);
		n = n->kind == NODE_MAP ? node_get(n, key) : NULL;
		if (n != NULL)
			at = n->key_at;
		path += size;
		path += *path == '.';
		if (*path == '[')
			break;
	}
	return at;
}

/* weights: {KEY: N} as the API has them. */
static json_t *weights_of(const struct node *map, struct problems *problems)
{
	json_t *list = json_array();

	for (const struct node *n = map->children; n != NULL; n = n->next) {
		json_t *number = node_to_json(n, problems);
		const struct api_queue_weight w = {.key = n->key,
						   .weight = (uint64_t)json_integer_value(number)};

		if (!json_is_integer(number) || json_integer_value(number) < 1 || w.weight > QUEUE_WEIGHT_MAX)
			(void)problems_add(problems, n->at, ERR_INVALID, NULL,
					   "expected a weight from 1 to %d", QUEUE_WEIGHT_MAX);
		json_decref(number);
		json_array_append_new(list, object_write(object_queue_weight(), &w));
	}
	return list;
}

static json_t *settings_json(const struct node *map, struct problems *problems)
{
	json_t *json = json_object();

	for (const struct node *n = map->children; n != NULL; n = n->next) {
		bool weights = bytes_equal(n->key, BYTES_LIT("weights")) && n->kind == NODE_MAP;
		json_t *value = weights ? weights_of(n, problems) : node_to_json(n, problems);

		if (value != NULL)
			json_object_setn_new(json, (const char *)n->key.data, n->key.size, value);
	}
	return json;
}

static int check_limits(const json_t *json, const char *name, struct error *reterr)
{
	struct api_queue_limits_asked ignored;
	char inner[64];

	if (json == NULL || object_read_request(object_queue_limits_asked(), json, &ignored, reterr) == 0)
		return 0;
	snprintf(inner, sizeof(inner), "%.60s", reterr->where);
	return error_where(reterr, "%s.%s", name, inner);
}

static void read_queue(struct queues_file *f, const struct node *n)
{
	struct entry *e = &f->entries[f->count];
	struct error err = {0};
	int r;

	if (!is_name(n->key)) {
		(void)problems_add(&f->problems, n->key_at, ERR_INVALID, NULL,
				   "expected a queue's name of letters, digits, \".\", \"_\" and \"-\"");
		return;
	}
	if (n->kind != NODE_MAP) {
		char found[64];

		(void)problems_add(&f->problems, n->at, ERR_INVALID, "{} gives it the defaults",
				   "expected a map of settings, found %s",
				   node_found(n, found, sizeof(found)));
		return;
	}
	e->name = (const char *)n->key.data;
	e->json = settings_json(n, &f->problems);
	f->count++;
	r = object_read_request(object_queue_settings(), e->json, &e->as, &err);
	for (size_t i = 0; r == 0 && i < object_queue_settings()->field_count; i++) {
		const struct object_field *field = &object_queue_settings()->fields[i];

		if (field->of == object_queue_limits_asked)
			r = check_limits(json_object_get(e->json, field->name), field->name, &err);
	}
	if (r < 0) {
		struct place at = place_of(n, err.where);
		struct error said = {0};

		error_set(&said, err.code, "%s", err.what);
		(void)problems_add_error(&f->problems, at, &said);
	}
}

static int read_file(struct queues_file *f, struct error *reterr)
{
	const struct node *queues;
	struct node *root;

	if (node_parse(f->problems.text, &f->arena, &f->problems, &root) < 0)
		return ERR_INVALID;
	queues = root->kind == NODE_MAP ? node_get(root, "queues") : NULL;
	if (queues == NULL || queues->kind != NODE_MAP || root->child_count != 1) {
		struct place at = root->at;

		return problems_add(&f->problems, at, ERR_INVALID, "as in `queues: {batch: {weight: 4}}`",
				    "expected a map with the key queues, and settings by name below it");
	}
	f->entries = check_calloc(queues->child_count + 1ul, sizeof(*f->entries));
	for (const struct node *n = queues->children; n != NULL; n = n->next)
		read_queue(f, n);
	(void)reterr;
	return f->problems.count > 0 ? ERR_INVALID : 0;
}

static int send_all(struct cli *cli, struct queues_file *f, struct error *reterr)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < f->count; i++) {
		struct entry *e = &f->entries[i];

		json_incref(e->as.submitters); /* what is written is taken over */
		json_incref(e->as.weights);
		r = queues_send(cli, "PUT", e->name, &e->as, "is set", reterr);
		if (r < 0)
			error_where(reterr, "queue %s", e->name);
	}
	return r;
}

static int apply(struct cli *cli, void *options, struct error *reterr)
{
	struct queues_file f = {.count = 0};
	struct buf text = {0};
	int r = cli_expect_arguments(cli, 1, 1, "expected a file", reterr);

	(void)options;
	if (r == 0)
		r = cli_read_input(cli->argv[0], FILE_BYTES_MAX, &text, reterr);
	if (r != 0)
		return r;
	arena_init(&f.arena, 0);
	problems_init(&f.problems, cli->argv[0], buf_bytes(&text));
	r = read_file(&f, reterr);
	if (r < 0) {
		fprintf(stderr, "%s", problems_text(&f.problems));
		r = CLI_EXIT_USAGE;
	} else {
		r = send_all(cli, &f, reterr);
	}
	for (size_t i = 0; i < f.count; i++)
		json_decref(f.entries[i].json);
	free(f.entries);
	problems_fini(&f.problems);
	arena_fini(&f.arena);
	buf_fini(&text);
	return r;
}

int verb_queues_apply(int argc, char **argv)
{
	static const struct options_spec spec = {
	    .program = "shardmill queues apply",
	    .synopsis = "[OPTION]... FILE",
	    .summary = "set queues as a file says",
	    .details =
		"FILE is YAML (\"-\": standard input):\n\n"
		"  queues:\n"
		"    batch:\n"
		"      weight: 4\n"
		"      limits: {running: 100, cpus: 64, jobs: 1000, submissions: 10}\n"
		"      owner_limits: {running: 20}\n"
		"      submitters: [user:anna, token:ci]\n"
		"      weights: {tenant-a: 3}\n"
		"    night: {weight: 1, paused: true, why: by day}\n\n"
		"A queue gets all of its settings anew: what the file does not give has its default.\n"
		"Queues that the file does not name are left alone. When anything in the file is wrong,\n"
		"nothing is changed.",
	};

	return cli_run(&spec, argc, argv, apply, NULL);
}
