/* What a record changes in history. Each runs once, in order, inside a transaction that also holds the
 * record's lsn. */
#include <string.h>

#include "base/check.h"
#include "dispatcher/store/history_private.h"
#include "jobs/ended_block.h"
#include "jobs/kinds.h"
#include "jobs/plan.h"

#define I64(x) ((int64_t)(x))

/* Empty for none. */
static struct bytes id_bytes(uint64_t hi, uint64_t lo, uint8_t out[16])
{
	sql_id_write(hi, lo, out);
	return BYTES(out, hi == 0 && lo == 0 ? 0 : 16);
}

static int apply_definition(struct history *h, const struct definition_added *r, struct error *reterr)
{
	return sql_run(&h->db, WRITE_DEFINITION, reterr, "btt", r->definition.sha256, r->definition.name,
		       r->definition.text);
}

/* What a job's row has of how its event made it. */
static struct history_job row_of(uint64_t job, const struct new_job *j)
{
	return (struct history_job){.job = job,
				    .name = j->name,
				    .definition = j->definition,
				    .priority = j->priority,
				    .depth = j->depth,
				    .event_id_hi = j->event_id_hi,
				    .event_id_lo = j->event_id_lo,
				    .by = j->by,
				    .owner = j->owner,
				    .traceparent = j->traceparent};
}

static int know_definition(struct history *h, struct bytes sha256, struct error *reterr)
{
	struct bytes known = BYTES(h->known_definition, sizeof h->known_definition);
	int rc = 0;

	if (!bytes_equal(sha256, known))
		rc = sql_run(&h->db, WRITE_DEFINITION_NAME, reterr, "b", sha256);
	if (rc == 0 && sha256.size == known.size)
		memcpy(h->known_definition, sha256.data, known.size);
	return rc;
}

static int job_put(struct history *h, enum history_write statement, const struct history_job *row,
		   struct error *reterr)
{
	int rc = know_definition(h, row->definition, reterr);

	return rc < 0 ? rc : sql_put(&h->db, (int)statement, row, reterr);
}

static int job_insert(struct history *h, const struct accepted *r, const struct new_job *j,
		      struct error *reterr)
{
	struct history_job row = row_of(j->job, j);
	int rc;

	row.state = j->due_wall_us != 0 ? JOB_HELD : JOB_ACTIVE;
	row.due_wall_us = j->due_wall_us;
	row.accepted_wall_us = r->wall_us;
	row.shards = j->plan.shard_count;
	rc = know_definition(h, row.definition, reterr);
	if (rc == 0)
		rc = history_accept_small(h, r, &row, j, reterr);
	return rc == 0 ? sql_put(&h->db, WRITE_JOB, &row, reterr) : rc < 0 ? rc : 0;
}

static int apply_accepted(struct history *h, const struct accepted *r, struct error *reterr)
{
	for (uint32_t i = 0; i < r->jobs.count; i++) {
		int rc = job_insert(h, r, &r->jobs.items[i], reterr);

		if (rc < 0)
			return rc;
	}
	return r->jobs.count > 0 ? history_accept_event(h, r, reterr) : 0;
}

/* Open windows are the core's; their events are kept for the job that one becomes. */
static int apply_window(struct history *h, const struct window *r, struct error *reterr)
{
	const struct window_member *last;
	uint8_t id[16];
	struct bytes event;

	if (r->members.count == 0)
		return 0;
	last = &r->members.items[r->members.count - 1];
	event = id_bytes(last->event_id_hi, last->event_id_lo, id);
	if (r->event.size == 0 || event.size == 0)
		return 0;
	return sql_run(&h->db, WRITE_EVENT, reterr, "bit", event, r->wall_us, r->event);
}

static int apply_piece(struct history *h, const struct plan_piece *r, struct error *reterr)
{
	int rc = history_unblock(h, r->job, reterr);

	if (rc < 0)
		return rc;
	if (r->phase == 0)
		return sql_run(&h->db, WRITE_JOB_GREW, reterr, "ii", I64(r->count), I64(r->job));
	return sql_run(&h->db, WRITE_PHASE_GREW, reterr, "iii", I64(r->count), I64(r->job), I64(r->phase));
}

static int phase_put(struct history *h, uint64_t job, uint32_t phase, uint64_t shards, struct error *reterr)
{
	if (phase == 0)
		return sql_run(&h->db, WRITE_JOB_SEALED, reterr, "ii", I64(shards), I64(job));
	return sql_put(&h->db, WRITE_PHASE, &(struct history_phase){job, phase, {.shards = shards}}, reterr);
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
	int rc = history_unblock(h, r->job, reterr);

	if (rc == 0)
		rc = phase_put(h, r->job, r->phase, r->plan.shard_count, reterr);
	return rc < 0 ? rc : plan_put(h, r->job, &r->plan, reterr);
}

