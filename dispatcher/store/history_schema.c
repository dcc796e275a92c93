/* The tables of history. Numbers of 64 bits are SQLite's signed ones; times are microseconds, UTC. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "dispatcher/store/history_private.h"
#include "jobs/kinds.h"

/* Format 2: which phase the shards are. 3: what attempts took, how later phases ended, where the output of
 * dead shards is. 4: how often jobs were reopened, and the plans that planners made. 5: jobs are found by
 * their event. */
static const char tables[] =
    /* One row a fact: format, cluster, lsn (the last record that is in here), first_lsn (of the
     * records that it was built from: what was before, it never saw). */
    "CREATE TABLE meta(name TEXT PRIMARY KEY, value) WITHOUT ROWID;"
    "CREATE TABLE job_states(state INTEGER PRIMARY KEY, name TEXT NOT NULL);"
    "CREATE TABLE failure_kinds(kind INTEGER PRIMARY KEY, name TEXT NOT NULL);"
    "CREATE TABLE starts(epoch INTEGER PRIMARY KEY, wall_us INTEGER);"
    /* text is NULL when only a job names the version. */
    "CREATE TABLE definitions(id INTEGER PRIMARY KEY, sha256 BLOB NOT NULL UNIQUE, name TEXT, text TEXT);"
    "CREATE TABLE workers(id INTEGER PRIMARY KEY, worker BLOB NOT NULL UNIQUE);"
    "CREATE TABLE events(event BLOB NOT NULL UNIQUE, wall_us INTEGER, json TEXT);"
    /* carried: known from a slice, so that what came before it is not in here. */
    "CREATE TABLE jobs(id INTEGER PRIMARY KEY, name TEXT, definition INTEGER, state INTEGER NOT NULL,"
    " paused INTEGER NOT NULL DEFAULT 0, why TEXT, priority INTEGER, depth INTEGER, event BLOB,"
    " due_us INTEGER, accepted_us INTEGER, started_us INTEGER, ended_us INTEGER, phase INTEGER DEFAULT 0,"
    " shards INTEGER, done INTEGER, dead INTEGER, dropped INTEGER, retries INTEGER, run_us INTEGER,"
    " output_bytes INTEGER, carried INTEGER NOT NULL DEFAULT 0,"
    /* Which phase the shards are: 1 behind a plan phase. */
    " shards_phase INTEGER NOT NULL DEFAULT 0, cpu_us INTEGER, max_rss_bytes INTEGER,"
    /* plan: of the shards, as it was sealed (struct plan of parts.def); NULL: no planner, or none yet. */
    " reopens INTEGER NOT NULL DEFAULT 0, plan BLOB);"
    "CREATE INDEX jobs_by_state ON jobs(state, id);"
    /* Phases behind the first, whose counts are in the job's row; done and dead when the job has ended. */
    "CREATE TABLE phases(job INTEGER, phase INTEGER, shards INTEGER, done INTEGER, dead INTEGER,"
    " PRIMARY KEY(job, phase)) WITHOUT ROWID;"
    /* Who made the output of shards first..first+count-1. */
    "CREATE TABLE ranges(job INTEGER, phase INTEGER, first INTEGER, count INTEGER NOT NULL,"
    " worker INTEGER NOT NULL, epoch INTEGER NOT NULL, lease INTEGER NOT NULL, segment INTEGER NOT NULL,"
    " wall_us INTEGER, PRIMARY KEY(job, phase, first)) WITHOUT ROWID;"
    /* Dead shards, and where their last attempt's output is: segment 0 = nothing was kept. */
    "CREATE TABLE failures(job INTEGER, phase INTEGER, first INTEGER, count INTEGER NOT NULL,"
    " kind INTEGER NOT NULL, code INTEGER NOT NULL, why TEXT, wall_us INTEGER,"
    " worker INTEGER NOT NULL DEFAULT 0, epoch INTEGER NOT NULL DEFAULT 0, lease INTEGER NOT NULL DEFAULT 0,"
    " segment INTEGER NOT NULL DEFAULT 0, PRIMARY KEY(job, phase, first)) WITHOUT ROWID;";

/* By what people call an event: its id, or the key of its object (exact, where it is not UTF-8). They are
 * NULL where there is none; nothing but the indexes keeps them. */
