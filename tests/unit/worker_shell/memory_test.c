/* Attempts are held to their memory, and what is known when one needed more is told as it is known. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/magic.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/limits.h"
#include "jobs/kinds.h"
#include "tests/unit/worker_shell/slot_rig.h"

#define BOUND (32 * MIB)
/* Two processes that need more together. */
#define TWO "a=$(head -c 10000000 /dev/zero | tr '\\0' x); " EAT " 26; exit $?"

TestSuite(memory, .timeout = 60);

static struct memory_bounds bounds;
static struct slot_rig rig;
static struct rig_work work;

/* false: this machine gives no control groups. */
static bool open_bounds(uint8_t how)
{
	const struct uuid worker = {(uint64_t)getpid(), (uint64_t)clock_mono_us()};
	struct error e = {0};

	if (memory_bounds_open(&bounds, how, "", &worker, &e) == 0)
		return true;
	printf("mill: skipped: attempts in control groups: %s: %s\n", e.where, e.what);
	fflush(stdout);
	return false;
}

static bool begin(uint8_t how)
{
	if (!open_bounds(how))
		return false;
	rig_open(&rig, &(struct rig_options){.memory_bytes = BOUND, .memory = &bounds});
	return true;
}

static void finish(void)
{
	rig_work_fini(&work);
	rig_close(&rig);
	memory_bounds_close(&bounds);
	if (bounds.root.path[0] != '\0')
		cr_assert_neq(access(bounds.root.path, F_OK), 0, "no group stays behind");
}

struct story {
	const char *script;
	uint8_t kind; /* enum failure_kind; 0: it is done */
	int64_t code;
	const char *why;
};

/* One after the other on one slot: what one did does not touch the next. */
static void tell(const struct story *stories, size_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		const struct story *s = &stories[i];
		const struct rig_shard *got = &rig.shards[i];

		rig_work_shell(&work, s->script);
		rig_run(&rig, &work, i, 1);
		cr_expect_eq(got->end, s->kind == 0 ? RIG_DONE : RIG_FAILED, "%s: %s", s->script, got->why);
		if (s->kind == 0 || got->end == RIG_DONE)
			continue;
		cr_expect_eq(got->kind, s->kind, "%s: %s, %s", s->script, failure_kind_name(got->kind),
			     got->why);
		cr_expect_eq(got->code, s->code, "%s: %lld", s->script, (long long)got->code);
		if (s->why != NULL)
			cr_expect_str_eq(got->why, s->why, "%s", s->script);
	}
}

Test(memory, a_control_group_holds_all_of_an_attempt, .timeout = 60)
{
	static const char over[] = "it needed more than 32MiB (cgroup memory limit)";
	static const struct story stories[] = {
	    {EAT " 8", 0, 0, NULL},
	    {"exec " EAT " 64", FAILURE_OOM, BOUND, over},
	    {EAT " 8", 0, 0, NULL},
	    {"exit 7", FAILURE_EXIT, 7, ""},
	    /* A shell that goes on without the process that was ended: its result is not whole. */
	    {EAT " 64; true", FAILURE_OOM, BOUND, over},
	    {"kill -KILL $$", FAILURE_SIGNAL, SIGKILL, ""},
	    /* None of them alone needs it. */
	    {TWO, FAILURE_OOM, BOUND, over},
	    /* Words about memory are none: here it is known. */
	    {"echo out of memory >&2; exit 1", FAILURE_EXIT, 1, "out of memory"},
	    {EAT " 28", 0, 0, NULL},
	};

	if (!begin(MEMORY_HOW_CGROUP))
		return;
	tell(stories, ARRAY_LENGTH(stories));
	finish();
}

/* Cached files are not held against it, files in memory are. */
Test(memory, what_is_read_and_written_is_dropped_and_not_counted, .timeout = 60)
{
	struct story story = {"head -c 50000000 /dev/zero >big; cat big | tail -c 1; rm big", 0, BOUND, NULL};
	struct statfs fs;

	if (!begin(MEMORY_HOW_CGROUP))
		return;
	cr_assert_eq(statfs(rig.scratch, &fs), 0);
	if ((unsigned long)fs.f_type == TMPFS_MAGIC)
		story.kind = FAILURE_OOM;
	tell(&story, 1);
	finish();
}

