/* History: what became of jobs, as a SQLite database that anyone may open and query.
 *
 * A projection of the journal: a thread of its own writes what records say, behind the journal, in
 * transactions that hold their last lsn. It is never asked what is true now (that is the core's), but
 * what was: ended jobs, who made which output, why shards are dead, events, definitions. If it is missing
 * it is built again from the journal, as far back as that goes; if it is behind it catches up.
 *
 * Written with synchronous=FULL in WAL mode: segments of the journal are removed when history is past
 * them, so its lsn must be on the disk when it is told. It costs one sync a transaction, and there are at
 * most HISTORY_RATE a second. (With NORMAL a cut of the power could take back transactions whose records
 * the journal does not have any more.)
 *
 * What it holds: schema in history_schema.c, with views (job_list, done_ranges, dead_shards) for people.
 * A row a job, a row a range of shards; never a row a shard.
 *
 * Threads: a writer. Functions here are for the loop's thread, but history_submit and history_tap, which are
 * for one thread at a time. Who reads opens it by history_reader.h. */
#pragma once

#include "dispatcher/store/history_reader.h"
#include "dispatcher/store/journal.h"

struct history;

#define HISTORY_RATE 50			  /* transactions a second, at most */
#define HISTORY_QUEUE_BYTES_MAX (8 * MIB) /* in memory; what comes beyond is read from the journal later */
#define HISTORY_FAILURES_MAX                                                                                 \
	1000 /* rows of dead ranges kept a job, half of them with where their output is */

/* Opens or makes the database; no thread runs yet, so that its lsn can be known before the journal is
 * replayed. ERR_CORRUPT (no database; damaged), ERR_VERSION, ERR_DENIED (another cluster's). */
int history_open(struct history **ret, const char *path, uint64_t cluster_hi, uint64_t cluster_lo,
		 struct error *reterr) MUST_CHECK;
/* Starts the threads; first it reads what it lacks from the journal, which outlives it.
 * ERR_CORRUPT when history is ahead of the journal: then the journal lost something. If the journal does
 * not reach back to what history knows, *ret_missing (may be NULL) is how many records it will never
 * see. */
int history_start(struct history *h, struct journal *j, uint64_t *ret_missing,
		  struct error *reterr) MUST_CHECK;
/* Writes what is queued, and ends. NULL is fine. */
void history_close(struct history *h);

/* Durable records, in lsn order. Copied; never blocks on the disk. False when history is behind: the
 * records will be read from the journal. */
bool history_submit(struct history *h, struct bytes payload, uint64_t first_lsn, uint32_t record_count);
/* The same, as the journal's tap: arg is the history. */
void history_tap(void *arg, uint64_t first_lsn, uint32_t record_count, uint32_t epoch, struct bytes payload);

/* Segments of output that no row names any more are doomed first, then their files are removed, then they are
 * gone from the table. Who does that reads the table (history_reader.h), and asks again for what it still
 * finds there: none of the changes is told of when it has been made. */
struct history_segment_change {
	struct uuid worker;
	uint32_t segment;
	bool gone; /* its files are removed; else it is doomed, unless a row names it */
};
#define HISTORY_SEGMENT_CHANGES_MAX 256
/* With the next transaction. Copied. False: the changes before are not made yet. */
bool history_submit_segments(struct history *h, const struct history_segment_change *changes, size_t count);

/* Records up to here are in history, on the disk. */
uint64_t history_lsn(const struct history *h);
/* An eventfd: readable when history_lsn has grown. Whoever watches it reads it empty. */
int history_fd(const struct history *h);
/* True while it cannot write (disk full, …); reterr says why. It goes on trying, each second; the journal
 * keeps what it lacks. */
bool history_is_failing(const struct history *h, struct error *reterr);
