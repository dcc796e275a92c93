/* An object's range on its way: borders, a ring that is smaller than the range, one that is held back, one
 * that is given up, one that changed. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "jobs/kinds.h"
#include "jobs/plan.h"
#include "tests/unit/bounds/heap.h"
#include "tests/unit/s3/server.h"
#include "worker/io/fetch.h"

#define RING ((size_t)65536)
#define REFUSED "HTTP/1.1 412 X\r\nConnection: close\r\n\r\n<Error><Code>PreconditionFailed</Code></Error>"

static struct s3_client *client;
static struct plan plan;
static struct error e;
static int pipe_fds[2];
static struct buf got;

static void begin(const char *const *answers, uint64_t size, uint64_t step, uint8_t align)
{
	struct s3_options options = {.patience_us = 5 * USEC_PER_SEC};

	setenv("AWS_ACCESS_KEY_ID", "AKIA", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "secret", 1);
	setenv("HOME", "/nonexistent", 1);
	options.endpoint = server_start(answers);
	cr_assert_eq(s3_client_create(&options, &client, &e), 0, "%s", e.what);
	plan = (struct plan){.kind = PLAN_BYTES,
			     .url = BYTES_LIT("s3://b/k"),
			     .etag = BYTES_LIT("e1"),
			     .size_bytes = size,
			     .step_bytes = step,
			     .align = align};
	cr_assert_eq(plan_bytes_count(size, step, &plan.shard_count, NULL), 0);
	cr_assert_eq(pipe2(pipe_fds, O_NONBLOCK | O_CLOEXEC), 0);
}

static void end(void)
{
	s3_client_destroy(client);
	server_stop();
	if (pipe_fds[0] >= 0)
		close(pipe_fds[0]);
	close(pipe_fds[1]);
	buf_fini(&got);
	got = (struct buf){0};
}

static struct fetch *start(uint32_t shard, uint64_t first_byte, bool held)
{
	const struct fetch_range range = {&plan, shard, first_byte, held};
	struct fetch *f = NULL;

	cr_assert_eq(fetch_start(client, &range, RING, &f, &e), 0, "%s", e.what);
	return f;
}

static void await(const struct fetch *f)
{
	struct pollfd p = {fetch_fd(f), POLLIN, 0};

	cr_assert_eq(poll(&p, 1, 20000), 1, "nothing comes");
}

static int borders(struct fetch *f, uint64_t *first, uint64_t *last)
{
	int rc;

	while (rc = fetch_borders(f, first, last, &e), rc == 0)
		await(f);
	return rc;
}

/* As a slot does it, with a command that reads all. */
static int read_all(struct fetch *f)
{
	static uint8_t block[100000];
	int rc;

	do {
		ssize_t n;

		if (fetch_is_empty(f))
			await(f);
		rc = fetch_feed(f, pipe_fds[1], &e);
		while (n = read(pipe_fds[0], block, sizeof block), n > 0)
			buf_append(&got, block, (size_t)n);
	} while (rc == 1);
	return rc;
}

static void drain(void)
{
	static uint8_t block[100000];
	ssize_t n;

	while (n = read(pipe_fds[0], block, sizeof block), n > 0)
		buf_append(&got, block, (size_t)n);
}

/* The pipe is read by us whenever it has something; the slot's part is done when the fetch asks for it. */
static int read_attached(struct fetch *f)
{
	int rc = 1;

	while (rc == 1) {
		struct pollfd p[2] = {{fetch_fd(f), POLLIN, 0}, {pipe_fds[0], POLLIN, 0}};

		cr_assert_gt(poll(p, 2, 20000), 0, "nothing comes");
		drain();
		rc = fetch_feed(f, pipe_fds[1], &e);
	}
	drain();
	return rc;
}

Test(fetch, borders_are_found_behind_the_range)
{
	static const char *const answers[] = {"HTTP/1.1 206 X\r\nConnection: close\r\nETag: "
					      "\"e1\"\r\nContent-Range: bytes 7-14/15\r\n\r\nbb\ncccc\n",
					      "HTTP/1.1 206 X\r\nConnection: close\r\nETag: "
					      "\"e1\"\r\nContent-Range: bytes 0-9/15\r\n\r\naaaa\nbbbb\n",
					      "HTTP/1.1 206 X\r\nConnection: close\r\nETag: "
					      "\"e1\"\r\nContent-Range: bytes 10-14/15\r\n\r\ncccc\n",
					      NULL};
	uint64_t first = 99, last = 0;
	struct fetch *f;

	begin(answers, 15, 8, ALIGN_LINE);
	f = start(0, FETCH_UNKNOWN, false);
	cr_assert_eq(borders(f, &first, &last), 1, "%s", e.what);
	cr_assert_eq(first, 0);
	cr_assert_eq(last, 10);
	cr_assert_eq(read_all(f), 0, "%s", e.what);
	cr_assert(bytes_equal(buf_bytes(&got), BYTES_LIT("aaaa\nbbbb\n")));
	cr_assert_not_null(strstr(server_asked(0), "Range: bytes=7-14"));
	cr_assert_not_null(strstr(server_asked(1), "Range: bytes=0-9"));
	cr_assert_not_null(strstr(server_asked(1), "If-Match: \"e1\""));
	cr_assert(fetch_is(f, &plan, 0));
	cr_assert_not(fetch_is(f, &plan, 1));
	fetch_stop(f);
	buf_clear(&got);
	f = start(1, last, false); /* the end of the one before is its beginning: nobody looks for it */
	cr_assert_eq(read_all(f), 0, "%s", e.what);
	cr_assert(bytes_equal(buf_bytes(&got), BYTES_LIT("cccc\n")));
	cr_assert_not_null(strstr(server_asked(2), "Range: bytes=10-14"));
	fetch_stop(f);
	end();
}

