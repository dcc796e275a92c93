/* A script that says itself how it is submitted, as those of batch systems do:
 *
 *   #!/bin/sh
 *   #shardmill --array 1-10 --cpus 2
 *
 * Lines `#shardmill` count before the first command; others that begin with # and empty ones stand between
 * them.
 */
#pragma once

#include "base/options.h"
#include "cli/submission.h"

/* Is it a file that begins with #!? */
bool script_is(const char *path);
/* The options that its lines may have. */
struct script_options {
	const char *program;
	const struct options_extra *extras; /* of said */
	size_t extra_count;
	struct submission *said; /* by the script; fresh */
};
/* Makes it the command of s: its interpreter, the script, the words that stood behind --. What its lines say
 * is added, but where s has said something already. directory: where a relative path begins. */
int script_take(struct submission *s, const struct script_options *o, const char *path, const char *directory,
		struct error *reterr) MUST_CHECK;
