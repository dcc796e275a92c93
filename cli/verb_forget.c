#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/many.h"

struct forget_options {
	const char *by; /* the argument that selected the job */
};

/* Of a set what lives is left; of a job that a person names he wants to know. */
static bool is_set(const char *text)
{
	struct selector s;

	return selector_parse(text, &s, NULL) == 0 && (s.kind == SELECT_STATE || s.kind == SELECT_RANGE);
}

static int refuse_live(uint64_t job, struct error *reterr)
{
	error_set(reterr, ERR_EXISTS, "job %" PRIu64 " has not ended", job);
	return error_help(reterr, "`shardmill cancel %" PRIu64 "` ends it", job);
}

static int forget_one(struct cli *cli, uint64_t job, size_t nth, void *options, struct error *reterr)
{
	struct job_ids ids = {.items = &job, .count = 1};
	struct many_change c = {.change = "forget"};
	const struct forget_options *o = options;
	uint64_t left = 0;
	int r;

	(void)nth;
	c.left_ret = &left;
	r = many_change(cli, &c, &ids, reterr);
	if (r == 0 && left > 0)
		return is_set(o->by) ? 0 : refuse_live(job, reterr);
	if (r == 0 && !cli->json)
		printf("job %" PRIu64 " is forgotten\n", job);
	return r;
}

static int forget_set(struct cli *cli, const struct job_ids *ids, const char *by, void *options,
		      struct error *reterr)
{
	static const struct many_change c = {
	    .change = "forget", .done = "forgotten", .left = "had not ended"};

	(void)by;
	(void)options;
	return many_change(cli, &c, ids, reterr);
}

static int forget_all(struct cli *cli, void *options, struct error *reterr)
{
	struct forget_options *o = options;
	const struct each_job each = {
	    .expected = "expected jobs to forget", .by = &o->by, .many = forget_set, .work = forget_one};

	return each_job(cli, &each, options, reterr);
}

int verb_forget(int argc, char **argv)
{
	const struct options_spec spec = {
	    .program = "shardmill forget",
	    .synopsis = "[OPTION]... JOB...",
	    .summary = "remove what is kept of jobs that have ended",
	    .details =
		"Their rows in history and their outputs are removed. The space of outputs is free when all "
		"jobs\n"
		"are forgotten whose outputs lie in the same files. Jobs that have not ended are left. The\n"
		"dispatcher's parameters keep_jobs and keep_bytes do the same by "
		"themselves.\n\n" SELECTOR_HELP,
	};

	struct forget_options o = {0};

	return cli_run(&spec, argc, argv, forget_all, &o);
}
