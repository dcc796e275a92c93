/* Who may speak, and what happens to frames on the way. */
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>

#include "base/clock.h"
#include "base/endpoint.h"
#include "base/fs.h"
#include "base/gate.h"
#include "base/limits.h"
#include "base/zap.h"

#define DEADLINE_US (10 * USEC_PER_SEC)

static char dir[] = "/tmp/shardmill-endpoint-XXXXXX";
static void *context;
static struct zap *zap;
static struct endpoint *router;
static struct key_pair dispatcher, worker;

static char *in_dir(const char *name)
{
	static char path[256];

	snprintf(path, sizeof path, "%s/%s", dir, name);
	return path;
}

static void setup(void)
{
	struct key_roles roles;
	struct error e;

	cr_assert_not_null(mkdtemp(dir));
	cr_assert_eq(keys_ensure(dir, &e), 0, "%s", e.what);
	cr_assert_eq(key_pair_load(in_dir("dispatcher.key"), true, &dispatcher, &e), 0);
	cr_assert_eq(key_pair_load(in_dir("worker.key"), true, &worker, &e), 0);
	cr_assert_eq(key_roles_load(in_dir("allowed"), &roles, &e), 0);
	context = zmq_ctx_new();
	cr_assert_eq(zap_start(context, &roles, &zap, &e), 0, "%s", e.what);
	key_roles_fini(&roles);
	cr_assert_eq(endpoint_bind(context, "tcp://127.0.0.1:*", &dispatcher, 100, &router, &e), 0, "%s",
		     e.what);
}

static void teardown(void)
{
	char command[300];

	endpoint_destroy(router, 0);
	zap_stop(zap);
	zmq_ctx_term(context);
	snprintf(command, sizeof command, "rm -r %s", dir);
	cr_assert_eq(system(command), 0);
}

TestSuite(endpoint, .init = setup, .fini = teardown);

static struct endpoint *connect_with(const struct key_pair *own, const char *server)
{
	struct endpoint *e = NULL;

	cr_assert_eq(endpoint_connect(context, endpoint_address(router), own, server, &e, NULL), 0);
	return e;
}

/* Waits for the thing itself, with a deadline. */
static void await_frame(struct endpoint *e, struct endpoint_frame *f)
{
	usec_t end = clock_mono_us() + DEADLINE_US;

	while (endpoint_receive(e, f) == 0) {
		struct pollfd p = {endpoint_fd(e), POLLIN, 0};

		cr_assert_lt(clock_mono_us(), end, "no frame came");
		poll(&p, 1, 10);
	}
}

static enum endpoint_event await_event(struct endpoint *e)
{
	usec_t end = clock_mono_us() + DEADLINE_US;
	enum endpoint_event event;

	while ((event = endpoint_next_event(e)) == ENDPOINT_QUIET) {
		struct pollfd p = {endpoint_event_fd(e), POLLIN, 0};

		cr_assert_lt(clock_mono_us(), end, "no event came");
		poll(&p, 1, 10);
	}
	return event;
}

static void say(struct endpoint *e, uint64_t peer, struct bytes body)
{
	usec_t end = clock_mono_us() + DEADLINE_US;

	while (endpoint_send(e, peer, body) != 0)
		cr_assert_lt(clock_mono_us(), end);
}

Test(endpoint, a_known_key_speaks_in_its_role_and_is_answered)
{
	struct endpoint *dealer = connect_with(&worker, dispatcher.public_text);
	struct endpoint_frame f;

	cr_assert_eq(await_event(dealer), ENDPOINT_CONNECTED);
	say(dealer, 0, BYTES_LIT("hello"));
	await_frame(router, &f);
	cr_assert_eq(f.role, ROLE_WORKER);
	cr_assert(bytes_equal(f.body, BYTES_LIT("hello")));
	say(router, f.peer, BYTES_LIT("and you"));
	await_frame(dealer, &f);
	cr_assert(bytes_equal(f.body, BYTES_LIT("and you")));
	endpoint_destroy(dealer, 0);
}

Test(endpoint, a_stranger_is_kept_out_and_told)
{
	struct key_pair stranger;
	struct endpoint *dealer;
	struct endpoint_frame f;

	cr_assert_eq(key_pair_create(in_dir("stranger.key"), &stranger, NULL), 0);
	dealer = connect_with(&stranger, dispatcher.public_text);
	cr_assert_eq(await_event(dealer), ENDPOINT_REFUSED);
	cr_assert_geq(zap_refused(zap), 1);
	cr_assert_eq(endpoint_send(dealer, 0, BYTES_LIT("let me in")), ERR_BUSY);
	cr_assert_eq(endpoint_receive(router, &f), 0);
	endpoint_destroy(dealer, 0);
}

Test(endpoint, a_false_dispatcher_is_not_spoken_to)
{
	struct key_pair other;
	struct endpoint *dealer;

	cr_assert_eq(key_pair_create(in_dir("other.key"), &other, NULL), 0);
	dealer = connect_with(&worker, other.public_text);
	cr_assert_neq(await_event(dealer), ENDPOINT_CONNECTED);
	endpoint_destroy(dealer, 0);
}

