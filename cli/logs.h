/* What shards have written, line by line, also while they run (cli/watch.h). */
#pragma once

#include "cli/cli.h"

struct logs_options {
	uint64_t first, last; /* shards; all: 0 to UINT64_MAX. Of an array the numbers that those have */
	bool follow;	      /* until the job has ended */
	bool out, err;	      /* which streams */
};

/* At each look lines of shards that have ended, in their order, then new ones of those that run; stdout to
 * stdout, stderr to stderr, each behind the shard's number where there is more than one. Of a dead shard it
 * is what its last attempt wrote. When another attempt is shown than before, a line on stderr says so. */
int logs_show(struct cli *cli, uint64_t job, const struct logs_options *o, struct error *reterr) MUST_CHECK;
