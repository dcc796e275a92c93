/* Control groups that end attempts: what a reaper alone does not end in time, and what dead workers left. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cgroup.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/limits.h"
#include "tests/support/scratch.h"
#include "tests/unit/worker_shell/slot_rig.h"
#include "worker/machine/groups.h"

TestSuite(groups, .init = scratch_make, .fini = scratch_remove, .timeout = 60);

static struct slot_rig rig;
static struct rig_work work;
static struct groups groups;

static struct uuid random_id(void)
{
	return (struct uuid){(uint64_t)getpid(), (uint64_t)clock_mono_us()};
}

/* controller: "" is v2. false: this machine gives no such group. */
static bool open_groups(const char *controller)
{
	const struct uuid worker = random_id();
	char parent[8200];
	struct cgroup own;
	struct error e = {.what = "it is not mounted"};

	cgroup_own(controller, &own);
	snprintf(parent, sizeof parent, "%s%s", own.mount, own.path);
	if (own.version == (controller[0] == '\0' ? 2 : 1) && groups_open(&groups, parent, &worker, &e) == 0)
		return true;
	printf("mill: skipped: attempts ended by a control group of %s: %s\n",
	       controller[0] == '\0' ? "v2" : "the v1 freezer", e.what);
	fflush(stdout);
	return false;
}

static int64_t number_in(const char *path)
{
	struct buf text = {0};
	int64_t number;

	cr_assert_eq(fs_read_file(path, 1000, &text, NULL), 0);
	number = atoll(buf_text(&text));
	buf_fini(&text);
	return number;
}

/* A reaper alone took seconds to end some of these. */
static void expect_bomb_to_end(const char *controller)
{
	static const char script[] = "exec " BOMB " 64 20 $DIR/ended";
	usec_t slack = 1, took;

	if (!open_groups(controller))
		return;
#ifdef __SANITIZE_ADDRESS__
	slack = 3;
#endif
	rig_open(&rig, &(struct rig_options){.groups = &groups});
	for (uint32_t i = 0; i < 3; i++) {
		rig_work_shell(&work, script);
		rig_work_env(&work, "DIR", rig.dir);
		rig_run(&rig, &work, i, 1);
		took = clock_mono_us() - (usec_t)number_in(rig_path(&rig, "ended"));
		cr_expect_eq(rig.done, i + 1);
		cr_expect_lt(took, slack * USEC_PER_SEC, "it was ended after %llu us",
			     (unsigned long long)took);
	}
	rig_work_fini(&work);
	rig_close(&rig);
	groups_close(&groups);
	cr_expect_neq(access(groups.root.path, F_OK), 0, "no group stays behind");
}

Test(groups, a_fork_bomb_is_ended_within_a_second_v2)
{
	expect_bomb_to_end("");
}

Test(groups, a_fork_bomb_is_ended_within_a_second_v1)
{
	expect_bomb_to_end("freezer");
}

/* In a process that plays a reaper, outside of the test's own group. Returns the number of the step that
 * failed. */
static int play_reaper(void)
{
	int fd = group_enter(groups.root.fd, 0), status;
	pid_t pids[20], late;

	if (fd < 0)
		return 1;
	for (size_t i = 0; i < ARRAY_LENGTH(pids); i++) {
		pids[i] = fork();
		for (; pids[i] == 0;) {
			setsid();
			if (i % 2 == 0)
				raise(SIGSTOP);
			pause();
		}
	}
	if (!group_leave(fd))
		return 2;
	group_kill(fd);
	for (size_t i = 0; i < ARRAY_LENGTH(pids); i++)
		if (waitpid(pids[i], &status, 0) != pids[i] || !WIFSIGNALED(status) ||
		    WTERMSIG(status) != SIGKILL)
			return 3;
	if (!group_return(fd))
		return 4;
	late = fork(); /* is born in it, and nothing of what was done to the group holds or ends it */
	if (late == 0)
		_exit(7);
	if (waitpid(late, &status, 0) != late || status != 7 << 8)
		return 5;
	late = fork();
	if (late == 0)
		for (;;)
			pause();
	if (!group_leave(fd))
		return 6;
	group_kill(fd);
	return waitpid(late, NULL, 0) == late ? 0 : 7;
}

static void expect_all_but_the_reaper_to_end(const char *controller)
{
	int status;
	pid_t pid;

	if (!open_groups(controller))
		return;
	pid = fork();
	if (pid == 0)
		_exit(play_reaper());
	cr_expect_eq(waitpid(pid, &status, 0), pid);
	cr_expect_eq(status, 0, "step %d", status >> 8);
	group_remove(groups.root.fd, 0);
	cr_expect_eq(faccessat(groups.root.fd, "0", F_OK, 0), -1);
	groups_close(&groups);
}

