/* What records do to jobs, their plans and their phases. */
#include "dispatcher/core/durable/writer.h"

#include "base/plant.h"
#include "dispatcher/core/durable/apply.h"
#include "dispatcher/core/durable/dedup.h"
#include "dispatcher/core/durable/definition_table.h"
#include "dispatcher/core/durable/job_table.h"
#include "dispatcher/core/durable/lease_table.h"
#include "dispatcher/core/durable/shard_waits.h"
#include "dispatcher/core/durable/shards.h"
#include "dispatcher/core/durable/waits.h"
#include "jobs/plan.h"

struct job_row *apply_new_row(struct durable *d, uint64_t job)
{
	struct job_row *row = job_table_get(&d->jobs, job);

	if (row == NULL)
		return job_table_add(&d->jobs, job);
	CHECK(row->state == 0);
	d->noted_count--;
	*row = (struct job_row){0};
	return row;
}

void apply_fill_row(struct durable *d, struct job_row *row, const struct new_job *j, usec_t wall_us)
{
	struct definition *def = definition_intern(&d->definitions, j->definition);
	struct new_job body = *j;

	def->references++;
	row->definition = def->index;
	row->state = j->due_wall_us > 0 || after_ends(&j->after) > 0 || j->concurrency.group.size > 0
			 ? JOB_HELD
			 : JOB_ACTIVE;
	row->accepted_wall_us = wall_us;
	row->due_wall_us = j->due_wall_us;
	row->priority = (int32_t)j->priority;
	row->max_running = j->max_running;
	row->depth = (uint16_t)j->depth;
	row->planner = j->planner;
	row->shard_count = j->plan.shard_count;
	if (j->planner == PLANNER_PURE)
		row->flags |= JOB_SEALED;
	if (j->deadline_wall_us > 0 || j->start_by_wall_us > 0)
		row->flags |= JOB_TIMED;
	if (j->concurrency.group.size > 0)
		row->flags |= JOB_GROUPED;
	if (j->rate.count > 0)
		row->flags |= JOB_RATED;
	body.definition = BYTES(NULL, 0); /* the row names it */
	body.job = 0;
	body.after = (struct after_job_list){0}; /* waits.h: what is left of it */
	body.blocked = (struct range_list){0};
	job_row_set_body(row, codec_new_job(), &body);
	waits_add(d, j->job, &j->after);
	shard_waits_add(d, row, j);
}

static int check_new(struct durable *d, const struct new_job *j, struct error *reterr)
{
	const struct job_row *row = job_table_get(&d->jobs, j->job);

	if (j->job == 0 || (row != NULL && row->state != 0))
		return apply_corrupt(j->job, "it is accepted a second time", reterr);
	if (j->definition.size != 32 || j->depth > UINT16_MAX || j->priority < INT32_MIN ||
	    j->priority > INT32_MAX)
		return apply_corrupt(j->job, "what was accepted breaks a bound", reterr);
	for (uint32_t i = 0; i < j->blocked.count; i++)
		if (!range_is_valid(j->blocked.items[i], j->plan.shard_count))
			return apply_corrupt(j->job, "shards wait that it does not have", reterr);
	return 0;
}

int apply_accepted(struct durable *d, const struct accepted *r, uint64_t lsn, struct error *reterr)
{
	struct dedup_item item = {.hi = r->key_hi, .lo = r->key_lo, .lsn_low = (uint32_t)lsn};

	for (uint32_t i = 0; i < r->jobs.count; i++) {
		const struct new_job *j = &r->jobs.items[i];
		int rc = check_new(d, j, reterr);
		struct job_row *row;

		if (rc < 0)
			return rc;
		row = apply_new_row(d, j->job);
		apply_fill_row(d, row, j, r->wall_us);
		row->lsn = lsn;
		if (j->job >= d->next_job)
			d->next_job = j->job + 1;
		apply_job(d, j->job);
	}
	if (r->jobs.count > 0) {
		item.job = r->jobs.items[0].job;
		item.job_count = r->jobs.count;
	}
	if (r->forget_before_us > d->forget_before_us) {
		d->forget_before_us = r->forget_before_us;
		dedup_forget(&d->dedup, r->forget_before_us);
	}
	if ((r->key_hi != 0 || r->key_lo != 0) && (d->live || !PLANTED(dedup_forgotten_in_replay)))
		dedup_add(&d->dedup, r->bucket_wall_us, item, lsn);
	return 0;
}

