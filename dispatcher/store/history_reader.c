#include "dispatcher/store/history_reader.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "dispatcher/store/sql.h"
#include "jobs/kinds.h"

#define JOB_COLUMNS                                                                                          \
	"SELECT j.id, j.name, d.sha256, j.state, j.paused, j.why, j.priority, j.depth, j.event, j.due_us,"   \
	" j.accepted_us, j.started_us, j.ended_us, j.shards, j.done, j.dead, j.dropped, j.retries,"          \
	" j.run_us, j.output_bytes, j.phase, j.shards_phase, j.cpu_us, j.max_rss_bytes, j.reopens FROM "     \
	"jobs j"                                                                                             \
	" LEFT JOIN definitions d ON d.id = j.definition "

#define JOBS_OF(state)                                                                                       \
	"SELECT id FROM (SELECT id FROM jobs WHERE state = " state " AND (?1 >> " state ") & 1 AND id < ?2"  \
	" ORDER BY id DESC LIMIT ?3)"

/* A gather tree has at most as many levels as a number of shards has bits. */
#define LATER_PHASES_MAX 40

enum history_read {
	READ_LSN,
	READ_JOB,
	READ_JOBS,
	READ_JOBS_OF_EVENT,
	READ_PHASE,
	READ_FIRST_PHASE,
	READ_PHASES,
	READ_RANGE_AT,
	READ_RANGES,
	READ_FAILURES,
	READ_EVENT,
	READ_DEFINITION,
	READ_PLAN,
	READ_EVENTS_OF,
	READ_COUNT,
};

static const char *const statements[READ_COUNT] = {
    [READ_LSN] = "SELECT value FROM meta WHERE name = 'lsn'",
    [READ_JOB] = JOB_COLUMNS "WHERE j.id = ?",
    /* State by state, so that a rare one is found by the index among millions of others. */
    [READ_JOBS] = JOB_COLUMNS "JOIN (" JOBS_OF("1") " UNION ALL " JOBS_OF("2") " UNION ALL " JOBS_OF(
	"3") " UNION ALL " JOBS_OF("4") " UNION ALL " JOBS_OF("5") ") q ON q.id = j.id"
								   " ORDER BY j.id DESC LIMIT ?3",
    [READ_JOBS_OF_EVENT] = JOB_COLUMNS
    "JOIN (SELECT id FROM jobs INDEXED BY jobs_by_event WHERE event IN"
    " (SELECT event FROM events WHERE id = ?1 UNION SELECT event FROM events WHERE object_key = ?1"
    " UNION SELECT event FROM events WHERE object_key_base64 = ?2)"
    " AND id < ?3 ORDER BY id DESC LIMIT ?4) q ON q.id = j.id ORDER BY j.id DESC",
    [READ_PHASE] = "SELECT shards FROM phases WHERE job = ? AND phase = ?",
    [READ_FIRST_PHASE] = "SELECT shards FROM jobs WHERE id = ?",
    [READ_PHASES] =
	"SELECT shards, done, dead FROM phases WHERE job = ? AND phase > ? ORDER BY phase LIMIT ?",
    [READ_RANGE_AT] = "SELECT first FROM ranges WHERE job = ? AND phase = ? AND first <= ?"
		      " ORDER BY first DESC LIMIT 1",
    [READ_RANGES] = "SELECT r.first, r.count, w.worker, r.epoch, r.lease, r.segment FROM ranges r"
		    " JOIN workers w ON w.id = r.worker WHERE r.job = ? AND r.phase = ? AND r.first >= ?"
		    " AND r.first < ? ORDER BY r.first",
    [READ_FAILURES] = "SELECT f.first, f.count, f.kind, f.code, f.why, f.wall_us, w.worker, f.epoch, f.lease,"
		      " f.segment FROM failures f LEFT JOIN workers w ON w.id = f.worker"
		      " WHERE job = ? AND phase = ? AND first + count > ? ORDER BY first LIMIT ?",
    [READ_EVENT] = "SELECT json FROM events WHERE event = ?",
    [READ_DEFINITION] = "SELECT name, text FROM definitions WHERE sha256 = ? AND text IS NOT NULL",
    [READ_PLAN] = "SELECT plan FROM jobs WHERE id = ? AND plan IS NOT NULL",
    [READ_EVENTS_OF] = "SELECT j.event FROM jobs j LEFT JOIN definitions d ON d.id = j.definition"
		       " WHERE ifnull(d.name, j.name) = ? AND j.event IS NOT NULL",
};

_Static_assert(JOB_HELD == 1 && JOB_CANCELLED == 5, "READ_JOBS names all states");

struct history_reader {
	struct sql db;
};

