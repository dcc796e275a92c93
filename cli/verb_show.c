#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "cli/cli.h"
#include "cli/human.h"
#include "cli/progress.h"
#include "cli/selector.h"
#include "cli/table.h"
#include "jobs/kinds.h"

#define BAR_COLUMNS 24u
#define FIELD_COLUMNS 13u /* of names, with the blanks around them */

struct show_options {
	uint64_t dead; /* how many runs of dead shards are listed */
};

static const struct table_column dead_columns[] = {
    {"SHARDS", TABLE_LEFT, false},
    {"KIND", TABLE_LEFT, false},
    {"CODE", TABLE_RIGHT, false},
    {"WHY", TABLE_LEFT, true},
};

static void add_field(struct buf *out, const char *name)
{
	buf_printf(out, "  %-*s", (int)FIELD_COLUMNS - 2, name);
}

static void add_time_field(const struct cli *cli, struct buf *out, json_t *job, const char *name)
{
	usec_t wall_us = cli_time(job, name);
	char text[HUMAN_TEXT_MAX];
	struct buf ago = {0};

	if (wall_us == 0)
		return;
	add_field(out, name);
	human_time(wall_us, text, sizeof(text));
	buf_printf(out, "%s", text);
	buf_printf(&ago, "  %s", human_ago(wall_us, clock_wall_us(), text, sizeof(text)));
	terminal_style(&cli->terminal, out, STYLE_DIM, buf_bytes(&ago));
	buf_fini(&ago);
	buf_printf(out, "\n");
}

/* done, leased, …: what is not zero. */
static void add_counts(struct buf *out, json_t *phase)
{
	static const char *const names[] = {"done", "leased", "pending", "delayed", "dead", "dropped"};
	char text[HUMAN_TEXT_MAX];
	bool first = true;

	buf_printf(out, "  %s shard%s%s", human_count(cli_number(phase, "shards"), text, sizeof(text)),
		   cli_number(phase, "shards") == 1 ? "" : "s",
		   json_is_false(json_object_get(phase, "sealed")) ? " so far" : "");
	for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
		uint64_t count = cli_number(phase, names[i]);

		if (count > 0)
			buf_printf(out, "%s%s %s", first ? ": " : ", ",
				   human_count(count, text, sizeof(text)), names[i]);
		first = first && count == 0;
	}
}

static void add_phase(const struct cli *cli, struct buf *out, json_t *phase)
{
	uint64_t shards = cli_number(phase, "shards"), done = cli_number(phase, "done"),
		 dead = cli_number(phase, "dead");
	char percent[HUMAN_TEXT_MAX];
	struct buf name = {0};

	human_text(&name, bytes_of(cli_text(phase, "name")), false);
	add_field(out, buf_text(&name));
	buf_fini(&name);
	progress_bar(&cli->terminal, dead > 0 ? STYLE_WARN : STYLE_GOOD, done + dead, shards, BAR_COLUMNS,
		     out);
	buf_printf(out, " %5s", human_percent(done + dead, shards, percent, sizeof(percent)));
	add_counts(out, phase);
	buf_printf(out, "\n");
}

static void add_figures(struct buf *out, json_t *job)
{
	char text[HUMAN_TEXT_MAX];
	uint64_t retries = cli_number(job, "retries"), bytes = cli_number(job, "output_bytes");
	double run_seconds = cli_real(job, "run_seconds"), cpu_seconds = cli_real(job, "cpu_seconds");
	uint64_t rss = cli_number(job, "max_rss_bytes"), reopens = cli_number(job, "reopens");
	usec_t from = cli_time(job, "started"), to = cli_time(job, "ended");

	if (from > 0) {
		add_field(out, "took");
		buf_printf(out, "%s%s",
			   human_span((to > 0 ? to : clock_wall_us()) - from, text, sizeof(text)),
			   to > 0 ? "" : " so far");
		if (run_seconds > 0)
			buf_printf(
			    out, ", %s of work",
			    human_span((usec_t)(run_seconds * (double)USEC_PER_SEC), text, sizeof(text)));
		buf_printf(out, "\n");
	}
	if (cpu_seconds > 0) {
		add_field(out, "cpu");
		buf_printf(out, "%s",
			   human_span((usec_t)(cpu_seconds * (double)USEC_PER_SEC), text, sizeof(text)));
		if (rss > 0)
			buf_printf(out, ", at most %s a shard", human_size(rss, text, sizeof(text)));
		buf_printf(out, "\n");
	}
	if (retries > 0) {
		add_field(out, "retries");
		buf_printf(out, "%s\n", human_count(retries, text, sizeof(text)));
	}
	if (reopens > 0) {
		add_field(out, "went on");
		buf_printf(out, "%s %s after an end\n", human_count(reopens, text, sizeof(text)),
			   reopens == 1 ? "time" : "times");
	}
	if (bytes > 0) {
		add_field(out, "output");
		buf_printf(out, "%s\n", human_size(bytes, text, sizeof(text)));
	}
}

