#include "dispatcher/server/peers.h"

#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#include "base/log.h"
#include "base/check.h"
#include "base/clock.h"
#include "dispatcher/server/peer_queue.h"

#define DRAIN_FRAMES_MAX 256
#define RETRY_US (20 * USEC_PER_MSEC)
#define SWEEP_US (60 * USEC_PER_SEC)
#define FORGET_US (600 * USEC_PER_SEC)

/* ---- in ---- */

static void take_frame(struct server *s, const struct endpoint_frame *f)
{
	struct peers *p = s->peers;
	struct input_message m = {.peer = f->peer, .frame = f->body};

	p->counters.frames_in++;
	if (f->role != ROLE_WORKER) {
		if (p->counters.denied++ == 0)
			log_warn("a peer that is no worker spoke like one",
				 log_text("role", peer_role_name(f->role)));
		return;
	}
	server_step(s, INPUT_MESSAGE, &m);
}

void peers_drain(struct server *s)
{
	struct endpoint_frame f;
	int n = 0;

	s->peers->more = false;
	while (endpoint_receive(s->peers->endpoint, &f) == 1) {
		take_frame(s, &f);
		if (++n == DRAIN_FRAMES_MAX) {
			s->peers->more = true;
			loop_defer(s->loop, &s->steps.turn_end);
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

void peers_send(struct server *s, const struct dispatcher_send *send)
{
	struct peer *peer = peer_find(s->peers, send->peer, true);

	if (send->type == MESSAGE_LEASES) {
		uint64_t lsn = 0;

		if (peer->first == NULL && leases_send(s, send->peer, send->body, &lsn) == 0)
			return;
		lsn = peer->first == NULL ? lsn : 0;
		peer_queue_leases(s->peers, peer, send->body, lsn);
		return;
	}
	if (send->type == MESSAGE_REGISTERED || send->type == MESSAGE_WHO)
		peer_forget_sent(peer);
	peers_put(s, send->peer, send->type, send->body);
}

void peers_send_frame(struct server *s, uint64_t number, enum message_type type, struct bytes frame)
{
	if (type == MESSAGE_LEASES || type == MESSAGE_REGISTERED || type == MESSAGE_WHO) {
		struct arena arena;
		void *body;
		uint32_t as;

		arena_init(&arena, 0);
		CHECK(codec_union_decode(&message_union, &frame, &as, &body, &arena, NULL) == 0);
		peers_send(s, &(struct dispatcher_send){.peer = number, .type = type, .body = body});
		arena_fini(&arena);
		return;
	}
	peer_transmit(s, peer_find(s->peers, number, true), frame);
}

void peers_put(struct server *s, uint64_t number, enum message_type type, const void *body)
{
	struct buf out = {0};

	codec_union_encode(&message_union, type, body, &out);
	peer_transmit(s, peer_find(s->peers, number, true), buf_bytes(&out));
	buf_fini(&out);
}

void peers_history_grew(struct server *s, uint64_t lsn)
{
	struct peer *peer, *next;

	if (s->peers == NULL || s->peers->waiting == 0)
		return;
	HASH_ITER (hh, s->peers->by_number, peer, next) {
		if (peer->first != NULL && peer->first->raw && peer->first->wait_lsn <= lsn)
			peer_flush(s, peer);
	}
}

static void on_retry(struct loop *loop, void *arg)
{
	struct server *s = arg;
	struct peers *p = s->peers;
	struct peer *peer, *next;
	usec_t now = loop_now_us(loop);
	bool sweep = now - p->swept_us >= SWEEP_US;

	if (sweep)
		p->swept_us = now;
	HASH_ITER (hh, p->by_number, peer, next) {
		if (peer->first != NULL)
			peer_flush(s, peer);
		else if (sweep && now - peer->used_us > FORGET_US)
			peer_remove(p, peer);
	}
	loop_timer_set(loop, &p->retry, now + (p->counters.queued_bytes > 0 ? RETRY_US : SWEEP_US));
}

void peers_retry_soon(struct server *s)
{
	loop_timer_set(s->loop, &s->peers->retry, clock_mono_us() + RETRY_US);
}

void peers_counters(const struct peers *p, struct peers_counters *ret)
{
	*ret = p->counters;
	ret->peers = HASH_COUNT(p->by_number);
}

/* ---- open and close ---- */

static int open_endpoint(struct server *s, struct error *reterr)
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
		r = endpoint_bind(p->context, params_text(s->params, PARAM_LISTEN), &own, &p->endpoint,
				  reterr);
	key_roles_fini(&roles);
	explicit_bzero(&own, sizeof(own));
	buf_fini(&path);
	free(keys);
	return r;
}

void peers_reload_keys(struct server *s)
{
	char *path = statedir_path(&s->state, "keys/allowed"), line[ERROR_LINE_MAX];
	struct key_roles roles = {0};
	struct error e = {0};

	if (key_roles_load(path, &roles, &e) == 0)
		zap_set_roles(s->peers->zap, &roles);
	else
		log_error("the keys could not be read again; those read before stay",
			  log_error_field(&e, line, sizeof(line)));
	key_roles_fini(&roles);
	free(path);
}

int peers_open(struct server *s, struct error *reterr)
{
	struct peers *p = s->peers = check_calloc(1, sizeof(*p));
	int r;

	p->context = zmq_ctx_new();
	CHECK(p->context != NULL);
	r = open_endpoint(s, reterr);
	if (r < 0)
		return r;
	p->prepare = (struct loop_task){.fn = on_prepare, .arg = s};
	p->watch = (struct loop_watch){.fn = on_wake, .arg = s};
	p->retry = (struct loop_timer){.fn = on_retry, .arg = s};
	r = loop_add(s->loop, &p->watch, endpoint_fd(p->endpoint), EPOLLIN | EPOLLET, reterr);
	if (r < 0)
		return r;
	loop_add_prepare(s->loop, &p->prepare);
	p->prepared = true;
	peers_retry_soon(s);
	return 0;
}

const char *peers_address(const struct peers *p)
{
	return endpoint_address(p->endpoint);
}

void peers_close(struct server *s)
{
	struct peers *p = s->peers;
	struct peer *peer, *next;

	if (p == NULL)
		return;
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
	free(p);
	s->peers = NULL;
}
