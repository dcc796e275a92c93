/* The tables of history. Numbers of 64 bits are SQLite's signed ones; times are microseconds, UTC. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "jobs/ids.h"
#include "dispatcher/store/history_private.h"
#include "jobs/kinds.h"

/* Format 2: which phase the shards are. 3: what attempts took, how later phases ended, where the output of
 * dead shards is. 4: how often jobs were reopened, and the plans that planners made. 5: jobs are found by
 * their event. 6: who asked for jobs, brought events, stopped and retried. 7: which jobs are forgotten, which
 * segments of output are needed by how many rows, and the order in which jobs ended. The other tables are in
 * history_tables.c. */
static const char tables[] =
    /* One row a fact: format, cluster, lsn (the last record that is in here), first_lsn (of the
     * records that it was built from: what was before, it never saw). */
    "CREATE TABLE meta(name TEXT PRIMARY KEY, value) WITHOUT ROWID;"
    "CREATE TABLE job_states(state INTEGER PRIMARY KEY, name TEXT NOT NULL);"
    "CREATE TABLE failure_kinds(kind INTEGER PRIMARY KEY, name TEXT NOT NULL);"
    "CREATE TABLE starts(epoch INTEGER PRIMARY KEY, wall_us INTEGER);"
    /* text is NULL when only a job names the version. */
    "CREATE TABLE definitions(id INTEGER PRIMARY KEY, sha256 BLOB NOT NULL UNIQUE, name TEXT, text TEXT);"
    "CREATE TABLE events(event BLOB NOT NULL UNIQUE, wall_us INTEGER, json TEXT);";

/* By what people call an event: its id, or the key of its object (exact, where it is not UTF-8). They are
 * NULL where there is none; nothing but the indexes keeps them. */
#define EVENT_MEMBER(path) "TEXT AS (CASE WHEN json_valid(json) THEN json_extract(json, '" path "') END)"
#define ADD_EVENT_MEMBER(name, path) "ALTER TABLE events ADD COLUMN " name " " EVENT_MEMBER(path) ";"
static const char event_indexes[] =
    /* clang-format indents it by what the macros have in parentheses. */
    /* clang-format off */
    ADD_EVENT_MEMBER("id", "$.id")
    ADD_EVENT_MEMBER("object_key", "$.detail.object.key")
    ADD_EVENT_MEMBER("object_key_base64", "$.detail.object.\"key-base64\"")
    "CREATE INDEX events_by_id ON events(id);"
    "CREATE INDEX events_by_key ON events(object_key) WHERE object_key IS NOT NULL;"
    "CREATE INDEX events_by_exact_key ON events(object_key_base64) WHERE object_key_base64 IS NOT NULL;"
    "CREATE INDEX jobs_by_event ON jobs(event) WHERE event IS NOT NULL;";
/* clang-format on */

static const char principals[] =
    "CREATE TABLE principal_kinds(kind INTEGER PRIMARY KEY, name TEXT NOT NULL);"
    /* Who brought it; NULL: who asked for its jobs. */
    "ALTER TABLE events ADD COLUMN by_kind INTEGER; ALTER TABLE events ADD COLUMN by_name TEXT;"
    "ALTER TABLE events ADD COLUMN by_number INTEGER;";

/* Triggers count for each segment the rows that name it: whatever adds or deletes rows, the count holds. */
#define NAMES_SEGMENT(table, event, row, change)                                                             \
	"CREATE TRIGGER " table "_" event " AFTER " event " ON " table " WHEN " row                          \
	".segment > 0 BEGIN " change " END;"
#define SEGMENT_UP                                                                                           \
	"INSERT INTO segments(worker, segment, rows) VALUES(NEW.worker, NEW.segment, 1)"                     \
	" ON CONFLICT(worker, segment) DO UPDATE SET rows = rows + 1;"
#define SEGMENT_DOWN                                                                                         \
	"UPDATE segments SET rows = rows - 1 WHERE worker = OLD.worker AND segment = OLD.segment;"

