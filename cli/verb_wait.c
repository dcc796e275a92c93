#include "base/clock.h"
#include "cli/follow.h"
#include "cli/many.h"

static int wait_for(struct cli *cli, uint64_t job, size_t nth, void *options, struct error *reterr)
{
	const struct follow *how = options;
	struct client_answer answer;
	int r = follow_job(cli, job, how, &answer, reterr);

	(void)nth;
	if (cli->json && answer.json != NULL)
		cli_print_json(cli, &answer);
	client_answer_fini(&answer);
	return r;
}

static int wait_for_many(struct cli *cli, const struct job_ids *ids, const char *by, void *options,
			 struct error *reterr)
{
	const struct follow *how = options;

	(void)by;
	return many_wait(cli, ids, how->deadline_us, reterr);
}

/* One after the other: how all of them ended is known when the last one has. */
static int wait_all(struct cli *cli, void *options, struct error *reterr)
{
	static const struct each_job each = {.expected = "expected jobs to wait for",
					     .stop_at_error = true,
					     .many = wait_for_many,
					     .work = wait_for};
	usec_t timeout_us = *(const usec_t *)options;
	struct follow how = {.deadline_us = USEC_NEVER, .sentence = cli->json ? NULL : stdout};

	if (timeout_us != USEC_NEVER)
		how.deadline_us = clock_mono_us() + timeout_us;
	return each_job(cli, &each, &how, reterr);
}

int verb_wait(int argc, char **argv)
{
	usec_t timeout_us = USEC_NEVER;
	const struct options_extra extras[] = {
	    {0, "timeout", "TIME", "Wait at most so long (90s, 1h30m); then the exit code is 124.",
	     cli_set_duration, &timeout_us},
	};
	const struct options_spec spec = {
	    .program = "shardmill wait",
	    .synopsis = "[OPTION]... JOB...",
	    .summary = "wait until jobs have ended",
	    .details = SELECTOR_HELP
	    "\n\nShows a progress bar where stderr is a terminal. A dispatcher that is started again is "
	    "waited for.\nOf more than 20 jobs their sum is told. Exit codes: 0 all succeeded, 1 one failed, "
	    "3 one was cancelled, 4 no "
	    "dispatcher answers, 124 time is over.",
	    .extras = extras,
	    .extra_count = ARRAY_LENGTH(extras),
	};

	return cli_run(&spec, argc, argv, wait_all, &timeout_us);
}
