#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/change.h"
#include "cli/human.h"
#include "cli/many.h"
#include "jobs/api/objects.h"

struct retry_options {
	bool failed; /* only what failed, or has dead shards */
	bool all;    /* what has ended is done anew, all of it */
	const char *by;
};

static bool has_dead(const struct api_job *job)
{
	struct api_phase phase;
	json_t *json;
	size_t i;

	json_array_foreach(job->phases, i, json)
	{
		object_read(object_phase(), json, &phase);
		if (phase.dead > 0)
			return true;
	}
	return false;
}

static bool is_ended(const char *state)
{
	return strcmp(state, "succeeded") == 0 || strcmp(state, "failed") == 0 ||
	       strcmp(state, "cancelled") == 0;
}

static const char *has_been(const char *state)
{
	return strcmp(state, "cancelled") == 0 ? "been " : "";
}

/* Did the person mean just this job, or jobs that were cancelled? */
static bool is_named(const char *by)
{
	struct selector s;

	if (selector_parse(by, &s, NULL) < 0)
		return false;
	return s.kind == SELECT_NUMBER || s.kind == SELECT_LAST || s.kind == SELECT_NAME ||
	       strcmp(by, "cancelled") == 0;
}

static void tell_reopened(uint64_t job, const struct api_reopened *r)
{
	char to_do[HUMAN_TEXT_MAX], shards[HUMAN_TEXT_MAX], kept[HUMAN_TEXT_MAX], lost[HUMAN_TEXT_MAX];

	printf("job %" PRIu64 " goes on: %s of %s %s to do, %s %s kept", job,
	       human_count(r->to_do, to_do, sizeof(to_do)), human_count(r->shards, shards, sizeof(shards)),
	       r->shards == 1 ? "shard" : "shards", human_count(r->kept, kept, sizeof(kept)),
	       r->kept == 1 ? "is" : "are");
	if (r->lost > 0)
		printf("; the output%s of %s %s lost", r->lost == 1 ? "" : "s",
		       human_count(r->lost, lost, sizeof(lost)), r->lost == 1 ? "was" : "were");
	if (r->lost_gather)
		printf("; the gathered output was lost");
	printf("\n");
}

/* Its dead shards run again; if it has ended, all that are not done, and those whose output is lost. Reading
 * all outputs may take long. */
static int retry_shards(struct cli *cli, uint64_t job, struct error *reterr)
{
	char path[CLI_PATH_BYTES_MAX];
	struct client_request q = {.method = "POST",
				   .path = cli_job_path(job, "/retry", path, sizeof(path)),
				   .patient = true,
				   .repeatable = true};
	struct client_answer answer;
	struct api_job after;
	struct buf body = {0};
	int r;

	client_write(&body, object_reason(), &(struct api_reason){.why = {0}});
	q.body = buf_bytes(&body);
	r = client_call(&cli->client, &q, &answer, reterr);
	buf_fini(&body);
	if (r != 0)
		return r;
	if (cli->json)
		cli_print_json(cli, &answer);
	else
		r = client_read(&answer, object_job(), &after, reterr);
	if (r == 0 && !cli->json && after.has_reopened)
		tell_reopened(job, &after.reopened);
	else if (r == 0 && !cli->json)
		change_print_job(cli, &after);
	client_answer_fini(&answer);
	return r;
}

/* A new job does what it was to do. */
static int start_again(struct cli *cli, uint64_t job, struct error *reterr)
{
	char path[CLI_PATH_BYTES_MAX], key[CLIENT_ID_BYTES];
	struct client_request q = {.method = "POST",
				   .path = cli_job_path(job, "/again", path, sizeof(path)),
				   .repeatable = true,
				   .key = key};
	struct client_answer answer;
	struct api_accepted accepted;
	int r;

	client_random_id(key);
	r = client_call(&cli->client, &q, &answer, reterr);
	if (r != 0)
		return r;
	if (cli->json)
		cli_print_json(cli, &answer);
	else
		r = client_read(&answer, object_accepted(), &accepted, reterr);
	if (r == 0 && !cli->json)
		printf("job %" PRIu64 " does again what job %" PRIu64 " was to do\n", accepted.id, job);
	client_answer_fini(&answer);
	return r;
}

