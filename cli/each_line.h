/* The lines of a local file as the shards of a command. */
#pragma once

#include "base/error.h"
#include "jobs/api/objects.h"

#define EACH_LINE_BYTES_MAX (192u * 1024u) /* sent along: what fits a definition, its quotes included */

/* Sets command's "items", the lines of path ("-": stdin) that are not empty; of a regular file with more than
 * a definition takes its "lines", the URL by which the dispatcher reads it. directory: of a path that is not
 * absolute; NULL when it is not known. ERR_INVALID, ERR_LIMIT, ERR_IO. */
int each_line(const char *path, const char *directory, struct api_command *command,
	      struct error *reterr) MUST_CHECK;
