#include "dispatcher/store/history_tables.h"

#define COLUMN(row_, name_, type_, kind_, member, uses_)                                                     \
	{                                                                                                    \
		.name = name_, .type = type_, .kind = kind_, .offset = offsetof(row_, member), .uses = uses_ \
	}
#define TABLE_COLUMNS(columns_) .columns = columns_, .column_count = ARRAY_LENGTH(columns_)

/* ---- jobs ---- */

#define JOB(...) COLUMN(struct history_job, __VA_ARGS__)

/* The kind is NULL or 0 for nobody. */
#define PRINCIPAL(name_, member, uses_)                                                                      \
	JOB(name_ "_kind", "INTEGER", SQL_U8, member.kind, uses_),                                           \
	    JOB(name_ "_name", "TEXT", SQL_TEXT, member.name, uses_),                                        \
	    JOB(name_ "_number", "INTEGER", SQL_U64, member.number, uses_)

enum {
	MADE = JOB_NEW | JOB_SLICE | JOB_REOPENED,
	ALWAYS = MADE | JOB_ENDED,
	AT_END = JOB_ENDED | JOB_ENDED_AGAIN,
	AT_REOPENING = JOB_REOPENED | JOB_REOPENED_AGAIN,
};

#define TOTAL_COLUMN(name_, add, json, form, doc)                                                            \
	{.name = #name_,                                                                                     \
	 .type = "INTEGER",                                                                                  \
	 .kind = SQL_U64,                                                                                    \
	 .offset = offsetof(struct history_job, totals.name_),                                               \
	 .uses = AT_END | JOB_GET},

_Static_assert(offsetof(struct history_job, event_id_lo) ==
		   offsetof(struct history_job, event_id_hi) + sizeof(uint64_t),
	       "SQL_ID");

static const struct sql_column jobs[] = {
    JOB("id", "INTEGER PRIMARY KEY", SQL_U64, job, ALWAYS | JOB_GET),
    JOB("name", "TEXT", SQL_TEXT, name, ALWAYS | JOB_GET),
    {.name = "definition",
     .type = "INTEGER",
     .put = "(SELECT id FROM definitions WHERE sha256 = ?)",
     .get = "d.sha256",
     .kind = SQL_BLOB,
     .offset = offsetof(struct history_job, definition),
     .uses = ALWAYS | JOB_GET},
    JOB("state", "INTEGER NOT NULL", SQL_U8, state, ALWAYS | AT_END | AT_REOPENING | JOB_GET),
    JOB("paused", "INTEGER NOT NULL DEFAULT 0", SQL_BOOL, paused, JOB_SLICE | JOB_GET),
    JOB("why", "TEXT", SQL_TEXT, why, JOB_SLICE | AT_END | JOB_GET),
    JOB("priority", "INTEGER", SQL_I64, priority, MADE | JOB_GET),
    JOB("depth", "INTEGER", SQL_U32, depth, ALWAYS | JOB_GET),
    JOB("event", "BLOB", SQL_ID, event_id_hi, ALWAYS | JOB_GET),
    JOB("due_us", "INTEGER", SQL_I64, due_wall_us, JOB_NEW | JOB_SLICE | JOB_GET),
    JOB("accepted_us", "INTEGER", SQL_I64, accepted_wall_us, ALWAYS | JOB_GET),
    JOB("started_us", "INTEGER", SQL_I64, started_wall_us, JOB_SLICE | JOB_REOPENED | AT_END | JOB_GET),
    JOB("ended_us", "INTEGER", SQL_I64, ended_wall_us, AT_END | JOB_GET),
    JOB("phase", "INTEGER DEFAULT 0", SQL_U32, phase, JOB_SLICE | AT_END | AT_REOPENING | JOB_GET),
    JOB("shards", "INTEGER", SQL_U64, shards, ALWAYS | AT_END | AT_REOPENING | JOB_GET),
    JOB("done", "INTEGER", SQL_U64, done, AT_END | JOB_GET),
    JOB("dead", "INTEGER", SQL_U64, dead, AT_END | JOB_GET),
    JOB("dropped", "INTEGER", SQL_U64, dropped, AT_END | JOB_GET),
    JOB("retries", "INTEGER", SQL_U64, retries, AT_END | JOB_GET),
    TOTALS_1(TOTAL_COLUMN)
	JOB("carried", "INTEGER NOT NULL DEFAULT 0", SQL_BOOL, carried, JOB_SLICE | JOB_ENDED | JOB_REOPENED),
    /* Which phase the shards are: 1 behind a plan phase. */
    JOB("shards_phase", "INTEGER NOT NULL DEFAULT 0", SQL_U32, shards_phase, AT_END | AT_REOPENING | JOB_GET),
    TOTALS_2(TOTAL_COLUMN) JOB("reopens", "INTEGER NOT NULL DEFAULT 0", SQL_U32, reopens,
			       JOB_SLICE | AT_END | AT_REOPENING | JOB_GET),
    /* Of the shards, as it was sealed (struct plan of parts.def); NULL: no planner, or none yet. It has
     * statements of its own. */
    {.name = "plan", .type = "BLOB"},
    PRINCIPAL("by", by, ALWAYS | JOB_GET),
    JOB("owner", "TEXT", SQL_TEXT, owner, ALWAYS | JOB_GET),
    JOB("traceparent", "TEXT", SQL_TEXT, traceparent, ALWAYS | JOB_GET),
    PRINCIPAL("stopped", stopped_by, JOB_SLICE | AT_END | JOB_GET),
    PRINCIPAL("again", again_by, JOB_SLICE | AT_END | AT_REOPENING | JOB_GET),
    TOTALS_LATER(TOTAL_COLUMN)};

