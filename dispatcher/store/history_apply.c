/* What a record changes in history. Each runs once, in order, inside a transaction that also holds the
 * record's lsn. */
#include <string.h>

#include "base/check.h"
#include "dispatcher/store/history_private.h"
#include "jobs/kinds.h"
#include "jobs/plan.h"

#define I64(x) ((int64_t)(x))

/* 16 bytes, so that people see the id as it is written; empty for none. */
static struct bytes id_bytes(uint64_t hi, uint64_t lo, uint8_t out[16])
{
	for (int i = 0; i < 8; i++) {
		out[i] = (uint8_t)(hi >> (56 - 8 * i));
		out[8 + i] = (uint8_t)(lo >> (56 - 8 * i));
	}
	return BYTES(out, hi == 0 && lo == 0 ? 0 : 16);
}

static int apply_definition(struct history *h, const struct definition_added *r, struct error *reterr)
{
	return sql_run(&h->db, WRITE_DEFINITION, reterr, "btt", r->definition.sha256, r->definition.name,
		       r->definition.text);
}

static int job_insert(struct history *h, const struct new_job *j, usec_t wall_us, struct error *reterr)
{
	uint8_t id[16];
	struct bytes event = id_bytes(j->event_id_hi, j->event_id_lo, id);
	int rc = sql_run(&h->db, WRITE_DEFINITION_NAME, reterr, "b", j->definition);

	if (rc < 0)
		return rc;
	return sql_run(&h->db, WRITE_JOB, reterr, "itbiiibiii", I64(j->job), j->name, j->definition,
		       I64(j->due_wall_us != 0 ? JOB_HELD : JOB_ACTIVE), j->priority, I64(j->depth), event,
		       j->due_wall_us, wall_us, I64(j->plan.shard_count));
}

static int apply_accepted(struct history *h, const struct accepted *r, struct error *reterr)
{
	for (uint32_t i = 0; i < r->jobs.count; i++) {
		int rc = job_insert(h, &r->jobs.items[i], r->wall_us, reterr);

		if (rc < 0)
			return rc;
	}
	if (r->event.size > 0 && r->jobs.count > 0) {
		uint8_t id[16];
		struct bytes event = id_bytes(r->jobs.items[0].event_id_hi, r->jobs.items[0].event_id_lo, id);

		if (event.size > 0)
			return sql_run(&h->db, WRITE_EVENT, reterr, "bit", event, r->wall_us, r->event);
	}
	return 0;
}

static int apply_piece(struct history *h, const struct plan_piece *r, struct error *reterr)
{
	if (r->phase == 0)
		return sql_run(&h->db, WRITE_JOB_GREW, reterr, "ii", I64(r->count), I64(r->job));
	return sql_run(&h->db, WRITE_PHASE_GREW, reterr, "iii", I64(r->count), I64(r->job), I64(r->phase));
}

static int phase_put(struct history *h, uint64_t job, uint32_t phase, uint64_t shards, struct error *reterr)
{
	if (phase == 0)
		return sql_run(&h->db, WRITE_JOB_SEALED, reterr, "ii", I64(shards), I64(job));
	return sql_run(&h->db, WRITE_PHASE, reterr, "iii", I64(job), I64(phase), I64(shards));
}

/* The shards' plan, when a planner made it: what is pure is made again from the definition and the event. */
static int plan_put(struct history *h, uint64_t job, const struct plan *plan, struct error *reterr)
{
	struct buf b = {0};
	int rc;

	codec_encode(codec_plan(), plan, &b);
	rc = sql_run(&h->db, WRITE_JOB_PLAN, reterr, "bi", buf_bytes(&b), I64(job));
	buf_fini(&b);
	return rc;
}

static int apply_sealed(struct history *h, const struct plan_sealed *r, struct error *reterr)
{
	int rc = phase_put(h, r->job, r->phase, r->plan.shard_count, reterr);

	return rc < 0 ? rc : plan_put(h, r->job, &r->plan, reterr);
}

static int apply_phase_started(struct history *h, const struct phase_started *r, struct error *reterr)
{
	int rc = sql_run(&h->db, WRITE_JOB_PHASE, reterr, "ii", I64(r->phase), I64(r->job));

	return rc < 0 ? rc : phase_put(h, r->job, r->phase, r->plan.shard_count, reterr);
}

/* ---- done ranges ---- */

