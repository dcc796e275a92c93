#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "scaler/fleet.h"
#include "tests/support/scratch.h"

TestSuite(fleet, .init = scratch_make, .fini = scratch_remove, .timeout = 20);

#define A "0000000000000000000000000000000a"
#define B "0000000000000000000000000000000b"

/* A dispatcher that knows two answers. */
struct api {
	int fd;
	const char *workers, *demand; /* NULL: it hangs up */
	pthread_t thread;
};

static void answer_one(const struct api *a, int fd)
{
	char request[4096] = "", text[4096];
	size_t used = 0;
	ssize_t got = 1;

	while (got > 0) {
		const char *body;

		while (strstr(request, "\r\n\r\n") == NULL && got > 0) {
			got = read(fd, request + used, sizeof request - 1 - used);
			used += got > 0 ? (size_t)got : 0;
			request[used] = '\0';
		}
		body = strncmp(request, "GET /v1/workers", 15) == 0 ? a->workers : a->demand;
		if (got <= 0 || body == NULL)
			return;
		snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s", strlen(body),
			 body);
		got = write(fd, text, strlen(text));
		used = 0;
		request[0] = '\0';
	}
}

static void *serve(void *arg)
{
	struct api *a = arg;
	int fd;

	while ((fd = accept(a->fd, NULL, NULL)) >= 0) {
		answer_one(a, fd);
		close(fd);
	}
	return NULL;
}

static struct http_client *api_start(struct api *a)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct http_client *c;
	struct error e;

	snprintf(address.sun_path, sizeof address.sun_path, "%s", scratch_path("api"));
	a->fd = socket(AF_UNIX, SOCK_STREAM, 0);
	cr_assert_eq(bind(a->fd, (struct sockaddr *)&address, sizeof address), 0);
	cr_assert_eq(listen(a->fd, 4), 0);
	cr_assert_eq(pthread_create(&a->thread, NULL, serve, a), 0);
	cr_assert_eq(http_client_create(address.sun_path, &c, &e), 0);
	return c;
}

static void api_end(struct api *a, struct http_client *c)
{
	http_client_destroy(c);
	shutdown(a->fd, SHUT_RDWR);
	pthread_join(a->thread, NULL);
	close(a->fd);
}

static bool nobody(void *arg, const char *provider_id)
{
	return arg != NULL && strcmp(provider_id, arg) == 0;
}

static void read_at(struct fleet *f, struct http_client *c, usec_t now_us)
{
	struct error e;

	cr_assert_eq(fleet_read(f, c, "p", nobody, NULL, now_us, &e), 0, "%s", e.what);
}

#define NO_DEMAND "{\"shapes\":[]}"
#define WORKER(id, provider_id, pool, leases, shards, state)                                                 \
	"{\"id\":\"" id "\",\"provider_id\":\"" provider_id "\",\"pool\":\"" pool "\",\"leases\":" #leases   \
	",\"leased_shards\":" #shards ",\"state\":\"" state "\"}"

Test(fleet, idle_is_counted_from_the_last_lease)
{
	struct api a = {.demand = NO_DEMAND};
	struct fleet f = {0};
	struct http_client *c;

	a.workers = "{\"workers\":[" WORKER(A, "i", "p", 1, 5, "busy") "],\"next\":null}";
	c = api_start(&a);
	read_at(&f, c, 100);
	cr_expect(f.workers[0].busy);
	cr_expect_eq(f.demand.leased_shards, 5);
	a.workers = "{\"workers\":[" WORKER(A, "i", "p", 0, 0, "idle") "],\"next\":null}";
	read_at(&f, c, 200);
	read_at(&f, c, 300);
	cr_expect_eq(f.count, 1);
	cr_expect_not(f.workers[0].busy);
	cr_expect_eq(f.workers[0].idle_since_us, 200);
	fleet_fini(&f);
	api_end(&a, c);
}