Test(fetch, a_ring_that_is_smaller_than_the_range_gives_all_of_it_in_order)
{
	size_t size = 5 * RING + 12345;
	char *answer = malloc(size + 200);
	const char *answers[] = {answer, NULL};
	size_t head = (size_t)sprintf(answer, "HTTP/1.1 200 OK\r\nConnection: close\r\nETag: \"e1\"\r\n\r\n");
	struct fetch *f;

	for (size_t i = 0; i < size; i++)
		answer[head + i] = (char)('a' + (i * 7 + i / 26) % 26);
	answer[head + size] = '\0';
	begin(answers, size, size, ALIGN_NONE);
	f = start(0, FETCH_UNKNOWN, false);
	cr_assert_not(fetch_is_almost_whole(f));
	cr_assert_eq(read_all(f), 0, "%s", e.what);
	cr_assert(fetch_is_almost_whole(f));
	cr_assert(bytes_equal(buf_bytes(&got), BYTES(answer + head, size)));
	fetch_stop(f);
	end();
	free(answer);
}

/* `s3_read_ahead` is what an operator counts with. */
Test(fetch, holds_its_ring_and_little_more)
{
	const size_t ring = 4 * MIB, size = 3 * ring;
	char *answer = malloc(size + 200);
	const char *answers[] = {answer, NULL};
	size_t head = (size_t)sprintf(answer, "HTTP/1.1 200 OK\r\nConnection: close\r\nETag: \"e1\"\r\n\r\n");
	struct fetch_range range;
	struct fetch *f = NULL;
	size_t before;

	memset(answer + head, 'a', size);
	answer[head + size] = '\0';
	begin(answers, size, size, ALIGN_NONE);
	range = (struct fetch_range){.plan = &plan, .first_byte = FETCH_UNKNOWN};
	before = heap_now();
	cr_assert_eq(fetch_start(client, &range, ring, &f, &e), 0, "%s", e.what);
	while (fetch_is_empty(f))
		await(f);
	expect_bound("a shard's bytes ahead", ring, heap_now() - before);
	fetch_stop(f);
	end();
	free(answer);
}

/* The same once more, but what comes may go to the pipe without a turn of ours. */
Test(fetch, a_pipe_that_is_attached_gets_all_of_it_in_order)
{
	size_t size = 40 * RING + 12345;
	char *answer = malloc(size + 200);
	const char *answers[] = {answer, NULL};
	size_t head = (size_t)sprintf(answer, "HTTP/1.1 200 OK\r\nConnection: close\r\nETag: \"e1\"\r\n\r\n");
	struct fetch *f;

	for (size_t i = 0; i < size; i++)
		answer[head + i] = (char)('a' + (i * 7 + i / 26) % 26);
	answer[head + size] = '\0';
	begin(answers, size, size, ALIGN_NONE);
	f = start(0, FETCH_UNKNOWN, false);
	fetch_attach(f, pipe_fds[1]);
	cr_assert_eq(read_attached(f), 0, "%s", e.what);
	cr_assert(bytes_equal(buf_bytes(&got), BYTES(answer + head, size)));
	fetch_stop(f);
	end();
	free(answer);
}

Test(fetch, one_that_is_held_asks_for_nothing_but_borders)
{
	static const char *const answers[] = {
	    "HTTP/1.1 200 OK\r\nConnection: close\r\nETag: \"e1\"\r\n\r\nabc", NULL};
	uint64_t first, last;
	struct fetch *f;

	begin(answers, 3, 3, ALIGN_NONE);
	f = start(0, FETCH_UNKNOWN, true);
	cr_assert_eq(borders(f, &first, &last), 1);
	cr_assert_eq(server_count(), 0);
	fetch_go(f);
	cr_assert_eq(read_all(f), 0, "%s", e.what);
	cr_assert_str_eq(buf_text(&got), "abc");
	fetch_stop(f);
	f = start(0, FETCH_UNKNOWN, true);
	fetch_stop(f); /* never wanted */
	end();
}

Test(fetch, what_changed_is_told_by_who_reads)
{
	static const char *const answers[] = {REFUSED, NULL};
	struct fetch *f;

	begin(answers, 3, 3, ALIGN_NONE);
	f = start(0, FETCH_UNKNOWN, false);
	cr_assert_eq(read_all(f), ERR_INVALID);
	cr_assert_not_null(strstr(e.what, "the object changed"), "%s", e.what);
	cr_assert(fetch_has_failed(f));
	fetch_stop(f);
	end();
}

Test(fetch, one_that_nobody_wants_any_more_ends_soon)
{
	static const char *const answers[] = {NULL}; /* connections are taken, and never answered */
	usec_t before;
	struct fetch *f;

	begin(answers, 1000, 1000, ALIGN_NONE);
	f = start(0, FETCH_UNKNOWN, false);
	before = clock_mono_us();
	fetch_stop(f);
	cr_assert_lt(clock_mono_us() - before, 5 * USEC_PER_SEC, "sooner than any timeout of the transfer");
	end();
}

Test(fetch, a_command_that_reads_no_more_is_no_failure)
{
	static const char *const answers[] = {
	    "HTTP/1.1 200 OK\r\nConnection: close\r\nETag: \"e1\"\r\n\r\nabc", NULL};
	struct fetch *f;

	begin(answers, 3, 3, ALIGN_NONE);
	f = start(0, FETCH_UNKNOWN, false);
	signal(SIGPIPE, SIG_IGN);
	close(pipe_fds[0]);
	pipe_fds[0] = -1;
	while (fetch_is_empty(f))
		await(f);
	cr_assert_eq(fetch_feed(f, pipe_fds[1], &e), 0);
	fetch_stop(f);
	end();
}