static int worker_number(struct history *h, const struct uuid *worker, int64_t *ret, struct error *reterr)
{
	uint8_t id[16];
	struct bytes bytes = id_bytes(worker->hi, worker->lo, id);
	int rc = sql_run(&h->db, WRITE_WORKER, reterr, "b", bytes);

	if (rc < 0)
		return rc;
	rc = sql_begin(&h->db, WRITE_WORKER_FIND, reterr, "b", bytes);
	if (rc == 1)
		*ret = sql_int(&h->db, WRITE_WORKER_FIND, 0);
	sql_end(&h->db, WRITE_WORKER_FIND);
	return rc < 0 ? rc : 0;
}

struct maker {
	int64_t worker, wall_us;
	const struct outcome_taken *o;
};

/* A lease's shards come in order, report by report: they lengthen the row that the first one made. */
static int range_put(struct history *h, const struct maker *m, struct range r, struct error *reterr)
{
	const struct outcome_taken *o = m->o;
	struct sql *s = &h->db;
	int64_t first = 0;
	bool same = false;
	int rc = sql_begin(s, WRITE_RANGE_BEFORE, reterr, "iii", I64(o->job), I64(o->phase), I64(r.first));

	if (rc == 1) {
		first = sql_int(s, WRITE_RANGE_BEFORE, 0);
		same = first + sql_int(s, WRITE_RANGE_BEFORE, 1) == I64(r.first) &&
		       sql_int(s, WRITE_RANGE_BEFORE, 2) == m->worker &&
		       sql_int(s, WRITE_RANGE_BEFORE, 3) == I64(o->token.epoch) &&
		       sql_int(s, WRITE_RANGE_BEFORE, 4) == I64(o->token.lease) &&
		       sql_int(s, WRITE_RANGE_BEFORE, 5) == I64(o->segment);
	}
	sql_end(s, WRITE_RANGE_BEFORE);
	if (rc < 0)
		return rc;
	if (same)
		return sql_run(s, WRITE_RANGE_LONGER, reterr, "iiiii", I64(r.count), m->wall_us, I64(o->job),
			       I64(o->phase), first);
	return sql_run(s, WRITE_RANGE, reterr, "iiiiiiiii", I64(o->job), I64(o->phase), I64(r.first),
		       I64(r.count), m->worker, I64(o->token.epoch), I64(o->token.lease), I64(o->segment),
		       m->wall_us);
}

/* ---- dead shards ---- */

/* Where the output of their last attempt is; segment 0: nothing is kept, all is 0. */
struct dead_output {
	int64_t worker, epoch, lease, segment;
};

struct dead_range {
	uint64_t job;
	uint32_t phase;
	struct range shards;
	int64_t kind, code;
	struct bytes why;
	int64_t wall_us;
	struct dead_output output;
};

/* Where the number of a job's rows is kept. */
static int failure_rows(struct history *h, uint64_t job, int64_t **ret, struct error *reterr)
{
	struct failure_rows *c = &h->failure_rows[job % FAILURE_ROWS_CACHED];
	int rc = 0;

	if (c->job != job) {
		rc = sql_begin(&h->db, WRITE_FAILURE_COUNT, reterr, "i", I64(job));
		if (rc == 1)
			*c = (struct failure_rows){job, sql_int(&h->db, WRITE_FAILURE_COUNT, 0)};
		sql_end(&h->db, WRITE_FAILURE_COUNT);
	}
	*ret = &c->rows;
	return rc < 0 ? rc : 0;
}

/* Beyond the bound rows are dropped. */
static int dead_insert(struct history *h, const struct dead_range *d, struct error *reterr)
{
	int64_t *rows;
	int rc = failure_rows(h, d->job, &rows, reterr);

	if (rc < 0 || *rows >= HISTORY_FAILURES_MAX)
		return rc;
	++*rows;
	return sql_run(&h->db, WRITE_FAILURE, reterr, "iiiiiitiiiii", I64(d->job), I64(d->phase),
		       I64(d->shards.first), I64(d->shards.count), d->kind, d->code, d->why, d->wall_us,
		       d->output.worker, d->output.epoch, d->output.lease, d->output.segment);
}

/* Takes one row that meets the range out, and puts back what of it lies outside. 1 = there was one. */
static int dead_take_one(struct history *h, uint64_t job, uint32_t phase, struct range r,
			 struct error *reterr)
{
	struct dead_range left = {.job = job, .phase = phase}, right;
	struct sql *s = &h->db;
	uint64_t first, end;
	int64_t *rows;
	int rc = sql_begin(s, WRITE_FAILURE_OVERLAP, reterr, "iiii", I64(job), I64(phase), I64(range_end(r)),
			   I64(r.first));

