/* What a shard reads: a range of a file or of an object in a bucket, cut at record borders, an item, or the
 * outputs that a gather puts together. Opened in the slot's thread; fed to the child's stdin while it runs,
 * or written to a file before it starts. */
#pragma once

#include "base/arena.h"
#include "jobs/slice.h"
#include "worker/core/core.h"

struct fetch;
struct gather;
struct s3_client;

struct input {
	int stdin_fd;	     /* for the child; -1: /dev/null */
	int feed_fd;	     /* our end of its pipe; -1: nothing to feed */
	int file_fd;	     /* of a byte range of a file */
	struct fetch *fetch; /* of one of an object in a bucket */
	bool ranged;	     /* it is a byte range: first_byte and end hold */
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
	/* For objects in a bucket. */
	struct s3_client *s3;
	size_t read_ahead_bytes;
	struct fetch **ahead;	  /* the slot's, of what was guessed to come next; NULL in it = none */
	int wake_fd;		  /* while a call waits for the object: when it is readable, woken is asked */
	bool (*woken)(void *arg); /* true: the attempt is given up (ERR_CLOSED) */
	void *woken_arg;
};

/* ERR_INVALID, ERR_NOT_FOUND, ERR_CORRUPT, ERR_IO in words that name the object. */
int input_open(const struct input_request *rq, struct input *ret, struct error *reterr) MUST_CHECK;
/* The child has its end: ours of it is closed. */
void input_started(struct input *in);
/* Feeds what the pipe takes. 1: more to come; 0: all is fed, or the child reads no more. */
int input_feed(struct input *in, struct error *reterr) MUST_CHECK;
/* The descriptor that tells when input_feed has something to do, and what to poll it for; -1: there is
 * nothing more to feed. */
int input_poll(const struct input *in, short *ret_events);
void input_close(struct input *in);
/* After an error with this code: no other attempt can read it either. */
bool input_error_is_final(const struct plan *plan, int code);
/* Looks for the borders of what is likely to come after `in`, and reads it as soon as `in` has almost come;
 * see ahead. Call it again and again. */
void input_read_ahead(const struct input_request *rq, const struct plan *plan, const struct input *in);
bool input_is_object(const struct plan *plan);
