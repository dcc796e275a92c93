/* Vectors of resources: what a worker offers, what attempts need. Pure.
 * Named resources get a number in the core when they are first seen, NAMED_RESOURCES_MAX at most. */
#pragma once

#include "dispatcher/core/volatile/state.h"

/* More than anybody asks for: what a worker offers of something that it does not bound. */
#define AMOUNT_UNBOUNDED (UINT64_MAX / 4)

enum { AMOUNT_CPU, AMOUNT_MEMORY, AMOUNT_GPUS, AMOUNT_NAMED };

/* What an attempt needs. ERR_LIMIT when a name is new and there is no number left. */
int amounts_of_shape(struct dispatcher_core *core, const struct resources *r, struct amounts *ret,
		     struct error *reterr) MUST_CHECK;
/* What a worker offers: memory 0 is not bounded; names beyond the bound are left out. */
void amounts_of_offer(struct dispatcher_core *core, const struct resources *r, struct amounts *ret);
/* Back into words, in the arena. */
void amounts_to_resources(const struct dispatcher_core *core, const struct amounts *a, struct resources *ret,
			  struct arena *arena);

void amounts_add(struct amounts *a, struct amounts b);
void amounts_subtract(struct amounts *a, struct amounts b); /* CHECKs that it is there */
/* With twice the memory, `doublings` times. */
struct amounts amounts_doubled(const struct amounts *a, uint32_t doublings);
/* used + need <= offered, in everything. */
bool amounts_fit(const struct amounts *used, const struct amounts *need, const struct amounts *offered);
/* How many of need are in offered. */
uint64_t amounts_slots(const struct amounts *offered, const struct amounts *need);
