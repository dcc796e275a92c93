#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/http_client.h"
#include "tests/support/scratch.h"

TestSuite(http_client, .init = scratch_make, .fini = scratch_remove, .timeout = 20);

/* A server that reads one request a connection, answers with what it was given, and closes. */
struct server {
	int fd;
	const char *answer; /* NULL: none, until the client has gone */
	char request[4096];
	pthread_t thread;
};

static void *serve(void *arg)
{
	struct server *s = arg;
	int fd = accept(s->fd, NULL, NULL);
	size_t used = 0;
	ssize_t got;

	while (strstr(s->request, "\r\n\r\n") == NULL ||
	       (strncmp(s->request, "POST", 4) == 0 && strstr(s->request, "}") == NULL)) {
		got = read(fd, s->request + used, sizeof s->request - 1 - used);
		if (got <= 0)
			break;
		used += (size_t)got;
	}
	if (s->answer != NULL)
		got = write(fd, s->answer, strlen(s->answer));
	else
		got = read(fd, s->request, 1);
	close(fd);
	return NULL;
}

static void server_start(struct server *s, const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
	s->fd = socket(AF_UNIX, SOCK_STREAM, 0);
	cr_assert_eq(bind(s->fd, (struct sockaddr *)&a, sizeof a), 0);
	cr_assert_eq(listen(s->fd, 4), 0);
	cr_assert_eq(pthread_create(&s->thread, NULL, serve, s), 0);
}

static void server_end(struct server *s)
{
	pthread_join(s->thread, NULL);
	close(s->fd);
}

Test(http_client, posts_and_reads_the_answer)
{
	static const char *const headers[] = {"Idempotency-Key: k1", NULL};
	struct server s = {.answer = "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 3\r\n"
				     "Content-Length: 4\r\n\r\nfull"};
	const struct http_call call = {.method = "POST",
				       .path = "/v1/jobs?x=%20",
				       .body = BYTES_LIT("{\"a\":1}"),
				       .headers = headers,
				       .timeout_us = 5 * USEC_PER_SEC};
	struct http_answer answer;
	struct http_client *c;
	struct error e;

	server_start(&s, scratch_path("sock"));
	cr_assert_eq(http_client_create(scratch_path("sock"), &c, &e), 0);
	cr_assert_eq(http_client_call(c, &call, &answer, &e), 0, "%s", e.what);
	cr_expect_eq(answer.status, 429);
	cr_expect_eq(answer.retry_after_us, 3 * USEC_PER_SEC);
	cr_expect_str_eq((char *)answer.body.data, "full");
	http_answer_fini(&answer);
	server_end(&s);
	cr_expect_eq(strncmp(s.request, "POST /v1/jobs?x=%20 HTTP/1.1\r\n", 30), 0, "%s", s.request);
	cr_expect_not_null(strstr(s.request, "\r\nIdempotency-Key: k1\r\n"));
	cr_expect_not_null(strstr(s.request, "\r\nContent-Type: application/json\r\n"));
	cr_expect_not_null(strstr(s.request, "\r\n\r\n{\"a\":1}"));
	http_client_destroy(c);
}

static int take_and_look(void *arg, struct bytes piece)
{
	const struct http_header *wanted = arg;

	cr_expect_eq(piece.size, 3);
	cr_expect_str_eq(wanted->value, "1-5-3", "it is there before the body is");
	return 0;
}

Test(http_client, a_header_that_is_wanted_is_given)
{
	static const struct {
		const char *answer, *value;
	} cases[] = {
	    {"HTTP/1.1 100 Continue\r\nWanted: no\r\n\r\n"
	     "HTTP/1.1 200 OK\r\nNot-Wanted: x\r\nwANTED: \t 1-5-3 \r\nContent-Length: 3\r\n\r\nabc",
	     "1-5-3"},
	    {"HTTP/1.1 100 Continue\r\nWanted: no\r\n\r\nHTTP/1.1 200 OK\r\nWanted-Too: x\r\n"
	     "Content-Length: 0\r\n\r\n",
	     ""},
	    {"HTTP/1.1 200 OK\r\nWanted:\r\nContent-Length: 0\r\n\r\n", ""},
	};
	struct http_client *c;

	cr_assert_eq(http_client_create(scratch_path("wanted"), &c, NULL), 0);
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct http_header wanted = {.name = "Wanted", .value = "of the call before"};
		const struct http_call get = {.method = "GET",
					      .path = "/",
					      .take = take_and_look,
					      .take_arg = &wanted,
					      .wanted = &wanted};
		struct server s = {.answer = cases[i].answer};
		struct http_answer answer;
		struct error e = {0};

		server_start(&s, scratch_path("wanted"));
		cr_assert_eq(http_client_call(c, &get, &answer, &e), 0, "%s", e.what);
		http_answer_fini(&answer);
		server_end(&s);
		unlink(scratch_path("wanted"));
		cr_expect_str_eq(wanted.value, cases[i].value);
	}
	http_client_destroy(c);
}

static int stop_at_once(void *arg, struct bytes piece)
{
	*(size_t *)arg += piece.size;
	return 1;
}

Test(http_client, what_goes_wrong_has_its_code)
{
	const struct http_call get = {.method = "GET", .path = "/", .timeout_us = 200 * USEC_PER_MSEC};
	struct server silent = {.answer = NULL},
		      cut = {.answer = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab"},
		      long_one = {.answer = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"};
	struct http_call taken = get;
	size_t size = 0;
	struct http_answer answer;
	struct http_client *c;
	struct error e;
	char path[300];

	cr_assert_eq(http_client_create(scratch_path("nobody"), &c, &e), 0);
	cr_expect_eq(http_client_call(c, &get, &answer, &e), ERR_CLOSED, "%s", e.what);
	http_client_destroy(c);
	server_start(&silent, scratch_path("silent"));
	cr_assert_eq(http_client_create(scratch_path("silent"), &c, &e), 0);
	cr_expect_eq(http_client_call(c, &get, &answer, &e), ERR_TIMEOUT, "%s", e.what);
	http_client_destroy(c);
	server_end(&silent);
	server_start(&cut, scratch_path("cut"));
	cr_assert_eq(http_client_create(scratch_path("cut"), &c, &e), 0);
	cr_expect_eq(http_client_call(c, &get, &answer, &e), ERR_IO, "%s", e.what);
	http_client_destroy(c);
	server_end(&cut);
	server_start(&long_one, scratch_path("long"));
	cr_assert_eq(http_client_create(scratch_path("long"), &c, &e), 0);
	taken.take = stop_at_once;
	taken.take_arg = &size;
	cr_expect_eq(http_client_call(c, &taken, &answer, &e), ERR_CLOSED, "%s", e.what);
	cr_expect_eq(size, 3);
	http_client_destroy(c);
	server_end(&long_one);
	/* libcurl knows no such port: waiting for a dispatcher would not help. */
	cr_assert_eq(http_client_create("http://127.0.0.1:99999", &c, &e), 0);
	cr_expect_eq(http_client_call(c, &get, &answer, &e), ERR_INVALID, "%s", e.what);
	cr_expect_not_null(strstr(e.what, "libcurl"), "%s", e.what);
	http_client_destroy(c);
	memset(path, 'x', sizeof path - 1);
	path[sizeof path - 1] = '\0';
	cr_expect_eq(http_client_create(path, &c, &e), ERR_LIMIT);
}
