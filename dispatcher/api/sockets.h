/* Listening sockets of the API. The descriptors are non-blocking and close-on-exec. */
#pragma once

#include "base/error.h"

/* Mode 0600. A socket that nobody listens on any more is replaced; ERR_EXISTS when somebody does, or
 * when the path is something else. */
int socket_listen_unix(const char *path, int *ret_fd, struct error *reterr) MUST_CHECK;
/* "127.0.0.1:7171", "[::1]:7171", "host:7171". */
int socket_listen_tcp(const char *address, int *ret_fd, struct error *reterr) MUST_CHECK;