int history_reader_open(struct history_reader **ret, const char *path, struct error *reterr)
{
	struct history_reader *r = check_calloc(1, sizeof *r);
	int rc = sql_open(&r->db, path, SQLITE_OPEN_READONLY, reterr);

	if (rc == 0)
		rc = sql_prepare(&r->db, statements, READ_COUNT, reterr);
	if (rc < 0) {
		history_reader_close(r);
		return rc;
	}
	*ret = r;
	return 0;
}

void history_reader_close(struct history_reader *r)
{
	if (r == NULL)
		return;
	sql_close(&r->db);
	free(r);
}

int history_reader_lsn(struct history_reader *r, uint64_t *ret, struct error *reterr)
{
	int rc = sql_begin(&r->db, READ_LSN, reterr, "");

	if (rc == 1)
		*ret = (uint64_t)sql_int(&r->db, READ_LSN, 0);
	sql_end(&r->db, READ_LSN);
	return rc < 0 ? rc : 0;
}

static uint64_t big_endian(const uint8_t *p)
{
	uint64_t v = 0;

	for (int i = 0; i < 8; i++)
		v = v << 8 | p[i];
	return v;
}

static void id_split(struct bytes id, uint64_t *hi, uint64_t *lo)
{
	*hi = *lo = 0;
	if (id.size == 16) {
		*hi = big_endian(id.data);
		*lo = big_endian(id.data + 8);
	}
}

/* The row that the statement stands on. */
static void job_row(struct history_reader *r, int s, struct arena *arena, struct history_job *j)
{
	const struct sql *db = &r->db;

	*j = (struct history_job){
	    .job = (uint64_t)sql_int(db, s, 0),
	    .name = arena_copy(arena, sql_bytes(db, s, 1)),
	    .definition = arena_copy(arena, sql_bytes(db, s, 2)),
	    .state = (uint8_t)sql_int(db, s, 3),
	    .paused = sql_int(db, s, 4) != 0,
	    .why = arena_copy(arena, sql_bytes(db, s, 5)),
	    .priority = sql_int(db, s, 6),
	    .depth = (uint32_t)sql_int(db, s, 7),
	    .due_wall_us = sql_int(db, s, 9),
	    .accepted_wall_us = sql_int(db, s, 10),
	    .started_wall_us = sql_int(db, s, 11),
	    .ended_wall_us = sql_int(db, s, 12),
	    .shards = (uint64_t)sql_int(db, s, 13),
	    .done = (uint64_t)sql_int(db, s, 14),
	    .dead = (uint64_t)sql_int(db, s, 15),
	    .dropped = (uint64_t)sql_int(db, s, 16),
	    .retries = (uint64_t)sql_int(db, s, 17),
	    .totals.run_us = (uint64_t)sql_int(db, s, 18),
	    .totals.output_bytes = (uint64_t)sql_int(db, s, 19),
	    .phase = (uint32_t)sql_int(db, s, 20),
	    .shards_phase = (uint32_t)sql_int(db, s, 21),
	    .totals.cpu_us = (uint64_t)sql_int(db, s, 22),
	    .totals.max_rss_bytes = (uint64_t)sql_int(db, s, 23),
	    .reopens = (uint32_t)sql_int(db, s, 24),
	};
	id_split(sql_bytes(db, s, 8), &j->event_id_hi, &j->event_id_lo);
}

static int read_later(struct history_reader *r, struct arena *arena, struct history_job *j,
		      struct error *reterr)
{
	const struct sql *db = &r->db;
	struct phase_counts found[LATER_PHASES_MAX];
	uint32_t count = 0;
	int rc = sql_begin(&r->db, READ_PHASES, reterr, "iii", (int64_t)j->job, (int64_t)j->shards_phase,
			   (int64_t)LATER_PHASES_MAX);

	for (; rc == 1; rc = sql_next(&r->db, READ_PHASES, reterr))
		found[count++] = (struct phase_counts){(uint64_t)sql_int(db, READ_PHASES, 0),
						       (uint64_t)sql_int(db, READ_PHASES, 1),
						       (uint64_t)sql_int(db, READ_PHASES, 2)};
	sql_end(&r->db, READ_PHASES);
	if (rc < 0 || count == 0)
		return rc;
	j->later.items = arena_alloc(arena, count * sizeof found[0]);
	if (j->later.items == NULL)
		return error_set(reterr, ERR_LIMIT, "no room for the phases of a job");
	memcpy(j->later.items, found, count * sizeof found[0]);
	j->later.count = count;
	return 0;
}

int history_job(struct history_reader *r, uint64_t job, struct arena *arena, struct history_job *ret,
		struct error *reterr)
{
	int rc = sql_begin(&r->db, READ_JOB, reterr, "i", (int64_t)job);

