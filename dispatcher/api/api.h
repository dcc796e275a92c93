/* The HTTP API (routes.def): libmicrohttpd in the loop's own epoll, on a Unix socket and, with a token,
 * on TCP. Knows HTTP and JSON; what happens is the core's.
 *
 * A file per group of routes; each handler answers its request at once or arranges that somebody does.
 * No answer shows what is not durable: it waits for the last lsn of the moment it was made. */
#pragma once

#include "base/error.h"

struct api;
struct services;

/* Listens: on the Unix socket (an abandoned one is replaced) and, where told, on TCP. */
int api_open(struct services *s, struct error *reterr) MUST_CHECK;
/* Answers all who wait with 503 and closes. */
void api_close(struct services *s);
/* Once a turn: requests whose answers are ready go on. NULL is fine. */
void api_turn(struct api *api);
