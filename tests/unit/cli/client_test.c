/* What the client makes of a dispatcher that stumbles: a server plays back what it was told. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/client.h"
#include "tests/support/scratch.h"

#define ANSWERS_MAX 4

static struct {
	int fd;
	const char *answers[ANSWERS_MAX]; /* one a connection; "" cuts it before any */
	char requests[ANSWERS_MAX][1024];
	int served;
	pthread_t thread;
} server;

static const struct api_reason none;
static struct client client;
static struct params params;
static struct error e;
static int away_calls, back_calls;

static void *serve(void *arg)
{
	(void)arg;
	for (int i = 0; i < ANSWERS_MAX && server.answers[i] != NULL; i++) {
		int fd = accept(server.fd, NULL, NULL);
		size_t used = 0;
		ssize_t got = 1;

		if (fd < 0)
			return NULL; /* nobody asks any more */
		while (got > 0 && strstr(server.requests[i], "\r\n\r\n") == NULL) {
			got = read(fd, server.requests[i] + used, sizeof(server.requests[i]) - 1 - used);
			used += got > 0 ? (size_t)got : 0;
		}
		got = write(fd, server.answers[i], strlen(server.answers[i]));
		server.served++;
		close(fd);
	}
	return NULL;
}

static void on_away(void *arg, bool away)
{
	(void)arg;
	(*(away ? &away_calls : &back_calls))++;
}

static void setup(void)
{
	scratch_make();
	memset(&server, 0, sizeof(server));
	e = (struct error){0};
	away_calls = back_calls = 0;
	params_init(&params, PARAM_SCOPE_CLI);
	cr_assert_eq(params_set(&params, PARAM_API_SOCKET, bytes_of(scratch_path("api.sock")),
				PARAM_FROM_FLAG, NULL, NULL),
		     0);
	cr_assert_eq(client_open(&client, &params, &e), 0, "%s", e.what);
	client.on_away = on_away;
}

static void teardown(void)
{
	client_close(&client);
	params_fini(&params);
	scratch_remove();
}

TestSuite(client, .init = setup, .fini = teardown, .timeout = 30);

static void begin(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", scratch_path("api.sock"));
	server.fd = socket(AF_UNIX, SOCK_STREAM, 0);
	cr_assert_eq(bind(server.fd, (struct sockaddr *)&a, sizeof(a)), 0);
	cr_assert_eq(listen(server.fd, 4), 0);
	cr_assert_eq(pthread_create(&server.thread, NULL, serve, NULL), 0);
}

static void end(void)
{
	shutdown(server.fd, SHUT_RDWR);
	pthread_join(server.thread, NULL);
	close(server.fd);
}

#define HEAD(status) "HTTP/1.1 " status "\r\nConnection: close\r\n"
#define FINE HEAD("200 OK") "Content-Length: 8\r\n\r\n{\"a\": 1}"

Test(client, a_get_whose_connection_breaks_is_asked_again)
{
	struct client_answer answer;

	server.answers[0] = "";
	server.answers[1] = FINE;
	begin();
	cr_assert_eq(client_get(&client, "/v1/status", &answer, &e), 0, "%s", e.what);
	end();
	cr_assert_eq(json_integer_value(json_object_get(answer.json, "a")), 1);
	cr_assert_eq(server.served, 2);
	cr_assert_eq(away_calls, 1);
	cr_assert_eq(back_calls, 1);
	client_answer_fini(&answer);
}

Test(client, come_again_later_is_done)
{
	struct client_answer answer;
	usec_t before = clock_mono_us();

	server.answers[0] = HEAD("503 Busy") "Retry-After: 1\r\n\r\n"
					     "{\"error\": {\"code\": \"busy\"    }}";
	server.answers[1] = FINE;
	begin();
	cr_assert_eq(client_post(&client, "/v1/jobs", object_reason(), &none, false, &answer, &e), 0, "%s",
		     e.what);
	end();
	cr_assert_geq(clock_mono_us() - before, USEC_PER_SEC);
	cr_assert_eq(server.served, 2);
	client_answer_fini(&answer);
}

Test(client, what_may_have_been_taken_is_not_sent_twice)
{
	struct client_answer answer;

	server.answers[0] = "";
	server.answers[1] = FINE;
	begin();
	cr_assert_eq(client_post(&client, "/v1/jobs", object_reason(), &none, false, &answer, &e),
		     ERR_CLOSED);
	end();
	cr_assert_eq(server.served, 1);
	cr_assert_not_null(strstr(e.help, "not known"), "%s", e.help);
}

Test(client, what_is_idempotent_is_sent_with_its_key_again)
{
	struct client_request q = {
	    .method = "POST", .path = "/v1/jobs", .body = BYTES_LIT("{}"), .key = "k7", .repeatable = true};
	struct client_answer answer;

	server.answers[0] = "";
	server.answers[1] = FINE;
	begin();
	cr_assert_eq(client_call(&client, &q, &answer, &e), 0, "%s", e.what);
	end();
	cr_assert_not_null(strstr(server.requests[0], "Idempotency-Key: k7\r\n"));
	cr_assert_not_null(strstr(server.requests[1], "Idempotency-Key: k7\r\n"));
	client_answer_fini(&answer);
}

