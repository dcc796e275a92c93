/* One HTTP request, from its first header to its last byte, and the ways to answer it. */
#pragma once

#include <jansson.h>
#include <microhttpd.h>

#include "base/buf.h"
#include "base/limits.h"
#include "base/loop.h"
#include "dispatcher/api/api.h"
#include "dispatcher/api/routes.h"
#include "jobs/api/values.h"
#include "dispatcher/services.h"

struct listener;

struct request {
	struct api *api;
	struct services *services;
	struct listener *listener;
	struct MHD_Connection *connection;
	const struct route *route;
	char argument[NAME_BYTES_MAX + 1]; /* what stood in {…} */
	struct buf body;
	struct http_place *place; /* of its connection */
	bool too_large;
	bool refused;	  /* before its body was read */
	bool gone;	  /* its client is */
	size_t swallowed; /* bytes of a body that nobody wants */
	bool dispatched;  /* its handler was called */
	bool in_handler;  /* inside a callback of libmicrohttpd */
	bool suspended;
	bool ready; /* response may go out */
	unsigned status;
	struct MHD_Response *response;
	struct port_wait durable;    /* until what it answers is */
	void *state;		     /* the handler's */
	void (*state_fini)(void *);  /* may be NULL */
	bool may_leave;		     /* it only waits: the state may be freed at any time */
	struct request *prev, *next; /* all of the API's */
};

typedef void api_handler(struct request *r);

/* Answers. Each is given once; value is taken over. The status of an error follows from its code. */
void request_answer(struct request *r, unsigned status, json_t *value);
/* The same of JSON as text, which is taken over. */
void request_answer_text(struct request *r, unsigned status, struct buf *text);
void request_fail(struct request *r, const struct error *e);
/* The server has no room: 429, or 503 when the disk is full. */
void request_fail_room(struct request *r, const struct error *e);
void request_fail_status(struct request *r, unsigned status, const struct error *e);
/* A response made by hand; taken over. */
void request_answer_response(struct request *r, unsigned status, struct MHD_Response *response);

/* They are bytes, and whose the header Shardmill-Attempt says, unless the token is none (lease 0). */
void response_is_bytes(struct MHD_Response *response, struct token token, uint32_t shard);

/* "" when it is not there. */
const char *request_query(struct request *r, const char *name);
const char *request_header(struct request *r, const char *name);
/* The value of ?name= as a number, by its row of queries.def. ERR_INVALID. */
int request_number(struct request *r, const char *name, uint64_t *ret, struct error *reterr) MUST_CHECK;
/* The same where the bounds are the job's: from min to max; fallback when it is not there. */
int request_query_number(struct request *r, const char *name, uint64_t min, uint64_t max, uint64_t fallback,
			 uint64_t *ret, struct error *reterr) MUST_CHECK;
/* The job that the path names; false: it was answered with the error. */
bool request_job(struct request *r, uint64_t *ret) MUST_CHECK;
/* ?stream=: is it stderr? ERR_INVALID. */
int request_stream(struct request *r, bool *ret_err, struct error *reterr) MUST_CHECK;
/* The body as a JSON object (a new reference; an empty body is an empty object); NULL: answered. */
json_t *request_object(struct request *r) MUST_CHECK;
/* The handlers, named by routes.def. */
#define ROUTE(id, ...) api_handler api_##id;
#include "dispatcher/api/routes.def"
#undef ROUTE
