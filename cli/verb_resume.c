#include "cli/change.h"
#include "cli/selector.h"

int verb_resume(int argc, char **argv)
{
	static const struct change change = {
	    .verb = "resume",
	    .done = "resumed",
	    .summary = "let paused jobs go on",
	    .details = SELECTOR_HELP,
	    .has_why = false,
	};

	return change_jobs(&change, argc, argv);
}
