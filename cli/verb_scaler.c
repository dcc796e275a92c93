#include "cli/cli.h"
#include "cli/sibling.h"

int verb_scaler(int argc, char **argv)
{
	return sibling_run("shardmill-scaler", "scaler", argc, argv);
}
