/* Definition + event = job. Pure. */
#pragma once

#include "jobs/definition.h"

/* Fills *ret (in the arena; it borrows the definition's texts): definition, name, priority, depth,
 * fair_key, max_running, rate, concurrency, planner, plan, values, and deadline and start_by as durations.
 * event may be NULL: then nothing may name it. job_name empty = the definition's name with the event's
 * values. job, due_wall_us and event_id are the caller's. The plan is whole (PLANNER_PURE) when the
 * definition says all of it, and of an object to cut when `of` is exactly {{event.object}} and the event
 * knows size and eTag; else shard_count is 0 and `planner` says who plans: SIZE with url, step_bytes and
 * align, LINES and JSON_LINES with url. ERR_INVALID: a value the event lacks, a URL that is none; ERR_LIMIT:
 * too many shards, a name that is too long, or a chain of jobs deeper than CHAIN_DEPTH_MAX. */
int definition_instantiate(const struct definition *d, const struct event *event, struct bytes job_name,
			   struct arena *arena, struct new_job *ret, struct error *reterr) MUST_CHECK;
