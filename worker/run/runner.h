/* A slot's resident runner: one process that is handed ranges of shards. Thread: the slot's. */
#pragma once

#include "worker/run/slot_impl.h"

struct runner;

/* Runs all of the cell in work through the slot's runner, starting, reusing or replacing it, and cells behind
 * it that the same runner may be given; releases them. What it does not finish (it died, it was stopped) is
 * recorded as the rules of the protocol say. */
void runner_run_cells(struct slot *s, struct work *first);
/* Ends the slot's runner, if there is one: stdin closed, then SIGTERM, then SIGKILL. */
void runner_end(struct slot *s);
/* To be polled: it has ended; -1: there is none. */
int runner_pidfd(const struct slot *s);
