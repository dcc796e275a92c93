#include "dispatcher/store/history_reader.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "jobs/ids.h"
#include "dispatcher/store/history_reader_private.h"
#include "dispatcher/store/history_tables.h"
#include "jobs/kinds.h"

/* The columns of a job, from here on. */
#define OF_JOBS .verb = SQL_SELECT, .table = &history_jobs_table, .use = JOB_GET
#define FROM_JOBS "FROM jobs j LEFT JOIN definitions d ON d.id = j.definition "

#define JOBS_OF(state)                                                                                       \
	"SELECT id FROM (SELECT id FROM jobs WHERE state = " state " AND (?1 >> " state ") & 1 AND id < ?2"  \
	" ORDER BY id DESC LIMIT ?3)"

/* A gather tree has at most as many levels as a number of shards has bits. */
#define LATER_PHASES_MAX 40

static const struct sql_statement statements[READ_COUNT] = {
    [READ_LSN] = {.text = "SELECT value FROM meta WHERE name = 'lsn'"},
    [READ_JOB] = {OF_JOBS, .text = FROM_JOBS "WHERE j.id = ?"},
    /* State by state, so that a rare one is found by the index among millions of others. */
    [READ_JOBS] =
	{OF_JOBS,
	 .text = FROM_JOBS
	 "JOIN (" JOBS_OF("1") " UNION ALL " JOBS_OF("2") " UNION ALL " JOBS_OF("3") " UNION ALL " JOBS_OF(
	     "4") " UNION ALL " JOBS_OF("5") ") q ON q.id = j.id ORDER BY j.id DESC LIMIT ?3"},
    [READ_JOBS_OF_EVENT] =
	{OF_JOBS,
	 .text = FROM_JOBS
	 "JOIN (SELECT id FROM jobs INDEXED BY jobs_by_event WHERE event IN"
	 " (SELECT event FROM events WHERE id = ?1 UNION SELECT event FROM events WHERE object_key = ?1"
	 " UNION SELECT event FROM events WHERE object_key_base64 = ?2)"
	 " AND id < ?3 ORDER BY id DESC LIMIT ?4) q ON q.id = j.id ORDER BY j.id DESC"},
    [READ_PHASE] = {.text = "SELECT shards FROM phases WHERE job = ? AND phase = ?"},
    [READ_FIRST_PHASE] = {.text = "SELECT shards FROM jobs WHERE id = ?"},
    [READ_PHASES] = {.verb = SQL_SELECT,
		     .table = &history_phases_table,
		     .use = PHASE_GET,
		     .text = "FROM phases p WHERE job = ? AND phase > ? ORDER BY phase LIMIT ?"},
    [READ_RANGE_AT] = {.text = "SELECT first FROM ranges WHERE job = ? AND phase = ? AND first <= ?"
			       " ORDER BY first DESC LIMIT 1"},
    [READ_RANGES] =
	{.verb = SQL_SELECT,
	 .table = &history_ranges_table,
	 .use = RANGE_GET_MAKER,
	 .text = "FROM ranges r JOIN workers w ON w.id = r.worker"
		 " WHERE r.job = ? AND r.phase = ? AND r.first >= ? AND r.first < ? ORDER BY r.first"},
    [READ_FAILURES] = {.verb = SQL_SELECT,
		       .table = &history_failures_table,
		       .use = FAILURE_GET_MAKER,
		       .text = "FROM failures f LEFT JOIN workers w ON w.id = f.worker"
			       " WHERE job = ? AND phase = ? AND first + count > ? ORDER BY first LIMIT ?"},
    [READ_EFFORT_AT] = {.text = "SELECT first FROM efforts WHERE job = ? AND phase = ? AND first <= ?"
				" ORDER BY first DESC LIMIT 1"},
    [READ_EFFORTS] =
	{.verb = SQL_SELECT,
	 .table = &history_efforts_table,
	 .use = EFFORT_GET_MAKER,
	 .text = "FROM efforts e LEFT JOIN workers w ON w.id = e.worker"
		 " WHERE e.job = ? AND e.phase = ? AND e.first >= ? AND e.first < ? ORDER BY e.first"},
    [READ_HOST] = {.text = "SELECT host FROM workers WHERE worker = ?"},
    [READ_EVENT] = {.text = "SELECT json FROM events WHERE event = ?"},
    [READ_DEFINITION] = {.text = "SELECT name, text FROM definitions WHERE sha256 = ? AND text IS NOT NULL"},
    [READ_PLAN] = {.text = "SELECT plan FROM jobs WHERE id = ? AND plan IS NOT NULL"},
    [READ_EVENTS_OF] = {.text = "SELECT j.event FROM jobs j LEFT JOIN definitions d ON d.id = j.definition"
				" WHERE ifnull(d.name, j.name) = ? AND j.event IS NOT NULL"},
    [READ_FIRST_LSN] = {.text = "SELECT value FROM meta WHERE name = 'first_lsn'"},
    [READ_KEPT] = {.text =
		       "SELECT count(*), sum(output_bytes), min(ended_us) FROM jobs INDEXED BY jobs_by_end"
		       " WHERE ended_us IS NOT NULL"},
    [READ_BYTES] = {.text = "SELECT (page_count - freelist_count) * page_size"
			    " FROM pragma_page_count, pragma_freelist_count, pragma_page_size"},
    [READ_OLDEST] = {.text = "SELECT id, ended_us, output_bytes FROM jobs INDEXED BY jobs_by_end"
			     " WHERE ended_us IS NOT NULL ORDER BY ended_us"},
    [READ_FORGOTTEN] = {.text = "SELECT first, last FROM forgotten ORDER BY first"},
    [READ_UNUSED_SEGMENTS] = {.text = "SELECT w.worker, s.segment FROM segments s INDEXED BY segments_unused"
				      " JOIN workers w ON w.id = s.worker"
				      " WHERE s.rows <= 0 AND s.doomed = ? LIMIT ?"},
    [READ_WORKER] = {.text = "SELECT id FROM workers WHERE worker = ?"},
    [READ_SEGMENTS] = {.text = "SELECT s.worker, w.worker, s.segment, s.rows FROM segments s"
			       " JOIN workers w ON w.id = s.worker WHERE (s.worker, s.segment) > (?, ?)"
			       " AND s.rows > 0 AND s.doomed = 0 ORDER BY s.worker, s.segment LIMIT ?"},
    [READ_SEGMENT_LEASES] = {.text =
				 "SELECT epoch, lease FROM ranges WHERE worker = ?1 AND segment = ?2"
				 " UNION SELECT epoch, lease FROM failures WHERE worker = ?1 AND segment = ?2"
				 " ORDER BY epoch, lease"},
    [READ_SEGMENT] = {.text = "SELECT rows FROM segments WHERE worker = ? AND segment = ?"},
};