Test(groups, all_that_is_in_a_group_is_ended_and_the_reaper_goes_on_v2)
{
	expect_all_but_the_reaper_to_end("");
}

Test(groups, all_that_is_in_a_group_is_ended_and_the_reaper_goes_on_v1)
{
	expect_all_but_the_reaper_to_end("freezer");
}

/* ---- what a worker that was killed left, when nothing of it is there to end it ---- */

static pid_t leave_one_in_a_group(void)
{
	int ready[2];
	pid_t pid;
	char byte;

	cr_assert_eq(pipe2(ready, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		int fd = group_enter(groups.root.fd, 7);

		close(groups.root.fd); /* the lock is the worker's */
		if (fd < 0 || write(ready[1], "x", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	cr_assert_eq(read(ready[0], &byte, 1), 1);
	return pid;
}

static void expect_sweep(const char *controller)
{
	struct groups dead;
	int status;
	pid_t left;

	if (!open_groups(controller))
		return;
	left = leave_one_in_a_group();
	dead = groups;
	cr_assert(open_groups(controller));
	cr_expect_eq(access(dead.root.path, F_OK), 0, "its worker lives");
	groups_close(&groups);
	close(dead.root.fd); /* as its end does */
	cr_assert(open_groups(controller));
	cr_expect_neq(access(dead.root.path, F_OK), 0);
	cr_expect_eq(waitpid(left, &status, 0), left);
	cr_expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	groups_close(&groups);
	cr_expect_neq(access(groups.root.path, F_OK), 0);
}

Test(groups, what_runs_in_the_groups_of_a_dead_worker_is_ended_v2)
{
	expect_sweep("");
}

Test(groups, what_runs_in_the_groups_of_a_dead_worker_is_ended_v1)
{
	expect_sweep("freezer");
}

/* ---- which files are written, everywhere ---- */

static void put(const char *name, const char *text)
{
	cr_assert_eq(fs_write_file(scratch_path(name), bytes_of(text), 0600, NULL), 0);
}

static void expect_text(const char *name, const char *text)
{
	struct buf got = {0};

	cr_assert_eq(fs_read_file(scratch_path(name), 1000, &got, NULL), 0);
	cr_expect_str_eq(buf_text(&got), text, "%s", name);
	buf_fini(&got);
}

static pid_t fork_sleeper(void)
{
	pid_t pid = fork();

	if (pid == 0)
		for (;;)
			pause();
	return pid;
}

Test(groups, cgroup_kill_comes_first)
{
	pid_t spared = fork_sleeper();
	char text[32];
	int fd = open(scratch_path("."), O_RDONLY | O_DIRECTORY);

	snprintf(text, sizeof text, "%d\n", (int)spared);
	put("cgroup.procs", text);
	put("cgroup.kill", "");
	put("cgroup.freeze", "-");
	group_kill(fd);
	expect_text("cgroup.kill", "1");
	expect_text("cgroup.freeze", "-");
	cr_expect_eq(waitpid(spared, NULL, WNOHANG), 0);
	kill(spared, SIGKILL);
	waitpid(spared, NULL, 0);
	close(fd);
}

static void expect_listed_to_end(const char *file, const char *text_after)
{
	pid_t listed = fork_sleeper();
	char text[64];
	int status, fd = open(scratch_path("."), O_RDONLY | O_DIRECTORY);

	snprintf(text, sizeof text, "0\n%d\n%d\n", (int)getpid(), (int)listed);
	put("cgroup.procs", text);
	put(file, "");
	group_kill(fd);
	cr_expect_eq(waitpid(listed, &status, 0), listed);
	cr_expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	expect_text(file, text_after);
	close(fd);
}

Test(groups, a_kernel_without_it_freezes_and_thaws)
{
	expect_listed_to_end("cgroup.freeze", "0");
}

Test(groups, v1_freezes_and_thaws)
{
	expect_listed_to_end("freezer.state", "THAWED");
}

Test(groups, where_there_is_none_is_told)
{
	const struct uuid worker = random_id();
	struct error e = {0};

	cr_expect_eq(groups_open(&groups, "/no/such/group", &worker, &e), ERR_DENIED);
	cr_expect_str_eq(e.what, "cannot make a group below: No such file or directory");
	cr_expect_eq(groups_open(&groups, scratch_path("."), &worker, &e), ERR_DENIED);
	cr_expect_str_eq(e.what, "a group here has neither cgroup.kill nor a freezer");
	cr_expect_eq(group_enter(-1, 0), -1);
	cr_expect_eq(group_enter(open(scratch_path("."), O_RDONLY | O_DIRECTORY), 0), -1);
	cr_expect_neq(access(scratch_path("0"), F_OK), 0);
	groups_close(&groups);
}
