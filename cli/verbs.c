#include "cli/verbs.h"

#include <string.h>

#include "cli/selector.h"

const struct verb verbs[] = {
#define VERB_GROUP(title) {NULL, NULL, title},
#define VERB(name, function, doc) {name, function, doc},
#include "cli/verbs.def"
};
const size_t verb_count = ARRAY_LENGTH(verbs);

const struct verb *verb_find(const char *name)
{
	for (size_t i = 0; i < verb_count; i++)
		if (verbs[i].name != NULL && strcmp(verbs[i].name, name) == 0)
			return &verbs[i];
	return NULL;
}

void verb_describe(const struct verb *verb, void (*fn)(void *arg, const struct options_spec *spec), void *arg)
{
	char name[32];
	char *argv[] = {name, NULL};

	snprintf(name, sizeof(name), "%s", verb->name);
	cli_describe_with(fn, arg);
	(void)verb->run(1, argv);
	cli_describe_with(NULL, NULL);
}

static void write_verbs(struct buf *out)
{
	for (size_t i = 0; i < ARRAY_LENGTH(verbs); i++) {
		if (verbs[i].name == NULL)
			buf_printf(out, "%s%s\n", i > 0 ? "\n" : "", verbs[i].doc);
		else
			buf_printf(out, "  %-11s %s\n", verbs[i].name, verbs[i].doc);
	}
	buf_printf(out, "\n" SELECTOR_HELP "\n"
			"`shardmill VERB --help` tells all about a verb.\n\n"
			"Exit codes: 0 fine, 1 the job failed, 2 wrong usage, 3 the job was cancelled,\n"
			"4 no dispatcher answers, 5 the dispatcher or the system said no, 124 time is over.");
}

struct options_spec command_spec(struct buf *details)
{
	write_verbs(details);
	return (struct options_spec){
	    .program = "shardmill",
	    .synopsis = "[OPTION]... VERB [ARGUMENT]...",
	    .summary = "turn events into jobs, jobs into shards, and mill them",
	    .details = buf_text(details),
	    .scopes = PARAM_SCOPE_CLI,
	    .stop_at_argument = true,
	};
}
