/* What `submit` sends: the options, and the body of POST /v1/jobs made of them. Pure but for files. */
#pragma once

#include <jansson.h>

#include "base/buf.h"
#include "base/error.h"
#include "jobs/api/objects.h"

struct submission {
	const char *event;     /* file; NULL: none */
	const char *each_line; /* file whose lines are shards; NULL: none */
	const char *stdin_of;  /* --stdin: a file, "-" for what is on stdin now; NULL: none */
	const char *id, *name, *priority, *deadline, *start_by;
	json_t *after;		    /* texts; NULL: it waits for no job */
	struct api_command command; /* argv NULL: a definition */
	json_t *kept;		    /* texts that members borrow; NULL: none */
	bool wait, allow_pending, dry_run;
};

void submission_init(struct submission *s);
void submission_fini(struct submission *s);
/* For options_extra.set; arg is the submission. */
int submission_add_env(void *arg, const char *value, struct error *reterr);
int submission_add_exit(void *arg, const char *value, struct error *reterr);
int submission_add_grid(void *arg, const char *value, struct error *reterr);
int submission_add_after(void *arg, const char *value, struct error *reterr);
int submission_add_after_shard(void *arg, const char *value, struct error *reterr);
int submission_set_gather(void *arg, const char *value, struct error *reterr);
json_t *submission_argv(char **argv, size_t count); /* NULL: a word is no UTF-8 */
/* Everything behind `--` is the command: cuts it off argv, *argc is what is before. ERR_INVALID. */
int submission_take_command(struct submission *s, int *argc, char **argv, struct error *reterr) MUST_CHECK;
/* An error of the API about a member of the body becomes one about the option that it came from. */
void submission_name_options(const struct submission *s, struct error *e);
/* What is wrong with the definition in a refused body, each error with its line; out stays empty when
 * this build finds nothing. */
void submission_explain(const json_t *body, struct buf *out);
/* definition: a file, "-" for stdin; NULL with a command. directory: where the command runs unless the
 * options say; NULL when nobody knows (a directory that was removed): then what needs it is refused. */
/* Appends the path, made absolute below directory; "" is the directory itself. */
int submission_add_path(struct buf *out, const char *path, const char *directory,
			struct error *reterr) MUST_CHECK;
/* Appends the URL of a file; a path that is not absolute is one below directory. ERR_INVALID: there is no
 * directory, or its name cannot stand in JSON. */
int submission_add_url(struct buf *out, const char *path, const char *directory,
		       struct error *reterr) MUST_CHECK;
int submission_body(const struct submission *s, const char *definition, const char *directory, json_t **ret,
		    struct error *reterr) MUST_CHECK;
