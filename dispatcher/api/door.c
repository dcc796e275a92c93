#include "dispatcher/api/door.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utlist.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/gate.h"

#define ACCEPTS_A_TURN 64
#define IPV6_NETWORK_BITS 64	    /* what one peer may have of addresses */
#define FULL_US (1 * USEC_PER_MSEC) /* till the door looks again whether there is room */
#define REAP_US (200 * USEC_PER_MSEC)

/* ---- who it is ---- */

static struct place_key key_of(int fd, const struct sockaddr_storage *address)
{
	const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)address;
	const struct sockaddr_in *four = (const struct sockaddr_in *)address;
	struct place_key key = {0};
	struct ucred who = {0};
	socklen_t size = sizeof(who);

	if (address->ss_family == AF_INET) {
		key.lo = four->sin_addr.s_addr;
	} else if (address->ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&six->sin6_addr)) {
		uint32_t inner;

		memcpy(&inner, &six->sin6_addr.s6_addr[12], sizeof(inner));
		key.lo = inner;
	} else if (address->ss_family == AF_INET6) {
		memcpy(&key.hi, six->sin6_addr.s6_addr, IPV6_NETWORK_BITS / 8);
	} else if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) == 0) {
		key = (struct place_key){.hi = who.uid, .lo = (uint64_t)who.pid};
	}
	return key;
}

/* ---- who has to leave ---- */

