#include <inttypes.h>
#include <stdio.h>

#include "base/units.h"
#include "cli/cli.h"
#include "cli/human.h"
#include "cli/table.h"

static void add_count(struct buf *out, json_t *object, const char *name, const char *text, bool *first)
{
	char count[HUMAN_TEXT_MAX];

	if (!json_is_integer(json_object_get(object, name)))
		return;
	buf_printf(out, "%s%s %s", *first ? "" : ", ",
		   human_count(cli_number(object, name), count, sizeof(count)), text);
	*first = false;
}

static void add_jobs(struct buf *out, json_t *jobs)
{
	static const char *const names[][2] = {
	    {"live", "live"},
	    {"held", "held"},
	    {"runnable", "with shards to run"},
	    {"accepted", "accepted ever"},
	};
	bool first = true;

	buf_printf(out, "  jobs        ");
	for (size_t i = 0; i < ARRAY_LENGTH(names); i++)
		add_count(out, jobs, names[i][0], names[i][1], &first);
	buf_printf(out, "\n");
}

static void add_shards(struct buf *out, json_t *status)
{
	static const char *const names[][2] = {
	    {"leased_shards", "leased"},
	    {"shards_done", "done"},
	    {"shards_failed", "failed attempts"},
	    {"shards_lost", "lost with their workers"},
	    {"late", "late"},
	    {"duplicate", "duplicate"},
	};
	bool first = true;

	buf_printf(out, "  shards      ");
	for (size_t i = 0; i < ARRAY_LENGTH(names); i++)
		if (i < 2 || cli_number(status, names[i][0]) > 0)
			add_count(out, status, names[i][0], names[i][1], &first);
	buf_printf(out, ", since this start\n");
}

/* A disk that cannot be written. */
static void add_trouble(struct buf *out, json_t *status, const char *name, const char *words)
{
	json_t *error = json_object_get(status, name);

	if (!json_is_object(error))
		return;
	buf_printf(out, "  %s: ", words);
	human_text(out, bytes_of(cli_text(error, "where")), false);
	buf_printf(out, "%s", cli_text(error, "where")[0] != '\0' ? ": " : "");
	human_text(out, bytes_of(cli_text(error, "message")), false);
	buf_printf(out, "\n");
}

static void add_rules(struct buf *out, json_t *status)
{
	uint64_t stale = cli_number(status, "rules_stale");
	json_t *error = json_object_get(status, "rules_error");
	char text[HUMAN_TEXT_MAX];

	buf_printf(out, "  rules       %s", human_count(cli_number(status, "rules"), text, sizeof(text)));
	if (stale > 0)
		buf_printf(out, ", %s broken: the last good version goes on",
			   human_count(stale, text, sizeof(text)));
	if (json_is_object(error)) {
		buf_printf(out, ", NO EVENT IS TAKEN: ");
		human_text(out, bytes_of(cli_text(error, "where")), false);
		buf_printf(out, ": ");
		human_text(out, bytes_of(cli_text(error, "message")), false);
	}
	buf_printf(out, "\n");
}

static void add_left_out(struct buf *out, json_t *left_out)
{
	static const char *const names[][2] = {
	    {"hidden", "with names that begin with a dot"}, {"unfinished", "named .tmp or .part"},
	    {"symbolic_links", "symbolic links"},	    {"special", "neither files nor folders"},
	    {"unreadable", "that cannot be read"},
	};
	bool first = true;

	for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
		if (cli_number(left_out, names[i][0]) == 0)
			continue;
		buf_printf(out, "%s", first ? "; left out: " : "");
		add_count(out, left_out, names[i][0], names[i][1], &first);
	}
}

static void add_buckets(struct buf *out, json_t *buckets)
{
	char text[HUMAN_TEXT_MAX];
	json_t *bucket;
	size_t i;

	json_array_foreach(buckets, i, bucket)
	{
		buf_printf(out, "  watching    ");
		human_text(out, bytes_of(cli_text(bucket, "path")), false);
		if (json_is_string(json_object_get(bucket, "error"))) {
			buf_printf(out, ": NOT NOW: ");
			human_text(out, bytes_of(cli_text(bucket, "error")), false);
		} else {
			buf_printf(out, ": %s files taken",
				   human_count(cli_number(bucket, "files"), text, sizeof(text)));
		}
		add_left_out(out, json_object_get(bucket, "left_out"));
		buf_printf(out, "\n");
	}
}

