/* Events that shardmill makes itself. Pure. */
#pragma once

#include "jobs/event.h"
#include "jobs/schema.h"

/* A file in a watched directory: `source: shardmill.bucket`, `Object Created`, S3's detail, and the
 * file's path beside the key. Names that are not UTF-8 keep their bytes in key-base64, path-base64. */
struct bucket_file {
	const char *bucket;
	struct bytes key;  /* path below the directory */
	struct bytes path; /* absolute */
	uint64_t size_bytes;
	uint64_t inode;
	int64_t mtime_ns;
	usec_t wall_us;
};
int event_bucket_created(const struct bucket_file *f, struct event *ret, struct error *reterr) MUST_CHECK;

/* The end of a job: `source: shardmill`, `job.succeeded` or `job.failed`, detail {job, name,
 * definition, state, why, shards: {done, dead, dropped}, retries, output, depth}. */
struct ended_job {
	uint64_t job;
	struct bytes name;
	struct bytes definition; /* its name */
	uint8_t state;		 /* enum job_state */
	struct bytes why;
	uint64_t done;
	uint64_t dead;
	uint64_t dropped;
	uint64_t retries;
	struct bytes output; /* where the result is; may be empty */
	uint32_t reopens;    /* how often it lived again before: each end is an event of its own */
	uint32_t depth;	     /* of the job: of the event that started it; the new event is one deeper */
	usec_t wall_us;
	const char *cluster; /* makes the event's id unique among dispatchers */
};
int event_job_ended(const struct ended_job *j, struct event *ret, struct error *reterr) MUST_CHECK;