/* Written past libmicrohttpd, which has answered nothing on this connection, or was never told of it. */
static void say(int fd, unsigned status, const char *name, const char *code, const char *message)
{
	char text[512], body[256];
	int size;

	snprintf(body, sizeof(body),
		 "{\"error\":{\"code\":\"%s\",\"message\":\"%s\",\"where\":\"\",\"help\":\"\"}}\n", code,
		 message);
	size = snprintf(text, sizeof(text),
			"HTTP/1.1 %u %s\r\nConnection: close\r\nContent-Type: application/json\r\n%s"
			"Content-Length: %zu\r\n\r\n%s",
			status, name, status == MHD_HTTP_SERVICE_UNAVAILABLE ? "Retry-After: 1\r\n" : "",
			strlen(body), body);
	(void)send(fd, text, (size_t)size, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void say_busy(int fd)
{
	say(fd, MHD_HTTP_SERVICE_UNAVAILABLE, "Service Unavailable", "busy",
	    "there are too many connections: come again");
}

/* libmicrohttpd finds a connection that has ended, and says so. */
static void send_away(struct listener *l, struct http_place *place, bool late)
{
	if (place->kind == PLACE_FRESH || place->kind == PLACE_BODY) {
		if (late)
			say(place->fd, MHD_HTTP_REQUEST_TIMEOUT, "Request Timeout", "timeout",
			    "the request took too long to come");
		else
			say_busy(place->fd);
	}
	if (!late)
		l->turned_away++;
	(void)shutdown(place->fd, SHUT_RDWR);
	(void)places_move(&l->places, place, PLACE_LEAVING, 0);
	l->resumed = true;
}

/* ---- those who come ---- */

/* The descriptors have run out, though some were kept: one more is kept just to say so. */
static int accept_last(struct listener *l)
{
	int fd;

	if (l->spare >= 0)
		close(l->spare);
	fd = gate_accept(l->fd, NULL, NULL);
	if (fd >= 0) {
		say_busy(fd);
		close(fd);
	}
	l->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
	return fd;
}

struct newcomer {
	int fd;
	struct sockaddr_storage address;
	socklen_t size;
};

/* false: there is no room for it yet. */
static bool enter(struct listener *l, const struct newcomer *n)
{
	struct place_key key = key_of(n->fd, &n->address);
	usec_t now = clock_mono_us();
	struct http_place *surplus;

	while ((surplus = places_surplus(&l->places, &key)) != NULL) {
		if (places_is_new(surplus, now))
			return false;
		send_away(l, surplus, false);
	}
	l->entering = places_enter(&l->places, &key, n->fd, now);
	(void)MHD_add_connection(l->daemon, n->fd, (const struct sockaddr *)&n->address, n->size);
	if (l->entering != NULL) /* it was closed at once */
		places_leave(&l->places, l->entering);
	l->entering = NULL;
	return true;
}

/* false: nobody else can be taken now. */
static bool take_one(struct listener *l)
{
	struct newcomer n = {.size = sizeof(n.address)};

	n.fd = gate_accept(l->fd, (struct sockaddr *)&n.address, &n.size);
	if (n.fd < 0 && (errno == EMFILE || errno == ENFILE)) {
		l->turned_away++;
		return accept_last(l) >= 0;
	}
	if (n.fd < 0)
		return false;
	if (n.fd >= l->api->services->descriptors.line) {
		l->turned_away++;
		say_busy(n.fd);
		close(n.fd);
		return true;
	}
	if (enter(l, &n))
		return true;
	l->newcomer = check_calloc(1, sizeof(n));
	*l->newcomer = n;
	loop_change(l->api->services->loop, &l->accept, 0);
	loop_timer_set(l->api->services->loop, &l->full, clock_mono_us() + FULL_US);
	return false;
}

static void take(struct listener *l)
{
	struct services *s = l->api->services;

	for (int i = 0; i < ACCEPTS_A_TURN && take_one(l); i++)
		;
	l->resumed = true;
	loop_defer(s->loop, s->turn);
}

static void on_accept(struct loop *loop, uint32_t events, void *arg)
{
	(void)loop;
	(void)events;
	take(arg);
}

static void on_full(struct loop *loop, void *arg)
{
	struct listener *l = arg;

	if (!enter(l, l->newcomer)) {
		loop_timer_set(loop, &l->full, clock_mono_us() + FULL_US);
		return;
	}
	free(l->newcomer);
	l->newcomer = NULL;
	loop_change(loop, &l->accept, EPOLLIN);
	take(l);
}

void door_on_connection(void *arg, struct MHD_Connection *connection, void **context,
			enum MHD_ConnectionNotificationCode code)
{
	struct listener *l = arg;

	(void)connection;
	if (code == MHD_CONNECTION_NOTIFY_STARTED) {
		*context = l->entering;
		l->entering = NULL;
	} else if (*context != NULL) {
		places_leave(&l->places, *context);
		*context = NULL;
	}
}

struct http_place *door_place(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info =
	    MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	CHECK(info != NULL && info->socket_context != NULL);
	return info->socket_context;
}

/* ---- a request on its way ---- */

static void move(struct request *r, enum place_kind kind)
{
	if (r->place->kind != kind)
		CHECK(places_move(&r->listener->places, r->place, kind, loop_now_us(r->services->loop)));
}

void door_body(struct request *r)
{
	move(r, PLACE_BODY);
}

static enum place_kind kind_of(enum route_id route)
{
	switch (route) {
	case ROUTE_wait:
	case ROUTE_wait_many:
		return PLACE_WAIT;
	case ROUTE_output:
		return PLACE_STREAM;
	case ROUTE_status:
	case ROUTE_cancel:
	case ROUTE_job:
	case ROUTE_metrics:
	case ROUTE_demand:
	case ROUTE_drain:
	case ROUTE_gone:
		return PLACE_FIRST;
	case ROUTE_plan:
	case ROUTE_written:
	case ROUTE_running:
	case ROUTE_live:
	case ROUTE_retry:
	case ROUTE_again:
	case ROUTE_changes:
		return PLACE_LONG;
	default:
		return PLACE_CALL;
	}
}

/* Clients that have gone while they waited: libmicrohttpd does not look at a connection that is suspended. */
static void reap(struct listener *l, enum place_kind kind)
{
	uint32_t n = 0;
	usec_t now = loop_now_us(l->api->services->loop);
	struct pollfd *fds;
	struct http_place *place, *next;

	if (now < l->reap_us)
		return;
	l->reap_us = now + REAP_US;
	fds = check_calloc(l->places.counts[kind] + 1, sizeof(*fds));
	DL_FOREACH (l->places.lists[kind], place)
		fds[n++] = (struct pollfd){.fd = place->fd, .events = POLLRDHUP};
	(void)poll(fds, n, 0);
	n = 0;
	DL_FOREACH_SAFE(l->places.lists[kind], place, next)
	{
		if (fds[n++].revents != 0)
			request_abandon(place->request);
	}
	free(fds);
}

bool door_call(struct request *r)
{
	struct listener *l = r->listener;
	enum place_kind kind = kind_of(r->route->id);
	struct error e = {0};

	r->place->request = r;
	if (kind == PLACE_WAIT && l->places.counts[kind] >= l->places.max[kind] / 2)
		reap(l, kind);
	if (places_move(&l->places, r->place, kind, loop_now_us(r->services->loop)))
		return true;
	l->turned_away++;
	error_set(&e, ERR_BUSY, "there are too many requests of this kind in work: come again");
	request_fail_status(r, MHD_HTTP_SERVICE_UNAVAILABLE, &e);
	return false;
}

void door_sending(struct request *r)
{
	r->place->request = NULL;
	if (r->place->kind != PLACE_STREAM)
		move(r, PLACE_SENDING);
}

void door_idle(struct request *r)
{
	r->place->request = NULL;
	move(r, PLACE_IDLE);
}

/* ---- time ---- */

void door_watch(struct listener *l)
{
	usec_t deadline = places_deadline(&l->places);

	if (l->late.place == 0 || l->late.deadline_us != deadline)
		loop_timer_set(l->api->services->loop, &l->late, deadline);
}

static void on_late(struct loop *loop, void *arg)
{
	struct listener *l = arg;
	struct http_place *place;

	while ((place = places_late(&l->places, loop_now_us(loop))) != NULL)
		send_away(l, place, true);
	loop_defer(loop, l->api->services->turn);
}

/* ---- open and close ---- */

int door_open(struct listener *l, struct error *reterr)
{
	places_init(&l->places, l->api->services->descriptors.http_places);
	l->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
	l->accept = (struct loop_watch){.fn = on_accept, .arg = l};
	l->late = (struct loop_timer){.fn = on_late, .arg = l};
	l->full = (struct loop_timer){.fn = on_full, .arg = l};
	return loop_add(l->api->services->loop, &l->accept, l->fd, EPOLLIN, reterr);
}

void door_close(struct listener *l)
{
	loop_remove(l->api->services->loop, &l->accept);
	loop_timer_unset(l->api->services->loop, &l->late);
	loop_timer_unset(l->api->services->loop, &l->full);
	if (l->newcomer != NULL)
		close(l->newcomer->fd);
	free(l->newcomer);
	l->newcomer = NULL;
	if (l->fd >= 0)
		close(l->fd);
	l->fd = -1;
}

void door_fini(struct listener *l)
{
	places_fini(&l->places);
	if (l->spare >= 0)
		close(l->spare);
}
