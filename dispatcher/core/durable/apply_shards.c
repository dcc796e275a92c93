/* What records do to shards: leased, done, failed, given back, lost with their worker. */
#include "dispatcher/core/durable/writer.h"

#include "base/plant.h"
#include "dispatcher/core/durable/apply.h"
#include "dispatcher/core/durable/lease_table.h"
#include "dispatcher/core/durable/shards.h"

/* A record may name a lease only in the phase that is in work. */
static int phase_row(struct durable *d, uint64_t job, uint32_t phase, struct job_row **ret,
		     struct error *reterr)
{
	*ret = apply_job(d, job);
	if (*ret == NULL)
		return 0;
	if ((*ret)->state != JOB_ACTIVE || (*ret)->phase != phase) {
		*ret = NULL;
		return apply_corrupt(job, "shards change of a phase that is not in work", reterr);
	}
	return 0;
}

static int take_hint(struct durable *d, struct worker *worker, struct job_row *row,
		     const struct grant_hint *hint, struct error *reterr)
{
	struct lease_entry *lease;
	uint64_t at = hint->first;

	if (lease_find(d, hint->token) != NULL)
		return apply_corrupt(hint->job, "a token is granted twice", reterr);
	lease = lease_add(d, hint->token, worker, row, hint->job);
	lease->first = hint->first;
	lease->count = hint->count;
	lease->attempt = hint->attempt;
	lease->traits = (struct traits){hint->crashes, hint->doublings};
	for (uint32_t i = 0; i <= hint->holes.count; i++) {
		uint64_t end =
		    i < hint->holes.count ? hint->holes.items[i].first : (uint64_t)hint->first + hint->count;
		uint64_t next = i < hint->holes.count ? range_end(hint->holes.items[i]) : end;

		if (end < at || next > (uint64_t)hint->first + hint->count)
			return apply_corrupt(hint->job, "holes of a lease are out of order", reterr);
		if (end > at) {
			shards_take(row->run, range_between(at, end));
			lease_hold(lease, range_between(at, end));
		}
		at = next;
	}
	return 0;
}

int apply_hint(struct durable *d, struct uuid id, const struct grant_hint *hint, usec_t wall_us,
	       struct error *reterr)
{
	struct worker *worker;
	struct job_row *row;
	struct run *run;
	bool was_pinned;
	int rc = phase_row(d, hint->job, hint->phase, &row, reterr);

	if (row == NULL)
		return rc;
	if (!range_is_valid((struct range){hint->first, hint->count}, row->shard_count))
		return apply_corrupt(hint->job, "shards are leased that it does not have", reterr);
	run = durable_run(row, hint->job);
	if (run->started_wall_us == 0)
		run->started_wall_us = wall_us;
	worker = worker_intern(d, id);
	was_pinned = worker->pinned;
	worker->pinned = true;
	rc = take_hint(d, worker, row, hint, reterr);
	worker->pinned = was_pinned;
	return rc;
}

static void take_failed(struct run *run, struct lease_entry *lease, const struct shard_failure *f)
{
	struct range r = {f->first, f->count};
	struct traits traits = lease != NULL ? lease->traits : (struct traits){0};

	if (lease != NULL)
		lease_drop(lease, r);
	shards_take(run, r);
	shards_count_failure(run, r);
	if (PLANTED(retry_counted_twice))
		shards_count_failure(run, r);
	if (f->dead) {
		shards_dead(run, r, f->kind);
		shards_note(run, f);
		return;
	}
	run->retries += f->count;
	traits.crashes = 0; /* it came to an end without its worker's */
	if (f->larger && traits.doublings < UINT8_MAX)
		traits.doublings++;
	shards_delay(run, r, f->due_wall_us, traits);
}

static int check_outcome(const struct job_row *row, const struct outcome_taken *o, struct error *reterr)
{
	int rc = apply_check_ranges(row, &o->done, reterr);

	if (rc == 0)
		rc = apply_check_ranges(row, &o->returned, reterr);
	for (uint32_t i = 0; rc == 0 && i < o->failed.count; i++)
		if (!range_is_valid((struct range){o->failed.items[i].first, o->failed.items[i].count},
				    row->shard_count))
			rc = apply_corrupt(o->job, "shards failed that it does not have", reterr);
	return rc;
}

int apply_outcome(struct durable *d, const struct outcome_taken *o, struct error *reterr)
{
	struct lease_entry *lease = lease_find(d, o->token);
	struct job_row *row;
	struct run *run;
	int rc = phase_row(d, o->job, o->phase, &row, reterr);

	if (row == NULL && rc == 0)
		shard_waits_done(d, o); /* in replay: whoever waits for it may be known before it is */
	if (row == NULL)
		return rc;
	rc = check_outcome(row, o, reterr);
	if (rc < 0)
		return rc;
	shard_waits_done(d, o);
	if (lease != NULL && (lease->job != o->job || lease->phase != o->phase))
		lease = NULL;
	run = durable_run(row, o->job);
	for (uint32_t i = 0; i < o->done.count; i++)
		shards_done(run, o->done.items[i], lease);
	for (uint32_t i = 0; i < o->failed.count; i++)
		take_failed(run, lease, &o->failed.items[i]);
	for (uint32_t i = 0; i < o->returned.count; i++) {
		struct traits traits = lease != NULL ? lease->traits : (struct traits){0};

		if (lease != NULL)
			lease_drop(lease, o->returned.items[i]);
		shards_take(run, o->returned.items[i]);
		if (!PLANTED(returned_dropped))
			shards_release(run, o->returned.items[i], traits);
	}
	totals_add(&run->totals, &o->totals);
	if (o->closed && lease != NULL)
		lease_remove(d, lease);
	return 0;
}

int apply_crashed(struct durable *d, const struct crashed *r, struct error *reterr)
{
	struct lease_entry *lease = lease_find(d, r->token);
	struct traits traits = {0};
	struct job_row *row;
	int rc = phase_row(d, r->job, r->phase, &row, reterr);

	if (row == NULL)
		return rc;
	rc = apply_check_ranges(row, &r->dead, reterr);
	for (uint32_t i = 0; rc == 0 && i < r->suspects.count; i++)
		if (!range_is_valid((struct range){r->suspects.items[i].first, r->suspects.items[i].count},
				    row->shard_count))
			rc = apply_corrupt(r->job, "suspects that it does not have", reterr);
	if (rc < 0)
		return rc;
	if (lease != NULL) {
		traits = lease->traits;
		lease_remove(d, lease);
	}
	durable_run(row, r->job);
	for (uint32_t i = 0; i < r->suspects.count; i++) {
		struct range s = {r->suspects.items[i].first, r->suspects.items[i].count};

		traits.crashes = (uint8_t)r->suspects.items[i].number;
		shards_take(row->run, s);
		shards_release(row->run, s, traits);
	}
	for (uint32_t i = 0; i < r->dead.count; i++) {
		struct shard_failure f = {.first = r->dead.items[i].first,
					  .count = r->dead.items[i].count,
					  .kind = FAILURE_CRASHES,
					  .why = BYTES_LIT("its workers were lost each time it ran")};

		shards_take(row->run, r->dead.items[i]);
		shards_dead(row->run, r->dead.items[i], FAILURE_CRASHES);
		shards_note(row->run, &f);
	}
	return 0;
}
