/* Versions of definitions, once each, by hash; counted by the jobs that name them. Pure. */
#pragma once

#include "dispatcher/core/durable/state.h"

/* NULL when the hash (32 bytes) is not known at all. */
struct definition *definition_find(const struct definition_table *t, struct bytes sha256);
static inline struct definition *definition_at(const struct definition_table *t, uint32_t index)
{
	return t->items[index];
}

/* The policy of a phase: levels of a gather tree share the last one's. CHECKs that it is known. */
uint32_t definition_phase(const struct definition *d, uint32_t phase);
const struct policy *definition_policy(const struct definition *d, uint32_t phase);
