/* A listener's door: connections are taken here, given to libmicrohttpd, and watched over. Each has a place
 * (places.h); who takes too long, or is the oldest when there is no room, is told so and has to leave. */
#pragma once

#include "dispatcher/api/listener.h"

int door_open(struct listener *l, struct error *reterr) MUST_CHECK;
/* Nobody comes in any more. */
void door_close(struct listener *l);
/* After libmicrohttpd's daemon has ended. */
void door_fini(struct listener *l);

/* After libmicrohttpd ran: looks again when the first of them will have taken too long. */
void door_watch(struct listener *l);

struct http_place *door_place(struct MHD_Connection *connection);
/* libmicrohttpd's MHD_OPTION_NOTIFY_CONNECTION, with the listener. */
void door_on_connection(void *arg, struct MHD_Connection *connection, void **context,
			enum MHD_ConnectionNotificationCode code);

/* The body is awaited; the handler is called; the answer goes out; it is over. */
void door_body(struct request *r);
/* false: there is no place for such requests now, and it was answered with 503. */
bool door_call(struct request *r);
void door_sending(struct request *r);
void door_idle(struct request *r);

/* Has the head one length, and one that we understand? false: it was answered, and its connection will end.
 */
bool door_head_is_clear(struct request *r);