Test(fleet, other_pools_are_left_out_unless_we_started_them)
{
	struct api a = {.demand = NO_DEMAND,
			.workers = "{\"workers\":[" WORKER(A, "i", "other", 0, 0, "idle") "," WORKER(
			    B, "mine", "old", 0, 0, "idle") "],\"next\":null}"};
	struct http_client *c = api_start(&a);
	char mine[] = "mine";
	struct fleet f = {0};
	struct error e;

	cr_assert_eq(fleet_read(&f, c, "p", nobody, mine, 1, &e), 0);
	cr_assert_eq(f.count, 1);
	cr_expect_str_eq(f.workers[0].id_text, B);
	fleet_fini(&f);
	api_end(&a, c);
}

/* The dispatcher is started again: for a while it lists nobody, though all live. */
Test(fleet, who_was_there_is_waited_for)
{
	const usec_t s = USEC_PER_SEC;
	struct provider_worker p = {.id = "i"};
	struct api a = {.demand = NO_DEMAND};
	struct fleet f = {0};
	struct http_client *c;

	a.workers = "{\"workers\":[" WORKER(A, "i", "p", 0, 0, "idle") "],\"next\":null}";
	c = api_start(&a);
	read_at(&f, c, 1 * s);
	a.workers = "{\"workers\":[],\"next\":null}";
	for (usec_t t = 2 * s; t < 40 * s; t += s) {
		read_at(&f, c, t);
		fleet_miss(&f, &p, t); /* its process lives */
		fleet_prune(&f);
		cr_assert_eq(f.count, 1);
		cr_expect_eq(fleet_counts(&f.workers[0], t), t < 2 * s + FLEET_MISSING_MAX_US, "at %lld s",
			     (long long)(t / s));
	}
	a.workers = "{\"workers\":[" WORKER(A, "i", "p", 0, 0, "idle") "],\"next\":null}";
	read_at(&f, c, 50 * s);
	cr_expect(fleet_counts(&f.workers[0], 50 * s));
	a.workers = "{\"workers\":[],\"next\":null}";
	read_at(&f, c, 51 * s); /* its process has ended */
	fleet_prune(&f);
	cr_expect_eq(f.count, 0);
	fleet_fini(&f);
	api_end(&a, c);
}

/* Scaler and dispatcher are both new: the record of the process is all that is known. */
Test(fleet, a_record_with_a_worker_id_is_waited_for_too)
{
	struct provider_worker known = {.id = "i", .worker = A}, never = {.id = "j"};
	struct fleet f = {0};

	fleet_miss(&f, &known, 5);
	fleet_miss(&f, &never, 5); /* never registered: it is a start, not a worker */
	cr_assert_eq(f.count, 1);
	cr_expect_str_eq(f.workers[0].id_text, A);
	cr_expect(f.workers[0].busy, "for all we know");
	fleet_fini(&f);
}

Test(fleet, one_that_drains_counts_until_its_process_ends)
{
	struct provider_worker p = {.id = "i"};
	struct api a = {.demand = NO_DEMAND};
	struct fleet f = {0};
	struct http_client *c;

	a.workers = "{\"workers\":[" WORKER(A, "i", "p", 1, 1, "draining") "],\"next\":null}";
	c = api_start(&a);
	read_at(&f, c, 1);
	a.workers = "{\"workers\":[],\"next\":null}";
	read_at(&f, c, 2);
	fleet_miss(&f, &p, 2);
	fleet_prune(&f);
	cr_assert_eq(f.count, 1);
	cr_expect(f.workers[0].draining);
	cr_expect(fleet_counts(&f.workers[0], 1000 * USEC_PER_SEC));
	fleet_fini(&f);
	api_end(&a, c);
}

