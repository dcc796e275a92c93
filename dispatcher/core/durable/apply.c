#include "dispatcher/core/durable/writer.h"

#include "dispatcher/core/durable/apply.h"

#include <string.h>

#include "base/array.h"
#include "base/plant.h"
#include "dispatcher/core/durable/dedup.h"
#include "dispatcher/core/durable/definition_table.h"
#include "dispatcher/core/durable/job_table.h"
#include "dispatcher/core/durable/lease_table.h"
#include "dispatcher/core/durable/shards.h"
#include "dispatcher/core/durable/windows.h"

int apply_corrupt(uint64_t job, const char *what, struct error *reterr)
{
	error_set(reterr, ERR_CORRUPT, "job %llu: %s", (unsigned long long)job, what);
	error_help(reterr, "the journal is not as it was written: restore the state directory");
	return ERR_CORRUPT;
}

void durable_init(struct durable *d)
{
	*d = (struct durable){.next_job = 1};
}

void durable_begin(struct durable *d)
{
	d->live = true;
	waits_begin(d);
}

void durable_applied(struct durable *d)
{
	d->last_lsn++;
}

void durable_count(struct durable *d, uint64_t late, uint64_t duplicate)
{
	d->late += late;
	d->duplicate += duplicate;
}

static void touch(struct durable *d, struct job_row *row, uint64_t job)
{
	if (!d->live || (row->live_flags & JOB_TOUCHED))
		return;
	ARRAY_GROW(d->touched, d->touched_capacity, d->touched_count);
	d->touched[d->touched_count++] = job;
	row->live_flags |= JOB_TOUCHED;
}

struct job_row *apply_job(struct durable *d, uint64_t job)
{
	struct job_row *row = job_table_get(&d->jobs, job);

	if (row != NULL && row->state != 0) {
		touch(d, row, job);
		return row;
	}
	CHECK(!d->live);
	if (row == NULL) {
		row = job_table_add(&d->jobs, job);
		row->flags = JOB_NOTED;
		d->noted_count++;
	}
	return NULL;
}

void durable_touch(struct durable *d, uint64_t job)
{
	touch(d, job_table_get(&d->jobs, job), job);
}

struct run *durable_run(struct job_row *row, uint64_t job)
{
	if (row->run == NULL) {
		row->run = run_create(job);
		if (row->live_flags & JOB_READY)
			row->run->ready_count = row->shard_count;
		if (row->live_flags & (JOB_READY | JOB_QUEUED))
			row->run->queued_count = row->shard_count;
	}
	return row->run;
}

int apply_check_ranges(const struct job_row *row, const struct range_list *ranges, struct error *reterr)
{
	for (uint32_t i = 0; i < ranges->count; i++)
		if (!range_is_valid(ranges->items[i], row->shard_count))
			return error_set(reterr, ERR_CORRUPT, "shards %u + %u are not of the phase's %u",
					 ranges->items[i].first, ranges->items[i].count, row->shard_count);
	return 0;
}

void durable_remove_job(struct durable *d, uint64_t job)
{
	struct job_row *row = job_table_get(&d->jobs, job);
	struct definition *def = row->state != 0 ? definition_at(&d->definitions, row->definition) : NULL;

	job_table_remove(&d->jobs, job);
	if (def != NULL)
		def->references--;
}

void durable_remove_definition(struct durable *d, struct definition *def)
{
	definition_remove(&d->definitions, def);
}

static int apply_epoch(struct durable *d, const struct epoch_started *r, struct error *reterr)
{
	if (r->epoch < d->epoch || (r->epoch == d->epoch && !PLANTED(epoch_not_grown)))
		return error_set(reterr, ERR_CORRUPT, "epoch %u follows epoch %u", r->epoch, d->epoch);
	d->epoch = r->epoch;
	return 0;
}

static int apply_definition(struct durable *d, const struct definition_added *r, uint64_t lsn,
			    struct error *reterr)
{
	struct definition *def;

	if (r->definition.sha256.size != 32 || r->definition.phases.count == 0)
		return error_set(reterr, ERR_CORRUPT, "a definition without a hash or a phase");
	def = definition_intern(&d->definitions, r->definition.sha256);
	definition_fill(def, &r->definition);
	def->lsn = lsn;
	return 0;
}

static void apply_watermark(struct durable *d, const struct watermark *r, uint64_t lsn)
{
	struct mark *m = NULL;

	for (uint32_t i = 0; i < d->mark_count && m == NULL; i++)
		if (bytes_equal(blob_bytes(&d->marks[i].intake), r->intake))
			m = &d->marks[i];
	if (m == NULL) {
		d->marks = check_realloc(d->marks, d->mark_count + 1, sizeof *m);
		m = &d->marks[d->mark_count++];
		*m = (struct mark){0};
		blob_set(&m->intake, r->intake);
	}
	blob_set(&m->position, r->position);
	m->lsn = lsn;
}

