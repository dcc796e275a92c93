#include "cli/submission_verb.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "cli/script.h"

#define START_OPTIONS 8u /* the last of the table */

/* Options whose values go into "command" under their own names. */
#define COMMAND_TEXTS(X)                                                                                     \
	X(array, "RANGE",                                                                                    \
	  "A shard for each number of RANGE: 100 (0 to 99), 1-1000, 1-1000:2 or 1,5,9-20:2.")                \
	X(cpus, "CPUS", "What a shard takes of its worker: 2, 0.5.")                                         \
	X(memory, "SIZE", "What a shard may take: 512MiB; more is an error of kind oom.")                    \
	X(gpus, "N", "GPUs of a shard: 1, 0.5.")                                                             \
	X(pin, "WHERE", "What a shard is bound to: core, pu, l3, numa, none.")                               \
	X(timeout, "TIME", "How long an attempt of a shard may take: 90s, 1h30m.")                           \
	X(attempts, "N", "How often a shard is tried before it is dead. Default: 3.")                        \
	X(tolerate, "N|N%", "How many shards may be dead in a job that succeeds. Default: 0.")               \
	X(of, "FILE", "A file to be cut into shards: a path or s3://bucket/key; with --bytes.")              \
	X(bytes, "SIZE", "The size of a shard of --of.")                                                     \
	X(align, "KIND", "Where it is cut: none, line, fastq.")                                              \
	X(input, "HOW", "How a shard gets its part: stdin, file.")                                           \
	X(out, "FILE",                                                                                       \
	  "The file, or s3://..., for what each shard writes to stdout; {} is the shard's number, line or "  \
	  "values. It is there in whole when an attempt has ended.")                                         \
	X(err, "FILE", "The same for stderr.")                                                               \
	X(queue, "NAME", "The queue that the job waits in.")                                                 \
	X(directory, "DIR", "Where the command runs. Default: here.")

/* arg: the member of the command. */
static int set_text(void *arg, const char *value, struct error *reterr)
{
	json_t **member = arg, *text = json_string(value);

	if (value[0] == '\0' || text == NULL) {
		json_decref(text);
		return error_set(reterr, ERR_INVALID,
				 text == NULL ? "expected UTF-8" : "expected a value, found an empty text");
	}
	json_decref(*member);
	*member = text;
	return 0;
}

struct work {
	const struct submission_verb *verb;
	struct submission *submission, *said; /* said: by a script */
};

/* A key of our own makes it safe to send it again when the connection breaks. */
static int post(struct cli *cli, const char *path, const struct submission *s, json_t *body,
		struct client_answer *ret, struct error *reterr)
{
	char key[CLIENT_ID_BYTES], *text = json_dumps(body, JSON_COMPACT);
	struct client_request q = {
	    .method = "POST", .path = path, .repeatable = true, .key = s->id == NULL ? key : NULL};
	int r;

	CHECK(text != NULL);
	client_random_id(key);
	q.body = bytes_of(text);
	r = client_call(&cli->client, &q, ret, reterr);
	free(text);
	return r;
}

/* The dispatcher names the first error; a person wants all of them, with their lines. */
static bool explain(json_t *body)
{
	struct buf report = {0};
	bool any;

	submission_explain(body, &report);
	any = report.size > 0;
	fwrite(report.data != NULL ? (const char *)report.data : "", 1, report.size, stderr);
	buf_fini(&report);
	return any;
}

static size_t put_extras(struct options_extra *to, const struct options_extra *extras, size_t count)
{
	memcpy(to, extras, count * sizeof *extras);
	return count;
}

