/* What a shard reads: a range of a file cut at record borders, an item, or the outputs that a gather
 * puts together. Opened in the slot's thread; fed to the child's stdin while it runs, or written to
 * a file before it starts. */
#pragma once

#include "base/arena.h"
#include "jobs/slice.h"
#include "worker/core/core.h"

struct gather;

struct input {
	int stdin_fd;	     /* for the child; -1: /dev/null */
	int feed_fd;	     /* our end of its pipe; -1: nothing to feed */
	int file_fd;	     /* of a byte range */
	uint64_t at, end;    /* what is not fed yet: bytes of the file, or of the item */
	uint64_t first_byte; /* where the range begins after alignment */
	struct bytes item;   /* of an items plan */
	struct gather *gather;
	struct bytes manifest; /* path of gather's manifest; empty = none */
	uint64_t missing;      /* gather: shards without output, being dead */
	struct bytes file;     /* path of the input file; empty = none */
};

struct input_request {
	const struct worker_arm *arm;
	const struct slice *slice;
	uint32_t shard;
	const char *scratch; /* of the slot: where files go */
	const char *output_root;
	struct arena *arena; /* of the attempt */
};

/* ERR_INVALID, ERR_NOT_FOUND, ERR_CORRUPT, ERR_IO in words that name the object. */
int input_open(const struct input_request *rq, struct input *ret, struct error *reterr) MUST_CHECK;
/* The child has its end: ours of it is closed. */
void input_started(struct input *in);
/* Feeds what the pipe takes. 1: more to come; 0: all is fed, or the child reads no more. */
int input_feed(struct input *in, struct error *reterr) MUST_CHECK;
void input_close(struct input *in);
