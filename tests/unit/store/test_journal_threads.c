/* The journal with its threads: commits while others submit, and kill -9 at any moment. */
#include <criterion/criterion.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/rng.h"
#include "tests/support/effort.h"
#include "tests/unit/store/journal_kit.h"

static struct kit k;

static void setup(void)
{
	kit_begin(&k);
	k.options.no_threads = false;
}

static void teardown(void)
{
	kit_end(&k);
}

TestSuite(journal_threads, .init = setup, .fini = teardown);

Test(journal_threads, alone_and_idle_the_caller_commits)
{
	struct journal_stats s;
	uint64_t last;

	kit_reopen(&k);
	for (int i = 0; i < 5; i++) {
		last = kit_write(&k, 1, 1, true);
		cr_assert_eq(journal_durable_lsn(k.j), last);
	}
	journal_stats(k.j, &s);
	cr_assert_eq(s.inline_count, 5);
}

Test(journal_threads, what_comes_while_a_commit_is_in_flight_shares_the_next)
{
	struct journal_stats s;
	uint64_t last = 0;

	k.options.segment_bytes = 1 * MIB;
	kit_reopen(&k);
	for (int i = 0; i < 2000; i++)
		last = kit_write(&k, 1 + (uint32_t)i / 1000, 1, false);
	kit_wait(&k, last);
	cr_assert_eq(journal_durable_lsn(k.j), last);
	journal_stats(k.j, &s);
	cr_assert_eq(s.inline_count, 0);
	cr_assert_lt(s.commit_count, 1500);
	kit_reopen(&k);
	cr_assert_eq(journal_next_lsn(k.j), last + 1);
}

struct tapped {
	uint64_t next;
	uint32_t epoch;
	uint64_t bytes;
};

static void tap(void *arg, uint64_t first_lsn, uint32_t record_count, uint32_t epoch, struct bytes payload)
{
	struct tapped *t = arg;

	cr_assert_eq(first_lsn, t->next);
	cr_assert_geq(epoch, t->epoch);
	t->next += record_count;
	t->epoch = epoch;
	t->bytes += payload.size;
}

Test(journal_threads, the_tap_sees_each_durable_record_once_and_in_order)
{
	struct tapped t = {.next = 1};
	struct buf all = {0};
	uint64_t last = 0;

	k.options.tap = tap;
	k.options.tap_arg = &t;
	kit_reopen(&k);
	for (int i = 0; i < 300; i++)
		last = kit_write(&k, 1 + (uint32_t)i / 100, 1 + (uint32_t)i % 3, i % 7 == 0);
	kit_close(&k);
	cr_assert_eq(t.next, last + 1);
	kit_records(1, (uint32_t)last, &all);
	cr_assert_eq(t.bytes, all.size);
	buf_fini(&all);
}

Test(journal_threads, closing_commits_what_is_queued)
{
	uint64_t last = 0;

	kit_reopen(&k);
	for (int i = 0; i < 200; i++)
		last = kit_write(&k, 1, 3, false);
	kit_reopen(&k);
	cr_assert_eq(journal_next_lsn(k.j), last + 1);
}

Test(journal_threads, replay_goes_beside_commits)
{
	uint64_t last = 0;

	kit_reopen(&k);
	for (int i = 0; i < 100; i++) {
		uint64_t durable, seen;

		last = kit_write(&k, 1, 1 + (uint32_t)i % 5, false);
		durable = journal_durable_lsn(k.j);
		cr_assert_eq(kit_replay(&k, durable / 2 + 1, &seen), 0);
		cr_assert_geq(seen, durable);
		cr_assert_leq(seen, last);
	}
}

Test(journal_threads, trimmed_segments_go_while_the_journal_runs)
{
	struct journal_stats s;
	struct timespec start, now;

	kit_reopen(&k);
	for (int i = 0; i < 60; i++)
		kit_wait(&k, kit_write(&k, 1, 3, false));
	journal_trim(k.j, journal_next_lsn(k.j));
	clock_gettime(CLOCK_MONOTONIC, &start);
	do {
		journal_stats(k.j, &s);
		clock_gettime(CLOCK_MONOTONIC, &now);
		cr_assert_lt(now.tv_sec - start.tv_sec, 20, "nothing was removed");
	} while (s.segment_count > 1);
	kit_reopen(&k);
	cr_assert_eq(journal_oldest_lsn(k.j), s.oldest_lsn);
}

/* Writes until it is killed, and says in a pipe what is durable. */
static _Noreturn void child(int fd, uint64_t seed)
{
	struct rng r;
	uint64_t said = 0;

	rng_seed(&r, seed);
	if (kit_open(&k) < 0)
		_exit(1);
	for (;;) {
		uint64_t durable;

		kit_write(&k, journal_epoch(k.j), 1 + (uint32_t)rng_below(&r, 8), rng_chance(&r, 500000));
		if (rng_chance(&r, 20000))
			journal_trim(k.j, journal_durable_lsn(k.j) / 2);
		durable = journal_durable_lsn(k.j);
		if (journal_failed(k.j, NULL) || journal_has_room(k.j, NULL) == ERR_LIMIT)
			_exit(2);
		if (durable != said && write(fd, &durable, sizeof durable) != sizeof durable)
			_exit(3);
		said = durable;
	}
}

/* Reads what the child says until it has said it `count` times and `us` have passed; the last word. */
static uint64_t listen_to(int fd, uint64_t count, uint64_t ns)
{
	struct timespec start, now;
	uint64_t durable = 0, n = 0;

	clock_gettime(CLOCK_MONOTONIC, &start);
	do {
		struct pollfd p = {.fd = fd, .events = POLLIN};

		cr_assert_eq(poll(&p, 1, 20000), 1, "the child says nothing");
		cr_assert_eq(read(fd, &durable, sizeof durable), (ssize_t)sizeof durable);
		n++;
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (n < count || (uint64_t)(now.tv_sec - start.tv_sec) * 1000000000u +
				      (uint64_t)(now.tv_nsec - start.tv_nsec) <
				  ns);
	return durable;
}

Test(journal_threads, kill_9_at_any_moment_loses_nothing_that_was_durable, .timeout = 120)
{
	const int rounds = (int)effort(12, 40, 400);
	uint64_t seed = 9, durable = 0;
	struct rng r;

	rng_seed(&r, seed);
	kit_reopen(&k);
	kit_close(&k);
	for (int i = 0; i < rounds; i++) {
		int fds[2], status;
		uint64_t more;
		pid_t pid;

		cr_assert_eq(pipe(fds), 0);
		pid = fork();
		cr_assert_geq(pid, 0);
		if (pid == 0) {
			close(fds[0]);
			child(fds[1], rng_u64(&r) + (uint64_t)i);
		}
		close(fds[1]);
		durable = listen_to(fds[0], 1 + rng_below(&r, 30), rng_below(&r, 20000000));
		kill(pid, SIGKILL);
		while (read(fds[0], &more, sizeof more) == sizeof more)
			durable = more;
		close(fds[0]);
		cr_assert_eq(waitpid(pid, &status, 0), pid);
		cr_assert(WIFSIGNALED(status), "round %d: status %d", i, status);
		k.options.no_threads = true;
		kit_reopen(&k);
		cr_assert_geq(journal_durable_lsn(k.j), durable, "round %d", i);
		kit_close(&k);
		k.options.no_threads = false;
	}
	cr_assert_gt(durable, 100);
}
