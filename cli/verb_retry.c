#include "cli/change.h"
#include "cli/selector.h"

int verb_retry(int argc, char **argv)
{
	static const struct change change = {
	    .verb = "retry",
	    .summary = "let the dead shards of jobs run again",
	    .details = "Only of a job that has not ended.\n\n" SELECTOR_HELP,
	    .has_why = false,
	};

	return change_jobs(&change, argc, argv);
}
