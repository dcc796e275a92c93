#include <inttypes.h>
#include <stdio.h>

#include "base/units.h"
#include "cli/cli.h"
#include "cli/human.h"
#include "cli/list.h"

static const struct table_column columns[] = {
    {"WORKER", TABLE_LEFT, false},  {"HOST", TABLE_LEFT, true},	       {"PID", TABLE_RIGHT, false},
    {"POOL", TABLE_LEFT, false},    {"PROVIDER ID", TABLE_LEFT, true}, {"CPUS", TABLE_RIGHT, false},
    {"MEMORY", TABLE_RIGHT, false}, {"STATE", TABLE_LEFT, false},      {"LEASES", TABLE_RIGHT, false},
    {"DONE", TABLE_RIGHT, false},   {"FAILED", TABLE_RIGHT, false},    {"HEARD", TABLE_LEFT, false},
    {"TROUBLE", TABLE_LEFT, true},
};

static void add_row(struct table *t, json_t *w)
{
	const char *state = cli_text(w, "state");
	char text[HUMAN_TEXT_MAX], cpus[UNITS_TEXT_MAX];
	uint64_t memory = cli_number(w, "memory_bytes"), failed = cli_number(w, "failed_shards");
	usec_t heard_us = (usec_t)(cli_real(w, "heard_seconds") * (double)USEC_PER_SEC);

	table_add(t, STYLE_NONE, "%.12s", cli_text(w, "id"));
	table_add_text(t, STYLE_NONE, cli_text(w, "host"));
	table_add(t, STYLE_NONE, "%" PRIu64, cli_number(w, "pid"));
	table_add_text(t, STYLE_NONE, cli_text(w, "pool"));
	table_add_text(t, STYLE_NONE, cli_text(w, "provider_id"));
	table_add_text(t, STYLE_NONE,
		       units_format_cpus((uint32_t)(cli_real(w, "cpus") * 1000 + 0.5), cpus, sizeof(cpus)));
	table_add_text(t, STYLE_NONE, memory > 0 ? human_size(memory, text, sizeof(text)) : "");
	table_add_text(t, style_of_word(state), state);
	table_add_text(t, STYLE_NONE, human_count(cli_number(w, "leases"), text, sizeof(text)));
	table_add_text(t, STYLE_NONE, human_count(cli_number(w, "done_shards"), text, sizeof(text)));
	table_add_text(t, STYLE_BAD, failed > 0 ? human_count(failed, text, sizeof(text)) : "");
	table_add_text(t, STYLE_NONE, human_ago(0, heard_us, text, sizeof(text)));
	table_add_line(t, STYLE_BAD, cli_text(json_object_get(w, "trouble"), "why"));
}

int verb_workers(int argc, char **argv)
{
	static const struct options_spec spec = {
	    .program = "shardmill workers",
	    .synopsis = "[OPTION]...",
	    .summary = "list the workers",
	};
	static const struct list list = {
	    .path = "/v1/workers?limit=1000",
	    .member = "workers",
	    .empty = "no workers",
	    .columns = columns,
	    .column_count = ARRAY_LENGTH(columns),
	    .add_row = add_row,
	};

	return list_all(&list, &spec, argc, argv);
}
