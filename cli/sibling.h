/* The other programs of shardmill, as verbs of this one. */
#pragma once

#include "base/params.h"

struct sibling {
	const char *program; /* "shardmill-worker" */
	const char *folder;  /* of the build tree */
	const char *summary;
	enum param_scope scope; /* what options it takes */
};

/* Becomes the program (base/child.h says where it is looked for); returns an exit code when it cannot.
 */
int sibling_run(const struct sibling *sibling, int argc, char **argv);
