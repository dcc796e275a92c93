#include "tests/unit/s3/server.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ASKED_MAX 256
#define ASKED_BYTES 4096

static int listener = -1;
static pthread_t thread;
static const char *const *script;
static char address[64];
static char asked[ASKED_MAX][ASKED_BYTES];
static size_t count; /* under the lock */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* Headers, and as much of a body as Content-Length says. */
static void read_request(int fd, char *to)
{
	size_t used = 0, body = 0, whole = 0;

	while (used < ASKED_BYTES - 1 && (whole == 0 || used < whole + body)) {
		ssize_t got = read(fd, to + used, ASKED_BYTES - 1 - used);
		const char *end, *length;

		if (got <= 0)
			break;
		used += (size_t)got;
		to[used] = '\0';
		end = strstr(to, "\r\n\r\n");
		if (end == NULL || whole > 0)
			continue;
		whole = (size_t)(end - to) + 4;
		length = strcasestr(to, "\r\nContent-Length: ");
		body = length != NULL && length < end ? (size_t)atol(length + 18) : 0;
	}
}

static void send_all(int fd, const char *text)
{
	size_t size = strlen(text);

	while (size > 0) {
		ssize_t put = send(fd, text, size, MSG_NOSIGNAL);

		if (put <= 0)
			return;
		text += put;
		size -= (size_t)put;
	}
}

static void *serve(void *arg)
{
	(void)arg;
	for (size_t i = 0; script[i] != NULL; i++) {
		int fd = accept(listener, NULL, NULL);
		static char request[ASKED_BYTES];

		if (fd < 0)
			break;
		memset(request, 0, sizeof request);
		read_request(fd, request);
		pthread_mutex_lock(&lock);
		memcpy(asked[count++], request, sizeof request);
		pthread_mutex_unlock(&lock);
		send_all(fd, script[i]);
		shutdown(fd, SHUT_WR);
		while (read(fd, request, sizeof request) > 0)
			; /* so that what was sent is not thrown away by a reset */
		close(fd);
	}
	return NULL;
}

const char *server_start(const char *const *answers)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof at;

	script = answers;
	count = 0;
	memset(asked, 0, sizeof asked);
	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	cr_assert_geq(listener, 0);
	cr_assert_eq(bind(listener, (struct sockaddr *)&at, sizeof at), 0);
	cr_assert_eq(listen(listener, 8), 0);
	cr_assert_eq(getsockname(listener, (struct sockaddr *)&at, &size), 0);
	cr_assert_eq(pthread_create(&thread, NULL, serve, NULL), 0);
	snprintf(address, sizeof address, "http://127.0.0.1:%u", ntohs(at.sin_port));
	return address;
}

const char *server_asked(size_t number)
{
	const char *text;

	pthread_mutex_lock(&lock);
	text = number < count ? asked[number] : "";
	pthread_mutex_unlock(&lock);
	return text;
}

size_t server_count(void)
{
	size_t n;

	pthread_mutex_lock(&lock);
	n = count;
	pthread_mutex_unlock(&lock);
	return n;
}

void server_stop(void)
{
	shutdown(listener, SHUT_RDWR); /* ends an accept that nobody came to */
	pthread_join(thread, NULL);
	close(listener);
}
