/* Resources that the cluster has together, such as licences of a floating pool: so much of each may be leased
 * at a time, wherever. What is used follows from the leases that are out, so that nothing of it can be lost.
 * A shape that needs some is leased one shard at a time, and never ahead: a lease then is a shard that runs,
 * or is about to. Volatile. Pure. */
#pragma once

#include "dispatcher/core/volatile/state.h"

/* Takes the names of the configuration, before any shape comes. */
void shared_init(struct dispatcher_core *core);
/* What is shared of need goes to ret_shared: a worker is asked only for the rest. false: nothing is. */
bool shared_split(const struct dispatcher_core *core, struct amounts *need, struct amounts *ret_shared);
/* By all leases that are out. O(shapes). */
void shared_used(const struct dispatcher_core *core, struct amounts *ret);
/* Leases of this shape that may still be given out; UINT64_MAX when it needs nothing that is shared. */
uint64_t shared_room(const struct dispatcher_core *core, const struct shape *shape);
/* Is there less in use than when this was asked last? Then others may have it. */
bool shared_came_back(struct dispatcher_core *core);
/* Does all that is runnable wait for what is shared? */
bool shared_blocks_all(const struct dispatcher_core *core);
/* CHECKs that each shape knows its leases. */
void shared_check(const struct dispatcher_core *core);
