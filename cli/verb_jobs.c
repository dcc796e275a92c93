#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "cli/cli.h"
#include "cli/human.h"
#include "cli/job_list.h"
#include "cli/table.h"
#include "jobs/api/objects.h"

#define EVENT_COLUMN 8 /* of: */

static const struct table_column columns[] = {
    {"JOB", TABLE_RIGHT, false},     {"NAME", TABLE_LEFT, true},     {"STATE", TABLE_LEFT, false},
    {"DONE", TABLE_RIGHT, false},    {"SHARDS", TABLE_RIGHT, false}, {"DEAD", TABLE_RIGHT, false},
    {"ACCEPTED", TABLE_LEFT, false}, {"TOOK", TABLE_LEFT, false},    {"EVENT", TABLE_LEFT, true},
    {"WHY", TABLE_LEFT, true},
};

static void add_row(struct table *t, const json_t *json, usec_t now_us)
{
	struct api_phase phase;
	struct api_job job;
	char text[HUMAN_TEXT_MAX];
	const char *word;
	usec_t since;

	object_read(object_job(), json, &job);
	(void)cli_shards_phase(&job, &phase);
	word = api_text(job.word);
	since = job.started_wall_us > 0 ? job.started_wall_us : job.accepted_wall_us;
	table_add(t, STYLE_NONE, "%" PRIu64, job.id);
	table_add_text(t, STYLE_NONE, api_text(job.name));
	table_add_text(t, style_of_word(word), word);
	table_add_text(t, STYLE_NONE, human_count(phase.done, text, sizeof(text)));
	table_add_text(t, STYLE_NONE, human_count(phase.shards, text, sizeof(text)));
	table_add_text(t, STYLE_BAD, phase.dead > 0 ? human_count(phase.dead, text, sizeof(text)) : "");
	table_add_text(t, STYLE_NONE,
		       job.accepted_wall_us > 0 ? human_ago(job.accepted_wall_us, now_us, text, sizeof(text))
						: "");
	if (since == 0)
		table_add_text(t, STYLE_NONE, "");
	else
		table_add_text(t, STYLE_NONE,
			       human_span((job.ended_wall_us > 0 ? job.ended_wall_us : now_us) - since, text,
					  sizeof(text)));
	table_add_text(t, STYLE_NONE, api_text(job.event.key));
	table_add_line(t, STYLE_NONE, api_text(job.why));
}

static void print_table(const struct cli *cli, json_t *jobs, bool more)
{
	usec_t now_us = clock_wall_us();
	struct buf out = {0};
	struct table t;
	json_t *job;
	size_t i;

	table_init(&t, columns, ARRAY_LENGTH(columns));
	t.spare = EVENT_COLUMN;
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
	const struct job_query *o = options;
	struct api_jobs found = {0};
	int r = cli_expect_arguments(cli, 0, 0, "expected no argument", reterr);

	if (r != 0)
		return r;
	if (o->limit == 0)
		return error_set(reterr, ERR_INVALID, "--limit must be at least 1");
	r = job_list_read(cli, o, &found.jobs, &found.next, reterr);
	if (r != 0)
		return r;
	if (cli->json) {
		json_t *value = object_write(object_jobs(), &found);

		cli_print_json_value(cli, value);
		json_decref(value);
	} else {
		print_table(cli, found.jobs, found.next > 0);
		json_decref(found.jobs);
	}
	return 0;
}

int verb_jobs(int argc, char **argv)
{
	struct job_query o = {.limit = 20};
	const struct options_extra extras[] = {
	    {0, "state", "STATE",
	     "Only jobs of this state or word: held, active, planning, queued, running, gathering, "
	     "succeeded, "
	     "failed, cancelled; several with commas.",
	     cli_set_text, &o.state},
	    {0, "name", "NAME", "Only jobs of this name.", cli_set_text, &o.name},
	    {0, "event", "TEXT", "Only jobs of the event with this id, or with an object of this key.",
	     cli_set_text, &o.event},
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
