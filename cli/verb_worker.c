#include "cli/cli.h"
#include "cli/sibling.h"

int verb_worker(int argc, char **argv)
{
	static const struct sibling sibling = {
	    .program = "shardmill-worker",
	    .folder = "worker",
	    .summary = "run shards on cores of one NUMA node",
	    .scope = PARAM_SCOPE_WORKER,
	};

	return sibling_run(&sibling, argc, argv);
}
