/* A window of a live job's shards, carried forward: it replaces what is known of the window. Applied to
 * state that is known it changes nothing. */
#include "dispatcher/core/durable/writer.h"

#include "dispatcher/core/durable/apply.h"
#include "dispatcher/core/durable/definition_table.h"
#include "dispatcher/core/durable/job_table.h"
#include "dispatcher/core/durable/lease_table.h"
#include "dispatcher/core/durable/shards.h"

static bool is_trivial(const struct job_slice *r)
{
	return r->done.count == 0 && r->dead.count == 0 && r->failed.count == 0 && r->delayed.count == 0 &&
	       r->special.count == 0 && r->leased.count == 0 && r->frontier == 0 && r->phase == 0 &&
	       !r->paused && r->plan.kind == 0 && r->cursor.size == 0 && r->planner_failures == 0 &&
	       r->started_wall_us == 0 && r->reopens == 0;
}

static void take_later(struct run *run, const struct phase_counts_list *later)
{
	free(run->later);
	run->later = later->count > 0 ? check_calloc(later->count, sizeof *run->later) : NULL;
	run->later_count = later->count;
	for (uint32_t i = 0; i < later->count; i++)
		run->later[i] = later->items[i];
}

/* Part 0: all that is not shards. */
static int take_head(struct durable *d, struct job_row *row, const struct job_slice *r, struct error *reterr)
{
	struct run *run = row->run;

	if (r->state != JOB_HELD && r->state != JOB_ACTIVE)
		return apply_corrupt(r->job, "a job that is not live is carried", reterr);
	if (run == NULL && is_trivial(r) && r->last)
		return 0;
	run = durable_run(row, r->job);
	if (r->plan.kind != 0)
		apply_plan(run, &r->plan);
	blob_set(&run->cursor, r->cursor);
	blob_set(&run->why, r->why);
	blob_set_principal(&run->paused_by, &r->paused_by);
	blob_set_principal(&run->again_by, &r->again_by);
	run->planner_failures = r->planner_failures;
	run->planner_due_wall_us = r->planner_due_wall_us;
	run->started_wall_us = r->started_wall_us;
	run->retries = r->retries;
	run->totals = r->totals;
	run->first_shards = r->first_shards;
	run->first_done = r->first_done;
	run->first_dead = r->first_dead;
	run->reopens = r->reopens;
	run->earlier = r->earlier;
	take_later(run, &r->later);
	if (!d->live)
		run->phase_lsn = d->last_lsn;
	shards_forget_notes(run);
	for (uint32_t i = 0; i < r->notes.count; i++)
		shards_note(run, &r->notes.items[i]);
	return 0;
}

static struct job_row *make_row(struct durable *d, const struct job_slice *r, struct error *reterr)
{
	struct new_job body = r->body;
	struct accepted a = {.wall_us = r->accepted_wall_us, .jobs = {.items = &body, .count = 1}};
	struct job_row *row;

	if (r->body.job != r->job || apply_accepted(d, &a, d->last_lsn, reterr) < 0) {
		apply_corrupt(r->job, "its carried body is not one", reterr);
		return NULL;
	}
	row = job_table_get(&d->jobs, r->job);
	row->state = r->state;
	row->due_wall_us = r->state == JOB_HELD ? r->body.due_wall_us : 0;
	row->phase = (uint16_t)r->phase;
	row->shard_count = r->plan.kind != 0 ? r->plan.shard_count : r->body.plan.shard_count;
	shard_waits_over(d, r->job, r->phase);
	row->flags &= (uint8_t)~JOB_SEALED;
	row->flags |= (uint8_t)((r->sealed ? JOB_SEALED : 0) | (r->paused ? JOB_PAUSED : 0) | JOB_LOADING);
	return row;
}

static int check_window(const struct job_row *row, const struct job_slice *r, struct error *reterr)
{
	int rc = apply_check_ranges(row, &r->done, reterr);
	uint64_t n = row->shard_count;
	bool ok = rc == 0 && apply_check_ranges(row, &r->blocked, reterr) == 0 &&
		  r->window_first <= r->window_end && r->window_end <= n && r->frontier <= n;

	for (uint32_t i = 0; ok && i < r->dead.count; i++)
		ok = range_is_valid((struct range){r->dead.items[i].first, r->dead.items[i].count}, n);
	for (uint32_t i = 0; ok && i < r->failed.count; i++)
		ok = range_is_valid((struct range){r->failed.items[i].first, r->failed.items[i].count}, n) &&
		     r->failed.items[i].number <= ATTEMPTS_MAX;
	for (uint32_t i = 0; ok && i < r->delayed.count; i++)
		ok = range_is_valid((struct range){r->delayed.items[i].first, r->delayed.items[i].count}, n);
	for (uint32_t i = 0; ok && i < r->special.count; i++)
		ok = range_is_valid((struct range){r->special.items[i].first, r->special.items[i].count}, n);
	for (uint32_t i = 0; ok && i < r->leased.count; i++)
		ok = apply_check_ranges(row, &r->leased.items[i].held, reterr) == 0;
	return ok ? 0 : apply_corrupt(r->job, "a carried window is out of bounds", reterr);
}