/* The kernel ends the child before it has become its program: nobody else may go with it. */
Test(memory, a_control_group_too_small_to_start_in_ends_its_shard_only, .timeout = 60)
{
	static const struct story story = {"true", FAILURE_OOM, 4096,
					   "it needed more than 4KiB (cgroup memory limit)"};

	if (!open_bounds(MEMORY_HOW_CGROUP))
		return;
	rig_open(&rig, &(struct rig_options){.memory_bytes = 4096, .memory = &bounds});
	tell(&story, 1);
	finish();
}

static bool is_gone(const void *pid)
{
	return kill(*(const pid_t *)pid, 0) < 0 && errno == ESRCH;
}

/* It left the process group and forgot its environment: nothing else could know it. */
Test(memory, nothing_leaves_a_control_group, .timeout = 60)
{
	struct buf text = {0};
	pid_t pid;

	if (!begin(MEMORY_HOW_CGROUP))
		return;
	rig_work_shell(&work, "setsid env -i sh -c 'echo $$ >$0.new; mv $0.new $0; exec sleep 3600' $DIR/pid "
			      "</dev/null >/dev/null 2>&1 & until [ -e $DIR/pid ]; do :; done");
	rig_work_env(&work, "DIR", rig.dir);
	rig_run(&rig, &work, 0, 1);
	cr_expect_eq(rig.shards[0].end, RIG_DONE, "%s", rig.shards[0].why);
	cr_assert_eq(fs_read_file(rig_path(&rig, "pid"), 100, &text, NULL), 0);
	pid = (pid_t)atoi(buf_text(&text));
	rig_await(is_gone, &pid, "a process that left is ended with its attempt");
	buf_fini(&text);
	finish();
}

Test(memory, a_runner_that_needs_more_is_told_by_the_shard_that_it_had, .timeout = 60)
{
	if (!begin(MEMORY_HOW_CGROUP))
		return;
	rig_work_init(&work, (const char *const[]){EAT, "runner", NULL});
	work.phase.run.kind = RUN_RUNNER;
	rig_run(&rig, &work, 0, 2);
	for (int i = 0; i < 2; i++) {
		cr_expect_eq(rig.shards[i].end, RIG_FAILED);
		cr_expect_eq(rig.shards[i].kind, FAILURE_OOM, "%s", rig.shards[i].why);
		cr_expect_eq(rig.shards[i].code, BOUND);
		cr_expect_str_eq(rig.shards[i].why, "it needed more than 32MiB (cgroup memory limit)");
	}
	finish();
}

/* Everywhere. A process is bound by itself, and what is known is what it says. */
Test(memory, an_rlimit_holds_each_process, .timeout = 60)
{
	static const struct story stories[] = {
	    {EAT " 8", 0, 0, NULL},
	    {EAT " 64 'eat: Out of memory'", FAILURE_OOM, BOUND,
	     "a process of it ran out of 32MiB (rlimit): eat: Out of memory"},
	    {TWO, 0, 0, NULL}, /* each below it: that is what it is */
	    {"exit 7", FAILURE_EXIT, 7, ""},
	    {"kill -SEGV $$", FAILURE_SIGNAL, SIGSEGV, ""},
	    {"echo out of memory", 0, 0, NULL},
	};

	cr_assert(begin(MEMORY_HOW_RLIMIT));
	tell(stories, ARRAY_LENGTH(stories));
	finish();
}

Test(memory, a_bound_that_is_not_given_or_not_kept_binds_nothing, .timeout = 60)
{
	static const struct story stories[] = {{EAT " 64", 0, 0, NULL}};

	cr_assert(begin(MEMORY_HOW_OFF));
	tell(stories, ARRAY_LENGTH(stories));
	finish();
	cr_assert(open_bounds(MEMORY_HOW_AUTO));
	rig_open(&rig, &(struct rig_options){.memory = &bounds});
	tell(stories, ARRAY_LENGTH(stories));
	finish();
}

/* ---- what can be seen of a process that says nothing ---- */