const struct sql_table history_jobs_table = {
    .name = "job_rows", .alias = "j", .key = "id", TABLE_COLUMNS(jobs)};

/* ---- phases behind the first, whose counts are in the job's row ---- */

#define PHASE(...) COLUMN(struct history_phase, __VA_ARGS__)

static const struct sql_column phases[] = {
    PHASE("job", "INTEGER", SQL_U64, job, PHASE_NEW | PHASE_ENDED),
    PHASE("phase", "INTEGER", SQL_U32, phase, PHASE_NEW | PHASE_ENDED),
    PHASE("shards", "INTEGER", SQL_U64, counts.shards, PHASE_NEW | PHASE_ENDED | PHASE_GET),
    /* When the job has ended. */
    PHASE("done", "INTEGER", SQL_U64, counts.done, PHASE_ENDED | PHASE_GET),
    PHASE("dead", "INTEGER", SQL_U64, counts.dead, PHASE_ENDED | PHASE_GET),
};

const struct sql_table history_phases_table = {.name = "phases",
					       .alias = "p",
					       .rest = ", PRIMARY KEY(job, phase)",
					       .rest_end = " WITHOUT ROWID",
					       TABLE_COLUMNS(phases)};

/* ---- who made the output of shards first..first+count-1 ---- */

#define RANGE(...) COLUMN(struct history_range, __VA_ARGS__)

enum { RANGE_GETS = RANGE_GET | RANGE_GET_MAKER };

static const struct sql_column ranges[] = {
    RANGE("job", "INTEGER", SQL_U64, job, RANGE_PUT),
    RANGE("phase", "INTEGER", SQL_U32, phase, RANGE_PUT),
    RANGE("first", "INTEGER", SQL_U32, shards.first, RANGE_PUT | RANGE_GETS),
    RANGE("count", "INTEGER NOT NULL", SQL_U32, shards.count, RANGE_PUT | RANGE_GETS),
    RANGE("worker", "INTEGER NOT NULL", SQL_I64, place.worker, RANGE_PUT | RANGE_GET),
    {.get = "w.worker",
     .kind = SQL_ID,
     .offset = offsetof(struct history_range, worker),
     .uses = RANGE_GET_MAKER},
    RANGE("epoch", "INTEGER NOT NULL", SQL_U32, place.token.epoch, RANGE_PUT | RANGE_GETS),
    RANGE("lease", "INTEGER NOT NULL", SQL_U64, place.token.lease, RANGE_PUT | RANGE_GETS),
    RANGE("segment", "INTEGER NOT NULL", SQL_U32, place.segment, RANGE_PUT | RANGE_GETS),
    RANGE("wall_us", "INTEGER", SQL_I64, wall_us, RANGE_PUT),
};

const struct sql_table history_ranges_table = {.name = "range_rows",
					       .alias = "r",
					       .rest = ", PRIMARY KEY(job, phase, first)",
					       .rest_end = " WITHOUT ROWID",
					       TABLE_COLUMNS(ranges)};

/* ---- dead shards, and where their last attempt's output is: segment 0 = nothing was kept ---- */

#define DEAD(...) COLUMN(struct history_dead, __VA_ARGS__)

enum { FAILURE_GETS = FAILURE_GET | FAILURE_GET_MAKER };

