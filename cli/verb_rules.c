#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/text.h"
#include "base/units.h"
#include "cli/cli.h"
#include "cli/human.h"
#include "cli/list.h"
#include "jobs/api/objects.h"
#include "jobs/event.h"

#define POLL_NS 200000000L

static const struct table_column columns[] = {
    {"RULE", TABLE_LEFT, false},       {"FILE", TABLE_LEFT, true},  {"MATCHED", TABLE_RIGHT, false},
    {"DEFINITION", TABLE_LEFT, false}, {"ERROR", TABLE_LEFT, true},
};

/* What follows from an error in the rule's file. */
static const char *consequence(const struct api_rule *rule)
{
	return rule->last_good ? " (its last good version goes on)"
			       : " (until it is mended, no event is taken)";
}

static void add_row(struct table *t, const json_t *json)
{
	char text[HUMAN_TEXT_MAX], time[EVENT_TIME_BYTES_MAX];
	struct api_rule rule;

	object_read(object_rule(), json, &rule);
	table_add_text(t, STYLE_NONE, api_text(rule.name));
	table_add_text(t, STYLE_NONE, api_text(rule.file));
	table_add_text(t, STYLE_NONE, human_count(rule.matched, text, sizeof(text)));
	table_add(t, STYLE_DIM, "%.12s", api_text(rule.definition));
	if (rule.has_error)
		table_add(t, STYLE_BAD, "%s%s%s%s", api_text(rule.error.where),
			  rule.error.where.size > 0 ? ": " : "", api_text(rule.error.message),
			  consequence(&rule));
	else if (rule.has_job_error)
		table_add(t, STYLE_BAD, "event %s at %s: %s%s%s", api_text(rule.job_error.event),
			  event_time(rule.job_error.time_wall_us, time), api_text(rule.job_error.where),
			  rule.job_error.where.size > 0 ? ": " : "", api_text(rule.job_error.message));
	else
		table_add_text(t, STYLE_NONE, "");
}

struct apply_options {
	const char *bucket, *since;
};

/* "2026-05-01T12:00:00Z", or a time ago: "2h". */
static int read_since(const char *text, usec_t *ret_wall_us, struct error *reterr)
{
	usec_t ago_us;

	if (human_parse_time(text, ret_wall_us) == 0)
		return 0;
	if (units_parse_duration(bytes_of(text), &ago_us, NULL) == 0) {
		*ret_wall_us = clock_wall_us() - ago_us;
		return 0;
	}
	error_set(reterr, ERR_INVALID,
		  "expected a time (2026-05-01T12:00:00Z) or how long ago (2h), found \"%.60s\"", text);
	return error_where(reterr, "--since");
}

static int tell_applied(const struct cli *cli, struct client_answer *answer, const struct api_applied *a)
{
	if (cli->json) {
		cli_print_json(cli, answer);
	} else {
		printf("%" PRIu64 " files: %" PRIu64 " started jobs, %" PRIu64
		       " had started them before, %" PRIu64 " do not match",
		       a->files, a->started, a->already, a->unmatched);
		if (a->failed > 0)
			printf(", %" PRIu64 " were refused (the log says why)", a->failed);
		printf("%s%s\n", a->error.size > 0 ? "; not finished: " : "", api_text(a->error));
	}
	return a->error.size > 0 || a->failed > 0 ? CLI_EXIT_TROUBLE : CLI_EXIT_FINE;
}

/* Asks until all files have been offered. */
static int apply_files(struct cli *cli, const struct api_apply *asked, struct error *reterr)
{
	struct client_answer answer;
	struct api_applied applied;
	bool ended = false;
	int r = 0;

	while (r == 0 && !ended) {
		r = client_post(&cli->client, "/v1/rules/apply", object_apply(), asked, true, &answer,
				reterr);
		if (r != 0)
			break;
		r = client_read(&answer, object_applied(), &applied, reterr);
		ended = r == 0 && applied.ended;
		if (ended)
			r = tell_applied(cli, &answer, &applied);
		else if (r == 0)
			(void)nanosleep(&(struct timespec){.tv_nsec = POLL_NS}, NULL);
		client_answer_fini(&answer);
	}
	return r;
}

static int apply(struct cli *cli, void *options, struct error *reterr)
{
	const struct apply_options *o = options;
	struct api_apply asked = {.rule = {0}};
	usec_t since_us = 0;
	char *real = NULL;
	int r = cli_expect_arguments(cli, 1, 1, "expected the name of a rule", reterr);

	if (r == 0 && o->since != NULL)
		r = read_since(o->since, &since_us, reterr);
	if (r != 0)
		return r;
	/* The dispatcher knows the directory by its absolute path. */
	if (o->bucket != NULL)
		real = realpath(o->bucket, NULL);
	asked.rule = bytes_of(cli->argv[0]);
	if (o->bucket != NULL)
		asked.bucket = bytes_of(real != NULL ? real : o->bucket);
	asked.since = (uint64_t)(since_us / USEC_PER_SEC);
	if (!text_is_utf8(asked.rule) || !text_is_utf8(asked.bucket))
		r = error_set(reterr, ERR_INVALID, "the name of the rule or directory is not UTF-8");
	else
		r = apply_files(cli, &asked, reterr);
	free(real);
	return r;
}

static int verb_rules_apply(int argc, char **argv)
{
	struct apply_options o = {NULL, NULL};
	const struct options_extra extras[] = {
	    {0, "bucket", "DIR", "The watched directory; may lack when there is only one.", cli_set_text,
	     &o.bucket},
	    {0, "since", "TIME",
	     "Only files that changed since: a time, as 2026-05-01T12:00:00Z, or how long ago, as 2h.",
	     cli_set_text, &o.since},
	};
	const struct options_spec spec = {
	    .program = "shardmill rules apply",
	    .synopsis = "[OPTION]... RULE",
	    .summary = "offer what is in a watched directory already to one rule",
	    .details =
		"Each file that matches starts the rule's job once: files of which the rule has made a\n"
		"job before, by itself or by an earlier apply, are counted and left alone.",
	    .extras = extras,
	    .extra_count = ARRAY_LENGTH(extras),
	};

	return cli_run(&spec, argc, argv, apply, &o);
}

int verb_rules(int argc, char **argv)
{
	static const struct options_spec spec = {
	    .program = "shardmill rules",
	    .synopsis = "[OPTION]...",
	    .summary = "list the rules: which events start which jobs",
	    .details =
		"A rule that is added later starts jobs for events from then on. For files that are in a\n"
		"watched directory already, see `shardmill rules apply --help`.",
	};
	static const struct list list = {
	    .path = "/v1/rules",
	    .type = object_rules,
	    .offset = offsetof(struct api_rules, rules),
	    .empty = "no rules; the dispatcher reads them from --rules-dir",
	    .columns = columns,
	    .column_count = ARRAY_LENGTH(columns),
	    .add_row = add_row,
	};

	if (argc > 1 && strcmp(argv[1], "apply") == 0)
		return verb_rules_apply(argc - 1, argv + 1);
	return list_all(&list, &spec, argc, argv);
}
