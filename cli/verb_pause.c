#include "cli/change.h"
#include "cli/selector.h"

int verb_pause(int argc, char **argv)
{
	static const struct change change = {
	    .verb = "pause",
	    .done = "paused",
	    .summary = "lease no more shards of jobs",
	    .details = "What runs goes on to its end. `shardmill resume` undoes it.\n\n" SELECTOR_HELP,
	    .has_why = true,
	};

	return change_jobs(&change, argc, argv);
}
