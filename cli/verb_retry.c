#include "cli/change.h"
#include "cli/cli.h"

int verb_retry(int argc, char **argv)
{
	static const struct change change = {
	    .verb = "retry",
	    .summary = "let the dead shards of jobs run again",
	    .details = "Only of a job that has not ended.",
	    .has_why = false,
	};

	return change_jobs(&change, argc, argv);
}
