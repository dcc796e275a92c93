#include "dispatcher/store/history_reader.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "jobs/ids.h"
#include "dispatcher/store/history_module.h"
#include "dispatcher/store/history_reader_private.h"
#include "jobs/kinds.h"

/* The columns of a job, from here on. */
#define OF_JOBS .verb = SQL_SELECT, .table = &history_jobs_table, .use = JOB_GET
#define FROM_JOBS "FROM job_rows j LEFT JOIN definitions d ON d.id = j.definition "

#define JOBS_OF(state)                                                                                       \
	"SELECT id FROM (SELECT id FROM job_rows WHERE state = " state " AND (?1 >> " state                  \
	") & 1 AND id < ?2"                                                                                  \
	" ORDER BY id DESC LIMIT ?3)"

/* A gather tree has at most as many levels as a number of shards has bits. */
#define LATER_PHASES_MAX 40

static const struct sql_statement statements[READ_COUNT] = {
    [READ_BEGIN] = {.text = "BEGIN"},
    [READ_COMMIT] = {.text = "COMMIT"},
    [READ_LSN] = {.text = "SELECT value FROM meta WHERE name = 'lsn'"},
    [READ_JOB] = {OF_JOBS, .text = FROM_JOBS "WHERE j.id = ?"},
    /* State by state, so that a rare one is found by the index among millions of others. */
    [READ_JOBS] =
	{.text = "SELECT id FROM (" JOBS_OF("1") " UNION ALL " JOBS_OF("2") " UNION ALL " JOBS_OF(
	     "3") " UNION ALL " JOBS_OF("4") " UNION ALL " JOBS_OF("5") ") ORDER BY id DESC LIMIT ?3"},
    [READ_JOBS_OF_EVENT] = {.text = "SELECT id FROM job_rows INDEXED BY jobs_by_event WHERE event IN"
				    " (SELECT event FROM event_rows WHERE id = ?1 UNION SELECT event FROM "
				    "event_rows WHERE object_key = ?1"
				    " UNION SELECT event FROM event_rows WHERE object_key_base64 = ?2)"
				    " AND id < ?3 ORDER BY id DESC LIMIT ?4"},
    [READ_PHASE] = {.text = "SELECT shards FROM phases WHERE job = ? AND phase = ?"},
    [READ_FIRST_PHASE] = {.text = "SELECT shards FROM job_rows WHERE id = ?"},
    [READ_PHASES] = {.verb = SQL_SELECT,
		     .table = &history_phases_table,
		     .use = PHASE_GET,
		     .text = "FROM phases p WHERE job = ? AND phase > ? ORDER BY phase LIMIT ?"},
    [READ_RANGE_AT] = {.text = "SELECT first FROM range_rows WHERE job = ? AND phase = ? AND first <= ?"
			       " ORDER BY first DESC LIMIT 1"},
    [READ_RANGES] =
	{.verb = SQL_SELECT,
	 .table = &history_ranges_table,
	 .use = RANGE_GET_MAKER,
	 .text = "FROM range_rows r JOIN workers w ON w.id = r.worker"
		 " WHERE r.job = ? AND r.phase = ? AND r.first >= ? AND r.first < ? ORDER BY r.first"},
    [READ_FAILURES] = {.verb = SQL_SELECT,
		       .table = &history_failures_table,
		       .use = FAILURE_GET_MAKER,
		       .text = "FROM failure_rows f LEFT JOIN workers w ON w.id = f.worker"
			       " WHERE job = ? AND phase = ? AND first + count > ? ORDER BY first LIMIT ?"},
    [READ_EFFORT_AT] = {.text = "SELECT first FROM effort_rows WHERE job = ? AND phase = ? AND first <= ?"
				" ORDER BY first DESC LIMIT 1"},
    [READ_EFFORTS] =
	{.verb = SQL_SELECT,
	 .table = &history_efforts_table,
	 .use = EFFORT_GET_MAKER,
	 .text = "FROM effort_rows e LEFT JOIN workers w ON w.id = e.worker"
		 " WHERE e.job = ? AND e.phase = ? AND e.first >= ? AND e.first < ? ORDER BY e.first"},
    [READ_HOST] = {.text = "SELECT host FROM workers WHERE worker = ?"},
    [READ_EVENT] = {.text = "SELECT json FROM event_rows WHERE event = ?"},
    [READ_DEFINITION] = {.text = "SELECT name, text FROM definitions WHERE sha256 = ? AND text IS NOT NULL"},
    [READ_PLAN] = {.text = "SELECT plan FROM job_rows WHERE id = ? AND plan IS NOT NULL"},
    [READ_EVENTS_OF] = {.text = "SELECT j.event FROM jobs j LEFT JOIN definitions d ON d.id = j.definition"
				" WHERE ifnull(d.name, j.name) = ? AND j.event IS NOT NULL"},
    [READ_FIRST_LSN] = {.text = "SELECT value FROM meta WHERE name = 'first_lsn'"},
    [READ_KEPT] = {.text = "SELECT sum(jobs), sum(bytes), min(oldest) FROM ("
			   "SELECT count(*) AS jobs, sum(output_bytes) AS bytes, min(ended_us) AS oldest"
			   " FROM job_rows INDEXED BY jobs_by_end WHERE ended_us IS NOT NULL"
			   " UNION ALL SELECT sum(kept), sum(output_bytes), min(begin_us)"
			   " FROM blocks INDEXED BY blocks_by_time WHERE kind = 2)"},
    [READ_BYTES] = {.text = "SELECT (page_count - freelist_count) * page_size"
			    " FROM pragma_page_count, pragma_freelist_count, pragma_page_size"},
    [READ_OLDEST] = {.text = "SELECT id, ended_us, output_bytes FROM job_rows INDEXED BY jobs_by_end"
			     " WHERE ended_us IS NOT NULL ORDER BY ended_us"},
    [READ_OLDEST_BLOCKS] = {.text = "SELECT block, begin_us FROM blocks INDEXED BY blocks_by_time"
				    " WHERE kind = 2 ORDER BY begin_us"},
    [READ_FORGOTTEN] = {.text = "SELECT first, last FROM forgotten ORDER BY first"},
    [READ_UNUSED_SEGMENTS] = {.text = "SELECT w.worker, s.segment FROM segments s INDEXED BY segments_unused"
				      " JOIN workers w ON w.id = s.worker"
				      " WHERE s.rows <= 0 AND s.doomed = ? LIMIT ?"},
    [READ_WORKER_ID] = {.text = "SELECT worker FROM workers WHERE id = ?"},
    [READ_WORKER] = {.text = "SELECT id FROM workers WHERE worker = ?"},
    [READ_SEGMENTS] = {.text = "SELECT s.worker, w.worker, s.segment, s.rows FROM segments s"
			       " JOIN workers w ON w.id = s.worker WHERE (s.worker, s.segment) > (?, ?)"
			       " AND s.rows > 0 AND s.doomed = 0 ORDER BY s.worker, s.segment LIMIT ?"},
    [READ_SEGMENT_LEASES] = {.text =
				 "SELECT epoch, lease FROM ranges WHERE worker = ?1 AND segment = ?2"
				 " UNION SELECT epoch, lease FROM failures WHERE worker = ?1 AND segment = ?2"
				 " ORDER BY epoch, lease"},
    [READ_SEGMENT_BLOCKS] = {.text =
				 "SELECT kept, segments FROM blocks WHERE kind = 2 AND length(segments) > 0"},
    [READ_SEGMENT] = {.text = "SELECT rows FROM segments WHERE worker = ? AND segment = ?"},
};

