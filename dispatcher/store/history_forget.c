/* What is in history no more: jobs that are forgotten, and what a job that lives again has lost of its
 * earlier life; and segments of output that nobody needs. */
#include <string.h>

#include "base/check.h"
#include "dispatcher/store/history_blocks.h"

#define I64(x) ((int64_t)(x))
/* A transaction with so many takes some 50 ms, while history stands still for everybody who waits for it. */
#define LEFTOVER_ROWS 5000

/* What is done stays. What was told of the dead, and of what came behind the shards, is over. */
static int forget_rest(struct history *h, uint64_t job, uint32_t phase, struct error *reterr)
{
	int rc = sql_run(&h->db, WRITE_FAILURES_DELETE, reterr, "ii", I64(job), I64(phase));

	if (rc == 0)
		rc = sql_run(&h->db, WRITE_RANGES_DELETE, reterr, "ii", I64(job), I64(phase));
	if (rc == 0)
		rc = sql_run(&h->db, WRITE_EFFORTS_DELETE, reterr, "ii", I64(job), I64(phase));
	if (rc == 0)
		rc = sql_run(&h->db, WRITE_PHASES_DELETE, reterr, "ii", I64(job), I64(phase));
	history_efforts_changed(h);
	if (h->failure_rows[job % FAILURE_ROWS_CACHED].job == job)
		h->failure_rows[job % FAILURE_ROWS_CACHED].job = 0;
	return rc;
}

/* Shards [first, end) are not done any more: their outputs are lost. */
static int forget_makers(struct history *h, uint64_t job, uint32_t phase, uint64_t first, uint64_t end,
			 struct error *reterr)
{
	int rc;

	if (first >= end)
		return 0;
	rc = sql_run(&h->db, WRITE_RANGE_SPLIT, reterr, "iii", I64(job), I64(phase), I64(end));
	if (rc == 0)
		rc = sql_run(&h->db, WRITE_RANGE_CUT, reterr, "iii", I64(job), I64(phase), I64(first));
	if (rc == 0)
		rc = sql_run(&h->db, WRITE_RANGES_BETWEEN_DELETE, reterr, "iiii", I64(job), I64(phase),
			     I64(first), I64(end));
	return rc;
}

static int forget_lost(struct history *h, const struct reopened *r, struct error *reterr)
{
	uint64_t at = 0;
	int rc = 0;

	for (uint32_t i = 0; i < r->done.count && rc == 0; at = range_end(r->done.items[i++]))
		rc = forget_makers(h, r->job, r->phase, at, r->done.items[i].first, reterr);
	return rc < 0 ? rc : forget_makers(h, r->job, r->phase, at, r->plan.shard_count, reterr);
}

int history_forget(struct history *h, const struct reopened *r, struct error *reterr)
{
	int rc = forget_rest(h, r->job, r->phase, reterr);

	return rc < 0 ? rc : forget_lost(h, r, reterr);
}

/* Ranges that touch become one. */
static int note_forgotten(struct history *h, int64_t first, int64_t last, struct error *reterr)
{
	int rc = sql_begin(&h->db, WRITE_FORGOTTEN_BESIDE, reterr, "ii", first, last);

	if (rc == 1 && sql_int(&h->db, WRITE_FORGOTTEN_BESIDE, 1) > 0) { /* 0: there is none */
		int64_t begins = sql_int(&h->db, WRITE_FORGOTTEN_BESIDE, 0);
		int64_t ends = sql_int(&h->db, WRITE_FORGOTTEN_BESIDE, 1);

		first = begins < first ? begins : first;
		last = ends > last ? ends : last;
	}
	sql_end(&h->db, WRITE_FORGOTTEN_BESIDE);
	if (rc >= 0)
		rc = sql_run(&h->db, WRITE_FORGOTTEN_DELETE, reterr, "ii", first, last);
	return rc < 0 ? rc : sql_run(&h->db, WRITE_FORGOTTEN, reterr, "ii", first, last);
}

static int forget_rows(struct history *h, const struct job_ids *jobs, struct error *reterr)
{
	uint64_t last = jobs->first + jobs->count - 1;
	int rc = sql_run(&h->db, WRITE_FORGET_EVENTS, reterr, "ii", I64(jobs->first), I64(last));

	if (rc == 0)
		rc = sql_run(&h->db, WRITE_FORGET_JOBS, reterr, "ii", I64(jobs->first), I64(last));
	if (rc == 0)
		rc = sql_run(&h->db, WRITE_LEFTOVER, reterr, "ii", I64(jobs->first), I64(last));
	h->has_leftovers = true;
	for (size_t i = 0; i < ARRAY_LENGTH(h->failure_rows); i++)
		if (h->failure_rows[i].job >= jobs->first && h->failure_rows[i].job <= last)
			h->failure_rows[i].job = 0;
	history_efforts_changed(h);
	return rc;
}

