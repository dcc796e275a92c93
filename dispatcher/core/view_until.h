/* Until when something runs: for the views. Pure. */
#pragma once

#include "dispatcher/core/durable/state.h"
#include "dispatcher/core/view.h"

/* The sooner of *ret and the next end of a shard of the lease. */
void until_lease(const struct dispatcher_core *core, const struct lease_entry *lease, struct view_until *ret);
/* Until a live job's phase in work has ended, as many of its shards running at a time as now. */
void until_job(const struct dispatcher_core *core, uint64_t job, struct view_until *ret);
