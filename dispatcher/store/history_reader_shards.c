/* What history has of a job's shards: who made them, what that took, why they are dead. In rows, or of a job
 * in a block there. */
#include "dispatcher/store/history_reader_private.h"

/* ---- winners ---- */

struct walk {
	uint64_t at, end; /* shards [at, end) are still to come */
	history_winner_fn *fn;
	void *arg;
};

static int walk_missing(struct walk *w, uint64_t up_to)
{
	struct history_winner m = {.is_missing = true};

	if (up_to <= w->at)
		return 0;
	m.shards = range_between(w->at, up_to);
	w->at = up_to;
	return w->fn(w->arg, &m);
}

static int walk_row(struct walk *w, const struct history_range *row)
{
	struct history_winner m = {.worker = row->worker,
				   .token = row->place.token,
				   .segment = row->place.segment,
				   .row = row->shards};
	uint64_t first = row->shards.first, end = range_end(row->shards);
	int rc;

	rc = walk_missing(w, first < w->end ? first : w->end);
	end = end < w->end ? end : w->end;
	if (rc < 0 || end <= w->at)
		return rc;
	m.shards = range_between(w->at, end);
	w->at = end;
	return w->fn(w->arg, &m);
}

/* Where the row begins that may hold shard `first`. */
static int row_before(struct history_reader *r, int s, uint64_t job, uint32_t phase, uint32_t first,
		      int64_t *ret, struct error *reterr)
{
	int rc = sql_begin(&r->db, s, reterr, "iii", (int64_t)job, (int64_t)phase, (int64_t)first);

	*ret = rc == 1 ? sql_int(&r->db, s, 0) : (int64_t)first;
	sql_end(&r->db, s);
	return rc < 0 ? rc : 0;
}

static int block_winner(struct history_reader *r, uint64_t job, struct walk *w, struct error *reterr)
{
	struct history_entry e;
	int rc = w->at == 0 ? history_block_entry(r, job, NULL, &e, reterr) : 0;

	return rc == 1 && e.range.shards.count > 0 ? walk_row(w, &e.range) : rc;
}

static int winners_now(struct history_reader *r, uint64_t job, uint32_t phase, struct range shards,
		       history_winner_fn *fn, void *arg, struct error *reterr)
{
	struct walk w = {.at = shards.first, .end = range_end(shards), .fn = fn, .arg = arg};
	bool any = false;
	int64_t from;
	int rc = row_before(r, READ_RANGE_AT, job, phase, shards.first, &from, reterr);

	if (rc < 0)
		return rc;
	rc = sql_begin(&r->db, READ_RANGES, reterr, "iiii", (int64_t)job, (int64_t)phase, from,
		       (int64_t)range_end(shards));
	while (rc == 1) {
		struct history_range row;

		sql_get(&r->db, READ_RANGES, &row, NULL);
		any = true;
		rc = walk_row(&w, &row);
		if (rc >= 0)
			rc = sql_next(&r->db, READ_RANGES, reterr);
	}
	sql_end(&r->db, READ_RANGES);
	if (rc >= 0 && !any && phase == 0)
		rc = block_winner(r, job, &w, reterr);
	return rc < 0 ? rc : walk_missing(&w, w.end);
}

int history_winners(struct history_reader *r, uint64_t job, uint32_t phase, struct range shards,
		    history_winner_fn *fn, void *arg, struct error *reterr)
{
	int rc = history_read_begin(r, reterr);

	if (rc == 0)
		rc = winners_now(r, job, phase, shards, fn, arg, reterr);
	history_read_end(r);
	return rc;
}

/* ---- efforts ---- */

static int efforts_now(struct history_reader *r, uint64_t job, uint32_t phase, struct range shards,
		       history_effort_fn *fn, void *arg, struct error *reterr)
{
	struct history_entry entry;
	bool any = false;
	int64_t from;
	int rc = row_before(r, READ_EFFORT_AT, job, phase, shards.first, &from, reterr);

	if (rc < 0)
		return rc;
	rc = sql_begin(&r->db, READ_EFFORTS, reterr, "iiii", (int64_t)job, (int64_t)phase, from,
		       (int64_t)range_end(shards));
	while (rc == 1) {
		struct history_effort e = {.job = job, .phase = phase};

		sql_get(&r->db, READ_EFFORTS, &e, NULL);
		any = true;
		rc = (uint64_t)e.effort.first + e.effort.count > shards.first ? fn(arg, &e) : 0;
		if (rc >= 0)
			rc = sql_next(&r->db, READ_EFFORTS, reterr);
	}
	sql_end(&r->db, READ_EFFORTS);
	if (rc < 0 || any || phase > 0 || shards.first > 0 || shards.count == 0)
		return rc;
	rc = history_block_entry(r, job, NULL, &entry, reterr);
	return rc == 1 && entry.effort.effort.count > 0 ? fn(arg, &entry.effort) : rc < 0 ? rc : 0;
}

int history_efforts(struct history_reader *r, uint64_t job, uint32_t phase, struct range shards,
		    history_effort_fn *fn, void *arg, struct error *reterr)
{
	int rc = history_read_begin(r, reterr);

	if (rc == 0)
		rc = efforts_now(r, job, phase, shards, fn, arg, reterr);
	history_read_end(r);
	return rc;
}

/* ---- the dead ---- */

static int tell_dead(history_failure_fn *fn, void *arg, const struct history_dead *row)
{
	const struct history_failure f = {.shards = row->shards,
					  .kind = row->kind,
					  .code = row->code,
					  .why = row->why,
					  .wall_us = row->wall_us,
					  .worker = row->worker,
					  .token = row->place.token,
					  .segment = row->place.segment};

	return fn(arg, &f);
}

static int failures_now(struct history_reader *r, uint64_t job, uint32_t phase, uint32_t first,
			uint32_t limit, struct arena *arena, history_failure_fn *fn, void *arg,
			struct error *reterr)
{
	int rc = sql_begin(&r->db, READ_FAILURES, reterr, "iiii", (int64_t)job, (int64_t)phase,
			   (int64_t)first, (int64_t)limit);
	struct history_entry entry;
	bool any = false;

	while (rc == 1) {
		struct history_dead row;

		sql_get(&r->db, READ_FAILURES, &row, arena);
		any = true;
		rc = tell_dead(fn, arg, &row);
		if (rc >= 0)
			rc = sql_next(&r->db, READ_FAILURES, reterr);
	}
	sql_end(&r->db, READ_FAILURES);
	if (rc < 0 || any || phase > 0 || first > 0 || limit == 0)
		return rc;
	rc = history_block_entry(r, job, arena, &entry, reterr);
	return rc == 1 && entry.dead.shards.count > 0 ? tell_dead(fn, arg, &entry.dead) : rc < 0 ? rc : 0;
}

int history_failures(struct history_reader *r, uint64_t job, uint32_t phase, uint32_t first, uint32_t limit,
		     struct arena *arena, history_failure_fn *fn, void *arg, struct error *reterr)
{
	int rc = history_read_begin(r, reterr);

	if (rc == 0)
		rc = failures_now(r, job, phase, first, limit, arena, fn, arg, reterr);
	history_read_end(r);
	return rc;
}
