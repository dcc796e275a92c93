#include "cli/sibling.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/child.h"
#include "cli/cli.h"

int sibling_run(const struct sibling *sibling, int argc, char **argv)
{
	const struct options_spec spec = {
	    .program = sibling->program,
	    .synopsis = "[OPTION]...",
	    .summary = sibling->summary,
	    .scopes = sibling->scope,
	    .options_only = true,
	};
	const struct cli cli = {.program = "shardmill"};
	struct error e = {0};
	char path[4096], name[64];

	(void)argc;
	if (cli_describes(&spec))
		return CLI_EXIT_FINE;
	if (child_find_program(sibling->program, sibling->folder, path, sizeof(path), &e) != 0)
		return cli_tell_error(&cli, &e);
	snprintf(name, sizeof(name), "%s", sibling->program);
	argv[0] = name;
	execv(path, argv);
	error_set(&e, ERR_IO, "cannot run it: %s", strerror(errno));
	error_where(&e, "%.200s", path);
	return cli_tell_error(&cli, &e);
}
