#include "base/endpoint.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#include "base/check.h"
#include "base/constants.h"
#include "base/gate.h"

/* Draft in 4.3.4's header, but in its library: without it a handler that is not there lets all in. */
#ifndef ZMQ_ZAP_ENFORCE_DOMAIN
#define ZMQ_ZAP_ENFORCE_DOMAIN 93
#endif

#define ZAP_DOMAIN "shardmill"
#define FRAMES_QUEUED 100000 /* high-water mark; credit keeps us far below */
#define ROUTING_ID_LEN 5     /* libzmq's own: a zero byte and a counter */

struct endpoint {
	void *socket;
	void *monitor; /* PAIR; DEALER only */
	bool router;
	zmq_msg_t current;
	char address[256];
	uint64_t malformed;
};

static int set_int(void *socket, int option, int value)
{
	return zmq_setsockopt(socket, option, &value, sizeof value);
}

static int set_common(void *socket, const struct key_pair *own, int64_t max)
{
	if (set_int(socket, ZMQ_LINGER, 0) < 0 || set_int(socket, ZMQ_SNDHWM, FRAMES_QUEUED) < 0 ||
	    set_int(socket, ZMQ_RCVHWM, FRAMES_QUEUED) < 0 || set_int(socket, ZMQ_TCP_KEEPALIVE, 1) < 0 ||
	    set_int(socket, ZMQ_TCP_KEEPALIVE_IDLE, 60) < 0 ||
	    set_int(socket, ZMQ_TCP_KEEPALIVE_INTVL, 10) < 0 || set_int(socket, ZMQ_IPV6, 1) < 0 ||
	    zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &max, sizeof max) < 0)
		return -1;
	return zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, own->public_text, KEY_TEXT_BYTES) |
	       zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, own->secret_text, KEY_TEXT_BYTES);
}

static struct endpoint *create(void *context, int type)
{
	struct endpoint *e = check_calloc(1, sizeof *e);

	e->router = type == ZMQ_ROUTER;
	e->socket = zmq_socket(context, type);
	zmq_msg_init(&e->current);
	return e;
}

static int failed(struct endpoint *e, const char *address, const char *verb, struct error *reterr)
{
	int code = errno;

	endpoint_destroy(e, 0);
	error_set(reterr, ERR_IO, "cannot %s: %s", verb, zmq_strerror(code));
	error_where(reterr, "%s", address);
	if (code == EADDRINUSE)
		error_help(reterr, "another process listens there: stop it, or choose another address");
	else if (code == EINVAL || code == ENODEV)
		error_help(reterr, "an address looks like tcp://127.0.0.1:7170");
	return ERR_IO;
}

int endpoint_bind(void *context, const char *address, const struct key_pair *own, int backlog,
		  struct endpoint **ret, struct error *reterr)
{
	struct endpoint *e = create(context, ZMQ_ROUTER);
	size_t size = sizeof e->address;

	if (e->socket == NULL || set_common(e->socket, own, WIRE_FRAME_BYTES_MAX) < 0 ||
	    set_int(e->socket, ZMQ_BACKLOG, backlog) < 0 ||
	    set_int(e->socket, ZMQ_HANDSHAKE_IVL, (int)(HANDSHAKE_US / USEC_PER_MSEC)) < 0 ||
	    set_int(e->socket, ZMQ_ROUTER_MANDATORY, 1) < 0 || set_int(e->socket, ZMQ_CURVE_SERVER, 1) < 0 ||
	    zmq_setsockopt(e->socket, ZMQ_ZAP_DOMAIN, ZAP_DOMAIN, strlen(ZAP_DOMAIN)) < 0 ||
	    set_int(e->socket, ZMQ_ZAP_ENFORCE_DOMAIN, 1) < 0)
		return failed(e, address, "set up the socket with CURVE and ZAP", reterr);
	if (zmq_bind(e->socket, address) < 0)
		return failed(e, address, "listen", reterr);
	zmq_getsockopt(e->socket, ZMQ_LAST_ENDPOINT, e->address, &size);
	*ret = e;
	return 0;
}

static int start_monitor(void *context, struct endpoint *e)
{
	const int events = ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED |
			   ZMQ_EVENT_HANDSHAKE_FAILED_AUTH | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL |
			   ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL;
	char address[64];

	snprintf(address, sizeof address, "inproc://monitor-%p", (void *)e);
	if (zmq_socket_monitor(e->socket, address, events) < 0)
		return -1;
	e->monitor = zmq_socket(context, ZMQ_PAIR);
	return e->monitor == NULL ? -1 : zmq_connect(e->monitor, address);
}

int endpoint_connect(void *context, const char *address, const struct key_pair *own, const char *server_key,
		     struct endpoint **ret, struct error *reterr)
{
	struct endpoint *e = create(context, ZMQ_DEALER);

	if (e->socket == NULL || set_common(e->socket, own, FRAME_BYTES_MAX) < 0 ||
	    set_int(e->socket, ZMQ_RECONNECT_IVL, 50) < 0 ||
	    set_int(e->socket, ZMQ_RECONNECT_IVL_MAX, 2000) < 0 || set_int(e->socket, ZMQ_IMMEDIATE, 1) < 0 ||
	    zmq_setsockopt(e->socket, ZMQ_CURVE_SERVERKEY, server_key, KEY_TEXT_BYTES) < 0 ||
	    start_monitor(context, e) < 0)
		return failed(e, address, "set up the socket with CURVE", reterr);
	if (zmq_connect(e->socket, address) < 0)
		return failed(e, address, "connect", reterr);
	snprintf(e->address, sizeof e->address, "%s", address);
	*ret = e;
	return 0;
}