_Static_assert(JOB_HELD == 1 && JOB_CANCELLED == 5, "READ_JOBS names all states");

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

/* The row that the statement stands on. */
static void job_row(struct history_reader *r, int s, struct arena *arena, struct history_job *j)
{
	*j = (struct history_job){0};
	sql_get(&r->db, s, j, arena);
}

static int read_later(struct history_reader *r, struct arena *arena, struct history_job *j,
		      struct error *reterr)
{
	struct phase_counts found[LATER_PHASES_MAX];
	struct history_phase row;
	uint32_t count = 0;
	int rc = sql_begin(&r->db, READ_PHASES, reterr, "iii", (int64_t)j->job, (int64_t)j->shards_phase,
			   (int64_t)LATER_PHASES_MAX);

	for (; rc == 1; rc = sql_next(&r->db, READ_PHASES, reterr)) {
		sql_get(&r->db, READ_PHASES, &row, NULL);
		found[count++] = row.counts;
	}
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
	struct history_range row;
	struct history_winner m;
	uint64_t first, end;
	int rc;

	sql_get(db, READ_RANGES, &row, NULL);
	m = (struct history_winner){
	    .worker = row.worker, .token = row.place.token, .segment = row.place.segment, .row = row.shards};
	first = row.shards.first;
	end = range_end(row.shards);
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

int history_winners(struct history_reader *r, uint64_t job, uint32_t phase, struct range shards,
		    history_winner_fn *fn, void *arg, struct error *reterr)
{
	struct walk w = {.at = shards.first, .end = range_end(shards), .fn = fn, .arg = arg};
	int64_t from;
	int rc = row_before(r, READ_RANGE_AT, job, phase, shards.first, &from, reterr);

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

/* ---- efforts ---- */

int history_efforts(struct history_reader *r, uint64_t job, uint32_t phase, struct range shards,
		    history_effort_fn *fn, void *arg, struct error *reterr)
{
	int64_t from;
	int rc = row_before(r, READ_EFFORT_AT, job, phase, shards.first, &from, reterr);

	if (rc < 0)
		return rc;
	rc = sql_begin(&r->db, READ_EFFORTS, reterr, "iiii", (int64_t)job, (int64_t)phase, from,
		       (int64_t)range_end(shards));
	while (rc == 1) {
		struct history_effort e = {.job = job, .phase = phase};

		sql_get(&r->db, READ_EFFORTS, &e, NULL);
		rc = (uint64_t)e.effort.first + e.effort.count > shards.first ? fn(arg, &e) : 0;
		if (rc >= 0)
			rc = sql_next(&r->db, READ_EFFORTS, reterr);
	}
	sql_end(&r->db, READ_EFFORTS);
	return rc;
}

int history_host(struct history_reader *r, const struct uuid *worker, struct arena *arena, struct bytes *ret,
		 struct error *reterr)
{
	uint8_t id[16];
	int rc;

	sql_id_write(worker->hi, worker->lo, id);
	rc = sql_begin(&r->db, READ_HOST, reterr, "b", BYTES(id, sizeof id));
	*ret = rc == 1 ? arena_copy(arena, sql_bytes(&r->db, READ_HOST, 0)) : (struct bytes){0};
	sql_end(&r->db, READ_HOST);
	return rc < 0 ? rc : 0;
}

/* ---- the rest ---- */

int history_failures(struct history_reader *r, uint64_t job, uint32_t phase, uint32_t first, uint32_t limit,
		     struct arena *arena, history_failure_fn *fn, void *arg, struct error *reterr)
{
	int rc = sql_begin(&r->db, READ_FAILURES, reterr, "iiii", (int64_t)job, (int64_t)phase,
			   (int64_t)first, (int64_t)limit);

	while (rc == 1) {
		struct history_failure f;
		struct history_dead row;

		sql_get(&r->db, READ_FAILURES, &row, arena);
		f = (struct history_failure){.shards = row.shards,
					     .kind = row.kind,
					     .code = row.code,
					     .why = row.why,
					     .wall_us = row.wall_us,
					     .worker = row.worker,
					     .token = row.place.token,
					     .segment = row.place.segment};
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

	sql_id_write(hi, lo, id);
	rc = sql_begin(&r->db, READ_EVENT, reterr, "b", BYTES(id, sizeof id));
	if (rc == 1)
		*ret = arena_copy(arena, sql_bytes(&r->db, READ_EVENT, 0));
	sql_end(&r->db, READ_EVENT);
	if (rc == 0) {
		char text[UUID_TEXT_BYTES];

		uuid_halves_text(hi, lo, text);
		return error_set(reterr, ERR_NOT_FOUND, "there is no event %s", text);
	}
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