static const char lives[] =
    "CREATE INDEX jobs_by_end ON jobs(ended_us, output_bytes) WHERE ended_us IS NOT NULL;"
    /* Ranges of jobs that do not touch. */
    "CREATE TABLE forgotten(first INTEGER PRIMARY KEY, last INTEGER NOT NULL);"
    /* doomed: its files are being removed. */
    "CREATE TABLE segments(worker INTEGER NOT NULL, segment INTEGER NOT NULL, rows INTEGER NOT NULL,"
    " doomed INTEGER NOT NULL DEFAULT 0, PRIMARY KEY(worker, segment)) WITHOUT ROWID;"
    "CREATE INDEX segments_unused ON segments(doomed) WHERE rows <= 0;"
    "INSERT INTO segments(worker, segment, rows) SELECT worker, segment, count(*) FROM"
    " (SELECT worker, segment FROM ranges UNION ALL SELECT worker, segment FROM failures)"
    " WHERE segment > 0 GROUP BY worker, segment;" NAMES_SEGMENT("ranges", "INSERT", "NEW", SEGMENT_UP)
	NAMES_SEGMENT("ranges", "DELETE", "OLD", SEGMENT_DOWN)
	    NAMES_SEGMENT("failures", "INSERT", "NEW", SEGMENT_UP)
		NAMES_SEGMENT("failures", "DELETE", "OLD", SEGMENT_DOWN);

#define VIEW_COLUMN(name, add, json, form, doc) VIEW_##form(name, json)
#define VIEW_SECONDS(name, json) " j." #name " / 1e6 AS " #json ","
#define VIEW_NUMBER(name, json) " j." #name " AS " #json ","
#define VIEW_KNOWN VIEW_NUMBER

#define EFFORT_COLUMN(name, add, json, form, doc) EFFORT_##form(name, json)
#define EFFORT_SECONDS(name, json) ", e." #name " / 1e6 AS " #json
#define EFFORT_NUMBER(name, json) ", e." #name " AS " #json
#define EFFORT_KNOWN EFFORT_NUMBER

static const char views[] =
    "CREATE INDEX IF NOT EXISTS efforts_added ON efforts(job) WHERE added;"
    "DROP VIEW IF EXISTS job_list; DROP VIEW IF EXISTS done_ranges; DROP VIEW IF EXISTS dead_shards;"
    "DROP VIEW IF EXISTS attempts;"
    "CREATE VIEW job_list AS SELECT j.id AS job, j.name, s.name AS state, j.why, j.shards, j.done, j.dead,"
    " j.retries, datetime(j.accepted_us / 1000000, 'unixepoch') AS accepted,"
    " datetime(nullif(j.started_us, 0) / 1000000, 'unixepoch') AS started,"
    " datetime(j.ended_us / 1000000, 'unixepoch') AS ended,"
    " (j.ended_us - j.accepted_us) / 1e6 AS seconds, j.run_us / 1e6 AS run_seconds, j.cpu_us / 1e6 AS "
    "cpu_seconds,"
    " j.max_rss_bytes, j.output_bytes, j.reopens," TOTALS_LATER(
	VIEW_COLUMN) " lower(hex(d.sha256)) AS definition, lower(hex(j.event)) AS event,"
		     " (SELECT p.name FROM principal_kinds p WHERE p.kind = j.by_kind) AS by_kind,"
		     " j.by_name, j.by_number, j.owner"
		     " FROM jobs j JOIN job_states s USING(state) LEFT JOIN definitions d ON d.id = "
		     "j.definition;"
		     "CREATE VIEW done_ranges AS SELECT r.job, r.phase, r.first, r.first + r.count - 1 AS "
		     "last, r.count,"
		     " lower(hex(w.worker)) AS worker, r.epoch, r.lease, r.segment,"
		     " datetime(r.wall_us / 1000000, 'unixepoch') AS time"
		     " FROM ranges r JOIN workers w ON w.id = r.worker;"
		     "CREATE VIEW dead_shards AS SELECT f.job, f.phase, f.first, f.first + f.count - 1 AS "
		     "last, f.count,"
		     " k.name AS kind, f.code, f.why, datetime(f.wall_us / 1000000, 'unixepoch') AS time"
		     " FROM failures f LEFT JOIN failure_kinds k USING(kind);"
		     "CREATE VIEW attempts AS SELECT e.job, e.phase, e.first, e.first + e.count - 1 AS "
		     "last, e.count,"
		     " e.attempt, lower(hex(w.worker)) AS worker, w.host, k.name AS failed, e.code,"
		     " datetime(e.start_us / 1000000, 'unixepoch') AS start" TOTALS_ALL(
			 EFFORT_COLUMN) " FROM efforts e LEFT JOIN workers w ON w.id = e.worker"
					" LEFT JOIN failure_kinds k USING(kind);";

