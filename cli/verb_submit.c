#include <inttypes.h>
#include <stdio.h>

#include "cli/follow.h"
#include "cli/human.h"
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

static void tell_shards(const struct api_dry_run *d)
{
	if (d->has_shards)
		printf("%" PRIu64 " %s", d->shards, d->shards == 1 ? "shard" : "shards");
	else
		printf("shards that a planner counts");
}

static void tell_dry_run(const struct api_accepted *accepted)
{
	const struct api_dry_run *d = &accepted->dry_run;
	struct buf out = {0};
	json_t *sentence;
	size_t i;

	if (accepted->duplicate) {
		printf("nothing new would be started: job %" PRIu64 " has this id already%s\n", accepted->id,
		       accepted->forgotten ? ", and has been forgotten since" : "");
		return;
	}
	human_text(&out, d->name, false);
	printf("%s would be accepted: version %.12s (%s), queue %.*s, priority %" PRId64 ", ", buf_text(&out),
	       api_text(d->definition), d->known ? "known" : "new", (int)d->queue.size,
	       (const char *)d->queue.data, d->priority);
	buf_clear(&out);
	tell_shards(d);
	printf(" of %.*s\n", (int)d->shape.size, (const char *)d->shape.data);
	json_array_foreach(d->waits, i, sentence)
	{
		buf_printf(&out, "it would wait: ");
		human_text(&out, bytes_of(json_string_value(sentence)), false);
		buf_printf(&out, "\n");
	}
	if (out.size == 0)
		buf_printf(&out, "its first shard would start at once\n");
	cli_print(&out);
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

	if (cli->json && (!s->wait || s->dry_run)) {
		cli_print_json(cli, answer);
		return CLI_EXIT_FINE;
	}
	r = client_read(answer, object_accepted(), &accepted, reterr);
	if (r != 0)
		return r;
	if (s->dry_run) {
		tell_dry_run(&accepted);
		return CLI_EXIT_FINE;
	}
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