	if (rc != 1) {
		sql_end(s, WRITE_FAILURE_OVERLAP);
		return rc;
	}
	first = (uint64_t)sql_int(s, WRITE_FAILURE_OVERLAP, 0);
	end = first + (uint64_t)sql_int(s, WRITE_FAILURE_OVERLAP, 1);
	left.kind = sql_int(s, WRITE_FAILURE_OVERLAP, 2);
	left.code = sql_int(s, WRITE_FAILURE_OVERLAP, 3);
	left.why = arena_copy(&h->arena, sql_bytes(s, WRITE_FAILURE_OVERLAP, 4));
	left.wall_us = sql_int(s, WRITE_FAILURE_OVERLAP, 5);
	left.output =
	    (struct dead_output){sql_int(s, WRITE_FAILURE_OVERLAP, 6), sql_int(s, WRITE_FAILURE_OVERLAP, 7),
				 sql_int(s, WRITE_FAILURE_OVERLAP, 8), sql_int(s, WRITE_FAILURE_OVERLAP, 9)};
	sql_end(s, WRITE_FAILURE_OVERLAP);
	right = left;
	rc = failure_rows(h, job, &rows, reterr);
	if (rc == 0)
		rc = sql_run(s, WRITE_FAILURE_DELETE, reterr, "iii", I64(job), I64(phase), I64(first));
	if (rc == 0)
		--*rows;
	if (rc == 0 && first < r.first) {
		left.shards = range_between(first, r.first);
		rc = dead_insert(h, &left, reterr);
	}
	if (rc == 0 && end > range_end(r)) {
		right.shards = range_between(range_end(r), end);
		rc = dead_insert(h, &right, reterr);
	}
	return rc < 0 ? rc : 1;
}

/* These shards are not dead (any more). */
static int dead_remove(struct history *h, uint64_t job, uint32_t phase, struct range r, struct error *reterr)
{
	int rc;

	do
		rc = dead_take_one(h, job, phase, r, reterr);
	while (rc == 1);
	return rc;
}

/* Shards that died alike share a row, when their outputs are in one place. When half of a job's rows are
 * used up they share it all the same, and their outputs are not found any more: that many shards are dead
 * is worth more than what each said. */
static int dead_put(struct history *h, struct dead_range *d, struct error *reterr)
{
	struct sql *s = &h->db;
	int64_t first, *rows;
	int rc = dead_remove(h, d->job, d->phase, d->shards, reterr);

	if (rc == 0)
		rc = failure_rows(h, d->job, &rows, reterr);
	if (rc < 0)
		return rc;
	if (*rows >= HISTORY_FAILURES_MAX / 2)
		d->output = (struct dead_output){0};
	rc = sql_begin(s, WRITE_FAILURE_BEFORE, reterr, "iiiiiitiiii", I64(d->job), I64(d->phase),
		       I64(d->shards.first), I64(d->shards.first), d->kind, d->code, d->why, d->output.worker,
		       d->output.epoch, d->output.lease, d->output.segment);
	first = rc == 1 ? sql_int(s, WRITE_FAILURE_BEFORE, 0) : 0;
	sql_end(s, WRITE_FAILURE_BEFORE);
	if (rc == 1)
		return sql_run(s, WRITE_FAILURE_LONGER, reterr, "iiiii", I64(d->shards.count), d->wall_us,
			       I64(d->job), I64(d->phase), first);
	return rc < 0 ? rc : dead_insert(h, d, reterr);
}

static int apply_outcome(struct history *h, const struct maker *m, struct error *reterr)
{
	const struct outcome_taken *o = m->o;
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < o->done.count; i++) {
		rc = range_put(h, m, o->done.items[i], reterr);
		if (rc == 0)
			rc = dead_remove(h, o->job, o->phase, o->done.items[i], reterr);
	}
	for (uint32_t i = 0; rc == 0 && i < o->failed.count; i++) {
		const struct shard_failure *f = &o->failed.items[i];
		struct dead_range d = {.job = o->job,
				       .phase = o->phase,
				       .shards = {f->first, f->count},
				       .kind = f->kind,
				       .code = f->code,
				       .why = f->why,
				       .wall_us = m->wall_us};

		if (f->segment > 0)
			d.output =
			    (struct dead_output){m->worker, o->token.epoch, I64(o->token.lease), f->segment};
		if (f->dead)
			rc = dead_put(h, &d, reterr);
	}
	return rc;
}

