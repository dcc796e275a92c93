#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/change.h"
#include "cli/human.h"
#include "cli/selector.h"

struct retry_options {
	bool failed, all; /* what of the jobs that have ended; neither: none of them */
};

static bool has_dead(json_t *job)
{
	json_t *phase;
	size_t i;

	json_array_foreach(json_object_get(job, "phases"), i, phase)
	{
		if (cli_number(phase, "dead") > 0)
			return true;
	}
	return false;
}

static bool is_ended(const char *state)
{
	return strcmp(state, "succeeded") == 0 || strcmp(state, "failed") == 0 ||
	       strcmp(state, "cancelled") == 0;
}

/* Its dead shards run again. */
static int retry_shards(struct cli *cli, uint64_t job, struct error *reterr)
{
	char path[CLI_PATH_BYTES_MAX];
	struct client_answer answer;
	int r = client_post(&cli->client, cli_job_path(job, "/retry", path, sizeof(path)), json_object(),
			    true, &answer, reterr);

	if (r != 0)
		return r;
	if (cli->json)
		cli_print_json(cli, &answer);
	else
		change_print_job(cli, answer.json);
	client_answer_fini(&answer);
	return 0;
}

/* A new job does what it was to do. */
static int start_again(struct cli *cli, uint64_t job, struct error *reterr)
{
	char path[CLI_PATH_BYTES_MAX], key[33];
	struct client_request q = {.method = "POST",
				   .path = cli_job_path(job, "/again", path, sizeof(path)),
				   .repeatable = true,
				   .key = key};
	struct client_answer answer;
	int r;

	client_random_id(key);
	r = client_call(&cli->client, &q, &answer, reterr);
	if (r != 0)
		return r;
	if (cli->json)
		cli_print_json(cli, &answer);
	else
		printf("job %" PRIu64 " does again what job %" PRIu64 " was to do\n",
		       cli_number(answer.json, "id"), job);
	client_answer_fini(&answer);
	return 0;
}

static int retry_job(struct cli *cli, uint64_t job, size_t nth, void *options, struct error *reterr)
{
	const struct retry_options *o = options;
	char path[CLI_PATH_BYTES_MAX], state[24];
	struct client_answer answer;
	bool bad;
	int r = client_get(&cli->client, cli_job_path(job, "", path, sizeof(path)), &answer, reterr);

	(void)nth;
	if (r != 0)
		return r;
	snprintf(state, sizeof(state), "%s", cli_text(answer.json, "state"));
	bad = strcmp(state, "failed") == 0 || has_dead(answer.json);
	client_answer_fini(&answer);
	if (!is_ended(state))
		return retry_shards(cli, job, reterr);
	if (o->all || (o->failed && bad))
		return start_again(cli, job, reterr);
	if (o->failed) {
		fprintf(stderr, "%s: job %" PRIu64 " has %s, and no shard of it is dead: it is left\n",
			cli->program, job, strcmp(state, "cancelled") == 0 ? "been cancelled" : state);
		return 0;
	}
	error_set(reterr, ERR_EXISTS, "job %" PRIu64 " has %s%s already; its dead shards stay dead", job,
		  strcmp(state, "cancelled") == 0 ? "been " : "", state);
	return error_help(reterr, "`%s --%s %" PRIu64 "` starts a new job that does the same", cli->program,
			  bad ? "failed" : "all", job);
}

static int retry_all(struct cli *cli, void *options, struct error *reterr)
{
	const struct retry_options *o = options;
	struct each_job each = {
	    .expected = "expected jobs", .live_only = !o->failed && !o->all, .work = retry_job};

	return each_job(cli, &each, options, reterr);
}

int verb_retry(int argc, char **argv)
{
	struct retry_options o = {0};
	bool dead = false;
	const struct options_extra extras[] = {
	    {0, "dead", NULL, "Dead shards of jobs that have not ended run again; the default.", cli_set_flag,
	     &dead},
	    {0, "failed", NULL,
	     "Also: of jobs that have ended, those that failed or have dead shards are started anew.",
	     cli_set_flag, &o.failed},
	    {0, "all", NULL, "Also: all jobs that have ended are started anew, however they ended.",
	     cli_set_flag, &o.all},
	};
	const struct options_spec spec = {
	    .program = "shardmill retry",
	    .synopsis = "[OPTION]... JOB...",
	    .summary = "let the dead shards of jobs run again, or jobs that have ended",
	    .details =
		"A job that has not ended goes on, with its dead shards tried as if for the first time. A "
		"job "
		"that has\nended stays as it is: a new job of the same definition, event, name and priority "
		"does all of it\nagain, and reads what it reads as that is now.\n\n" SELECTOR_HELP,
	    .extras = extras,
	    .extra_count = ARRAY_LENGTH(extras),
	};

	return cli_run(&spec, argc, argv, retry_all, &o);
}
