/* Named resources have numbers in the core, from when they are first seen, NAMED_RESOURCES_MAX at most:
 * resources in words as vectors (jobs/amounts.h), and back. Volatile. Pure. */
#pragma once

#include "dispatcher/core/volatile/state.h"

/* What an attempt needs. ERR_LIMIT when a name is new and there is no number left, or when it fits nowhere.
 */
int amounts_of_shape(struct dispatcher_core *core, const struct resources *r, struct amounts *ret,
		     struct error *reterr) MUST_CHECK;
/* What a worker offers: memory 0 is not bounded; names beyond the bound are left out. */
void amounts_of_offer(struct dispatcher_core *core, const struct resources *r, struct amounts *ret);
/* Back into words, in the arena. */
void amounts_to_resources(const struct dispatcher_core *core, const struct amounts *a, struct resources *ret,
			  struct arena *arena);
void resource_names_fini(struct dispatcher_core *core);