#define EVENT_MEMBER(path) "TEXT AS (CASE WHEN json_valid(json) THEN json_extract(json, '" path "') END)"
static const char event_indexes[] = "ALTER TABLE events ADD COLUMN id " EVENT_MEMBER(
    "$.id") ";"
	    "ALTER TABLE events ADD COLUMN object_key " EVENT_MEMBER(
		"$.detail.object.key") ";"
				       "ALTER TABLE events ADD COLUMN object_key_base64 " EVENT_MEMBER(
					   "$.detail.object.\"key-base64\"") ";"
									     "CREATE INDEX events_by_id ON "
									     "events(id);"
									     "CREATE INDEX events_by_key ON "
									     "events(object_key) WHERE "
									     "object_key IS NOT NULL;"
									     "CREATE INDEX "
									     "events_by_exact_key ON "
									     "events(object_key_base64) "
									     "WHERE object_key_base64 IS NOT "
									     "NULL;"
									     "CREATE INDEX jobs_by_event ON "
									     "jobs(event) WHERE event IS NOT "
									     "NULL;";

static const char views[] =
    "CREATE VIEW job_list AS SELECT j.id AS job, j.name, s.name AS state, j.why, j.shards, j.done, j.dead,"
    " j.retries, datetime(j.accepted_us / 1000000, 'unixepoch') AS accepted,"
    " datetime(nullif(j.started_us, 0) / 1000000, 'unixepoch') AS started,"
    " datetime(j.ended_us / 1000000, 'unixepoch') AS ended,"
    " (j.ended_us - j.accepted_us) / 1e6 AS seconds, j.run_us / 1e6 AS run_seconds, j.cpu_us / 1e6 AS "
    "cpu_seconds,"
    " j.max_rss_bytes, j.output_bytes, j.reopens,"
    " lower(hex(d.sha256)) AS definition, lower(hex(j.event)) AS event"
    " FROM jobs j JOIN job_states s USING(state) LEFT JOIN definitions d ON d.id = j.definition;"
    "CREATE VIEW done_ranges AS SELECT r.job, r.phase, r.first, r.first + r.count - 1 AS last, r.count,"
    " lower(hex(w.worker)) AS worker, r.epoch, r.lease, r.segment,"
    " datetime(r.wall_us / 1000000, 'unixepoch') AS time"
    " FROM ranges r JOIN workers w ON w.id = r.worker;"
    "CREATE VIEW dead_shards AS SELECT f.job, f.phase, f.first, f.first + f.count - 1 AS last, f.count,"
    " k.name AS kind, f.code, f.why, datetime(f.wall_us / 1000000, 'unixepoch') AS time"
    " FROM failures f LEFT JOIN failure_kinds k USING(kind);";

