/* Which phase of a definition is which: [plan,] shards[, gather and the levels of its tree]. Pure. */
#pragma once

#include "jobs/schema.h"

#define PHASES_MAX 3 /* of a definition: plan, shards, gather; levels of a gather tree share its own */

/* The phase that a job's shards are: what comes before plans it, what comes behind gathers it. */
static inline uint32_t phases_shards(const struct definition_body *body)
{
	return body->items_planner != 0 ? 1 : 0;
}

static inline bool phases_have_gather(const struct definition_body *body)
{
	return body->phases.count > phases_shards(body) + 1;
}
