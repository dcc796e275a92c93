#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "cli/csv.h"
#include "cli/human.h"
#include "cli/numbers.h"
#include "cli/selector.h"
#include "cli/table.h"
#include "jobs/api/objects.h"

#define PAGE_ROWS 1000u /* the API's most */
#define TEXT_ROWS 100u	/* unless --limit says otherwise */
#define WORKER_COLUMN 5

struct shards_options {
	const char *state, *phase; /* NULL: not said */
	uint64_t from, limit;	   /* 0: not said */
	bool has_from;
	struct numbers numbers; /* what its shards are called */
};

/* ---- a table ---- */

static const struct table_column columns[] = {
    {"SHARD", TABLE_RIGHT, false},  {"VALUE", TABLE_LEFT, true}, {"STATE", TABLE_LEFT, false},
    {"TRIES", TABLE_RIGHT, false},  {"HOST", TABLE_LEFT, true},	 {"WORKER", TABLE_LEFT, false},
    {"START", TABLE_LEFT, false},   {"RUN", TABLE_RIGHT, false}, {"CPU", TABLE_RIGHT, false},
    {"MEMORY", TABLE_RIGHT, false}, {"EXIT", TABLE_LEFT, false}, {"WHY", TABLE_LEFT, true},
};

static void add_shard(struct table *t, const struct numbers *numbers, const struct api_shard_attempts *s)
{
	struct buf which = {0};

	if (s->phase == 0)
		numbers_add(numbers, s->first, s->count, &which);
	else
		numbers_add(&(struct numbers){.from = NULL}, s->first, s->count, &which);
	table_add_text(t, STYLE_NONE, buf_text(&which));
	buf_fini(&which);
}

/* Nothing where it says no more than the shard's number. */
static void add_value(struct table *t, const struct api_shard_attempts *s)
{
	char number[24], first[24];

	snprintf(first, sizeof(first), "%" PRIu64, s->first);
	snprintf(number, sizeof(number), "%" PRId64, s->number);
	if (!s->has_value || strcmp(api_text(s->value), s->has_number ? number : first) == 0)
		table_add_text(t, STYLE_NONE, "");
	else if (!s->has_last_value)
		table_add_text(t, STYLE_NONE, api_text(s->value));
	else
		table_add(t, STYLE_NONE, "%.200s .. %.200s", api_text(s->value), api_text(s->last_value));
}

static void add_exit(struct table *t, const struct api_shard_attempts *s)
{
	const char *failed = api_text(s->failed);
	bool exited = !s->has_failed || strcmp(failed, "exit") == 0;

	if (s->has_code && exited)
		table_add(t, s->has_failed ? STYLE_BAD : STYLE_NONE, "%" PRId64, s->code);
	else if (s->has_code && strcmp(failed, "signal") == 0)
		table_add(t, STYLE_BAD, "signal %" PRId64, s->code);
	else
		table_add_text(t, STYLE_BAD, s->has_failed ? failed : "");
}

/* Of one that runs, for how long it has. */
static void add_took(struct table *t, const struct api_shard_attempts *s, usec_t now_us)
{
	const struct totals *took = &s->took.totals;
	usec_t run_us = (usec_t)took->run_us;
	char text[HUMAN_TEXT_MAX];

	if (!s->has_took)
		run_us = s->start_wall_us > 0 && now_us > s->start_wall_us ? now_us - s->start_wall_us : 0;
	table_add_text(t, STYLE_NONE,
		       s->has_took || s->start_wall_us > 0 ? human_span(run_us, text, sizeof(text)) : "");
	table_add_text(t, STYLE_NONE,
		       s->has_took ? human_span((usec_t)took->cpu_us, text, sizeof(text)) : "");
	table_add_text(t, STYLE_NONE,
		       took->max_rss_bytes > 0 ? human_size(took->max_rss_bytes, text, sizeof(text)) : "");
}

static void add_row(struct table *t, const struct numbers *numbers, const struct api_shard_attempts *s,
		    usec_t now_us)
{
	char text[HUMAN_TEXT_MAX];

	add_shard(t, numbers, s);
	add_value(t, s);
	table_add_text(t, style_of_word(api_text(s->state)), api_text(s->state));
	if (s->attempts > 1)
		table_add(t, STYLE_NONE, "%" PRIu64, s->attempts);
	else
		table_add_text(t, STYLE_NONE, "");
	table_add_text(t, STYLE_NONE, api_text(s->host));
	table_add(t, STYLE_NONE, "%.8s", api_text(s->worker));
	table_add_text(t, STYLE_NONE,
		       s->start_wall_us > 0 ? human_ago(s->start_wall_us, now_us, text, sizeof(text)) : "");
	add_took(t, s, now_us);
	add_exit(t, s);
	table_add_line(t, STYLE_NONE, api_text(s->why));
}

static void print_table(const struct cli *cli, const struct numbers *numbers, json_t *shards, bool more)
{
	usec_t now_us = clock_wall_us();
	struct api_shard_attempts s;
	struct buf out = {0};
	struct table t;
	json_t *item;
	size_t i;

	table_init(&t, columns, ARRAY_LENGTH(columns));
	t.spare = WORKER_COLUMN;
	json_array_foreach(shards, i, item)
	{
		object_read(object_shard_attempts(), item, &s);
		add_row(&t, numbers, &s, now_us);
	}
	if (table_row_count(&t) > 0)
		table_write(&t, &cli->terminal, &out);
	else if (cli->terminal.is_terminal)
		buf_printf(&out, "no shards\n");
	table_fini(&t);
	cli_print(&out);
	if (more && cli->terminal.is_terminal)
		printf("there are more; --limit=N shows N rows\n");
}

