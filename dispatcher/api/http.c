#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <utlist.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/limits.h"
#include "dispatcher/api/asker.h"
#include "dispatcher/api/door.h"
#include "dispatcher/api/job_waits.h"
#include "dispatcher/api/seen.h"
#include "dispatcher/api/sockets.h"
#include "dispatcher/part.h"

#define IDLE_SECONDS 60u /* without a byte */
#define RUN_US (2 * USEC_PER_MSEC)
#define SWALLOW_BYTES                                                                                        \
	(8 * HTTP_BODY_BYTES_MAX) /* of a body that is too large, so that its sender reads why */

static api_handler *const handlers[ROUTE_COUNT] = {
#define ROUTE(id, ...) [ROUTE_##id] = api_##id,
#include "dispatcher/api/routes.def"
#undef ROUTE
};

/* ---- one request ---- */

static struct request *request_create(struct listener *l, struct MHD_Connection *connection)
{
	struct request *r = check_calloc(1, sizeof(*r));

	r->api = l->api;
	r->services = l->api->services;
	r->listener = l;
	r->connection = connection;
	r->place = door_place(connection);
	DL_APPEND(l->api->requests, r);
	return r;
}

static size_t body_cost(const struct request *r)
{
	return r->body.capacity > 0 ? heap_cost(r->body.capacity) : 0;
}

static void request_drop_body(struct request *r)
{
	r->api->body_bytes -= body_cost(r);
	buf_fini(&r->body);
}

static void request_destroy(struct request *r)
{
	if (r->response != NULL)
		MHD_destroy_response(r->response);
	if (r->state != NULL && r->state_fini != NULL)
		r->state_fini(r->state);
	port_wait_cancel(&r->durable);
	request_drop_body(r);
	DL_DELETE(r->api->requests, r);
	free(r);
}

static void on_completed(void *arg, struct MHD_Connection *connection, void **state,
			 enum MHD_RequestTerminationCode code)
{
	(void)arg;
	(void)connection;
	(void)code;
	if (*state != NULL) {
		door_idle(*state);
		request_destroy(*state);
	}
	*state = NULL;
}

/* Who may ask, and what for; false: it was answered. */
bool request_open(struct request *r, const char *method, const char *path)
{
	struct error e = {0};
	struct bytes argument;
	enum route_found found;

	if (r->listener->needs_token && !token_is_right(r->api, request_header(r, "Authorization"))) {
		error_set(&e, ERR_DENIED,
			  "expected the header Authorization: Bearer TOKEN with the API's token");
		error_help(&e, "the token stands in keys/api-token in the state directory");
		request_refuse(r, MHD_HTTP_UNAUTHORIZED, &e);
		return false;
	}
	found = route_find(method, path, &r->route, &argument);
	if (found == ROUTE_FOUND && argument.size < sizeof(r->argument)) {
		memcpy(r->argument, argument.data != NULL ? argument.data : (const uint8_t *)"",
		       argument.size);
		return true;
	}
	if (found == ROUTE_NO_METHOD) {
		char methods[64];

		error_set(&e, ERR_INVALID, "expected %s here, found %.20s",
			  route_methods(r->route, methods, sizeof(methods)), method);
	} else {
		error_set(&e, ERR_NOT_FOUND, "there is no such path");
		error_help(&e, "paths begin with /v1/, as /v1/jobs or /v1/status");
	}
	error_where(&e, "%.20s %.200s", method, path);
	request_fail_status(r, found == ROUTE_NO_METHOD ? MHD_HTTP_METHOD_NOT_ALLOWED : MHD_HTTP_NOT_FOUND,
			    &e);
	return false;
}

static void fail_too_large(struct request *r)
{
	struct error e = {0};

	error_set(&e, ERR_LIMIT, "expected a body of at most %llu bytes, found more", HTTP_BODY_BYTES_MAX);
	error_where(&e, "body");
	error_help(&e, "send events one by one; refer to large data by its path");
	request_fail_status(r, MHD_HTTP_CONTENT_TOO_LARGE, &e);
}