static int apply_phase_started(struct history *h, const struct phase_started *r, struct error *reterr)
{
	int rc = history_unblock(h, r->job, reterr);

	if (rc == 0)
		rc = sql_run(&h->db, WRITE_JOB_PHASE, reterr, "ii", I64(r->phase), I64(r->job));
	return rc < 0 ? rc : phase_put(h, r->job, r->phase, r->plan.shard_count, reterr);
}

/* ---- done ranges ---- */

static int worker_number(struct history *h, const struct uuid *worker, int64_t *ret, struct error *reterr)
{
	uint8_t id[16];
	struct bytes bytes = id_bytes(worker->hi, worker->lo, id);
	int rc;

	*ret = h->known_worker_number;
	if (*ret != 0 && h->known_worker.hi == worker->hi && h->known_worker.lo == worker->lo)
		return 0;
	rc = sql_run(&h->db, WRITE_WORKER, reterr, "b", bytes);
	if (rc < 0)
		return rc;
	rc = sql_begin(&h->db, WRITE_WORKER_FIND, reterr, "b", bytes);
	if (rc == 1)
		*ret = sql_int(&h->db, WRITE_WORKER_FIND, 0);
	sql_end(&h->db, WRITE_WORKER_FIND);
	h->known_worker = *worker;
	h->known_worker_number = rc < 0 ? 0 : *ret;
	return rc < 0 ? rc : 0;
}

struct maker {
	int64_t worker, wall_us;
	const struct outcome_taken *o;
};

bool history_same_place(const struct history_place *a, const struct history_place *b)
{
	return a->worker == b->worker && a->token.epoch == b->token.epoch &&
	       a->token.lease == b->token.lease && a->segment == b->segment;
}

/* A lease's shards come in order, report by report: they lengthen the row that the first one made. */
static int range_put(struct history *h, const struct maker *m, struct range r, struct error *reterr)
{
	const struct outcome_taken *o = m->o;
	const struct history_range row = {.job = o->job,
					  .phase = o->phase,
					  .shards = r,
					  .place = {m->worker, o->token, o->segment},
					  .wall_us = m->wall_us};
	struct history_range before;
	struct sql *s = &h->db;
	bool same = false;
	int rc;

	if (r.first == 0) /* nothing is before it */
		return sql_put(s, WRITE_RANGE, &row, reterr);
	rc = sql_begin(s, WRITE_RANGE_BEFORE, reterr, "iii", I64(o->job), I64(o->phase), I64(r.first));

	if (rc == 1) {
		sql_get(s, WRITE_RANGE_BEFORE, &before, NULL);
		same = range_end(before.shards) == r.first && history_same_place(&before.place, &row.place);
	}
	sql_end(s, WRITE_RANGE_BEFORE);
	if (rc < 0)
		return rc;
	if (same)
		return sql_run(s, WRITE_RANGE_LONGER, reterr, "iiiii", I64(r.count), m->wall_us, I64(o->job),
			       I64(o->phase), I64(before.shards.first));
	return sql_put(s, WRITE_RANGE, &row, reterr);
}

static int apply_outcome(struct history *h, const struct maker *m, struct error *reterr)
{
	const struct outcome_taken *o = m->o;
	int rc = history_take_news(h, o, m->worker, m->wall_us, reterr);

	if (rc != 0)
		return rc < 0 ? rc : 0;
	for (uint32_t i = 0; rc == 0 && i < o->done.count; i++) {
		rc = range_put(h, m, o->done.items[i], reterr);
		if (rc == 0)
			rc = history_dead_remove(h, o->job, o->phase, o->done.items[i], reterr);
	}
	for (uint32_t i = 0; rc == 0 && i < o->failed.count; i++) {
		const struct shard_failure *f = &o->failed.items[i];
		struct history_dead d = {.job = o->job,
					 .phase = o->phase,
					 .shards = {f->first, f->count},
					 .kind = f->kind,
					 .code = f->code,
					 .why = f->why,
					 .wall_us = m->wall_us};

		if (f->segment > 0)
			d.place = (struct history_place){m->worker, o->token, f->segment};
		if (f->dead)
			rc = history_dead_put(h, &d, reterr);
	}
	return rc < 0 ? rc : history_efforts_put(h, o, m->worker, reterr);
}

