/* The outputs that a gather's shard puts together, read in shard order from the segments of all
 * workers: one winner's index at a time, in bounded memory. */
#pragma once

#include "base/arena.h"
#include "jobs/output_index.h"
#include "jobs/slice.h"

struct gather;

/* winners: those of the inputs [first, first+count) of this node; must outlive it. */
struct gather *gather_open(const char *output_root, const struct slice *slice, struct range inputs);
void gather_close(struct gather *g);

struct gather_extent {
	const char *path; /* of the .out file; lives until the next call */
	struct output_entry entry;
};

/* 1 and the next output that is not empty, in shard order; 0 at the end; ERR_IO, ERR_CORRUPT. */
int gather_next(struct gather *g, struct gather_extent *ret, struct error *reterr) MUST_CHECK;
/* Shards of the inputs that have no winner. */
uint64_t gather_missing(const struct gather *g);
void gather_rewind(struct gather *g);

/* JSON lines: {"shard", "path", "offset", "length", "crc"}. */
int gather_write_manifest(struct gather *g, const char *path, struct error *reterr) MUST_CHECK;
/* Copies up to what a non-blocking fd takes now. 1: more to come, 0: the end. Each output's checksum is
 * compared: ERR_CORRUPT names it. */
int gather_feed(struct gather *g, int fd, struct error *reterr) MUST_CHECK;