static int apply_outcomes(struct history *h, const struct outcomes_taken *r, struct error *reterr)
{
	struct maker m = {.wall_us = r->wall_us};
	int rc = worker_number(h, &r->worker, &m.worker, reterr);

	for (uint32_t i = 0; rc == 0 && i < r->outcomes.count; i++) {
		m.o = &r->outcomes.items[i];
		rc = apply_outcome(h, &m, reterr);
	}
	return rc;
}

static int apply_crashed(struct history *h, const struct crashed *r, struct error *reterr)
{
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < r->dead.count; i++) {
		struct dead_range d = {.job = r->job,
				       .phase = r->phase,
				       .shards = r->dead.items[i],
				       .kind = FAILURE_CRASHES,
				       .wall_us = r->wall_us};

		rc = dead_put(h, &d, reterr);
	}
	return rc;
}

static int apply_retried(struct history *h, const struct retried *r, struct error *reterr)
{
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < r->shards.count; i++)
		rc = dead_remove(h, r->job, r->phase, r->shards.items[i], reterr);
	return rc;
}

/* ---- jobs ---- */

static int apply_changed(struct history *h, const struct job_changed *r, struct error *reterr)
{
	if (r->change == CHANGE_ACTIVATED)
		return sql_run(&h->db, WRITE_JOB_STATE, reterr, "ii", I64(JOB_ACTIVE), I64(r->job));
	return sql_run(&h->db, WRITE_JOB_PAUSED, reterr, "iti", I64(r->change == CHANGE_PAUSED),
		       r->change == CHANGE_PAUSED ? r->why : BYTES_LIT(""), I64(r->job));
}

static int apply_ended(struct history *h, const struct job_ended *r, struct error *reterr)
{
	uint8_t id[16];
	struct bytes event = id_bytes(r->event_id_hi, r->event_id_lo, id);
	int rc = sql_run(&h->db, WRITE_DEFINITION_NAME, reterr, "b", r->definition);

	for (uint32_t i = 0; rc == 0 && i < r->later.count; i++)
		rc = sql_run(&h->db, WRITE_PHASE_ENDED, reterr, "iiiii", I64(r->job),
			     I64(r->shards_phase + i + 1), I64(r->later.items[i].shards),
			     I64(r->later.items[i].done), I64(r->later.items[i].dead));
	if (rc < 0)
		return rc;
	return sql_run(&h->db, WRITE_JOB_ENDED, reterr, "itbiibiiiitiiiiiiiiiii", I64(r->job), r->name,
		       r->definition, I64(r->state), I64(r->depth), event, r->accepted_wall_us,
		       r->started_wall_us, r->wall_us, I64(r->phase), r->why, I64(r->shards), I64(r->done),
		       I64(r->dead), I64(r->dropped), I64(r->retries), I64(r->totals.run_us),
		       I64(r->totals.output_bytes), I64(r->shards_phase), I64(r->totals.cpu_us),
		       I64(r->totals.max_rss_bytes), I64(r->reopens));
}

static int apply_reopened(struct history *h, const struct reopened *r, struct error *reterr)
{
	const struct new_job *j = &r->body;
	uint8_t id[16];
	struct bytes event = id_bytes(j->event_id_hi, j->event_id_lo, id);
	int rc = history_forget(h, r, reterr);

	if (rc == 0)
		rc = sql_run(&h->db, WRITE_DEFINITION_NAME, reterr, "b", j->definition);
	if (rc == 0)
		rc = sql_run(&h->db, WRITE_JOB_REOPENED, reterr, "itbiiibiiiiii", I64(r->job), j->name,
			     j->definition, I64(JOB_ACTIVE), j->priority, I64(j->depth), event,
			     r->accepted_wall_us, r->started_wall_us, I64(r->phase), I64(r->plan.shard_count),
			     I64(r->phase), I64(r->reopens));
	if (rc == 0 && r->phase > 0)
		rc = phase_put(h, r->job, r->phase, r->plan.shard_count, reterr);
	if (rc == 0 && (r->phase > 0 || j->planner != PLANNER_PURE))
		rc = plan_put(h, r->job, &r->plan, reterr);
	return rc;
}