/* By what a person knows it: the key of an object, else its id. */
static void add_event(struct buf *out, json_t *event)
{
	const char *key = cli_text(event, "key");

	if (!json_is_object(event))
		return;
	add_field(out, "event");
	human_text(out, bytes_of(key[0] != '\0' ? key : cli_text(event, "id")), false);
	buf_printf(out, "  (");
	human_text(out, bytes_of(cli_text(event, "detail-type")), false);
	buf_printf(out, " of ");
	human_text(out, bytes_of(cli_text(event, "source")), false);
	buf_printf(out, ")\n");
}

static void add_who(struct buf *out, json_t *job, const char *member, const char *name)
{
	json_t *who = json_object_get(job, member);

	if (!json_is_object(who))
		return;
	add_field(out, name);
	human_text(out, bytes_of(cli_text(who, "text")), false);
	buf_printf(out, "\n");
}

static void add_job(const struct cli *cli, struct buf *out, json_t *job)
{
	const char *word = cli_text(job, "word");
	struct buf head = {0};
	json_t *phase;
	size_t i;

	buf_printf(&head, "job %" PRIu64, cli_number(job, "id"));
	terminal_style(&cli->terminal, out, STYLE_BOLD, buf_bytes(&head));
	buf_fini(&head);
	buf_printf(out, "  ");
	human_text(out, bytes_of(cli_text(job, "name")), false);
	buf_printf(out, "  ");
	terminal_style(&cli->terminal, out, style_of_word(word), bytes_of(word));
	buf_printf(out, "\n");
	if (cli_text(job, "why")[0] != '\0') {
		add_field(out, "why");
		human_lines(out, bytes_of(cli_text(job, "why")), FIELD_COLUMNS);
		buf_printf(out, "\n");
	}
	json_array_foreach(json_object_get(job, "phases"), i, phase) add_phase(cli, out, phase);
	add_time_field(cli, out, job, "accepted");
	add_time_field(cli, out, job, "started");
	add_time_field(cli, out, job, "ended");
	add_figures(out, job);
	if (cli_text(job, "output")[0] != '\0') {
		add_field(out, "result");
		human_text(out, bytes_of(cli_text(job, "output")), false);
		buf_printf(out, "\n");
	}
	if (json_is_string(json_object_get(job, "queue"))) {
		add_field(out, "queue");
		human_text(out, bytes_of(cli_text(job, "queue")), false);
		buf_printf(out, ", priority %" JSON_INTEGER_FORMAT "\n",
			   json_integer_value(json_object_get(job, "priority")));
	}
	add_event(out, json_object_get(job, "event"));
	add_who(out, job, "by", "asked by");
	add_who(out, job, "again_by", "retried by");
	add_who(out, job, "stopped_by", strcmp(word, "cancelled") == 0 ? "ended by" : "paused by");
	add_field(out, "definition");
	buf_printf(out, "%.12s\n", cli_text(job, "definition"));
}

