/* What `shardmill up` starts: where things are, and each daemon's command line. Knows parameters and
 * paths; starts nothing. */
#pragma once

#include "base/error.h"
#include "base/params.h"

/* Paths are absolute. Owner: whoever calls up_plan_fini. */
struct up_plan {
	const struct params *params;
	char *state_dir, *api_socket, *keys_dir, *output_dir, *logs_dir, *records_dir;
	char *rules_dir, *bucket_dir; /* NULL: it was said which */
	char *listen;		      /* the dispatcher's */
	char *connect;		      /* the workers' way to it */
};

/* A command line: NULL-terminated, each text its own. */
struct up_command {
	char **argv;
	size_t count;
};

/* Fills in what was not said. ERR_INVALID when workers could not find the dispatcher by what was. */
int up_plan_init(struct up_plan *plan, const struct params *params, struct error *reterr) MUST_CHECK;
void up_plan_fini(struct up_plan *plan);

/* Of the daemon whose parameters have `scope`: all that was said to `up` and concerns it, and where
 * things are. */
void up_command_init(struct up_command *c, const struct up_plan *plan, const char *program,
		     enum param_scope scope);
void up_command_fini(struct up_command *c);
/* What workers are told goes through the environment (SHARDMILL_…), past the scaler. */
void up_export_worker_params(const struct params *params);

/* The address that workers connect to when the dispatcher listens at `listen`; free it. */
int up_connect_address(const char *listen, char **ret, struct error *reterr) MUST_CHECK;
/* path behind the working directory, when it is not absolute; free it. */
char *up_absolute(const char *path) MUST_CHECK;