static void apply_dedup_state(struct durable *d, const struct dedup_state *r, uint64_t lsn)
{
	for (uint32_t i = 0; i < r->entries.count; i++) {
		const struct dedup_entry *e = &r->entries.items[i];
		struct dedup_item item = {.hi = e->key_hi,
					  .lo = e->key_lo,
					  .job = e->job,
					  .job_count = e->job_count,
					  .lsn_low = (uint32_t)lsn};

		dedup_add(&d->dedup, r->bucket_wall_us, item, lsn);
	}
}

static int apply_counters(struct durable *d, const struct counters *r, uint64_t lsn)
{
	d->epoch = r->epoch > d->epoch ? r->epoch : d->epoch;
	d->next_job = r->next_job > d->next_job ? r->next_job : d->next_job;
	d->late = r->late > d->late ? r->late : d->late;
	d->duplicate = r->duplicate > d->duplicate ? r->duplicate : d->duplicate;
	if (r->forget_before_us > d->forget_before_us) {
		d->forget_before_us = r->forget_before_us;
		dedup_forget(&d->dedup, r->forget_before_us);
	}
	d->counters_lsn = lsn;
	return 0;
}

static int apply_granted(struct durable *d, const struct granted *r, struct error *reterr)
{
	for (uint32_t i = 0; i < r->hints.count; i++) {
		int rc = apply_hint(d, r->worker, &r->hints.items[i], r->wall_us, reterr);

		if (rc < 0)
			return rc;
	}
	return 0;
}

static int apply_outcomes(struct durable *d, const struct outcomes_taken *r, struct error *reterr)
{
	for (uint32_t i = 0; i < r->outcomes.count; i++) {
		int rc = apply_outcome(d, &r->outcomes.items[i], reterr);

		if (rc < 0)
			return rc;
	}
	return 0;
}

static int apply_one(struct durable *d, uint32_t type, const void *r, uint64_t lsn, struct error *reterr)
{
	switch ((enum record_type)type) {
	case RECORD_EPOCH:
		return apply_epoch(d, r, reterr);
	case RECORD_DEFINITION:
		return apply_definition(d, r, lsn, reterr);
	case RECORD_ACCEPTED:
		return apply_accepted(d, r, lsn, reterr);
	case RECORD_PLAN_PIECE:
		return apply_piece(d, r, reterr);
	case RECORD_PLAN_SEALED:
		return apply_sealed(d, r, reterr);
	case RECORD_PLAN_FAILED:
		return apply_plan_failed(d, r, reterr);
	case RECORD_GRANTED:
		return apply_granted(d, r, reterr);
	case RECORD_OUTCOMES:
		return apply_outcomes(d, r, reterr);
	case RECORD_CRASHED:
		return apply_crashed(d, r, reterr);
	case RECORD_JOB_CHANGED:
		return apply_changed(d, r, reterr);
	case RECORD_PHASE_STARTED:
		return apply_phase(d, r, lsn, reterr);
	case RECORD_RETRIED:
		return apply_retried(d, r, reterr);
	case RECORD_ENDED:
		return apply_ended(d, r, lsn, reterr);
	case RECORD_SETTLED:
		return apply_settled(d, r);
	case RECORD_REOPENED:
		return apply_reopened(d, r, lsn, reterr);
	case RECORD_WATERMARK:
		apply_watermark(d, r, lsn);
		return 0;
	case RECORD_JOB_SLICE:
		return apply_slice(d, r, lsn, reterr);
	case RECORD_DEDUP_STATE:
		apply_dedup_state(d, r, lsn);
		return 0;
	case RECORD_COUNTERS:
		return apply_counters(d, r, lsn);
	case RECORD_ENDED_BLOCK:
		return apply_ended_block(d, r, lsn, reterr);
	case RECORD_FORGOTTEN:
		return apply_forgotten(d, r, reterr);
	case RECORD_WINDOW:
		return apply_window(d, r, lsn, reterr);
	case RECORD_WINDOW_CLOSED:
		return apply_window_closed(d, r, reterr);
	case RECORD_QUEUE_CHANGED:
		return apply_queue(d, r, lsn, reterr);
	case RECORD_DEDUP_SEALED:
		dedup_seal(&d->dedup, ((const struct dedup_sealed *)r)->bucket_wall_us, lsn);
		return 0;
	}
	return error_set(reterr, ERR_VERSION, "record type %u is not known to this build", type);
}

int durable_apply(struct durable *d, uint32_t type, const void *record, uint64_t lsn, struct error *reterr)
{
	int rc;

	d->last_lsn = lsn;
	rc = apply_one(d, type, record, lsn, reterr);
	if (rc < 0)
		error_where(reterr, "journal, record %llu", (unsigned long long)lsn);
	return rc;
}

void durable_fini(struct durable *d)
{
	lease_table_fini(d);
	job_table_fini(&d->jobs);
	definition_table_fini(&d->definitions);
	dedup_fini(&d->dedup);
	windows_fini(d);
	waits_fini(d);
	queues_fini(d);
	shard_waits_fini(d);
	for (uint32_t i = 0; i < d->mark_count; i++) {
		blob_fini(&d->marks[i].intake);
		blob_fini(&d->marks[i].position);
	}
	free(d->marks);
	free(d->touched);
}