static void add_dead_row(struct table *t, json_t *run)
{
	uint64_t first = cli_number(run, "first"), count = cli_number(run, "count");
	json_t *code = json_object_get(run, "code");

	if (count > 1)
		table_add(t, STYLE_NONE, "%" PRIu64 "-%" PRIu64, first, first + count - 1);
	else
		table_add(t, STYLE_NONE, "%" PRIu64, first);
	table_add_text(t, STYLE_BAD, cli_text(run, "kind"));
	/* Else it is said again, and better, by why. */
	if (json_is_integer(code) && failure_code_tells(failure_kind_of(bytes_of(cli_text(run, "kind")))))
		table_add(t, STYLE_NONE, "%" JSON_INTEGER_FORMAT, json_integer_value(code));
	else
		table_add_text(t, STYLE_NONE, "");
	table_add_line(t, STYLE_NONE, cli_text(run, "why"));
}

/* Dead shards of an ended job may have left the dispatcher's memory: then nothing is listed. */
static void add_dead(struct cli *cli, struct buf *out, uint64_t job, size_t phase, uint64_t limit)
{
	char suffix[80], path[CLI_PATH_BYTES_MAX];
	struct client_answer answer;
	struct table t;
	json_t *run;
	size_t i;

	snprintf(suffix, sizeof(suffix), "/shards?limit=%" PRIu64 "&phase=%zu", limit, phase);
	if (client_get(&cli->client, cli_job_path(job, suffix, path, sizeof(path)), &answer, NULL) != 0)
		return;
	table_init(&t, dead_columns, ARRAY_LENGTH(dead_columns));
	json_array_foreach(json_object_get(answer.json, "shards"), i, run) add_dead_row(&t, run);
	if (table_row_count(&t) > 0) {
		buf_printf(out, "\nDead shards");
		if (phase > 0)
			buf_printf(out, " of phase %zu", phase);
		buf_printf(out, "\n");
		table_write(&t, &cli->terminal, out);
		if (!json_is_null(json_object_get(answer.json, "next")) && table_row_count(&t) >= limit)
			buf_printf(out, "there may be more; --dead=N shows N\n");
		buf_printf(out,
			   "shardmill output --stderr --shard=N %s%" PRIu64 " prints what shard N wrote\n",
			   phase == 0 ? "" : "--phase=1 ", job);
	}
	table_fini(&t);
	client_answer_fini(&answer);
}

static void add_all_dead(struct cli *cli, struct buf *out, json_t *job, uint64_t limit)
{
	json_t *phases = json_object_get(job, "phases");

	for (size_t i = 0; limit > 0 && i < json_array_size(phases); i++)
		if (cli_number(json_array_get(phases, i), "dead") > 0)
			add_dead(cli, out, cli_number(job, "id"), i, limit);
}

static int show_job(struct cli *cli, uint64_t job, size_t nth, void *options, struct error *reterr)
{
	const struct show_options *o = options;
	char path[CLI_PATH_BYTES_MAX];
	struct client_answer answer;
	struct buf out = {0};
	int r = client_get(&cli->client, cli_job_path(job, "", path, sizeof(path)), &answer, reterr);

	if (r != 0)
		return r;
	if (cli->json) {
		cli_print_json(cli, &answer);
	} else {
		if (nth > 0)
			buf_printf(&out, "\n");
		add_job(cli, &out, answer.json);
		add_all_dead(cli, &out, answer.json, o->dead);
		cli_print(&out);
	}
	client_answer_fini(&answer);
	return 0;
}

static int show_all(struct cli *cli, void *options, struct error *reterr)
{
	static const struct each_job each = {.expected = "expected jobs to show", .work = show_job};
	const struct show_options *o = options;

	if (o->dead > 1000)
		return error_set(reterr, ERR_INVALID, "--dead must be at most 1000");
	return each_job(cli, &each, options, reterr);
}

int verb_show(int argc, char **argv)
{
	struct show_options o = {.dead = 10};
	const struct options_extra extras[] = {
	    {0, "dead", "N", "List at most N runs of dead shards (default 10).", cli_set_number, &o.dead},
	};
	const struct options_spec spec = {
	    .program = "shardmill show",
	    .synopsis = "[OPTION]... JOB...",
	    .summary = "tell all about a job",
	    .details = SELECTOR_HELP,
	    .extras = extras,
	    .extra_count = ARRAY_LENGTH(extras),
	};

	return cli_run(&spec, argc, argv, show_all, &o);
}