static const char *const statements[WRITE_COUNT] = {
    [WRITE_BEGIN] = "BEGIN IMMEDIATE",
    [WRITE_COMMIT] = "COMMIT",
    [WRITE_ROLLBACK] = "ROLLBACK",
    [WRITE_LSN] = "UPDATE meta SET value = ? WHERE name = 'lsn'",
    [WRITE_FIRST_LSN] = "UPDATE meta SET value = ? WHERE name = 'first_lsn'",
    [WRITE_LSN_READ] = "SELECT value FROM meta WHERE name = 'lsn'",
    [WRITE_EPOCH] = "INSERT OR REPLACE INTO starts VALUES(?, ?)",
    [WRITE_DEFINITION] = "INSERT INTO definitions(sha256, name, text) VALUES(?, ?, ?)"
			 " ON CONFLICT(sha256) DO UPDATE SET name = excluded.name, text = excluded.text",
    [WRITE_DEFINITION_NAME] = "INSERT OR IGNORE INTO definitions(sha256) VALUES(?)",
    [WRITE_WORKER] = "INSERT OR IGNORE INTO workers(worker) VALUES(?)",
    [WRITE_WORKER_FIND] = "SELECT id FROM workers WHERE worker = ?",
    [WRITE_EVENT] = "INSERT OR IGNORE INTO events(event, wall_us, json) VALUES(?, ?, ?)",
    [WRITE_JOB] =
	"INSERT OR REPLACE INTO"
	" jobs(id, name, definition, state, priority, depth, event, due_us, accepted_us, shards)"
	" VALUES(?, ?, (SELECT id FROM definitions WHERE sha256 = ?), ?, ?, ?, nullif(?, x''), ?, ?, ?)",
    [WRITE_JOB_SLICE] =
	"INSERT OR IGNORE INTO jobs(id, name, definition, state, priority, depth, event, due_us,"
	" accepted_us, shards, started_us, phase, paused, why, reopens, carried)"
	" VALUES(?, ?, (SELECT id FROM definitions WHERE sha256 = ?), ?, ?, ?, nullif(?, x''), ?, ?, ?, ?, ?,"
	" ?, ?, ?, 1)",
    [WRITE_JOB_STATE] = "UPDATE jobs SET state = ? WHERE id = ?",
    [WRITE_JOB_PAUSED] = "UPDATE jobs SET paused = ?, why = ? WHERE id = ?",
    [WRITE_JOB_PHASE] = "UPDATE jobs SET phase = ? WHERE id = ?",
    [WRITE_JOB_GREW] = "UPDATE jobs SET shards = shards + ? WHERE id = ?",
    [WRITE_JOB_SEALED] = "UPDATE jobs SET shards = ? WHERE id = ?",
    [WRITE_JOB_ENDED] =
	"INSERT INTO jobs(id, name, definition, state, depth, event, accepted_us, started_us, ended_us, "
	"phase,"
	" why, shards, done, dead, dropped, retries, run_us, output_bytes, shards_phase, cpu_us,"
	" max_rss_bytes, reopens, carried)"
	" VALUES(?, ?, (SELECT id FROM definitions WHERE sha256 = ?), ?, ?, nullif(?, x''), ?, ?, ?, ?, ?, ?,"
	" ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1)"
	" ON CONFLICT(id) DO UPDATE SET state = excluded.state, started_us = excluded.started_us,"
	" ended_us = excluded.ended_us, phase = excluded.phase, why = excluded.why, paused = 0,"
	" shards = excluded.shards, done = excluded.done, dead = excluded.dead, dropped = excluded.dropped,"
	" retries = excluded.retries, run_us = excluded.run_us, output_bytes = excluded.output_bytes,"
	" shards_phase = excluded.shards_phase, cpu_us = excluded.cpu_us,"
	" max_rss_bytes = excluded.max_rss_bytes, reopens = excluded.reopens",
    [WRITE_JOB_PLAN] = "UPDATE jobs SET plan = ? WHERE id = ? AND plan IS NULL",
    /* It is news only for a history that never saw the job. */
    [WRITE_JOB_REOPENED] =
	"INSERT INTO jobs(id, name, definition, state, priority, depth, event, accepted_us, started_us,"
	" phase, shards, shards_phase, reopens, carried)"
	" VALUES(?, ?, (SELECT id FROM definitions WHERE sha256 = ?), ?, ?, ?, nullif(?, x''), ?, ?, ?, ?, ?,"
	" ?, 1)"
	" ON CONFLICT(id) DO UPDATE SET state = excluded.state, paused = 0, why = NULL, ended_us = NULL,"
	" due_us = 0, phase = excluded.phase, shards = excluded.shards, done = NULL, dead = NULL,"
	" dropped = NULL, shards_phase = excluded.shards_phase, reopens = excluded.reopens",
    [WRITE_JOB_CARRIED] = "SELECT carried FROM jobs WHERE id = ?",
    [WRITE_PHASE] = "INSERT OR REPLACE INTO phases(job, phase, shards) VALUES(?, ?, ?)",
    [WRITE_PHASE_GREW] = "UPDATE phases SET shards = shards + ? WHERE job = ? AND phase = ?",
    [WRITE_PHASE_ENDED] = "INSERT OR REPLACE INTO phases VALUES(?, ?, ?, ?, ?)",
    [WRITE_PHASES_DELETE] = "DELETE FROM phases WHERE job = ? AND phase > ?",
    [WRITE_RANGES_DELETE] = "DELETE FROM ranges WHERE job = ? AND phase > ?",
    /* Rows do not overlap: only the last that begins before a shard can hold it. */
    [WRITE_RANGE_SPLIT] =
	"INSERT INTO ranges SELECT job, phase, ?3, first + count - ?3, worker, epoch, lease, segment, wall_us"
	" FROM (SELECT * FROM ranges WHERE job = ?1 AND phase = ?2 AND first < ?3 ORDER BY first DESC LIMIT "
	"1)"
	" WHERE first + count > ?3",
    [WRITE_RANGE_CUT] =
	"UPDATE ranges SET count = ?3 - first WHERE job = ?1 AND phase = ?2 AND first ="
	" (SELECT first FROM ranges WHERE job = ?1 AND phase = ?2 AND first < ?3 ORDER BY first DESC LIMIT 1)"
	" AND first + count > ?3",
    [WRITE_RANGES_BETWEEN_DELETE] =
	"DELETE FROM ranges WHERE job = ?1 AND phase = ?2 AND first >= ?3 AND first < ?4",
    [WRITE_RANGE_BEFORE] = "SELECT first, count, worker, epoch, lease, segment FROM ranges"
			   " WHERE job = ? AND phase = ? AND first < ? ORDER BY first DESC LIMIT 1",
    [WRITE_RANGE_LONGER] = "UPDATE ranges SET count = count + ?, wall_us = ?"
			   " WHERE job = ? AND phase = ? AND first = ?",
    [WRITE_RANGE] = "INSERT OR REPLACE INTO ranges VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)",
    [WRITE_FAILURE_COUNT] = "SELECT count(*) FROM failures WHERE job = ?",
    /* Rows do not overlap: of those that begin before the range's end, only the last can meet it. */
    [WRITE_FAILURE_OVERLAP] =
	"SELECT first, count, kind, code, why, wall_us, worker, epoch, lease, segment FROM"
	" (SELECT * FROM failures"
	" WHERE job = ? AND phase = ? AND first < ? ORDER BY first DESC LIMIT 1) WHERE first + count > ?",
    [WRITE_FAILURE_BEFORE] = "SELECT first FROM (SELECT * FROM failures"
			     " WHERE job = ? AND phase = ? AND first < ? ORDER BY first DESC LIMIT 1)"
			     " WHERE first + count = ? AND kind = ? AND code = ? AND why = ?"
			     " AND worker = ? AND epoch = ? AND lease = ? AND segment = ?",
    [WRITE_FAILURE_LONGER] = "UPDATE failures SET count = count + ?, wall_us = ?"
			     " WHERE job = ? AND phase = ? AND first = ?",
    [WRITE_FAILURE] = "INSERT OR REPLACE INTO failures VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    [WRITE_FAILURE_DELETE] = "DELETE FROM failures WHERE job = ? AND phase = ? AND first = ?",
    [WRITE_FAILURES_DELETE] = "DELETE FROM failures WHERE job = ? AND phase >= ?",
};

