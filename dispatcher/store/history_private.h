/* What the files of history share. */
#pragma once

#include <pthread.h>

#include "base/arena.h"
#include "base/buf.h"
#include "dispatcher/store/history.h"
#include "dispatcher/store/history_tables.h"
#include "dispatcher/store/sql.h"

#define HISTORY_FORMAT 8

/* The writer's statements; texts in history_statements.c. */
enum history_write {
	WRITE_BEGIN,
	WRITE_COMMIT,
	WRITE_ROLLBACK,
	WRITE_LSN,
	WRITE_FIRST_LSN,
	WRITE_LSN_READ,
	WRITE_EPOCH,
	WRITE_DEFINITION,
	WRITE_DEFINITION_NAME,
	WRITE_WORKER,
	WRITE_WORKER_FIND,
	WRITE_EVENT,
	WRITE_JOB,
	WRITE_JOB_SLICE,
	WRITE_JOB_STATE,
	WRITE_JOB_PAUSED,
	WRITE_JOB_AGAIN,
	WRITE_JOB_PHASE,
	WRITE_JOB_GREW,
	WRITE_JOB_SEALED,
	WRITE_JOB_ENDED,
	WRITE_JOB_ENDS,
	WRITE_JOB_PLAN,
	WRITE_JOB_REOPENED,
	WRITE_JOB_CARRIED,
	WRITE_PHASE,
	WRITE_PHASE_GREW,
	WRITE_PHASE_ENDED,
	WRITE_PHASES_DELETE,
	WRITE_RANGES_DELETE,
	WRITE_RANGE_SPLIT,
	WRITE_RANGE_CUT,
	WRITE_RANGES_BETWEEN_DELETE,
	WRITE_RANGE_BEFORE,
	WRITE_RANGE_LONGER,
	WRITE_RANGE,
	WRITE_WORKER_HOST,
	WRITE_EFFORT,
	WRITE_EFFORT_BEFORE,
	WRITE_EFFORT_SUMS,
	WRITE_EFFORT_COUNT,
	WRITE_EFFORTS_OLDEST_DELETE,
	WRITE_EFFORTS_DELETE,
	WRITE_FAILURE_COUNT,
	WRITE_FAILURE_LAST_JOB,
	WRITE_FAILURE_BEFORE,
	WRITE_FAILURE_LONGER,
	WRITE_FAILURE,
	WRITE_FAILURE_DELETE,
	WRITE_FAILURES_DELETE,
	WRITE_FORGET_EVENTS,
	WRITE_FORGET_JOBS,
	WRITE_LEFTOVER,
	WRITE_LEFTOVER_FIRST,
	WRITE_LEFTOVER_DELETE,
	/* Of a range of jobs, so many rows, in this order: what names segments goes last. */
	WRITE_LEFT_FIRST,
	WRITE_LEFT_EFFORTS = WRITE_LEFT_FIRST,
	WRITE_LEFT_PHASES,
	WRITE_LEFT_FAILURES,
	WRITE_LEFT_RANGES,
	WRITE_LEFT_END,
	WRITE_FORGOTTEN_BESIDE = WRITE_LEFT_END,
	WRITE_FORGOTTEN_DELETE,
	WRITE_FORGOTTEN,
	WRITE_SEGMENT_DOOMED,
	WRITE_SEGMENT_GONE,
	WRITE_JOB_WHOLE,
	WRITE_JOB_ROWS_BETWEEN,
	WRITE_BLOCK,
	WRITE_BLOCK_BODY,
	WRITE_BLOCK_FILTER,
	WRITE_BLOCK_SPAN,
	WRITE_BLOCK_SPAN_READ,
	WRITE_BLOCK_GONE,
	WRITE_BLOCK_KEPT,
	WRITE_BLOCK_HEAD,
	WRITE_BLOCK_LEFT,
	WRITE_BLOCK_LEFT_DELETE,
	WRITE_BLOCK_SEGMENTS,
	WRITE_BLOCK_SEGMENT_UP,
	WRITE_BLOCK_SEGMENT_DOWN,
	/* All of a block, in any order. */
	WRITE_BLOCK_DELETE_FIRST,
	WRITE_BLOCK_HEAD_DELETE = WRITE_BLOCK_DELETE_FIRST,
	WRITE_BLOCK_BODY_DELETE,
	WRITE_BLOCK_FILTER_DELETE,
	WRITE_BLOCK_DELETE_END,
	WRITE_BLOCKS_SMALL = WRITE_BLOCK_DELETE_END,
	WRITE_BLOCKS_OF_JOBS,
	WRITE_MADE_READ,
	WRITE_COUNT,
};

/* Records as they came, in lsn order. */
struct history_batch {
	struct history_batch *next;
	uint64_t first_lsn;
	uint32_t record_count;
	size_t size;
	uint8_t payload[];
};

/* In memory, of a batch with so much payload: what the queue's bound counts. */
size_t history_batch_cost(size_t payload_size);

/* How many rows of failures, or of sums of efforts, a job has: asking for it each time would cost what is
 * counted. */
#define FAILURE_ROWS_CACHED 64
struct failure_rows {
	uint64_t job; /* 0 = unused */
	int64_t rows;
};

struct history_blocks;
struct history_views;
struct job_interval;