/* The row of a job in that phase; NULL with *rc = 0 when it is not known, else with what is wrong. */
static struct job_row *row_in_phase(struct durable *d, uint64_t job, uint32_t phase, int *rc,
				    struct error *reterr)
{
	struct job_row *row = apply_job(d, job);

	*rc = 0;
	if (row != NULL && (job_state_is_ended(row->state) || row->phase != phase)) {
		*rc = apply_corrupt(job, "a record of a phase that is not in work", reterr);
		return NULL;
	}
	return row;
}

void apply_plan(struct run *run, const struct plan *plan)
{
	struct buf b = {0};

	codec_encode(codec_plan(), plan, &b);
	blob_set(&run->plan, buf_bytes(&b));
	buf_fini(&b);
}

int apply_piece(struct durable *d, const struct plan_piece *r, struct error *reterr)
{
	int rc;
	struct job_row *row = row_in_phase(d, r->job, r->phase, &rc, reterr);
	struct plan list;
	struct run *run;

	if (row == NULL)
		return rc;
	if ((row->flags & JOB_SEALED) || r->count > SHARDS_MAX - row->shard_count)
		return apply_corrupt(r->job, "its plan grows though it is whole", reterr);
	run = durable_run(row, r->job);
	row->shard_count += r->count;
	blob_set(&run->cursor, r->cursor);
	run->planner_failures = 0;
	run->planner_due_wall_us = 0;
	if (r->blob.size > 0) {
		list = plan_of_list(r->blob);
		apply_plan(run, &list);
	}
	return 0;
}

int apply_sealed(struct durable *d, const struct plan_sealed *r, struct error *reterr)
{
	int rc;
	struct job_row *row = row_in_phase(d, r->job, r->phase, &rc, reterr);

	if (row == NULL)
		return rc;
	if ((row->flags & JOB_SEALED) || r->plan.shard_count < row->shard_count)
		return apply_corrupt(r->job, "its plan is sealed twice, or shrinks", reterr);
	row->shard_count = r->plan.shard_count;
	row->flags |= JOB_SEALED;
	apply_plan(durable_run(row, r->job), &r->plan);
	blob_fini(&row->run->cursor);
	row->run->planner_failures = 0;
	row->run->planner_due_wall_us = 0;
	return 0;
}

int apply_plan_failed(struct durable *d, const struct plan_failed *r, struct error *reterr)
{
	int rc;
	struct job_row *row = row_in_phase(d, r->job, r->phase, &rc, reterr);
	struct run *run;

	if (row == NULL)
		return rc;
	run = durable_run(row, r->job);
	run->planner_failures++;
	run->planner_due_wall_us = r->due_wall_us;
	blob_set(&run->planner_why, r->why);
	return 0;
}

int apply_changed(struct durable *d, const struct job_changed *r, struct error *reterr)
{
	struct job_row *row = apply_job(d, r->job);

	if (row == NULL)
		return 0;
	if (job_state_is_ended(row->state))
		return apply_corrupt(r->job, "it changes after its end", reterr);
	switch (r->change) {
	case CHANGE_ACTIVATED:
		if (waiter_find(d, r->job) != NULL)
			return apply_corrupt(r->job, "it is activated while it waits for others", reterr);
		row->state = JOB_ACTIVE;
		row->due_wall_us = 0;
		return 0;
	case CHANGE_PAUSED:
		row->flags |= JOB_PAUSED;
		blob_set(&durable_run(row, r->job)->why, r->why);
		blob_set_principal(&row->run->paused_by, &r->by);
		return 0;
	case CHANGE_RESUMED:
		row->flags &= (uint8_t)~JOB_PAUSED;
		if (row->run != NULL) {
			blob_fini(&row->run->why);
			blob_fini(&row->run->paused_by);
		}
		return 0;
	default:
		return apply_corrupt(r->job, "a change of a kind that is not known", reterr);
	}
}

static bool is_gather(const struct job_row *row)
{
	struct arena arena;
	struct plan plan = {0};

	if (row->run == NULL || row->run->plan.size == 0)
		return false;
	arena_init(&arena, 0);
	CHECK(codec_decode(codec_plan(), blob_bytes(&row->run->plan), &plan, &arena, NULL) == 0);
	arena_fini(&arena);
	return plan_gathers(&plan);
}

