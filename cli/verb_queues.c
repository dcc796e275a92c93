#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "base/units.h"
#include "cli/human.h"
#include "cli/list.h"
#include "cli/queues.h"
#include "jobs/definition_read.h"

/* ---- the list ---- */

static const struct table_column columns[] = {
    {"QUEUE", TABLE_LEFT, false},    {"WEIGHT", TABLE_RIGHT, false}, {"RUNNING", TABLE_RIGHT, false},
    {"WAITING", TABLE_RIGHT, false}, {"JOBS", TABLE_RIGHT, false},   {"STATE", TABLE_LEFT, true},
    {"LIMITS", TABLE_LEFT, true},
};

static void add_limit(struct buf *out, const char *joint, uint64_t n, const char *what)
{
	char text[HUMAN_TEXT_MAX];

	if (n > 0)
		buf_printf(out, "%s%s %s", out->size > 0 ? joint : "", human_count(n, text, sizeof(text)),
			   what);
}

static void add_milli(struct buf *out, uint64_t milli, const char *what)
{
	char text[UNITS_TEXT_MAX];

	if (milli > 0)
		buf_printf(out, "%s%s%s", out->size > 0 ? ", " : "",
			   units_format_cpus((uint32_t)milli, text, sizeof(text)), what);
}

/* "100 running, 8 cpus, 50 jobs, 10/s" */
static void add_limits(struct buf *out, const struct api_queue_limits *l)
{
	add_limit(out, ", ", l->running, "running");
	add_milli(out, l->cpus_milli, " cpus");
	add_limit(out, ", ", l->jobs, "jobs");
	add_milli(out, l->submissions_milli, "/s");
}

static void add_row(struct table *t, const json_t *json)
{
	char text[HUMAN_TEXT_MAX];
	struct buf limits = {0}, owner = {0};
	struct api_queue q;

	object_read(object_queue(), json, &q);
	table_add_text(t, STYLE_NONE, api_text(q.name));
	table_add(t, STYLE_NONE, "%" PRIu64, q.weight);
	table_add_text(t, STYLE_NONE, human_count(q.running, text, sizeof(text)));
	table_add_text(t, STYLE_NONE, human_count(q.waiting_shards, text, sizeof(text)));
	table_add_text(t, STYLE_NONE, human_count(q.live_jobs, text, sizeof(text)));
	table_add(t, STYLE_WARN, "%s%s%s", q.paused ? "paused" : "", q.why.size > 0 ? ": " : "",
		  api_text(q.why));
	add_limits(&limits, &q.limits);
	add_limits(&owner, &q.owner_limits);
	if (owner.size > 0)
		buf_printf(&limits, "%seach owner %s", limits.size > 0 ? "; " : "", buf_text(&owner));
	add_limit(&limits, "; ", json_array_size(q.submitters), "may submit");
	table_add_text(t, STYLE_NONE, buf_text(&limits));
	buf_fini(&limits);
	buf_fini(&owner);
}

/* ---- changes ---- */

int queues_check_name(const char *name, struct error *reterr)
{
	char quoted[80];

	if (is_name(bytes_of(name)))
		return 0;
	text_quote(quoted, sizeof(quoted), bytes_of(name));
	return error_set(reterr, ERR_INVALID,
			 "expected a queue's name of letters, digits, \".\", \"_\" and \"-\", found %s",
			 quoted);
}

int queues_send(struct cli *cli, const char *method, const char *name, struct api_queue_settings *as,
		const char *done, struct error *reterr)
{
	char path[32 + NAME_BYTES_MAX];
	struct client_answer answer;
	struct buf body = {0};
	int r;

	snprintf(path, sizeof(path), "/v1/queues/%s", name);
	client_write(&body, object_queue_settings(), as);
	as->submitters = as->weights = NULL; /* they went with it */
	r = client_call(&cli->client,
			&(struct client_request){
			    .method = method, .path = path, .body = buf_bytes(&body), .repeatable = true},
			&answer, reterr);
	buf_fini(&body);
	if (r != 0)
		return r;
	if (cli->json)
		cli_print_json(cli, &answer);
	else
		printf("queue %s %s\n", name, done);
	client_answer_fini(&answer);
	return 0;
}

/* ---- set ---- */

/* A number that an option gives. */
struct number_option {
	uint64_t *to;
	bool *has;
	uint64_t min, max;
	bool is_milli;
};

static int set_number(void *arg, const char *value, struct error *reterr)
{
	const struct number_option *o = arg;
	uint32_t milli = 0;
	int r = 0;

	*o->has = true;
	*o->to = 0;
	if (o->min == 0 && (strcmp(value, "none") == 0 || strcmp(value, "0") == 0))
		return 0;
	if (o->is_milli) {
		r = units_parse_cpus(bytes_of(value), &milli, reterr);
		*o->to = milli;
		return r;
	}
	return units_parse_number(value, o->min, o->max, o->to, reterr);
}

