#include <inttypes.h>
#include <stdio.h>

#include "cli/human.h"
#include "cli/submission_verb.h"
#include "cli/table.h"
#include "jobs/plan_kind.h"

static void add_row(struct table *t, const json_t *json)
{
	char begin[HUMAN_TEXT_MAX], end[HUMAN_TEXT_MAX];
	struct api_plan_shard shard;

	object_read(object_plan_shard(), json, &shard);
	table_add(t, STYLE_NONE, "%" PRIu64, shard.shard);
	if (shard.has_item)
		table_add_text(t, STYLE_NONE, api_text(shard.item));
	else if (json_is_string(shard.value))
		table_add_text(t, STYLE_NONE, json_string_value(shard.value));
	else if (shard.has_value)
		table_add(t, STYLE_NONE, "%" JSON_INTEGER_FORMAT, json_integer_value(shard.value));
	else
		table_add(t, STYLE_NONE, "%s to %s", human_count(shard.begin, begin, sizeof(begin)),
			  human_count(shard.end, end, sizeof(end)));
}

static void add_shards(const struct cli *cli, struct buf *out, const struct api_plan *plan)
{
	const struct table_column columns[] = {
	    {"SHARD", TABLE_RIGHT, false}, {plan_row(plan_kind_of(plan->kind))->column, TABLE_LEFT, true}};
	uint64_t shown = json_array_size(plan->first) + json_array_size(plan->last);
	json_t *shard;
	struct table t;
	size_t i;

	if (shown == 0)
		return;
	table_init(&t, columns, ARRAY_LENGTH(columns));
	json_array_foreach(plan->first, i, shard) add_row(&t, shard);
	if (plan->shards > shown) {
		table_add_text(&t, STYLE_DIM, cli->terminal.utf8 ? "…" : "...");
		table_add_text(&t, STYLE_NONE, "");
	}
	json_array_foreach(plan->last, i, shard) add_row(&t, shard);
	table_write(&t, &cli->terminal, out);
	table_fini(&t);
}

static void show_plan(const struct cli *cli, const struct api_plan *plan)
{
	char text[HUMAN_TEXT_MAX];
	struct buf out = {0};

	human_text(&out, plan->name, false);
	buf_printf(&out, ": ");
	human_text(&out, plan->why, false);
	buf_printf(&out, "\n");
	if (plan->url.size > 0) {
		buf_printf(&out, "  of ");
		human_text(&out, plan->url, false);
		if (plan->has_size_bytes)
			buf_printf(&out, ", %s", human_size(plan->size_bytes, text, sizeof(text)));
		buf_printf(&out, "\n");
	}
	add_shards(cli, &out, plan);
	cli_print(&out);
}

static int done(struct cli *cli, const struct submission *s, const struct client_answer *answer,
		struct error *reterr)
{
	struct api_plan plan;
	int r = 0;

	(void)s;
	if (cli->json)
		cli_print_json(cli, answer);
	else
		r = client_read(answer, object_plan(), &plan, reterr);
	if (r == 0 && !cli->json)
		show_plan(cli, &plan);
	return r;
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
