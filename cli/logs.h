/* What shards have written, line by line, also while they run (cli/watch.h). */
#pragma once

#include "cli/cli.h"

struct logs_options {
	uint64_t first, last; /* shards; all: 0 to UINT64_MAX */
	bool follow;	      /* until the job has ended */
	bool out, err;	      /* which streams */
};

/* At each look lines of shards that have ended, in their order, then new ones of those that run; stdout to
 * stdout, stderr to stderr, each behind the shard's number where there is more than one. Of a dead shard it
 * is what its last attempt wrote. When another attempt is shown than before, a line on stderr says so. */
int logs_show(struct cli *cli, uint64_t job, const struct logs_options *o, struct error *reterr) MUST_CHECK;

/* Runs of numbers, apart and in order; for what was shown already. */
struct runs {
	struct run {
		uint64_t first, end;
	} * items;
	size_t count;
};

bool runs_have(const struct runs *r, uint64_t n);
void runs_add(struct runs *r, uint64_t first, uint64_t end);
uint64_t runs_size(const struct runs *r); /* how many numbers */
/* The first number from n on that is not there. */
uint64_t runs_next_absent(const struct runs *r, uint64_t n);
void runs_fini(struct runs *r);
