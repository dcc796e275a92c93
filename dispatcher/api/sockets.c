#include "dispatcher/api/sockets.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/check.h"

#define BACKLOG 4096 /* the system has its own bound, too; who waits there costs no descriptor */

static int fail(int fd, const char *where, struct error *reterr)
{
	int saved = errno;

	if (fd >= 0)
		close(fd);
	error_set(reterr, saved == EADDRINUSE ? ERR_EXISTS : ERR_IO, "cannot listen for the API: %s",
		  strerror(saved));
	return error_where(reterr, "%s", where);
}

/* 0: there is nothing in the way (any more). */
static int clear_stale(const struct sockaddr_un *address, struct error *reterr)
{
	struct stat st;
	int fd, r;

	if (lstat(address->sun_path, &st) < 0)
		return 0;
	if (!S_ISSOCK(st.st_mode)) {
		error_set(reterr, ERR_EXISTS, "expected a path for the API's socket, found a file there");
		return error_where(reterr, "%s", address->sun_path);
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return fail(-1, address->sun_path, reterr);
	r = connect(fd, (const struct sockaddr *)address, sizeof(*address));
	if (r < 0 && errno != ECONNREFUSED)
		return fail(fd, address->sun_path, reterr);
	close(fd);
	if (r == 0) {
		error_set(reterr, ERR_EXISTS, "another process listens on the API's socket");
		error_help(reterr, "give each dispatcher an --api-socket of its own");
		return error_where(reterr, "%s", address->sun_path);
	}
	return unlink(address->sun_path) < 0 && errno != ENOENT ? fail(-1, address->sun_path, reterr) : 0;
}

int socket_listen_unix(const char *path, int *ret_fd, struct error *reterr)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd, r;

	if (strlen(path) >= sizeof(address.sun_path)) {
		error_set(reterr, ERR_INVALID, "expected a path of less than %zu bytes for the API's socket",
			  sizeof(address.sun_path));
		error_help(reterr, "choose a shorter one with --api-socket");
		return error_where(reterr, "%s", path);
	}
	memcpy(address.sun_path, path, strlen(path) + 1);
	r = clear_stale(&address, reterr);
	if (r < 0)
		return r;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* Until listen() nobody gets in: the mode is right before anybody can. */
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || chmod(path, 0600) < 0 ||
	    listen(fd, BACKLOG) < 0)
		return fail(fd, path, reterr);
	*ret_fd = fd;
	return 0;
}

static int listen_on(const struct addrinfo *info, const char *address, int *ret_fd, struct error *reterr)
{
	int fd = socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int on = 1;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    bind(fd, info->ai_addr, info->ai_addrlen) < 0 || listen(fd, BACKLOG) < 0)
		return fail(fd, address, reterr);
	*ret_fd = fd;
	return 0;
}

int socket_listen_tcp(const char *address, int *ret_fd, struct error *reterr)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
	const char *colon = strrchr(address, ':');
	char host[256];
	size_t length = colon != NULL ? (size_t)(colon - address) : 0;
	int r;

	if (length == 0 || length >= sizeof(host) || colon[1] == '\0') {
		error_set(reterr, ERR_INVALID, "expected HOST:PORT, as 127.0.0.1:7171");
		return error_where(reterr, "%s", address);
	}
	if (address[0] == '[' && address[length - 1] == ']')
		snprintf(host, sizeof(host), "%.*s", (int)length - 2, address + 1);
	else
		snprintf(host, sizeof(host), "%.*s", (int)length, address);
	r = getaddrinfo(host, colon + 1, &hints, &found);
	if (r != 0) {
		error_set(reterr, ERR_INVALID, "expected HOST:PORT: %s", gai_strerror(r));
		return error_where(reterr, "%s", address);
	}
	r = listen_on(found, address, ret_fd, reterr);
	freeaddrinfo(found);
	return r;
}