static void add_names(struct buf *out)
{
	for (uint32_t i = 1; i < 256; i++) {
		if (strcmp(job_state_name(i), "unknown") != 0)
			buf_printf(out, "INSERT INTO job_states VALUES(%u, '%s');", i, job_state_name(i));
		if (strcmp(failure_kind_name(i), "unknown") != 0)
			buf_printf(out, "INSERT INTO failure_kinds VALUES(%u, '%s');", i,
				   failure_kind_name(i));
	}
}

static int make_tables(struct history *h, const char *cluster, struct error *reterr)
{
	struct buf script = {0};
	int rc;

	buf_printf(&script, "BEGIN IMMEDIATE;%s%s%s", tables, event_indexes, views);
	add_names(&script);
	buf_printf(&script,
		   "INSERT INTO meta VALUES('format', %d), ('cluster', '%s'), ('lsn', 0), ('first_lsn', 1);"
		   "PRAGMA user_version = %d; COMMIT;",
		   HISTORY_FORMAT, cluster, HISTORY_FORMAT);
	rc = sql_script(&h->db, buf_text(&script), reterr);
	buf_fini(&script);
	return rc;
}

/* The first column of the first row, as a number or a text. */
static int ask(struct history *h, const char *question, int64_t *ret, char *text, size_t text_size,
	       struct error *reterr)
{
	sqlite3_stmt *stmt;
	int code = sqlite3_prepare_v2(h->db.db, question, -1, &stmt, NULL);

	if (code != SQLITE_OK)
		return sql_error(&h->db, code, reterr);
	code = sqlite3_step(stmt);
	*ret = code == SQLITE_ROW ? sqlite3_column_int64(stmt, 0) : 0;
	if (text != NULL)
		snprintf(text, text_size, "%s",
			 code == SQLITE_ROW ? (const char *)sqlite3_column_text(stmt, 0) : "");
	sqlite3_finalize(stmt);
	return code == SQLITE_ROW || code == SQLITE_DONE ? 0 : sql_error(&h->db, code, reterr);
}

