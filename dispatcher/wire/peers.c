#include "dispatcher/wire/peers.h"

#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#include "base/log.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/constants.h"
#include "base/gate.h"
#include "dispatcher/part.h"
#include "dispatcher/producers.h"
#include "dispatcher/wire/peer_queue.h"

#define DRAIN_FRAMES_MAX 256
#define RETRY_US (20 * USEC_PER_MSEC)
#define SWEEP_US (60 * USEC_PER_SEC)
#define FORGET_US (600 * USEC_PER_SEC)

/* ---- in ---- */

static void take_frame(struct peers *p, const struct endpoint_frame *f)
{
	struct input_message m = {.peer = f->peer, .frame = f->body};

	p->counters.frames_in++;
	if (f->role == ROLE_WORKER)
		port_submit(p->services->port, INPUT_MESSAGE, &m, NULL);
	else if (f->role == ROLE_PRODUCER)
		producers_frame(p->services->producers, f->peer, f->name, f->body);
	else if (p->counters.denied++ == 0)
		log_warn("a peer that is no worker spoke like one",
			 log_text("role", peer_role_name(f->role)));
}

void peers_drain(struct peers *p)
{
	struct endpoint_frame f;
	int n = 0;

	p->more = false;
	while (endpoint_receive(p->endpoint, &f) == 1) {
		take_frame(p, &f);
		if (++n == DRAIN_FRAMES_MAX) {
			p->more = true;
			loop_defer(p->services->loop, p->services->turn);
			return;
		}
	}
}

bool peers_more(const struct peers *p)
{
	return p != NULL && p->more;
}

static void on_prepare(struct loop *loop, void *arg)
{
	(void)loop;
	peers_drain(arg);
}

/* The descriptor only wakes the loop: the hook reads before each sleep. */
static void on_wake(struct loop *loop, uint32_t events, void *arg)
{
	(void)loop;
	(void)events;
	(void)arg;
}

/* ---- out ---- */

void peers_send(struct peers *p, uint64_t number, struct bytes frame)
{
	peer_transmit(p, peer_find(p, number, true), frame);
}

static void send_to_producer(void *arg, uint64_t number, struct bytes frame)
{
	peers_send(arg, number, frame);
}

static void on_retry(struct loop *loop, void *arg)
{
	struct peers *p = arg;
	struct peer *peer, *next;
	usec_t now = loop_now_us(loop);
	bool sweep = now - p->swept_us >= SWEEP_US;

	if (sweep)
		p->swept_us = now;
	HASH_ITER (hh, p->by_number, peer, next) {
		if (peer->first != NULL)
			peer_flush(p, peer);
		else if (sweep && now - peer->used_us > FORGET_US)
			peer_remove(p, peer);
	}
	loop_timer_set(loop, &p->retry, now + (p->counters.queued_bytes > 0 ? RETRY_US : SWEEP_US));
}

void peers_retry_soon(struct peers *p)
{
	usec_t at_us = clock_mono_us() + RETRY_US;

	if (p->retry.place == 0 || p->retry.deadline_us > at_us)
		loop_timer_set(p->services->loop, &p->retry, at_us);
}

void peers_counters(const struct peers *p, struct peers_counters *ret)
{
	*ret = p->counters;
	ret->peers = HASH_COUNT(p->by_number);
}

/* ---- open and close ---- */

static int open_endpoint(struct services *s, struct error *reterr)
{
	struct peers *p = s->peers;
	struct key_pair own = {0};
	struct key_roles roles = {0};
	char *keys = statedir_path(&s->state, "keys");
	struct buf path = {0};
	int r;

	buf_printf(&path, "%s/dispatcher.key", keys);
	r = key_pair_load(buf_text(&path), true, &own, reterr);
	buf_clear(&path);
	buf_printf(&path, "%s/allowed", keys);
	if (r == 0)
		r = key_roles_load(buf_text(&path), &roles, reterr);
	if (r == 0)
		r = zap_start(p->context, &roles, &p->zap, reterr);
	if (r == 0)
		r = endpoint_bind(p->context, params_text(s->params, PARAM_LISTEN), &own,
				  s->descriptors.backlog, &p->endpoint, reterr);
	key_roles_fini(&roles);
	explicit_bzero(&own, sizeof(own));
	buf_fini(&path);
	free(keys);
	return r;
}

void peers_reload_keys(struct peers *p)
{
	char *path = statedir_path(&p->services->state, "keys/allowed"), line[ERROR_LINE_MAX];
	struct key_roles roles = {0};
	struct error e = {0};

	if (key_roles_load(path, &roles, &e) == 0)
		zap_set_roles(p->zap, &roles);
	else
		log_error("the keys could not be read again; those read before stay",
			  log_error_field(&e, line, sizeof(line)));
	key_roles_fini(&roles);
	free(path);
}

static int peers_open(struct services *s, struct error *reterr)
{
	struct peers *p = s->peers = check_calloc(1, sizeof(*p));
	int r;

	p->services = s;
	gate_open(&(struct gate_bounds){
	    .line = s->descriptors.wire_line, .strangers_max = STRANGERS_MAX, .stranger_us = STRANGER_US});
	p->context = zmq_ctx_new();
	CHECK(p->context != NULL);
	r = open_endpoint(s, reterr);
	if (r < 0)
		return r;
	producers_speak_by(s->producers, send_to_producer, p);
	p->prepare = (struct loop_task){.fn = on_prepare, .arg = p};
	p->watch = (struct loop_watch){.fn = on_wake, .arg = p};
	p->retry = (struct loop_timer){.fn = on_retry, .arg = p};
	r = loop_add(s->loop, &p->watch, endpoint_fd(p->endpoint), EPOLLIN | EPOLLET, reterr);
	if (r < 0)
		return r;
	loop_add_prepare(s->loop, &p->prepare);
	p->prepared = true;
	peers_retry_soon(p);
	return 0;
}

const char *peers_address(const struct peers *p)
{
	return endpoint_address(p->endpoint);
}

static void peers_close(struct services *s)
{
	struct peers *p = s->peers;
	struct peer *peer, *next;

	if (p == NULL)
		return;
	producers_speak_by(s->producers, NULL, NULL);
	if (p->prepared)
		loop_remove_prepare(s->loop, &p->prepare);
	loop_remove(s->loop, &p->watch);
	loop_timer_unset(s->loop, &p->retry);
	HASH_ITER (hh, p->by_number, peer, next) {
		peer_remove(p, peer);
	}
	endpoint_destroy(p->endpoint, 100);
	zap_stop(p->zap);
	zmq_ctx_term(p->context);
	gate_close();
	free(p);
	s->peers = NULL;
}

const struct part part_peers = {.name = "peers", .open = peers_open, .close = peers_close};