#define DELETE_SOME(table, key)                                                                              \
	"DELETE FROM " table " WHERE (" key ") IN (SELECT " key " FROM " table                               \
	" WHERE job BETWEEN ? AND ? LIMIT ?)"

static const struct sql_statement statements[WRITE_COUNT] = {
    [WRITE_BEGIN] = {.text = "BEGIN IMMEDIATE"},
    [WRITE_COMMIT] = {.text = "COMMIT"},
    [WRITE_ROLLBACK] = {.text = "ROLLBACK"},
    [WRITE_LSN] = {.text = "UPDATE meta SET value = ? WHERE name = 'lsn'"},
    [WRITE_FIRST_LSN] = {.text = "UPDATE meta SET value = ? WHERE name = 'first_lsn'"},
    [WRITE_LSN_READ] = {.text = "SELECT value FROM meta WHERE name = 'lsn'"},
    [WRITE_EPOCH] = {.text = "INSERT OR REPLACE INTO starts VALUES(?, ?)"},
    [WRITE_DEFINITION] =
	{.text = "INSERT INTO definitions(sha256, name, text) VALUES(?, ?, ?)"
		 " ON CONFLICT(sha256) DO UPDATE SET name = excluded.name, text = excluded.text"},
    [WRITE_DEFINITION_NAME] = {.text = "INSERT OR IGNORE INTO definitions(sha256) VALUES(?)"},
    [WRITE_WORKER] = {.text = "INSERT OR IGNORE INTO workers(worker) VALUES(?)"},
    [WRITE_WORKER_FIND] = {.text = "SELECT id FROM workers WHERE worker = ?"},
    [WRITE_EVENT] = {.text = "INSERT OR IGNORE INTO events(event, wall_us, json, by_kind, by_name, by_number)"
			     " VALUES(?, ?, ?, nullif(?4, 0), iif(?4 = 0, NULL, ?5), iif(?4 = 0, NULL, ?6))"},
    [WRITE_JOB] = {NULL, SQL_INSERT_OR_REPLACE, &history_jobs_table, JOB_NEW, 0},
    [WRITE_JOB_SLICE] = {NULL, SQL_INSERT_OR_IGNORE, &history_jobs_table, JOB_SLICE, 0},
    [WRITE_JOB_STATE] = {.text = "UPDATE jobs SET state = ? WHERE id = ?"},
    [WRITE_JOB_PAUSED] = {.text = "UPDATE jobs SET paused = ?, why = ?, stopped_kind = ?, stopped_name = ?,"
				  " stopped_number = ? WHERE id = ?"},
    [WRITE_JOB_AGAIN] = {.text = "UPDATE jobs SET again_kind = ?, again_name = ?, again_number = ?"
				 " WHERE id = ?"},
    [WRITE_JOB_PHASE] = {.text = "UPDATE jobs SET phase = ? WHERE id = ?"},
    [WRITE_JOB_GREW] = {.text = "UPDATE jobs SET shards = shards + ? WHERE id = ?"},
    [WRITE_JOB_SEALED] = {.text = "UPDATE jobs SET shards = ? WHERE id = ?"},
    /* The row is there, but in a history that never saw the job. */
    [WRITE_JOB_ENDS] = {", paused = 0", SQL_UPDATE, &history_jobs_table, JOB_ENDED_AGAIN, 0},
    [WRITE_JOB_ENDED] = {", paused = 0", SQL_INSERT, &history_jobs_table, JOB_ENDED, JOB_ENDED_AGAIN},
    [WRITE_JOB_PLAN] = {.text = "UPDATE jobs SET plan = ? WHERE id = ? AND plan IS NULL"},
    /* It is news only for a history that never saw the job. */
    [WRITE_JOB_REOPENED] =
	{", paused = 0, why = NULL, ended_us = NULL, due_us = 0, done = NULL, dead = NULL, dropped = NULL,"
	 " stopped_kind = NULL, stopped_name = NULL, stopped_number = NULL",
	 SQL_INSERT, &history_jobs_table, JOB_REOPENED, JOB_REOPENED_AGAIN},
    [WRITE_JOB_CARRIED] = {.text = "SELECT carried FROM jobs WHERE id = ?"},
    [WRITE_PHASE] = {NULL, SQL_INSERT_OR_REPLACE, &history_phases_table, PHASE_NEW, 0},
    [WRITE_PHASE_GREW] = {.text = "UPDATE phases SET shards = shards + ? WHERE job = ? AND phase = ?"},
    [WRITE_PHASE_ENDED] = {NULL, SQL_INSERT_OR_REPLACE, &history_phases_table, PHASE_ENDED, 0},
    [WRITE_PHASES_DELETE] = {.text = "DELETE FROM phases WHERE job = ? AND phase > ?"},
    [WRITE_RANGES_DELETE] = {.text = "DELETE FROM ranges WHERE job = ? AND phase > ?"},
    /* Rows do not overlap: only the last that begins before a shard can hold it. */
    [WRITE_RANGE_SPLIT] = {.text = "INSERT INTO ranges SELECT job, phase, ?3, first + count - ?3, worker, "
				   "epoch, lease, segment, wall_us"
				   " FROM (SELECT * FROM ranges WHERE job = ?1 AND phase = ?2 AND first < ?3 "
				   "ORDER BY first DESC LIMIT "
				   "1)"
				   " WHERE first + count > ?3"},
    [WRITE_RANGE_CUT] = {.text =
			     "UPDATE ranges SET count = ?3 - first WHERE job = ?1 AND phase = ?2 AND first ="
			     " (SELECT first FROM ranges WHERE job = ?1 AND phase = ?2 AND first < ?3 ORDER "
			     "BY first DESC LIMIT 1)"
			     " AND first + count > ?3"},
    [WRITE_RANGES_BETWEEN_DELETE] =
	{.text = "DELETE FROM ranges WHERE job = ?1 AND phase = ?2 AND first >= ?3 AND first < ?4"},
    [WRITE_RANGE_BEFORE] =
	{"FROM ranges r WHERE job = ? AND phase = ? AND first < ? ORDER BY first DESC LIMIT 1", SQL_SELECT,
	 &history_ranges_table, RANGE_GET, 0},
    [WRITE_RANGE_LONGER] = {.text = "UPDATE ranges SET count = count + ?, wall_us = ?"
				    " WHERE job = ? AND phase = ? AND first = ?"},
    [WRITE_RANGE] = {NULL, SQL_INSERT_OR_REPLACE, &history_ranges_table, RANGE_PUT, 0},
    [WRITE_WORKER_HOST] = {.text = "UPDATE workers SET host = ? WHERE id = ?"},
    [WRITE_EFFORT] = {NULL, SQL_INSERT_OR_REPLACE, &history_efforts_table, EFFORT_PUT, 0},
    [WRITE_EFFORT_BEFORE] =
	{"FROM efforts e WHERE job = ? AND phase = ? AND first <= ? ORDER BY first DESC LIMIT 1", SQL_SELECT,
	 &history_efforts_table, EFFORT_GET, 0},
    [WRITE_EFFORT_SUMS] = {.text = "SELECT count(*) FROM efforts WHERE job = ? AND added"},
    [WRITE_EFFORT_COUNT] = {.text = "SELECT count(*) FROM efforts"},
    [WRITE_EFFORTS_OLDEST_DELETE] =
	{.text = "DELETE FROM efforts WHERE job <= (SELECT job FROM efforts ORDER BY job LIMIT 1 OFFSET ?)"},
    [WRITE_EFFORTS_DELETE] = {.text = "DELETE FROM efforts WHERE job = ? AND phase > ?"},
    [WRITE_FAILURE_LAST_JOB] = {.text = "SELECT ifnull(max(job), 0) FROM failures"},
    [WRITE_FAILURE_COUNT] = {.text = "SELECT count(*) FROM failures WHERE job = ?"},
    /* Rows do not overlap: of those that begin before the range's end, only the last can meet it. */
    [WRITE_FAILURE_BEFORE] =
	{"FROM failures f WHERE job = ? AND phase = ? AND first < ? ORDER BY first DESC LIMIT 1", SQL_SELECT,
	 &history_failures_table, FAILURE_GET, 0},
    [WRITE_FAILURE_LONGER] = {.text = "UPDATE failures SET count = count + ?, wall_us = ?"
				      " WHERE job = ? AND phase = ? AND first = ?"},
    [WRITE_FAILURE] = {NULL, SQL_INSERT_OR_REPLACE, &history_failures_table, FAILURE_PUT, 0},
    [WRITE_FAILURE_DELETE] = {.text = "DELETE FROM failures WHERE job = ? AND phase = ? AND first = ?"},
    [WRITE_FORGET_EVENTS] =
	{.text = "DELETE FROM events WHERE event IN (SELECT event FROM jobs WHERE id BETWEEN ?1 AND ?2)"
		 " AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.event = events.event"
		 " AND j.id NOT BETWEEN ?1 AND ?2)"},
    [WRITE_FORGET_JOBS] = {.text = "DELETE FROM jobs WHERE id BETWEEN ? AND ?"},
    [WRITE_LEFTOVER] = {.text = "INSERT INTO leftovers VALUES(?, ?)"
				" ON CONFLICT(first) DO UPDATE SET last = max(last, excluded.last)"},
    [WRITE_LEFTOVER_FIRST] = {.text = "SELECT first, last FROM leftovers ORDER BY first LIMIT 1"},
    [WRITE_LEFTOVER_DELETE] = {.text = "DELETE FROM leftovers WHERE first = ?"},
    [WRITE_LEFT_EFFORTS] = {.text = DELETE_SOME("efforts", "job, phase, first")},
    [WRITE_LEFT_PHASES] = {.text = DELETE_SOME("phases", "job, phase")},
    [WRITE_LEFT_FAILURES] = {.text = DELETE_SOME("failures", "job, phase, first")},
    [WRITE_LEFT_RANGES] = {.text = DELETE_SOME("ranges", "job, phase, first")},
    [WRITE_FORGOTTEN_BESIDE] = {.text = "SELECT min(first), max(last) FROM forgotten"
					" WHERE last >= ?1 - 1 AND first <= ?2 + 1"},
    [WRITE_FORGOTTEN_DELETE] = {.text = "DELETE FROM forgotten WHERE first >= ?1 AND last <= ?2"},
    [WRITE_FORGOTTEN] = {.text = "INSERT INTO forgotten VALUES(?, ?)"},
    [WRITE_SEGMENT_DOOMED] = {.text =
				  "INSERT INTO segments(worker, segment, rows, doomed)"
				  " SELECT id, ?2, 0, 1 FROM workers WHERE worker = ?1"
				  " ON CONFLICT(worker, segment) DO UPDATE SET doomed = 1 WHERE rows <= 0"},
    [WRITE_SEGMENT_GONE] = {.text = "DELETE FROM segments WHERE worker = (SELECT id FROM workers WHERE worker"
				    " = ?1) AND segment = ?2 AND doomed"},
    [WRITE_FAILURES_DELETE] = {.text = "DELETE FROM failures WHERE job = ? AND phase >= ?"},
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

static void add_principals(struct buf *out)
{
	buf_printf(out, "%s", principals);
	for (uint32_t i = 1; i < 256; i++)
		if (strcmp(principal_kind_name(i), "unknown") != 0)
			buf_printf(out, "INSERT INTO principal_kinds VALUES(%u, '%s');", i,
				   principal_kind_name(i));
}

static int make_tables(struct history *h, const char *cluster, struct error *reterr)
{
	struct buf script = {0};
	int rc;

	buf_printf(&script, "BEGIN IMMEDIATE;%s", tables);
	for (size_t i = 0; history_tables[i] != NULL; i++)
		sql_table_create(history_tables[i], &script);
	add_principals(&script);
	buf_printf(&script, "CREATE INDEX jobs_by_state ON jobs(state, id);%s%s%s", event_indexes, lives,
		   views);
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

/* What a database does not know stays unknown, but for counts that follow from what it has. (Plans that were
 * made before format 4 are not known: their jobs are not reopened.) */
static const char from_format_2[] =
    "UPDATE phases SET"
    " done = (SELECT ifnull(sum(r.count), 0) FROM ranges r WHERE r.job = phases.job AND r.phase = "
    "phases.phase),"
    " dead = (SELECT ifnull(sum(f.count), 0) FROM failures f WHERE f.job = phases.job"
    " AND f.phase = phases.phase) WHERE job IN (SELECT id FROM jobs WHERE ended_us IS NOT NULL);";

#define COLUMN_NAMES_MAX 2000 /* of one table */

/* Statements that add the columns that the table lacks in this database. */
static int add_columns(struct history *h, const struct sql_table *t, struct buf *out, struct error *reterr)
{
	char question[128], there[COLUMN_NAMES_MAX], name[80];
	int64_t n;
	int rc;

	snprintf(question, sizeof question,
		 "SELECT ',' || ifnull(group_concat(name), '') || ',' FROM pragma_table_info('%s')", t->name);
	rc = ask(h, question, &n, there, sizeof there, reterr);
	if (rc == 0 && strcmp(there, ",,") == 0) { /* it came later */
		sql_table_create(t, out);
		return 0;
	}
	for (size_t i = 0; rc == 0 && i < t->column_count; i++) {
		const struct sql_column *c = &t->columns[i];

		snprintf(name, sizeof name, ",%s,", c->type != NULL ? c->name : "");
		if (c->type != NULL && strstr(there, name) == NULL)
			buf_printf(out, "ALTER TABLE %s ADD COLUMN %s %s;", t->name, c->name, c->type);
	}
	return rc;
}

/* Older formats become this one, and a database of this one gets the columns that came since. */
static int convert(struct history *h, int64_t format, struct error *reterr)
{
	struct buf columns = {0}, script = {0};
	int rc = 0;

	for (size_t i = 0; rc == 0 && history_tables[i] != NULL; i++)
		rc = add_columns(h, history_tables[i], &columns, reterr);
	if (rc == 0 && (format < HISTORY_FORMAT || columns.size > 0)) {
		buf_printf(&script, "BEGIN IMMEDIATE;%s%s%s", buf_text(&columns),
			   format <= 2 ? from_format_2 : "", format <= 4 ? event_indexes : "");
		if (format <= 5)
			add_principals(&script);
		if (format <= 6)
			buf_printf(&script, "%s", lives);
		buf_printf(&script,
			   "%s UPDATE meta SET value = %d WHERE name = 'format';"
			   " PRAGMA user_version = %d; COMMIT;",
			   views, HISTORY_FORMAT, HISTORY_FORMAT);
		rc = sql_script(&h->db, buf_text(&script), reterr);
	}
	buf_fini(&columns);
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
		return convert(h, format, reterr);
	error_set(reterr, ERR_DENIED, "history belongs to cluster %s, this is cluster %s", found, cluster);
	error_where(reterr, "%s", h->db.path);
	return ERR_DENIED;
}

int history_schema(struct history *h, uint64_t cluster_hi, uint64_t cluster_lo, struct error *reterr)
{
	char cluster[UUID_TEXT_BYTES];
	int64_t format, table_count, lsn;
	int rc;

	uuid_halves_text(cluster_hi, cluster_lo, cluster);
	rc = sql_script(&h->db,
			"PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
			" PRAGMA journal_size_limit = 33554432;" /* that the log has when it begins anew */
			/* Events and their jobs are found by random ids, so that a transaction changes pages
			 * all over two indexes. They should be in memory (16 MiB), and be written to the
			 * database once for many transactions (4,096 pages are 16 MiB, too). */
			" PRAGMA cache_size = -16384; PRAGMA wal_autocheckpoint = 4096;"
			" PRAGMA recursive_triggers = ON;" /* also for rows that are replaced */,
			reterr);
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
		rc = ask(h, statements[WRITE_LSN_READ].text, &lsn, NULL, 0, reterr);
	if (rc < 0)
		return rc;
	h->applied_lsn = h->durable_lsn = h->seen_lsn = (uint64_t)lsn;
	h->has_leftovers = true;
	return 0;
}
