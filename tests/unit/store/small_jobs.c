#include "tests/unit/store/small_jobs.h"

#include <stdio.h>

#include "jobs/kinds.h"

const struct uuid small_jobs_worker = {0x77, 1};

void small_job_accept(struct history_kit *k, uint64_t job)
{
	struct new_job j = {.job = job,
			    .planner = PLANNER_PURE,
			    .definition = BYTES(history_kit_sha, 32),
			    .name = BYTES_LIT("small"),
			    .priority = job % 3 == 0 ? 5 : 1,
			    .plan = {.kind = PLAN_COUNT, .shard_count = 1},
			    .by = {.kind = BY_UID, .name = BYTES_LIT("ann"), .number = 1000},
			    .owner = BYTES_LIT("lab"),
			    .event_id_hi = 0xe0,
			    .event_id_lo = job};
	char json[100];
	struct accepted a = {.wall_us = (usec_t)(1000 * job), .jobs = {&j, 1}};

	snprintf(json, sizeof json,
		 "{\"detail\":{\"object\":{\"key\":\"in/%llu\"}},\"id\":\"e-%llu\",\"source\":\"camera\"}",
		 (unsigned long long)job % 10, (unsigned long long)job);
	a.event = bytes_of(json);
	history_kit_add(k, RECORD_ACCEPTED, &a);
}

static struct effort an_effort(uint64_t job, uint8_t kind)
{
	return (struct effort){.count = 1,
			       .kind = kind,
			       .code = kind != 0 ? 3 : 0,
			       .start_wall_us = (usec_t)(1000 * job + 10),
			       .totals = {.run_us = 40, .output_bytes = 7}};
}

void small_job_outcome(struct history_kit *k, uint64_t job, bool done, bool dead, uint32_t segment)
{
	struct range all = {0, 1};
	struct effort e = an_effort(job, done ? 0 : FAILURE_EXIT);
	struct shard_failure f = {.count = 1,
				  .kind = FAILURE_EXIT,
				  .code = 3,
				  .dead = dead,
				  .why = BYTES_LIT("it said no"),
				  .segment = segment};
	struct outcome_taken o = {.token = {3, job},
				  .job = job,
				  .segment = segment,
				  .attempt = 1,
				  .done = {&all, done},
				  .failed = {&f, !done},
				  .efforts = {&e, 1}};
	struct outcomes_taken r = {
	    .worker = small_jobs_worker, .wall_us = (usec_t)(1000 * job + 50), .outcomes = {&o, 1}};

	history_kit_add(k, RECORD_OUTCOMES, &r);
}

void small_job_end(struct history_kit *k, uint64_t job, enum job_state state)
{
	struct job_ended e = {.job = job,
			      .state = (uint8_t)state,
			      .why =
				  state == JOB_SUCCEEDED ? (struct bytes){0} : BYTES_LIT("its shard is dead"),
			      .shards = 1,
			      .done = state == JOB_SUCCEEDED,
			      .dead = state == JOB_FAILED,
			      .totals = {.run_us = 40, .output_bytes = 7},
			      .accepted_wall_us = (usec_t)(1000 * job),
			      .started_wall_us = (usec_t)(1000 * job + 10),
			      .wall_us = (usec_t)(1000 * job + 50),
			      .name = BYTES_LIT("small"),
			      .definition = BYTES(history_kit_sha, 32),
			      .event_id_hi = 0xe0,
			      .event_id_lo = job,
			      .by = {.kind = BY_UID, .name = BYTES_LIT("ann"), .number = 1000},
			      .owner = BYTES_LIT("lab")};

	history_kit_add(k, RECORD_ENDED, &e);
}

void small_jobs_run(struct history_kit *k, uint64_t first, uint64_t last)
{
	for (uint64_t job = first; job <= last; job++)
		small_job_accept(k, job);
	for (uint64_t job = first; job <= last; job++) {
		small_job_outcome(k, job, true, false, 1 + (uint32_t)(job / 100));
		small_job_end(k, job, JOB_SUCCEEDED);
		if (k->records.size > 8000) /* the kit would do so between the two */
			history_kit_commit(k);
	}
}
