/* What the writer says to SQLite. */
#include "dispatcher/store/history_private.h"

#define DELETE_SOME(table, key)                                                                              \
	"DELETE FROM " table " WHERE (" key ") IN (SELECT " key " FROM " table                               \
	" WHERE job BETWEEN ? AND ? LIMIT ?)"

const struct sql_statement history_statements[WRITE_COUNT] = {
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
    [WRITE_EVENT] = {.text = "INSERT OR IGNORE INTO event_rows(event, wall_us, json) VALUES(?, ?, ?)"},
    [WRITE_JOB] = {NULL, SQL_INSERT_OR_REPLACE, &history_jobs_table, JOB_NEW, 0},
    [WRITE_JOB_SLICE] = {NULL, SQL_INSERT_OR_IGNORE, &history_jobs_table, JOB_SLICE, 0},
    [WRITE_JOB_STATE] = {.text = "UPDATE job_rows SET state = ? WHERE id = ?"},
    [WRITE_JOB_PAUSED] = {.text =
			      "UPDATE job_rows SET paused = ?, why = ?, stopped_kind = ?, stopped_name = ?,"
			      " stopped_number = ? WHERE id = ?"},
    [WRITE_JOB_AGAIN] = {.text = "UPDATE job_rows SET again_kind = ?, again_name = ?, again_number = ?"
				 " WHERE id = ?"},
    [WRITE_JOB_PHASE] = {.text = "UPDATE job_rows SET phase = ? WHERE id = ?"},
    [WRITE_JOB_GREW] = {.text = "UPDATE job_rows SET shards = shards + ? WHERE id = ?"},
    [WRITE_JOB_SEALED] = {.text = "UPDATE job_rows SET shards = ? WHERE id = ?"},
    /* The row is there, but in a history that never saw the job. */
    [WRITE_JOB_ENDS] = {", paused = 0", SQL_UPDATE, &history_jobs_table, JOB_ENDED_AGAIN, 0},
    [WRITE_JOB_ENDED] = {", paused = 0", SQL_INSERT, &history_jobs_table, JOB_ENDED, JOB_ENDED_AGAIN},
    [WRITE_JOB_PLAN] = {.text = "UPDATE job_rows SET plan = ? WHERE id = ? AND plan IS NULL"},
    /* It is news only for a history that never saw the job. */
    [WRITE_JOB_REOPENED] =
	{", paused = 0, why = NULL, ended_us = NULL, due_us = 0, done = NULL, dead = NULL, dropped = NULL,"
	 " stopped_kind = NULL, stopped_name = NULL, stopped_number = NULL",
	 SQL_INSERT, &history_jobs_table, JOB_REOPENED, JOB_REOPENED_AGAIN},
    [WRITE_JOB_CARRIED] = {.text = "SELECT carried FROM job_rows WHERE id = ?"},
    [WRITE_PHASE] = {NULL, SQL_INSERT_OR_REPLACE, &history_phases_table, PHASE_NEW, 0},
    [WRITE_PHASE_GREW] = {.text = "UPDATE phases SET shards = shards + ? WHERE job = ? AND phase = ?"},
    [WRITE_PHASE_ENDED] = {NULL, SQL_INSERT_OR_REPLACE, &history_phases_table, PHASE_ENDED, 0},
    [WRITE_PHASES_DELETE] = {.text = "DELETE FROM phases WHERE job = ? AND phase > ?"},
    [WRITE_RANGES_DELETE] = {.text = "DELETE FROM range_rows WHERE job = ? AND phase > ?"},
    /* Rows do not overlap: only the last that begins before a shard can hold it. */
    [WRITE_RANGE_SPLIT] = {.text =
			       "INSERT INTO range_rows SELECT job, phase, ?3, first + count - ?3, worker, "
			       "epoch, lease, segment, wall_us"
			       " FROM (SELECT * FROM range_rows WHERE job = ?1 AND phase = ?2 AND first < ?3 "
			       "ORDER BY first DESC LIMIT "
			       "1)"
			       " WHERE first + count > ?3"},
    [WRITE_RANGE_CUT] =
	{.text = "UPDATE range_rows SET count = ?3 - first WHERE job = ?1 AND phase = ?2 AND first ="
		 " (SELECT first FROM range_rows WHERE job = ?1 AND phase = ?2 AND first < ?3 ORDER "
		 "BY first DESC LIMIT 1)"
		 " AND first + count > ?3"},
    [WRITE_RANGES_BETWEEN_DELETE] =
	{.text = "DELETE FROM range_rows WHERE job = ?1 AND phase = ?2 AND first >= ?3 AND first < ?4"},
    [WRITE_RANGE_BEFORE] =
	{"FROM range_rows r WHERE job = ? AND phase = ? AND first < ? ORDER BY first DESC LIMIT 1",
	 SQL_SELECT, &history_ranges_table, RANGE_GET, 0},
    [WRITE_RANGE_LONGER] = {.text = "UPDATE range_rows SET count = count + ?, wall_us = ?"
				    " WHERE job = ? AND phase = ? AND first = ?"},
    [WRITE_RANGE] = {NULL, SQL_INSERT_OR_REPLACE, &history_ranges_table, RANGE_PUT, 0},
    [WRITE_WORKER_HOST] = {.text = "UPDATE workers SET host = ? WHERE id = ?"},
    [WRITE_EFFORT] = {NULL, SQL_INSERT_OR_REPLACE, &history_efforts_table, EFFORT_PUT, 0},
    [WRITE_EFFORT_BEFORE] =
	{"FROM effort_rows e WHERE job = ? AND phase = ? AND first <= ? ORDER BY first DESC LIMIT 1",
	 SQL_SELECT, &history_efforts_table, EFFORT_GET, 0},
    [WRITE_EFFORT_SUMS] = {.text = "SELECT count(*) FROM effort_rows WHERE job = ? AND added"},
    [WRITE_EFFORT_COUNT] = {.text = "SELECT count(*) FROM effort_rows"},
    [WRITE_EFFORTS_OLDEST_DELETE] = {.text = "DELETE FROM effort_rows WHERE job <= (SELECT job FROM "
					     "effort_rows ORDER BY job LIMIT 1 OFFSET ?)"},
    [WRITE_EFFORTS_DELETE] = {.text = "DELETE FROM effort_rows WHERE job = ? AND phase > ?"},
    [WRITE_FAILURE_LAST_JOB] = {.text = "SELECT ifnull(max(job), 0) FROM failure_rows"},
    [WRITE_FAILURE_COUNT] = {.text = "SELECT count(*) FROM failure_rows WHERE job = ?"},
    /* Rows do not overlap: of those that begin before the range's end, only the last can meet it. */
    [WRITE_FAILURE_BEFORE] =
	{"FROM failure_rows f WHERE job = ? AND phase = ? AND first < ? ORDER BY first DESC LIMIT 1",
	 SQL_SELECT, &history_failures_table, FAILURE_GET, 0},
    [WRITE_FAILURE_LONGER] = {.text = "UPDATE failure_rows SET count = count + ?, wall_us = ?"
				      " WHERE job = ? AND phase = ? AND first = ?"},
    [WRITE_FAILURE] = {NULL, SQL_INSERT_OR_REPLACE, &history_failures_table, FAILURE_PUT, 0},
    [WRITE_FAILURE_DELETE] = {.text = "DELETE FROM failure_rows WHERE job = ? AND phase = ? AND first = ?"},
    [WRITE_FORGET_EVENTS] =
	{.text =
	     "DELETE FROM event_rows WHERE event IN (SELECT event FROM job_rows WHERE id BETWEEN ?1 AND ?2)"
	     " AND NOT EXISTS (SELECT 1 FROM job_rows j WHERE j.event = event_rows.event"
	     " AND j.id NOT BETWEEN ?1 AND ?2)"},
    [WRITE_FORGET_JOBS] = {.text = "DELETE FROM job_rows WHERE id BETWEEN ? AND ?"},
    [WRITE_LEFTOVER] = {.text = "INSERT INTO leftovers VALUES(?, ?)"
				" ON CONFLICT(first) DO UPDATE SET last = max(last, excluded.last)"},
    [WRITE_LEFTOVER_FIRST] = {.text = "SELECT first, last FROM leftovers ORDER BY first LIMIT 1"},
    [WRITE_LEFTOVER_DELETE] = {.text = "DELETE FROM leftovers WHERE first = ?"},
    [WRITE_LEFT_EFFORTS] = {.text = DELETE_SOME("effort_rows", "job, phase, first")},
    [WRITE_LEFT_PHASES] = {.text = DELETE_SOME("phases", "job, phase")},
    [WRITE_LEFT_FAILURES] = {.text = DELETE_SOME("failure_rows", "job, phase, first")},
    [WRITE_LEFT_RANGES] = {.text = DELETE_SOME("range_rows", "job, phase, first")},
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
    [WRITE_JOB_WHOLE] = {NULL, SQL_INSERT_OR_REPLACE, &history_jobs_table, JOB_GET, 0},
    [WRITE_JOB_ROWS_BETWEEN] = {.text =
				    "SELECT (SELECT min(id) FROM job_rows WHERE id >= ?1), (SELECT max(id)"
				    " FROM job_rows WHERE id <= ?2)"},
    [WRITE_BLOCK] = {.text =
			 "INSERT INTO blocks(kind, first, last, count, kept, output_bytes, begin_us, end_us,"
			 " states, level, segments, gone) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"},
    [WRITE_BLOCK_BODY] = {.text = "INSERT INTO block_bodies VALUES(?, ?, ?)"},
    [WRITE_BLOCK_FILTER] = {.text = "INSERT INTO block_filters VALUES(?, ?, ?)"},
    [WRITE_BLOCK_SPAN] = {.text = "UPDATE meta SET value = max(value, ?) WHERE name = 'block_span'"},
    [WRITE_BLOCK_SPAN_READ] = {.text = "SELECT value FROM meta WHERE name = 'block_span'"},
    [WRITE_BLOCK_GONE] = {.text = "UPDATE blocks SET kept = ?, gone = ? WHERE block = ?"},
    [WRITE_BLOCK_KEPT] = {.text = "UPDATE blocks SET kept = ?, output_bytes = ? WHERE block = ?"},
    [WRITE_BLOCK_HEAD] = {.text = "SELECT first, last FROM blocks WHERE block = ?"},
    [WRITE_BLOCK_LEFT] = {.text = "INSERT OR IGNORE INTO block_left VALUES(?)"},
    [WRITE_BLOCK_LEFT_DELETE] = {.text = "DELETE FROM block_left WHERE job BETWEEN ? AND ? AND EXISTS"
					 " (SELECT 1 FROM forgotten WHERE job BETWEEN first AND last)"},
    [WRITE_BLOCK_SEGMENTS] = {.text = "SELECT segments FROM blocks WHERE block = ?"},
    [WRITE_BLOCK_SEGMENT_UP] = {.text = "INSERT INTO segments(worker, segment, rows) VALUES(?, ?, 1)"
					" ON CONFLICT(worker, segment) DO UPDATE SET rows = rows + 1"},
    [WRITE_BLOCK_SEGMENT_DOWN] = {.text =
				      "UPDATE segments SET rows = rows - 1 WHERE worker = ? AND segment = ?"},
    [WRITE_BLOCK_HEAD_DELETE] = {.text = "DELETE FROM blocks WHERE block = ?"},
    [WRITE_BLOCK_BODY_DELETE] = {.text = "DELETE FROM block_bodies WHERE block = ?"},
    [WRITE_BLOCK_FILTER_DELETE] = {.text = "DELETE FROM block_filters WHERE block = ?"},
    [WRITE_BLOCKS_SMALL] = {.text = "SELECT block, level FROM blocks INDEXED BY blocks_small"
				    " WHERE kind = ? AND level < 3 ORDER BY block"},
    [WRITE_BLOCKS_OF_JOBS] = {.text = "SELECT block, first, last, kept FROM blocks INDEXED BY blocks_by_first"
				      " WHERE kind = ? AND first BETWEEN ? AND ? AND last >= ?"},
    [WRITE_MADE_READ] =
	{.text = "SELECT block, first, last, kept, gone FROM blocks WHERE kind = 1 ORDER BY first"},
    [WRITE_FAILURES_DELETE] = {.text = "DELETE FROM failure_rows WHERE job = ? AND phase >= ?"},
};
