/* Waits for a job to end: a progress bar where stderr is a terminal, none in a pipe. */
#pragma once

#include "cli/cli.h"

struct follow {
	usec_t deadline_us; /* mono; USEC_NEVER */
	FILE *sentence;	    /* gets how it ended, unless a bar has shown it; NULL: nobody */
};

/* Returns the exit code, as the job ended: succeeded, failed, cancelled; timeout; interrupted (the job
 * goes on). Waits through a restart of the dispatcher. *ret_answer (may be NULL) gets the job as it is
 * at the end; it is set unless the dispatcher never told. */
int follow_job(struct cli *cli, uint64_t job, const struct follow *f, struct client_answer *ret_answer,
	       struct error *reterr) MUST_CHECK;
