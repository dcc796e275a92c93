/* The same for many jobs, by one request: for more jobs than a person reads lines of. */
#pragma once

#include "cli/selector.h"

#define MANY_JOBS 20u /* of more, a sum is told instead of a line for each */

struct many_change {
	const char *change; /* cancel, pause, resume, retry, forget */
	const char *done;   /* what is said of those that it changed: "cancelled" */
	const char *left;   /* and of those that it left; NULL: "had ended" */
	const char *why;    /* may be NULL */
	uint64_t *left_ret; /* gets how many were left, in place of the sums' sentence; may be NULL */
	bool cancelled;	    /* a retry lets jobs go on that were cancelled, too */
	/* A job that it could not be done to; as cli_work. NULL: the error is told. */
	int (*on_error)(struct cli *cli, uint64_t job, const struct error *e);
};

/* Both as cli_work. */
int many_change(struct cli *cli, const struct many_change *c, const struct job_ids *ids,
		struct error *reterr) MUST_CHECK;
/* Until all have ended, or deadline_us (mono; USEC_NEVER). Tells how many ended how. */
int many_wait(struct cli *cli, const struct job_ids *ids, usec_t deadline_us,
	      struct error *reterr) MUST_CHECK;
