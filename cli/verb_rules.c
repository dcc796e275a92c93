#include <stdio.h>

#include "cli/cli.h"
#include "cli/human.h"
#include "cli/list.h"

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

int verb_rules(int argc, char **argv)
{
	static const struct options_spec spec = {
	    .program = "shardmill rules",
	    .synopsis = "[OPTION]...",
	    .summary = "list the rules: which events start which jobs",
	};
	static const struct list list = {
	    .path = "/v1/rules",
	    .member = "rules",
	    .empty = "no rules; the dispatcher reads them from --rules-dir",
	    .columns = columns,
	    .column_count = ARRAY_LENGTH(columns),
	    .add_row = add_row,
	};

	return list_all(&list, &spec, argc, argv);
}
