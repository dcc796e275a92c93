/* What the files share that read history. */
#pragma once

#include "dispatcher/store/history_reader.h"
#include "dispatcher/store/sql.h"

/* Texts in history_reader.c. */
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
	READ_EFFORT_AT,
	READ_EFFORTS,
	READ_HOST,
	READ_EVENT,
	READ_DEFINITION,
	READ_PLAN,
	READ_EVENTS_OF,
	READ_FIRST_LSN,
	READ_KEPT,
	READ_BYTES,
	READ_OLDEST,
	READ_FORGOTTEN,
	READ_UNUSED_SEGMENTS,
	READ_WORKER,
	READ_SEGMENT,
	READ_SEGMENTS,
	READ_SEGMENT_LEASES,
	READ_COUNT,
};

struct history_reader {
	struct sql db;
};
