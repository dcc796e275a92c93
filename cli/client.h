/* The API's client: calls, answers as JSON, errors as the API tells them, patience with a dispatcher
 * that is being started again. Blocks; one thread.
 *
 * A dispatcher that nobody has reached yet and that does not answer is an error at once. One that was
 * reached, or whose connection broke, is asked again for patience_us; so is one that says to come
 * again later. A call that is not repeatable is sent again only when it certainly was not taken. */
#pragma once

#include <jansson.h>
#include <signal.h>

#include "base/http_client.h"
#include "base/params.h"

#define CLIENT_PATIENCE_US (15 * USEC_PER_SEC)

struct client {
	struct http_client *http;
	char *address;	     /* for people */
	char *authorization; /* a header; NULL: none */
	usec_t patience_us;
	usec_t deadline_us; /* mono; waiting ends then in any case; USEC_NEVER */
	bool reached;	    /* something has answered */
	/* The dispatcher is away (true), or back (false); may be NULL. */
	void (*on_away)(void *arg, bool away);
	void *on_away_arg;
	const volatile sig_atomic_t *interrupted; /* waiting ends when it is set; may be NULL */
};

struct client_request {
	const char *method; /* "GET", "POST" */
	const char *path;   /* escaped: client_escape */
	struct bytes body;
	const char *key; /* Idempotency-Key; NULL: none */
	bool patient;	 /* the answer may take as long as it likes */
	bool repeatable; /* any number of times is as good as once; GETs are */
	/* Gets the bytes of the answer piece by piece; nothing is asked again once it got some. */
	int (*take)(void *arg, struct bytes piece);
	void *take_arg;
	struct http_header *wanted; /* a header of the answer; NULL: none */
};

struct client_answer {
	unsigned status;
	struct buf body;
	json_t *json; /* NULL when take got the answer */
};

/* Where the API is: --api, --api-socket, or the state directory's. */
int client_open(struct client *c, const struct params *params, struct error *reterr) MUST_CHECK;
/* An all-zero one is fine. */
void client_close(struct client *c);

/* 0: a 2xx answer; client_answer_fini is then due. ERR_CLOSED: nobody answers there. ERR_TIMEOUT: the
 * deadline, or interrupted. Else the API's own error. */
int client_call(struct client *c, const struct client_request *request, struct client_answer *ret,
		struct error *reterr) MUST_CHECK;
int client_get(struct client *c, const char *path, struct client_answer *ret,
	       struct error *reterr) MUST_CHECK;
/* body is taken over; NULL: none. repeatable as above. */
int client_post(struct client *c, const char *path, json_t *body, bool repeatable, struct client_answer *ret,
		struct error *reterr) MUST_CHECK;
void client_answer_fini(struct client_answer *a);
/* Appends text as it may stand in a query. */
void client_escape(struct buf *out, const char *text);
/* 32 random hex digits, for ids and keys. */
void client_random_id(char id[static 33]);