static int apply_outcomes(struct history *h, const struct outcomes_taken *r, struct error *reterr)
{
	struct maker m = {.wall_us = r->wall_us};
	int rc = worker_number(h, &r->worker, &m.worker, reterr);

	if (rc == 0 && r->host.size > 0)
		rc = sql_run(&h->db, WRITE_WORKER_HOST, reterr, "ti", r->host, m.worker);
	for (uint32_t i = 0; rc == 0 && i < r->outcomes.count; i++) {
		m.o = &r->outcomes.items[i];
		rc = apply_outcome(h, &m, reterr);
	}
	return rc;
}

static int apply_crashed(struct history *h, const struct crashed *r, struct error *reterr)
{
	int rc = r->dead.count > 0 ? history_unblock(h, r->job, reterr) : 0;

	for (uint32_t i = 0; rc == 0 && i < r->dead.count; i++) {
		struct history_dead d = {.job = r->job,
					 .phase = r->phase,
					 .shards = r->dead.items[i],
					 .kind = FAILURE_CRASHES,
					 .wall_us = r->wall_us};

		rc = history_dead_put(h, &d, reterr);
	}
	return rc;
}

static int apply_retried(struct history *h, const struct retried *r, struct error *reterr)
{
	int rc = history_unblock(h, r->job, reterr);

	for (uint32_t i = 0; rc == 0 && i < r->shards.count; i++)
		rc = history_dead_remove(h, r->job, r->phase, r->shards.items[i], reterr);
	return rc < 0 ? rc
		      : sql_run(&h->db, WRITE_JOB_AGAIN, reterr, "itii", I64(r->by.kind), r->by.name,
				I64(r->by.number), I64(r->job));
}

/* ---- jobs ---- */

static int apply_changed(struct history *h, const struct job_changed *r, struct error *reterr)
{
	int rc = history_unblock(h, r->job, reterr);

	if (rc < 0)
		return rc;
	if (r->change == CHANGE_ACTIVATED)
		return sql_run(&h->db, WRITE_JOB_STATE, reterr, "ii", I64(JOB_ACTIVE), I64(r->job));
	if (r->change == CHANGE_PAUSED)
		return sql_run(&h->db, WRITE_JOB_PAUSED, reterr, "ititii", I64(1), r->why, I64(r->by.kind),
			       r->by.name, I64(r->by.number), I64(r->job));
	return sql_run(&h->db, WRITE_JOB_PAUSED, reterr, "ititii", I64(0), BYTES_LIT(""), I64(0),
		       BYTES_LIT(""), I64(0), I64(r->job));
}

static int apply_ended(struct history *h, const struct job_ended *r, struct error *reterr)
{
	const struct history_job row = {.job = r->job,
					.name = r->name,
					.definition = r->definition,
					.state = r->state,
					.why = r->why,
					.depth = r->depth,
					.event_id_hi = r->event_id_hi,
					.event_id_lo = r->event_id_lo,
					.accepted_wall_us = r->accepted_wall_us,
					.started_wall_us = r->started_wall_us,
					.ended_wall_us = r->wall_us,
					.phase = r->phase,
					.shards = r->shards,
					.done = r->done,
					.dead = r->dead,
					.dropped = r->dropped,
					.retries = r->retries,
					.totals = r->totals,
					.shards_phase = r->shards_phase,
					.reopens = r->reopens,
					.by = r->by,
					.owner = r->owner,
					.traceparent = r->traceparent,
					.stopped_by = r->ended_by,
					.again_by = r->again_by,
					.carried = true};
	int rc = history_end_small(h, r, &row, reterr);

	if (rc != 0)
		return rc < 0 ? rc : 0;
	for (uint32_t i = 0; rc == 0 && i < r->later.count; i++) {
		const struct history_phase phase = {r->job, r->shards_phase + i + 1, r->later.items[i]};

		rc = sql_put(&h->db, WRITE_PHASE_ENDED, &phase, reterr);
	}
	if (rc == 0)
		rc = sql_put(&h->db, WRITE_JOB_ENDS, &row, reterr);
	if (rc < 0 || sql_changes(&h->db) > 0)
		return rc;
	return job_put(h, WRITE_JOB_ENDED, &row, reterr);
}

static int apply_ended_block(struct history *h, const struct ended_block *r, struct error *reterr)
{
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < r->jobs.count; i++) {
		const struct job_ended one = ended_block_at(r, i);

		rc = apply_ended(h, &one, reterr);
	}
	return rc;
}

