#include <signal.h>
#include <sodium.h>
#include <stdio.h>

#include "base/check.h"
#include "base/options.h"
#include "dispatcher/server/server.h"

static const struct options_spec spec = {
    .program = "shardmill-dispatcher",
    .synopsis = "[OPTION]...",
    .summary = "take events, cut jobs into shards and lease them to workers",
    .details =
	"The dispatcher keeps all state in one directory and is the only writer there. It serves the HTTP "
	"API on a Unix socket (api.sock in the state directory) and workers on --listen.\n\n"
	"SIGTERM ends it in order: running shards go on, their workers come back to the next one. "
	"SIGHUP reads rules and keys again.",
    .options_only = true,
    .scopes = PARAM_SCOPE_DISPATCHER,
};

static int run(const struct params *params)
{
	struct server server;
	struct error e = {0};
	char line[ERROR_LINE_MAX];
	int exit_code = 0;

	if (server_open(&server, params, &e) == 0) {
		server_run(&server);
	} else {
		log_error("the dispatcher cannot start", log_error_field(&e, line, sizeof(line)));
		exit_code = 1;
	}
	server_close(&server);
	return exit_code;
}

int main(int argc, char **argv)
{
	struct params params;
	int first, exit_code;

	if (!options_start(&spec, &params, argc, argv, &first, &exit_code)) {
		params_fini(&params);
		return exit_code;
	}
	log_configure((enum log_level)params_choice(&params, PARAM_LOG_LEVEL),
		      (enum log_format)params_choice(&params, PARAM_LOG_FORMAT), 2);
	check_set_hook(log_check_failed);
	CHECK(sodium_init() >= 0);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGIO, SIG_IGN); /* of the leases by which a scan asks whether a file is open */
	exit_code = run(&params);
	params_fini(&params);
	return exit_code;
}
