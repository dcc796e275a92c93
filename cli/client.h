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
#include "jobs/api/objects.h"

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
	json_t *json;	 /* NULL when take got the answer */
	char asked[256]; /* for people: "GET /v1/jobs/7 at ADDRESS" */
};

/* A place in the state directory that the parameters name, or in the default one; free it. */
int client_state_path(const struct params *params, const char *name, char **ret,
		      struct error *reterr) MUST_CHECK;
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
/* o, body: as object_write; NULL: none. repeatable as above. */
int client_post(struct client *c, const char *path, const struct object_type *o, const void *body,
		bool repeatable, struct client_answer *ret, struct error *reterr) MUST_CHECK;
/* Appends a body: as object_write. */
void client_write(struct buf *out, const struct object_type *o, const void *body);
/* The answer as an object, whose texts and lists last as long as the answer. ERR_IO: a member is of another
 * type; the error names it and what was asked. The answer stays. */
int client_read(const struct client_answer *a, const struct object_type *o, void *ret,
		struct error *reterr) MUST_CHECK;
/* client_get and client_read. */
int client_get_object(struct client *c, const char *path, const struct object_type *o, void *ret,
		      struct client_answer *ret_answer, struct error *reterr) MUST_CHECK;
void client_answer_fini(struct client_answer *a);
/* The code of an error that the API tells; never ERR_OK. */
enum error_code client_error_code(const struct api_error *said);
/* Appends text as it may stand in a query. */
void client_escape(struct buf *out, const char *text);
/* 32 random hex digits and a NUL, for ids and keys. */
#define CLIENT_ID_BYTES 33
void client_random_id(char id[static CLIENT_ID_BYTES]);
