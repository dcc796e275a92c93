/* The scaler's shell: asks the dispatcher for demand and workers, lets the core decide, has the provider
 * start workers and the dispatcher drain them. It keeps nothing that the next scaler could not find
 * again: registered workers carry pool and provider id, the provider has its own list.
 *
 * While the dispatcher does not answer, nothing is decided: workers stay as they are. */
#pragma once

#include "base/error.h"
#include "base/params.h"

/* Exit codes of the scaler beside 0. */
#define SCALER_EXIT_REFUSED 2 /* cannot run as it was told to */
#define SCALER_EXIT_HELD 3    /* another scaler runs for this state directory */

/* Until SIGTERM or SIGINT; workers go on. ERR_EXISTS: another scaler has the state directory. */
int service_run(const struct params *params, struct error *reterr) MUST_CHECK;
