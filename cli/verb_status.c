#include <inttypes.h>
#include <stdio.h>

#include "base/units.h"
#include "cli/cli.h"
#include "cli/human.h"
#include "cli/table.h"
#include "jobs/api/objects.h"

struct count {
	uint64_t n;
	const char *text;
};

static void add_count(struct buf *out, struct count c, bool *first)
{
	char count[HUMAN_TEXT_MAX];

	buf_printf(out, "%s%s %s", *first ? "" : ", ", human_count(c.n, count, sizeof(count)), c.text);
	*first = false;
}

static void add_jobs(struct buf *out, const struct api_job_counts *jobs)
{
	const struct count counts[] = {
	    {jobs->live, "live"},
	    {jobs->held, "held"},
	    {jobs->runnable, "with shards to run"},
	    {jobs->accepted, "accepted ever"},
	};
	bool first = true;

	buf_printf(out, "  jobs        ");
	for (size_t i = 0; i < ARRAY_LENGTH(counts); i++)
		add_count(out, counts[i], &first);
	buf_printf(out, "\n");
}

static void add_shards(struct buf *out, const struct api_status *status)
{
	const struct count counts[] = {
	    {status->leased_shards, "leased"},
	    {status->shards_done, "done"},
	    {status->shards_failed, "failed attempts"},
	    {status->shards_lost, "lost with their workers"},
	    {status->late, "late"},
	    {status->duplicate, "duplicate"},
	};
	bool first = true;

	buf_printf(out, "  shards      ");
	for (size_t i = 0; i < ARRAY_LENGTH(counts); i++)
		if (i < 2 || counts[i].n > 0)
			add_count(out, counts[i], &first);
	buf_printf(out, ", since this start\n");
}

/* A disk that cannot be written. */
static void add_trouble(struct buf *out, bool failing, const struct api_error *error, const char *words)
{
	if (!failing)
		return;
	buf_printf(out, "  %s: ", words);
	human_text(out, error->where, false);
	buf_printf(out, "%s", error->where.size > 0 ? ": " : "");
	human_text(out, error->message, false);
	buf_printf(out, "\n");
}

static void add_rules(struct buf *out, const struct api_status *status)
{
	char text[HUMAN_TEXT_MAX];

	buf_printf(out, "  rules       %s", human_count(status->rules, text, sizeof(text)));
	if (status->rules_stale > 0)
		buf_printf(out, ", %s broken: the last good version goes on",
			   human_count(status->rules_stale, text, sizeof(text)));
	if (status->has_rules_error) {
		buf_printf(out, ", NO EVENT IS TAKEN: ");
		human_text(out, status->rules_error.where, false);
		buf_printf(out, ": ");
		human_text(out, status->rules_error.message, false);
	}
	buf_printf(out, "\n");
}

static void add_left_out(struct buf *out, const struct api_left_out *left)
{
	const struct count counts[] = {
	    {left->hidden, "with names that begin with a dot"}, {left->unfinished, "named .tmp or .part"},
	    {left->symbolic_links, "symbolic links"},		{left->special, "neither files nor folders"},
	    {left->unreadable, "that cannot be read"},
	};
	bool first = true;

	for (size_t i = 0; i < ARRAY_LENGTH(counts); i++) {
		if (counts[i].n == 0)
			continue;
		buf_printf(out, "%s", first ? "; left out: " : "");
		add_count(out, counts[i], &first);
	}
}

static void add_bucket(struct buf *out, const struct api_bucket *bucket)
{
	char text[HUMAN_TEXT_MAX];

	buf_printf(out, "  watching    ");
	human_text(out, bucket->path, false);
	if (bucket->error.size > 0) {
		buf_printf(out, ": NOT NOW: ");
		human_text(out, bucket->error, false);
	} else {
		buf_printf(out, ": %s files taken", human_count(bucket->files, text, sizeof(text)));
	}
	add_left_out(out, &bucket->left_out);
	buf_printf(out, "\n");
}

static void add_buckets(struct buf *out, const json_t *buckets)
{
	struct api_bucket bucket;
	json_t *json;
	size_t i;

	json_array_foreach(buckets, i, json)
	{
		object_read(object_bucket(), json, &bucket);
		add_bucket(out, &bucket);
	}
}

