/* The worker's output segments: where the outputs of attempts that have ended are kept, one behind the other,
 * and their index (jobs/output_index.h).
 *
 * All slots write to the same segment: a slot is given a place in it, copies the bytes there, and commits
 * the index entry. Nothing of an attempt is visible before it is synced and its end reported. The index
 * names what an attempt wrote, also when it failed; who has won, and whose failure was the last, history
 * says.
 *
 * Threads: any. Nobody holds the lock while he waits for a disk. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "base/limits.h"
#include "jobs/output_index.h"
#include "worker/io/recent.h"

#define OUTPUT_ROLL_BYTES (256 * MIB)
/* A file from this size on becomes a segment itself, so that its bytes are not written twice. */
#define OUTPUT_ADOPT_BYTES (16 * MIB)

enum { SEGMENT_OUT, SEGMENT_ERR, SEGMENT_IDX, SEGMENT_FILES };

struct output_segment {
	struct output_segment *prev, *next;
	uint32_t number;
	usec_t made_us;
	int fds[SEGMENT_FILES];	      /* close-on-exec */
	uint64_t ends[SEGMENT_FILES]; /* behind what was given away */
	uint32_t writers;	      /* places that are not given back */
	bool retired;		      /* nobody gets a place any more */
	bool dirty[SEGMENT_FILES];    /* something is not synced */
	bool new_names;		      /* the directory is not synced */
	bool busy;		      /* somebody syncs it, or ends it */
	_Atomic bool torn;	      /* its index ends in half an entry */
};

struct output_dir {
	char *path; /* <output>/<worker id> */
	int fd;
	struct uuid worker;
	uint64_t roll_bytes; /* a segment that is longer is retired */
	usec_t roll_age_us;  /* likewise one that is older, once somebody wants a place; 0: never. Set before
			      * there are threads */
	pthread_mutex_t index_lock;
	struct recent recent; /* the attempts that ended last */
	/* Below: under the lock. */
	pthread_mutex_t lock;
	pthread_cond_t idle;		 /* a segment is busy no more */
	uint32_t next;			 /* segment numbers, from 1 */
	struct output_segment *segments; /* open ones; a closed one is on disk, or among the failed */
	struct output_segment *current;	 /* that places are given in; NULL: the next one makes it */
	/* Segments of which a sync failed once, or whose files are gone: what the system dropped then, it
	 * does not tell again, so that no later sync makes them good. */
	uint32_t *failed;
	uint32_t failed_count;
};

/* A place in a segment. */
struct output_place {
	struct output_segment *segment; /* NULL: none */
	uint32_t number;
	uint64_t out_offset, out_length;
	uint64_t err_offset, err_length;
};

int output_dir_open(struct output_dir *d, const char *root, const struct uuid *worker, uint64_t roll_bytes,
		    struct error *reterr) MUST_CHECK;
/* All places are given back. Syncs what is not synced. Accepts one that was never opened, all zero. */
void output_dir_close(struct output_dir *d);

/* A place for so many bytes; the lengths are set by the caller, the rest is filled in. */
int segments_lend(struct output_dir *d, struct output_place *p, struct error *reterr) MUST_CHECK;
/* The same in a segment of its own that consists of these files, of which the caller has the only
 * descriptors: stdout's, stderr's; -1: none, the place is for copying. ERR_NOT_FOUND: they cannot be linked
 * there, as on another file system. */
int segments_adopt(struct output_dir *d, int out_fd, int err_fd, struct output_place *p,
		   struct error *reterr) MUST_CHECK;
/* Copies a file's first bytes to the place, all that it has room for; the checksum goes to *crc_ret. */
int segments_fill(struct output_dir *d, const struct output_place *p, int file, int from_fd,
		  uint32_t *crc_ret, struct error *reterr) MUST_CHECK;
/* Bytes for SEGMENT_OUT or SEGMENT_ERR at the place. */
int segments_write(struct output_dir *d, const struct output_place *p, int file, struct bytes bytes,
		   struct error *reterr) MUST_CHECK;
/* All entries go to the index, or none. They are refused when they do not lie in the segment's files, or when
 * these were removed or replaced. */
int segments_commit(struct output_dir *d, const struct output_place *p, const struct output_entry *entries,
		    uint32_t count, bool durable, struct error *reterr) MUST_CHECK;
/* Ends a place, committed or not. */
void segments_give_back(struct output_dir *d, struct output_place *p, bool committed);

/* All that was committed to these segments is on disk, with its names; or an error, also when that could
 * not be done earlier, or when the files are gone. *ret_errno is set with it. */
int output_sync(struct output_dir *d, const uint32_t *segments, uint32_t count, int *ret_errno,
		struct error *reterr) MUST_CHECK;
