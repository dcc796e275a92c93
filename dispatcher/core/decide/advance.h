/* The rule of tolerance, apart for its table of cases. Pure. */
#pragma once

#include "dispatcher/core/volatile/state.h"

/* Dead shards that a job may have and still succeed. UINT64_MAX: not decided before the plan is whole. */
uint64_t tolerated(const struct policy *policy, bool is_shards, bool sealed, uint64_t shard_count);
