/* Processes that got away: a child that left its attempt's process group is handed to the worker
 * when its parent ends (the worker is a subreaper). They are ended here. Thread: the agent's. */
#pragma once

#include "worker/slot.h"

/* Looks at all children of this process; ends and reaps those that belong to no slot. Returns how many
 * it ended. */
uint32_t strays_end(struct slot *const *slots, uint32_t slot_count);
