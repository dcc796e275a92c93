#include <string.h>

#include "base/text.h"
#include "cli/cli.h"
#include "cli/completion.h"

static int print(struct cli *cli, void *options, struct error *reterr)
{
	struct buf out = {0};
	char found[80];
	int r = cli_expect_arguments(cli, 1, 1, "expected bash or zsh", reterr);

	(void)options;
	if (r != 0)
		return r;
	if (strcmp(cli->argv[0], "bash") == 0)
		completion_bash(&out);
	else if (strcmp(cli->argv[0], "zsh") == 0)
		completion_zsh(&out);
	else
		return error_set(reterr, ERR_INVALID, "expected bash or zsh, found %s",
				 text_quote(found, sizeof(found), bytes_of(cli->argv[0])));
	cli_print(&out);
	return 0;
}

int verb_completion(int argc, char **argv)
{
	static const struct options_spec spec = {
	    .program = "shardmill completion",
	    .synopsis = "[OPTION]... bash|zsh",
	    .summary = "print a script that completes shardmill in a shell",
	    .details = "For this shell alone:\n\n  . <(shardmill completion bash)\n\nFor good:\n\n"
		       "  shardmill completion bash >~/.local/share/bash-completion/completions/shardmill\n"
		       "  shardmill completion zsh >DIR/_shardmill      (DIR: one of $fpath)",
	};

	return cli_run(&spec, argc, argv, print, NULL);
}