static int apply_reopened(struct history *h, const struct reopened *r, struct error *reterr)
{
	struct history_job row = row_of(r->job, &r->body);
	int rc = history_unblock_ended(h, r->job, reterr);

	if (rc == 0)
		rc = history_forget(h, r, reterr);
	row.state = JOB_ACTIVE;
	row.accepted_wall_us = r->accepted_wall_us;
	row.started_wall_us = r->started_wall_us;
	row.phase = row.shards_phase = r->phase;
	row.shards = r->plan.shard_count;
	row.reopens = r->reopens;
	row.again_by = r->by;
	row.carried = true;
	if (rc == 0)
		rc = job_put(h, WRITE_JOB_REOPENED, &row, reterr);
	if (rc == 0 && r->phase > 0)
		rc = phase_put(h, r->job, r->phase, r->plan.shard_count, reterr);
	if (rc == 0 && (r->phase > 0 || r->body.planner != PLANNER_PURE))
		rc = plan_put(h, r->job, &r->plan, reterr);
	return rc;
}

/* Carried forward: news only for a history that began behind the job's acceptance. Who made the shards
 * that were done by then is not known any more. */
static int slice_insert(struct history *h, const struct job_slice *r, struct error *reterr)
{
	struct history_job row = row_of(r->job, &r->body);
	int rc;

	row.state = r->state;
	row.due_wall_us = r->body.due_wall_us;
	row.accepted_wall_us = r->accepted_wall_us;
	row.started_wall_us = r->started_wall_us;
	row.phase = r->phase;
	row.shards = r->phase == 0 ? r->plan.shard_count : r->first_shards;
	row.paused = r->paused;
	row.why = r->why;
	row.stopped_by = r->paused_by;
	row.again_by = r->again_by;
	row.reopens = r->reopens;
	row.carried = true;
	rc = job_put(h, WRITE_JOB_SLICE, &row, reterr);
	if (rc == 0 && r->phase > 0 && sql_changes(&h->db) > 0)
		rc = phase_put(h, r->job, r->phase, r->plan.shard_count, reterr);
	if (rc == 0 && r->sealed && plan_row(r->plan.kind)->planned &&
	    (r->phase > 0 || r->body.planner != PLANNER_PURE))
		rc = plan_put(h, r->job, &r->plan, reterr);
	return rc;
}

static int apply_slice(struct history *h, const struct job_slice *r, struct error *reterr)
{
	int rc = history_is_made(h, r->job, reterr);
	bool carried;

	if (rc != 0) /* all that happened to it is known */
		return rc < 0 ? rc : 0;
	rc = r->part == 0 ? slice_insert(h, r, reterr) : 0;
	if (rc < 0)
		return rc;
	rc = sql_begin(&h->db, WRITE_JOB_CARRIED, reterr, "i", I64(r->job));
	carried = rc == 1 && sql_int(&h->db, WRITE_JOB_CARRIED, 0) != 0;
	sql_end(&h->db, WRITE_JOB_CARRIED);
	for (uint32_t i = 0; carried && rc >= 0 && i < r->dead.count; i++) {
		struct history_dead d = {.job = r->job,
					 .phase = r->phase,
					 .shards = {r->dead.items[i].first, r->dead.items[i].count},
					 .kind = (uint8_t)r->dead.items[i].number};

		rc = history_dead_put(h, &d, reterr);
	}
	for (uint32_t i = 0; carried && rc >= 0 && i < r->notes.count; i++) {
		const struct shard_failure *f = &r->notes.items[i];
		struct history_dead d = {.job = r->job,
					 .phase = r->phase,
					 .shards = {f->first, f->count},
					 .kind = f->kind,
					 .code = f->code,
					 .why = f->why};

		rc = history_dead_put(h, &d, reterr);
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
	case RECORD_ENDED_BLOCK:
		return apply_ended_block(h, record, reterr);
	case RECORD_FORGOTTEN:
		return history_forgotten(h, record, reterr);
	case RECORD_WINDOW:
		return apply_window(h, record, reterr);
	case RECORD_PLAN_FAILED: /* if it is final, the end says why */
	case RECORD_GRANTED:
	case RECORD_SETTLED:
	case RECORD_WATERMARK:
	case RECORD_DEDUP_STATE:
	case RECORD_COUNTERS:
	case RECORD_WINDOW_CLOSED:
	case RECORD_QUEUE_CHANGED:
	case RECORD_DEDUP_SEALED:
		return 0;
	}
	return error_set(reterr, ERR_VERSION, "history does not know records of type %u", type);
}
