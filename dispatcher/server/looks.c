#include "dispatcher/server/looks.h"

#include <utlist.h>

#include "base/check.h"
#include "base/clock.h"
#include "dispatcher/server/peers.h"
#include "dispatcher/server/server.h"

/* ---- who waits ---- */

static void on_timer(struct loop *loop, void *arg);

static void set_timer(struct server *s)
{
	struct looks *l = &s->looks;

	l->timer.fn = on_timer;
	l->timer.arg = s;
	if (l->waiting == NULL)
		loop_timer_unset(s->loop, &l->timer);
	else if (l->timer.place == 0)
		loop_timer_set(s->loop, &l->timer, l->waiting->until_us);
}

static void forget(struct server *s, struct look_request *look)
{
	HASH_DELETE(hh, s->looks.by_number, look);
	DL_DELETE(s->looks.waiting, look);
	look->number = 0;
	set_timer(s);
}

void looks_cancel(struct server *s, struct look_request *look)
{
	if (look != NULL && look->number != 0)
		forget(s, look);
}

static void on_timer(struct loop *loop, void *arg)
{
	struct server *s = arg;
	struct look_request *look;

	while ((look = s->looks.waiting) != NULL && look->until_us <= loop_now_us(loop)) {
		forget(s, look);
		look->fn(s, look, NULL);
	}
	set_timer(s);
}

/* ---- asking ---- */

static int refuse(const struct uuid *worker, const char *why, struct error *reterr)
{
	return error_set(reterr, ERR_NOT_FOUND, "worker %016llx%016llx %s", (unsigned long long)worker->hi,
			 (unsigned long long)worker->lo, why);
}

/* For so many heartbeats that it would not answer either. */
static usec_t silence_us(const struct server *s)
{
	return 3 * (params_duration_us(s->params, PARAM_HEARTBEAT) + USEC_PER_SEC);
}

static int find_session(struct server *s, const struct uuid *worker, struct view_session *ret,
			struct error *reterr)
{
	if (!dispatcher_view_session(s->core, worker, ret))
		return refuse(worker, "is not here now", reterr);
	if (ret->wire < WIRE_VERSION_TAIL)
		return refuse(worker, "is of an older version that does not tell what it runs", reterr);
	if (ret->heard_us_ago > silence_us(s))
		return refuse(worker, "is silent", reterr);
	if (HASH_COUNT(s->looks.by_number) < LOOKS_MAX)
		return 0;
	error_set(reterr, ERR_BUSY, "%u questions to workers wait for an answer", LOOKS_MAX);
	return error_help(reterr, "try again later");
}

static void expect(struct server *s, struct look_request *look, const struct uuid *worker,
		   enum message_type type, look_fn *fn)
{
	CHECK(look->number == 0);
	*look = (struct look_request){.number = ++s->looks.last,
				      .worker = *worker,
				      .expected = type,
				      .until_us = clock_mono_us() + LOOKS_PATIENCE_US,
				      .fn = fn,
				      .arg = look->arg};
	HASH_ADD(hh, s->looks.by_number, number, sizeof(look->number), look);
	DL_APPEND(s->looks.waiting, look);
	set_timer(s);
}

int looks_ask_running(struct server *s, struct look_request *look, const struct uuid *worker, look_fn *fn,
		      struct error *reterr)
{
	struct view_session to;
	struct look m;
	int rc = find_session(s, worker, &to, reterr);

	if (rc < 0)
		return rc;
	expect(s, look, worker, MESSAGE_RUNNING, fn);
	m = (struct look){.session = to.session, .request = look->number};
	peers_put(s, to.peer, MESSAGE_LOOK, &m);
	return 0;
}

int looks_ask_tail(struct server *s, struct look_request *look, const struct uuid *worker, struct tail *tail,
		   look_fn *fn, struct error *reterr)
{
	struct view_session to;
	int rc = find_session(s, worker, &to, reterr);

	if (rc < 0)
		return rc;
	expect(s, look, worker, MESSAGE_TAIL_BYTES, fn);
	tail->session = to.session;
	tail->request = look->number;
	peers_put(s, to.peer, MESSAGE_TAIL, tail);
	return 0;
}

/* ---- answers ---- */

void looks_deliver(struct server *s, const struct dispatcher_looked *looked)
{
	uint64_t number = looked->type == MESSAGE_RUNNING
			      ? ((const struct running *)looked->body)->request
			      : ((const struct tail_bytes *)looked->body)->request;
	struct look_request *look = NULL;

	HASH_FIND(hh, s->looks.by_number, &number, sizeof(number), look);
	if (look == NULL || look->expected != looked->type || look->worker.hi != looked->worker.hi ||
	    look->worker.lo != looked->worker.lo)
		return; /* late, or invented */
	forget(s, look);
	look->fn(s, look, looked->body);
}

void looks_fini(struct server *s)
{
	while (s->looks.waiting != NULL)
		forget(s, s->looks.waiting);
	if (s->loop != NULL)
		loop_timer_unset(s->loop, &s->looks.timer);
}