	if (rc == 1)
		job_row(r, READ_JOB, arena, ret);
	sql_end(&r->db, READ_JOB);
	if (rc == 0)
		return error_set(reterr, ERR_NOT_FOUND, "there is no job %llu", (unsigned long long)job);
	return rc < 0 ? rc : ret->phase > 0 ? read_later(r, arena, ret, reterr) : 0;
}

/* Of a statement that has begun. */
static int walk_jobs(struct history_reader *r, int s, int rc, struct arena *arena, history_job_fn *fn,
		     void *arg, struct error *reterr)
{
	while (rc == 1) {
		struct history_job j;

		job_row(r, s, arena, &j);
		rc = j.phase > 0 ? read_later(r, arena, &j, reterr) : 0;
		if (rc >= 0)
			rc = fn(arg, &j);
		if (rc >= 0)
			rc = sql_next(&r->db, s, reterr);
	}
	sql_end(&r->db, s);
	return rc;
}

static int64_t below(uint64_t before)
{
	return before == 0 || before > INT64_MAX ? INT64_MAX : (int64_t)before;
}

int history_jobs(struct history_reader *r, uint64_t before, uint32_t states, uint32_t limit,
		 struct arena *arena, history_job_fn *fn, void *arg, struct error *reterr)
{
	int rc = sql_begin(&r->db, READ_JOBS, reterr, "iii", (int64_t)(states ? states : UINT32_MAX),
			   below(before), (int64_t)limit);

	return walk_jobs(r, READ_JOBS, rc, arena, fn, arg, reterr);
}

int history_jobs_of_event(struct history_reader *r, struct bytes text, struct bytes exact, uint64_t before,
			  uint32_t limit, struct arena *arena, history_job_fn *fn, void *arg,
			  struct error *reterr)
{
	int rc =
	    sql_begin(&r->db, READ_JOBS_OF_EVENT, reterr, "ttii", text, exact, below(before), (int64_t)limit);

	return walk_jobs(r, READ_JOBS_OF_EVENT, rc, arena, fn, arg, reterr);
}

int history_phase_shards(struct history_reader *r, uint64_t job, uint32_t phase, uint64_t *ret,
			 struct error *reterr)
{
	int s = phase == 0 ? READ_FIRST_PHASE : READ_PHASE;
	int rc = phase == 0 ? sql_begin(&r->db, s, reterr, "i", (int64_t)job)
			    : sql_begin(&r->db, s, reterr, "ii", (int64_t)job, (int64_t)phase);

	if (rc == 1)
		*ret = (uint64_t)sql_int(&r->db, s, 0);
	sql_end(&r->db, s);
	if (rc == 0)
		return error_set(reterr, ERR_NOT_FOUND, "phase %u of job %llu was never begun", phase,
				 (unsigned long long)job);
	return rc < 0 ? rc : 0;
}

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

static int walk_row(struct walk *w, const struct sql *db)
{
	uint64_t first = (uint64_t)sql_int(db, READ_RANGES, 0);
	uint64_t end = first + (uint64_t)sql_int(db, READ_RANGES, 1);
	struct history_winner m = {
	    .token = {(uint32_t)sql_int(db, READ_RANGES, 3), (uint64_t)sql_int(db, READ_RANGES, 4)},
	    .segment = (uint32_t)sql_int(db, READ_RANGES, 5)};
	int rc = walk_missing(w, first < w->end ? first : w->end);

	m.row = range_between(first, end);
	end = end < w->end ? end : w->end;
	if (rc < 0 || end <= w->at)
		return rc;
	id_split(sql_bytes(db, READ_RANGES, 2), &m.worker.hi, &m.worker.lo);
	m.shards = range_between(w->at, end);
	w->at = end;
	return w->fn(w->arg, &m);
}

/* Where the row begins that may hold shard `first`. */
static int row_before(struct history_reader *r, uint64_t job, uint32_t phase, uint32_t first, int64_t *ret,
		      struct error *reterr)
{
	int rc =
	    sql_begin(&r->db, READ_RANGE_AT, reterr, "iii", (int64_t)job, (int64_t)phase, (int64_t)first);

	*ret = rc == 1 ? sql_int(&r->db, READ_RANGE_AT, 0) : (int64_t)first;
	sql_end(&r->db, READ_RANGE_AT);
	return rc < 0 ? rc : 0;
}

int history_winners(struct history_reader *r, uint64_t job, uint32_t phase, struct range shards,
		    history_winner_fn *fn, void *arg, struct error *reterr)
{
	struct walk w = {.at = shards.first, .end = range_end(shards), .fn = fn, .arg = arg};
	int64_t from;
	int rc = row_before(r, job, phase, shards.first, &from, reterr);

	if (rc < 0)
		return rc;
	rc = sql_begin(&r->db, READ_RANGES, reterr, "iiii", (int64_t)job, (int64_t)phase, from,
		       (int64_t)range_end(shards));
	while (rc == 1) {
		rc = walk_row(&w, &r->db);
		if (rc >= 0)
			rc = sql_next(&r->db, READ_RANGES, reterr);
	}
	sql_end(&r->db, READ_RANGES);
	return rc < 0 ? rc : walk_missing(&w, w.end);
}

