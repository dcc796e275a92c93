/* History as older builds wrote it is read, and brought to this format. */
#include <criterion/criterion.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#include "dispatcher/store/history_module.h"
#include "jobs/kinds.h"
#include "tests/unit/store/history_kit.h"

/* Format 1, as it was made. */
static const char tables_1[] =
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
    " output_bytes INTEGER, carried INTEGER NOT NULL DEFAULT 0);"
    "CREATE INDEX jobs_by_state ON jobs(state, id);"
    /* Phases behind the first, whose N is in the job's row. */
    "CREATE TABLE phases(job INTEGER, phase INTEGER, shards INTEGER, PRIMARY KEY(job, phase)) WITHOUT ROWID;"
    /* Who made the output of shards first..first+count-1. */
    "CREATE TABLE ranges(job INTEGER, phase INTEGER, first INTEGER, count INTEGER NOT NULL,"
    " worker INTEGER NOT NULL, epoch INTEGER NOT NULL, lease INTEGER NOT NULL, segment INTEGER NOT NULL,"
    " wall_us INTEGER, PRIMARY KEY(job, phase, first)) WITHOUT ROWID;"
    /* Dead shards. */
    "CREATE TABLE failures(job INTEGER, phase INTEGER, first INTEGER, count INTEGER NOT NULL,"
    " kind INTEGER NOT NULL, code INTEGER NOT NULL, why TEXT, wall_us INTEGER,"
    " PRIMARY KEY(job, phase, first)) WITHOUT ROWID;";

static const char views_1[] =
    "CREATE VIEW job_list AS SELECT j.id AS job, j.name, s.name AS state, j.why, j.shards, j.done, j.dead,"
    " j.retries, datetime(j.accepted_us / 1000000, 'unixepoch') AS accepted,"
    " datetime(nullif(j.started_us, 0) / 1000000, 'unixepoch') AS started,"
    " datetime(j.ended_us / 1000000, 'unixepoch') AS ended,"
    " (j.ended_us - j.accepted_us) / 1e6 AS seconds, j.run_us / 1e6 AS run_seconds, j.output_bytes,"
    " lower(hex(d.sha256)) AS definition, lower(hex(j.event)) AS event"
    " FROM jobs j JOIN job_states s USING(state) LEFT JOIN definitions d ON d.id = j.definition;"
    "CREATE VIEW done_ranges AS SELECT r.job, r.phase, r.first, r.first + r.count - 1 AS last, r.count,"
    " lower(hex(w.worker)) AS worker, r.epoch, r.lease, r.segment,"
    " datetime(r.wall_us / 1000000, 'unixepoch') AS time"
    " FROM ranges r JOIN workers w ON w.id = r.worker;"
    "CREATE VIEW dead_shards AS SELECT f.job, f.phase, f.first, f.first + f.count - 1 AS last, f.count,"
    " k.name AS kind, f.code, f.why, datetime(f.wall_us / 1000000, 'unixepoch') AS time"
    " FROM failures f LEFT JOIN failure_kinds k USING(kind);";

/* What format 2 had more. */
static const char tables_2[] = "ALTER TABLE jobs ADD COLUMN shards_phase INTEGER NOT NULL DEFAULT 0;";
/* What format 4 had more. */
static const char tables_4[] = "ALTER TABLE jobs ADD COLUMN reopens INTEGER NOT NULL DEFAULT 0;"
			       "ALTER TABLE jobs ADD COLUMN plan BLOB;";
/* What format 5 had more. */
#define EVENT_MEMBER(name, path)                                                                             \
	"ALTER TABLE events ADD COLUMN " name                                                                \
	" TEXT AS (CASE WHEN json_valid(json) THEN json_extract(json, '" path "') END);"
static const char tables_5[] =
    EVENT_MEMBER("id", "$.id") EVENT_MEMBER("object_key", "$.detail.object.key") EVENT_MEMBER(
	"object_key_base64",
	"$.detail.object.\"key-base64\"") "CREATE INDEX events_by_id ON events(id);"
					  "CREATE INDEX events_by_key ON events(object_key) WHERE object_key "
					  "IS NOT NULL;"
					  "CREATE INDEX events_by_exact_key ON events(object_key_base64) "
					  "WHERE object_key_base64 IS NOT NULL;"
					  "CREATE INDEX jobs_by_event ON jobs(event) WHERE event IS NOT "
					  "NULL;";
