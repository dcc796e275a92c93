/* The index of runnable jobs, by (resource shape, queue, priority): a job stands in it while it has
 * shards that a worker could begin now. And the demand of each shape. Volatile. Pure. */
#pragma once

#include "dispatcher/core/volatile/state.h"

/* Shards of the phase in work that can be leased together with others, resp. only by themselves on a
 * worker that has nothing else, or with more memory than the shape (hard). 0 unless the job is active,
 * not paused, its commits durable and (gather) its inputs in history; no more than max_running and the rate
 * allow. */
uint64_t runnable_shards(const struct dispatcher_core *core, uint64_t job, const struct job_row *row,
			 uint64_t *hard);
/* After anything about the job changed: takes it in or out, and counts its demand anew. */
void runnable_refresh(struct dispatcher_core *core, uint64_t job, struct job_row *row);
/* The same of all jobs with a rate. */
void runnable_refresh_paced(struct dispatcher_core *core);
/* Out of it, before its run goes. */
void runnable_remove(struct dispatcher_core *core, uint64_t job, struct job_row *row);
bool runnable_is_hard(struct range shards, struct traits traits);
void runnable_fini(struct dispatcher_core *core);
