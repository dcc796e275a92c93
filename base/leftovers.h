/* What a worker that is no more has left running. Its attempts' processes carry its id in their environment
 * (SHARDMILL_WORKER), wherever they went: other groups, sessions, parents. */
#pragma once

#include "base/types.h"

/* Kills every process that has the worker's id (32 hex digits), until none is found; returns how many.
 * Reads the environment of all processes that we may: not for every second. */
uint32_t leftovers_end(const char *worker_id);