/* What format 3 had more. */
static const char tables_3[] =
    "ALTER TABLE jobs ADD COLUMN cpu_us INTEGER; ALTER TABLE jobs ADD COLUMN max_rss_bytes INTEGER;"
    "ALTER TABLE phases ADD COLUMN done INTEGER; ALTER TABLE phases ADD COLUMN dead INTEGER;"
    "ALTER TABLE failures ADD COLUMN worker INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE failures ADD COLUMN epoch INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE failures ADD COLUMN lease INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE failures ADD COLUMN segment INTEGER NOT NULL DEFAULT 0;";
static const char rows_1[] =
    "INSERT INTO definitions VALUES(1, x'abcd', 'two', 'version: 1');"
    "INSERT INTO workers VALUES(1, x'00000000000000770000000000000001');"
    "INSERT INTO jobs(id, name, definition, state, phase, ended_us, shards, done, dead, run_us, carried)"
    " VALUES(1, 'two', 1, 4, 1, 99, 4, 4, 0, 77, 0);"
    "INSERT INTO jobs(id, state, event) VALUES(2, 4, x'e1');"
    "INSERT INTO events VALUES(x'e1', 5, '{\"id\":\"e-1\"}');"
    "INSERT INTO phases(job, phase, shards) VALUES(1, 1, 3);"
    "INSERT INTO ranges VALUES(1, 1, 0, 2, 1, 3, 9, 1, 50);"
    "INSERT INTO failures(job, phase, first, count, kind, code, why, wall_us)"
    " VALUES(1, 1, 2, 1, 1, 3, 'no', 51);";
static const char rows_3[] = "UPDATE phases SET done = 2, dead = 1;";

static struct history_kit k;

static void run(sqlite3 *db, const char *script)
{
	cr_assert_eq(sqlite3_exec(db, script, NULL, NULL, NULL), SQLITE_OK, "%s", sqlite3_errmsg(db));
}

static void make_old(int format)
{
	char meta[400];
	sqlite3 *db;

	cr_assert_eq(sqlite3_open(k.path, &db), SQLITE_OK);
	run(db, tables_1);
	run(db, views_1);
	if (format >= 2)
		run(db, tables_2);
	if (format >= 3)
		run(db, tables_3);
	if (format >= 4)
		run(db, tables_4);
	if (format >= 5)
		run(db, tables_5);
	run(db, rows_1);
	if (format >= 3)
		run(db, rows_3);
	snprintf(meta, sizeof meta,
		 "INSERT INTO meta VALUES('format', %d), ('cluster', '%016llx%016llx'), ('lsn', 0), "
		 "('first_lsn', 1);"
		 "PRAGMA user_version = %d;",
		 format, (unsigned long long)k.kit.options.cluster_hi,
		 (unsigned long long)k.kit.options.cluster_lo, format);
	run(db, meta);
	cr_assert_eq(sqlite3_close(db), SQLITE_OK);
}

static int keep(void *arg, const struct history_failure *f)
{
	*(struct history_failure *)arg = *f;
	return 0;
}

static int keep_job(void *arg, const struct history_job *j)
{
	*(struct history_job *)arg = *j;
	return 0;
}

static void convert(int format)
{
	struct history_failure f = {.segment = 9};
	struct history_job j;
	struct plan plan;

	history_kit_begin(&k);
	make_old(format);
	for (int round = 0; round < 2; round++) {
		history_kit_open(&k);
		cr_assert_eq(history_job(k.reader, 1, &k.arena, &j, NULL), 0);
		cr_assert_eq(j.totals.run_us, 77);
		cr_assert_eq(j.totals.cpu_us, 0);
		cr_assert_eq(j.shards_phase, 0);
		cr_assert_eq(j.reopens, 0);
		cr_assert_eq(j.by.kind, 0);
		cr_assert_eq(j.owner.size, 0);
		cr_assert_eq(history_plan(k.reader, 1, &k.arena, &plan, NULL), ERR_NOT_FOUND);
		cr_assert_eq(j.later.count, 1);
		cr_assert_eq(j.later.items[0].shards, 3);
		cr_assert_eq(j.later.items[0].done, 2);
		cr_assert_eq(j.later.items[0].dead, 1);
		cr_assert_eq(history_failures(k.reader, 1, 1, 0, 1, &k.arena, keep, &f, NULL), 0);
		cr_assert_eq(f.shards.first, 2);
		cr_assert_eq(f.segment, 0);
		cr_assert_eq(history_jobs_of_event(k.reader, BYTES_LIT("e-1"), (struct bytes){0}, 0, 1,
						   &k.arena, keep_job, &j, NULL),
			     0);
		cr_assert_eq(j.job, 2);
		history_kit_close(&k);
	}
	history_kit_end(&k);
}

