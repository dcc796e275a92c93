/* HTTP requests to the API over its Unix socket or TCP (libcurl): for the command and the scaler.
 *
 * Calls block, bounded by their timeout; the connection is kept between calls and made anew when it
 * was lost. Answers are bounded. Not thread safe; one client a thread. */
#pragma once

#include "base/buf.h"
#include "base/error.h"

#define HTTP_ANSWER_BYTES_MAX ((size_t)64 << 20)

/* A trailer of an answer that ends before its time: the error as JSON. Who gets a body piece by piece asks
 * for it; to others such an answer is one that was cut off. */
#define HTTP_FAILURE_TRAILER "Shardmill-Error"

struct http_client;

/* A header of the answer that somebody wants: "" when there is none, cut to its room. It is there before
 * the body's first piece is. */
struct http_header {
	const char *name;
	char value[128];
};

struct http_call {
	const char *method;	    /* "GET" */
	const char *path;	    /* "/v1/jobs?limit=5", escaped already */
	struct bytes body;	    /* data NULL = none */
	const char *type;	    /* of the body; NULL = application/json */
	const char *const *headers; /* "Name: value", NULL-terminated; NULL = none */
	usec_t timeout_us;	    /* of the whole call; 0 = as long as it takes */
	/* Gets the body of a 2xx piece by piece, instead of the answer; anything but 0 ends the call with
	 * ERR_CLOSED. NULL = the answer gets it. */
	int (*take)(void *arg, struct bytes piece);
	void *take_arg;
	struct http_header *wanted; /* NULL = none */
};

struct http_answer {
	unsigned status;
	usec_t retry_after_us; /* 0 = not said */
	struct buf body;       /* with a NUL behind it that is not counted */
	struct buf failure;    /* the trailer; empty: the body is whole */
};

/* address: the path of a Unix socket, or http://host:port. */
int http_client_create(const char *address, struct http_client **ret, struct error *reterr) MUST_CHECK;
void http_client_destroy(struct http_client *c); /* NULL is fine */

/* 0 whenever an answer came, whatever its status; http_answer_fini is then due. ERR_CLOSED: nobody
 * listens there; ERR_TIMEOUT; ERR_LIMIT: the answer is larger than HTTP_ANSWER_BYTES_MAX; ERR_IO. */
int http_client_call(struct http_client *c, const struct http_call *call, struct http_answer *ret,
		     struct error *reterr) MUST_CHECK;
void http_answer_fini(struct http_answer *a);
