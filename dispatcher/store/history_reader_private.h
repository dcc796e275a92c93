/* What the files share that read history. */
#pragma once

#include "dispatcher/store/history_find.h"
#include "dispatcher/store/history_reader.h"
#include "dispatcher/store/sql.h"

/* Texts in history_reader.c. */
enum history_read {
	READ_BEGIN,
	READ_COMMIT,
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
	READ_OLDEST_BLOCKS,
	READ_WORKER_ID,
	READ_FORGOTTEN,
	READ_UNUSED_SEGMENTS,
	READ_WORKER,
	READ_SEGMENT,
	READ_SEGMENTS,
	READ_SEGMENT_LEASES,
	READ_SEGMENT_BLOCKS,
	READ_COUNT,
};

struct history_reader {
	struct sql db;
	struct history_views *views; /* the connection's */
	uint32_t depth;		     /* of history_read_begin */
};

/* A job may go from a block to a row, or to another block, with any transaction of the writer: what looks at
 * several of them sees one state. They nest, as functions of walks may read. */
int history_read_begin(struct history_reader *r, struct error *reterr) MUST_CHECK;
void history_read_end(struct history_reader *r);

/* What SQLite said, as an error. */
int history_reader_error(const struct history_reader *r, int code, struct error *reterr);
/* What a block has of the job, in one of the views or in the arena, if there is one: 1; 0: it is in none. The
 * workers' ids are filled in. */
int history_block_entry(struct history_reader *r, uint64_t job, struct arena *arena,
			struct history_entry *ret, struct error *reterr) MUST_CHECK;
/* Likewise. */
int history_block_event(struct history_reader *r, uint64_t hi, uint64_t lo, struct arena *arena,
			struct bytes *ret, struct error *reterr) MUST_CHECK;
