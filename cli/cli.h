/* What the verbs of the command share. A verb is one function in verb_<name>.c, named in verbs.def: it says
 * what it takes, and hands its own work to cli_run. */
#pragma once

#include <jansson.h>

#include "base/options.h"
#include "cli/client.h"
#include "cli/terminal.h"

enum cli_exit {
	CLI_EXIT_FINE = 0,
	CLI_EXIT_JOB_FAILED = 1,
	CLI_EXIT_USAGE = 2, /* the command line, or what it names, is wrong */
	CLI_EXIT_JOB_CANCELLED = 3,
	CLI_EXIT_UNREACHABLE = 4,
	CLI_EXIT_TROUBLE = 5, /* the dispatcher or the system said no */
	CLI_EXIT_TIMEOUT = 124,
	CLI_EXIT_INTERRUPTED = 130, /* 128 + SIGINT, as a shell would */
};

struct cli {
	const char *program; /* "shardmill show" */
	struct params params;
	struct client client;
	struct terminal terminal; /* stdout's */
	bool json, csv;		  /* csv: of verbs that have it */
	int argc;		  /* what is left of the command line */
	char **argv;
};

/* The work of a verb: 0 or more is the exit code, less than 0 an error. */
typedef int cli_work(struct cli *cli, void *options, struct error *reterr);
/* From now on verbs do nothing but tell fn their options; NULL: they work. */
void cli_describe_with(void (*fn)(void *arg, const struct options_spec *spec), void *arg);
/* True: spec was wanted, and nothing else is. */
bool cli_describes(const struct options_spec *spec);
/* Reads the command line, works, tells the error; returns the exit code. spec->scopes is set here. */
int cli_run(const struct options_spec *spec, int argc, char **argv, cli_work *work, void *options);
/* Tells an error without leaving; returns its exit code. */
int cli_tell_error(const struct cli *cli, const struct error *e);
/* ERR_INVALID unless argc is from min to max; what: "expected one job". */
int cli_expect_arguments(const struct cli *cli, int min, int max, const char *what,
			 struct error *reterr) MUST_CHECK;

/* "/v1/jobs/12" and suffix; returns buf. */
const char *cli_job_path(uint64_t job, const char *suffix, char *buf, size_t size);
#define CLI_PATH_BYTES_MAX 128u

/* The answer as it is; indented on a terminal. */
void cli_print_json(const struct cli *cli, const struct client_answer *answer);
void cli_print_json_value(const struct cli *cli, json_t *value);
/* out's text to stdout. */
void cli_print(struct buf *out);

/* A whole file, pipe or device, or stdin for "-". */
int cli_read_input(const char *path, size_t max_bytes, struct buf *ret, struct error *reterr) MUST_CHECK;

/* For options_extra.set: arg is a const char ** (not for empty text), a bool *, a usec_t *, a uint64_t *. */
int cli_set_text(void *arg, const char *value, struct error *reterr);
int cli_set_flag(void *arg, const char *value, struct error *reterr);
int cli_set_duration(void *arg, const char *value, struct error *reterr);
int cli_set_number(void *arg, const char *value, struct error *reterr);

/* The phase that the job's shards are; false, and all zero, while a plan phase is in work. */
bool cli_shards_phase(const struct api_job *job, struct api_phase *ret);

/* The verbs. */
#define VERB_GROUP(title)
#define VERB(name, function, doc) int function(int argc, char **argv);
#include "cli/verbs.def"