static void add_status(const struct cli *cli, struct buf *out, json_t *status)
{
	json_t *journal = json_object_get(status, "journal");
	usec_t started = cli_time(status, "started"), now = cli_time(status, "now");
	char text[HUMAN_TEXT_MAX];
	struct buf version = {0};

	buf_printf(&version, "shardmill %s", cli_text(status, "version"));
	terminal_style(&cli->terminal, out, STYLE_BOLD, buf_bytes(&version));
	buf_fini(&version);
	buf_printf(out, " at %s", cli->client.address);
	if (started > 0 && now >= started)
		buf_printf(out, ", up for %s", human_span(now - started, text, sizeof(text)));
	buf_printf(out, "\n  cluster     ");
	human_text(out, bytes_of(cli_text(status, "cluster")), false);
	buf_printf(out, ", epoch %s\n", human_count(cli_number(status, "epoch"), text, sizeof(text)));
	add_jobs(out, json_object_get(status, "jobs"));
	add_shards(out, status);
	buf_printf(out, "  workers     %s", human_count(cli_number(status, "workers"), text, sizeof(text)));
	buf_printf(out, ", %s leases\n", human_count(cli_number(status, "leases"), text, sizeof(text)));
	add_rules(out, status);
	add_trouble(out, status, "journal_error", "journal     NOTHING MORE IS TAKEN ON");
	add_trouble(out, status, "history_error", "history     IT CANNOT BE WRITTEN");
	add_buckets(out, json_object_get(status, "buckets"));
	if (json_is_object(journal)) {
		buf_printf(out, "  journal     %s",
			   human_size(cli_number(journal, "bytes"), text, sizeof(text)));
		buf_printf(out, ", %s commits\n",
			   human_count(cli_number(journal, "commits"), text, sizeof(text)));
	}
}

static const struct table_column pool_columns[] = {
    {"POOL", TABLE_LEFT, true},	      {"PROVIDER", TABLE_LEFT, true}, {"WANTED", TABLE_RIGHT, false},
    {"READY", TABLE_RIGHT, false},    {"BUSY", TABLE_RIGHT, false},   {"STARTING", TABLE_RIGHT, false},
    {"DRAINING", TABLE_RIGHT, false}, {"BOUNDS", TABLE_RIGHT, false}, {"CPUS", TABLE_RIGHT, false},
};

static void add_pool_row(struct table *t, json_t *pool)
{
	static const char *const counts[] = {"wanted", "ready", "busy", "starting", "draining"};
	char text[HUMAN_TEXT_MAX], cpus[UNITS_TEXT_MAX];

	table_add_text(t, STYLE_NONE, cli_text(pool, "pool"));
	table_add_text(t, STYLE_NONE, cli_text(pool, "provider"));
	for (size_t i = 0; i < ARRAY_LENGTH(counts); i++)
		table_add_text(t, STYLE_NONE, human_count(cli_number(pool, counts[i]), text, sizeof(text)));
	table_add(t, STYLE_NONE, "%" PRIu64 "-%" PRIu64, cli_number(pool, "min"), cli_number(pool, "max"));
	table_add_text(
	    t, STYLE_NONE,
	    units_format_cpus((uint32_t)(cli_real(pool, "cpus") * 1000 + 0.5), cpus, sizeof(cpus)));
}

/* What it does or cannot do, else how its scaler decided last. */
static void add_pool_sentence(const struct cli *cli, struct buf *out, json_t *pool)
{
	bool failing = cli_number(pool, "failed_starts") > 0;
	const char *does = cli_text(pool, "does");
	struct buf text = {0};

	human_text(&text, bytes_of(does[0] != '\0' ? does : cli_text(pool, "why")), false);
	if (text.size > 0) {
		buf_printf(out, "  ");
		human_text(out, bytes_of(cli_text(pool, "pool")), false);
		buf_printf(out, "  ");
		terminal_style(&cli->terminal, out, failing ? STYLE_BAD : STYLE_NONE, buf_bytes(&text));
		buf_printf(out, "\n");
	}
	buf_fini(&text);
}

static void add_pools(const struct cli *cli, struct buf *out, json_t *pools)
{
	struct table t;
	json_t *pool;
	size_t i;

	if (json_array_size(pools) == 0)
		return;
	table_init(&t, pool_columns, ARRAY_LENGTH(pool_columns));
	json_array_foreach(pools, i, pool) add_pool_row(&t, pool);
	buf_printf(out, "\n");
	table_write(&t, &cli->terminal, out);
	table_fini(&t);
	json_array_foreach(pools, i, pool) add_pool_sentence(cli, out, pool);
}

static int show_status(struct cli *cli, void *options, struct error *reterr)
{
	struct client_answer answer;
	struct buf out = {0};
	int r = cli_expect_arguments(cli, 0, 0, "expected no argument", reterr);

	(void)options;
	if (r == 0)
		r = client_get(&cli->client, "/v1/status", &answer, reterr);
	if (r != 0)
		return r;
	if (cli->json) {
		cli_print_json(cli, &answer);
	} else {
		add_status(cli, &out, answer.json);
		add_pools(cli, &out, json_object_get(answer.json, "pools"));
		cli_print(&out);
	}
	client_answer_fini(&answer);
	return 0;
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