_Static_assert(JOB_HELD == 1 && JOB_CANCELLED == 5, "READ_JOBS names all states");

int history_reader_error(const struct history_reader *r, int code, struct error *reterr)
{
	return code == SQLITE_OK ? 0
				 : sql_error(&r->db, code == SQLITE_NOTFOUND ? SQLITE_CORRUPT : code, reterr);
}

int history_read_begin(struct history_reader *r, struct error *reterr)
{
	return r->depth++ == 0 ? sql_run(&r->db, READ_BEGIN, reterr, "") : 0;
}

void history_read_end(struct history_reader *r)
{
	if (--r->depth == 0 && !sqlite3_get_autocommit(r->db.db))
		(void)!sql_run(&r->db, READ_COMMIT, NULL, "");
}

int history_reader_open(struct history_reader **ret, const char *path, struct error *reterr)
{
	struct history_reader *r = check_calloc(1, sizeof *r);
	int rc = sql_open(&r->db, path, SQLITE_OPEN_READONLY, reterr);

	if (rc == 0)
		rc = history_reader_error(r, history_module_register(r->db.db, &r->views), reterr);
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
	history_views_rest(r->views);
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

/* Of a block; not found: ERR_NOT_FOUND. */
static int block_job(struct history_reader *r, uint64_t job, struct arena *arena, struct history_job *ret,
		     struct error *reterr)
{
	struct history_entry e;
	int rc = history_block_entry(r, job, arena, &e, reterr);

	if (rc == 0)
		return error_set(reterr, ERR_NOT_FOUND, "there is no job %llu", (unsigned long long)job);
	if (rc == 1)
		*ret = e.job;
	return rc < 0 ? rc : 0;
}

static int job_now(struct history_reader *r, uint64_t job, struct arena *arena, struct history_job *ret,
		   struct error *reterr)
{
	int rc = sql_begin(&r->db, READ_JOB, reterr, "i", (int64_t)job);

	if (rc == 1)
		job_row(r, READ_JOB, arena, ret);
	sql_end(&r->db, READ_JOB);
	if (rc == 0)
		return block_job(r, job, arena, ret, reterr);
	return rc < 0 ? rc : ret->phase > 0 ? read_later(r, arena, ret, reterr) : 0;
}

int history_job(struct history_reader *r, uint64_t job, struct arena *arena, struct history_job *ret,
		struct error *reterr)
{
	int rc = history_read_begin(r, reterr);

	if (rc == 0)
		rc = job_now(r, job, arena, ret, reterr);
	history_read_end(r);
	return rc;
}

static int block_shards(struct history_reader *r, uint64_t job, uint64_t *ret, struct error *reterr)
{
	struct history_entry e;
	int rc = history_block_entry(r, job, NULL, &e, reterr);

	if (rc == 1)
		*ret = e.job.shards;
	return rc;
}

static int phase_shards_now(struct history_reader *r, uint64_t job, uint32_t phase, uint64_t *ret,
			    struct error *reterr)
{
	int s = phase == 0 ? READ_FIRST_PHASE : READ_PHASE;
	int rc = phase == 0 ? sql_begin(&r->db, s, reterr, "i", (int64_t)job)
			    : sql_begin(&r->db, s, reterr, "ii", (int64_t)job, (int64_t)phase);

	if (rc == 1)
		*ret = (uint64_t)sql_int(&r->db, s, 0);
	sql_end(&r->db, s);
	if (rc == 0 && phase == 0)
		rc = block_shards(r, job, ret, reterr);
	if (rc == 0)
		return error_set(reterr, ERR_NOT_FOUND, "phase %u of job %llu was never begun", phase,
				 (unsigned long long)job);
	return rc < 0 ? rc : 0;
}

int history_phase_shards(struct history_reader *r, uint64_t job, uint32_t phase, uint64_t *ret,
			 struct error *reterr)
{
	int rc = history_read_begin(r, reterr);

	if (rc == 0)
		rc = phase_shards_now(r, job, phase, ret, reterr);
	history_read_end(r);
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

static int event_now(struct history_reader *r, uint64_t hi, uint64_t lo, struct arena *arena,
		     struct bytes *ret, struct error *reterr)
{
	uint8_t id[16];
	int rc;

	sql_id_write(hi, lo, id);
	rc = sql_begin(&r->db, READ_EVENT, reterr, "b", BYTES(id, sizeof id));
	if (rc == 1)
		*ret = arena_copy(arena, sql_bytes(&r->db, READ_EVENT, 0));
	sql_end(&r->db, READ_EVENT);
	if (rc == 0)
		rc = history_block_event(r, hi, lo, arena, ret, reterr);
	if (rc == 0) {
		char text[UUID_TEXT_BYTES];

		uuid_halves_text(hi, lo, text);
		return error_set(reterr, ERR_NOT_FOUND, "there is no event %s", text);
	}
	return rc < 0 ? rc : 0;
}

int history_event(struct history_reader *r, uint64_t hi, uint64_t lo, struct arena *arena, struct bytes *ret,
		  struct error *reterr)
{
	int rc = history_read_begin(r, reterr);

	if (rc == 0)
		rc = event_now(r, hi, lo, arena, ret, reterr);
	history_read_end(r);
	return rc;
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
