/* Processes that left their attempt's group: they may live while it runs, not longer. */
#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fs.h"
#include "jobs/kinds.h"
#include "tests/unit/worker_shell/slot_rig.h"
#include "worker/strays.h"

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

/* Double fork and a session of its own, as daemons do; `with` comes before its shell. */
#define DAEMON(with)                                                                                         \
	"(setsid " with " sh -c 'echo $$ >'$DIR'/d.new; mv '$DIR'/d.new '$DIR'/daemon\n"                     \
	"  while :; do sleep 1; done' </dev/null >/dev/null 2>&1 &)\n"                                       \
	"until [ -e $DIR/daemon ]; do sleep 0.01; done\n"                                                    \
	"touch $DIR/began; until [ -e $DIR/go ]; do sleep 0.01; done"

static pid_t daemon_pid(void)
{
	struct buf text = {0};
	pid_t pid;

	rig_await(rig_file_exists, rig_path(&rig, "began"), "the attempt waits");
	cr_assert_eq(fs_read_file(rig_path(&rig, "daemon"), 100, &text, NULL), 0);
	pid = (pid_t)atoi(buf_text(&text));
	buf_fini(&text);
	return pid;
}

static void open_gate(void)
{
	cr_assert_eq(fs_write_file(rig_path(&rig, "go"), BYTES_LIT("x"), 0600, NULL), 0);
}

static bool is_gone(const void *pid)
{
	strays_end(&rig.slot, 1); /* as the agent, now and then: takes the remains */
	return kill(*(const pid_t *)pid, 0) < 0 && errno == ESRCH;
}

Test(strays, a_daemon_lives_as_long_as_its_attempt)
{
	pid_t pid;

	rig_work_shell(&work, DAEMON(""));
	rig_work_env(&work, "DIR", rig.dir);
	rig_arm(&rig, &work, 0, 1);
	pid = daemon_pid();
	for (int i = 0; i < 3; i++)
		cr_assert_eq(strays_end(&rig.slot, 1), 0);
	cr_assert_eq(kill(pid, 0), 0);
	open_gate();
	rig_await_release(&rig, 0);
	cr_assert_eq(rig.done, 1);
	cr_assert(kill(pid, 0) < 0 && errno == ESRCH);
}

Test(strays, one_that_hides_its_attempt_is_ended_by_the_agent)
{
	pid_t pid;

	rig_work_shell(&work, DAEMON("env -i PATH=\"$PATH\""));
	rig_work_env(&work, "DIR", rig.dir);
	rig_arm(&rig, &work, 0, 1);
	pid = daemon_pid();
	rig_await(is_gone, &pid, "the daemon is ended");
	open_gate();
	rig_await_release(&rig, 0);
	cr_assert_eq(rig.done, 1);
}

Test(strays, a_runners_helper_lives_with_it)
{
	static const char script[] =
	    "read hello; echo '{\"type\":\"hello\",\"protocol\":1}'; read job; read run\n"
	    "echo '{\"type\":\"done\",\"first\":0,\"count\":1}'\n" DAEMON("");
	pid_t pid;

	rig_work_shell(&work, script);
	work.phase.run.kind = RUN_RUNNER;
	rig_work_env(&work, "DIR", rig.dir);
	rig_run(&rig, &work, 0, 1);
	pid = daemon_pid();
	cr_assert_eq(strays_end(&rig.slot, 1), 0);
	cr_assert_eq(kill(pid, 0), 0);
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
