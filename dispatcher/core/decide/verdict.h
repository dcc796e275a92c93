/* What a failure means: another attempt, and when, or none. Pure. */
#pragma once

#include "dispatcher/core/volatile/state.h"

/* Before attempt failures + 1: exponential, full jitter; 0..backoff_max. Draws from the core's rng. */
usec_t backoff_us(struct dispatcher_core *core, const struct policy *policy, uint32_t failures);
/* No due time was ever further ahead than this when it was set. */
usec_t backoff_longest_us(const struct policy *policy);
/* `failures` counts this one. Fills dead, due_wall_us and larger of f. */
void verdict_failure(struct dispatcher_core *core, const struct policy *policy, uint32_t failures,
		     struct shard_failure *f);
