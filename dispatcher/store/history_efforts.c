/* What attempts took, a row for the last attempt of each of the first shards of a phase, else sums of ranges
 * (jobs/effort.h). A job has at most EFFORTS_ADDED_MAX rows of sums: what comes beyond is added to the row
 * before it, so that rows grow over gaps and workers, and nothing is lost of the sums. All jobs together have
 * EFFORTS_KEPT_MAX rows: beyond, those of the oldest jobs go. */
#include <string.h>

#include "dispatcher/store/history_private.h"
#include "jobs/effort.h"

#define I64(x) ((int64_t)(x))

void history_efforts_changed(struct history *h)
{
	memset(h->effort_sums, 0, sizeof h->effort_sums);
}

/* ---- bounds ---- */

static int count_sums(struct history *h, uint64_t job, int64_t **ret, struct error *reterr)
{
	struct failure_rows *c = &h->effort_sums[job % FAILURE_ROWS_CACHED];
	int rc = 0;

	if (c->job != job) {
		rc = sql_begin(&h->db, WRITE_EFFORT_SUMS, reterr, "i", I64(job));
		if (rc == 1)
			*c = (struct failure_rows){job, sql_int(&h->db, WRITE_EFFORT_SUMS, 0)};
		sql_end(&h->db, WRITE_EFFORT_SUMS);
	}
	*ret = &c->rows;
	return rc < 0 ? rc : 0;
}

static int count_all(struct history *h, struct error *reterr)
{
	int rc = sql_begin(&h->db, WRITE_EFFORT_COUNT, reterr, "");

	if (rc == 1)
		h->effort_rows = sql_int(&h->db, WRITE_EFFORT_COUNT, 0);
	sql_end(&h->db, WRITE_EFFORT_COUNT);
	return rc < 0 ? rc : 0;
}

/* Makes room for an eighth of the rows: counting and deleting take their time. A row that took another's
 * place was counted, too, so first they are counted again. */
static int make_room(struct history *h, struct error *reterr)
{
	int64_t max = h->efforts_max > 0 ? h->efforts_max : EFFORTS_KEPT_MAX;
	int rc = 0;

	if (h->effort_rows < 0 || h->effort_rows >= max)
		rc = count_all(h, reterr);
	if (rc < 0 || h->effort_rows < max)
		return rc;
	rc = sql_run(&h->db, WRITE_EFFORTS_OLDEST_DELETE, reterr, "i", max / 8);
	history_efforts_changed(h);
	return rc < 0 ? rc : count_all(h, reterr);
}

static int insert(struct history *h, const struct history_effort *e, struct error *reterr)
{
	int rc = make_room(h, reterr);

	h->effort_rows++;
	return rc < 0 ? rc : sql_put(&h->db, WRITE_EFFORT, e, reterr);
}

/* ---- sums ---- */

static uint64_t end_of(const struct history_effort *e)
{
	return (uint64_t)e->effort.first + e->effort.count;
}

/* The last row that begins at the shard or before: 1. */
static int row_before(struct history *h, const struct history_effort *e, struct history_effort *ret,
		      struct error *reterr)
{
	int rc = sql_begin(&h->db, WRITE_EFFORT_BEFORE, reterr, "iii", I64(e->job), I64(e->phase),
			   I64(e->effort.first));

	*ret = (struct history_effort){.job = e->job, .phase = e->phase};
	if (rc == 1)
		sql_get(&h->db, WRITE_EFFORT_BEFORE, ret, NULL);
	sql_end(&h->db, WRITE_EFFORT_BEFORE);
	return rc;
}

static bool are_alike(const struct history_effort *a, const struct history_effort *b)
{
	return a->worker == b->worker && a->attempt == b->attempt && a->effort.kind == b->effort.kind &&
	       a->effort.code == b->effort.code;
}

static int grow(struct history *h, struct history_effort *row, const struct history_effort *by,
		struct error *reterr)
{
	uint64_t end = end_of(by) > end_of(row) ? end_of(by) : end_of(row);

	row->effort.count = (uint32_t)(end - row->effort.first);
	if (by->effort.start_wall_us < row->effort.start_wall_us)
		row->effort.start_wall_us = by->effort.start_wall_us;
	row->worker = row->worker == by->worker ? row->worker : 0;
	row->attempt = row->attempt > by->attempt ? row->attempt : by->attempt;
	totals_add(&row->effort.totals, &by->effort.totals);
	return sql_put(&h->db, WRITE_EFFORT, row, reterr);
}

static int sum_put(struct history *h, const struct history_effort *e, struct error *reterr)
{
	struct history_effort before;
	int64_t *rows;
	int rc = row_before(h, e, &before, reterr);
	bool is_sum = rc == 1 && before.effort.sum;

	if (rc < 0)
		return rc;
	if (rc == 1 && before.effort.first == e->effort.first && end_of(&before) <= end_of(e))
		return sql_put(&h->db, WRITE_EFFORT, e, reterr); /* another attempt of the same */
	if (is_sum && end_of(&before) >= e->effort.first && are_alike(&before, e))
		return grow(h, &before, e, reterr);
	rc = count_sums(h, e->job, &rows, reterr);
	if (rc < 0)
		return rc;
	if (is_sum && (*rows >= EFFORTS_ADDED_MAX || before.effort.first == e->effort.first))
		return grow(h, &before, e, reterr);
	if (*rows >= EFFORTS_ADDED_MAX)
		return 0; /* there is nothing before it that it could be added to */
	++*rows;
	return insert(h, e, reterr);
}

/* ---- an outcome ---- */

int history_effort_put(struct history *h, const struct history_effort *e, struct error *reterr)
{
	struct history_effort sum = *e;

	if (e->effort.count == 1 && !e->effort.sum && e->effort.first < EFFORTS_APART_MAX)
		return insert(h, e, reterr);
	sum.effort.sum = true;
	return sum_put(h, &sum, reterr);
}

static int part_put(struct history *h, const struct history_effort *whole, struct range r,
		    struct error *reterr)
{
	struct history_effort e = *whole;

	e.effort = effort_part(&whole->effort, r);
	return history_effort_put(h, &e, reterr);
}

/* As far as its shards are now done, or failed: what came late or twice says nothing. */
static int effort_put(struct history *h, const struct outcome_taken *o, const struct history_effort *e,
		      struct error *reterr)
{
	struct range all = {e->effort.first, e->effort.count};
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && e->effort.kind == 0 && i < o->done.count; i++)
		if (range_overlaps(all, o->done.items[i]))
			rc = part_put(h, e, o->done.items[i], reterr);
	for (uint32_t i = 0; rc == 0 && e->effort.kind != 0 && i < o->failed.count; i++) {
		struct range failed = {o->failed.items[i].first, o->failed.items[i].count};

		if (range_overlaps(all, failed))
			rc = part_put(h, e, failed, reterr);
	}
	return rc;
}

int history_efforts_put(struct history *h, const struct outcome_taken *o, int64_t worker,
			struct error *reterr)
{
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < o->efforts.count && i < EFFORTS_PER_OUTCOME_MAX; i++) {
		const struct history_effort e = {.job = o->job,
						 .phase = o->phase,
						 .effort = o->efforts.items[i],
						 .attempt = o->attempt,
						 .worker = worker};

		rc = effort_put(h, o, &e, reterr);
	}
	return rc;
}