/* ---- the rest ---- */

int history_failures(struct history_reader *r, uint64_t job, uint32_t phase, uint32_t first, uint32_t limit,
		     struct arena *arena, history_failure_fn *fn, void *arg, struct error *reterr)
{
	const struct sql *db = &r->db;
	int rc = sql_begin(&r->db, READ_FAILURES, reterr, "iiii", (int64_t)job, (int64_t)phase,
			   (int64_t)first, (int64_t)limit);

	while (rc == 1) {
		struct history_failure f = {
		    .shards = {(uint32_t)sql_int(db, READ_FAILURES, 0),
			       (uint32_t)sql_int(db, READ_FAILURES, 1)},
		    .kind = (uint8_t)sql_int(db, READ_FAILURES, 2),
		    .code = sql_int(db, READ_FAILURES, 3),
		    .why = arena_copy(arena, sql_bytes(db, READ_FAILURES, 4)),
		    .wall_us = sql_int(db, READ_FAILURES, 5),
		    .token = {(uint32_t)sql_int(db, READ_FAILURES, 7),
			      (uint64_t)sql_int(db, READ_FAILURES, 8)},
		    .segment = (uint32_t)sql_int(db, READ_FAILURES, 9),
		};

		id_split(sql_bytes(db, READ_FAILURES, 6), &f.worker.hi, &f.worker.lo);
		rc = fn(arg, &f);
		if (rc >= 0)
			rc = sql_next(&r->db, READ_FAILURES, reterr);
	}
	sql_end(&r->db, READ_FAILURES);
	return rc;
}

int history_event(struct history_reader *r, uint64_t hi, uint64_t lo, struct arena *arena, struct bytes *ret,
		  struct error *reterr)
{
	uint8_t id[16];
	int rc;

	for (int i = 0; i < 8; i++) {
		id[i] = (uint8_t)(hi >> (56 - 8 * i));
		id[8 + i] = (uint8_t)(lo >> (56 - 8 * i));
	}
	rc = sql_begin(&r->db, READ_EVENT, reterr, "b", BYTES(id, sizeof id));
	if (rc == 1)
		*ret = arena_copy(arena, sql_bytes(&r->db, READ_EVENT, 0));
	sql_end(&r->db, READ_EVENT);
	if (rc == 0)
		return error_set(reterr, ERR_NOT_FOUND, "there is no event %016llx%016llx",
				 (unsigned long long)hi, (unsigned long long)lo);
	return rc < 0 ? rc : 0;
}

int history_events_of(struct history_reader *r, const char *name, history_event_fn *fn, void *arg,
		      struct error *reterr)
{
	int rc = sql_begin(&r->db, READ_EVENTS_OF, reterr, "t", bytes_of(name));

	while (rc == 1) {
		rc = fn(arg, sql_bytes(&r->db, READ_EVENTS_OF, 0));
		if (rc >= 0)
			rc = sql_next(&r->db, READ_EVENTS_OF, reterr);
	}
	sql_end(&r->db, READ_EVENTS_OF);
	return rc;
}

int history_definition(struct history_reader *r, struct bytes sha256, struct arena *arena,
		       struct bytes *ret_name, struct bytes *ret_text, struct error *reterr)
{
	int rc = sql_begin(&r->db, READ_DEFINITION, reterr, "b", sha256);

	if (rc == 1) {
		*ret_name = arena_copy(arena, sql_bytes(&r->db, READ_DEFINITION, 0));
		*ret_text = arena_copy(arena, sql_bytes(&r->db, READ_DEFINITION, 1));
	}
	sql_end(&r->db, READ_DEFINITION);
	if (rc == 0)
		return error_set(reterr, ERR_NOT_FOUND, "the text of this definition is not known");
	return rc < 0 ? rc : 0;
}

int history_plan(struct history_reader *r, uint64_t job, struct arena *arena, struct plan *ret,
		 struct error *reterr)
{
	struct bytes text = {0};
	int rc = sql_begin(&r->db, READ_PLAN, reterr, "i", (int64_t)job);

	if (rc == 1)
		text = arena_copy(arena, sql_bytes(&r->db, READ_PLAN, 0));
	sql_end(&r->db, READ_PLAN);
	if (rc < 0)
		return rc;
	if (rc == 0)
		return error_set(reterr, ERR_NOT_FOUND, "the plan of job %llu is not known",
				 (unsigned long long)job);
	return codec_decode(codec_plan(), text, ret, arena, reterr);
}
