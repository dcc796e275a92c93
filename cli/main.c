/* shardmill VERB: finds the verb, and hands the rest to it. */
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/text.h"
#include "cli/selector.h"

static const struct verb {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *doc; /* of a group: its title, and name is NULL */
} verbs[] = {
#define VERB_GROUP(title) {NULL, NULL, title},
#define VERB(name, function, doc) {name, function, doc},
#include "cli/verbs.def"
};

static const struct verb *find_verb(const char *name)
{
	for (size_t i = 0; i < ARRAY_LENGTH(verbs); i++)
		if (verbs[i].name != NULL && strcmp(verbs[i].name, name) == 0)
			return &verbs[i];
	return NULL;
}

static int refuse_verb(const char *name)
{
	const char *known[ARRAY_LENGTH(verbs)], *nearest;
	size_t known_count = 0;
	char found[80];

	for (size_t i = 0; i < ARRAY_LENGTH(verbs); i++)
		if (verbs[i].name != NULL)
			known[known_count++] = verbs[i].name;
	known[known_count++] = "help"; /* instead of a group's title */
	nearest = text_nearest(bytes_of(name), known, known_count);
	fprintf(stderr, "shardmill: there is no verb %s\n", text_quote(found, sizeof(found), bytes_of(name)));
	if (nearest != NULL)
		fprintf(stderr, "  did you mean %s?\n", nearest);
	else
		fprintf(stderr, "  `shardmill help` lists them\n");
	return CLI_EXIT_USAGE;
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

static int print_help(void)
{
	struct buf out = {0};

	buf_printf(&out, "Usage: shardmill [OPTION]... VERB [ARGUMENT]...\n"
			 "Events become jobs, jobs become shards, shards are milled.\n\n");
	write_verbs(&out);
	buf_printf(&out, "\n");
	cli_print(&out);
	return fflush(stdout) == 0 ? CLI_EXIT_FINE : CLI_EXIT_TROUBLE;
}

/* The verb gets the options that stood before it as well. */
static int run_verb(const struct verb *verb, int argc, char **argv, int first)
{
	char **own = check_calloc((size_t)argc + 1, sizeof(*own));
	int r;

	own[0] = argv[first];
	memcpy(own + 1, argv + 1, (size_t)(first - 1) * sizeof(*own));
	memcpy(own + first, argv + first + 1, (size_t)(argc - first) * sizeof(*own));
	r = verb->run(argc - 1, own);
	free(own);
	return r;
}

/* `help`, `help VERB`. */
static int help(int argc, char **argv, int first)
{
	char option[] = "--help";
	char *own[] = {argv[first], option, NULL};
	const struct verb *verb;

	if (first + 1 >= argc || strcmp(argv[first + 1], "help") == 0)
		return print_help();
	verb = find_verb(argv[first + 1]);
	return verb != NULL ? verb->run(2, own) : refuse_verb(argv[first + 1]);
}

int main(int argc, char **argv)
{
	struct buf details = {0};
	struct options_spec spec = {
	    .program = "shardmill",
	    .synopsis = "[OPTION]... VERB [ARGUMENT]...",
	    .summary = "turn events into jobs, jobs into shards, and mill them",
	    .scopes = PARAM_SCOPE_CLI,
	    .stop_at_argument = true,
	};
	struct params params;
	const struct verb *verb;
	int first = argc, code = CLI_EXIT_USAGE;
	bool go_on;

	setlocale(LC_CTYPE, "");
	write_verbs(&details);
	spec.details = buf_text(&details);
	go_on = options_start(&spec, &params, argc, argv, &first, &code);
	params_fini(&params);
	buf_fini(&details);
	if (!go_on)
		return code;
	if (first >= argc) {
		(void)print_help();
		return CLI_EXIT_USAGE;
	}
	if (strcmp(argv[first], "help") == 0)
		return help(argc, argv, first);
	verb = find_verb(argv[first]);
	return verb != NULL ? run_verb(verb, argc, argv, first) : refuse_verb(argv[first]);
}
