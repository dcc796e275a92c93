#include "cli/sibling.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/child.h"
#include "cli/cli.h"

int sibling_run(const char *program, const char *folder, int argc, char **argv)
{
	const struct cli cli = {.program = "shardmill"};
	struct error e = {0};
	char path[4096], name[64];

	(void)argc;
	if (child_find_program(program, folder, path, sizeof(path), &e) != 0)
		return cli_tell_error(&cli, &e);
	snprintf(name, sizeof(name), "%s", program);
	argv[0] = name;
	execv(path, argv);
	error_set(&e, ERR_IO, "cannot run it: %s", strerror(errno));
	error_where(&e, "%.200s", path);
	return cli_tell_error(&cli, &e);
}