/* Of the command and its shards; what they say goes into s. */
static size_t list_command_extras(struct submission *s, struct options_extra *out)
{
#define TEXT_EXTRA(name, placeholder, doc) {0, #name, placeholder, doc, set_text, &s->command.name},
	const struct options_extra extras[] = {
	    COMMAND_TEXTS(TEXT_EXTRA) /**/
	    {'e', "env", "NAME=VALUE", "A variable for the command; may be given more than once.",
	     submission_add_env, s},
	    {0, "grid", "NAME=VALUES",
	     "A shard for each value of NAME, such as seed=1-100 or lr=0.1,0.01; given more than once, for "
	     "each "
	     "value with each of the others, the last changing first. {{shard.NAME}} is the value, also "
	     "$SHARDMILL_GRID_NAME in capitals; {} is seed=1,lr=0.1.",
	     submission_add_grid, s},
	    {0, "keep-going", NULL,
	     "Run all shards, also when some are dead: then the job fails at its end. Default: it fails, and "
	     "its other shards are stopped, when one more is dead than --tolerate says.",
	     cli_set_flag, &s->command.keep_going},
	    {0, "max-failures", "N",
	     "The same, until more than N shards are dead: then the others are stopped.", set_text,
	     &s->command.max_failures},
	    {0, "max-running", "N", "At most N shards run at a time; so does --array 1-1000%N.", set_text,
	     &s->command.max_running},
	    {0, "rate", "N/TIME", "At most N shards start in TIME, spread over it: 10/s, 100/min, 5/30s.",
	     set_text, &s->command.rate},
	    {0, "concurrency", "GROUP[:LIMIT][:MODE]",
	     "At most LIMIT (1) jobs of GROUP are active at a time. MODE says what becomes of one too many: "
	     "queue (it waits), skip (it is refused) or cancel-running (it takes the place of the oldest).",
	     set_text, &s->command.concurrency},
	    {0, "exit", "CODE=VERDICT",
	     "What an exit code, or a range as 75-78, means: retry, fail (dead at once) or success; may be "
	     "given more than once. Default: 0 is success, others are tried again.",
	     submission_add_exit, s},
	    {0, "gather", "COMMAND", "A command that gets all shards' outputs in their order.",
	     submission_set_gather, s},
	    {0, "name", "NAME", "What the job is called.", cli_set_text, &s->name},
	    {0, "each-line", "FILE",
	     "A shard for each line of FILE that is not empty, {} being the line; - for stdin.", cli_set_text,
	     &s->each_line},
	    {0, "stdin", "FILE|-",
	     "What each shard reads from stdin: FILE, which its worker opens ({} as in --out), or with - "
	     "what is "
	     "on stdin now, at most 64 KiB.",
	     cli_set_text, &s->stdin_of},
	    {0, "literal", NULL, "Pass the command as it is: {} and {{...}} in it stand for nothing.",
	     cli_set_flag, &s->command.literal},
	};
#undef TEXT_EXTRA

	return put_extras(out, extras, ARRAY_LENGTH(extras));
}

/* Of the job: when it starts, and what is told of it. Those that only a verb that starts has come last. */
static size_t list_job_extras(struct submission *s, struct options_extra *out)
{
	const struct options_extra extras[] = {
	    {0, "event", "FILE", "An event for the definition's templates, as JSON; - for stdin.",
	     cli_set_text, &s->event},
	    {0, "priority", "N", "Jobs of a greater one come first in their queue.", cli_set_text,
	     &s->priority},
	    {0, "after", "JOB[:ok|any|failed]",
	     "Start when JOB has succeeded, or ended so; may be given more than once.", submission_add_after,
	     s},
	    {0, "after-shard", "JOB",
	     "Start each shard when the same shard of JOB is done; both have as many. Shards that can no "
	     "longer "
	     "start are dropped, and count as dead for --tolerate.",
	     submission_add_after_shard, s},
	    {0, "deadline", "TIME", "Fail the job unless it has ended TIME after it was accepted: 2h.",
	     cli_set_text, &s->deadline},
	    {0, "start-by", "TIME",
	     "Fail the job unless a shard has started TIME after it was accepted: 30m.", cli_set_text,
	     &s->start_by},
	    {0, "allow-pending", NULL,
	     "Accept it also when no worker and no pool offers what its shards need: it waits for one that "
	     "does.",
	     cli_set_flag, &s->allow_pending},
	    {0, "dry-run", NULL,
	     "Start nothing: say whether it would be accepted, with which version, queue and shape, and what "
	     "it would wait for.",
	     cli_set_flag, &s->dry_run},
	    {0, "id", "ID", "The same id is the same job: the second time, the first one is told.",
	     cli_set_text, &s->id},
	    {'w', "wait", NULL, "Wait until it has ended.", cli_set_flag, &s->wait},
	};

	return put_extras(out, extras, ARRAY_LENGTH(extras));
}