static void add_head(const struct cli *cli, struct buf *out, const struct api_status *status)
{
	usec_t up_us = status->now_wall_us - status->started_wall_us;
	char text[HUMAN_TEXT_MAX];
	struct buf version = {0};

	buf_printf(&version, "shardmill %s", api_text(status->version));
	terminal_style(&cli->terminal, out, STYLE_BOLD, buf_bytes(&version));
	buf_fini(&version);
	buf_printf(out, " at %s", cli->client.address);
	if (status->started_wall_us > 0 && up_us >= 0)
		buf_printf(out, ", up for %s", human_span(up_us, text, sizeof(text)));
	buf_printf(out, "\n  cluster     ");
	human_text(out, status->cluster, false);
	buf_printf(out, ", epoch %s\n", human_count(status->epoch, text, sizeof(text)));
}

static void add_kept(struct buf *out, const struct api_status *status)
{
	const struct api_kept *k = &status->kept;
	char text[HUMAN_TEXT_MAX];

	if (!status->has_kept)
		return;
	buf_printf(out, "  kept        %s ended jobs", human_count(k->jobs, text, sizeof(text)));
	if (k->since_wall_us > 0)
		buf_printf(out, " of the last %s",
			   human_span(status->now_wall_us - k->since_wall_us, text, sizeof(text)));
	buf_printf(out, ", %s of outputs", human_size(k->output_bytes, text, sizeof(text)));
	buf_printf(out, ", %s of history", human_size(k->history_bytes, text, sizeof(text)));
	if (k->forgotten > 0)
		buf_printf(out, "; %s forgotten", human_count(k->forgotten, text, sizeof(text)));
	buf_printf(out, "\n");
}

static void add_dedup(struct buf *out, const struct api_status *status)
{
	const struct api_dedup *k = &status->dedup;
	char text[HUMAN_TEXT_MAX];

	if (k->in_files == 0)
		return;
	buf_printf(out, "  keys        %s of events",
		   human_count(k->in_memory + k->in_files, text, sizeof(text)));
	if (k->since_wall_us > 0)
		buf_printf(out, " of the last %s",
			   human_span(status->now_wall_us - k->since_wall_us, text, sizeof(text)));
	buf_printf(out, ", %s of files", human_size(k->bytes, text, sizeof(text)));
	buf_printf(out, " (%s at most)\n", human_size(k->bytes_max, text, sizeof(text)));
}

static void add_producers(struct buf *out, const struct api_status *status)
{
	const struct api_producers *p = &status->producers;
	char text[HUMAN_TEXT_MAX];

	if (p->sessions == 0 && p->events == 0 && p->strange == 0)
		return;
	buf_printf(out, "  producers   %s connected", human_count(p->sessions, text, sizeof(text)));
	buf_printf(out, ", %s events answered", human_count(p->events, text, sizeof(text)));
	if (p->refused > 0)
		buf_printf(out, ", %s of them refused", human_count(p->refused, text, sizeof(text)));
	if (p->waiting_bytes > 0)
		buf_printf(out, "; %s wait", human_size(p->waiting_bytes, text, sizeof(text)));
	if (p->strange > 0)
		buf_printf(out, "; %s frames that no producer should send",
			   human_count(p->strange, text, sizeof(text)));
	buf_printf(out, "\n");
}

static void add_shared(struct buf *out, const json_t *list)
{
	char used[UNITS_TEXT_MAX], total[UNITS_TEXT_MAX];
	struct api_shared shared;
	json_t *json;
	size_t i;

	json_array_foreach(list, i, json)
	{
		object_read(object_shared(), json, &shared);
		buf_printf(out, "  shared      %s of %s ",
			   units_format_cpus((uint32_t)shared.used_milli, used, sizeof(used)),
			   units_format_cpus((uint32_t)shared.total_milli, total, sizeof(total)));
		human_text(out, shared.name, false);
		buf_printf(out, " in use\n");
	}
}

static void add_status(const struct cli *cli, struct buf *out, const struct api_status *status)
{
	char text[HUMAN_TEXT_MAX];

	add_head(cli, out, status);
	add_jobs(out, &status->jobs);
	add_shards(out, status);
	buf_printf(out, "  workers     %s", human_count(status->workers, text, sizeof(text)));
	buf_printf(out, ", %s leases\n", human_count(status->leases, text, sizeof(text)));
	add_shared(out, status->shared);
	add_rules(out, status);
	add_trouble(out, status->has_journal_error, &status->journal_error,
		    "journal     NOTHING MORE IS TAKEN ON");
	add_trouble(out, status->has_history_error, &status->history_error,
		    "history     IT CANNOT BE WRITTEN");
	add_buckets(out, status->buckets);
	add_producers(out, status);
	add_kept(out, status);
	add_dedup(out, status);
	buf_printf(out, "  journal     %s", human_size(status->journal.bytes, text, sizeof(text)));
	buf_printf(out, ", %s commits\n", human_count(status->journal.commits, text, sizeof(text)));
}

