/* The journal on disk: a directory of segments (jobs/frame.h says what is in one).
 *
 *   00000000000000000001.segment   numbered from 1, without gaps; the header says what is in it
 *   00000000000000000002.segment   the last may be all zero: prepared, not begun
 *   prepared.tmp                   being prepared; worth nothing
 *
 * A segment gets its name when it has its full size and is synced. It is begun by writing its header and
 * syncing it: no name changes then, so nothing there needs room on the disk.
 *
 * Knows nothing of what records mean. Commits are groups: what is submitted while one is in flight goes
 * into the next frame. One commit is in flight at a time, by the committer's thread or, when the journal
 * is idle, by the caller (waking a thread costs 25-30 us). A second thread prepares the next segment and
 * removes trimmed ones, so that only it can meet a full disk.
 *
 * Life: open (reads the last segment) -> replay (reads all) -> start (first write: zeroes a torn tail) ->
 * submit … -> stop -> close. One thread, the loop's, calls all of them, but journal_replay after start, which
 * any thread may. No other process has the directory: the state directory's lock sees to it.
 *
 * A failed write or sync of a commit is final: what the kernel then holds may differ from the disk
 * (Rebello et al., "Can Applications Recover from fsync Failures?", ATC '20). The journal refuses all that
 * follows, journal_failed says why, and the process is to end; its next start reads what the disk has. */
#pragma once

#include "base/error.h"
#include "base/limits.h"
#include "jobs/frame.h"

struct store_io;
struct journal;

/* A durable batch, in lsn order: called by whoever committed it (the loop's thread or the committer's),
 * never by two at once. payload is the callee's to copy. */
typedef void journal_tap_fn(void *arg, uint64_t first_lsn, uint32_t record_count, uint32_t epoch,
			    struct bytes payload);

struct journal_options {
	uint64_t cluster_hi, cluster_lo;
	uint64_t segment_bytes; /* of new segments */
	bool create;		/* begin a journal if there is none; else a missing one is refused */
	bool no_threads;	/* tests and tools: all work is done by the caller, in submit */
	journal_tap_fn *tap;	/* may be NULL */
	void *tap_arg;
	const struct store_io *io; /* NULL = the system's */
};

/* Never writes, but creates the directory and the first segment where `create` allows it.
 * ERR_CORRUPT: damaged, or missing; ERR_VERSION; ERR_DENIED: another cluster's; ERR_IO. */
int journal_open(struct journal **ret, const char *dir, const struct journal_options *options,
		 struct error *reterr) MUST_CHECK;
/* Commits what is queued (unless it failed), ends the threads; nothing may be submitted any more. Replay
 * still works, the tap is not called any more. */
void journal_stop(struct journal *j);
/* journal_stop, and the rest. NULL is allowed. */
void journal_close(struct journal *j);

/* Was the last commit cut off? Then reterr tells of it; for the log. */
bool journal_was_torn(const struct journal *j, struct error *reterr);

/* Negative ends the replay and is what it returns. */
typedef int journal_replay_fn(void *arg, const struct frame *f, struct error *reterr);
/* All frames in order, from the one that holds record `from` (0 = the oldest there is) to the last, or,
 * after start, to the last that was durable when it was called. Checks the chain across segments.
 * ERR_NOT_FOUND when `from` was trimmed or is not yet written; else as journal_open. */
int journal_replay(struct journal *j, uint64_t from, journal_replay_fn *fn, void *arg,
		   struct error *reterr) MUST_CHECK;

/* Makes the journal ready to be written. Zeroes a torn tail; writes the last frame once more and syncs
 * it, because a process that died of a failed sync may have left it in memory alone. */
int journal_start(struct journal *j, struct error *reterr) MUST_CHECK;

/* Queues the records for the next commit and returns the lsn of the last of them. `alone`: the caller
 * has nothing else to do meanwhile; if the journal is idle it commits before it returns (compare
 * journal_durable_lsn). payload.size <= journal_payload_bytes_max, record_count >= 1; epoch never falls.
 * After a failure nothing is written any more. */
uint64_t journal_submit(struct journal *j, uint32_t epoch, struct bytes payload, uint32_t record_count,
			bool alone);
size_t journal_payload_bytes_max(const struct journal *j);

uint64_t journal_next_lsn(const struct journal *j); /* of the next record submitted */
/* Records up to this one are durable; 0 = none ever. */
uint64_t journal_durable_lsn(const struct journal *j);
uint32_t journal_epoch(const struct journal *j); /* of the last frame; 0 = none */
/* An eventfd, readable when the committer's thread made records durable or the journal failed. The
 * reader reads it empty. */
int journal_fd(const struct journal *j);
bool journal_failed(const struct journal *j, struct error *reterr);

/* May more be taken on? ERR_LIMIT when the next segment cannot be prepared (the disk is full), which is
 * tried again each second and after each trim; ERR_BUSY when more than `JOURNAL_QUEUE_BYTES_MAX` wait. */
int journal_has_room(const struct journal *j, struct error *reterr) MUST_CHECK;
#define JOURNAL_QUEUE_BYTES_MAX (32 * MIB)

/* Records below lsn are not needed any more: segments that hold only such are removed, soon. */
void journal_trim(struct journal *j, uint64_t lsn);

struct journal_stats {
	uint64_t oldest_lsn; /* first record that is kept */
	uint64_t second_lsn; /* first record of the second oldest segment: trimming up to it frees one;
			      * 0 = there is one segment */
	uint32_t segment_count;
	uint64_t bytes;	       /* of headers and frames kept, without the zeros ahead */
	uint64_t commit_count; /* since start */
	uint64_t inline_count; /* of them, by the caller */
	uint64_t queued_bytes;
};

void journal_stats(const struct journal *j, struct journal_stats *ret);
uint64_t journal_oldest_lsn(const struct journal *j);
uint64_t journal_bytes(const struct journal *j);
