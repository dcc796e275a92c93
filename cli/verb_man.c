#include <stdio.h>

#include "base/text.h"
#include "cli/cli.h"
#include "cli/verbs.h"

static int print(struct cli *cli, void *options, struct error *reterr)
{
	struct buf details = {0}, out = {0};
	char option[] = "--man";
	char *own[] = {cli->argv[0], option, NULL};
	struct options_spec spec = command_spec(&details);
	const struct verb *verb;
	char found[80];
	int r = cli_expect_arguments(cli, 0, 1, "expected one verb", reterr);

	(void)options;
	if (r == 0 && cli->argc == 0) {
		options_write_page(&spec, false, &out);
		cli_print(&out);
	} else if (r == 0) {
		verb = verb_find(cli->argv[0]);
		if (verb != NULL)
			r = verb->run(2, own);
		else
			r = error_set(reterr, ERR_INVALID, "there is no verb %s",
				      text_quote(found, sizeof(found), bytes_of(cli->argv[0])));
	}
	buf_fini(&details);
	return r;
}

int verb_man(int argc, char **argv)
{
	static const struct options_spec spec = {
	    .program = "shardmill man",
	    .synopsis = "[OPTION]... [VERB]",
	    .summary = "print the manual page of the command, or of a verb",
	    .details =
		"In roff, for man:\n\n  shardmill man submit | man -l -\n\nThe pages are installed, too.",
	};

	return cli_run(&spec, argc, argv, print, NULL);
}
