/* shardmill-worker: runs shards on cores of one NUMA node. */
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/library.h"
#include "base/log.h"
#include "base/options.h"
#include "worker/agent.h"

static const struct options_spec spec = {
    .program = "shardmill-worker",
    .synopsis = "[OPTION]...",
    .summary = "run shards that a shardmill dispatcher leases to this machine",
    .details = "SIGTERM drains it: what runs is finished, the rest given back, and it leaves when all is "
	       "acknowledged. A second one ends what runs.",
    .options_only = true,
    .scopes = PARAM_SCOPE_WORKER,
};

static int check_needed(const struct params *p, struct error *reterr)
{
	static const enum param_id needed[] = {PARAM_KEYS_DIR, PARAM_OUTPUT_DIR};

	for (size_t i = 0; i < ARRAY_LENGTH(needed); i++)
		if (params_text(p, needed[i])[0] == '\0') {
			error_set(reterr, ERR_INVALID, "a worker needs %s", param_info(needed[i])->name);
			error_help(
			    reterr,
			    "both are in the dispatcher's state directory; `shardmill up` passes them");
			return ERR_INVALID;
		}
	return 0;
}

/* Commands that read objects themselves find the same server by the variables that AWS's programs know. */
static void tell_commands(const struct params *p)
{
	static const struct {
		enum param_id param;
		const char *variable;
	} told[] = {
	    {PARAM_S3_ENDPOINT, "AWS_ENDPOINT_URL_S3"},
	    {PARAM_S3_REGION, "AWS_REGION"},
	    {PARAM_S3_CA, "AWS_CA_BUNDLE"},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(told); i++)
		if (params_text(p, told[i].param)[0] != '\0')
			CHECK(setenv(told[i].variable, params_text(p, told[i].param), 1) == 0);
}

int main(int argc, char **argv)
{
	char line[ERROR_LINE_MAX];
	struct params params;
	struct error e;
	int first, code = 2, rc;

	if (options_start(&spec, &params, argc, argv, &first, &code)) {
		log_configure((enum log_level)params_choice(&params, PARAM_LOG_LEVEL),
			      (enum log_format)params_choice(&params, PARAM_LOG_FORMAT), STDERR_FILENO);
		check_set_hook(log_check_failed);
		library_extend_path();
		tell_commands(&params);
		rc = check_needed(&params, &e);
		if (rc == 0)
			rc = agent_run(&params, &code, &e);
		if (rc < 0) {
			log_error("the worker cannot start", log_error_field(&e, line, sizeof line));
			code = 2;
		}
	}
	params_fini(&params);
	return code;
}