/* ---- pages ---- */

static void add_query(struct buf *path, const char *name, const char *value)
{
	if (value == NULL)
		return;
	buf_printf(path, "&%s=", name);
	client_escape(path, value);
}

static int read_page(struct cli *cli, const struct shards_options *o, uint64_t job, uint64_t rows,
		     uint64_t cursor, struct api_attempts *ret, struct client_answer *ret_answer,
		     struct error *reterr)
{
	char job_path[CLI_PATH_BYTES_MAX];
	struct buf path = {0};
	int r;

	buf_printf(&path, "%s?limit=%" PRIu64, cli_job_path(job, "/attempts", job_path, sizeof(job_path)),
		   rows < PAGE_ROWS ? rows : PAGE_ROWS);
	add_query(&path, "state", o->state);
	add_query(&path, "phase", o->phase);
	if (cursor > 0)
		buf_printf(&path, "&cursor=%" PRIu64, cursor);
	r = client_get_object(&cli->client, buf_text(&path), object_attempts(), ret, ret_answer, reterr);
	buf_fini(&path);
	return r;
}

static void print_csv(const struct api_attempts *page, bool first)
{
	struct buf out = {0};
	json_t *item;
	size_t i;

	if (first)
		csv_titles(&out, object_shard_attempts());
	json_array_foreach(page->shards, i, item) csv_values(&out, object_shard_attempts(), item);
	cli_print(&out);
}

/* The table and --from call shards as people do. */
static int find_numbers(struct cli *cli, struct shards_options *o, uint64_t job, struct error *reterr)
{
	bool of_array = o->phase == NULL || strcmp(o->phase, "0") == 0;
	char path[CLI_PATH_BYTES_MAX];
	struct client_answer answer;
	struct api_job facts;
	int r;

	if (!o->has_from && (cli->json || cli->csv))
		return 0;
	r = client_get_object(&cli->client, cli_job_path(job, "", path, sizeof(path)), object_job(), &facts,
			      &answer, reterr);
	if (r != 0)
		return r;
	numbers_init(&o->numbers, of_array ? facts.array : BYTES_LIT(""));
	client_answer_fini(&answer);
	if (o->has_from)
		r = numbers_find(&o->numbers, o->from, &o->from, reterr);
	return r != 0 ? error_where(reterr, "--from") : 0;
}

static int list_shards(struct cli *cli, void *options, struct error *reterr)
{
	struct shards_options *o = options;
	uint64_t left = o->limit > 0 ? o->limit : cli->csv || cli->json ? UINT64_MAX : TEXT_ROWS, job;
	struct api_attempts all = {.shards = json_array()};
	bool first = true;
	int r = cli_expect_arguments(cli, 1, 1, "expected one job", reterr);

	if (r == 0)
		r = select_job(cli, cli->argv[0], &job, reterr);
	if (r == 0)
		r = find_numbers(cli, o, job, reterr);
	all.next = o->from;
	do {
		struct client_answer answer;
		struct api_attempts page;

		if (r == 0)
			r = read_page(cli, o, job, left, all.next, &page, &answer, reterr);
		if (r != 0)
			break;
		if (cli->csv)
			print_csv(&page, first);
		else
			json_array_extend(all.shards, page.shards);
		left -= json_array_size(page.shards);
		all.next = page.next;
		first = false;
		client_answer_fini(&answer);
	} while (all.next > 0 && left > 0);
	if (r == 0 && cli->json) {
		json_t *value = object_write(object_attempts(), &all);

		cli_print_json_value(cli, value);
		json_decref(value);
		return 0;
	}
	if (r == 0 && !cli->csv)
		print_table(cli, &o->numbers, all.shards, all.next > 0);
	json_decref(all.shards);
	return r;
}

static int set_from(void *arg, const char *value, struct error *reterr)
{
	struct shards_options *o = arg;

	o->has_from = true;
	return cli_set_number(&o->from, value, reterr);
}

int verb_shards(int argc, char **argv)
{
	struct shards_options o = {.state = NULL};
	int code;
	const struct options_extra extras[] = {
	    {0, "state", "STATE",
	     "Only shards of this state: pending, delayed, leased, done, dead, dropped; several with commas.",
	     cli_set_text, &o.state},
	    {0, "phase", "N", "Of this phase. Default: the shards, or of a live job the phase in work.",
	     cli_set_text, &o.phase},
	    {0, "from", "N", "Begin with shard N.", set_from, &o},
	    {'n', "limit", "N", "Show at most N rows. Default: 100, and all of them as JSON or CSV.",
	     cli_set_number, &o.limit},
	};
	const struct options_spec spec = {
	    .program = "shardmill shards",
	    .synopsis = "[OPTION]... JOB",
	    .summary = "say what ran where: a job's shards, their workers, and what they took",
	    .details =
		"A row is a shard, or shards that follow each other and stand alike. SHARD is its number "
		"in its array,\nas in `logs` and `show`; JSON and CSV call that number, and first "
		"counts from 0. The columns from HOST\non tell of the last attempt. A leased shard "
		"that has a START runs; RUN is how long. A runner does not\nsay what it runs. "
		"Attempts of the first 10,000 shards of a phase are told one by one. Those of "
		"later\nshards, and of a runner, are told as ranges: RUN and CPU are then sums, MEMORY "
		"is the most, and START\nis that of the first.\n\n" SELECTOR_HELP,
	    .extras = extras,
	    .extra_count = ARRAY_LENGTH(extras),
	    .has_csv = true,
	};

	code = cli_run(&spec, argc, argv, list_shards, &o);
	numbers_fini(&o.numbers);
	return code;
}