/* Carried forward: news only for a history that began behind the job's acceptance. Who made the shards
 * that were done by then is not known any more. */
static int slice_insert(struct history *h, const struct job_slice *r, struct error *reterr)
{
	const struct new_job *j = &r->body;
	uint8_t id[16];
	struct bytes event = id_bytes(j->event_id_hi, j->event_id_lo, id);
	uint64_t shards = r->phase == 0 ? r->plan.shard_count : r->first_shards;
	int rc = sql_run(&h->db, WRITE_DEFINITION_NAME, reterr, "b", j->definition);

	if (rc == 0)
		rc = sql_run(&h->db, WRITE_JOB_SLICE, reterr, "itbiiibiiiiiiti", I64(r->job), j->name,
			     j->definition, I64(r->state), j->priority, I64(j->depth), event, j->due_wall_us,
			     r->accepted_wall_us, I64(shards), r->started_wall_us, I64(r->phase),
			     I64(r->paused), r->why, I64(r->reopens));
	if (rc == 0 && r->phase > 0 && sql_changes(&h->db) > 0)
		rc = phase_put(h, r->job, r->phase, r->plan.shard_count, reterr);
	if (rc == 0 && r->sealed && plan_row(r->plan.kind)->planned &&
	    (r->phase > 0 || j->planner != PLANNER_PURE))
		rc = plan_put(h, r->job, &r->plan, reterr);
	return rc;
}

static int apply_slice(struct history *h, const struct job_slice *r, struct error *reterr)
{
	int rc = r->part == 0 ? slice_insert(h, r, reterr) : 0;
	bool carried;

	if (rc < 0)
		return rc;
	rc = sql_begin(&h->db, WRITE_JOB_CARRIED, reterr, "i", I64(r->job));
	carried = rc == 1 && sql_int(&h->db, WRITE_JOB_CARRIED, 0) != 0;
	sql_end(&h->db, WRITE_JOB_CARRIED);
	for (uint32_t i = 0; carried && rc >= 0 && i < r->dead.count; i++) {
		struct dead_range d = {.job = r->job,
				       .phase = r->phase,
				       .shards = {r->dead.items[i].first, r->dead.items[i].count},
				       .kind = r->dead.items[i].number};

		rc = dead_put(h, &d, reterr);
	}
	for (uint32_t i = 0; carried && rc >= 0 && i < r->notes.count; i++) {
		const struct shard_failure *f = &r->notes.items[i];
		struct dead_range d = {.job = r->job,
				       .phase = r->phase,
				       .shards = {f->first, f->count},
				       .kind = f->kind,
				       .code = f->code,
				       .why = f->why};

		rc = dead_put(h, &d, reterr);
	}
	return rc < 0 ? rc : 0;
}

int history_apply(struct history *h, uint32_t type, const void *record, struct error *reterr)
{
	const struct epoch_started *epoch = record;

	switch ((enum record_type)type) {
	case RECORD_EPOCH:
		return sql_run(&h->db, WRITE_EPOCH, reterr, "ii", I64(epoch->epoch), epoch->wall_us);
	case RECORD_DEFINITION:
		return apply_definition(h, record, reterr);
	case RECORD_ACCEPTED:
		return apply_accepted(h, record, reterr);
	case RECORD_PLAN_PIECE:
		return apply_piece(h, record, reterr);
	case RECORD_PLAN_SEALED:
		return apply_sealed(h, record, reterr);
	case RECORD_OUTCOMES:
		return apply_outcomes(h, record, reterr);
	case RECORD_CRASHED:
		return apply_crashed(h, record, reterr);
	case RECORD_JOB_CHANGED:
		return apply_changed(h, record, reterr);
	case RECORD_PHASE_STARTED:
		return apply_phase_started(h, record, reterr);
	case RECORD_RETRIED:
		return apply_retried(h, record, reterr);
	case RECORD_ENDED:
		return apply_ended(h, record, reterr);
	case RECORD_REOPENED:
		return apply_reopened(h, record, reterr);
	case RECORD_JOB_SLICE:
		return apply_slice(h, record, reterr);
	case RECORD_PLAN_FAILED: /* if it is final, the end says why */
	case RECORD_GRANTED:
	case RECORD_SETTLED:
	case RECORD_WATERMARK:
	case RECORD_DEDUP_STATE:
	case RECORD_COUNTERS:
		return 0;
	}
	return error_set(reterr, ERR_VERSION, "history does not know records of type %u", type);
}
