/* Of a worker that was killed nothing is left behind; of one that lives nothing is touched. */
#include <criterion/criterion.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/scratch_root.h"
#include "jobs/output_index.h"
#include "tests/support/scratch.h"
#include "worker/home.h"

TestSuite(home, .init = scratch_make, .fini = scratch_remove, .timeout = 60);

struct other {
	pid_t worker, leftover;
	struct uuid id;
};

/* A worker and a process of one of its attempts, in a session of its own. Its mark stands behind a
 * large environment. */
static void leave_behind(const char *id)
{
	static char large[100000];
	char mark[100];
	char *argv[] = {(char *)"sleep", (char *)"3600", NULL}, *envp[] = {large, mark, NULL};

	memset(large, 'x', sizeof large - 1);
	memcpy(large, "LARGE=", 6);
	snprintf(mark, sizeof mark, "SHARDMILL_WORKER=%s", id);
	setsid();
	execve("/bin/sleep", argv, envp);
	_exit(127);
}

static struct other start_other(const char *scratch)
{
	struct other o = {0};
	int fds[2];

	cr_assert_eq(pipe(fds), 0);
	o.worker = fork();
	if (o.worker == 0) {
		struct home h;
		char id[33];

		if (home_open(&h, scratch, NULL) < 0)
			_exit(1);
		uuid_text(&h.worker, id);
		o.leftover = fork();
		if (o.leftover == 0)
			leave_behind(id);
		o.id = h.worker;
		if (write(fds[1], &o, sizeof o) != sizeof o)
			_exit(1);
		for (;;)
			pause();
	}
	close(fds[1]);
	{
		pid_t worker = o.worker;

		cr_assert_eq(read(fds[0], &o, sizeof o), sizeof o);
		o.worker = worker;
	}
	close(fds[0]);
	return o;
}

static void await_environment(pid_t pid)
{
	char path[64], text[16] = "";

	snprintf(path, sizeof path, "/proc/%d/comm", (int)pid);
	for (usec_t end = clock_mono_us() + 20 * USEC_PER_SEC; strcmp(text, "sleep\n") != 0;) {
		FILE *f = fopen(path, "r");

		cr_assert_lt(clock_mono_us(), end);
		if (f != NULL && fgets(text, sizeof text, f) == NULL)
			text[0] = '\0';
		if (f != NULL)
			fclose(f);
	}
}

static bool is_alive(pid_t pid)
{
	char path[64], state = 'X';
	FILE *f;

	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	f = fopen(path, "r");
	if (f == NULL)
		return false;
	cr_assert_eq(fscanf(f, "%*d %*s %c", &state), 1);
	fclose(f);
	return state != 'Z' && state != 'X';
}

Test(home, a_dead_workers_leftovers_are_ended_and_a_live_one_is_left_alone)
{
	const char *scratch = scratch_path("workers");
	struct other dead = start_other(scratch), live = start_other(scratch);
	struct home h;
	struct error e = {0};

	await_environment(dead.leftover);
	await_environment(live.leftover);
	kill(dead.worker, SIGKILL);
	waitpid(dead.worker, NULL, 0);
	cr_assert(is_alive(dead.leftover));
	cr_assert_eq(home_open(&h, scratch, &e), 0, "%s", e.what);
	cr_assert_eq(h.gone_count, 1);
	cr_assert_eq(h.gone[0].hi, dead.id.hi);
	cr_assert_not(is_alive(dead.leftover));
	cr_assert(is_alive(live.leftover));
	cr_assert_eq(access(h.path, F_OK), 0);
	{
		char path[400], id[33];

		uuid_text(&dead.id, id);
		snprintf(path, sizeof path, "%s/%s", scratch, id);
		cr_assert_neq(access(path, F_OK), 0);
		uuid_text(&live.id, id);
		snprintf(path, sizeof path, "%s/%s", scratch, id);
		cr_assert_eq(access(path, F_OK), 0);
	}
	home_close(&h);
	cr_assert_neq(access(h.path[0] != '\0' ? h.path : "/nowhere", F_OK), 0);
	kill(live.leftover, SIGKILL);
	kill(live.worker, SIGKILL);
	waitpid(live.worker, NULL, 0);
}

