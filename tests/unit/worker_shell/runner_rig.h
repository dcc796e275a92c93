/* Runners for tests of slots. */
#pragma once

#include "tests/unit/worker_shell/slot_rig.h"

void runner_rig_work(struct rig_work *w, const char *const *argv, uint8_t format);
/* A runner in Python: `body` runs for each `run` message, with m = the message and n = its first shard.
 * hello: members of its hello. It has done(m, …), mark(name), which adds a line to a file of the rig, and
 * has(name). */
void runner_rig_python(struct slot_rig *r, struct rig_work *w, const char *hello, const char *body);
/* Of a file of the rig. */
uint32_t runner_rig_lines(struct slot_rig *r, const char *name);