static const struct sql_column failures[] = {
    DEAD("job", "INTEGER", SQL_U64, job, FAILURE_PUT),
    DEAD("phase", "INTEGER", SQL_U32, phase, FAILURE_PUT),
    DEAD("first", "INTEGER", SQL_U32, shards.first, FAILURE_PUT | FAILURE_GETS),
    DEAD("count", "INTEGER NOT NULL", SQL_U32, shards.count, FAILURE_PUT | FAILURE_GETS),
    DEAD("kind", "INTEGER NOT NULL", SQL_U8, kind, FAILURE_PUT | FAILURE_GETS),
    DEAD("code", "INTEGER NOT NULL", SQL_I64, code, FAILURE_PUT | FAILURE_GETS),
    DEAD("why", "TEXT", SQL_TEXT, why, FAILURE_PUT | FAILURE_GETS),
    DEAD("wall_us", "INTEGER", SQL_I64, wall_us, FAILURE_PUT | FAILURE_GETS),
    DEAD("worker", "INTEGER NOT NULL DEFAULT 0", SQL_I64, place.worker, FAILURE_PUT | FAILURE_GET),
    {.get = "w.worker",
     .kind = SQL_ID,
     .offset = offsetof(struct history_dead, worker),
     .uses = FAILURE_GET_MAKER},
    DEAD("epoch", "INTEGER NOT NULL DEFAULT 0", SQL_U32, place.token.epoch, FAILURE_PUT | FAILURE_GETS),
    DEAD("lease", "INTEGER NOT NULL DEFAULT 0", SQL_U64, place.token.lease, FAILURE_PUT | FAILURE_GETS),
    DEAD("segment", "INTEGER NOT NULL DEFAULT 0", SQL_U32, place.segment, FAILURE_PUT | FAILURE_GETS),
};

const struct sql_table history_failures_table = {.name = "failure_rows",
						 .alias = "f",
						 .rest = ", PRIMARY KEY(job, phase, first)",
						 .rest_end = " WITHOUT ROWID",
						 TABLE_COLUMNS(failures)};

/* ---- what the last attempts of shards first..first+count-1 took: of one shard, or sums of a range, in which
 * gaps may be ---- */

#define EFFORT(...) COLUMN(struct history_effort, __VA_ARGS__)
#define EFFORT_TOTAL(name_, add, json, form, doc)                                                            \
	{.name = #name_,                                                                                     \
	 .type = "INTEGER NOT NULL DEFAULT 0",                                                               \
	 .kind = SQL_U64,                                                                                    \
	 .offset = offsetof(struct history_effort, effort.totals.name_),                                     \
	 .uses = EFFORT_PUT | EFFORT_GETS},

enum { EFFORT_GETS = EFFORT_GET | EFFORT_GET_MAKER };

static const struct sql_column efforts[] = {
    EFFORT("job", "INTEGER", SQL_U64, job, EFFORT_PUT),
    EFFORT("phase", "INTEGER", SQL_U32, phase, EFFORT_PUT),
    EFFORT("first", "INTEGER", SQL_U32, effort.first, EFFORT_PUT | EFFORT_GETS),
    EFFORT("count", "INTEGER NOT NULL", SQL_U32, effort.count, EFFORT_PUT | EFFORT_GETS),
    EFFORT("added", "INTEGER NOT NULL", SQL_BOOL, effort.sum, EFFORT_PUT | EFFORT_GETS),
    EFFORT("attempt", "INTEGER NOT NULL", SQL_U32, attempt, EFFORT_PUT | EFFORT_GETS),
    /* 0: several. */
    EFFORT("worker", "INTEGER NOT NULL", SQL_I64, worker, EFFORT_PUT | EFFORT_GET),
    {.get = "w.worker",
     .kind = SQL_ID,
     .offset = offsetof(struct history_effort, worker_id),
     .uses = EFFORT_GET_MAKER},
    /* 0: they are done. */
    EFFORT("kind", "INTEGER NOT NULL", SQL_U8, effort.kind, EFFORT_PUT | EFFORT_GETS),
    EFFORT("code", "INTEGER NOT NULL", SQL_I64, effort.code, EFFORT_PUT | EFFORT_GETS),
    EFFORT("start_us", "INTEGER NOT NULL", SQL_I64, effort.start_wall_us, EFFORT_PUT | EFFORT_GETS),
    TOTALS_ALL(EFFORT_TOTAL)};

const struct sql_table history_efforts_table = {.name = "effort_rows",
						.alias = "e",
						.rest = ", PRIMARY KEY(job, phase, first)",
						.rest_end = " WITHOUT ROWID",
						TABLE_COLUMNS(efforts)};

/* ---- workers, by a number ---- */

static const struct sql_column workers[] = {
    {.name = "id", .type = "INTEGER PRIMARY KEY"},
    {.name = "worker", .type = "BLOB NOT NULL UNIQUE"},
    {.name = "host", .type = "TEXT"}, /* as it last registered */
};

static const struct sql_table workers_table = {.name = "workers", .alias = "w", TABLE_COLUMNS(workers)};

/* ---- jobs that are forgotten, whose rows in the tables above are yet to be deleted, a piece at a time ----
 */

static const struct sql_column leftovers[] = {
    {.name = "first", .type = "INTEGER PRIMARY KEY"},
    {.name = "last", .type = "INTEGER NOT NULL"},
};

static const struct sql_table leftovers_table = {.name = "leftovers", .alias = "l", TABLE_COLUMNS(leftovers)};

const struct sql_table *const history_tables[] = {
    &workers_table,	     &history_jobs_table,    &history_phases_table, &history_ranges_table,
    &history_failures_table, &history_efforts_table, &leftovers_table,	    NULL};
