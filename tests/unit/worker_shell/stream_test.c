/* A stream of an attempt is a file like any other, of that attempt alone. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/support/scratch.h"
#include "worker/io/stream.h"

static struct stream stream;
static int dir_fd;

static void setup(void)
{
	sigset_t all;

	scratch_make();
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL); /* as in a slot's thread */
	stream = STREAM_NONE;
	dir_fd = open(scratch_path("."), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cr_assert_eq(stream_begin(&stream, dir_fd, &(int){0}), 0);
}

static void teardown(void)
{
	stream_close(&stream);
	close(dir_fd);
	scratch_remove();
}

TestSuite(stream, .init = setup, .fini = teardown, .timeout = 60);

/* A shell with the stream as its standard output; the slot's part while it runs. */
static void run(const char *script)
{
	usec_t deadline = clock_mono_us() + 30 * USEC_PER_SEC;
	int status = 0;
	pid_t pid = fork();

	cr_assert_geq(pid, 0);
	if (pid == 0) {
		sigset_t none;

		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		dup2(stream.fd, STDOUT_FILENO);
		execl("/bin/sh", "sh", "-c", script, NULL);
		_exit(127);
	}
	while (waitpid(pid, &status, WNOHANG) == 0) {
		cr_assert_lt(clock_mono_us(), deadline, "%s", script);
		stream_look(&stream, dir_fd);
		poll(NULL, 0, 1);
	}
	cr_assert_eq(status, 0, "%s", script);
}

static const char *text(void)
{
	static char got[200];
	int64_t size = stream_read(&stream, 0, got, sizeof got - 1);

	got[size > 0 ? size : 0] = '\0';
	return got;
}

/* By descriptor everything is as with any file; by name nothing is lost that was written before. */
Test(stream, is_as_a_file_is_and_loses_nothing_when_it_is_opened_by_name)
{
	static const struct {
		const char *script, *expected;
	} cases[] = {
	    {"echo one; echo two", "one\ntwo\n"},
	    {"python3 -c 'import os; os.write(1, b\"head body\"); os.lseek(1, 0, 0); os.write(1, b\"HEAD\")'",
	     "HEAD body"},
	    {"python3 -c 'import os; os.write(1, b\"0123456789\"); os.ftruncate(1, 4)'", "0123"},
	    {"python3 -c 'import os; os.pwrite(1, b\"b\", 1); os.pwrite(1, b\"a\", 0)'", "ab"},
	    {"echo one; echo two >/dev/stdout; echo three", "one\ntwo\nthree\n"},
	    {"echo one; echo longer >/proc/self/fd/1; echo three", "one\nlonger\nthree\n"},
	    {"echo one >/dev/stdout; sleep 0.2; echo two >/dev/stdout; sleep 0.2; echo three >/dev/stdout",
	     "one\ntwo\nthree\n"},
	    {"echo one; echo two >>/dev/stdout; echo three", "one\ntwo\nthree\n"},
	    {"echo one; echo two | tee /dev/stderr 2>&1 >/dev/null; echo three", "one\ntwo\nthree\n"},
	    {"echo one; cp /proc/self/comm /dev/stdout; echo three", "one\ncp\nthree\n"},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		run(cases[i].script);
		stream_end(&stream, dir_fd);
		cr_expect_str_eq(text(), cases[i].expected, "%s: %s", cases[i].script, text());
		cr_expect_eq(stream.size, strlen(cases[i].expected), "%s", cases[i].script);
		cr_expect_not(stream.held);
		stream_reset(&stream);
		cr_assert_eq(stream.fd, -1, "what was written to serves no other attempt");
		cr_assert_eq(stream_begin(&stream, dir_fd, &(int){0}), 0);
	}
}

Test(stream, one_that_nothing_was_written_to_serves_the_next_attempt)
{
	struct stat before, after;

	cr_assert_eq(fstat(stream.fd, &before), 0);
	for (int i = 0; i < 3; i++) {
		run("true");
		stream_end(&stream, dir_fd);
		cr_assert_not(stream.held);
		cr_assert_eq(stream.size, 0);
		stream_reset(&stream);
		cr_assert_eq(stream_begin(&stream, dir_fd, &(int){0}), 0);
	}
	cr_assert_eq(fstat(stream.fd, &after), 0);
	cr_assert_eq(before.st_ino, after.st_ino);
	run("echo x");
	stream_end(&stream, dir_fd);
	cr_assert_str_eq(text(), "x\n");
}

enum hold { HOLD_INHERITED, HOLD_OPENED, HOLD_READS, HOLD_MAPPED };

static void hold(enum hold how, int ready_fd)
{
	int fd = stream.fd;

	if (how == HOLD_OPENED || how == HOLD_READS) {
		char path[40];

		snprintf(path, sizeof path, "/proc/self/fd/%d", stream.fd);
		fd = open(path, how == HOLD_READS ? O_RDONLY : O_RDWR);
		close(stream.fd);
	}
	if (how == HOLD_MAPPED) {
		if (ftruncate(fd, 4096) < 0 || mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED)
			_exit(1);
		close(fd);
	}
	if (write(ready_fd, "x", 1) == 1)
		pause();
	_exit(0);
}

/* Whatever it is that somebody who was left behind has of it. */
Test(stream, one_that_somebody_still_has_is_never_used_again)
{
	for (enum hold how = HOLD_INHERITED; how <= HOLD_MAPPED; how++) {
		int ready[2];
		char x;
		pid_t pid;

		cr_assert_eq(pipe2(ready, O_CLOEXEC), 0);
		pid = fork();
		if (pid == 0)
			hold(how, ready[1]);
		for (struct pollfd p = {ready[0], POLLIN, 0}; poll(&p, 1, 1) == 0;)
			stream_look(&stream, dir_fd);
		cr_assert_eq(read(ready[0], &x, 1), 1);
		close(ready[0]);
		close(ready[1]);
		stream_end(&stream, dir_fd);
		cr_expect(stream.held, "case %d", how);
		stream_reset(&stream);
		cr_expect_eq(stream.fd, -1);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		cr_assert_eq(stream_begin(&stream, dir_fd, &(int){0}), 0);
	}
}

/* Where files always have names. */
Test(stream, a_file_whose_name_was_removed_serves_as_well)
{
	stream_close(&stream);
	cr_assert_eq(stream_begin_named(&stream, dir_fd, &(int){0}), 0);
	run("echo one; echo two >/dev/stdout");
	stream_end(&stream, dir_fd);
	cr_assert_str_eq(text(), "one\ntwo\n");
	cr_assert_not(stream.held);
	cr_assert_not(stream.linkable);
	stream_close(&stream);
	cr_assert_eq(unlinkat(dir_fd, ".stream-0", 0), -1, "nothing stays behind");
}

Test(stream, a_directory_that_is_gone_is_told)
{
	int code = 0;

	stream_close(&stream);
	cr_assert_eq(mkdirat(dir_fd, "gone", 0700), 0);
	close(dir_fd);
	dir_fd = open(scratch_path("gone"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cr_assert_eq(rmdir(scratch_path("gone")), 0);
	cr_assert_lt(stream_begin(&stream, dir_fd, &code), 0);
	cr_assert_neq(code, 0);
}