void endpoint_destroy(struct endpoint *e, int linger_ms)
{
	if (e == NULL)
		return;
	zmq_msg_close(&e->current);
	if (e->socket != NULL) {
		zmq_socket_monitor(e->socket, NULL, 0);
		set_int(e->socket, ZMQ_LINGER, linger_ms);
		zmq_close(e->socket);
	}
	if (e->monitor != NULL) {
		set_int(e->monitor, ZMQ_LINGER, 0);
		zmq_close(e->monitor);
	}
	free(e);
}

static int fd_of(void *socket)
{
	int fd = -1;
	size_t size = sizeof fd;

	zmq_getsockopt(socket, ZMQ_FD, &fd, &size);
	return fd;
}

int endpoint_fd(const struct endpoint *e)
{
	return fd_of(e->socket);
}

int endpoint_event_fd(const struct endpoint *e)
{
	return e->monitor == NULL ? -1 : fd_of(e->monitor);
}

const char *endpoint_address(const struct endpoint *e)
{
	return e->address;
}

/* The User-Id of the ZAP handler: role:name. */
static void name_peer(zmq_msg_t *m, struct endpoint_frame *f)
{
	const char *user = zmq_msg_gets(m, "User-Id");
	const char *colon = user == NULL ? NULL : strchr(user, ':');
	char role[16];

	f->role = ROLE_NONE;
	f->name = colon == NULL ? "" : colon + 1;
	if (user != NULL && sscanf(user, "%15[a-z]:", role) == 1)
		f->role = peer_role_of(role);
}

static bool more_parts(void *socket)
{
	int more = 0;
	size_t size = sizeof more;

	zmq_getsockopt(socket, ZMQ_RCVMORE, &more, &size);
	return more != 0;
}

/* Leaves the next message's body in `current`; false when nothing waits. */
static bool receive_part(struct endpoint *e)
{
	zmq_msg_close(&e->current);
	zmq_msg_init(&e->current);
	return zmq_msg_recv(&e->current, e->socket, ZMQ_DONTWAIT) >= 0;
}

int endpoint_receive(struct endpoint *e, struct endpoint_frame *ret)
{
	struct endpoint_frame f = {0};

	for (;;) {
		bool whole = true;

		if (!receive_part(e))
			return 0;
		if (e->router) {
			const uint8_t *id = zmq_msg_data(&e->current);

			whole = zmq_msg_size(&e->current) == ROUTING_ID_LEN && more_parts(e->socket);
			/* An id that the peer chose, which cannot begin with zero, could pass for another's.
			 */
			whole = whole && id[0] == 0;
			for (int i = 1; whole && i < ROUTING_ID_LEN; i++)
				f.peer = f.peer << 8 | id[i];
			whole = whole && receive_part(e);
		}
		if (whole && !more_parts(e->socket))
			break;
		while (more_parts(e->socket) && receive_part(e))
			;
		e->malformed++;
		f.peer = 0;
	}
	if (e->router && gate_has_strangers())
		gate_heard(zmq_msg_get(&e->current, ZMQ_SRCFD));
	if (e->router)
		name_peer(&e->current, &f);
	f.body = BYTES(zmq_msg_data(&e->current), zmq_msg_size(&e->current));
	*ret = f;
	return 1;
}

static int send_error(void)
{
	return errno == EHOSTUNREACH ? ERR_CLOSED : errno == EAGAIN ? ERR_BUSY : ERR_IO;
}

int endpoint_send(struct endpoint *e, uint64_t peer, struct bytes body)
{
	if (e->router) {
		uint8_t id[ROUTING_ID_LEN] = {0};

		for (int i = 1; i < ROUTING_ID_LEN; i++)
			id[i] = (uint8_t)(peer >> 8 * (ROUTING_ID_LEN - 1 - i));
		if (zmq_send(e->socket, id, sizeof id, ZMQ_DONTWAIT | ZMQ_SNDMORE) < 0)
			return send_error();
	}
	return zmq_send(e->socket, body.data, body.size, ZMQ_DONTWAIT) < 0 ? send_error() : 0;
}

enum endpoint_event endpoint_next_event(struct endpoint *e)
{
	zmq_msg_t m;
	uint16_t event = 0;

	if (e->monitor == NULL)
		return ENDPOINT_QUIET;
	zmq_msg_init(&m);
	if (zmq_msg_recv(&m, e->monitor, ZMQ_DONTWAIT) < 0) {
		zmq_msg_close(&m);
		return ENDPOINT_QUIET;
	}
	memcpy(&event, zmq_msg_data(&m), sizeof event);
	while (more_parts(e->monitor))
		zmq_msg_recv(&m, e->monitor, ZMQ_DONTWAIT);
	zmq_msg_close(&m);
	if (event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED)
		return ENDPOINT_CONNECTED;
	return event == ZMQ_EVENT_DISCONNECTED ? ENDPOINT_DISCONNECTED : ENDPOINT_REFUSED;
}
