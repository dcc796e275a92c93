/* A slot's output: one segment per stream that children write straight into, and its index.
 *
 * Nothing of an attempt is visible before it is synced and its success reported; a failed attempt
 * leaves bytes that no index names. Thread: a slot writes; the agent syncs what the slot has
 * closed or left behind (output_sync may run beside the slot: it only reads numbers under the lock). */
#pragma once

#include <pthread.h>

#include "base/limits.h"
#include "jobs/output_index.h"

#define OUTPUT_ROLL_BYTES (256 * MIB)

struct output_dir {
	char *path; /* <output>/<worker id> */
	int fd;
	struct uuid worker;
	uint64_t roll_bytes;   /* a segment that is longer is closed for a new one */
	_Atomic uint32_t next; /* segment numbers, from 1 */
};

struct output {
	struct output_dir *dir;
	pthread_mutex_t lock;
	uint32_t segment;
	int out_fd, err_fd, idx_fd;  /* close-on-exec, O_APPEND */
	uint64_t out_size, err_size; /* before the attempt in work */
	bool dirty;		     /* something is not synced */
	bool new_names;		     /* the directory is not synced */
	bool torn;		     /* its index ends in half an entry: begin a new segment */
};

int output_dir_open(struct output_dir *d, const char *root, const struct uuid *worker, uint64_t roll_bytes,
		    struct error *reterr) MUST_CHECK;
void output_dir_close(struct output_dir *d);

int output_open(struct output *o, struct output_dir *dir, struct error *reterr) MUST_CHECK;
void output_close(struct output *o);

/* Before an attempt: starts a new segment when the old one is long enough. */
int output_begin(struct output *o, struct error *reterr) MUST_CHECK;
/* After a success: *bytes_ret written to stdout; its index entry, when there is something. */
int output_commit(struct output *o, struct token token, uint32_t shard, uint64_t *bytes_ret,
		  struct error *reterr) MUST_CHECK;
/* The whole output of a success that was handed over as bytes; no attempt is in work. */
int output_append(struct output *o, struct token token, uint32_t shard, struct bytes bytes,
		  struct error *reterr) MUST_CHECK;
/* After a failure: the last line that it wrote to stderr, for people. */
void output_abandon(struct output *o, char *last_words, size_t size);
/* All committed so far is on disk, with its names. */
int output_sync(struct output *o, struct error *reterr) MUST_CHECK;
