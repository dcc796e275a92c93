/* What a new job says of itself beside its plan: who asks, whose share it takes, when it may run. Only what
 * is well formed is ever written. */
#include "base/limits.h"
#include "dispatcher/core/decide/steps.h"
#include "dispatcher/core/durable/waits.h"
#include "jobs/principal.h"

/* Of deadline and start_by, counted from when the job is accepted. */
#define LATEST_US ((usec_t)USEC_PER_SEC * 86400 * 366 * 100)

static int too_long(const char *what, size_t max, struct error *reterr)
{
	return error_set(reterr, ERR_INVALID, "expected at most %zu bytes for %s", max, what);
}

static int check_texts(const struct new_job *j, struct error *reterr)
{
	if (j->owner.size > KEY_BYTES_MAX)
		return too_long("a job's owner", KEY_BYTES_MAX, reterr);
	if (j->fair_key.size > KEY_BYTES_MAX)
		return too_long("a job's fairness key", KEY_BYTES_MAX, reterr);
	if (j->traceparent.size > TRACE_BYTES_MAX || j->tracestate.size > TRACE_BYTES_MAX)
		return too_long("a trace context", TRACE_BYTES_MAX, reterr);
	if (j->concurrency.group.size > KEY_BYTES_MAX)
		return too_long("a concurrency group", KEY_BYTES_MAX, reterr);
	if (j->pools.count > POOL_LABELS_MAX)
		return error_set(reterr, ERR_INVALID, "expected at most %d labels of pools, found %u",
				 POOL_LABELS_MAX, j->pools.count);
	for (uint32_t i = 0; i < j->pools.count; i++)
		if (j->pools.items[i].text.size == 0 || j->pools.items[i].text.size > NAME_BYTES_MAX)
			return error_set(reterr, ERR_INVALID, "expected labels of 1 to %d bytes",
					 NAME_BYTES_MAX);
	return 0;
}

int accept_check_asked(const struct new_job *j, struct error *reterr)
{
	int rc = principal_check(&j->by, reterr);

	if (rc == 0)
		rc = check_texts(j, reterr);
	if (rc < 0)
		return rc;
	if (j->rate.count > 0 && j->rate.per_us <= 0)
		return error_set(reterr, ERR_INVALID, "expected a time in which %u shards may start",
				 j->rate.count);
	if (j->start_by_wall_us < 0 || j->deadline_wall_us < 0 || j->start_by_wall_us > LATEST_US ||
	    j->deadline_wall_us > LATEST_US)
		return error_set(reterr, ERR_INVALID, "expected times of at most 100 years");
	if (j->concurrency.group.size > 0 &&
	    (j->concurrency.limit == 0 || j->concurrency.mode < CONCURRENCY_QUEUE ||
	     j->concurrency.mode > CONCURRENCY_CANCEL_RUNNING))
		return error_set(reterr, ERR_INVALID, "expected a limit of the group, and %s",
				 concurrency_mode_names());
	if (j->after.count > AFTER_JOBS_MAX)
		return error_set(reterr, ERR_INVALID, "expected at most %d jobs to wait for, found %u",
				 AFTER_JOBS_MAX, j->after.count);
	for (uint32_t i = 0; i < j->after.count; i++)
		if (j->after.items[i].job == 0 || j->after.items[i].condition < AFTER_ANY ||
		    j->after.items[i].condition > AFTER_SHARD)
			return error_set(reterr, ERR_INVALID,
					 "expected jobs to wait for, each until it is %s",
					 after_condition_names());
	if (j->after.count - after_ends(&j->after) > 1)
		return error_set(reterr, ERR_INVALID, "shards can wait for those of one other job");
	if (j->blocked.count > 0)
		return error_set(reterr, ERR_INVALID, "which shards wait, the core finds out by itself");
	return 0;
}
