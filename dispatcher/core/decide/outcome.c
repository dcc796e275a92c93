#include "dispatcher/core/decide/lease.h"

#include "base/plant.h"
#include "dispatcher/core/durable/apply.h"
#include "dispatcher/core/volatile/estimate.h"
#include "dispatcher/core/durable/lease_table.h"
#include "dispatcher/core/volatile/sessions.h"
#include "dispatcher/core/durable/shards.h"
#include "dispatcher/core/decide/steps.h"
#include "dispatcher/core/volatile/timers.h"
#include "dispatcher/core/volatile/trouble.h"
#include "dispatcher/core/volatile/turns.h"
#include "dispatcher/core/decide/verdict.h"

enum token_age token_age_of(const struct dispatcher_core *core, const struct worker *worker,
			    const struct outcome *o, struct lease_entry **ret)
{
	struct lease_entry *lease = lease_find(&core->d, o->token);

	*ret = NULL;
	if (lease == NULL)
		return TOKEN_GONE;
	if (lease->worker != worker || lease->job != o->job || lease->phase != o->phase)
		return TOKEN_FOREIGN;
	*ret = lease;
	return TOKEN_CURRENT;
}

/* What is decided of one outcome: the shards that each list may still speak for shrink as it goes. */
struct decision {
	struct dispatcher_core *core;
	struct session *session; /* that tells of it */
	struct job_row *row;
	struct lease_entry *lease; /* the current one, or NULL */
	struct shard_set left;	   /* that the token still holds */
	struct shard_set fresh;	   /* newly done */
	struct outcome_taken *taken;
};

static uint64_t done_in(const struct decision *d, struct range r)
{
	uint64_t n = shard_set_intersect_count(&d->fresh, r);

	return d->row->run != NULL ? n + shard_set_intersect_count(&d->row->run->done, r) : n;
}

/* The parts of r that the token holds, taken out of `left`, into a list of the step. */
static struct range_list take_held(struct decision *d, struct range r)
{
	struct range_list list = {0};
	uint64_t held = 0;
	struct range part;

	if (!range_is_valid(r, d->row->shard_count)) {
		d->core->strange++;
		return list;
	}
	for (uint64_t at = r.first; shard_set_next_range(&d->left, at, &part) && part.first < range_end(r);
	     at = range_end(part))
		list.count++;
	list.items = step_alloc(d->core, list.count * sizeof part);
	list.count = 0;
	for (uint64_t at = r.first; shard_set_next_range(&d->left, at, &part) && part.first < range_end(r);
	     at = range_end(part)) {
		list.items[list.count] = range_intersect(part, r);
		held += list.items[list.count++].count;
	}
	shard_set_remove(&d->left, r.first, r.count);
	if (held < r.count) {
		uint64_t known = done_in(d, r);

		durable_count(&d->core->d, r.count - held > known ? r.count - held - known : 0, known);
	}
	return list;
}

static void append_range(struct dispatcher_core *core, struct range_list *list, struct range r)
{
	struct range *items = list->items;

	if ((list->count & (list->count - 1)) == 0) { /* a power of two: full */
		items = step_alloc(core, (list->count == 0 ? 1 : 2ul * list->count) * sizeof r);
		for (uint32_t i = 0; i < list->count; i++)
			items[i] = list->items[i];
		list->items = items;
	}
	items[list->count++] = r;
}

/* What the token still holds of it goes back: it may not count. */
static void give_back(struct decision *d, struct range r)
{
	struct range_list parts = take_held(d, r);

	for (uint32_t i = 0; i < parts.count; i++)
		append_range(d->core, &d->taken->returned, parts.items[i]);
}

static void decide_done(struct decision *d, const struct range_list *done, bool whole)
{
	for (uint32_t i = 0; i < done->count; i++) {
		struct range r = done->items[i];

		if (!range_is_valid(r, d->row->shard_count)) {
			d->core->strange++;
			continue;
		}
		if (whole && done_in(d, r) > 0 && !PLANTED(whole_counted_in_part)) {
			give_back(d, r);
			continue;
		}
		durable_count(&d->core->d, 0, done_in(d, r));
		shard_set_add(&d->fresh, r.first, r.count);
		shard_set_remove(&d->left, r.first, r.count);
	}
	if (d->row->run != NULL && !PLANTED(duplicate_report_counted))
		shard_set_subtract(&d->fresh, &d->row->run->done);
	d->taken->done.items = step_alloc(d->core, shard_set_run_count(&d->fresh) * sizeof(struct range));
	d->taken->done.count = (uint32_t)shard_set_ranges(&d->fresh, &(uint64_t){0}, d->taken->done.items,
							  shard_set_run_count(&d->fresh));
}

static void append_failure(struct dispatcher_core *core, struct shard_failure_list *list,
			   struct shard_failure f)
{
	struct shard_failure *items = list->items;

