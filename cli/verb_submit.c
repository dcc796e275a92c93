#include <inttypes.h>
#include <stdio.h>

#include "cli/follow.h"
#include "cli/submission_verb.h"

static void tell_accepted(const struct cli *cli, const struct submission *s,
			  const struct api_accepted *accepted)
{
	bool duplicate = s->id != NULL && accepted->duplicate;
	uint64_t job = accepted->id;

	if (duplicate && accepted->forgotten)
		fprintf(stderr, "%s: what was kept of job %" PRIu64 " has been forgotten since\n",
			cli->program, job);
	if (!cli->terminal.is_terminal) {
		printf("%" PRIu64 "\n", job);
		if (duplicate)
			fprintf(stderr, "%s: job %" PRIu64 " has this id already; nothing new was started\n",
				cli->program, job);
	} else if (duplicate) {
		printf("job %" PRIu64 " has the id %s already; nothing new was started\n", job, s->id);
	} else if (s->wait) {
		printf("job %" PRIu64 " is accepted\n", job);
	} else {
		printf("job %" PRIu64 " is accepted; `shardmill wait %" PRIu64 "` shows how it goes\n", job,
		       job);
	}
	fflush(stdout);
}

static int wait_for(struct cli *cli, uint64_t job, struct error *reterr)
{
	const struct follow how = {.deadline_us = USEC_NEVER, .sentence = cli->json ? NULL : stderr};
	struct client_answer answer;
	int r = follow_job(cli, job, &how, &answer, reterr);

	if (cli->json && answer.json != NULL)
		cli_print_json(cli, &answer);
	client_answer_fini(&answer);
	return r;
}

static int done(struct cli *cli, const struct submission *s, const struct client_answer *answer,
		struct error *reterr)
{
	struct api_accepted accepted;
	int r;

	if (cli->json && !s->wait) {
		cli_print_json(cli, answer);
		return CLI_EXIT_FINE;
	}
	r = client_read(answer, object_accepted(), &accepted, reterr);
	if (r != 0)
		return r;
	if (!cli->json)
		tell_accepted(cli, s, &accepted);
	return s->wait ? wait_for(cli, accepted.id, reterr) : CLI_EXIT_FINE;
}

int verb_submit(int argc, char **argv)
{
	static const struct submission_verb verb = {
	    .program = "shardmill submit",
	    .summary = "start a job",
	    .details = "Prints the job's number. With --wait the exit code is that of `shardmill wait`.",
	    .path = "/v1/jobs",
	    .starts = true,
	    .done = done,
	};

	return submission_run(&verb, argc, argv);
}