struct history {
	struct sql db;		       /* the writer's thread's, once started */
	struct history_blocks *blocks; /* history_blocks.h */
	uint64_t applied_lsn;	       /* of the transaction that is open, or of the last one */
	struct arena arena;	       /* of one record */
	struct failure_rows failure_rows[FAILURE_ROWS_CACHED]; /* by job, modulo; cleared by a rollback */
	int64_t failures_last_job; /* later ones have no rows; -1: not looked up yet */
	struct failure_rows effort_sums[FAILURE_ROWS_CACHED]; /* likewise */
	int64_t efforts_max;   /* rows; 0: EFFORTS_KEPT_MAX, which tests lower */
	int64_t effort_rows;   /* at most so many; -1: not counted yet */
	int64_t leftover_rows; /* that go in one transaction; 0: LEFTOVER_ROWS, which tests lower */
	bool has_leftovers;    /* there may be some; the writer's thread's, once started */
	/* What the last records named, which the next most often name again; cleared by a rollback. */
	uint8_t known_definition[32]; /* it has a row; zeros: none */
	struct uuid known_worker;
	int64_t known_worker_number; /* 0: none */
	struct journal *journal;
	int event_fd;

	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t wake_writer;
	struct history_batch *first, *last;
	size_t queued_bytes;
	uint64_t seen_lsn;   /* newest submitted, kept or not */
	bool writer_is_idle; /* waits for records, not for its next turn */
	/* Of the table of segments, what is to be changed with the next transaction. */
	struct history_segment_change segment_changes[HISTORY_SEGMENT_CHANGES_MAX];
	size_t segment_change_count;
	uint64_t durable_lsn; /* also read without the lock, atomically */
	bool stop;
	bool write_failing;
	struct error write_error;
	bool has_thread;
	pthread_t writer;
};

extern const struct sql_statement history_statements[WRITE_COUNT];

/* Makes or checks the tables, prepares the statements, reads the lsn. */
int history_schema(struct history *h, uint64_t cluster_hi, uint64_t cluster_lo,
		   struct error *reterr) MUST_CHECK;
/* One record, inside the transaction that is open. */
int history_apply(struct history *h, uint32_t type, const void *record, struct error *reterr) MUST_CHECK;
/* What a job that lives again has lost of its earlier life: dead shards, what came behind its shards, and who
 * made those that are not done any more. */
int history_forget(struct history *h, const struct reopened *r, struct error *reterr) MUST_CHECK;
int history_forgotten(struct history *h, const struct forgotten *r, struct error *reterr) MUST_CHECK;
/* Deletes a bounded number of rows that jobs left behind, which are forgotten. */
int history_clear_leftovers(struct history *h, struct error *reterr) MUST_CHECK;
/* The first changes that wait: nobody else touches them meanwhile. */
int history_change_segments(struct history *h, size_t count, struct error *reterr) MUST_CHECK;
/* Shards that died alike share a row, when their outputs are in one place. When half of a job's rows are
 * used up they share it all the same, and their outputs are not found any more: that many shards are dead
 * is worth more than what each said. */
int history_dead_put(struct history *h, struct history_dead *d, struct error *reterr) MUST_CHECK;
/* These shards are not dead (any more). */
int history_dead_remove(struct history *h, uint64_t job, uint32_t phase, struct range r,
			struct error *reterr) MUST_CHECK;
/* What the last attempts of shards of an outcome took; of sums a job has a bounded number of rows. */
int history_efforts_put(struct history *h, const struct outcome_taken *o, int64_t worker,
			struct error *reterr) MUST_CHECK;
/* One row of them. */
int history_effort_put(struct history *h, const struct history_effort *e, struct error *reterr) MUST_CHECK;
/* Counts of a job's rows that were kept at hand are not true any more. */
void history_efforts_changed(struct history *h);
bool history_same_place(const struct history_place *a, const struct history_place *b);

/* ---- jobs of one shard, in blocks (history_blocks.h); those that return 1 have done what there is to do
 * ---- */

void history_blocks_open(struct history *h, struct history_views *views);
void history_blocks_close(struct history *h); /* without them is fine */
int history_accept_small(struct history *h, const struct accepted *r, const struct history_job *row,
			 const struct new_job *j, struct error *reterr) MUST_CHECK;
/* The event of all its jobs. */
int history_accept_event(struct history *h, const struct accepted *r, struct error *reterr) MUST_CHECK;
int history_take_news(struct history *h, const struct outcome_taken *o, int64_t worker, usec_t wall_us,
		      struct error *reterr) MUST_CHECK;
int history_end_small(struct history *h, const struct job_ended *r, const struct history_job *row,
		      struct error *reterr) MUST_CHECK;
/* A live job that is in a block becomes a row. */
int history_unblock(struct history *h, uint64_t job, struct error *reterr) MUST_CHECK;
/* The same of one that may have ended. */
int history_unblock_ended(struct history *h, uint64_t job, struct error *reterr) MUST_CHECK;
int history_is_made(struct history *h, uint64_t job, struct error *reterr) MUST_CHECK;
/* All of the open transaction that is in memory. */
int history_blocks_write(struct history *h, struct error *reterr) MUST_CHECK;
int history_ends_write(struct history *h, struct error *reterr) MUST_CHECK; /* of it ended jobs and events */
void history_blocks_rollback(struct history *h);
/* Those that are forgotten, in this interval, leave their blocks. */
int history_forget_in_blocks(struct history *h, struct job_interval jobs, struct error *reterr) MUST_CHECK;
/* Live jobs are not forgotten, as a rule. */
int history_forget_made(struct history *h, uint64_t first, uint64_t last, struct error *reterr) MUST_CHECK;
int history_block_recount(struct history *h, int64_t block, struct error *reterr) MUST_CHECK;

void *history_writer_main(void *history);
/* Wakes whoever polls history_fd. */
void history_tell(struct history *h);