	if ((list->count & (list->count - 1)) == 0) {
		items = step_alloc(core, (list->count == 0 ? 1 : 2ul * list->count) * sizeof f);
		for (uint32_t i = 0; i < list->count; i++)
			items[i] = list->items[i];
		list->items = items;
	}
	items[list->count++] = f;
}

/* A bucket that is there already has its timer. */
static void await_due(struct dispatcher_core *core, uint64_t job, const struct run *run, usec_t due_us)
{
	for (uint32_t i = 0; i < run->delayed_count; i++)
		if (run->delayed[i].due_wall_us == due_us)
			return;
	timer_add(&core->retries, due_us, job);
}

static void decide_failure(struct decision *d, const struct failure *f)
{
	const struct policy *policy = job_policy(d->core, d->row);
	struct range_list parts = take_held(d, (struct range){f->first, f->count});

	if (PLANTED(token_not_compared) && parts.count == 0 && d->row->run != NULL &&
	    range_is_valid((struct range){f->first, f->count}, d->row->shard_count))
		append_range(d->core, &parts, (struct range){f->first, f->count});
	for (uint32_t i = 0; i < parts.count; i++) {
		uint64_t at = parts.items[i].first, end;

		if (!failure_is_own(f->kind) && !PLANTED(trouble_costs_a_retry)) {
			append_range(d->core, &d->taken->returned, parts.items[i]);
			if (failure_is_workers(f->kind))
				trouble_met(d->core, d->session, d->taken->job, d->row->run, f,
					    parts.items[i]);
			continue;
		}
		for (; at < range_end(parts.items[i]); at = end) {
			uint32_t times =
			    shards_failures(d->row->run, (uint32_t)at, range_end(parts.items[i]), &end);
			struct shard_failure v = {.first = (uint32_t)at,
						  .count = (uint32_t)(end - at),
						  .kind = f->kind,
						  .code = f->code,
						  .why = f->why,
						  .segment = f->segment};

			if (v.why.size > WHY_BYTES_MAX)
				v.why.size = WHY_BYTES_MAX;
			verdict_failure(d->core, policy, times + 1, &v);
			if (!v.dead) {
				v.segment = 0; /* there is another attempt, whose output says more */
				await_due(d->core, d->taken->job, d->row->run, v.due_wall_us);
			}
			append_failure(d->core, &d->taken->failed, v);
		}
	}
}

static uint64_t count_ranges(const struct range_list *list)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < list->count; i++)
		n += list->items[i].count;
	return n;
}

static uint64_t count_failures(const struct shard_failure_list *list)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < list->count; i++)
		n += list->items[i].count;
	return n;
}

static void append_taken(struct dispatcher_core *core, struct outcome_taken_list *list,
			 struct outcome_taken o)
{
	struct outcome_taken *items = list->items;

	if ((list->count & (list->count - 1)) == 0) {
		items = step_alloc(core, (list->count == 0 ? 1 : 2ul * list->count) * sizeof o);
		for (uint32_t i = 0; i < list->count; i++)
			items[i] = list->items[i];
		list->items = items;
	}
	items[list->count++] = o;
}

static void apply_taken(struct dispatcher_core *core, struct outcome_taken_list *list,
			const struct outcome_taken *o)
{
	struct error err = {0};
	int rc = apply_outcome(&core->d, o, &err);

	CHECK(rc == 0);
	append_taken(core, list, *o);
}

/* Leases that a late success of another left with nothing. */
static void close_empty(struct dispatcher_core *core, struct job_row *row, struct outcome_taken_list *list)
{
	struct lease_entry *lease, *next;

	DL_FOREACH_SAFE2(row->run->leases, lease, next, job_next)
	{
		struct outcome_taken o = {
		    .token = lease->token, .job = lease->job, .phase = lease->phase, .closed = true};

		if (!shard_set_is_empty(&lease->held))
			continue;
		if (lease->worker->session != NULL)
			session_is_hungry(core, lease->worker->session);
		apply_taken(core, list, &o);
	}
}

/* A worker at which everything fails, of more than one job, while others succeed. */
static void judge_worker(struct dispatcher_core *core, struct session *s, uint64_t job, uint64_t done,
			 uint64_t failed)
{
	s->done_shards += done;
	s->failed_shards += failed;
	core->shards_done += done;
	core->shards_failed += failed;
	if (done + failed > 0 && s->trouble.kind != 0) {
		trouble_is_over(s);
		worker_changed(core, s);
	}
	if (done > 0) {
		s->streak = s->streak_jobs = 0;
		return;
	}
	if (failed == 0)
		return;
	if (s->streak == 0) {
		s->streak_done = core->shards_done;
		s->streak_job = 0;
	}
	s->streak += failed > UINT32_MAX - s->streak ? 0 : (uint32_t)failed;
	if (job != s->streak_job) {
		s->streak_job = job;
		s->streak_jobs++;
	}
	if (s->quarantined || s->streak < core->config.quarantine_after || s->streak_jobs < 2 ||
	    core->shards_done == s->streak_done)
		return;
	s->quarantined = core->quarantine = true;
	tell(core, true, job,
	     step_text(core,
		       "worker %s gets no more work: its last %u shards failed, of %u jobs, "
		       "while other workers succeeded",
		       step_uuid(core, &s->worker->id), s->streak, s->streak_jobs));
}