/* In place; where nobody knows any more what its shards were, anew. */
static int go_on(struct cli *cli, uint64_t job, struct error *reterr)
{
	struct error e = {0};
	int r = retry_shards(cli, job, &e);

	if (r == ERR_NOT_FOUND) {
		fprintf(stderr, "%s: %s\n", cli->program, e.what);
		return start_again(cli, job, reterr);
	}
	if (r < 0 && reterr != NULL)
		*reterr = e;
	return r;
}

static int leave(struct cli *cli, uint64_t job, const char *state, bool dead)
{
	fprintf(stderr, "%s: job %" PRIu64 " has %s%s%s: it is left\n", cli->program, job, has_been(state),
		state, dead ? "" : ", and no shard of it is dead");
	return 0;
}

static int retry_job(struct cli *cli, uint64_t job, size_t nth, void *options, struct error *reterr)
{
	const struct retry_options *o = options;
	bool named = is_named(o->by), dead, cancelled;
	char path[CLI_PATH_BYTES_MAX], state[24];
	struct client_answer answer;
	struct api_job found;
	int r = client_get_object(&cli->client, cli_job_path(job, "", path, sizeof(path)), object_job(),
				  &found, &answer, reterr);

	(void)nth;
	if (r != 0)
		return r;
	snprintf(state, sizeof(state), "%s", api_text(found.state));
	dead = has_dead(&found);
	cancelled = strcmp(state, "cancelled") == 0;
	client_answer_fini(&answer);
	if (!is_ended(state))
		return o->failed && !dead && !named ? 0 : retry_shards(cli, job, reterr);
	if (o->all)
		return start_again(cli, job, reterr);
	if (o->failed && !named && !dead && strcmp(state, "failed") != 0)
		return 0; /* of a set what is well needs no word */
	if (cancelled && (o->failed || !named))
		return leave(cli, job, state, dead);
	if (cancelled || dead || strcmp(state, "failed") == 0)
		return go_on(cli, job, reterr);
	if (o->failed)
		return leave(cli, job, state, dead);
	return named ? go_on(cli, job, reterr) : 0; /* an output of it may be lost */
}

static int on_error(struct cli *cli, uint64_t job, const struct error *e)
{
	struct error again = {0};
	int r;

	if (e->code != ERR_NOT_FOUND)
		return cli_tell_error(cli, e);
	fprintf(stderr, "%s: %s\n", cli->program, e->what);
	r = start_again(cli, job, &again);
	return r < 0 ? cli_tell_error(cli, &again) : r;
}

static int retry_set(struct cli *cli, const struct job_ids *ids, const char *by, void *options,
		     struct error *reterr)
{
	const struct retry_options *o = options;
	const struct many_change c = {.change = "retry",
				      .done = ids->count == 1 ? "goes on" : "go on",
				      .cancelled = !o->failed && is_named(by),
				      .on_error = on_error};

	return many_change(cli, &c, ids, reterr);
}

static int retry_all(struct cli *cli, void *options, struct error *reterr)
{
	struct retry_options *o = options;
	struct each_job each = {
	    .expected = "expected jobs", .many = o->all ? NULL : retry_set, .work = retry_job, .by = &o->by};

	return each_job(cli, &each, options, reterr);
}

int verb_retry(int argc, char **argv)
{
	struct retry_options o = {0};
	bool dead = false;
	const struct options_extra extras[] = {
	    {0, "dead", NULL,
	     "Dead shards of jobs that have not ended run again; jobs that have ended as failed or with dead "
	     "shards go on. The default.",
	     cli_set_flag, &dead},
	    {0, "failed", NULL, "Of all these jobs only those that failed or have dead shards.", cli_set_flag,
	     &o.failed},
	    {0, "all", NULL,
	     "What has ended, however it ended, is done anew, all of it, by a new job; it reads what it "
	     "reads "
	     "as that is now.",
	     cli_set_flag, &o.all},
	};
	const struct options_spec spec = {
	    .program = "shardmill retry",
	    .synopsis = "[OPTION]... JOB...",
	    .summary = "let what failed run again, and nothing else",
	    .details =
		"A job goes on under its own number: shards that are done stay done, with their outputs; "
		"those that are\ndead, were dropped when it ended, or whose output is lost are tried as if "
		"for "
		"the first time; then\nwhat gathers them runs again. A job that was cancelled goes on when "
		"it is named, or "
		"asked for as `cancelled`. One whose plan\nwas never whole is done anew, as with --all.\n\n"
		"" SELECTOR_HELP,
	    .extras = extras,
	    .extra_count = ARRAY_LENGTH(extras),
	};

	return cli_run(&spec, argc, argv, retry_all, &o);
}