Test(endpoint, a_peer_that_was_never_there_is_said_to_be_gone)
{
	cr_assert_eq(endpoint_send(router, 12345, BYTES_LIT("x")), ERR_CLOSED);
}

Test(endpoint, frames_over_the_bound_or_of_many_parts_do_not_arrive)
{
	void *raw = zmq_socket(context, ZMQ_DEALER);
	char *big = calloc(1, WIRE_FRAME_BYTES_MAX + 1);
	struct endpoint *dealer;
	struct endpoint_frame f;
	int zero = 0;

	zmq_setsockopt(raw, ZMQ_CURVE_SERVERKEY, dispatcher.public_text, KEY_TEXT_BYTES);
	zmq_setsockopt(raw, ZMQ_CURVE_PUBLICKEY, worker.public_text, KEY_TEXT_BYTES);
	zmq_setsockopt(raw, ZMQ_CURVE_SECRETKEY, worker.secret_text, KEY_TEXT_BYTES);
	zmq_setsockopt(raw, ZMQ_LINGER, &zero, sizeof zero);
	cr_assert_eq(zmq_connect(raw, endpoint_address(router)), 0);
	zmq_send(raw, "two", 3, ZMQ_SNDMORE);
	zmq_send(raw, "parts", 5, 0);
	zmq_send(raw, "whole", 5, 0);
	await_frame(router, &f);
	cr_assert(bytes_equal(f.body, BYTES_LIT("whole")));
	zmq_send(raw, big, WIRE_FRAME_BYTES_MAX + 1, 0);
	dealer = connect_with(&worker, dispatcher.public_text);
	say(dealer, 0, BYTES_LIT("after"));
	await_frame(router, &f);
	cr_assert(bytes_equal(f.body, BYTES_LIT("after")));
	endpoint_destroy(dealer, 0);
	zmq_close(raw);
	free(big);
}

Test(endpoint, keys_open_to_others_and_lines_that_are_none_are_refused)
{
	struct key_roles roles;
	struct key_pair pair;
	struct error e;

	cr_assert_eq(chmod(in_dir("worker.key"), 0644), 0);
	cr_assert_eq(key_pair_load(in_dir("worker.key"), true, &pair, &e), ERR_DENIED);
	cr_assert_not_null(strstr(e.help, "chmod 600"));
	cr_assert_eq(fs_write_file(in_dir("allowed"), BYTES_LIT("# ok\nking aaaa name\n"), 0644, &e), 0);
	cr_assert_eq(key_roles_load(in_dir("allowed"), &roles, &e), ERR_INVALID);
	cr_assert_not_null(strstr(e.where, "allowed:2"));
}

/* ---- the gate ---- */

static int stranger(void)
{
	const char *port = strrchr(endpoint_address(router), ':') + 1;
	struct sockaddr_in a = {.sin_family = AF_INET,
				.sin_port = htons((uint16_t)atoi(port)),
				.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	cr_assert_geq(fd, 0);
	cr_assert_eq(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
	return fd;
}

static struct gate_counters counters(void)
{
	struct gate_counters c;

	gate_counters(&c);
	return c;
}

Test(endpoint, strangers_wait_for_one_another_and_let_a_worker_in)
{
	struct endpoint *dealer;
	struct endpoint_frame f;
	struct error e;
	usec_t end = clock_mono_us() + DEADLINE_US;
	int strangers[6];

	gate_open(&(struct gate_bounds){.strangers_max = 2, .stranger_us = USEC_PER_SEC / 10});
	for (int i = 0; i < 6; i++)
		strangers[i] = stranger();
	cr_assert_eq(
	    endpoint_connect(context, endpoint_address(router), &worker, dispatcher.public_text, &dealer, &e),
	    0);
	while (endpoint_send(dealer, 0, BYTES_LIT("here")) == ERR_BUSY && clock_mono_us() < end)
		(void)poll(&(struct pollfd){.fd = endpoint_fd(dealer), .events = POLLIN}, 1, 1);
	while (endpoint_receive(router, &f) == 0 && clock_mono_us() < end)
		cr_expect_leq(counters().strangers, 2);
	cr_assert(bytes_equal(f.body, BYTES_LIT("here")));
	cr_expect_geq(counters().cut, 4, "all that came before it");
	cr_expect_leq(counters().strangers, 2);
	endpoint_destroy(dealer, 0);
	for (int i = 0; i < 6; i++)
		close(strangers[i]);
	gate_close();
}

Test(endpoint, nobody_gets_a_descriptor_that_is_kept_for_files)
{
	struct pollfd p;
	char byte;

	gate_open(&(struct gate_bounds){.line = 1, .strangers_max = 2, .stranger_us = USEC_PER_SEC});
	p = (struct pollfd){.fd = stranger(), .events = POLLIN};
	cr_assert_eq(poll(&p, 1, 10000), 1);
	cr_expect_leq(recv(p.fd, &byte, 1, 0), 0);
	cr_expect_eq(counters().no_descriptor, 1);
	close(p.fd);
	gate_close();
}
