/* A job's output on its way to who asked: a block at a time, read in another thread, straight from the
 * segments of those that history says have won. */
#pragma once

#include "dispatcher/api/job_waits.h"
#include "dispatcher/readers.h"
#include "dispatcher/api/request.h"
#include "dispatcher/api/survey.h"

#define OUTPUT_BLOCK_BYTES (256 * KIB)

/* One shard's bytes. */
struct piece {
	uint32_t shard;
	struct uuid worker;
	uint32_t segment;
	uint32_t crc; /* of stdout */
	uint64_t offset, length;
};

struct output_stream {
	struct services *services;
	struct request *request; /* NULL once the answer has begun */
	struct job_wait behind;	 /* history is */
	usec_t until_us;
	struct segments *segments;
	struct survey survey;
	struct MHD_Connection *connection;
	struct listener *listener;
	struct MHD_Response *response; /* once the answer has begun */
	bool trailers;		       /* the asker reads them: they say why the answer ends early */
	uint64_t job;
	uint32_t phase;
	bool err;
	bool live; /* the job has not ended */
	bool found_dead;
	bool single;	    /* one shard was asked for: of a dead one what its last attempt wrote */
	struct token token; /* of the single one's attempt; lease 0: none is known */
	struct token had;   /* of this attempt of its the asker has the first `from` bytes */
	uint64_t from;
	bool cut;	    /* they are left out */
	uint32_t shard;	    /* the single one */
	uint64_t next, end; /* shards not yet in a page */

	/* The block that goes out, and the reading of the next one. What follows is the thread's while it
	 * reads. */
	struct reading reading;
	bool is_reading, suspended, abandoned;
	uint8_t *block;
	size_t block_size, block_at;
	bool at_end;
	int rc;		    /* below 0: why stands in error */
	struct error error; /* of the block */
	struct history_reader *history;
	struct piece *pieces;
	size_t piece_count, piece;
	uint64_t done; /* bytes of the piece in work */
	uint32_t crc;
	int fd; /* of the piece in work; -1 = not open */
	struct uuid fd_worker;
	uint32_t fd_segment;
};

struct output_stream *output_stream_create(struct request *r, uint64_t job) MUST_CHECK;
void output_stream_destroy(void *stream);
/* Reads the first block; then `begun` is called in the loop. */
void output_stream_begin(struct output_stream *o, void (*begun)(struct reading *r));
/* libmicrohttpd's content reader. */
ssize_t output_stream_read(void *stream, uint64_t position, char *buf, size_t max);
/* When an output is lost: what a person can do. */
void output_stream_help(const struct output_stream *o, struct error *reterr);
