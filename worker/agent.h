/* The worker's shell: carries frames and what slots did to the worker's core, and its effects out.
 * One thread and its loop; slots and the syncer have their own. */
#pragma once

#include "base/error.h"
#include "base/params.h"

/* Runs until the core says EXIT; *exit_ret is then the process's exit code. */
int agent_run(const struct params *params, int *exit_ret, struct error *reterr) MUST_CHECK;
