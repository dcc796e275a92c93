#include "base/clock.h"
#include "cli/follow.h"

/* One after the other: how all of them ended is known when the last one has. */
static int wait_all(struct cli *cli, void *options, struct error *reterr)
{
	usec_t timeout_us = *(const usec_t *)options;
	struct follow how = {.deadline_us = USEC_NEVER, .sentence = cli->json ? NULL : stdout};
	int code = CLI_EXIT_FINE;

	if (cli_expect_arguments(cli, 1, INT32_MAX, "expected jobs to wait for", reterr) != 0)
		return ERR_INVALID;
	if (timeout_us != USEC_NEVER)
		how.deadline_us = clock_mono_us() + timeout_us;
	for (int i = 0; i < cli->argc; i++) {
		struct client_answer answer;
		uint64_t job;
		int r = cli_job_id(cli, cli->argv[i], &job, reterr);

		if (r != 0)
			return r;
		r = follow_job(cli, job, &how, &answer, reterr);
		if (cli->json && answer.json != NULL)
			cli_print_json(cli, &answer);
		client_answer_fini(&answer);
		if (r < 0 || r == CLI_EXIT_TIMEOUT || r == CLI_EXIT_INTERRUPTED)
			return r;
		if (code != CLI_EXIT_JOB_FAILED && r != CLI_EXIT_FINE)
			code = r;
	}
	return code;
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
	    .details =
		"Shows a progress bar where stderr is a terminal. A dispatcher that is started again is "
		"waited for.\nExit codes: 0 all succeeded, 1 one failed, 3 one was cancelled, 4 no "
		"dispatcher answers, 124 time is over.",
	    .extras = extras,
	    .extra_count = ARRAY_LENGTH(extras),
	};

	return cli_run(&spec, argc, argv, wait_all, &timeout_us);
}