static int set_submitters(void *arg, const char *value, struct error *reterr)
{
	struct api_queue_settings *as = arg;

	(void)reterr;
	json_decref(as->submitters);
	as->submitters = json_array();
	as->has_submitters = true;
	if (strcmp(value, "none") == 0)
		return 0;
	for (;; value++) {
		size_t size = strcspn(value, ",");

		json_array_append_new(as->submitters, json_stringn(value, size));
		value += size;
		if (*value == '\0')
			return 0;
	}
}

static int add_weight(void *arg, const char *value, struct error *reterr)
{
	struct api_queue_settings *as = arg;
	const char *sign = strrchr(value, '=');
	struct api_queue_weight w;

	if (as->weights == NULL)
		as->weights = json_array();
	as->has_weights = true;
	if (strcmp(value, "none") == 0)
		return 0;
	if (sign == NULL || sign == value)
		return error_set(reterr, ERR_INVALID, "expected KEY=WEIGHT, found \"%.60s\"", value);
	w.key = BYTES(value, (size_t)(sign - value));
	if (!text_is_utf8(w.key))
		return error_set(reterr, ERR_INVALID, "expected UTF-8");
	if (units_parse_number(sign + 1, 1, QUEUE_WEIGHT_MAX, &w.weight, reterr) < 0)
		return ERR_INVALID;
	json_array_append_new(as->weights, object_write(object_queue_weight(), &w));
	return 0;
}

static int set_queues(struct cli *cli, void *options, struct error *reterr)
{
	struct api_queue_settings *as = options;
	const struct api_queue_limits_asked *l = &as->limits, *o = &as->owner_limits;
	int r = cli_expect_arguments(cli, 1, 1, "expected the name of one queue", reterr);

	as->has_limits = l->has_running || l->has_cpus_milli || l->has_jobs || l->has_submissions_milli;
	as->has_owner_limits = o->has_running || o->has_cpus_milli || o->has_jobs || o->has_submissions_milli;
	if (r == 0)
		r = queues_check_name(cli->argv[0], reterr);
	if (r == 0 && !as->has_weight && !as->has_limits && !as->has_owner_limits && !as->has_submitters &&
	    !as->has_weights) {
		error_set(reterr, ERR_INVALID, "expected a setting");
		r = error_help(reterr, "`shardmill queues set --help` lists them");
	}
	return r == 0 ? queues_send(cli, "PATCH", cli->argv[0], as, "is set", reterr) : r;
}

#define LIMIT(of, member, most)                                                                              \
	&(struct number_option)                                                                              \
	{                                                                                                    \
		.to = &as.of.member, .has = &as.of.has_##member, .max = most                                 \
	}
#define MILLI_LIMIT(of, member)                                                                              \
	&(struct number_option)                                                                              \
	{                                                                                                    \
		.to = &as.of.member, .has = &as.of.has_##member, .is_milli = true                            \
	}

static int verb_set(int argc, char **argv)
{
	struct api_queue_settings as = {.weight = 0};
	struct number_option weight = {
	    .to = &as.weight, .has = &as.has_weight, .min = 1, .max = QUEUE_WEIGHT_MAX};
	const struct options_extra extras[] = {
	    {0, "weight", "N", "Its share of the cluster, beside those of other queues: 1 to 10000.",
	     set_number, &weight},
	    {0, "max-running", "N", "Shards of it that run at a time.", set_number,
	     LIMIT(limits, running, UINT32_MAX)},
	    {0, "max-cpus", "CPUS", "Cpus that these use, together.", set_number,
	     MILLI_LIMIT(limits, cpus_milli)},
	    {0, "max-jobs", "N", "Jobs that have not ended; beyond, submissions are refused.", set_number,
	     LIMIT(limits, jobs, UINT32_MAX)},
	    {0, "max-submissions", "RATE", "Submissions a second; beyond, they are refused.", set_number,
	     MILLI_LIMIT(limits, submissions_milli)},
	    {0, "owner-max-running", "N", "Shards of each owner of its jobs that run at a time.", set_number,
	     LIMIT(owner_limits, running, UINT32_MAX)},
	    {0, "owner-max-cpus", "CPUS", "Cpus that these use, together.", set_number,
	     MILLI_LIMIT(owner_limits, cpus_milli)},
	    {0, "owner-max-jobs", "N", "Jobs of each owner that have not ended.", set_number,
	     LIMIT(owner_limits, jobs, UINT32_MAX)},
	    {0, "owner-max-submissions", "RATE", "Submissions a second of each owner.", set_number,
	     MILLI_LIMIT(owner_limits, submissions_milli)},
	    {0, "submitters", "LIST",
	     "Who may submit, with commas between: user:NAME, token:NAME. Rules always may.", set_submitters,
	     &as},
	    {0, "key-weight", "KEY=N",
	     "The share of a fairness key in it; may be given again. Keys that are not named count 1.",
	     add_weight, &as},
	};
	const struct options_spec spec = {
	    .program = "shardmill queues set",
	    .synopsis = "[OPTION]... QUEUE",
	    .summary = "change settings of a queue",
	    .details =
		"What is not given stays as it is. \"none\" takes a limit, submitters or key weights\n"
		"away. A change counts at once; what runs goes on. A job that a rule makes of an event\n"
		"is never refused: it counts, and waits in line.",
	    .extras = extras,
	    .extra_count = ARRAY_LENGTH(extras),
	};
	int code;

	code = cli_run(&spec, argc, argv, set_queues, &as);
	json_decref(as.submitters);
	json_decref(as.weights);
	return code;
}

