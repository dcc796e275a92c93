/* Whose trouble it is when an attempt could not begin: the shard's, which uses its retries, or the worker's,
 * which any shard would have met there. */
#pragma once

#include <errno.h>

#include "base/error.h"
#include "jobs/kinds.h"

/* errnum: with which a program did not start, or its directory could not be entered. What says something of
 * the program, its arguments or its directory is the shard's; no memory, process, descriptor or disk is the
 * worker's. */
static inline uint8_t blame_start(int64_t errnum)
{
	switch (errnum) {
	case ENOENT:
	case ENOTDIR:
	case EACCES:
	case EPERM:
	case EISDIR:
	case ELOOP:
	case ENAMETOOLONG:
	case E2BIG:
	case ENOEXEC:
	case ELIBBAD:
	case EINVAL:
	case ETXTBSY:
		return FAILURE_NO_PROGRAM;
	default:
		return FAILURE_START;
	}
}

/* kind: the shard's, of an error that it met; on a machine that has nothing left, any shard would have. */
static inline uint8_t blame_error(uint8_t kind, const struct error *e)
{
	return e->code == ERR_EXHAUSTED ? FAILURE_START : kind;
}

/* rc: with which a runner was not started. What could not be done to the system is ERR_IO, and the worker's;
 * any other says something of the definition. */
static inline uint8_t blame_runner(int rc)
{
	return rc == ERR_IO || rc == ERR_EXHAUSTED ? FAILURE_START : FAILURE_NO_PROGRAM;
}
