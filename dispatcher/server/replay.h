/* Journal, history and core, as they were when the last dispatcher ended. */
#pragma once

#include "dispatcher/server/server.h"

/* Opens history and journal, applies all records to a new core, and makes the journal ready to be
 * written. What it opened stays in s, also on failure. */
int replay_open(struct server *s, struct error *reterr) MUST_CHECK;
