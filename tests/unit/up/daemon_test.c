#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "cli/up/daemon.h"
#include "tests/support/scratch.h"

/* What the daemons do here: hold their lock, as ours do, and sleep. */
#define HOLD "exec 9<>\"$0\"; flock -n 9 || exit 3; echo $$ >&9; exec sleep 60"
#define DEADLINE_US (15 * USEC_PER_SEC)

static struct loop *loop;
static char lock[300], logs[300];
static char *argv[] = {"sh", "-c", HOLD, lock, NULL};
static int counts[DAEMON_FAILED + 1];

static void on_event(struct daemon *d, enum daemon_event event, void *arg)
{
	(void)d;
	(void)arg;
	counts[event]++;
}

static struct daemon daemon_of(void)
{
	return (struct daemon){.name = "sleeper",
			       .comm = "sleep",
			       .program = "/bin/sh",
			       .lock_path = lock,
			       .log_path = logs,
			       .argv = argv,
			       .on_event = on_event,
			       .child = {.pidfd = -1}};
}

static void begin(void)
{
	struct error e;

	scratch_make();
	snprintf(lock, sizeof lock, "%s", scratch_path("lock"));
	snprintf(logs, sizeof logs, "%s", scratch_path("log"));
	cr_assert_eq(loop_create(&loop, &e), 0);
}

static void end(void)
{
	loop_destroy(loop);
	scratch_remove();
}

TestSuite(up_daemon, .init = begin, .fini = end, .timeout = 60);

static void until(int event, int count)
{
	usec_t deadline = clock_mono_us() + DEADLINE_US;

	while (counts[event] < count) {
		cr_assert_lt(clock_mono_us(), deadline, "event %d did not come", event);
		loop_turn(loop, false); /* its deadline is ours, not the loop's */
	}
}

/* It has written its id into its lock. (Nobody else may try the lock meanwhile: it would not get it.) */
static void until_held(const struct daemon *d)
{
	usec_t deadline = clock_mono_us() + DEADLINE_US;
	struct buf holder = {0};

	while (atoi(buf_text(&holder)) != d->child.pid) {
		cr_assert_lt(clock_mono_us(), deadline, "nobody takes the lock");
		buf_clear(&holder);
		(void)!fs_read_file(lock, 100, &holder, NULL);
	}
	buf_fini(&holder);
}

static void until_sleeps(const struct daemon *d)
{
	usec_t deadline = clock_mono_us() + DEADLINE_US;
	struct buf comm = {0};
	char path[64];

	snprintf(path, sizeof path, "/proc/%d/comm", d->child.pid);
	while (strcmp(buf_text(&comm), "sleep\n") != 0) {
		cr_assert_lt(clock_mono_us(), deadline, "it is no sleeper");
		buf_clear(&comm);
		cr_assert_eq(fs_read_file(path, 100, &comm, NULL), 0);
	}
	buf_fini(&comm);
}

Test(up_daemon, what_dies_is_started_again_until_it_is_stopped)
{
	struct daemon d = daemon_of();
	pid_t first;

	daemon_start(&d, loop);
	cr_assert_eq(counts[DAEMON_STARTED], 1);
	first = d.child.pid;
	until_held(&d);
	child_signal(&d.child, SIGKILL);
	until(DAEMON_ENDED, 1);
	cr_expect(d.end.known && !d.end.exited && d.end.code == SIGKILL);
	cr_expect_gt(d.retry_us, 0);
	until(DAEMON_STARTED, 2);
	cr_expect_neq(d.child.pid, first);
	cr_expect_eq(d.ends, 1);
	daemon_stop(&d, SIGTERM);
	until(DAEMON_ENDED, 2);
	cr_expect_eq(d.retry_us, 0);
	cr_expect_not(daemon_runs(&d));
	daemon_leave(&d);
}

Test(up_daemon, one_that_runs_is_adopted_and_watched)
{
	struct daemon starter = daemon_of(), adopter = daemon_of();

	daemon_start(&starter, loop);
	until_held(&starter);
	until_sleeps(&starter);
	daemon_start(&adopter, loop); /* a new `up`, whose child it is not */
	cr_assert_eq(counts[DAEMON_ADOPTED], 1, "%s", adopter.why.what);
	cr_expect_eq(adopter.child.pid, starter.child.pid);
	cr_expect_eq(counts[DAEMON_STARTED], 1);
	daemon_stop(&adopter, SIGTERM);
	starter.wanted = false;
	until(DAEMON_ENDED, 2);
	cr_expect_not(adopter.end.known);
	daemon_leave(&starter);
	daemon_leave(&adopter);
}

Test(up_daemon, a_stranger_that_holds_the_lock_is_not_taken_for_it)
{
	struct daemon d = daemon_of();
	int fd;

	d.comm = "shardmill-dispatcher";
	cr_assert_eq(fs_lock_file(lock, &fd, NULL, NULL), 0); /* we hold it */
	daemon_start(&d, loop);
	cr_expect_eq(counts[DAEMON_FAILED], 1);
	cr_expect_eq(d.why.code, ERR_EXISTS);
	cr_expect_not(daemon_runs(&d));
	close(fd); /* the stranger leaves */
	until(DAEMON_STARTED, 1);
	daemon_stop(&d, SIGKILL);
	until(DAEMON_ENDED, 1);
	daemon_leave(&d);
}

Test(up_daemon, one_that_always_dies_is_tried_later_and_later)
{
	struct daemon d = daemon_of();
	usec_t waits[3];

	argv[2] = "exit 1";
	daemon_start(&d, loop);
	for (int i = 0; i < 3; i++) {
		until(DAEMON_ENDED, i + 1);
		waits[i] = d.retry_us;
	}
	cr_expect_eq(waits[1], 2 * waits[0]);
	cr_expect_eq(waits[2], 4 * waits[0]);
	daemon_stop(&d, SIGTERM);
	daemon_leave(&d);
}

Test(up_daemon, a_program_that_is_not_there)
{
	struct daemon d = daemon_of();

	d.program = "/no/such/program";
	daemon_start(&d, loop);
	cr_expect_eq(counts[DAEMON_FAILED], 1);
	cr_expect_gt(d.retry_us, 0);
	daemon_stop(&d, SIGTERM);
	daemon_leave(&d);
}