static void count_late(struct dispatcher_core *core, const struct outcome *o)
{
	uint64_t late = count_ranges(&o->done) + count_ranges(&o->returned);

	for (uint32_t i = 0; i < o->failed.count; i++)
		late += o->failed.items[i].count;
	durable_count(&core->d, late, 0);
}

/* No token of an earlier epoch is known for sure; of this one all are, but for those that were adopted. */
static bool was_never_granted(const struct dispatcher_core *core, struct token t)
{
	return t.epoch > core->d.epoch || (t.epoch == core->d.epoch && t.lease > core->next_lease) ||
	       t.epoch == 0 || t.lease == 0;
}

/* A job that was reopened gathers anew: what gathered in an earlier life did not have all that is now done.
 */
static bool is_stale(const struct dispatcher_core *core, const struct job_row *row, struct token t)
{
	return row->phase != phases_shards(&job_definition(core, row)->body) && job_token_is_earlier(row, t);
}

static void decide(struct decision *d, const struct outcome *o)
{
	decide_done(d, &o->done, o->whole);
	for (uint32_t i = 0; i < o->failed.count; i++)
		decide_failure(d, &o->failed.items[i]);
	for (uint32_t i = 0; i < o->returned.count; i++)
		give_back(d, o->returned.items[i]);
	d->taken->closed = d->lease != NULL && shard_set_is_empty(&d->left);
}

/* What ended is charged as it was, what came back not at all. */
static void serve(struct dispatcher_core *core, const struct decision *d, double run_us)
{
	uint32_t held = shard_set_count(&d->lease->held);
	uint32_t returned = (uint32_t)count_ranges(&d->taken->returned);
	uint32_t ended = held - shard_set_count(&d->left) - returned;

	if (ended > 0)
		turns_correct(core, &d->lease->charge, d->lease->shape, ended, held, run_us);
	if (returned > 0)
		turns_refund(&d->lease->charge, returned, held - ended);
}

/* The first attempt of the only shard of a job that has no other phase, if it is done: the job's own row in
 * history says the same. Millions of such jobs are to stay short. */
static bool says_what_the_job_says(const struct dispatcher_core *core, const struct job_row *row,
				   const struct outcome *o)
{
	return row->shard_count == 1 && o->attempt <= 1 && o->efforts.count == 1 &&
	       o->efforts.items[0].kind == 0 && o->efforts.items[0].code == 0 &&
	       job_definition(core, row)->body.phases.count == 1;
}

void outcome_take(struct dispatcher_core *core, struct session *s, const struct outcome *o,
		  struct outcome_taken_list *list)
{
	struct outcome_taken taken = {.token = o->token,
				      .job = o->job,
				      .phase = o->phase,
				      .totals = o->totals,
				      .segment = o->segment,
				      .attempt = o->attempt,
				      .efforts = o->efforts};
	struct decision d = {.core = core, .session = s, .row = job_get_live(core, o->job), .taken = &taken};
	uint64_t done, failed;
	bool foreign;

	if (d.row == NULL || d.row->state != JOB_ACTIVE || d.row->phase != o->phase ||
	    is_stale(core, d.row, o->token)) {
		count_late(core, o);
		return;
	}
	if (token_age_of(core, s->worker, o, &d.lease) == TOKEN_GONE && was_never_granted(core, o->token)) {
		core->strange++;
		return;
	}
	if (d.lease != NULL)
		shard_set_copy(&d.left, &d.lease->held);
	if (says_what_the_job_says(core, d.row, o))
		taken.efforts = (struct effort_list){.count = taken.attempt = 0};
	decide(&d, o);
	foreign = d.lease == NULL || shard_set_count(&d.lease->held) - shard_set_count(&d.left) <
					 count_ranges(&taken.done) + count_failures(&taken.failed) +
					     count_ranges(&taken.returned);
	done = count_ranges(&taken.done);
	failed = count_failures(&taken.failed);
	if (d.lease != NULL && done + failed > 0)
		d.lease->since_us = core->mono_us;
	if (d.lease != NULL)
		d.lease->revoked_us = taken.returned.count > 0 ? 0 : d.lease->revoked_us;
	estimate_take(core, d.row, o->totals.run_us, done + failed, d.lease != NULL ? d.lease->count : 1);
	if (d.lease != NULL)
		serve(core, &d, (double)o->totals.run_us);
	shard_set_fini(&d.left);
	shard_set_fini(&d.fresh);
	if (done + failed + taken.returned.count > 0 || taken.closed) {
		apply_taken(core, list, &taken);
		if (foreign)
			close_empty(core, d.row, list);
	}
	judge_worker(core, s, o->job, done, failed);
}