Test(memory, a_process_that_was_seen_near_its_bound_ran_out_of_it, .timeout = 60)
{
	static const struct {
		unsigned mib;
		bool failed;
		enum memory_verdict expected;
	} cases[] = {
	    {31, true, MEMORY_SHORT},
	    {31, false, MEMORY_ENOUGH},
	    {16, true, MEMORY_ENOUGH},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct memory_group g = {0};
		int ready[2], go[2];
		char byte, why[200], command[400];
		pid_t parent;

		cr_assert(open_bounds(MEMORY_HOW_RLIMIT));
		cr_assert_eq(pipe2(ready, O_CLOEXEC) + pipe2(go, O_CLOEXEC), 0);
		memory_group_open(&g, &bounds, "x", BOUND);
		memory_group_begin(&g);
		cr_assert_eq(memory_data_bytes(&g), BOUND);
		/* The one that takes it is a child of the one that is known. */
		snprintf(command, sizeof command, EAT " hold %u; true", cases[i].mib);
		parent = fork();
		if (parent == 0) {
			dup2(go[0], 0);
			dup2(ready[1], 1);
			execl("/bin/sh", "sh", "-c", command, NULL);
			_exit(127);
		}
		close(ready[1]);
		cr_assert_eq(read(ready[0], &byte, 1), 1);
		memory_look(&g, parent);
		close(go[1]);
		waitpid(parent, NULL, 0);
		cr_expect_eq(memory_group_end(&g, cases[i].failed, "", why, sizeof why), cases[i].expected,
			     "%zu: %llu", i, (unsigned long long)g.peak_bytes);
		if (cases[i].expected == MEMORY_SHORT)
			cr_expect_str_eq(why, "a process of it ran out of 32MiB (rlimit)");
		memory_group_close(&g);
		memory_bounds_close(&bounds);
	}
}

/* ---- where there can be no group ---- */

Test(memory, what_is_in_the_way_of_a_control_group_is_told)
{
	static const struct {
		const char *group, *what;
	} cases[] = {
	    {"/tmp", "this is no control group"},
	    {"/no/such/group", "cannot look at the group: No such file or directory"},
	};
	const struct uuid worker = {1, (uint64_t)getpid()};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct error e = {0};

		cr_expect_eq(memory_bounds_open(&bounds, MEMORY_HOW_CGROUP, cases[i].group, &worker, &e),
			     ERR_DENIED);
		cr_expect_str_eq(e.what, cases[i].what);
		cr_expect_neq(e.help[0], '\0');
		memory_bounds_close(&bounds);
		cr_expect_eq(memory_bounds_open(&bounds, MEMORY_HOW_AUTO, cases[i].group, &worker, &e), 0);
		cr_expect_eq(bounds.means, MEMORY_RLIMIT, "what is not told to be a group does without");
		memory_bounds_close(&bounds);
	}
}

/* A worker that was killed leaves its groups, and what runs in them. */
Test(memory, the_groups_of_a_worker_that_is_gone_are_removed, .timeout = 60)
{
	const struct uuid gone = {7, (uint64_t)getpid()}, next = {8, (uint64_t)getpid()};
	struct memory_bounds other;
	struct memory_group g = {0};
	char root[4200];
	pid_t left;

	if (!open_bounds(MEMORY_HOW_CGROUP))
		return;
	memory_bounds_close(&bounds);
	cr_assert_eq(memory_bounds_open(&bounds, MEMORY_HOW_CGROUP, "", &gone, NULL), 0);
	snprintf(root, sizeof root, "%s", bounds.root.path);
	memory_group_open(&g, &bounds, "slot-0.0", BOUND);
	left = fork();
	if (left == 0) {
		close(bounds.root.fd); /* the lock is the worker's */
		if (write(g.procs_fd, "0", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	while (kill(left, 0) == 0) { /* until it is in there */
		char path[4600];
		struct buf text = {0};
		int found;

		snprintf(path, sizeof path, "%s/cgroup.procs", g.path);
		cr_assert_eq(fs_read_file(path, 1000, &text, NULL), 0);
		found = atoi(buf_text(&text));
		buf_fini(&text);
		if (found == left)
			break;
	}
	cr_assert_eq(memory_bounds_open(&other, MEMORY_HOW_CGROUP, "", &next, NULL), 0);
	cr_expect_eq(access(root, F_OK), 0, "its worker lives");
	memory_bounds_close(&other);
	close(bounds.root.fd); /* as its end does */
	cr_assert_eq(memory_bounds_open(&bounds, MEMORY_HOW_CGROUP, "", &next, NULL), 0);
	cr_expect_neq(access(root, F_OK), 0);
	waitpid(left, NULL, 0); /* it is ours: whoever looks first reaps it */
	cr_expect(is_gone(&left), "what a dead worker left is ended");
	memory_bounds_close(&bounds);
}
