/* The HTTP API (routes.def): libmicrohttpd in the loop's own epoll, on a Unix socket and, with a token,
 * on TCP. Knows HTTP and JSON; what happens is the core's.
 *
 * A file per group of routes; each handler answers its request at once or arranges that somebody does.
 * No answer shows what is not durable: it waits for the last lsn of the moment it was made. */
#pragma once

struct api;

/* Once a turn: requests whose answers are ready go on. NULL is fine. */
void api_turn(struct api *api);
