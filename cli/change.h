/* What people do to jobs by a POST: cancel, pause, resume. */
#pragma once

#include "cli/cli.h"

struct change {
	const char *verb;    /* "cancel": the last part of the path, too */
	const char *done;    /* what is said of jobs that it was done to: "cancelled" */
	const char *summary; /* for help, as options_spec.summary */
	const char *details; /* may be NULL */
	bool has_why;	     /* takes --why */
};

/* The verb, whole. */
int change_jobs(const struct change *change, int argc, char **argv);
/* One line: number, name, word. */
void change_print_job(const struct cli *cli, const struct api_job *job);