Test(client, patience_ends)
{
	struct client_answer answer;

	client.patience_us = 500 * USEC_PER_MSEC;
	client.reached = true;
	cr_assert_eq(client_get(&client, "/v1/status", &answer, &e), ERR_CLOSED);
	cr_assert_eq(away_calls, 1);
	cr_assert_eq(back_calls, 0);
	client.reached = false;
	cr_assert_eq(client_get(&client, "/v1/status", &answer, &e), ERR_CLOSED);
	cr_assert_eq(away_calls, 1, "whom nobody has reached is not waited for");
	cr_assert_not_null(strstr(e.help, "shardmill up"));
}

Test(client, errors_are_told_as_the_api_tells_them)
{
	struct client_answer answer;

	server.answers[0] =
	    HEAD("404 Not Found") "\r\n"
				  "{\"error\": {\"code\": \"not_found\", \"message\": \"no job\","
				  " \"where\": \"job 7\", \"help\": \"look\"}       }";
	server.answers[1] = HEAD("502 Bad Gateway") "Content-Length: 6\r\n\r\n<html>";
	server.answers[2] = HEAD("200 OK") "Content-Length: 6\r\n\r\n<html>";
	begin();
	cr_assert_eq(client_get(&client, "/v1/jobs/7", &answer, &e), ERR_NOT_FOUND);
	cr_assert_str_eq(e.what, "no job");
	cr_assert_str_eq(e.where, "job 7");
	cr_assert_str_eq(e.help, "look");
	cr_assert_eq(client_get(&client, "/", &answer, &e), ERR_IO);
	cr_assert_not_null(strstr(e.what, "found status 502"));
	cr_assert_eq(client_get(&client, "/", &answer, &e), ERR_IO);
	cr_assert_not_null(strstr(e.what, "expected JSON"));
	end();
}

/* Also an error's own members: it is no success, whatever its code says. */
Test(client, an_error_that_is_not_as_it_should_be_is_an_error)
{
	static const struct {
		const char *answer, *what, *help;
	} cases[] = {
	    {HEAD("500 Broken") "\r\n{\"error\": {\"code\": \"ok\", \"message\": \"all is well\"}}",
	     "all is well", ""},
	    {HEAD("500 Broken") "\r\n{\"error\": {\"code\": 7, \"message\": \"x\"}}", "found status 500",
	     "in its error, error.code: expected text, found a number"},
	    {HEAD("502 Bad Gateway") "\r\n{\"error\": \"no\"}", "found status 502",
	     "in its error, error: expected an object, found a string"},
	    {HEAD("500 Broken") "\r\n{\"error\": {}}", "found status 500", ""},
	};
	struct client_answer answer;

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
		server.answers[i] = cases[i].answer;
	begin();
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		cr_expect_eq(client_get(&client, "/v1/status", &answer, &e), ERR_IO, "%zu", i);
		cr_expect_not_null(strstr(e.what, cases[i].what), "%s", e.what);
		cr_expect_str_eq(e.help, cases[i].help);
	}
	end();
}

Test(client, a_member_of_another_type_is_told_with_its_answer)
{
	struct api_workers workers;
	struct client_answer answer;
	char where[256];

	server.answers[0] = HEAD("200 OK") "\r\n{\"workers\": [{\"id\": \"a\"}, {\"leases\": \"many\"}]}";
	server.answers[1] = HEAD("200 OK") "\r\n[]";
	server.answers[2] = HEAD("200 OK") "\r\n{\"workers\": [{\"id\": \"a\"}], \"newer\": 1}";
	begin();
	cr_assert_eq(client_get_object(&client, "/v1/workers", object_workers(), &workers, &answer, &e),
		     ERR_IO);
	snprintf(where, sizeof(where), "workers[1].leases of GET /v1/workers at %.80s", client.address);
	cr_expect_str_eq(e.where, where);
	cr_expect_str_eq(e.what, "expected a whole number from 0 on, found a string");
	cr_assert_eq(client_get_object(&client, "/v1/workers", object_workers(), &workers, &answer, &e),
		     ERR_IO);
	cr_expect_eq(strncmp(e.where, "GET /v1/workers at ", 19), 0, "%s", e.where);
	cr_expect_str_eq(e.what, "expected an object, found an array");
	cr_assert_eq(client_get_object(&client, "/v1/workers", object_workers(), &workers, &answer, &e), 0);
	cr_expect_eq(json_array_size(workers.workers), 1);
	end();
	client_answer_fini(&answer);
}

static int refuse(void *arg, struct bytes piece)
{
	(void)arg;
	(void)piece;
	return -1;
}

Test(client, bytes_that_cannot_be_written_are_not_asked_for_again)
{
	struct client_request q = {.method = "GET", .path = "/v1/jobs/1/output", .take = refuse};
	struct client_answer answer;

	server.answers[0] = FINE;
	server.answers[1] = FINE;
	begin();
	cr_assert_eq(client_call(&client, &q, &answer, &e), ERR_IO);
	end();
	cr_assert_eq(server.served, 1);
	cr_assert_not_null(strstr(e.what, "could not be written"));
}

Test(client, queries_are_escaped)
{
	struct buf out = {0};

	client_escape(&out, "a-Z_0.~ /?&=%\xc3\xa9");
	cr_assert_str_eq(buf_text(&out), "a-Z_0.~%20%2F%3F%26%3D%25%C3%A9");
	buf_fini(&out);
}
