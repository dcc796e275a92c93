#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "cli/cli.h"
#include "cli/human.h"
#include "cli/numbers.h"
#include "cli/progress.h"
#include "cli/selector.h"
#include "cli/table.h"
#include "jobs/api/objects.h"
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

static void add_time_field(const struct cli *cli, struct buf *out, const char *name, usec_t wall_us)
{
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

static void add_text_field(struct buf *out, const char *name, struct bytes text)
{
	if (text.size == 0)
		return;
	add_field(out, name);
	human_text(out, text, false);
	buf_printf(out, "\n");
}

/* done, leased, …: what is not zero. */
static void add_counts(struct buf *out, const struct api_phase *phase, bool so_far)
{
	const struct {
		const char *name;
		uint64_t n;
	} counts[] = {
	    {"done", phase->done},	 {"leased", phase->leased}, {"pending", phase->pending},
	    {"delayed", phase->delayed}, {"dead", phase->dead},	    {"dropped", phase->dropped},
	};
	char text[HUMAN_TEXT_MAX];
	bool first = true;

	buf_printf(out, "  %s shard%s%s", human_count(phase->shards, text, sizeof(text)),
		   phase->shards == 1 ? "" : "s", so_far ? " so far" : "");
	for (size_t i = 0; i < ARRAY_LENGTH(counts); i++) {
		if (counts[i].n > 0)
			buf_printf(out, "%s%s %s", first ? ": " : ", ",
				   human_count(counts[i].n, text, sizeof(text)), counts[i].name);
		first = first && counts[i].n == 0;
	}
}

static void add_phase(const struct cli *cli, struct buf *out, const json_t *json)
{
	char percent[HUMAN_TEXT_MAX];
	struct api_phase phase;
	struct buf name = {0};
	uint64_t ended;

	object_read(object_phase(), json, &phase);
	ended = phase.done + phase.dead;
	human_text(&name, phase.name, false);
	add_field(out, buf_text(&name));
	buf_fini(&name);
	progress_bar(&cli->terminal, phase.dead > 0 ? STYLE_WARN : STYLE_GOOD, ended, phase.shards,
		     BAR_COLUMNS, out);
	buf_printf(out, " %5s", human_percent(ended, phase.shards, percent, sizeof(percent)));
	add_counts(out, &phase, !phase.sealed);
	buf_printf(out, "\n");
}

static void add_took(struct buf *out, const struct api_job *job)
{
	usec_t from = job->started_wall_us, to = job->ended_wall_us;
	char text[HUMAN_TEXT_MAX];

	if (from > 0) {
		add_field(out, "took");
		buf_printf(out, "%s%s",
			   human_span((to > 0 ? to : clock_wall_us()) - from, text, sizeof(text)),
			   to > 0 ? "" : " so far");
		if (job->totals.run_us > 0)
			buf_printf(out, ", %s of work",
				   human_span((usec_t)job->totals.run_us, text, sizeof(text)));
		buf_printf(out, "\n");
	}
	if (job->totals.cpu_us > 0) {
		add_field(out, "cpu");
		buf_printf(out, "%s", human_span((usec_t)job->totals.cpu_us, text, sizeof(text)));
		if (job->totals.max_rss_bytes > 0)
			buf_printf(out, ", at most %s a shard",
				   human_size(job->totals.max_rss_bytes, text, sizeof(text)));
		buf_printf(out, "\n");
	}
}

static void add_figures(struct buf *out, const struct api_job *job)
{
	char text[HUMAN_TEXT_MAX];

	add_took(out, job);
	if (job->retries > 0) {
		add_field(out, "retries");
		buf_printf(out, "%s\n", human_count(job->retries, text, sizeof(text)));
	}
	if (job->reopens > 0) {
		add_field(out, "went on");
		buf_printf(out, "%s %s after an end\n", human_count(job->reopens, text, sizeof(text)),
			   job->reopens == 1 ? "time" : "times");
	}
	if (job->totals.output_bytes > 0) {
		add_field(out, "output");
		buf_printf(out, "%s\n", human_size(job->totals.output_bytes, text, sizeof(text)));
	}
}

/* By what a person knows it: the key of an object, else its id. */
static void add_event(struct buf *out, const struct api_job_event *event)
{
	add_field(out, "event");
	human_text(out, event->key.size > 0 ? event->key : event->id, false);
	buf_printf(out, "  (");
	human_text(out, event->detail_type, false);
	buf_printf(out, " of ");
	human_text(out, event->source, false);
	buf_printf(out, ")\n");
}

static void add_who(struct buf *out, const char *name, bool is_known, const struct api_principal *who)
{
	if (!is_known)
		return;
	add_field(out, name);
	human_text(out, who->text, false);
	buf_printf(out, "\n");
}

static void add_head(const struct cli *cli, struct buf *out, const struct api_job *job)
{
	struct buf head = {0};

	buf_printf(&head, "job %" PRIu64, job->id);
	terminal_style(&cli->terminal, out, STYLE_BOLD, buf_bytes(&head));
	buf_fini(&head);
	buf_printf(out, "  ");
	human_text(out, job->name, false);
	buf_printf(out, "  ");
	terminal_style(&cli->terminal, out, style_of_word(api_text(job->word)), job->word);
	buf_printf(out, "\n");
	if (job->why.size > 0) {
		add_field(out, "why");
		human_lines(out, job->why, FIELD_COLUMNS);
		buf_printf(out, "\n");
	}
}

static void add_job(const struct cli *cli, struct buf *out, const struct api_job *job)
{
	json_t *phase;
	size_t i;

	add_head(cli, out, job);
	json_array_foreach(job->phases, i, phase) add_phase(cli, out, phase);
	add_text_field(out, "outlook", job->outlook);
	add_text_field(out, "numbers", job->array);
	add_text_field(out, "rate", job->rate);
	add_time_field(cli, out, "accepted", job->accepted_wall_us);
	add_time_field(cli, out, "started", job->started_wall_us);
	add_time_field(cli, out, "ended", job->ended_wall_us);
	add_time_field(cli, out, "start by", job->start_by_wall_us);
	add_time_field(cli, out, "deadline", job->deadline_wall_us);
	add_figures(out, job);
	add_text_field(out, "result", job->output);
	if (job->has_queue) {
		add_field(out, "queue");
		human_text(out, job->queue, false);
		buf_printf(out, ", priority %" PRId64 "\n", job->priority);
	}
	if (job->has_event)
		add_event(out, &job->event);
	add_who(out, "asked by", job->has_by, &job->by);
	add_who(out, "retried by", job->has_again_by, &job->again_by);
	add_who(out, strcmp(api_text(job->word), "cancelled") == 0 ? "ended by" : "paused by",
		job->has_stopped_by, &job->stopped_by);
	add_field(out, "definition");
	buf_printf(out, "%.12s\n", api_text(job->definition));
}

static void add_dead_row(struct table *t, const struct numbers *numbers, const json_t *json)
{
	struct api_dead_shards run;
	struct buf which = {0};

	object_read(object_dead_shards(), json, &run);
	numbers_add(numbers, run.first, run.count, &which);
	table_add_text(t, STYLE_NONE, buf_text(&which));
	buf_fini(&which);
	table_add_text(t, STYLE_BAD, api_text(run.kind));
	/* Else it is said again, and better, by why. */
	if (run.has_code && failure_code_tells(failure_kind_of(run.kind)))
		table_add(t, STYLE_NONE, "%" PRId64, run.code);
	else
		table_add_text(t, STYLE_NONE, "");
	table_add_line(t, STYLE_NONE, api_text(run.why));
}

/* Dead shards of an ended job may have left the dispatcher's memory: then nothing is listed. */
static int add_dead(struct cli *cli, struct buf *out, const struct api_job *facts, size_t phase,
		    uint64_t limit, struct error *reterr)
{
	char suffix[80], path[CLI_PATH_BYTES_MAX];
	struct client_answer answer;
	struct numbers numbers;
	struct api_shards shards;
	uint64_t job = facts->id;
	struct table t;
	json_t *run;
	size_t i;
	int r;

	snprintf(suffix, sizeof(suffix), "/shards?limit=%" PRIu64 "&phase=%zu", limit, phase);
	if (client_get(&cli->client, cli_job_path(job, suffix, path, sizeof(path)), &answer, NULL) != 0)
		return 0;
	r = client_read(&answer, object_shards(), &shards, reterr);
	if (r != 0) {
		client_answer_fini(&answer);
		return r;
	}
	table_init(&t, dead_columns, ARRAY_LENGTH(dead_columns));
	numbers_init(&numbers, phase == 0 ? facts->array : BYTES_LIT(""));
	json_array_foreach(shards.shards, i, run) add_dead_row(&t, &numbers, run);
	numbers_fini(&numbers);
	if (table_row_count(&t) > 0) {
		buf_printf(out, "\nDead shards");
		if (phase > 0)
			buf_printf(out, " of phase %zu", phase);
		buf_printf(out, "\n");
		table_write(&t, &cli->terminal, out);
		if (shards.next > 0 && table_row_count(&t) >= limit)
			buf_printf(out, "there may be more; --dead=N shows N\n");
		buf_printf(out,
			   "shardmill output --stderr --shard=N %s%" PRIu64 " prints what shard N wrote\n",
			   phase == 0 ? "" : "--phase=1 ", job);
	}
	table_fini(&t);
	client_answer_fini(&answer);
	return 0;
}

static int add_all_dead(struct cli *cli, struct buf *out, const struct api_job *job, uint64_t limit,
			struct error *reterr)
{
	struct api_phase phase;
	int r = 0;

	for (size_t i = 0; r == 0 && limit > 0 && i < json_array_size(job->phases); i++) {
		object_read(object_phase(), json_array_get(job->phases, i), &phase);
		if (phase.dead > 0)
			r = add_dead(cli, out, job, i, limit, reterr);
	}
	return r;
}

static int show_job(struct cli *cli, uint64_t job, size_t nth, void *options, struct error *reterr)
{
	const struct show_options *o = options;
	char path[CLI_PATH_BYTES_MAX];
	struct client_answer answer;
	struct api_job job_facts;
	struct buf out = {0};
	int r = client_get(&cli->client, cli_job_path(job, "", path, sizeof(path)), &answer, reterr);

	if (r != 0)
		return r;
	if (cli->json) {
		cli_print_json(cli, &answer);
	} else if ((r = client_read(&answer, object_job(), &job_facts, reterr)) == 0) {
		if (nth > 0)
			buf_printf(&out, "\n");
		add_job(cli, &out, &job_facts);
		r = add_all_dead(cli, &out, &job_facts, o->dead, reterr);
		cli_print(&out);
	}
	client_answer_fini(&answer);
	return r;
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
