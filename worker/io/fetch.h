/* A shard's bytes on their way from an object store: a thread finds the record borders, then reads the range
 * into a ring, or the pipe of who reads, ahead of the command that takes it out. The thread waits while the
 * ring is full, so that no more than its bound is held in memory, whatever the range's size.
 *
 * Threads: one calls all of these, the slot's. */
#pragma once

#include "base/s3/s3.h"
#include "jobs/schema.h"

struct fetch;

struct fetch_range {
	const struct plan *plan; /* of kind bytes, its url s3://…; copied */
	uint32_t shard;
	/* The shard's first byte when it is known already: the end of the one before. FETCH_UNKNOWN = search.
	 */
	uint64_t first_byte;
	/* Only the borders, until fetch_go: another range is on its way. */
	bool held;
};
#define FETCH_UNKNOWN UINT64_MAX

/* ring_bytes: what is held at most. ERR_INVALID: the url; ERR_IO: no thread. */
int fetch_start(struct s3_client *client, const struct fetch_range *range, size_t ring_bytes,
		struct fetch **ret, struct error *reterr) MUST_CHECK;
/* One that was held back goes on. */
void fetch_go(struct fetch *f);
/* Ends it, at any point; NULL is fine. */
void fetch_stop(struct fetch *f);
/* Is it this shard of this object? */
bool fetch_is(const struct fetch *f, const struct plan *plan, uint32_t shard);

/* Readable when one of the calls below has something new to say. */
int fetch_fd(const struct fetch *f);
/* 1: the borders are known; 0: not yet; or why they could not be found. */
int fetch_borders(struct fetch *f, uint64_t *ret_first, uint64_t *ret_end, struct error *reterr) MUST_CHECK;
/* Writes what fd takes of what is there. 1: more to come; 0: that was all, or nobody reads; or an error. */
int fetch_feed(struct fetch *f, int fd, struct error *reterr) MUST_CHECK;
/* Somebody reads fd, a pipe that does not block: from now on what comes goes straight there while the ring is
 * empty, without a copy and a turn of the slot's thread. -1: no more, before fd is closed. */
void fetch_attach(struct fetch *f, int fd);
/* Nothing is there to be written now: wait for fetch_fd, not for room in the pipe. */
bool fetch_is_empty(struct fetch *f);
/* What is still to come is less than its ring: another may begin, so that the server is never idle. */
bool fetch_is_almost_whole(struct fetch *f);
bool fetch_has_failed(struct fetch *f);
