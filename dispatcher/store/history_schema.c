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
 * segments of output are needed by how many rows, and the order in which jobs ended. 8: jobs of one shard and
 * events are in blocks; what was jobs, ranges, efforts, failures and events is job_rows and so on. The other
 * tables are in history_tables.c. */
static const char tables[] =
    /* One row a fact: format, cluster, lsn (the last record that is in here), first_lsn (of the
     * records that it was built from: what was before, it never saw). */
    "CREATE TABLE meta(name TEXT PRIMARY KEY, value) WITHOUT ROWID;"
    "CREATE TABLE job_states(state INTEGER PRIMARY KEY, name TEXT NOT NULL);"
    "CREATE TABLE failure_kinds(kind INTEGER PRIMARY KEY, name TEXT NOT NULL);"
    "CREATE TABLE starts(epoch INTEGER PRIMARY KEY, wall_us INTEGER);"
    /* text is NULL when only a job names the version. */
    "CREATE TABLE definitions(id INTEGER PRIMARY KEY, sha256 BLOB NOT NULL UNIQUE, name TEXT, text TEXT);"
    "CREATE TABLE event_rows(event BLOB NOT NULL UNIQUE, wall_us INTEGER, json TEXT);";

/* By what people call an event: its id, or the key of its object (exact, where it is not UTF-8). They are
 * NULL where there is none; nothing but the indexes keeps them. */
#define EVENT_MEMBER(path) "TEXT AS (CASE WHEN json_valid(json) THEN json_extract(json, '" path "') END)"
#define ADD_EVENT_MEMBER(name, path) "ALTER TABLE event_rows ADD COLUMN " name " " EVENT_MEMBER(path) ";"
static const char event_indexes[] =
    /* clang-format indents it by what the macros have in parentheses. */
    /* clang-format off */
    ADD_EVENT_MEMBER("id", "$.id")
    ADD_EVENT_MEMBER("object_key", "$.detail.object.key")
    ADD_EVENT_MEMBER("object_key_base64", "$.detail.object.\"key-base64\"")
    "CREATE INDEX events_by_id ON event_rows(id);"
    "CREATE INDEX events_by_key ON event_rows(object_key) WHERE object_key IS NOT NULL;"
    "CREATE INDEX events_by_exact_key ON event_rows(object_key_base64) WHERE object_key_base64 IS NOT NULL;"
    "CREATE INDEX jobs_by_event ON job_rows(event) WHERE event IS NOT NULL;";
/* clang-format on */

static const char principals[] =
    "CREATE TABLE principal_kinds(kind INTEGER PRIMARY KEY, name TEXT NOT NULL);"
    /* Who brought it; NULL: who asked for its jobs. */
    "ALTER TABLE event_rows ADD COLUMN by_kind INTEGER; ALTER TABLE event_rows ADD COLUMN by_name TEXT;"
    "ALTER TABLE event_rows ADD COLUMN by_number INTEGER;";

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
    "CREATE INDEX jobs_by_end ON job_rows(ended_us, output_bytes) WHERE ended_us IS NOT NULL;"
    /* Ranges of jobs that do not touch. */
    "CREATE TABLE forgotten(first INTEGER PRIMARY KEY, last INTEGER NOT NULL);"
    /* doomed: its files are being removed. */
    "CREATE TABLE segments(worker INTEGER NOT NULL, segment INTEGER NOT NULL, rows INTEGER NOT NULL,"
    " doomed INTEGER NOT NULL DEFAULT 0, PRIMARY KEY(worker, segment)) WITHOUT ROWID;"
    "CREATE INDEX segments_unused ON segments(doomed) WHERE rows <= 0;"
    "INSERT INTO segments(worker, segment, rows) SELECT worker, segment, count(*) FROM"
    " (SELECT worker, segment FROM range_rows UNION ALL SELECT worker, segment FROM failure_rows)"
    " WHERE segment > 0 GROUP BY worker, segment;" NAMES_SEGMENT("range_rows", "INSERT", "NEW", SEGMENT_UP)
	NAMES_SEGMENT("range_rows", "DELETE", "OLD", SEGMENT_DOWN)
	    NAMES_SEGMENT("failure_rows", "INSERT", "NEW", SEGMENT_UP)
		NAMES_SEGMENT("failure_rows", "DELETE", "OLD", SEGMENT_DOWN);

