/* Finding outputs: the index files of output segments, with the stretch of each lease in them, so that a
 * range of shards is found without reading the whole index again. What was learnt of the few that were used
 * last is kept: 32 bytes or so a lease; the index itself if the options say so.
 *
 * An output is lost when its index or its file is gone, when the index names bytes that its file does not
 * have, or when an entry of the index is damaged and the shard has no other. What is lost is never taken for
 * an output that is empty. Threads: one at a time. */
#pragma once

#include "jobs/output_index.h"

struct segments;

struct segments_options {
	/* Of an index that is held in memory: whoever asks for each of thousands of leases should not open a
	 * file for each. 0: none is held, and one may have any size. */
	uint64_t held_bytes_max;
	bool no_stderr; /* it is not read: no output is lost for its sake */
	/* Helps of errors, what is to be done: of a lost output, of an index that is gone. NULL: none. */
	const char *lost_help, *gone_help;
};

/* options: NULL: none of them; must outlive it. */
struct segments *segments_create(const char *output_dir, const struct segments_options *options) MUST_CHECK;
void segments_destroy(struct segments *s); /* NULL is fine */
/* Before a job is looked for that may have ended since: workers add to their segments. */
void segments_look_again(struct segments *s);

/* Told for shards whose output is lost: why names them and the file. Negative ends the search. */
typedef int segments_lost_fn(void *arg, struct range shards, const struct error *why);

/* Is the segment's index there, with something in it? ERR_CORRUPT: no, so the outputs of these shards are
 * lost; ERR_IO and ERR_EXHAUSTED: it cannot be read now; ERR_LIMIT: it is too large. */
int segments_look(struct segments *s, const struct uuid *worker, uint32_t segment, struct range shards,
		  struct error *reterr) MUST_CHECK;
/* The entries of the shards `range` of a lease, in ret[range.count]; those that wrote nothing are left
 * as they are, as all do of segment 0. ERR_CORRUPT: an output is lost; else as segments_look. */
int segments_collect(struct segments *s, const struct uuid *worker, uint32_t segment, struct token token,
		     struct range range, struct output_entry *ret, struct error *reterr) MUST_CHECK;
/* The same, but goes on where an output is lost; what ret holds of lost ones says nothing. As
 * segments_look without ERR_CORRUPT, or what `lost` returned. */
int segments_collect_found(struct segments *s, const struct uuid *worker, uint32_t segment,
			   struct token token, struct range range, struct output_entry *ret,
			   segments_lost_fn *lost, void *arg, struct error *reterr) MUST_CHECK;
/* Cuts *range to where entries may lie: it begins at the first shard that has one (or may have lost it), and
 * is short where few have. A lease of millions of short shards may have a single entry. Fails as
 * segments_look, but for lost outputs: they are told when they are collected. */
int segments_narrow(struct segments *s, const struct uuid *worker, uint32_t segment, struct token token,
		    struct range *range, struct error *reterr) MUST_CHECK;
/* Opens the "out" or "err" file of a segment for reading. ERR_CORRUPT: it is gone; ERR_IO, ERR_EXHAUSTED. */
int segments_open(struct segments *s, const struct uuid *worker, uint32_t segment, const char *kind,
		  int *ret_fd, struct error *reterr) MUST_CHECK;
/* Why, where history says that there must be one. */
#define SEGMENTS_NO_ENTRY "the segment's index has no entry for it"
/* Fills reterr for a shard whose output is lost; a file of the segment is named. Returns ERR_CORRUPT. */
int segments_lost(const struct segments *s, const struct uuid *worker, uint32_t segment, const char *kind,
		  struct range shards, const char *why, struct error *reterr);
