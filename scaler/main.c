/* shardmill-scaler: keeps as many workers as the queue is worth. */
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "base/options.h"
#include "scaler/service.h"

static const struct options_spec spec = {
    .program = "shardmill-scaler",
    .synopsis = "[OPTION]...",
    .summary = "start workers when work waits, and let them leave when none does",
    .details = "It asks the dispatcher what waits, starts shardmill-worker processes on cores of their own, "
	       "and drains those that are not needed any more. Each decision is a line in its log, with its "
	       "reason.\n\n"
	       "SIGTERM ends it; its workers go on, and the next scaler takes them over.",
    .options_only = true,
    .scopes = PARAM_SCOPE_SCALER,
};

int main(int argc, char **argv)
{
	char line[ERROR_LINE_MAX];
	struct params params;
	struct error e;
	int first, code = SCALER_EXIT_REFUSED, rc;

	if (options_start(&spec, &params, argc, argv, &first, &code)) {
		log_configure((enum log_level)params_choice(&params, PARAM_LOG_LEVEL),
			      (enum log_format)params_choice(&params, PARAM_LOG_FORMAT), STDERR_FILENO);
		check_set_hook(log_check_failed);
		rc = service_run(&params, &e);
		code = rc == 0 ? 0 : rc == ERR_EXISTS ? SCALER_EXIT_HELD : SCALER_EXIT_REFUSED;
		if (rc < 0)
			log_error("the scaler cannot run", log_error_field(&e, line, sizeof line));
	}
	params_fini(&params);
	return code;
}