/* Jobs in blocks have no rows: in between are those that have. */
static int find_rows(struct history *h, struct job_interval jobs, struct job_interval *ret,
		     struct error *reterr)
{
	int rc = sql_begin(&h->db, WRITE_JOB_ROWS_BETWEEN, reterr, "ii", jobs.first, jobs.last);

	*ret = (struct job_interval){1, 0};
	if (rc == 1 && sql_int(&h->db, WRITE_JOB_ROWS_BETWEEN, 1) > 0)
		*ret = (struct job_interval){sql_int(&h->db, WRITE_JOB_ROWS_BETWEEN, 0),
					     sql_int(&h->db, WRITE_JOB_ROWS_BETWEEN, 1)};
	sql_end(&h->db, WRITE_JOB_ROWS_BETWEEN);
	return rc < 0 ? rc : 0;
}

/* Of the range that comes first, at most *rows, from which they are taken. 1: nothing is left of it, 0: there
 * may be more, or there is no range. */
static int clear_first(struct history *h, int64_t *rows, struct error *reterr)
{
	int rc = sql_begin(&h->db, WRITE_LEFTOVER_FIRST, reterr, "");
	int64_t first = rc == 1 ? sql_int(&h->db, WRITE_LEFTOVER_FIRST, 0) : 0;
	int64_t last = rc == 1 ? sql_int(&h->db, WRITE_LEFTOVER_FIRST, 1) : 0;

	sql_end(&h->db, WRITE_LEFTOVER_FIRST);
	h->has_leftovers = rc == 1;
	if (rc < 1)
		return rc;
	rc = 0;
	for (int s = WRITE_LEFT_FIRST; rc == 0 && *rows > 0 && s < WRITE_LEFT_END; s++) {
		rc = sql_run(&h->db, s, reterr, "iii", first, last, *rows);
		*rows -= rc == 0 ? sqlite3_changes(h->db.db) : 0;
	}
	if (rc < 0 || *rows <= 0)
		return rc;
	rc = sql_run(&h->db, WRITE_LEFTOVER_DELETE, reterr, "i", first);
	return rc < 0 ? rc : 1;
}

int history_clear_leftovers(struct history *h, struct error *reterr)
{
	int64_t rows = h->leftover_rows > 0 ? h->leftover_rows : LEFTOVER_ROWS;
	int rc = 1;

	if (!h->has_leftovers)
		return 0;
	while (rc == 1) {
		rows--; /* a range without rows takes its time, too */
		rc = rows > 0 ? clear_first(h, &rows, reterr) : 0;
	}
	return rc;
}

int history_forgotten(struct history *h, const struct forgotten *r, struct error *reterr)
{
	const struct job_ids *ids = r->jobs.items;
	struct job_interval all, rows;
	int rc;

	if (r->jobs.count == 0)
		return 0;
	all.first = I64(ids[0].first);
	all.last = I64(ids[r->jobs.count - 1].first + ids[r->jobs.count - 1].count - 1);
	rc = find_rows(h, all, &rows, reterr);
	for (uint32_t i = 0; rc == 0 && i < r->jobs.count; i++) {
		int64_t first = I64(ids[i].first), last = I64(ids[i].first + ids[i].count - 1);

		if (first <= rows.last && last >= rows.first)
			rc = forget_rows(h, &ids[i], reterr);
		if (rc == 0)
			rc = note_forgotten(h, first, last, reterr);
		if (rc == 0)
			rc = history_forget_made(h, (uint64_t)first, (uint64_t)last, reterr);
	}
	if (rc == 0)
		rc = sql_run(&h->db, WRITE_BLOCK_LEFT_DELETE, reterr, "ii", all.first, all.last);
	return rc < 0 ? rc : history_forget_in_blocks(h, all, reterr);
}

int history_change_segments(struct history *h, size_t count, struct error *reterr)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < count; i++) {
		const struct history_segment_change *c = &h->segment_changes[i];
		uint8_t id[16];

		sql_id_write(c->worker.hi, c->worker.lo, id);
		rc = sql_run(&h->db, c->gone ? WRITE_SEGMENT_GONE : WRITE_SEGMENT_DOOMED, reterr, "bi",
			     BYTES(id, 16), I64(c->segment));
	}
	return rc;
}

bool history_submit_segments(struct history *h, const struct history_segment_change *changes, size_t count)
{
	bool fits;

	pthread_mutex_lock(&h->lock);
	fits = h->segment_change_count == 0 && count <= HISTORY_SEGMENT_CHANGES_MAX;
	if (fits && count > 0) {
		memcpy(h->segment_changes, changes, count * sizeof *changes);
		h->segment_change_count = count;
		if (h->writer_is_idle)
			pthread_cond_signal(&h->wake_writer);
	}
	pthread_mutex_unlock(&h->lock);
	return fits;
}
