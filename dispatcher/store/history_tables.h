/* The tables of history that have many columns, and their rows in C. Numbers of 64 bits are SQLite's signed
 * ones; times are microseconds, UTC. A column that is added here needs no new format: history_schema.c adds
 * those that a database lacks. */
#pragma once

#include "dispatcher/store/history_reader.h"
#include "dispatcher/store/sql_table.h"

/* Which statements have a column. */
enum job_use { /* the row is struct history_job */
	       JOB_NEW = 1,
	       JOB_SLICE = 2,
	       JOB_ENDED = 4,
	       JOB_ENDED_AGAIN = 8, /* set when the job is there already */
	       JOB_REOPENED = 16,
	       JOB_REOPENED_AGAIN = 32,
	       JOB_GET = 64,
};
enum phase_use { PHASE_NEW = 1, PHASE_ENDED = 2, PHASE_GET = 4 };
enum range_use { RANGE_PUT = 1, RANGE_GET = 2, RANGE_GET_MAKER = 4 };
enum effort_use { EFFORT_PUT = 1, EFFORT_GET = 2, EFFORT_GET_MAKER = 4 };
enum failure_use { FAILURE_PUT = 1, FAILURE_GET = 2, FAILURE_GET_MAKER = 4 };

struct history_phase {
	uint64_t job;
	uint32_t phase;
	struct phase_counts counts;
};

/* Where something stands that shards wrote: all 0, nowhere. */
struct history_place {
	int64_t worker; /* its number in the table of workers */
	struct token token;
	uint32_t segment;
};

struct history_range {
	uint64_t job;
	uint32_t phase;
	struct range shards;
	struct history_place place;
	struct uuid worker; /* of RANGE_GET_MAKER */
	usec_t wall_us;
};

struct history_effort {
	uint64_t job;
	uint32_t phase;
	struct effort effort;
	uint32_t attempt;      /* the last one of them; 0 = not said */
	int64_t worker;	       /* its number; 0 = several, or not known */
	struct uuid worker_id; /* of EFFORT_GET_MAKER; 0,0 likewise */
};

struct history_dead {
	uint64_t job;
	uint32_t phase;
	struct range shards;
	uint8_t kind;
	int64_t code;
	struct bytes why;
	usec_t wall_us;
	struct history_place place; /* of the output of their last attempt */
	struct uuid worker;	    /* of FAILURE_GET_MAKER */
};

extern const struct sql_table history_jobs_table, history_phases_table, history_ranges_table,
    history_failures_table, history_efforts_table;
/* These, and others; NULL ends them. */
extern const struct sql_table *const history_tables[];