/* false: the connection is to be cut. */
static bool request_take(struct request *r, const char *data, size_t size)
{
	if (r->response != NULL || r->too_large) { /* read to its end, so that the sender reads the answer */
		r->swallowed += size;
		return r->swallowed <= SWALLOW_BYTES;
	}
	if (r->body.size + size > HTTP_BODY_BYTES_MAX) {
		r->too_large = true;
		request_drop_body(r);
		return true;
	}
	if (r->api->body_bytes + size > API_BODIES_BYTES_MAX) {
		struct error e = {0};

		error_set(&e, ERR_BUSY, "too many requests with bodies are in work");
		request_fail_status(r, MHD_HTTP_SERVICE_UNAVAILABLE, &e);
		return true;
	}
	r->api->body_bytes -= body_cost(r);
	buf_append(&r->body, data, size);
	r->api->body_bytes += body_cost(r);
	return true;
}

static enum MHD_Result queue(struct request *r)
{
	door_sending(r);
	return MHD_queue_response(r->connection, r->status, r->response);
}

static void fail_closing(struct request *r)
{
	struct error e = {0};

	error_set(&e, ERR_BUSY, "the dispatcher is stopping");
	request_fail_status(r, MHD_HTTP_SERVICE_UNAVAILABLE, &e);
}

static void dispatch(struct request *r)
{
	r->dispatched = true;
	r->api->served++;
	if (r->response != NULL)
		return;
	if (r->api->closing)
		fail_closing(r);
	else if (r->too_large)
		fail_too_large(r);
	else if (door_call(r))
		handlers[r->route->id](r);
}

static enum MHD_Result begin(struct listener *l, struct MHD_Connection *connection, const char *url,
			     const char *method, void **state)
{
	struct request *r = request_create(l, connection);
	const char *length;

	*state = r;
	if (!door_head_is_clear(r) || !request_open(r, method, url))
		return r->refused ? queue(r) : MHD_YES;
	door_body(r);
	length = request_header(r, "Content-Length");
	if (strlen(length) > 18 || strtoull(length, NULL, 10) > HTTP_BODY_BYTES_MAX) {
		r->too_large = true;
		if (strlen(length) > 18 || strtoull(length, NULL, 10) > SWALLOW_BYTES) {
			fail_too_large(r);
			r->dispatched = true;
			if (r->ready)
				return queue(r);
		}
	}
	return MHD_YES;
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *connection, const char *url,
				  const char *method, const char *version, const char *upload,
				  size_t *upload_size, void **state)
{
	struct request *r = *state;

	(void)version;
	if (r == NULL)
		return begin(arg, connection, url, method, state);
	if (*upload_size > 0) {
		bool go_on = request_take(r, upload, *upload_size);

		*upload_size = 0;
		return go_on ? MHD_YES : MHD_NO;
	}
	if (r->gone)
		return MHD_NO;
	r->in_handler = true;
	if (!r->dispatched)
		dispatch(r);
	r->in_handler = false;
	if (r->ready)
		return queue(r);
	r->suspended = true;
	MHD_suspend_connection(connection);
	return MHD_YES;
}

/* ---- the daemon in our loop ---- */

static void listener_run(struct listener *l)
{
	MHD_UNSIGNED_LONG_LONG timeout_ms;
	usec_t until_us = clock_mono_us() + RUN_US;

	do {
		l->resumed = false;
		(void)MHD_run(l->daemon);
	} while (l->resumed && clock_mono_us() < until_us);
	if (l->resumed) /* others have their turn first */
		loop_defer(l->api->services->loop, l->api->services->turn);
	if (MHD_get_timeout(l->daemon, &timeout_ms) == MHD_YES)
		loop_timer_set(l->api->services->loop, &l->timer,
			       clock_mono_us() + (usec_t)timeout_ms * USEC_PER_MSEC);
	else
		loop_timer_unset(l->api->services->loop, &l->timer);
	door_watch(l);
}

static void on_ready(struct loop *loop, uint32_t events, void *arg)
{
	(void)loop;
	(void)events;
	listener_run(arg);
}

