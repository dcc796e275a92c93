/* Whatever a process does to get away from its attempt: it may live while the attempt runs, and is gone when
 * the attempt has ended. */
#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/limits.h"
#include "jobs/kinds.h"
#include "tests/unit/worker_shell/slot_rig.h"

static struct slot_rig rig;
static struct rig_work work;

static void setup(void)
{
	rig_open(&rig, NULL);
}

static void teardown(void)
{
	rig_close(&rig);
	rig_work_fini(&work);
}

TestSuite(strays, .init = setup, .fini = teardown, .timeout = 60);

/* Each leaves behind a process that runs $STRAY, which says its id and then sleeps for an hour. The rest of
 * its command line is for `ps`, when a test fails. */
static const char *const escapes[] = {
    "sh $STRAY background &",
    "(sh $STRAY reparented &)",
    "setsid sh $STRAY session &",
    "(setsid sh -c 'sh $STRAY daemon & exit 0' &)",
    "(env -i setsid sh $STRAY no-environment &)",
    "(trap '' TERM HUP INT; setsid sh $STRAY deaf &)",
    "(setsid sh $STRAY stopped --stop &)",
    "set -m; (sh $STRAY group-of-its-own &)",
    "nohup setsid sh $STRAY nohup >/dev/null 2>&1 &",
};

static void write_stray(void)
{
	struct buf text = {0};

	buf_printf(&text,
		   "echo $$ >%s/pid.new$$; mv %s/pid.new$$ %s/stray\n"
		   "[ \"$2\" != --stop ] || kill -STOP $$\n"
		   "exec sleep 3600 </dev/null >/dev/null 2>&1\n",
		   rig.dir, rig.dir, rig.dir);
	cr_assert_eq(fs_write_file(rig_path(&rig, "stray.sh"), buf_bytes(&text), 0600, NULL), 0);
	buf_fini(&text);
}

static pid_t await_pid(const char *name)
{
	struct buf text = {0};
	pid_t pid;

	rig_await(rig_file_exists, rig_path(&rig, name), name);
	cr_assert_eq(fs_read_file(rig_path(&rig, name), 100, &text, NULL), 0);
	pid = (pid_t)atoi(buf_text(&text));
	buf_fini(&text);
	cr_assert_gt(pid, 1);
	return pid;
}

static bool is_gone(const void *pid)
{
	return kill(*(const pid_t *)pid, 0) < 0 && errno == ESRCH;
}

/* The attempt waits in the middle until the gate opens. */
static void arm(const char *escape)
{
	static struct buf script; /* read until the cell is released */

	buf_clear(&script);
	unlink(rig_path(&rig, "go"));
	unlink(rig_path(&rig, "stray"));
	write_stray();
	buf_printf(&script, "export STRAY=$DIR/stray.sh\n%s\nuntil [ -e $DIR/go ]; do sleep 0.01; done",
		   escape);
	rig_work_shell(&work, buf_text(&script));
	rig_work_env(&work, "DIR", rig.dir);
	rig_arm(&rig, &work, 0, 1);
}

static void open_gate(void)
{
	cr_assert_eq(fs_write_file(rig_path(&rig, "go"), BYTES_LIT("x"), 0600, NULL), 0);
}

static void expect_escapes_to_end(void)
{
	for (size_t i = 0; i < ARRAY_LENGTH(escapes); i++) {
		uint64_t done = rig.done;
		pid_t pid;

		arm(escapes[i]);
		pid = await_pid("stray");
		cr_assert_not(is_gone(&pid), "%s: ended too early", escapes[i]);
		open_gate();
		rig_await_release(&rig, rig_last(&rig));
		cr_assert_eq(rig.done, done + 1, "%s", escapes[i]);
		cr_assert(is_gone(&pid), "%s: it outlived its attempt", escapes[i]);
	}
}

Test(strays, what_left_its_attempt_lives_while_that_runs_and_is_gone_with_it)
{
	expect_escapes_to_end();
}

Test(strays, in_a_control_group_it_is_the_same)
{
	const struct uuid worker = {(uint64_t)getpid(), (uint64_t)clock_mono_us()};
	struct memory_bounds bounds;
	struct error e = {0};

	if (memory_bounds_open(&bounds, MEMORY_HOW_CGROUP, "", &worker, &e) < 0) {
		printf("mill: skipped: attempts in control groups: %s: %s\n", e.where, e.what);
		fflush(stdout);
		return;
	}
	rig_close(&rig);
	rig_open(&rig, &(struct rig_options){.memory_bytes = 64 * MIB, .memory = &bounds});
	expect_escapes_to_end();
	rig_close(&rig);
	memory_bounds_close(&bounds);
	rig_open(&rig, NULL);
}

