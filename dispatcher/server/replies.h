/* Who waits for the core's REPLY to an input with a request number. */
#pragma once

#include "dispatcher/core/core.h"

struct server;
struct reply_waiter;

/* The reply is borrowed for the call. May not step the core: server_later. */
typedef void reply_fn(struct server *s, void *arg, const struct dispatcher_reply *reply);

struct replies {
	struct reply_waiter *waiters; /* by number */
	uint64_t last;
};

/* The number for the input; fn runs once, when the reply is due. */
uint64_t replies_expect(struct replies *r, reply_fn *fn, void *arg);
void replies_deliver(struct server *s, const struct dispatcher_reply *reply);
void replies_fini(struct replies *r);