Test(history_formats, older_ones_are_converted_and_go_on)
{
	convert(1);
	convert(2);
	convert(3);
	convert(4);
	convert(5);
}

/* A job of one shard, as format 7 had it: rows in each of the tables, which are forgotten as before. */
Test(history_formats, rows_of_format_7_stay)
{
	struct job_ids ids = {9, 1};
	struct forgotten forgotten = {.jobs = {&ids, 1}};
	struct history_job j;
	struct buf before = {0}, after = {0};
	sqlite3 *db;

	history_kit_begin(&k);
	history_kit_open(&k);
	history_kit_close(&k);
	cr_assert_eq(sqlite3_open(k.path, &db), SQLITE_OK);
	cr_assert_eq(history_module_register(db, NULL), SQLITE_OK);
	run(db, "INSERT INTO job_rows(id, name, state, event, ended_us, shards) VALUES(9, 'old', 3,"
		" x'000000000000000e000000000000000e', 5, 1);"
		"INSERT INTO event_rows(event, json) VALUES(x'000000000000000e000000000000000e', "
		"'{\"id\":\"e-9\"}');"
		"INSERT INTO workers VALUES(1, x'00000000000000770000000000000001', NULL);"
		"INSERT INTO range_rows VALUES(9, 0, 0, 1, 1, 3, 9, 4, 50);");
	history_kit_dump(&k, &before);
	run(db,
	    "DROP VIEW job_list; DROP VIEW done_ranges; DROP VIEW dead_shards; DROP VIEW attempts;"
	    "DROP TABLE jobs; DROP TABLE ranges; DROP TABLE efforts; DROP TABLE failures; DROP TABLE events;"
	    "DROP TABLE blocks; DROP TABLE block_bodies; DROP TABLE block_filters; DROP TABLE block_left;"
	    "DELETE FROM meta WHERE name = 'block_span'; UPDATE meta SET value = 7 WHERE name = 'format';"
	    "ALTER TABLE job_rows RENAME TO jobs; ALTER TABLE range_rows RENAME TO ranges;"
	    "ALTER TABLE effort_rows RENAME TO efforts; ALTER TABLE failure_rows RENAME TO failures;"
	    "ALTER TABLE event_rows RENAME TO events; PRAGMA user_version = 7;");
	cr_assert_eq(sqlite3_close(db), SQLITE_OK);
	history_kit_open(&k);
	history_kit_dump(&k, &after);
	cr_expect_str_eq(buf_text(&before), buf_text(&after));
	cr_assert_eq(history_job(k.reader, 9, &k.arena, &j, NULL), 0);
	cr_expect_eq(j.ended_wall_us, 5);
	cr_expect_eq(history_kit_number(&k, "SELECT rows FROM segments WHERE segment = 4"), 1);
	history_kit_add(&k, RECORD_FORGOTTEN, &forgotten);
	history_kit_write(&k);
	cr_expect_eq(history_kit_number(&k, "SELECT count(*) FROM jobs"), 0);
	cr_expect_eq(history_kit_number(&k, "SELECT count(*) FROM events"), 0);
	buf_fini(&before);
	buf_fini(&after);
	history_kit_end(&k);
}

Test(history_formats, a_newer_one_is_refused)
{
	sqlite3 *db;

	history_kit_begin(&k);
	make_old(1);
	cr_assert_eq(sqlite3_open(k.path, &db), SQLITE_OK);
	run(db, "PRAGMA user_version = 99;");
	cr_assert_eq(sqlite3_close(db), SQLITE_OK);
	cr_assert_eq(history_kit_try(&k), ERR_VERSION);
	history_kit_end(&k);
}