static const struct table_column pool_columns[] = {
    {"POOL", TABLE_LEFT, true},	      {"PROVIDER", TABLE_LEFT, true}, {"WANTED", TABLE_RIGHT, false},
    {"READY", TABLE_RIGHT, false},    {"BUSY", TABLE_RIGHT, false},   {"STARTING", TABLE_RIGHT, false},
    {"DRAINING", TABLE_RIGHT, false}, {"BOUNDS", TABLE_RIGHT, false}, {"CPUS", TABLE_RIGHT, false},
    {"GPUS", TABLE_RIGHT, false},     {"NAMED", TABLE_LEFT, true},
};

static void add_pool_row(struct table *t, const struct api_pool *pool)
{
	const uint64_t counts[] = {pool->wanted, pool->ready, pool->busy, pool->starting, pool->draining};
	char text[HUMAN_TEXT_MAX], cpus[UNITS_TEXT_MAX];

	table_add_text(t, STYLE_NONE, api_text(pool->pool));
	table_add_text(t, STYLE_NONE, api_text(pool->provider));
	for (size_t i = 0; i < ARRAY_LENGTH(counts); i++)
		table_add_text(t, STYLE_NONE, human_count(counts[i], text, sizeof(text)));
	table_add(t, STYLE_NONE, "%" PRIu64 "-%" PRIu64, pool->min, pool->max);
	table_add_text(t, STYLE_NONE, units_format_cpus((uint32_t)pool->cpus_milli, cpus, sizeof(cpus)));
	table_add_text(
	    t, STYLE_NONE,
	    pool->gpus_milli > 0 ? units_format_cpus((uint32_t)pool->gpus_milli, cpus, sizeof(cpus)) : "");
	table_add_text(t, STYLE_NONE, api_text(pool->named));
}

/* What it does or cannot do, else how its scaler decided last. */
static void add_pool_sentence(const struct cli *cli, struct buf *out, const struct api_pool *pool)
{
	struct buf text = {0};

	human_text(&text, pool->does.size > 0 ? pool->does : pool->why, false);
	if (text.size > 0) {
		buf_printf(out, "  ");
		human_text(out, pool->pool, false);
		buf_printf(out, "  ");
		terminal_style(&cli->terminal, out, pool->failed_starts > 0 ? STYLE_BAD : STYLE_NONE,
			       buf_bytes(&text));
		buf_printf(out, "\n");
	}
	buf_fini(&text);
}

static void add_pools(const struct cli *cli, struct buf *out, const json_t *pools)
{
	struct api_pool pool;
	struct table t;
	json_t *json;
	size_t i;

	if (json_array_size(pools) == 0)
		return;
	table_init(&t, pool_columns, ARRAY_LENGTH(pool_columns));
	json_array_foreach(pools, i, json)
	{
		object_read(object_pool(), json, &pool);
		add_pool_row(&t, &pool);
	}
	buf_printf(out, "\n");
	table_write(&t, &cli->terminal, out);
	table_fini(&t);
	json_array_foreach(pools, i, json)
	{
		object_read(object_pool(), json, &pool);
		add_pool_sentence(cli, out, &pool);
	}
}

static int show_status(struct cli *cli, void *options, struct error *reterr)
{
	struct client_answer answer;
	struct api_status status;
	struct buf out = {0};
	int r = cli_expect_arguments(cli, 0, 0, "expected no argument", reterr);

	(void)options;
	if (r == 0)
		r = client_get(&cli->client, "/v1/status", &answer, reterr);
	if (r != 0)
		return r;
	if (cli->json) {
		cli_print_json(cli, &answer);
	} else if ((r = client_read(&answer, object_status(), &status, reterr)) == 0) {
		add_status(cli, &out, &status);
		add_pools(cli, &out, status.pools);
		cli_print(&out);
	}
	client_answer_fini(&answer);
	return r;
}

int verb_status(int argc, char **argv)
{
	const struct options_spec spec = {
	    .program = "shardmill status",
	    .synopsis = "[OPTION]...",
	    .summary = "tell how the dispatcher is",
	};

	return cli_run(&spec, argc, argv, show_status, NULL);
}
