#include <inttypes.h>
#include <stdio.h>

#include "base/units.h"
#include "cli/cli.h"
#include "cli/human.h"
#include "cli/list.h"
#include "jobs/api/objects.h"

static const struct table_column columns[] = {
    {"WORKER", TABLE_LEFT, false},  {"HOST", TABLE_LEFT, true},	       {"PID", TABLE_RIGHT, false},
    {"POOL", TABLE_LEFT, false},    {"PROVIDER ID", TABLE_LEFT, true}, {"CPUS", TABLE_RIGHT, false},
    {"MEMORY", TABLE_RIGHT, false}, {"GPUS", TABLE_RIGHT, false},      {"NAMED", TABLE_LEFT, true},
    {"STATE", TABLE_LEFT, false},   {"LEASES", TABLE_RIGHT, false},    {"DONE", TABLE_RIGHT, false},
    {"FAILED", TABLE_RIGHT, false}, {"HEARD", TABLE_LEFT, false},      {"TROUBLE", TABLE_LEFT, true},
};

static void add_row(struct table *t, const json_t *json)
{
	char text[HUMAN_TEXT_MAX], cpus[UNITS_TEXT_MAX];
	struct api_worker w;

	object_read(object_worker(), json, &w);
	table_add(t, STYLE_NONE, "%.12s", api_text(w.id));
	table_add_text(t, STYLE_NONE, api_text(w.host));
	table_add(t, STYLE_NONE, "%" PRIu64, w.pid);
	table_add_text(t, STYLE_NONE, api_text(w.pool));
	table_add_text(t, STYLE_NONE, api_text(w.provider_id));
	table_add_text(t, STYLE_NONE, units_format_cpus((uint32_t)w.cpus_milli, cpus, sizeof(cpus)));
	table_add_text(t, STYLE_NONE,
		       w.memory_bytes > 0 ? human_size(w.memory_bytes, text, sizeof(text)) : "");
	table_add_text(t, STYLE_NONE,
		       w.gpus_milli > 0 ? units_format_cpus((uint32_t)w.gpus_milli, cpus, sizeof(cpus)) : "");
	table_add_text(t, STYLE_NONE, api_text(w.named));
	table_add_text(t, style_of_word(api_text(w.state)), api_text(w.state));
	table_add_text(t, STYLE_NONE, human_count(w.leases, text, sizeof(text)));
	table_add_text(t, STYLE_NONE, human_count(w.done_shards, text, sizeof(text)));
	table_add_text(t, STYLE_BAD,
		       w.failed_shards > 0 ? human_count(w.failed_shards, text, sizeof(text)) : "");
	table_add_text(t, STYLE_NONE, human_ago(0, w.heard_us, text, sizeof(text)));
	table_add_line(t, STYLE_BAD, api_text(w.trouble.why));
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
	    .type = object_workers,
	    .offset = offsetof(struct api_workers, workers),
	    .empty = "no workers",
	    .columns = columns,
	    .column_count = ARRAY_LENGTH(columns),
	    .add_row = add_row,
	};

	return list_all(&list, &spec, argc, argv);
}