static size_t list_extras(struct submission *s, bool starts,
			  struct options_extra out[static OPTIONS_EXTRAS_MAX])
{
	size_t count = list_command_extras(s, out);

	count += list_job_extras(s, out + count);
	CHECK(count <= OPTIONS_EXTRAS_MAX);
	return count - (starts ? 0 : START_OPTIONS);
}

/* A script is a command that brings options of its own. */
static int take_script(const struct work *w, const char *path, const char *directory, struct error *reterr)
{
	struct options_extra extras[OPTIONS_EXTRAS_MAX];
	const struct script_options o = {.program = w->verb->program,
					 .extras = extras,
					 .extra_count = list_extras(w->said, w->verb->starts, extras),
					 .said = w->said};

	return script_take(w->submission, &o, path, directory, reterr);
}

static int work(struct cli *cli, void *options, struct error *reterr)
{
	const struct work *w = options;
	const struct submission *s = w->submission;
	const char *definition = cli->argc > 0 ? cli->argv[0] : NULL;
	char *here = getcwd(NULL, 0);
	struct client_answer answer;
	json_t *body = NULL;
	bool explained = false;
	int r = cli_expect_arguments(cli, 0, 1, "expected one definition", reterr);

	if (r == 0 && definition != NULL && script_is(definition)) {
		r = take_script(w, definition, here, reterr);
		definition = NULL;
	}
	if (r == 0)
		r = submission_body(s, definition, here, &body, reterr);
	free(here);
	if (r == 0)
		r = post(cli, w->verb->path, s, body, &answer, reterr);
	if (r == ERR_INVALID || r == ERR_LIMIT || r == ERR_VERSION)
		explained = explain(body);
	json_decref(body);
	if (r != 0 && reterr != NULL)
		submission_name_options(s, reterr);
	if (r != 0)
		return explained ? CLI_EXIT_USAGE : r;
	r = w->verb->done(cli, s, &answer, reterr);
	client_answer_fini(&answer);
	return r;
}

static const char command_details[] =
    "DEFINITION is a YAML file, or - for stdin. A COMMAND behind -- is made into one. No shell is run: write "
    "sh -c '...' for one.\n\n"
    "A SCRIPT is a file that begins with #!, and is run by what stands there; the shards find their numbers "
    "in $SHARDMILL_VALUE. Lines such as `#shardmill --array 1-10` before its first command are options, too; "
    "those of the command line come first. The words behind -- are its arguments.\n\n"
    "In a word of COMMAND, {} stands for the shard's number with --array, for its line with --each-line, for "
    "its values with --grid, and for a file that holds its bytes with --of. Write {{}} for a literal {} "
    "there. Without these options {} stands for itself, as in `-- find . -exec wc -l {} +`. {{job.id}}, "
    "{{shard.index}} and other placeholders of a definition work as well; {{{{ is a literal {{. With "
    "--literal no brace means anything.";

int submission_run(const struct submission_verb *verb, int argc, char **argv)
{
	struct submission s, said;
	struct work w = {verb, &s, &said};
	struct buf details = {0};
	char synopsis[240];
	struct options_extra extras[OPTIONS_EXTRAS_MAX];
	struct options_spec spec = {
	    .program = verb->program,
	    .synopsis = synopsis,
	    .summary = verb->summary,
	    .extras = extras,
	    .extra_count = list_extras(&s, verb->starts, extras),
	};
	const struct cli early = {.program = verb->program};
	struct error e = {0};
	int code;

	snprintf(synopsis, sizeof(synopsis),
		 "[OPTION]... DEFINITION\n   or: %s [OPTION]... SCRIPT [-- ARGUMENT...]\n   or: %s "
		 "[OPTION]... -- COMMAND [ARGUMENT]...",
		 verb->program, verb->program);
	buf_printf(&details, "%s\n\n%s", command_details, verb->details);
	spec.details = buf_text(&details);
	submission_init(&s);
	submission_init(&said);
	if (submission_take_command(&s, &argc, argv, &e) != 0)
		code = cli_tell_error(&early, &e);
	else
		code = cli_run(&spec, argc, argv, work, &w);
	submission_fini(&s);
	submission_fini(&said);
	buf_fini(&details);
	return code;
}