Test(strays, an_attempt_that_kills_its_reaper_fails_and_the_slot_goes_on)
{
	pid_t pid;

	write_stray();
	rig_work_shell(&work, "export STRAY=$DIR/stray.sh; (env -i setsid sh $STRAY orphan &)\n"
			      "until [ -e $DIR/stray ]; do sleep 0.01; done; kill -9 $PPID; exec sleep 3600");
	rig_work_env(&work, "DIR", rig.dir);
	rig_run(&rig, &work, 0, 1);
	cr_assert_eq(rig.failed, 1);
	cr_assert_eq(rig.shards[0].kind, FAILURE_SIGNAL);
	cr_assert_eq(rig.shards[0].code, SIGKILL);
	pid = await_pid("stray");
	rig_await(is_gone, &pid, "the nursery ends what the reaper left");
	rig_work_shell(&work, "exit 0");
	rig_run(&rig, &work, 1, 1);
	cr_assert_eq(rig.done, 1);
}

/* Each process of the chain writes a line, starts the next one in a session of its own, and ends. */
Test(strays, one_that_forks_in_a_loop_does_not_outrun_its_end)
{
	static const char chain[] = "cat >$DIR/chain.sh <<'END'\n"
				    "echo x >>$DIR/links\n"
				    "setsid sh $DIR/chain.sh &\n"
				    "END\n"
				    "(sh $DIR/chain.sh &)\n"
				    "until [ $(wc -l <$DIR/links) -gt 20 ]; do sleep 0.01; done 2>/dev/null";
	struct buf before = {0}, after = {0};

	arm(chain);
	open_gate();
	rig_await_release(&rig, 0);
	cr_assert_eq(rig.done, 1);
	cr_assert_eq(fs_read_file(rig_path(&rig, "links"), MIB, &before, NULL), 0);
	arm("sh $STRAY another & until [ -e $DIR/stray ]; do sleep 0.01; done");
	open_gate();
	rig_await_release(&rig, 1);
	cr_assert_eq(fs_read_file(rig_path(&rig, "links"), MIB, &after, NULL), 0);
	cr_assert_eq(before.size, after.size, "a link was made after the attempt had ended");
	buf_fini(&before);
	buf_fini(&after);
}

Test(strays, a_runners_helper_lives_with_it)
{
	static const char script[] =
	    "export STRAY=$DIR/stray.sh; read hello; echo '{\"type\":\"hello\",\"protocol\":1}'; read job; "
	    "read run\n"
	    "echo '{\"type\":\"done\",\"first\":0,\"count\":1}'; (env -i setsid sh $STRAY helper &)\n"
	    "until [ -e $DIR/go ]; do sleep 0.01; done";
	pid_t pid;

	write_stray();
	rig_work_shell(&work, script);
	work.phase.run.kind = RUN_RUNNER;
	rig_work_env(&work, "DIR", rig.dir);
	rig_run(&rig, &work, 0, 1);
	pid = await_pid("stray");
	cr_assert_not(is_gone(&pid));
	open_gate(); /* the runner ends, and its helper with it */
	rig_await(is_gone, &pid, "the helper is ended");
}

Test(strays, an_idle_runner_is_ended)
{
	static const char script[] =
	    "echo $$ >$DIR/r.new; mv $DIR/r.new $DIR/runner; read hello\n"
	    "echo '{\"type\":\"hello\",\"protocol\":1}'; read job; read run\n"
	    "echo '{\"type\":\"done\",\"first\":0,\"count\":1}'; cat >/dev/null; touch $DIR/ended";

	rig_close(&rig);
	rig_open(&rig, &(struct rig_options){.runner_idle_us = 50000});
	rig_work_shell(&work, script);
	work.phase.run.kind = RUN_RUNNER;
	rig_work_env(&work, "DIR", rig.dir);
	rig_run(&rig, &work, 0, 1);
	cr_assert_eq(rig.done, 1);
	rig_await(rig_file_exists, rig_path(&rig, "ended"), "the runner's end");
}
