/* Of a worker that was killed nothing is left behind; of one that lives nothing is touched. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
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
#include "jobs/ids.h"
#include "tests/support/scratch.h"
#include "worker/machine/home.h"
#include "worker/run/process.h"
#include "worker/machine/tree.h"

TestSuite(home, .init = scratch_make, .fini = scratch_remove, .timeout = 60);

struct other {
	pid_t worker, leader;
	struct uuid id;
};

/* In the process that plays a worker: a home, and an attempt that leaves a process behind. */
static bool play_worker(const char *scratch, bool remade, struct other *ret)
{
	static const char script[] = "env -i /usr/bin/setsid /bin/sleep 3600 & exec sleep 3600";
	char *argv[] = {(char *)"sh", (char *)"-c", (char *)(uintptr_t)script, NULL};
	char *envp[] = {(char *)"PATH=/usr/bin:/bin", NULL};
	struct process_spec spec = {
	    .path = "/bin/sh", .argv = argv, .envp = envp, .stdin_fd = -1, .stdout_fd = -1, .stderr_fd = -1};
	struct nursery nursery;
	struct reaper reaper;
	struct process p;
	struct home h;
	int code;

	if (nursery_open(&nursery, NULL) < 0 || home_open(&h, scratch, NULL) < 0 ||
	    home_share(&h, &nursery, NULL) < 0)
		return false;
	if (remade && (!tree_remove(AT_FDCWD, h.path) || home_ensure(&h, NULL) < 0))
		return false;
	reaper_init(&reaper, &nursery);
	if (process_start(&reaper, &spec, &p, &code, NULL) < 0)
		return false;
	ret->leader = p.pid;
	ret->id = h.worker;
	return true;
}

/* remade: somebody has removed the directory, and the worker has made it again. */
static struct other start_worker(const char *scratch, bool remade)
{
	struct other o = {0};
	pid_t worker;
	int fds[2];

	cr_assert_eq(pipe(fds), 0);
	worker = fork();
	if (worker == 0) {
		if (!play_worker(scratch, remade, &o) || write(fds[1], &o, sizeof o) != sizeof o)
			_exit(1);
		for (;;)
			pause();
	}
	close(fds[1]);
	cr_assert_eq(read(fds[0], &o, sizeof o), sizeof o);
	o.worker = worker;
	close(fds[0]);
	return o;
}

static struct other start_other(const char *scratch)
{
	return start_worker(scratch, false);
}

/* Fields 3 and 4 of its line in /proc; 0 for a process that is gone. */
static char state_of(pid_t pid, pid_t *ret_parent)
{
	char path[64], state = 0;
	FILE *f;

	*ret_parent = 0;
	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	f = fopen(path, "r");
	if (f == NULL)
		return 0;
	if (fscanf(f, "%*d (%*[^)]) %c %d", &state, ret_parent) != 2)
		state = 0;
	fclose(f);
	return state == 'Z' || state == 'X' ? 0 : state;
}

static pid_t parent_of(pid_t pid)
{
	pid_t parent;

	state_of(pid, &parent);
	return parent;
}

static bool is_alive(pid_t pid)
{
	pid_t parent;

	return state_of(pid, &parent) != 0;
}

/* The process in a session of its own, whose parent the attempt's leader is. */
static pid_t await_leftover(const struct other *o)
{
	char path[100];
	int pid = 0;

	snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)o->leader, (int)o->leader);
	for (usec_t end = clock_mono_us() + 20 * USEC_PER_SEC; pid == 0 || getsid(pid) != pid;) {
		FILE *f = fopen(path, "r");

		cr_assert_lt(clock_mono_us(), end, "the attempt leaves nobody behind");
		if (f == NULL || fscanf(f, "%d", &pid) != 1)
			pid = 0;
		if (f != NULL)
			fclose(f);
	}
	return pid;
}

static void await_end(pid_t pid)
{
	for (usec_t end = clock_mono_us() + 20 * USEC_PER_SEC; is_alive(pid);)
		cr_assert_lt(clock_mono_us(), end, "process %d lives on", (int)pid);
}

static bool has_directory(const char *scratch, const struct other *o)
{
	char path[400], id[UUID_TEXT_BYTES];

	uuid_text(&o->id, id);
	snprintf(path, sizeof path, "%s/%s", scratch, id);
	return access(path, F_OK) == 0;
}

static void kill_worker(const struct other *o)
{
	kill(o->worker, SIGKILL);
	waitpid(o->worker, NULL, 0);
}

Test(home, a_killed_workers_processes_end_by_themselves_and_its_directory_is_swept)
{
	const char *scratch = scratch_path("workers");
	struct other dead = start_other(scratch), live = start_other(scratch);
	pid_t leftover = await_leftover(&dead), reaper = parent_of(dead.leader);
	struct home h;
	struct error e = {0};

	kill_worker(&dead);
	await_end(leftover);
	await_end(dead.leader);
	await_end(reaper);
	do { /* the nursery is the last that holds the lock */
		cr_assert_eq(home_open(&h, scratch, &e), 0, "%s", e.what);
		if (h.gone_count == 0)
			home_close(&h);
	} while (h.gone_count == 0);
	cr_assert_eq(h.gone_count, 1);
	cr_assert_eq(h.gone[0].hi, dead.id.hi);
	cr_assert_not(has_directory(scratch, &dead));
	cr_assert(is_alive(live.leader));
	cr_assert(has_directory(scratch, &live));
	cr_assert_eq(access(h.path, F_OK), 0);
	home_close(&h);
	cr_assert_neq(access(h.path[0] != '\0' ? h.path : "/nowhere", F_OK), 0);
	kill_worker(&live);
	await_end(live.leader);
}

static void expect_no_sweep(bool remade)
{
	const char *scratch = scratch_path("workers");
	struct other dead = start_worker(scratch, remade);
	pid_t leftover = await_leftover(&dead), reaper = parent_of(dead.leader);
	struct home h;

	kill(reaper, SIGSTOP); /* so that it ends nobody yet */
	kill_worker(&dead);
	cr_expect_eq(home_open(&h, scratch, NULL), 0); /* it goes on: a stopped reaper would stay */
	cr_expect_eq(h.gone_count, 0);
	cr_expect(has_directory(scratch, &dead));
	cr_expect(is_alive(leftover));
	home_close(&h);
	kill(reaper, SIGCONT);
	await_end(leftover);
}

Test(home, a_directory_is_not_swept_while_processes_of_its_worker_run)
{
	expect_no_sweep(false);
}

Test(home, nor_is_one_that_was_made_again)
{
	expect_no_sweep(true);
}

Test(home, a_reaper_that_was_killed_leaves_nothing_either)
{
	struct other o = start_other(scratch_path("workers"));
	pid_t leftover = await_leftover(&o), reaper = parent_of(o.leader);

	kill(reaper, SIGKILL);
	await_end(o.leader);
	await_end(leftover);
	cr_assert(is_alive(o.worker));
	kill_worker(&o);
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