/* history_block.h. kept: rows that are neither forgotten nor elsewhere; output_bytes: of these. begin_us,
 * end_us: of ends, or of acceptance. states: bits. segments: pairs of a worker's number and a segment, each 8
 * bytes as this machine has them. gone: bits, of a made block. block_left: jobs that are in an ended block
 * and have a row. */
static const char blocks[] =
    "CREATE TABLE blocks(block INTEGER PRIMARY KEY AUTOINCREMENT, kind INTEGER NOT NULL, first INTEGER NOT "
    "NULL,"
    " last INTEGER NOT NULL, count INTEGER NOT NULL, kept INTEGER NOT NULL, output_bytes INTEGER NOT NULL,"
    " begin_us INTEGER NOT NULL, end_us INTEGER NOT NULL, states INTEGER NOT NULL, level INTEGER NOT NULL,"
    " segments BLOB, gone BLOB);"
    "CREATE INDEX blocks_by_first ON blocks(kind, first, last);"
    "CREATE INDEX blocks_by_last ON blocks(kind, last);"
    "CREATE INDEX blocks_by_time ON blocks(kind, begin_us, kept, output_bytes);"
    "CREATE INDEX blocks_small ON blocks(kind, block) WHERE level < 3;"
    "CREATE TABLE block_bodies(block INTEGER PRIMARY KEY, ids BLOB NOT NULL, body BLOB NOT NULL);"
    "CREATE TABLE block_filters(block INTEGER PRIMARY KEY, kind INTEGER NOT NULL, filter BLOB NOT NULL);"
    "CREATE INDEX block_filters_by_kind ON block_filters(kind);"
    "CREATE TABLE block_left(job INTEGER PRIMARY KEY);"
    "INSERT INTO meta VALUES('block_span', 0);"
    "CREATE VIRTUAL TABLE jobs USING shardmill_history(jobs);"
    "CREATE VIRTUAL TABLE ranges USING shardmill_history(ranges);"
    "CREATE VIRTUAL TABLE efforts USING shardmill_history(efforts);"
    "CREATE VIRTUAL TABLE failures USING shardmill_history(failures);"
    "CREATE VIRTUAL TABLE events USING shardmill_events;";

#define VIEW_COLUMN(name, add, json, form, doc) VIEW_##form(name, json)
#define VIEW_SECONDS(name, json) " j." #name " / 1e6 AS " #json ","
#define VIEW_NUMBER(name, json) " j." #name " AS " #json ","
#define VIEW_KNOWN VIEW_NUMBER

#define EFFORT_COLUMN(name, add, json, form, doc) EFFORT_##form(name, json)
#define EFFORT_SECONDS(name, json) ", e." #name " / 1e6 AS " #json
#define EFFORT_NUMBER(name, json) ", e." #name " AS " #json
#define EFFORT_KNOWN EFFORT_NUMBER

static const char views[] =
    "CREATE INDEX IF NOT EXISTS efforts_added ON effort_rows(job) WHERE added;"
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

static void add_name(struct buf *out, const char *table, uint32_t kind, const char *name)
{
	if (strcmp(name, "unknown") != 0)
		buf_printf(out, "INSERT OR IGNORE INTO %s VALUES(%u, '%s');", table, kind, name);
}

/* At each start: a newer build may know more of them. */
static void add_names(struct buf *out)
{
	for (uint32_t i = 1; i < 256; i++) {
		add_name(out, "job_states", i, job_state_name(i));
		add_name(out, "failure_kinds", i, failure_kind_name(i));
		add_name(out, "principal_kinds", i, principal_kind_name(i));
	}
}

