/* Which jobs a person means: what may stand where a verb takes JOB.
 *
 *   7 · 3-7 · last        by number; the newest
 *   all · live · ended    sets
 *   failed · running · …  all of that state or word (GET /v1/jobs?state=)
 *   NAME · name:NAME      the newest of that name; the second also when NAME is one of the words above
 *   event:TEXT            all of the event with this id, or with an object of this key
 *
 * A range and a set select what is there, in the order of acceptance. */
#pragma once

#include "cli/cli.h"

enum selector_kind {
	SELECT_NUMBER, /* first */
	SELECT_LAST,
	SELECT_RANGE, /* first to last */
	SELECT_STATE, /* text: for ?state=, "" = any */
	SELECT_NAME,  /* text */
	SELECT_EVENT, /* text */
};

struct selector {
	enum selector_kind kind;
	uint64_t first, last;
	const char *text; /* borrowed */
};

/* Pure. ERR_INVALID. */
int selector_parse(const char *text, struct selector *ret, struct error *reterr) MUST_CHECK;
#define SELECTOR_WORDS                                                                                       \
	"all, live, ended, held, planning, queued, running, gathering, paused,\nsucceeded, failed, "         \
	"cancelled"
/* A paragraph for help. */
#define SELECTOR_HELP                                                                                        \
	"JOB is a number, a range as 3-7, last, a name (its newest job; name:NAME where NAME is a word of\n" \
	"this list), or a set: " SELECTOR_WORDS                                                              \
	";\nor event:TEXT, the jobs of the event with that id, or with an object of that key."

struct job_ids {
	uint64_t *items;
	size_t count, room;
};

/* Appends the jobs that text selects. live_only: sets and ranges leave out what has ended; a single job is
 * taken as it is. ERR_NOT_FOUND with the nearest name, or where a range or a name selects nothing; a set may.
 */
int select_jobs(struct cli *cli, const char *text, bool live_only, struct job_ids *ids,
		struct error *reterr) MUST_CHECK;
/* Exactly one. */
int select_job(struct cli *cli, const char *text, uint64_t *ret, struct error *reterr) MUST_CHECK;

/* A verb that does the same to each job that its arguments select. */
struct each_job {
	const char *expected; /* "expected jobs to show" */
	bool live_only;	      /* as above */
	bool stop_at_error;   /* else it is told, and the others come */
	const char **by;      /* may be NULL; set before each work: the argument that selected the job */
	/* May be NULL. In place of work, when more than MANY_JOBS are selected: for those of one argument,
	 * `by`. */
	int (*many)(struct cli *cli, const struct job_ids *ids, const char *by, void *options,
		    struct error *reterr);
	/* As cli_work; `nth` counts from 0. */
	int (*work)(struct cli *cli, uint64_t job, size_t nth, void *options, struct error *reterr);
};

/* The exit code: that of a failed job, else the first that was not 0. */
int each_job(struct cli *cli, const struct each_job *each, void *options, struct error *reterr) MUST_CHECK;
