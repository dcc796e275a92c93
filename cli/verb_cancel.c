#include "cli/change.h"
#include "cli/selector.h"

int verb_cancel(int argc, char **argv)
{
	static const struct change change = {
	    .verb = "cancel",
	    .done = "cancelled",
	    .summary = "end jobs now",
	    .details = "What runs is killed; what it has written so far is not a result.\n\n" SELECTOR_HELP,
	    .has_why = true,
	};

	return change_jobs(&change, argc, argv);
}
