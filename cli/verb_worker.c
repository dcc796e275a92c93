#include "cli/cli.h"
#include "cli/sibling.h"

int verb_worker(int argc, char **argv)
{
	return sibling_run("shardmill-worker", "worker", argc, argv);
}
