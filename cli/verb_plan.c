#include <inttypes.h>
#include <stdio.h>

#include "cli/human.h"
#include "cli/submission_verb.h"
#include "cli/table.h"
#include "jobs/plan_kind.h"

static void add_row(struct table *t, json_t *shard)
{
	char begin[HUMAN_TEXT_MAX], end[HUMAN_TEXT_MAX];
	json_t *item = json_object_get(shard, "item"), *value = json_object_get(shard, "value");

	table_add(t, STYLE_NONE, "%" PRIu64, cli_number(shard, "shard"));
	if (item != NULL || json_is_string(value))
		table_add_text(t, STYLE_NONE, cli_text(shard, item != NULL ? "item" : "value"));
	else if (value != NULL)
		table_add(t, STYLE_NONE, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
	else
		table_add(t, STYLE_NONE, "%s to %s",
			  human_count(cli_number(shard, "begin"), begin, sizeof(begin)),
			  human_count(cli_number(shard, "end"), end, sizeof(end)));
}

static const char *part_title(json_t *plan)
{
	return plan_row(plan_kind_of(bytes_of(cli_text(plan, "kind"))))->column;
}

static void add_shards(const struct cli *cli, struct buf *out, json_t *plan)
{
	const struct table_column columns[] = {{"SHARD", TABLE_RIGHT, false},
					       {part_title(plan), TABLE_LEFT, true}};
	json_t *first = json_object_get(plan, "first"), *last = json_object_get(plan, "last"), *shard;
	uint64_t shown = json_array_size(first) + json_array_size(last);
	struct table t;
	size_t i;

	if (shown == 0)
		return;
	table_init(&t, columns, ARRAY_LENGTH(columns));
	json_array_foreach(first, i, shard) add_row(&t, shard);
	if (cli_number(plan, "shards") > shown) {
		table_add_text(&t, STYLE_DIM, cli->terminal.utf8 ? "…" : "...");
		table_add_text(&t, STYLE_NONE, "");
	}
	json_array_foreach(last, i, shard) add_row(&t, shard);
	table_write(&t, &cli->terminal, out);
	table_fini(&t);
}

static int done(struct cli *cli, const struct submission *s, const struct client_answer *answer,
		struct error *reterr)
{
	char text[HUMAN_TEXT_MAX];
	struct buf out = {0};

	(void)s;
	(void)reterr;
	if (cli->json) {
		cli_print_json(cli, answer);
		return 0;
	}
	human_text(&out, bytes_of(cli_text(answer->json, "name")), false);
	buf_printf(&out, ": ");
	human_text(&out, bytes_of(cli_text(answer->json, "why")), false);
	buf_printf(&out, "\n");
	if (cli_text(answer->json, "url")[0] != '\0') {
		buf_printf(&out, "  of ");
		human_text(&out, bytes_of(cli_text(answer->json, "url")), false);
		if (json_object_get(answer->json, "size_bytes") != NULL)
			buf_printf(&out, ", %s",
				   human_size(cli_number(answer->json, "size_bytes"), text, sizeof(text)));
		buf_printf(&out, "\n");
	}
	add_shards(cli, &out, answer->json);
	cli_print(&out);
	return 0;
}

int verb_plan(int argc, char **argv)
{
	static const struct submission_verb verb = {
	    .program = "shardmill plan",
	    .summary = "tell what a job would be cut into, without starting it",
	    .details =
		"Takes what `shardmill submit` takes. Nothing is started and nothing written; files and "
		"lists are\nlooked at where the dispatcher would.",
	    .path = "/v1/plan",
	    .done = done,
	};

	return submission_run(&verb, argc, argv);
}
