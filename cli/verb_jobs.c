#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "cli/cli.h"
#include "cli/human.h"
#include "cli/table.h"

#define PAGE_JOBS 1000u /* the API's most */

struct jobs_options {
	const char *state;
	const char *name;
	uint64_t limit;
};

static const struct table_column columns[] = {
    {"JOB", TABLE_RIGHT, false},     {"NAME", TABLE_LEFT, true},     {"STATE", TABLE_LEFT, false},
    {"DONE", TABLE_RIGHT, false},    {"SHARDS", TABLE_RIGHT, false}, {"DEAD", TABLE_RIGHT, false},
    {"ACCEPTED", TABLE_LEFT, false}, {"TOOK", TABLE_LEFT, false},    {"WHY", TABLE_LEFT, true},
};

static void add_row(struct table *t, json_t *job, usec_t now_us)
{
	json_t *phase = cli_shards_phase(job);
	usec_t accepted = cli_time(job, "accepted"), started = cli_time(job, "started"),
	       ended = cli_time(job, "ended");
	const char *word = cli_text(job, "word");
	char text[HUMAN_TEXT_MAX];
	uint64_t dead = cli_number(phase, "dead");

	table_add(t, STYLE_NONE, "%" PRIu64, cli_number(job, "id"));
	table_add_text(t, STYLE_NONE, cli_text(job, "name"));
	table_add_text(t, style_of_word(word), word);
	table_add_text(t, STYLE_NONE, human_count(cli_number(phase, "done"), text, sizeof(text)));
	table_add_text(t, STYLE_NONE, human_count(cli_number(phase, "shards"), text, sizeof(text)));
	table_add_text(t, STYLE_BAD, dead > 0 ? human_count(dead, text, sizeof(text)) : "");
	table_add_text(t, STYLE_NONE, accepted > 0 ? human_ago(accepted, now_us, text, sizeof(text)) : "");
	if (started == 0)
		started = accepted;
	if (started == 0)
		table_add_text(t, STYLE_NONE, "");
	else
		table_add_text(t, STYLE_NONE,
			       human_span((ended > 0 ? ended : now_us) - started, text, sizeof(text)));
	table_add_text(t, STYLE_NONE, cli_text(job, "why"));
}

/* Pages until there are enough; *ret_jobs is a new list. */
static int collect(struct cli *cli, const struct jobs_options *o, json_t **ret_jobs, json_t **ret_next,
		   struct error *reterr)
{
	json_t *jobs = json_array(), *next = json_null();
	int r;

	do {
		uint64_t left = o->limit - json_array_size(jobs);
		struct client_answer answer;
		struct buf path = {0};

		buf_printf(&path, "/v1/jobs?limit=%" PRIu64, left < PAGE_JOBS ? left : PAGE_JOBS);
		if (o->state != NULL) {
			buf_printf(&path, "&state=");
			client_escape(&path, o->state);
		}
		if (o->name != NULL) {
			buf_printf(&path, "&name=");
			client_escape(&path, o->name);
		}
		if (json_is_integer(next)) {
			buf_printf(&path, "&cursor=%" JSON_INTEGER_FORMAT, json_integer_value(next));
		} else if (json_is_string(next)) {
			buf_printf(&path, "&cursor=");
			client_escape(&path, json_string_value(next));
		}
		r = client_get(&cli->client, buf_text(&path), &answer, reterr);
		buf_fini(&path);
		if (r != 0)
			break;
		json_array_extend(jobs, json_object_get(answer.json, "jobs"));
		json_decref(next);
		next = json_incref(json_object_get(answer.json, "next"));
		if (next == NULL)
			next = json_null();
		client_answer_fini(&answer);
	} while (!json_is_null(next) && json_array_size(jobs) < o->limit);
	*ret_jobs = jobs;
	*ret_next = next;
	return r;
}

static void print_table(const struct cli *cli, json_t *jobs, bool more)
{
	usec_t now_us = clock_wall_us();
	struct buf out = {0};
	struct table t;
	json_t *job;
	size_t i;

	table_init(&t, columns, ARRAY_LENGTH(columns));
	json_array_foreach(jobs, i, job) add_row(&t, job, now_us);
	if (table_row_count(&t) > 0)
		table_write(&t, &cli->terminal, &out);
	else if (cli->terminal.is_terminal)
		buf_printf(&out, "no jobs\n");
	table_fini(&t);
	cli_print(&out);
	if (more && cli->terminal.is_terminal)
		printf("there are more; --limit=N shows N\n");
}

static int list_jobs(struct cli *cli, void *options, struct error *reterr)
{
	const struct jobs_options *o = options;
	json_t *jobs, *next;
	int r = cli_expect_arguments(cli, 0, 0, "expected no argument", reterr);

	if (r != 0)
		return r;
	if (o->limit == 0)
		return error_set(reterr, ERR_INVALID, "--limit must be at least 1");
	r = collect(cli, o, &jobs, &next, reterr);
	if (r == 0 && cli->json) {
		json_t *value = json_pack("{s:O,s:O}", "jobs", jobs, "next", next);

		cli_print_json_value(cli, value);
		json_decref(value);
	} else if (r == 0) {
		print_table(cli, jobs, !json_is_null(next));
	}
	json_decref(jobs);
	json_decref(next);
	return r;
}

int verb_jobs(int argc, char **argv)
{
	struct jobs_options o = {.limit = 20};
	const struct options_extra extras[] = {
	    {0, "state", "STATE",
	     "Only jobs of this state or word: held, active, planning, queued, running, gathering, "
	     "succeeded, "
	     "failed, cancelled; several with commas.",
	     cli_set_text, &o.state},
	    {0, "name", "NAME", "Only jobs of this name.", cli_set_text, &o.name},
	    {'n', "limit", "N", "Show at most N jobs (default 20).", cli_set_number, &o.limit},
	};
	const struct options_spec spec = {
	    .program = "shardmill jobs",
	    .synopsis = "[OPTION]...",
	    .summary = "list jobs, the newest first",
	    .extras = extras,
	    .extra_count = ARRAY_LENGTH(extras),
	};

	return cli_run(&spec, argc, argv, list_jobs, &o);
}
