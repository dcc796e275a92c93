#include "cli/cli.h"
#include "cli/sibling.h"

int verb_dispatcher(int argc, char **argv)
{
	return sibling_run("shardmill-dispatcher", "dispatcher", argc, argv);
}
