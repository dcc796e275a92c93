/* shardmill VERB: finds the verb, and hands the rest to it. */
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/verbs.h"

static int refuse_verb(const char *name)
{
	const char **known = check_calloc(verb_count + 1, sizeof(*known)), *nearest;
	size_t known_count = 0;
	char found[80];

	for (size_t i = 0; i < verb_count; i++)
		if (verbs[i].name != NULL)
			known[known_count++] = verbs[i].name;
	known[known_count++] = "help";
	nearest = text_nearest(bytes_of(name), known, known_count);
	fprintf(stderr, "shardmill: there is no verb %s\n", text_quote(found, sizeof(found), bytes_of(name)));
	if (nearest != NULL)
		fprintf(stderr, "  did you mean %s?\n", nearest);
	else
		fprintf(stderr, "  `shardmill help` lists them\n");
	free(known);
	return CLI_EXIT_USAGE;
}

static int print_help(void)
{
	struct buf details = {0}, out = {0};
	struct options_spec spec = command_spec(&details);

	buf_printf(&out, "Usage: %s %s\nEvents become jobs, jobs become shards, shards are milled.\n\n%s\n",
		   spec.program, spec.synopsis, spec.details);
	cli_print(&out);
	buf_fini(&details);
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
	verb = verb_find(argv[first + 1]);
	return verb != NULL ? verb->run(2, own) : refuse_verb(argv[first + 1]);
}

int main(int argc, char **argv)
{
	struct buf details = {0};
	struct options_spec spec = command_spec(&details);
	struct params params;
	const struct verb *verb;
	int first = argc, code = CLI_EXIT_USAGE;
	bool go_on;

	setlocale(LC_CTYPE, "");
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
	verb = verb_find(argv[first]);
	return verb != NULL ? run_verb(verb, argc, argv, first) : refuse_verb(argv[first]);
}