/* As the builds that are in use made them; jobs may go on with columns that came since. */
Test(history_formats, a_new_database_is_of_format_8)
{
	static const char *const made[] = {
	    "CREATE TABLE job_rows(id INTEGER PRIMARY KEY, name TEXT, definition INTEGER, state INTEGE"
	    "R NOT NULL, paused INTEGER NOT NULL DEFAULT 0, why TEXT, priority INTEGER, depth INTE"
	    "GER, event BLOB, due_us INTEGER, accepted_us INTEGER, started_us INTEGER, ended_us IN"
	    "TEGER, phase INTEGER DEFAULT 0, shards INTEGER, done INTEGER, dead INTEGER, dropped I"
	    "NTEGER, retries INTEGER, run_us INTEGER, output_bytes INTEGER, carried INTEGER NOT NU"
	    "LL DEFAULT 0, shards_phase INTEGER NOT NULL DEFAULT 0, cpu_us INTEGER, max_rss_bytes "
	    "INTEGER, reopens INTEGER NOT NULL DEFAULT 0, plan BLOB, by_kind INTEGER, by_name TEXT"
	    ", by_number INTEGER, owner TEXT, traceparent TEXT, stopped_kind INTEGER, stopped_name"
	    " TEXT, stopped_number INTEGER, again_kind INTEGER, again_name TEXT, again_number INTE"
	    "GER",
	    "CREATE TABLE phases(job INTEGER, phase INTEGER, shards INTEGER, done INTEGER, dead IN"
	    "TEGER, PRIMARY KEY(job, phase)) WITHOUT ROWID",
	    "CREATE TABLE range_rows(job INTEGER, phase INTEGER, first INTEGER, count INTEGER NOT NULL"
	    ", worker INTEGER NOT NULL, epoch INTEGER NOT NULL, lease INTEGER NOT NULL, segment IN"
	    "TEGER NOT NULL, wall_us INTEGER, PRIMARY KEY(job, phase, first)) WITHOUT ROWID",
	    "CREATE TABLE failure_rows(job INTEGER, phase INTEGER, first INTEGER, count INTEGER NOT NU"
	    "LL, kind INTEGER NOT NULL, code INTEGER NOT NULL, why TEXT, wall_us INTEGER, worker I"
	    "NTEGER NOT NULL DEFAULT 0, epoch INTEGER NOT NULL DEFAULT 0, lease INTEGER NOT NULL D"
	    "EFAULT 0, segment INTEGER NOT NULL DEFAULT 0, PRIMARY KEY(job, phase, first)) WITHOUT"
	    " ROWID",
	};
	char question[2000];

	history_kit_begin(&k);
	history_kit_open(&k);
	for (size_t i = 0; i < sizeof made / sizeof made[0]; i++) {
		snprintf(question, sizeof question,
			 "SELECT count(*) FROM sqlite_schema WHERE substr(sql, 1, %zu) = '%s'",
			 strlen(made[i]), made[i]);
		cr_assert_eq(history_kit_number(&k, question), 1, "%s", made[i]);
	}
	cr_assert_eq(history_kit_number(&k, "SELECT count(by_number) + 1 FROM events"), 1);
	cr_assert_eq(history_kit_number(&k, "SELECT kind FROM principal_kinds WHERE name = 'rule'"), 4);
	cr_assert_eq(history_kit_number(&k, "PRAGMA user_version"), 8);
	history_kit_end(&k);
}

/* A column that is only added needs no new format. */
Test(history_formats, a_column_that_came_since_is_added)
{
	sqlite3 *db;

	history_kit_begin(&k);
	history_kit_open(&k);
	history_kit_close(&k);
	cr_assert_eq(sqlite3_open(k.path, &db), SQLITE_OK);
	cr_assert_eq(history_module_register(db, NULL), SQLITE_OK);
	run(db, "DROP VIEW job_list; ALTER TABLE job_rows DROP COLUMN max_rss_bytes;"
		"INSERT INTO job_rows(id, state, ended_us) VALUES(7, 4, 1)");
	cr_assert_eq(sqlite3_close(db), SQLITE_OK);
	history_kit_open(&k);
	cr_assert_eq(history_kit_number(&k, "SELECT count(*) FROM jobs WHERE max_rss_bytes IS NULL"), 1);
	cr_assert_eq(history_kit_number(&k, "SELECT count(*) FROM job_list WHERE max_rss_bytes IS NULL"), 1);
	history_kit_end(&k);
}
