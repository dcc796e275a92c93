/* What http.c and request.c share: the daemons of libmicrohttpd and who is connected. */
#pragma once

#include "dispatcher/api/places.h"
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
	int fd; /* listening */
	bool needs_token;
	bool resumed; /* a request was resumed, or a connection came or was ended: run it */
	/* door.c's */
	struct loop_watch accept;
	struct loop_timer late, full;
	struct newcomer *newcomer; /* waits till others have had time to say something */
	struct places places;
	struct http_place *entering; /* libmicrohttpd is just being told of it */
	int spare;		     /* a descriptor, for saying that there are no more */
	usec_t reap_us;		     /* not before */
	uint64_t turned_away;	     /* connections and requests for which there was no place */
};

struct api {
	struct services *services;
	struct listener unix_listener, tcp_listener;
	char *socket_path;
	char token[API_TOKEN_BYTES + 1];
	char own_name[64]; /* of the user that we are; asker.c */
	size_t body_bytes; /* held now */
	struct request *requests;
	struct job_waits *waits;
	struct seen *seen;  /* attempts that were listed as running */
	struct buf openapi; /* made when it is first asked for */
	uint64_t served, failed;
	uint64_t answers[ROUTE_COUNT + 1][API_STATUS_CLASSES]; /* by route, the last for none; 1: 1xx, … */
	bool closing;
};

/* Its client has gone: it is given up, where its handler has told how. */
void request_abandon(struct request *r);
/* Before its body is read: it is answered at once, and its connection ends. */
void request_refuse(struct request *r, unsigned status, const struct error *e);
/* Called for each request when its head has come: false when it was answered already (with an error). */
bool request_open(struct request *r, const char *method, const char *path);
bool token_is_right(const struct api *api, const char *authorization);
/* keys/api-token, made when it is missing. */
int token_load(struct api *api, struct error *reterr) MUST_CHECK;
