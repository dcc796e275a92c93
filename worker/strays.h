/* Processes that left their attempt's process group: when their parent ends they are handed to the
 * worker, which is a subreaper. The attempt is told by SHARDMILL_ATTEMPT_ID in their environment: they
 * may live while it runs, and are ended with it. */
#pragma once

#include "worker/slot.h"

/* Ends and reaps all adopted processes of an attempt; adopted_fd of procfs_open_adopted. Thread: any. */
void strays_end_attempt(int adopted_fd, const char *attempt_id);

/* Looks at all adopted processes: reaps those that have ended, ends those that belong to no attempt or
 * runner of the slots. Returns how many it ended. Thread: the agent's. */
uint32_t strays_end(struct slot *const *slots, uint32_t slot_count);
