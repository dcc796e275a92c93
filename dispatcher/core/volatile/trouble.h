/* Trouble that a worker met when it ran shards of anybody (failure_is_workers): what is told of the worker,
 * and which shards were there too often to be a coincidence. Volatile. Pure. */
#pragma once

#include "dispatcher/core/volatile/state.h"

/* The session's worker could not run r of the job, or could not keep its output. */
void trouble_met(struct dispatcher_core *core, struct session *s, uint64_t job, struct run *run,
		 const struct failure *f, struct range r);
/* It ran something to an end. */
void trouble_is_over(struct session *s);
/* It has trouble, and offers nothing until it has waited. */
bool trouble_rests(const struct session *s);
/* Returned shards that met trouble on crashes_max attempts: each runs alone next, so that it is known whose
 * trouble it is. Their number; the first range of those (alone), or of the returned ones that may run with
 * others. */
uint64_t trouble_alone_count(const struct run *run);
bool trouble_next_returned(const struct run *run, bool alone, struct range *ret);
void trouble_clear(struct run *run);
