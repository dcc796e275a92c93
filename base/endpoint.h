/* The one place where sockets between daemons are opened: a ROUTER for the dispatcher, a DEALER for
 * each worker, both CURVE, one frame a message.
 *
 * Thread: the one that created it. A frame that was received lives until the next receive. */
#pragma once

#include "base/keys.h"

struct endpoint;

struct endpoint_frame {
	uint64_t peer;	     /* of a ROUTER: a number for the connection; libzmq counts them, 32 bits */
	enum peer_role role; /* of a ROUTER: from the ZAP handler, never from the peer */
	const char *name;    /* likewise: its key's, as in `allowed` */
	struct bytes body;
};

enum endpoint_event {
	ENDPOINT_QUIET,
	ENDPOINT_CONNECTED,    /* handshake done */
	ENDPOINT_DISCONNECTED, /* libzmq goes on trying */
	ENDPOINT_REFUSED,      /* the other side does not know our key, or is not who we think */
};

/* Binds; the ZAP handler must run, and the gate (gate.h) be open where strangers may come. Frames of more
 * than WIRE_FRAME_BYTES_MAX end their peer's connection. Fails when libzmq cannot enforce a ZAP domain. */
int endpoint_bind(void *context, const char *address, const struct key_pair *own, int backlog,
		  struct endpoint **ret, struct error *reterr) MUST_CHECK;
/* Connects now and, by libzmq, again and again; server_key is the dispatcher's public key. */
int endpoint_connect(void *context, const char *address, const struct key_pair *own, const char *server_key,
		     struct endpoint **ret, struct error *reterr) MUST_CHECK;
/* Sends what is queued for at most linger_ms; accepts NULL. */
void endpoint_destroy(struct endpoint *e, int linger_ms);

/* Becomes readable when something may have happened (edge-triggered: after each wake, and after each
 * send, call endpoint_receive until it returns 0). */
int endpoint_fd(const struct endpoint *e);
/* The address bound, with the port that the system chose for `:0` or `:*`. */
const char *endpoint_address(const struct endpoint *e);

/* 1 and *ret, or 0: nothing waits. Frames that are not one part are dropped and counted. */
int endpoint_receive(struct endpoint *e, struct endpoint_frame *ret);
/* ERR_CLOSED: no such peer any more. ERR_BUSY: its queue is full, try later. peer of a DEALER: 0. */
int endpoint_send(struct endpoint *e, uint64_t peer, struct bytes body) MUST_CHECK;
/* What happened to a DEALER's connection since the last call, oldest first; ENDPOINT_QUIET at the end. */
enum endpoint_event endpoint_next_event(struct endpoint *e);
int endpoint_event_fd(const struct endpoint *e);
