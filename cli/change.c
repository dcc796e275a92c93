#include "cli/change.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/text.h"
#include "cli/cli.h"
#include "cli/human.h"
#include "cli/many.h"

struct change_options {
	const struct change *change;
	const char *why;
};

void change_print_job(const struct cli *cli, const struct api_job *job)
{
	struct bytes word = job->paused ? BYTES_LIT("paused") : job->word;
	struct buf out = {0};

	buf_printf(&out, "job %" PRIu64 " ", job->id);
	human_text(&out, job->name, false);
	buf_printf(&out, "  ");
	terminal_style(&cli->terminal, &out, style_of_word(api_text(word)), word);
	buf_printf(&out, "\n");
	cli_print(&out);
}

static int change_job(struct cli *cli, uint64_t job, size_t nth, void *options, struct error *reterr)
{
	const struct change_options *o = options;
	const struct api_reason reason = {.why = bytes_of(o->why != NULL ? o->why : "")};
	char suffix[32], path[CLI_PATH_BYTES_MAX];
	struct client_answer answer;
	struct api_job changed;
	int r;

	(void)nth;
	snprintf(suffix, sizeof(suffix), "/%s", o->change->verb);
	cli_job_path(job, suffix, path, sizeof(path));
	r = client_post(&cli->client, path, object_reason(), &reason, true, &answer, reterr);
	if (r != 0)
		return r;
	if (cli->json)
		cli_print_json(cli, &answer);
	else
		r = client_read(&answer, object_job(), &changed, reterr);
	if (r == 0 && !cli->json)
		change_print_job(cli, &changed);
	client_answer_fini(&answer);
	return r;
}

static int change_set(struct cli *cli, const struct job_ids *ids, const char *by, void *options,
		      struct error *reterr)
{
	const struct change_options *o = options;
	const struct many_change c = {.change = o->change->verb, .done = o->change->done, .why = o->why};

	(void)by;
	return many_change(cli, &c, ids, reterr);
}

static int change_all(struct cli *cli, void *options, struct error *reterr)
{
	static const struct each_job each = {
	    .expected = "expected jobs", .live_only = true, .many = change_set, .work = change_job};

	const struct change_options *o = options;

	if (o->why == NULL || text_is_utf8(bytes_of(o->why)))
		return each_job(cli, &each, options, reterr);
	error_set(reterr, ERR_INVALID, "expected UTF-8");
	return error_where(reterr, "--why");
}

int change_jobs(const struct change *change, int argc, char **argv)
{
	struct change_options o = {.change = change};
	const struct options_extra extras[] = {
	    {0, "why", "TEXT", "A reason, which `shardmill show` tells.", cli_set_text, &o.why},
	};
	char program[32];
	struct options_spec spec = {
	    .program = program,
	    .synopsis = "[OPTION]... JOB...",
	    .summary = change->summary,
	    .details = change->details,
	    .extras = extras,
	    .extra_count = change->has_why ? ARRAY_LENGTH(extras) : 0,
	};

	snprintf(program, sizeof(program), "shardmill %s", change->verb);
	return cli_run(&spec, argc, argv, change_all, &o);
}