static void on_timer(struct loop *loop, void *arg)
{
	(void)loop;
	listener_run(arg);
}

static int listener_open(struct api *api, struct listener *l, struct error *reterr)
{
	const union MHD_DaemonInfo *info;

	l->api = api;
	l->spare = -1;
	l->daemon = MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_NO_LISTEN_SOCKET, 0,
				     NULL, NULL, on_request, l, MHD_OPTION_CONNECTION_LIMIT,
				     (unsigned)api->services->descriptors.line, MHD_OPTION_CONNECTION_TIMEOUT,
				     IDLE_SECONDS, MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL,
				     MHD_OPTION_NOTIFY_CONNECTION, door_on_connection, l, MHD_OPTION_END);
	if (l->daemon == NULL) {
		close(l->fd);
		return error_set(reterr, ERR_IO, "the HTTP server does not start");
	}
	info = MHD_get_daemon_info(l->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	CHECK(info != NULL);
	l->watch = (struct loop_watch){.fn = on_ready, .arg = l};
	l->timer = (struct loop_timer){.fn = on_timer, .arg = l};
	if (loop_add(api->services->loop, &l->watch, info->epoll_fd, EPOLLIN, reterr) < 0)
		return reterr->code;
	return door_open(l, reterr);
}

static void listener_close(struct listener *l)
{
	if (l->daemon == NULL)
		return;
	loop_remove(l->api->services->loop, &l->watch);
	loop_timer_unset(l->api->services->loop, &l->timer);
	door_close(l);
	(void)MHD_run(l->daemon);
	MHD_stop_daemon(l->daemon);
	l->daemon = NULL;
	door_fini(l);
}

/* ---- open and close ---- */

static int api_open(struct services *s, struct error *reterr)
{
	struct api *api = s->api = check_calloc(1, sizeof(*api));
	const char *tcp = params_text(s->params, PARAM_API_LISTEN);
	const char *path = params_text(s->params, PARAM_API_SOCKET);
	int r;

	api->services = s;
	asker_open(api);
	api->waits = job_waits_create(s);
	api->seen = seen_create();
	api->socket_path = path[0] != '\0' ? strdup(path) : statedir_path(&s->state, "api.sock");
	CHECK(api->socket_path != NULL);
	r = socket_listen_unix(api->socket_path, &api->unix_listener.fd, reterr);
	if (r == 0)
		r = listener_open(api, &api->unix_listener, reterr);
	if (r < 0 || tcp[0] == '\0')
		return r;
	r = token_load(api, reterr);
	if (r == 0)
		r = socket_listen_tcp(tcp, &api->tcp_listener.fd, reterr);
	api->tcp_listener.needs_token = true;
	return r < 0 ? r : listener_open(api, &api->tcp_listener, reterr);
}

void api_turn(struct api *api)
{
	if (api == NULL)
		return;
	if (api->unix_listener.resumed)
		listener_run(&api->unix_listener);
	if (api->tcp_listener.resumed)
		listener_run(&api->tcp_listener);
}

static void api_close(struct services *s)
{
	struct api *api = s->api;
	struct request *r;
	struct error e = {0};

	if (api == NULL)
		return;
	api->closing = true;
	error_set(&e, ERR_BUSY, "the dispatcher is stopping");
	DL_FOREACH (api->requests, r) {
		if (!r->suspended)
			continue;
		if (r->response == NULL)
			request_fail_status(r, MHD_HTTP_SERVICE_UNAVAILABLE, &e);
		r->ready = true;
		if (r->suspended) {
			r->suspended = false;
			MHD_resume_connection(r->connection);
		}
	}
	listener_close(&api->unix_listener);
	listener_close(&api->tcp_listener);
	if (api->socket_path != NULL && api->unix_listener.api != NULL)
		(void)unlink(api->socket_path);
	job_waits_destroy(api->waits);
	seen_destroy(api->seen);
	buf_fini(&api->openapi);
	free(api->socket_path);
	explicit_bzero(api->token, sizeof(api->token));
	free(api);
	s->api = NULL;
}

const struct part part_api = {.name = "api", .open = api_open, .close = api_close};
