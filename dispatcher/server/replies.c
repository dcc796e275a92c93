#include "dispatcher/server/replies.h"

#include <stdlib.h>
#include <uthash.h>

#include "base/check.h"
#include "dispatcher/server/server.h"

struct reply_waiter {
	uint64_t number;
	reply_fn *fn;
	void *arg;
	UT_hash_handle hh;
};

uint64_t replies_expect(struct replies *r, reply_fn *fn, void *arg)
{
	struct reply_waiter *w = check_calloc(1, sizeof(*w));

	w->number = ++r->last;
	w->fn = fn;
	w->arg = arg;
	HASH_ADD(hh, r->waiters, number, sizeof(w->number), w);
	return w->number;
}

void replies_deliver(struct server *s, const struct dispatcher_reply *reply)
{
	struct reply_waiter *w = NULL, found;

	HASH_FIND(hh, s->replies.waiters, &reply->request, sizeof(reply->request), w);
	if (w == NULL)
		return;
	HASH_DELETE(hh, s->replies.waiters, w);
	found = *w;
	free(w);
	found.fn(s, found.arg, reply);
}

void replies_fini(struct replies *r)
{
	struct reply_waiter *w, *next;

	HASH_ITER (hh, r->waiters, w, next) {
		HASH_DELETE(hh, r->waiters, w);
		free(w);
	}
}