/* ---- pause and resume ---- */

struct pause_options {
	bool resume;
	const char *why;
};

static int pause_all(struct cli *cli, void *options, struct error *reterr)
{
	const struct pause_options *o = options;
	int r = cli_expect_arguments(cli, 1, INT32_MAX, "expected queues", reterr);

	if (r == 0 && o->why != NULL && !text_is_utf8(bytes_of(o->why))) {
		error_set(reterr, ERR_INVALID, "expected UTF-8");
		return error_where(reterr, "--why");
	}
	for (int i = 0; r == 0 && i < cli->argc; i++)
		r = queues_check_name(cli->argv[i], reterr);
	for (int i = 0; r == 0 && i < cli->argc; i++) {
		struct api_queue_settings as = {.has_paused = true,
						.paused = !o->resume,
						.has_why = o->why != NULL,
						.why = bytes_of(o->why != NULL ? o->why : "")};

		r = queues_send(cli, "PATCH", cli->argv[i], &as, o->resume ? "goes on" : "is paused", reterr);
	}
	return r;
}

static int verb_pause_queues(int argc, char **argv)
{
	struct pause_options o = {.resume = false};
	const struct options_extra extras[] = {
	    {0, "why", "TEXT", "A reason, which `shardmill queues` and `shardmill explain` tell.",
	     cli_set_text, &o.why},
	};
	const struct options_spec spec = {
	    .program = "shardmill queues pause",
	    .synopsis = "[OPTION]... QUEUE...",
	    .summary = "lease nothing more of queues",
	    .details = "What runs goes on to its end. Jobs are taken on and wait.",
	    .extras = extras,
	    .extra_count = ARRAY_LENGTH(extras),
	};

	return cli_run(&spec, argc, argv, pause_all, &o);
}

static int verb_resume_queues(int argc, char **argv)
{
	struct pause_options o = {.resume = true};
	const struct options_spec spec = {
	    .program = "shardmill queues resume",
	    .synopsis = "[OPTION]... QUEUE...",
	    .summary = "go on with queues that are paused",
	};

	return cli_run(&spec, argc, argv, pause_all, &o);
}

int verb_queues(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*verb)(int argc, char **argv);
	} verbs[] = {
	    {"set", verb_set},
	    {"pause", verb_pause_queues},
	    {"resume", verb_resume_queues},
	    {"apply", verb_queues_apply},
	};
	static const struct options_spec spec = {
	    .program = "shardmill queues",
	    .synopsis = "[OPTION]... [set | pause | resume | apply]",
	    .summary = "list the queues: their weights and limits, what runs and waits in them",
	    .details =
		"A queue is there while it has settings or jobs that have not ended. Queues share the\n"
		"cluster by their weights.\n\n"
		"  shardmill queues set QUEUE      change weight, limits, and who may submit\n"
		"  shardmill queues pause QUEUE    lease nothing more of it\n"
		"  shardmill queues resume QUEUE   go on with it\n"
		"  shardmill queues apply FILE     set queues as a YAML file says\n\n"
		"Each of them has --help.",
	};
	static const struct list list = {
	    .path = "/v1/queues",
	    .type = object_queues,
	    .offset = offsetof(struct api_queues, queues),
	    .empty = "no queues: none has settings, and no job is live",
	    .columns = columns,
	    .column_count = ARRAY_LENGTH(columns),
	    .add_row = add_row,
	};

	for (size_t i = 0; argc > 1 && i < ARRAY_LENGTH(verbs); i++)
		if (strcmp(argv[1], verbs[i].name) == 0)
			return verbs[i].verb(argc - 1, argv + 1);
	return list_all(&list, &spec, argc, argv);
}
