/* The verbs that take a submission: a definition, or a command behind --. */
#pragma once

#include "cli/cli.h"
#include "cli/submission.h"

struct submission_verb {
	const char *program; /* "shardmill submit" */
	const char *summary, *details;
	const char *path; /* "/v1/jobs" */
	bool starts;	  /* takes what says how it is started: --id, --wait */
	/* The answer, as cli_work. */
	int (*done)(struct cli *cli, const struct submission *s, const struct client_answer *answer,
		    struct error *reterr);
};

/* The verb, whole. */
int submission_run(const struct submission_verb *verb, int argc, char **argv);
