/* What the files of the journal share. */
#pragma once

#include <pthread.h>

#include "dispatcher/store/journal.h"
#include "dispatcher/store/store_io.h"

#define PREPARED_NAME "prepared.tmp"
#define SEGMENT_NAME_SIZE 32 /* of "%020llu.segment" */
#define SEGMENT_PATH_SIZE 4200

struct segment_ref {
	uint64_t number;
	uint64_t first_lsn;
	uint64_t segment_bytes;
	uint64_t used_bytes; /* header and frames */
};

/* Records that wait for one commit. */
struct batch {
	struct batch *next;
	struct buf payload;
	uint32_t record_count;
	uint32_t epoch;
};

struct journal {
	char *dir;
	int dir_fd;
	struct journal_options options; /* io and segment_bytes are set */
	const struct store_io *io;
	int event_fd;

	/* The active segment. Only who has in_flight, or who opens, touches these. */
	int fd;		 /* -1 until start, unless it was begun by this process */
	uint64_t number; /* 0 = there is none */
	struct frame_segment segment;
	uint64_t offset; /* of the next frame */
	struct frame_chain chain;
	struct buf frame;	       /* encoded, being written */
	uint64_t last_frame;	       /* offset of the last frame; 0 = none in this segment */
	uint64_t torn_first, torn_end; /* to be zeroed by start; equal = nothing */
	bool was_torn;
	struct error torn;
	bool started;

	pthread_mutex_t lock; /* guards what follows; writers only change it holding the lock */
	pthread_cond_t wake_committer, wake_preparer;
	struct segment_ref *segments; /* begun ones, in order; the last is the active one */
	uint32_t segment_count;
	uint32_t segment_capacity;
	int next_fd; /* the prepared successor; -1 = there is none */
	bool prepare_failed;
	struct error prepare_error;
	uint64_t trim_lsn;
	struct batch *first, *last; /* queue */
	uint64_t queued_bytes;
	uint64_t next_lsn;
	uint64_t durable_lsn; /* also read without the lock, atomically */
	uint32_t epoch;	      /* of the last frame or batch */
	bool in_flight;
	bool stop;
	bool failed;
	struct error error;
	uint64_t commit_count, inline_count;
	bool has_threads;
	pthread_t committer, preparer;
};

void segment_name(uint64_t number, char name[SEGMENT_NAME_SIZE]);
/* "cannot VERB: strerror(errno)", where = the file. ERR_LIMIT when there is no room (disk, quota, file
 * size, descriptors): it may come back; all else is ERR_IO. */
int store_error(const struct journal *j, const char *verb, const char *name, struct error *reterr);
/* The whole of size bytes, or an error; ERR_CORRUPT when the file ends before. */
int store_read(const struct journal *j, int fd, const char *name, struct bytes into, uint64_t offset,
	       struct error *reterr) MUST_CHECK;
int store_write(const struct journal *j, int fd, const char *name, struct bytes from, uint64_t offset,
		struct error *reterr) MUST_CHECK;
/* Writes zeros, a piece at a time, each synced, so that commits are not held up by one large sync. */
int store_zero(const struct journal *j, int fd, const char *name, uint64_t first, uint64_t end,
	       struct error *reterr) MUST_CHECK;
int store_sync_dir(const struct journal *j, struct error *reterr) MUST_CHECK;

/* The whole file into *into (cleared first). */
int segment_load(const struct journal *j, uint64_t number, struct buf *into, struct error *reterr) MUST_CHECK;
void segment_add(struct journal *j, const struct segment_ref *ref);
/* Makes PREPARED_NAME and gives it the number's name; the caller holds no lock. */
int segment_prepare(struct journal *j, uint64_t number, int *ret_fd, struct error *reterr) MUST_CHECK;
/* Begins the prepared segment: it becomes the active one. The caller has in_flight, or opens. */
int segment_begin(struct journal *j, struct error *reterr) MUST_CHECK;
/* Removes what trim allows; the caller holds no lock. */
void segments_remove(struct journal *j);
/* Prepares a successor if there is none; the result is in next_fd or prepare_error. */
void journal_prepare_now(struct journal *j);

void *journal_preparer_main(void *journal);
void *journal_committer_main(void *journal);
/* Commits what is queued in the calling thread, as far as there is room. The lock is held. */
void journal_commit_all(struct journal *j);
/* Final: nothing is written from now on. The lock is held. */
void journal_fail(struct journal *j, const struct error *error);
