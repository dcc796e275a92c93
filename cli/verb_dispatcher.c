#include "cli/cli.h"
#include "cli/sibling.h"

int verb_dispatcher(int argc, char **argv)
{
	static const struct sibling sibling = {
	    .program = "shardmill-dispatcher",
	    .folder = "dispatcher",
	    .summary = "accept work and hand it out",
	    .scope = PARAM_SCOPE_DISPATCHER,
	};

	return sibling_run(&sibling, argc, argv);
}
