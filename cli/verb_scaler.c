#include "cli/cli.h"
#include "cli/sibling.h"

int verb_scaler(int argc, char **argv)
{
	static const struct sibling sibling = {
	    .program = "shardmill-scaler",
	    .folder = "scaler",
	    .summary = "keep as many workers as the queue is worth",
	    .scope = PARAM_SCOPE_SCALER,
	};

	return sibling_run(&sibling, argc, argv);
}