Test(fleet, demand_is_cpu_time_of_what_fits)
{
	struct api a = {.workers = "{\"workers\":[],\"next\":null}"};
	struct fleet f = {.offer.cpu_milli = 2000};
	struct http_client *c = api_start(&a);

	a.demand = "{\"shapes\":[{\"cpus\":1.0,\"shards\":10,\"runnable_seconds\":5.0},"
		   "{\"cpus\":2.0,\"shards\":3,\"runnable_seconds\":1.5},"
		   "{\"cpus\":2.5,\"shards\":7,\"runnable_seconds\":70.0}]}";
	read_at(&f, c, 1000);
	cr_expect_eq(f.demand.queued_shards, 13);
	cr_expect_eq(f.demand.work_us, 8000000);
	cr_expect_eq(f.unfit_shards, 7);
	cr_expect_eq(f.demand.oldest_wait_us, 0);
	read_at(&f, c, 1500);
	cr_expect_eq(f.demand.oldest_wait_us, 500);
	/* Nothing waits, 4 are leased: as long as they last took. */
	a.demand = NO_DEMAND;
	a.workers = "{\"workers\":[" WORKER(A, "i", "p", 2, 4, "busy") "],\"next\":null}";
	read_at(&f, c, 2000);
	cr_expect_eq(f.demand.queued_shards, 0);
	cr_expect_eq(f.demand.work_us, 4 * 615384);
	cr_expect_eq(f.demand.oldest_wait_us, 0);
	fleet_fini(&f);
	api_end(&a, c);
}

/* Who keeps half of the gpus to himself keeps half of the worker: eight such need four workers of two cpus
 * and two gpus, not two as their cpus say. */
Test(fleet, demand_counts_gpus_and_named_resources)
{
	struct api a = {.workers = "{\"workers\":[],\"next\":null}"};
	static struct named_amount license = {BYTES_LIT("license"), 4000};
	struct fleet f = {
	    .offer = {.cpu_milli = 4000, .memory_bytes = 1000, .gpu_milli = 2000, .named = {&license, 1}}};
	static const struct {
		const char *shape;
		uint64_t work_us, unfit;
	} cases[] = {
	    {"\"cpus\":1.0,\"gpus\":1.0", 16000000, 0},
	    {"\"cpus\":4.0,\"gpus\":0.5", 32000000, 0},
	    {"\"cpus\":1.0,\"named\":\"license=3\"", 24000000, 0},
	    {"\"cpus\":1.0,\"gpus\":2.5", 0, 8},
	    {"\"cpus\":1.0,\"named\":\"license=5\"", 0, 8},
	    {"\"cpus\":1.0,\"named\":\"other=1\"", 0, 8},
	    {"\"cpus\":1.0,\"memory_bytes\":1001", 0, 8},
	};
	struct http_client *c = api_start(&a);

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		char demand[300];

		snprintf(demand, sizeof demand, "{\"shapes\":[{%s,\"shards\":8,\"runnable_seconds\":8.0}]}",
			 cases[i].shape);
		a.demand = demand;
		read_at(&f, c, 1000 + (usec_t)i);
		cr_expect_eq(f.demand.work_us, cases[i].work_us, "case %zu: %d", i, (int)f.demand.work_us);
		cr_expect_eq(f.unfit_shards, cases[i].unfit, "case %zu", i);
	}
	fleet_fini(&f);
	api_end(&a, c);
}

Test(fleet, a_failed_reading_changes_nothing)
{
	static const char *const bad[] = {
	    NULL, "", "[", "{\"workers\":1", "\x80", "{\"workers\":{}}", "{\"workers\":[{\"id\":\"a\"},7]}"};
	struct api a = {.demand = NO_DEMAND};
	struct fleet f = {0};
	struct http_client *c;
	struct error e;

	a.workers = "{\"workers\":[" WORKER(A, "i", "p", 1, 5, "busy") "],\"next\":null}";
	c = api_start(&a);
	read_at(&f, c, 1);
	for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
		a.workers = bad[i];
		cr_expect_lt(fleet_read(&f, c, "p", nobody, NULL, 2, &e), 0, "case %zu", i);
		cr_expect_eq(f.count, 1);
		cr_expect_eq(f.workers[0].missing_since_us, 0);
	}
	cr_expect_str_eq(e.where, "workers[1] of GET /v1/workers?limit=1000");
	cr_expect_str_eq(e.what, "expected an object, found a number");
	a.workers = "{\"workers\":[" WORKER(A, "i", "p", 1, 5, "busy") "],\"next\":null}";
	a.demand = "{\"shapes\":[{\"cpus\":\"one\",\"shards\":3}]}";
	cr_expect_lt(fleet_read(&f, c, "p", nobody, NULL, 2, &e), 0);
	cr_expect_str_eq(e.where, "shapes[0].cpus of GET /v1/demand");
	fleet_fini(&f);
	api_end(&a, c);
}
