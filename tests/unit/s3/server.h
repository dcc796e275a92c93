/* A server for one test: it answers each request with the next of the bytes that the test laid out, and
 * keeps what it was asked. One connection at a time, closed after each answer. */
#pragma once

#include <stddef.h>

/* Starts it on a free port of loopback; answers end with NULL.
 * Returns "http://127.0.0.1:PORT"; lives until the next. */
const char *server_start(const char *const *answers);
/* What request `number` (from 0) was: its line and headers; "" when it never came. */
const char *server_asked(size_t number);
size_t server_count(void);
/* Ends it, whether all answers were fetched or not. */
void server_stop(void);