/* Of a phase that is through, when a gather phase comes next: what is behind a plan phase begins anew. */
static void keep_counts(struct run *run, const struct job_row *row)
{
	struct phase_counts c = {row->shard_count, shard_set_count(&run->done), shards_dead_count(run)};

	if (is_gather(row)) {
		run->later = check_realloc(run->later, run->later_count + 1, sizeof *run->later);
		run->later[run->later_count++] = c;
		return;
	}
	run->first_shards = c.shards;
	run->first_done = c.done;
	run->first_dead = c.dead;
}

int apply_phase(struct durable *d, const struct phase_started *r, uint64_t lsn, struct error *reterr)
{
	struct job_row *row = apply_job(d, r->job);
	struct run *run;

	if (row == NULL) { /* others may wait for shards of one that is not known yet */
		shard_waits_over(d, r->job, r->phase);
		return 0;
	}
	if (row->state != JOB_ACTIVE || r->phase != row->phase + 1u || r->phase > UINT16_MAX)
		return apply_corrupt(r->job, "a phase begins out of turn", reterr);
	run = durable_run(row, r->job);
	while (run->leases != NULL) {
		if (d->live)
			return apply_corrupt(r->job, "a phase begins while leases of the last are out",
					     reterr);
		lease_remove(d, run->leases); /* a trimmed journal: who closed it was not known */
	}
	if (plan_gathers(&r->plan))
		keep_counts(run, row);
	shard_waits_drop(d, r->job); /* the rest never starts */
	shard_waits_over(d, r->job, r->phase);
	run_clear_shards(run);
	run->ready_count = run->queued_count = 0;
	run->estimate = (struct estimate){0};
	run->phase_lsn = lsn;
	row->phase = (uint16_t)r->phase;
	row->shard_count = r->plan.shard_count;
	row->flags &= (uint8_t) ~(JOB_LOADING | JOB_SEALED); /* all of the new phase is known */
	if (plan_gathers(&r->plan))
		row->flags |= JOB_SEALED;
	apply_plan(run, &r->plan);
	return 0;
}

int apply_ended(struct durable *d, const struct job_ended *r, uint64_t lsn, struct error *reterr)
{
	struct job_row *row = job_table_get(&d->jobs, r->job);
	struct definition *def;

	if (r->definition.size != 32 || !job_state_is_ended(r->state) || r->state > JOB_CANCELLED)
		return apply_corrupt(r->job, "its end is not one", reterr);
	if (row == NULL || row->state == 0) {
		row = apply_new_row(d, r->job);
		def = definition_intern(&d->definitions, r->definition);
		def->references++;
		row->definition = def->index;
		row->depth = (uint16_t)r->depth;
	}
	if (r->job >= d->next_job)
		d->next_job = r->job + 1;
	row->state = r->state; /* it is there: only then is it touched */
	apply_job(d, r->job);
	while (row->run != NULL && row->run->leases != NULL)
		lease_remove(d, row->run->leases);
	run_destroy(row->run);
	row->run = NULL;
	waits_drop(d, r->job);
	shard_waits_drop(d, r->job);
	row->lsn = lsn;
	row->phase = (uint16_t)r->phase;
	row->live_flags &= JOB_TOUCHED | JOB_RUNNABLE | JOB_HARD;
	if (r->event_due)
		row->flags |= JOB_EVENT_DUE;
	job_row_set_body(row, codec_job_ended(), r);
	waits_ended(d, r->job, r->state);
	shard_waits_over(d, r->job, UINT32_MAX);
	return 0;
}

int apply_settled(struct durable *d, const struct event_settled *r)
{
	struct job_row *row = job_table_get(&d->jobs, r->job);

	if (row != NULL)
		row->flags &= (uint8_t)~JOB_EVENT_DUE;
	return 0;
}

int apply_retried(struct durable *d, const struct retried *r, struct error *reterr)
{
	int rc;
	struct job_row *row = row_in_phase(d, r->job, r->phase, &rc, reterr);

	if (row == NULL)
		return rc;
	rc = apply_check_ranges(row, &r->shards, reterr);
	if (rc < 0)
		return rc;
	blob_set_principal(&durable_run(row, r->job)->again_by, &r->by);
	for (uint32_t i = 0; i < r->shards.count; i++) {
		struct range s = r->shards.items[i];
		struct run *run = row->run;

		shards_take(run, s);
		shards_revive(run, s);
		shards_forget_failures(run, s);
		shards_release(run, s, (struct traits){0});
	}
	return 0;
}
