/* What history keeps, how much that is, and what of it could go: read as history_reader.h says. */
#pragma once

#include "dispatcher/store/history_reader.h"

/* Of jobs that have ended. */
struct history_kept {
	uint64_t jobs;
	uint64_t output_bytes;	   /* that their attempts wrote */
	uint64_t history_bytes;	   /* of the database, what is in use of its file */
	usec_t oldest_end_wall_us; /* 0: there is none */
};
int history_kept(struct history_reader *r, struct history_kept *ret, struct error *reterr) MUST_CHECK;

struct history_ended {
	uint64_t job;
	usec_t ended_wall_us;
	uint64_t output_bytes;
};
/* False: no more. */
typedef bool history_ended_fn(void *arg, const struct history_ended *job);
/* In the order of their ends. */
int history_oldest(struct history_reader *r, history_ended_fn *fn, void *arg,
		   struct error *reterr) MUST_CHECK;

typedef void history_forgotten_fn(void *arg, uint64_t first, uint64_t last);
/* Ranges of jobs, in order, that do not touch. */
int history_forgotten_jobs(struct history_reader *r, history_forgotten_fn *fn, void *arg,
			   struct error *reterr) MUST_CHECK;

typedef void history_segment_fn(void *arg, const struct uuid *worker, uint32_t segment);
/* At most `limit` segments that no row names any more: those that are doomed, or those that are not. */
int history_unused_segments(struct history_reader *r, bool doomed, uint32_t limit, history_segment_fn *fn,
			    void *arg, struct error *reterr) MUST_CHECK;
/* A segment that rows name, as the table of segments has it. */
struct history_segment {
	int64_t worker_number; /* in history */
	struct uuid worker;
	uint32_t segment;
	int64_t rows; /* about so many ranges of shards name it */
};
/* At most `limit` of them behind this one (all zero: from the first on), in order; how many. */
int history_segments(struct history_reader *r, const struct history_segment *behind, uint32_t limit,
		     struct history_segment *ret, uint32_t *ret_count, struct error *reterr) MUST_CHECK;
typedef void history_lease_fn(void *arg, struct token token);
/* The leases whose outputs in the segment belong to jobs that are not forgotten, in order, each once. It goes
 * over all that history has of shards. */
int history_segment_leases(struct history_reader *r, const struct history_segment *s, history_lease_fn *fn,
			   void *arg, struct error *reterr) MUST_CHECK;
/* Does history know all that its workers ever wrote? Only then a segment that it does not know is nobody's.
 */
int history_is_whole(struct history_reader *r, bool *ret, struct error *reterr) MUST_CHECK;
/* The worker's number; 0: history has nothing of it. */
int history_worker(struct history_reader *r, const struct uuid *worker, int64_t *ret,
		   struct error *reterr) MUST_CHECK;
/* Does the table of segments have it? */
int history_has_segment(struct history_reader *r, int64_t worker, uint32_t segment, bool *ret,
			struct error *reterr) MUST_CHECK;
