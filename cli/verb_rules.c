#include <stdio.h>

#include "cli/cli.h"
#include "cli/human.h"
#include "cli/table.h"

static const struct table_column columns[] = {
    {"RULE", TABLE_LEFT, false},       {"FILE", TABLE_LEFT, true},  {"MATCHED", TABLE_RIGHT, false},
    {"DEFINITION", TABLE_LEFT, false}, {"ERROR", TABLE_LEFT, true},
};

static void add_row(struct table *t, json_t *rule)
{
	json_t *error = json_object_get(rule, "error");
	char text[HUMAN_TEXT_MAX];

	if (!json_is_object(error))
		error = json_object_get(rule, "job_error");
	table_add_text(t, STYLE_NONE, cli_text(rule, "name"));
	table_add_text(t, STYLE_NONE, cli_text(rule, "file"));
	table_add_text(t, STYLE_NONE, human_count(cli_number(rule, "matched"), text, sizeof(text)));
	table_add(t, STYLE_DIM, "%.12s", cli_text(rule, "definition"));
	if (cli_text(error, "event")[0] != '\0')
		table_add(t, STYLE_BAD, "event %s at %s: %s%s%s", cli_text(error, "event"),
			  cli_text(error, "time"), cli_text(error, "where"),
			  cli_text(error, "where")[0] != '\0' ? ": " : "", cli_text(error, "message"));
	else if (json_is_object(error))
		table_add(t, STYLE_BAD, "%s%s%s", cli_text(error, "where"),
			  cli_text(error, "where")[0] != '\0' ? ": " : "", cli_text(error, "message"));
	else
		table_add_text(t, STYLE_NONE, cli_text(rule, "error"));
}

static int list_rules(struct cli *cli, struct error *reterr)
{
	struct client_answer answer;
	struct buf out = {0};
	struct table t;
	json_t *rule;
	size_t i;
	int r = cli_expect_arguments(cli, 0, 0, "expected no argument", reterr);

	if (r == 0)
		r = client_get(&cli->client, "/v1/rules", &answer, reterr);
	if (r != 0)
		return r;
	if (cli->json) {
		cli_print_json(cli, &answer);
		client_answer_fini(&answer);
		return 0;
	}
	table_init(&t, columns, ARRAY_LENGTH(columns));
	json_array_foreach(json_object_get(answer.json, "rules"), i, rule) add_row(&t, rule);
	if (table_row_count(&t) > 0)
		table_write(&t, &cli->terminal, &out);
	else if (cli->terminal.is_terminal)
		buf_printf(&out, "no rules; the dispatcher reads them from --rules-dir\n");
	table_fini(&t);
	cli_print(&out);
	client_answer_fini(&answer);
	return 0;
}

int verb_rules(int argc, char **argv)
{
	const struct options_spec spec = {
	    .program = "shardmill rules",
	    .synopsis = "[OPTION]...",
	    .summary = "list the rules: which events start which jobs",
	};
	struct error e = {0};
	struct cli cli;
	int code;

	if (!cli_open(&cli, &spec, argc, argv, &code))
		return code;
	return cli_close(&cli, list_rules(&cli, &e), &e);
}