Test(home, workers_that_start_at_once_do_not_sweep_each_other)
{
	const char *scratch = scratch_path("workers");
	pid_t pids[16];

	for (size_t i = 0; i < ARRAY_LENGTH(pids); i++) {
		pids[i] = fork();
		if (pids[i] == 0) {
			struct home h;

			for (int round = 0; round < 20; round++) {
				if (home_open(&h, scratch, NULL) < 0 || access(h.path, F_OK) != 0)
					_exit(1);
				home_close(&h);
			}
			_exit(0);
		}
	}
	for (size_t i = 0; i < ARRAY_LENGTH(pids); i++) {
		int status = 1;

		waitpid(pids[i], &status, 0);
		cr_assert_eq(status, 0);
	}
}

Test(home, where_nothing_is_said_each_user_has_a_directory_of_its_own)
{
	char path[400], expected[400], small[8];
	struct error e = {0};

	snprintf(expected, sizeof expected, "%s/shardmill-%u", scratch_path("."), (unsigned)geteuid());
	cr_assert_eq(setenv("TMPDIR", scratch_path("."), 1), 0);
	cr_assert_eq(scratch_root("", path, sizeof path, &e), 0, "%s", e.what);
	cr_assert_str_eq(path, expected);
	cr_assert_eq(scratch_root("", path, sizeof path, &e), 0, "it is there already");
	cr_assert_eq(chmod(expected, 0777), 0);
	cr_assert_eq(scratch_root("", path, sizeof path, &e), ERR_DENIED);
	cr_assert_eq(scratch_root("/what/is/said", small, sizeof small, &e), ERR_LIMIT);
}

/* What is said is checked as the default is. */
Test(home, a_directory_that_is_said_has_to_be_ours_alone)
{
	char path[400];
	struct error e = {0};

	cr_assert_eq(scratch_root(scratch_path("a/b/"), path, sizeof path, &e), 0, "%s", e.what);
	cr_assert_str_eq(path, scratch_path("a/b"));
	cr_assert_eq(access(path, W_OK), 0, "it is made");
	cr_assert_eq(chmod(path, 0755), 0);
	cr_assert_eq(scratch_root(scratch_path("a/b"), path, sizeof path, &e), ERR_DENIED);
	cr_assert_not_null(strstr(e.what, "0755"), "%s", e.what);
	cr_assert_str_eq(e.where, scratch_path("a/b"));
	cr_assert_eq(chmod(path, 0700), 0);
	cr_assert_eq(symlink(path, scratch_path("link")), 0);
	cr_assert_eq(scratch_root(scratch_path("link"), path, sizeof path, &e), ERR_DENIED);
	cr_assert_eq(scratch_root(scratch_path("link/"), path, sizeof path, &e), ERR_DENIED);
}

/* As `unshare -r` does it: the user is root inside of it, and its directory is not that of the real root. */
Test(home, root_of_a_user_namespace_has_the_directory_of_the_user_that_it_is_outside)
{
	char path[400], expected[400];
	unsigned outside = geteuid() == 0 ? 65534 : (unsigned)geteuid();
	pid_t pid;
	int status;

	cr_assert_eq(mkdir(scratch_path("tmp"), 0700), 0);
	cr_assert_eq(chmod(scratch_path("."), 0777), 0);
	cr_assert_eq(chmod(scratch_path("tmp"), 0777), 0);
	cr_assert_eq(setenv("TMPDIR", scratch_path("tmp"), 1), 0);
	snprintf(expected, sizeof expected, "%s/shardmill-%u", scratch_path("tmp"), outside);
	pid = fork();
	if (pid == 0) {
		FILE *f;

		if (setresuid(outside, outside, outside) < 0 || prctl(PR_SET_DUMPABLE, 1) < 0 ||
		    unshare(CLONE_NEWUSER) < 0)
			_exit(77);
		f = fopen("/proc/self/uid_map", "w");
		if (f == NULL || fprintf(f, "0 %u 1", outside) < 0 || fclose(f) != 0 || geteuid() != 0)
			_exit(77);
		_exit(scratch_root("", path, sizeof path, NULL) == 0 && strcmp(path, expected) == 0 ? 0 : 1);
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	if (status == 77 << 8) {
		fprintf(stderr, "mill: skipped: home: user namespaces cannot be made here\n");
		cr_skip_test("user namespaces cannot be made here");
	}
	cr_assert_eq(status, 0);
}

Test(home, a_directory_that_cannot_be_made_is_told)
{
	struct error e = {0};
	struct home h;

	cr_assert_lt(home_open(&h, "/proc/nowhere", &e), 0);
	cr_assert_neq(e.what[0], '\0');
	cr_assert_not_null(strstr(e.where, "/proc/nowhere"));
}
