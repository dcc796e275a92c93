/* Who looks on asks workers: which attempts run (LOOK), and what one has written (TAIL). An answer comes
 * later, or none: a worker that is lost, that is of an older version, or that is busy for too long says
 * nothing. Nothing of it is durable. */
#pragma once

#include <uthash.h>

#include "base/loop.h"
#include "dispatcher/services.h"

struct look_request;

#define LOOKS_MAX 4096u		       /* that wait at one time */
#define LOOKS_PATIENCE_US USEC_PER_SEC /* for one answer */

/* body: struct running or struct tail_bytes, borrowed; NULL: no answer came. Not called after looks_cancel.
 */
typedef void look_fn(struct look_request *look, const void *body);

/* The caller's memory; all zero when it waits for nothing. */
struct look_request {
	uint64_t number; /* 0: it waits for nothing */
	struct uuid worker;
	enum message_type expected;
	usec_t until_us;
	look_fn *fn;
	void *arg;			  /* the caller's */
	struct look_request *prev, *next; /* the longest waiting first */
	UT_hash_handle hh;
};

/* Asks which attempts run there. ERR_NOT_FOUND: the worker cannot be asked now; ERR_BUSY: too many wait. */
int looks_ask_running(struct looks *l, struct look_request *look, const struct uuid *worker, look_fn *fn,
		      struct error *reterr) MUST_CHECK;
/* The same for bytes; session and request are filled in. */
int looks_ask_tail(struct looks *l, struct look_request *look, const struct uuid *worker, struct tail *tail,
		   look_fn *fn, struct error *reterr) MUST_CHECK;
/* NULL and what waits for nothing are fine. */
void looks_cancel(struct looks *l, struct look_request *look);
