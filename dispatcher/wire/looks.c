#include "dispatcher/wire/looks.h"

#include <stdlib.h>
#include <utlist.h>

#include "base/check.h"
#include "base/clock.h"
#include "jobs/ids.h"
#include "dispatcher/part.h"
#include "dispatcher/wire/peers.h"

struct looks {
	struct services *services;
	struct subscriber subscriber;
	uint64_t last;
	struct look_request *waiting, *by_number;
	struct loop_timer timer;
};

/* ---- who waits ---- */

static void set_timer(struct looks *l)
{
	if (l->waiting == NULL)
		loop_timer_unset(l->services->loop, &l->timer);
	else if (l->timer.place == 0)
		loop_timer_set(l->services->loop, &l->timer, l->waiting->until_us);
}

static void forget(struct looks *l, struct look_request *look)
{
	HASH_DELETE(hh, l->by_number, look);
	DL_DELETE(l->waiting, look);
	look->number = 0;
	set_timer(l);
}

void looks_cancel(struct looks *l, struct look_request *look)
{
	if (look != NULL && look->number != 0)
		forget(l, look);
}

static void on_timer(struct loop *loop, void *arg)
{
	struct looks *l = arg;
	struct look_request *look;

	while ((look = l->waiting) != NULL && look->until_us <= loop_now_us(loop)) {
		forget(l, look);
		look->fn(look, NULL);
	}
	set_timer(l);
}

/* ---- asking ---- */

static int refuse(const struct uuid *worker, const char *why, struct error *reterr)
{
	char id[UUID_TEXT_BYTES];

	uuid_text(worker, id);
	return error_set(reterr, ERR_NOT_FOUND, "worker %s %s", id, why);
}

/* For so many heartbeats that it would not answer either. */
static usec_t silence_us(const struct services *s)
{
	return 3 * (params_duration_us(s->params, PARAM_HEARTBEAT) + USEC_PER_SEC);
}

static int find_session(struct looks *l, const struct uuid *worker, struct view_session *ret,
			struct error *reterr)
{
	if (!dispatcher_view_session(services_core(l->services), worker, ret))
		return refuse(worker, "is not here now", reterr);
	if (ret->wire < WIRE_VERSION_TAIL)
		return refuse(worker, "is of an older version that does not tell what it runs", reterr);
	if (ret->heard_us_ago > silence_us(l->services))
		return refuse(worker, "is silent", reterr);
	if (HASH_COUNT(l->by_number) < LOOKS_MAX)
		return 0;
	error_set(reterr, ERR_BUSY, "%u questions to workers wait for an answer", LOOKS_MAX);
	return error_help(reterr, "try again later");
}

static void expect(struct looks *l, struct look_request *look, const struct uuid *worker,
		   enum message_type type, look_fn *fn)
{
	CHECK(look->number == 0);
	*look = (struct look_request){.number = ++l->last,
				      .worker = *worker,
				      .expected = type,
				      .until_us = clock_mono_us() + LOOKS_PATIENCE_US,
				      .fn = fn,
				      .arg = look->arg};
	HASH_ADD(hh, l->by_number, number, sizeof(look->number), look);
	DL_APPEND(l->waiting, look);
	set_timer(l);
}

static void ask(struct looks *l, uint64_t peer, enum message_type type, const void *body)
{
	struct buf frame = {0};

	codec_union_encode(&message_union, type, body, &frame);
	peers_send(l->services->peers, peer, buf_bytes(&frame));
	buf_fini(&frame);
}

int looks_ask_running(struct looks *l, struct look_request *look, const struct uuid *worker, look_fn *fn,
		      struct error *reterr)
{
	struct view_session to;
	struct look m;
	int rc = find_session(l, worker, &to, reterr);

	if (rc < 0)
		return rc;
	expect(l, look, worker, MESSAGE_RUNNING, fn);
	m = (struct look){.session = to.session, .request = look->number};
	ask(l, to.peer, MESSAGE_LOOK, &m);
	return 0;
}

int looks_ask_tail(struct looks *l, struct look_request *look, const struct uuid *worker, struct tail *tail,
		   look_fn *fn, struct error *reterr)
{
	struct view_session to;
	int rc = find_session(l, worker, &to, reterr);

	if (rc < 0)
		return rc;
	expect(l, look, worker, MESSAGE_TAIL_BYTES, fn);
	tail->session = to.session;
	tail->request = look->number;
	ask(l, to.peer, MESSAGE_TAIL, tail);
	return 0;
}

/* ---- answers ---- */

static void on_looked(void *arg, const struct stream_item *item)
{
	struct looks *l = arg;
	const struct dispatcher_looked *looked = item->looked;
	uint64_t number = looked->type == MESSAGE_RUNNING
			      ? ((const struct running *)looked->body)->request
			      : ((const struct tail_bytes *)looked->body)->request;
	struct look_request *look = NULL;

	HASH_FIND(hh, l->by_number, &number, sizeof(number), look);
	if (look == NULL || look->expected != looked->type || look->worker.hi != looked->worker.hi ||
	    look->worker.lo != looked->worker.lo)
		return; /* late, or invented */
	forget(l, look);
	look->fn(look, looked->body);
}

static int looks_open(struct services *s, struct error *reterr)
{
	struct looks *l = s->looks = check_calloc(1, sizeof(*l));

	(void)reterr;
	l->services = s;
	l->timer = (struct loop_timer){.fn = on_timer, .arg = l};
	l->subscriber = (struct subscriber){.fn = on_looked, .arg = l, .kinds = 1u << STREAM_LOOKED};
	port_subscribe(s->port, &l->subscriber);
	return 0;
}

static void looks_close(struct services *s)
{
	struct looks *l = s->looks;

	if (l == NULL)
		return;
	while (l->waiting != NULL)
		forget(l, l->waiting);
	loop_timer_unset(s->loop, &l->timer);
	port_unsubscribe(s->port, &l->subscriber);
	free(l);
	s->looks = NULL;
}

const struct part part_looks = {.name = "looks", .open = looks_open, .close = looks_close};
