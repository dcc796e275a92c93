/* A job that waits for the ends of others: which of these are known when it is accepted, and what follows
 * when they have ended. */
#include "dispatcher/core/durable/waits.h"

#include <stdlib.h>

#include "dispatcher/core/durable/apply.h"
#include "dispatcher/core/decide/steps.h"
#include "dispatcher/core/volatile/timers.h"

static int compare_fact(const void *key, const void *item)
{
	uint64_t job = *(const uint64_t *)key, other = ((const struct ended_fact *)item)->job;

	return (job > other) - (job < other);
}

static const struct ended_fact *fact_of(const struct ended_fact_list *facts, uint64_t job)
{
	return facts->count == 0
		   ? NULL
		   : bsearch(&job, facts->items, facts->count, sizeof *facts->items, compare_fact);
}

/* How it ended; 0: it is live. False: nobody knows the job. */
static bool find_state(const struct dispatcher_core *core, const struct ended_fact_list *facts, uint64_t job,
		       uint8_t *ret)
{
	const struct job_row *row = job_get(core, job);
	const struct ended_fact *f;

	*ret = 0;
	if (row != NULL) {
		*ret = job_state_is_ended(row->state) ? row->state : 0;
		return true;
	}
	if (job >= core->d.next_job)
		return false;
	f = fact_of(facts, job);
	if (f != NULL)
		*ret = f->state;
	return f != NULL && job_state_is_ended(f->state);
}

static int check_facts(const struct ended_fact_list *facts, struct error *reterr)
{
	for (uint32_t i = 0; i < facts->count; i++)
		if ((!job_state_is_ended(facts->items[i].state) && facts->items[i].shards == 0) ||
		    (i > 0 && facts->items[i - 1].job >= facts->items[i].job))
			return error_set(reterr, ERR_INVALID, "expected jobs that have ended, in order");
	return 0;
}

int wait_check(const struct dispatcher_core *core, const struct ended_fact_list *facts,
	       const struct new_job *j, struct error *reterr)
{
	int rc = check_facts(facts, reterr);
	uint8_t state;

	for (uint32_t i = 0; rc == 0 && i < j->after.count; i++) {
		unsigned long long job = j->after.items[i].job;

		if (find_state(core, facts, job, &state) || j->after.items[i].condition == AFTER_SHARD)
			continue;
		if (fact_of(facts, job) != NULL) { /* only of its shards: it was live then */
			rc = error_set(reterr, ERR_BUSY, "job %llu has just ended", job);
			error_help(reterr, "try again");
			continue;
		}
		rc = error_set(reterr, ERR_INVALID, "there is no job %llu to wait for", job);
		error_help(reterr, "`shardmill jobs` lists those that can be named");
	}
	return rc;
}

static const char *broken_words(struct dispatcher_core *core, uint64_t job, uint8_t condition, uint8_t state)
{
	return step_text(core, "it was to start only if job %llu %s, and that %s %s", (unsigned long long)job,
			 condition == AFTER_FAILED ? "failed" : "succeeded",
			 state == JOB_CANCELLED ? "was" : "has", job_state_name(state));
}

struct after_job_list wait_left(struct dispatcher_core *core, const struct ended_fact_list *facts,
				const struct new_job *j, const char **why)
{
	struct after_job_list left = {0};

	*why = NULL;
	if (j->after.count > 0)
		left.items = step_alloc(core, j->after.count * sizeof *left.items);
	for (uint32_t i = 0; i < j->after.count && *why == NULL; i++) {
		const struct after_job *a = &j->after.items[i];
		uint8_t state;

		if (a->condition == AFTER_SHARD)
			continue; /* shard_waits.c */
		CHECK(find_state(core, facts, a->job, &state));
		if (state == 0)
			left.items[left.count++] = *a;
		else if (!after_is_met(a->condition, state))
			*why = broken_words(core, a->job, a->condition, state);
	}
	if (*why != NULL)
		left.count = 0;
	return left;
}

bool wait_end_broken(struct dispatcher_core *core, uint64_t job)
{
	const struct waiter *w = waiter_find(&core->d, job);
	const struct principal by = {.kind = BY_DISPATCHER};

	if (w == NULL || w->broken.parent == 0)
		return false;
	job_end(core, job, JOB_CANCELLED,
		broken_words(core, w->broken.parent, w->broken.condition, w->broken.state), &by);
	return true;
}

uint64_t wait_settle_one(struct dispatcher_core *core)
{
	uint64_t job = durable_take_waited(&core->d);
	struct job_changed r = {.job = job, .change = CHANGE_ACTIVATED, .wall_us = core->wall_us};
	const struct job_row *row;

	if (job == 0 || wait_end_broken(core, job))
		return job;
	row = job_get_live(core, job);
	if (row->state == JOB_HELD && row->due_wall_us > core->wall_us) {
		timer_add(&core->held, row->due_wall_us, job);
		return job;
	}
	if (row->state == JOB_HELD && group_arrives(core, job))
		return job;
	core->held_jobs--;
	if (row->state == JOB_HELD) /* it was due while it waited */
		emit(core, RECORD_JOB_CHANGED, &r);
	else
		durable_touch(&core->d, job);
	return job;
}
