#include <stdio.h>

#include "cli/cli.h"
#include "cli/up/up.h"

static const struct options_spec spec = {
    .program = "shardmill up",
    .synopsis = "[OPTION]...",
    .summary = "run a dispatcher, a scaler and workers on this machine",
    .details =
	"No configuration is needed: state, keys, sockets, the library's rules and a bucket are made on "
	"first use: a FASTQ file that is moved into the bucket starts fastq-qc. It keeps the "
	"daemons running, and shows what goes on when stdout is a terminal.\n\n"
	"Ctrl-C or SIGTERM stops all of it in order: workers finish what they run. A second one ends "
	"what they run, a third one kills. SIGHUP reads rules and keys again and opens logs again that were "
	"moved. "
	"When `up` itself is killed, the daemons go on, and a new "
	"`up` for the same state directory takes them over, and says which of its options have no effect on "
	"them.",
    .options_only = true,
    .scopes = PARAM_SCOPE_UP,
};

int verb_up(int argc, char **argv)
{
	struct params params;
	struct error e = {0};
	char line[1024];
	int first, code = 2;

	if (cli_describes(&spec))
		return 0;
	if (options_start(&spec, &params, argc, argv, &first, &code)) {
		code = 0;
		if (up_run(&params, &code, &e) == 0)
			e.code = ERR_OK;
		if (e.code != ERR_OK) {
			fprintf(stderr, "shardmill up: %s\n", error_text(&e, line, sizeof line));
			code = code != 0 ? code : 2;
		}
	}
	params_fini(&params);
	return code;
}