static void take_lease(struct durable *d, struct job_row *row, const struct job_slice *r,
		       const struct shard_held *h)
{
	struct lease_entry *lease = lease_find(d, h->token);

	if (lease == NULL) {
		lease = lease_add(d, h->token, worker_intern(d, h->worker), row, r->job);
		lease->attempt = h->attempt;
		lease->traits = (struct traits){h->crashes, h->doublings};
		lease->first = h->held.count > 0 ? h->held.items[0].first : 0;
	}
	for (uint32_t i = 0; i < h->held.count; i++) {
		uint64_t end = range_end(h->held.items[i]);

		shard_set_remove(&row->run->returned, h->held.items[i].first, h->held.items[i].count);
		lease_hold(lease, h->held.items[i]);
		if (end > (uint64_t)lease->first + lease->count)
			lease->count = (uint32_t)(end - lease->first);
	}
}

/* In order: what is in no set in the end, below the frontier, is pending. */
static void take_window(struct durable *d, struct job_row *row, const struct job_slice *r)
{
	struct run *run = row->run;
	struct range window = range_between(r->window_first, r->window_end);
	uint64_t end;

	shards_forget_window(run, window);
	if (run->frontier < r->frontier) { /* windows still to come are taken as pending until they do */
		shard_set_add(&run->returned, run->frontier, r->frontier - run->frontier);
		run->frontier = r->frontier;
	}
	end = r->window_end < run->frontier ? r->window_end : run->frontier;
	if (r->window_first < end)
		shard_set_add(&run->returned, r->window_first, (uint32_t)(end - r->window_first));
	for (uint32_t i = 0; i < r->done.count; i++)
		shards_done(run, r->done.items[i], NULL);
	for (uint32_t i = 0; i < r->failed.count; i++)
		for (uint32_t k = 0; k < r->failed.items[i].number; k++)
			shards_count_failure(
			    run, (struct range){r->failed.items[i].first, r->failed.items[i].count});
	for (uint32_t i = 0; i < r->dead.count; i++) {
		struct range s = {r->dead.items[i].first, r->dead.items[i].count};

		shards_take(run, s);
		shards_dead(run, s, (uint8_t)r->dead.items[i].number);
	}
	for (uint32_t i = 0; i < r->delayed.count; i++) {
		const struct shard_due *s = &r->delayed.items[i];

		shards_take(run, (struct range){s->first, s->count});
		shards_delay(run, (struct range){s->first, s->count}, s->due_wall_us,
			     (struct traits){s->crashes, s->doublings});
	}
	for (uint32_t i = 0; i < r->special.count; i++) {
		const struct shard_special *s = &r->special.items[i];

		shards_take(run, (struct range){s->first, s->count});
		shards_release(run, (struct range){s->first, s->count},
			       (struct traits){s->crashes, s->doublings});
	}
	for (uint32_t i = 0; i < r->blocked.count; i++) {
		shards_take(run, r->blocked.items[i]);
		shard_set_add(&run->blocked, r->blocked.items[i].first, r->blocked.items[i].count);
	}
	for (uint32_t i = 0; i < r->leased.count; i++)
		take_lease(d, row, r, &r->leased.items[i]);
}

/* Leases that no window holds anything of were closed in between. */
static void drop_empty_leases(struct durable *d, struct run *run)
{
	struct lease_entry *lease, *next;

	DL_FOREACH_SAFE2(run->leases, lease, next, job_next)
	if (shard_set_is_empty(&lease->held))
		lease_remove(d, lease);
}

int apply_slice(struct durable *d, const struct job_slice *r, uint64_t lsn, struct error *reterr)
{
	struct job_row *row = job_table_get(&d->jobs, r->job);
	int rc;

	if (r->part == 0 && (row == NULL || row->state == 0)) {
		row = make_row(d, r, reterr);
		if (row == NULL)
			return ERR_CORRUPT;
	} else {
		row = apply_job(d, r->job);
		if (row == NULL)
			return 0;
	}
	if (job_state_is_ended(row->state) || row->phase != r->phase)
		return apply_corrupt(r->job, "a slice of a phase that is not in work", reterr);
	if (r->part == 0) {
		d->carry_lsn = lsn;
		rc = take_head(d, row, r, reterr);
		if (rc < 0)
			return rc;
	}
	rc = check_window(row, r, reterr);
	if (rc < 0)
		return rc;
	if (row->run != NULL)
		take_window(d, row, r);
	if (r->last) {
		if (row->run != NULL)
			drop_empty_leases(d, row->run);
		row->flags &= (uint8_t)~JOB_LOADING;
		row->lsn = d->carry_lsn;
	}
	return 0;
}
