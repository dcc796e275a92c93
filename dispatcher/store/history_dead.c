/* Dead shards: rows that do not overlap, and a bound on how many a job has. */
#include "dispatcher/store/history_private.h"

#define I64(x) ((int64_t)(x))

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
static int dead_insert(struct history *h, const struct history_dead *d, struct error *reterr)
{
	int64_t *rows;
	int rc = failure_rows(h, d->job, &rows, reterr);

	if (rc < 0 || *rows >= HISTORY_FAILURES_MAX)
		return rc;
	++*rows;
	if (I64(d->job) > h->failures_last_job)
		h->failures_last_job = I64(d->job);
	return sql_put(&h->db, WRITE_FAILURE, d, reterr);
}

/* The last row that begins before shard `begins`, if it ends at `ends` or behind: 1. Rows do not overlap, so
 * no other one does. */
static int dead_before(struct history *h, uint64_t job, uint32_t phase, uint64_t begins, uint64_t ends,
		       struct history_dead *ret, struct error *reterr)
{
	struct sql *s = &h->db;
	int rc = sql_begin(s, WRITE_FAILURE_BEFORE, reterr, "iii", I64(job), I64(phase), I64(begins));

	if (rc == 1) {
		*ret = (struct history_dead){.job = job, .phase = phase};
		sql_get(s, WRITE_FAILURE_BEFORE, ret, NULL);
		rc = range_end(ret->shards) >= ends;
	}
	if (rc == 1)
		ret->why = arena_copy(&h->arena, ret->why);
	sql_end(s, WRITE_FAILURE_BEFORE);
	return rc;
}

/* Takes one row that meets the range out, and puts back what of it lies outside. 1 = there was one. */
static int dead_take_one(struct history *h, uint64_t job, uint32_t phase, struct range r,
			 struct error *reterr)
{
	struct history_dead left, right;
	uint64_t first, end;
	int64_t *rows;
	int rc = dead_before(h, job, phase, range_end(r), (uint64_t)r.first + 1, &left, reterr);

	if (rc != 1)
		return rc;
	first = left.shards.first;
	end = range_end(left.shards);
	right = left;
	rc = failure_rows(h, job, &rows, reterr);
	if (rc == 0)
		rc = sql_run(&h->db, WRITE_FAILURE_DELETE, reterr, "iii", I64(job), I64(phase), I64(first));
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

int history_dead_remove(struct history *h, uint64_t job, uint32_t phase, struct range r, struct error *reterr)
{
	int rc = 0;

	if (h->failures_last_job < 0) {
		rc = sql_begin(&h->db, WRITE_FAILURE_LAST_JOB, reterr, "");
		if (rc == 1)
			h->failures_last_job = sql_int(&h->db, WRITE_FAILURE_LAST_JOB, 0);
		sql_end(&h->db, WRITE_FAILURE_LAST_JOB);
	}
	if (rc < 0 || I64(job) > h->failures_last_job) /* most jobs: nothing of them has failed */
		return rc < 0 ? rc : 0;
	do
		rc = dead_take_one(h, job, phase, r, reterr);
	while (rc == 1);
	return rc;
}

int history_dead_put(struct history *h, struct history_dead *d, struct error *reterr)
{
	struct history_dead before;
	int64_t *rows;
	int rc = history_dead_remove(h, d->job, d->phase, d->shards, reterr);

	if (rc == 0)
		rc = failure_rows(h, d->job, &rows, reterr);
	if (rc < 0)
		return rc;
	if (*rows >= HISTORY_FAILURES_MAX / 2)
		d->place = (struct history_place){0};
	rc = dead_before(h, d->job, d->phase, d->shards.first, d->shards.first, &before, reterr);
	if (rc == 1 && before.kind == d->kind && before.code == d->code && bytes_equal(before.why, d->why) &&
	    history_same_place(&before.place, &d->place))
		return sql_run(&h->db, WRITE_FAILURE_LONGER, reterr, "iiiii", I64(d->shards.count),
			       d->wall_us, I64(d->job), I64(d->phase), I64(before.shards.first));
	return rc < 0 ? rc : dead_insert(h, d, reterr);
}
