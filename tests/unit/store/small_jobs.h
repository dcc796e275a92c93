/* Records of jobs of one shard, as the core would write them. Job n comes from event e-n, whose object's key
 * is in/(n mod 10), is accepted at 1000 n us, starts 10 us and ends 50 us later; each third has another
 * priority. */
#pragma once

#include "jobs/kinds.h"
#include "tests/unit/store/history_kit.h"

extern const struct uuid small_jobs_worker;

void small_job_accept(struct history_kit *k, uint64_t job);
/* Of its only attempt: done, dead, or to be tried again. */
void small_job_outcome(struct history_kit *k, uint64_t job, bool done, bool dead, uint32_t segment);
void small_job_end(struct history_kit *k, uint64_t job, enum job_state state);
/* All of it; outputs lie in segment 1 + job / 100. */
void small_jobs_run(struct history_kit *k, uint64_t first, uint64_t last);
