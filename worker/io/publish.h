/* A result's way to the place that the definition's `output` names: an object in a bucket, or a file. It is
 * there whole before the success is reported. The name follows from job and shard (jobs/result.h): another
 * attempt of the shard writes the same one anew, and the last writer's bytes stand. Thread: the slot's. */
#pragma once

#include "base/error.h"
#include "base/s3/s3.h"

struct publication {
	const char *url; /* s3://… or file:///… */
	int fd;		 /* size bytes from offset on */
	uint64_t offset, size;
	const char *attempt; /* names what is not whole yet */
	struct s3_client *s3;
	struct s3_cancel cancel; /* ends a transfer: ERR_CLOSED */
};

/* ERR_INVALID, ERR_DENIED, ERR_NOT_FOUND: no other attempt can do it either; else ERR_IO, ERR_BUSY, ERR_LIMIT
 * (no space). The words name the place. */
int publish(const struct publication *p, struct error *reterr) MUST_CHECK;
bool publish_error_is_final(int code);
