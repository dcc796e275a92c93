/* What http.c and request.c share: the daemons of libmicrohttpd and who is connected. */
#pragma once

#include "dispatcher/api/request.h"

#define API_BODIES_BYTES_MAX (256 * MIB) /* of all requests in work */
#define API_STATUS_CLASSES 6
#define API_TOKEN_BYTES 64 /* hex digits */

/* One libmicrohttpd daemon: a socket and its epoll descriptor. */
struct listener {
	struct api *api;
	struct MHD_Daemon *daemon;
	struct loop_watch watch;
	struct loop_timer timer;
	int fd; /* listening; libmicrohttpd closes it */
	bool needs_token;
	bool resumed; /* a request was resumed: run it */
};

struct api {
	struct services *services;
	struct listener unix_listener, tcp_listener;
	char *socket_path;
	char token[API_TOKEN_BYTES + 1];
	size_t body_bytes; /* held now */
	struct request *requests;
	struct job_waits *waits;
	struct seen *seen; /* attempts that were listed as running */
	uint64_t served, failed;
	uint64_t answers[ROUTE_COUNT + 1][API_STATUS_CLASSES]; /* by route, the last for none; 1: 1xx, … */
	bool closing;
};

/* Called for each request when its head has come: false when it was answered already (with an error). */
bool request_open(struct request *r, const char *method, const char *path);
bool token_is_right(const struct api *api, const char *authorization);
/* keys/api-token, made when it is missing. */
int token_load(struct api *api, struct error *reterr) MUST_CHECK;
