/* A slot's output: one segment per stream that children write straight into, and its index.
 *
 * Nothing of an attempt is visible before it is synced and its end reported. The index names what an
 * attempt wrote, also when it failed; who has won, and whose failure was the last, history says. An
 * attempt that was stopped leaves bytes that no index names. Threads: an output belongs to its slot's;
 * output_sync runs in the syncer's, beside all of them. Nobody holds the lock while he waits for a disk. */
#pragma once

#include <pthread.h>

#include "base/limits.h"
#include "jobs/output_index.h"
#include "worker/notes.h"

#define OUTPUT_ROLL_BYTES (256 * MIB)

/* A segment's three files, open. */
struct output_segment {
	struct output_segment *prev, *next;
	uint32_t number;
	uint32_t place;		    /* of its note */
	int out_fd, err_fd, idx_fd; /* close-on-exec, O_APPEND */
	bool dirty;		    /* something is not synced */
	bool err_dirty;		    /* of stderr, too */
	bool new_names;		    /* the directory is not synced */
	bool busy;		    /* somebody syncs it */
};

struct output_dir {
	char *path; /* <output>/<worker id> */
	int fd;
	struct uuid worker;
	uint64_t roll_bytes; /* a segment that is longer is closed for a new one */
	/* Below: under the lock. */
	pthread_mutex_t lock;
	pthread_cond_t idle;		 /* a segment is busy no more */
	uint32_t next;			 /* segment numbers, from 1 */
	struct output_segment *segments; /* open ones; a closed one is on disk, or among the failed */
	struct notes notes;		 /* written without the lock, too */
	/* Segments of which a sync failed once: what the system dropped then, it does not tell again, so
	 * that no later sync makes them good. */
	uint32_t *failed;
	uint32_t failed_count;
};

struct output {
	struct output_dir *dir;
	struct output_segment *current;
	uint64_t out_size, err_size; /* before the attempt in work */
	bool torn;		     /* its index ends in half an entry: begin a new segment */
	bool noted;		     /* what runs there is noted */
};

/* What a success has to keep. */
struct output_rules {
	bool durable;	    /* synced before it is reported */
	uint64_t bytes_max; /* of each stream; 0 = no bound */
};

int output_dir_open(struct output_dir *d, const char *root, const struct uuid *worker, uint64_t roll_bytes,
		    struct error *reterr) MUST_CHECK;
/* All outputs are closed. Accepts one that was never opened, all zero. */
void output_dir_close(struct output_dir *d);

int output_open(struct output *o, struct output_dir *dir, struct error *reterr) MUST_CHECK;
/* Syncs what is not synced; accepts one that was never opened, all zero. */
void output_close(struct output *o);

/* Before an attempt: starts a new segment when the old one is long enough, or damaged. */
int output_begin(struct output *o, struct error *reterr) MUST_CHECK;
/* The attempt that output_begin was for is about to write: people may look on. Nothing is due at its end. */
void output_note_attempt(struct output *o, struct token token, uint32_t shard);
/* What the attempt wrote to stdout, so far. ERR_LIMIT: more than its bound. */
int output_extent(const struct output *o, uint64_t bytes_max, uint64_t *offset_ret, uint64_t *length_ret,
		  struct error *reterr) MUST_CHECK;
/* After a success: its index entry, when it wrote anything; *bytes_ret: how much, in both streams.
 * ERR_LIMIT: it wrote more than its bound. */
int output_commit(struct output *o, struct token token, uint32_t shard, const struct output_rules *rules,
		  uint64_t *bytes_ret, struct error *reterr) MUST_CHECK;

/* The whole output of a success that was handed over as bytes. */
struct shard_output {
	uint32_t shard;
	struct bytes bytes; /* not empty */
};
/* ERR_LIMIT: more than its bound. */
int output_check(struct bytes bytes, const struct output_rules *rules, struct error *reterr) MUST_CHECK;
/* All of them in one write each for data and index, or none; no attempt is in work. They go to the segment
 * that output_begin chose, so that the shards of one answer share it. */
int output_append(struct output *o, struct token token, const struct shard_output *outputs, uint32_t count,
		  const struct output_rules *rules, struct error *reterr) MUST_CHECK;
/* After a failure: the last line that it wrote to stderr, for people; and that the outputs' disk is full,
 * when it is: the command may have had no room to say so. */
void output_last_words(const struct output *o, char *last_words, size_t size);
/* After a failure: an index entry for what it wrote, as for a success, so that people can read it when
 * there is no other attempt. As well as it goes: false when it wrote nothing, or it could not be kept. */
bool output_keep_failed(struct output *o, struct token token, uint32_t shard, bool durable);
/* All that was committed to these segments is on disk, with its names; or an error, also when that could
 * not be done earlier. *ret_errno is set with it. Thread: any. */
int output_sync(struct output_dir *d, const uint32_t *segments, uint32_t count, int *ret_errno,
		struct error *reterr) MUST_CHECK;
