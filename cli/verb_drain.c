#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "cli/cli.h"

#define WORKER_ID_BYTES 32u

/* The one worker whose id begins so. */
static int find_worker(struct cli *cli, const char *text, char ret[static WORKER_ID_BYTES + 1],
		       struct error *reterr)
{
	struct client_answer answer;
	struct api_workers workers;
	struct api_worker worker;
	size_t i, found = 0;
	char quoted[80];
	json_t *json;
	int r;

	text_quote(quoted, sizeof(quoted), bytes_of(text));
	if (text[0] == '\0')
		return error_set(reterr, ERR_INVALID, "expected a worker's id, found nothing");
	r = client_get_object(&cli->client, "/v1/workers?limit=1000", object_workers(), &workers, &answer,
			      reterr);
	if (r != 0)
		return r;
	json_array_foreach(workers.workers, i, json)
	{
		const char *id;

		object_read(object_worker(), json, &worker);
		id = api_text(worker.id);
		if (strncmp(id, text, strlen(text)) == 0 && strlen(id) == WORKER_ID_BYTES && found++ == 0)
			memcpy(ret, id, WORKER_ID_BYTES + 1);
	}
	client_answer_fini(&answer);
	if (found == 1)
		return 0;
	if (found == 0)
		error_set(reterr, ERR_NOT_FOUND, "there is no worker whose id begins with %s", quoted);
	else
		error_set(reterr, ERR_INVALID, "the ids of %zu workers begin with %s", found, quoted);
	error_help(reterr, "`shardmill workers` lists them");
	return found == 0 ? ERR_NOT_FOUND : ERR_INVALID;
}

static int drain_worker(struct cli *cli, const char *text, struct error *reterr)
{
	char id[WORKER_ID_BYTES + 1], path[CLI_PATH_BYTES_MAX];
	struct client_answer answer;
	int r = find_worker(cli, text, id, reterr);

	if (r != 0)
		return r;
	snprintf(path, sizeof(path), "/v1/workers/%s/drain", id);
	r = client_post(&cli->client, path, NULL, NULL, true, &answer, reterr);
	if (r != 0)
		return r;
	if (cli->json)
		cli_print_json(cli, &answer);
	else
		printf("worker %.12s finishes what it runs and leaves\n", id);
	client_answer_fini(&answer);
	return 0;
}

static int drain_all(struct cli *cli, void *options, struct error *reterr)
{
	int r = cli_expect_arguments(cli, 1, INT32_MAX, "expected workers", reterr);

	(void)options;
	for (int i = 0; r == 0 && i < cli->argc; i++)
		r = drain_worker(cli, cli->argv[i], reterr);
	return r;
}

int verb_drain(int argc, char **argv)
{
	const struct options_spec spec = {
	    .program = "shardmill drain",
	    .synopsis = "[OPTION]... WORKER...",
	    .summary = "let workers finish what they run, and leave",
	    .details = "WORKER is an id, or as much of its beginning as tells it from the others.",
	};

	return cli_run(&spec, argc, argv, drain_all, NULL);
}