static const char from_format_1[] = "ALTER TABLE jobs ADD COLUMN shards_phase INTEGER NOT NULL DEFAULT 0;";
/* What it did not know stays unknown, but for counts that follow from what it has. */
static const char from_format_2[] =
    "ALTER TABLE jobs ADD COLUMN cpu_us INTEGER; ALTER TABLE jobs ADD COLUMN max_rss_bytes INTEGER;"
    "ALTER TABLE phases ADD COLUMN done INTEGER; ALTER TABLE phases ADD COLUMN dead INTEGER;"
    "ALTER TABLE failures ADD COLUMN worker INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE failures ADD COLUMN epoch INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE failures ADD COLUMN lease INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE failures ADD COLUMN segment INTEGER NOT NULL DEFAULT 0;"
    "UPDATE phases SET"
    " done = (SELECT ifnull(sum(r.count), 0) FROM ranges r WHERE r.job = phases.job AND r.phase = "
    "phases.phase),"
    " dead = (SELECT ifnull(sum(f.count), 0) FROM failures f WHERE f.job = phases.job"
    " AND f.phase = phases.phase) WHERE job IN (SELECT id FROM jobs WHERE ended_us IS NOT NULL);";
/* Plans that were made before are not known: their jobs are not reopened. */
static const char from_format_3[] = "ALTER TABLE jobs ADD COLUMN reopens INTEGER NOT NULL DEFAULT 0;"
				    "ALTER TABLE jobs ADD COLUMN plan BLOB;"
				    "DROP VIEW job_list; DROP VIEW done_ranges; DROP VIEW dead_shards;";

static int convert(struct history *h, int64_t format, struct error *reterr)
{
	struct buf script = {0};
	int rc;

	buf_printf(&script,
		   "BEGIN IMMEDIATE;%s%s%s%s%sUPDATE meta SET value = %d WHERE name = 'format'; PRAGMA "
		   "user_version = %d; COMMIT;",
		   format <= 1 ? from_format_1 : "", format <= 2 ? from_format_2 : "",
		   format <= 3 ? from_format_3 : "", event_indexes, format <= 3 ? views : "", HISTORY_FORMAT,
		   HISTORY_FORMAT);
	rc = sql_script(&h->db, buf_text(&script), reterr);
	buf_fini(&script);
	return rc;
}

static int check_owner(struct history *h, const char *cluster, int64_t format, struct error *reterr)
{
	char found[64];
	int64_t n;
	int rc;

	if (format < 1 || format > HISTORY_FORMAT) {
		error_set(reterr, ERR_VERSION, "history is of format %" PRId64 ", this build knows format %d",
			  format, HISTORY_FORMAT);
		error_where(reterr, "%s", h->db.path);
		error_help(reterr,
			   "start the shardmill that wrote it, or move the file away: it is built again "
			   "from the journal, as far back as that goes");
		return ERR_VERSION;
	}
	rc = ask(h, "SELECT value FROM meta WHERE name = 'cluster'", &n, found, sizeof found, reterr);
	if (rc < 0)
		return rc;
	if (strcmp(found, cluster) == 0)
		return format < HISTORY_FORMAT ? convert(h, format, reterr) : 0;
	error_set(reterr, ERR_DENIED, "history belongs to cluster %s, this is cluster %s", found, cluster);
	error_where(reterr, "%s", h->db.path);
	return ERR_DENIED;
}

int history_schema(struct history *h, uint64_t cluster_hi, uint64_t cluster_lo, struct error *reterr)
{
	char cluster[40];
	int64_t format, table_count, lsn;
	int rc;

	snprintf(cluster, sizeof cluster, "%016" PRIx64 "%016" PRIx64, cluster_hi, cluster_lo);
	rc = sql_script(&h->db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;", reterr);
	if (rc == 0)
		rc = ask(h, "PRAGMA user_version", &format, NULL, 0, reterr);
	if (rc == 0)
		rc = ask(h, "SELECT count(*) FROM sqlite_schema", &table_count, NULL, 0, reterr);
	if (rc == 0)
		rc = format == 0 && table_count == 0 ? make_tables(h, cluster, reterr)
						     : check_owner(h, cluster, format, reterr);
	if (rc == 0)
		rc = sql_prepare(&h->db, statements, WRITE_COUNT, reterr);
	if (rc == 0)
		rc = ask(h, statements[WRITE_LSN_READ], &lsn, NULL, 0, reterr);
	if (rc < 0)
		return rc;
	h->applied_lsn = h->durable_lsn = h->seen_lsn = (uint64_t)lsn;
	return 0;
}