static int make_tables(struct history *h, const char *cluster, struct error *reterr)
{
	struct buf script = {0};
	int rc;

	buf_printf(&script, "BEGIN IMMEDIATE;%s", tables);
	for (size_t i = 0; history_tables[i] != NULL; i++)
		sql_table_create(history_tables[i], &script);
	buf_printf(&script, "%sCREATE INDEX jobs_by_state ON job_rows(state, id);%s%s%s%s", principals,
		   event_indexes, lives, blocks, views);
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
    " done = (SELECT ifnull(sum(r.count), 0) FROM range_rows r WHERE r.job = phases.job AND r.phase = "
    "phases.phase),"
    " dead = (SELECT ifnull(sum(f.count), 0) FROM failure_rows f WHERE f.job = phases.job"
    " AND f.phase = phases.phase) WHERE job IN (SELECT id FROM job_rows WHERE ended_us IS NOT NULL);";

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

/* Before format 8 the names of the virtual tables were those of the rows. */
static int rename_tables(struct history *h, struct error *reterr)
{
	static const char *const names[][2] = {{"jobs", "job_rows"},
					       {"ranges", "range_rows"},
					       {"failures", "failure_rows"},
					       {"efforts", "effort_rows"},
					       {"events", "event_rows"}};
	struct buf script = {0};
	int rc = 0;

	buf_printf(&script, "DROP VIEW IF EXISTS job_list; DROP VIEW IF EXISTS done_ranges;"
			    "DROP VIEW IF EXISTS dead_shards; DROP VIEW IF EXISTS attempts;");
	for (size_t i = 0; rc == 0 && i < ARRAY_LENGTH(names); i++) {
		char question[128];
		int64_t there;

		snprintf(question, sizeof question, "SELECT count(*) FROM sqlite_schema WHERE name = '%s'",
			 names[i][0]);
		rc = ask(h, question, &there, NULL, 0, reterr);
		if (rc == 0 && there > 0)
			buf_printf(&script, "ALTER TABLE %s RENAME TO %s;", names[i][0], names[i][1]);
	}
	if (rc == 0)
		rc = sql_script(&h->db, buf_text(&script), reterr);
	buf_fini(&script);
	return rc;
}

static int change_tables(struct history *h, int64_t format, struct error *reterr)
{
	struct buf columns = {0}, script = {0};
	int rc = format < 8 ? rename_tables(h, reterr) : 0;

	for (size_t i = 0; rc == 0 && history_tables[i] != NULL; i++)
		rc = add_columns(h, history_tables[i], &columns, reterr);
	if (rc == 0 && (format < HISTORY_FORMAT || columns.size > 0)) {
		buf_printf(&script, "%s%s%s%s", buf_text(&columns), format <= 2 ? from_format_2 : "",
			   format <= 4 ? event_indexes : "", format <= 5 ? principals : "");
		buf_printf(&script,
			   "%s%s%s UPDATE meta SET value = %d WHERE name = 'format';"
			   " PRAGMA user_version = %d;",
			   format <= 6 ? lives : "", format <= 7 ? blocks : "", views, HISTORY_FORMAT,
			   HISTORY_FORMAT);
	}
	add_names(&script);
	if (rc == 0)
		rc = sql_script(&h->db, buf_text(&script), reterr);
	buf_fini(&columns);
	buf_fini(&script);
	return rc;
}

/* Older formats become this one, and a database of this one gets the columns that came since. */
static int convert(struct history *h, int64_t format, struct error *reterr)
{
	int rc = sql_script(&h->db, "BEGIN IMMEDIATE", reterr);

	if (rc == 0)
		rc = change_tables(h, format, reterr);
	if (rc == 0)
		rc = sql_script(&h->db, "COMMIT", reterr);
	if (rc < 0 && !sqlite3_get_autocommit(h->db.db))
		(void)!sql_script(&h->db, "ROLLBACK", NULL);
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
		rc = sql_prepare(&h->db, history_statements, WRITE_COUNT, reterr);
	if (rc == 0)
		rc = ask(h, history_statements[WRITE_LSN_READ].text, &lsn, NULL, 0, reterr);
	if (rc < 0)
		return rc;
	h->applied_lsn = h->durable_lsn = h->seen_lsn = (uint64_t)lsn;
	h->has_leftovers = true;
	return 0;
}
