/* A slot's output: what its present attempt writes, in files of its own (worker/io/stream.h), until it is
 * kept in the worker's segments (worker/io/segments.h).
 *
 * output_begin, the attempt's processes, output_end, any of the questions, output_keep, output_done. All but
 * output_read_live are for the slot's thread. */
#pragma once

#include "jobs/schema.h"
#include "worker/io/segments.h"
#include "worker/io/stream.h"

struct output {
	struct output_dir *dir;
	struct stream out, err;
	/* Who looks on while the attempt runs. */
	pthread_mutex_t live_lock; /* of all below, and of what the streams' descriptors are */
	bool live;
	struct token token;
	uint32_t shard;
	usec_t start_wall_us;
};

/* What of an attempt was kept. */
struct output_kept {
	uint32_t segment; /* 0: it wrote nothing */
	uint64_t bytes;	  /* in both streams */
};

void output_open(struct output *o, struct output_dir *dir);
/* Accepts one that was never opened, all zero. */
void output_close(struct output *o);

/* Before an attempt: its files, in this directory. */
int output_begin(struct output *o, int dir_fd, struct token token, uint32_t shard,
		 struct error *reterr) MUST_CHECK;
/* The attempt runs: see stream_look. How much it has written that is no longer bounded by the kernel. */
uint64_t output_look(struct output *o, int dir_fd);
/* All of its processes are gone. true: one of its files is still open in a process that was left behind; what
 * is there now is its output. */
bool output_end(struct output *o, int dir_fd);
/* After it was kept, or not. */
void output_done(struct output *o);

/* ERR_LIMIT: one of the streams is longer than the bound; 0 = no bound. */
int output_check_bound(const struct output *o, uint64_t bytes_max, struct error *reterr) MUST_CHECK;
/* Was the disk of its files full, as was seen before or is seen now (ERR_BUSY), or is a part of its output
 * lost? An error then, that names the directory. */
int output_check_whole(const struct output *o, bool was_full, int dir_fd, const char *dir,
		       struct error *reterr) MUST_CHECK;
/* The last lines that it wrote to stderr, for people. */
void output_last_words(const struct output *o, char *ret, size_t size);
/* Copies both streams to a segment, or makes them one, with an index entry; durable: it is synced before it
 * is reported. An error is the worker's; ERR_BUSY: the disk is full. */
int output_keep(struct output *o, struct token token, uint32_t shard, bool durable, struct output_kept *ret,
		struct error *reterr) MUST_CHECK;

/* Bytes of the attempt's stdout or stderr from a byte on, while it runs: how many, 0 at its present end.
 * ERR_NOT_FOUND: that attempt does not run here (any more). Thread: any; the slot's waits meanwhile at the
 * attempt's end, so that size is best below a MiB. */
int64_t output_read_live(struct output *o, struct token token, uint32_t shard, bool err, uint64_t from,
			 void *to, size_t size);

/* What it has written so far. false: no attempt runs. Thread: any. */
bool output_running(struct output *o, struct running_attempt *ret);

/* The whole output of a success that was handed over as bytes. */
struct shard_output {
	uint32_t shard;
	struct bytes bytes; /* not empty */
};
/* ERR_LIMIT: more than its bound; 0 = no bound. */
int output_check(struct bytes bytes, uint64_t bytes_max, struct error *reterr) MUST_CHECK;
/* All of them in one write each for data and index, or none. *segment_ret: 0 when there are none. */
int output_append(struct output_dir *d, struct token token, const struct shard_output *outputs,
		  uint32_t count, bool durable, uint32_t *segment_ret, struct error *reterr) MUST_CHECK;
/* What a runner wrote to stderr while it had these shards, which have failed: one copy, and an entry for
 * each. */
int output_keep_said(struct output_dir *d, struct token token, const struct failure *failed, uint32_t count,
		     struct bytes said, bool durable, uint32_t *segment_ret, struct error *reterr) MUST_CHECK;
