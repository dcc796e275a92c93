/* A slot runs its leases: what it reports of each shard, what stops it, and in which order. */
#include <criterion/criterion.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "jobs/kinds.h"
#include "tests/unit/worker_shell/slot_rig.h"

static struct slot_rig rig;
static struct rig_work work, other;
static struct buf text;

static void setup(void)
{
	rig_open(&rig, NULL);
}

static void teardown(void)
{
	rig_close(&rig);
	rig_work_fini(&work);
	rig_work_fini(&other);
	buf_fini(&text);
}

TestSuite(slot, .init = setup, .fini = teardown, .timeout = 60);

/* A command that says that it runs, and ends when the test makes the file `go`. */
static void gate(struct rig_work *w)
{
	rig_work_shell(w, "touch $DIR/began.$SHARDMILL_SHARD; until [ -e $DIR/go ]; do sleep 0.01; done");
	rig_work_env(w, "DIR", rig.dir);
}

static void await_began(uint32_t shard)
{
	char name[40];

	snprintf(name, sizeof name, "began.%u", shard);
	rig_await(rig_file_exists, rig_path(&rig, name), name);
}

static void open_gate(void)
{
	cr_assert_eq(fs_write_file(rig_path(&rig, "go"), BYTES_LIT("x"), 0600, NULL), 0);
}

/* The process whose number a command left in a file. */
static pid_t pid_of(const char *name)
{
	const char *path = rig_path(&rig, name);

	rig_await(rig_file_exists, path, name);
	buf_clear(&text);
	cr_assert_eq(fs_read_file(path, 100, &text, NULL), 0);
	return (pid_t)atoi(buf_text(&text));
}

static bool is_gone(const void *pid)
{
	return kill(*(const pid_t *)pid, 0) < 0 && errno == ESRCH;
}

Test(slot, each_shard_of_a_lease_is_done_with_its_own_output)
{
	rig_work_init(&work, (const char *const[]){"echo", "value", "{{shard.value}}", NULL});
	rig_run(&rig, &work, 5, 3);
	cr_assert_eq(rig.done, 3);
	cr_assert_eq(rig.failed, 0);
	cr_assert_eq(rig.run_counted, 3);
	cr_assert_eq(rig.totals.output_bytes, 3 * strlen("value 5\n"));
	rig_output(&rig, 7, "out", &text);
	cr_assert_str_eq(buf_text(&text), "value 7\n");
	rig_output(&rig, 5, "out", &text);
	cr_assert_str_eq(buf_text(&text), "value 5\n");
}

Test(slot, streams_are_kept_apart_and_a_failure_keeps_what_it_wrote)
{
	rig_work_shell(&work, "echo out; echo err >&2; test $SHARDMILL_SHARD != 1");
	rig_run(&rig, &work, 0, 3);
	cr_assert_eq(rig.done, 2);
	cr_assert_eq(rig.shards[1].end, RIG_FAILED);
	cr_assert_str_eq(rig.shards[1].why, "err");
	rig_output(&rig, 2, "out", &text);
	cr_assert_str_eq(buf_text(&text), "out\n");
	rig_output(&rig, 2, "err", &text);
	cr_assert_str_eq(buf_text(&text), "err\n");
	rig_output(&rig, 1, "out", &text);
	cr_assert_str_eq(buf_text(&text), "out\n");
	rig_output(&rig, 1, "err", &text);
	cr_assert_str_eq(buf_text(&text), "err\n");
	cr_assert_neq(rig.shards[1].segment, 0);
}

Test(slot, a_failure_that_wrote_nothing_names_no_segment)
{
	rig_work_shell(&work, "exit 3");
	rig_run(&rig, &work, 0, 1);
	cr_assert_eq(rig.shards[0].end, RIG_FAILED);
	cr_assert_eq(rig.shards[0].segment, 0);
}

Test(slot, cpu_time_and_memory_are_told_also_of_a_failure)
{
	rig_work_shell(&work, "i=0; while test $i -lt 30000; do i=$((i+1)); done; exit $SHARDMILL_SHARD");
	rig_run(&rig, &work, 0, 1);
	cr_assert_gt(rig.totals.cpu_us, 0);
	cr_assert_gt(rig.totals.max_rss_bytes, 64 * KIB);
	rig.totals.cpu_us = 0;
	rig_run(&rig, &work, 1, 1);
	cr_assert_eq(rig.failed, 1);
	cr_assert_gt(rig.totals.cpu_us, 0);
}

Test(slot, how_a_command_ended_is_told)
{
	static const struct {
		const char *script;
		uint8_t end, kind;
		int64_t code;
	} cases[] = {
	    {"exit 0", RIG_DONE, 0, 0},
	    {"exit 1", RIG_FAILED, FAILURE_EXIT, 1},
	    {"exit 42", RIG_DONE, 0, 0}, /* by the rules below */
	    {"exit 43", RIG_FAILED, FAILURE_EXIT, 43},
	    {"exit 255", RIG_FAILED, FAILURE_EXIT, 255},
	    {"kill -SEGV $$", RIG_FAILED, FAILURE_SIGNAL, SIGSEGV},
	    {"kill -KILL $$", RIG_FAILED, FAILURE_SIGNAL, SIGKILL},
	};

	for (uint32_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		rig_work_shell(&work, cases[i].script);
		work.rules[0] = (struct exit_rule){40, 42, VERDICT_SUCCESS};
		work.rules[1] = (struct exit_rule){43, 43, VERDICT_FAIL};
		work.phase.run.exit_rules.count = 2;
		rig_run(&rig, &work, i, 1);
		cr_expect_eq(rig.shards[i].end, cases[i].end, "%s", cases[i].script);
		cr_expect_eq(rig.shards[i].kind, cases[i].kind, "%s", cases[i].script);
		cr_expect_eq(rig.shards[i].code, cases[i].code, "%s", cases[i].script);
	}
	/* A rule may say that 0 is no success. */
	rig_work_shell(&work, "exit 0");
	work.rules[0] = (struct exit_rule){0, 0, VERDICT_FAIL};
	work.phase.run.exit_rules.count = 1;
	rig_run(&rig, &work, 20, 1);
	cr_expect_eq(rig.shards[20].kind, FAILURE_EXIT);
}

Test(slot, what_cannot_be_started_fails_each_shard_in_words)
{
	rig_work_init(&work, (const char *const[]){"no-such-program-here", NULL});
	rig_run(&rig, &work, 0, 3);
	cr_assert_eq(rig.failed, 3);
	cr_assert_eq(rig.shards[2].kind, FAILURE_NO_PROGRAM);
	cr_assert_eq(rig.shards[2].code, ENOENT);
	cr_assert_not_null(strstr(rig.shards[2].why, "no-such-program-here"));
	rig_work_shell(&work, "true");
	work.phase.run.directory = bytes_of("/nowhere/at/all");
	rig_run(&rig, &work, 3, 1);
	cr_assert_eq(rig.shards[3].kind, FAILURE_NO_PROGRAM);
	cr_assert_eq(rig.shards[3].code, FAILURE_CODE_FINAL);
	cr_assert_not_null(strstr(rig.shards[3].why, "directory"));
	rig_work_shell(&work, "true");
	work.phase.run.env_from = (struct pair_list){&(struct pair){bytes_of("S"), bytes_of("/no/s")}, 1};
	rig_run(&rig, &work, 4, 1);
	cr_assert_eq(rig.shards[4].kind, FAILURE_NO_PROGRAM);
	cr_assert_not_null(strstr(rig.shards[4].why, "/no/s"));
	rig_work_shell(&work, "echo fine");
	rig_run(&rig, &work, 5, 1);
	cr_assert_eq(rig.shards[5].end, RIG_DONE);
}

Test(slot, a_program_beside_the_definitions_directory_is_found_there)
{
	const char *script = rig_path(&rig, "here.sh");

	cr_assert_eq(fs_write_file(script, BYTES_LIT("#!/bin/sh\npwd\n"), 0700, NULL), 0);
	rig_work_init(&work, (const char *const[]){"./here.sh", NULL});
	work.phase.run.directory = bytes_of(rig.dir);
	rig_run(&rig, &work, 0, 1);
	cr_assert_eq(rig.shards[0].end, RIG_DONE, "%s", rig.shards[0].why);
	rig_output(&rig, 0, "out", &text);
	cr_assert_eq(strncmp(buf_text(&text), rig.dir, strlen(rig.dir)), 0);
}

Test(slot, a_timeout_ends_the_whole_tree_also_what_ignores_sigterm)
{
	pid_t leader, grandchild;

	rig_work_shell(&work, "trap '' TERM; echo $$ >$DIR/leader.new; mv $DIR/leader.new $DIR/leader\n"
			      "sh -c 'trap \"\" TERM; echo $$ >$DIR/g.new; mv $DIR/g.new $DIR/grandchild\n"
			      "while :; do sleep 1; done' &\n"
			      "echo hanging >&2; while :; do sleep 1; done");
	rig_work_env(&work, "DIR", rig.dir);
	work.phase.run.timeout_us = 700000;
	rig_run(&rig, &work, 0, 1);
	cr_assert_eq(rig.shards[0].kind, FAILURE_TIMEOUT);
	cr_assert_eq(rig.shards[0].code, 700000);
	cr_assert_not_null(strstr(rig.shards[0].why, "hanging"));
	leader = pid_of("leader");
	grandchild = pid_of("grandchild");
	cr_assert(is_gone(&leader));
	cr_assert(is_gone(&grandchild), "not ended, or its remains are left behind");
}

Test(slot, a_child_left_behind_writes_nothing_into_the_next_shards_output)
{
	/* In a session of its own, out of reach of the group's SIGKILL, it writes as long as it lives. */
	rig_work_shell(&work, "if [ $SHARDMILL_SHARD = 0 ]; then\n"
			      "  setsid sh -c 'echo $$ >$DIR/d.new; mv $DIR/d.new $DIR/daemon\n"
			      "    while :; do echo stray; done' &\n"
			      "  until [ -e $DIR/daemon ]; do sleep 0.01; done\n"
			      "else sleep 0.2; fi; echo mine >&2");
	rig_work_env(&work, "DIR", rig.dir);
	rig_run(&rig, &work, 0, 2);
	cr_assert_eq(rig.done, 2);
	rig_output(&rig, 1, "out", &text);
	cr_assert_eq(text.size, 0);
	{
		pid_t daemon = pid_of("daemon");

		cr_assert(is_gone(&daemon));
	}
}

Test(slot, a_stop_ends_what_runs_and_nothing_is_told_of_it)
{
	uint32_t cell;

	gate(&work);
	cell = rig_arm(&rig, &work, 0, 5);
	await_began(0);
	rig_stop(&rig, cell);
	rig_await_release(&rig, cell);
	cr_assert_eq(rig.done + rig.failed, 0);
	cr_assert_eq(rig.seen[cell].next, 1);
	rig_work_shell(&work, "true");
	rig_run(&rig, &work, 10, 2);
	cr_assert_eq(rig.done, 2);
}

Test(slot, a_stop_is_for_its_token_only)
{
	uint32_t cell;

	gate(&work);
	cell = rig_arm(&rig, &work, 0, 1);
	await_began(0);
	slot_stop(rig.slot, &(struct worker_stop){.cell = cell, .token = {3, 99}});
	slot_stop(rig.slot, &(struct worker_stop){.cell = cell_after(cell), .token = {3, 1}});
	open_gate();
	rig_await_release(&rig, cell);
	cr_assert_eq(rig.done, 1);
}

/* The core arms cells in turn, also when one of them was given back before it was begun. */
Test(slot, a_waiting_lease_that_is_stopped_or_revoked_frees_its_cell_and_keeps_the_turn)
{
	gate(&work);
	gate(&other);
	for (uint32_t round = 0; round < 4; round++) {
		uint32_t running, waiting;

		unlink(rig_path(&rig, "go"));
		running = rig_arm(&rig, &work, round * 10, 2);
		await_began(round * 10);
		waiting = rig_arm(&rig, &other, 100 + round * 10, 5);
		if (round % 2 == 0)
			rig_stop(&rig, waiting);
		else
			cr_assert_eq(rig_lower_end(&rig, waiting, 0).end, 100 + round * 10);
		rig_await_release(&rig, waiting);
		cr_assert(rig.armed[running]);
		open_gate();
		rig_await_release(&rig, running);
		cr_assert_eq(rig.done, (round + 1) * 2);
	}
}

Test(slot, a_lowered_end_keeps_what_is_begun)
{
	struct cell_view v;
	uint32_t cell;

	gate(&work);
	cell = rig_arm(&rig, &work, 0, 10);
	await_began(0);
	v = rig_lower_end(&rig, cell, 3);
	cr_assert_eq(v.next, 1);
	cr_assert_eq(v.end, 3);
	v = rig_lower_end(&rig, cell, 0);
	cr_assert_eq(v.end, 1);
	open_gate();
	rig_await_release(&rig, cell);
	cr_assert_eq(rig.done, 1);
}

Test(slot, closing_ends_while_cells_are_armed)
{
	gate(&work);
	rig_stop(&rig, rig_arm(&rig, &work, 0, 10));
	rig_arm(&rig, &work, 10, 10);
	rig_stop(&rig, 1);
	/* teardown closes it */
}

Test(slot, each_attempt_finds_an_empty_directory)
{
	rig_work_shell(&work, "ls -A; mkdir -p a/b; echo x >a/b/c; echo y >.hidden");
	rig_run(&rig, &work, 0, 3);
	cr_assert_eq(rig.done, 3);
	for (uint32_t n = 0; n < 3; n++) {
		rig_output(&rig, n, "out", &text);
		cr_assert_str_eq(buf_text(&text), "", "shard %u", n);
	}
}

Test(slot, output_beyond_its_bound_fails_the_shard_and_only_that)
{
	static const char script[] = "[ $SHARDMILL_SHARD != 1 ] || exec head -c 100000 /dev/zero; echo fine";

	rig_work_shell(&work, script);
	work.phase.run.output_bytes_max = 4096;
	rig_run(&rig, &work, 0, 3);
	cr_assert_eq(rig.done, 2);
	cr_assert_eq(rig.shards[1].kind, FAILURE_OUTPUT_MAX);
	cr_assert_not_null(strstr(rig.shards[1].why, "output_max"));
	rig_output(&rig, 2, "out", &text);
	cr_assert_str_eq(buf_text(&text), "fine\n");
}

Test(slot, a_command_that_ignores_the_bound_does_not_pass_with_half_an_output)
{
	rig_work_shell(&work, "trap '' XFSZ; head -c 100000 /dev/zero; exit 0");
	work.phase.run.output_bytes_max = 4096;
	rig_run(&rig, &work, 0, 1);
	cr_assert_eq(rig.shards[0].kind, FAILURE_OUTPUT_MAX, "%u", rig.shards[0].kind);
}

Test(slot, a_shard_that_wrote_nothing_names_no_segment)
{
	rig_work_shell(&work, "test $SHARDMILL_SHARD = 0 || echo x");
	rig_run(&rig, &work, 0, 1);
	cr_assert_eq(rig.shards[0].segment, 0);
	rig_run(&rig, &work, 1, 1);
	cr_assert_neq(rig.shards[1].segment, 0);
}

Test(slot, no_descriptor_of_the_worker_is_open_in_a_command)
{
	rig_work_shell(&work, "ls /proc/self/fd | wc -l");
	rig_run(&rig, &work, 0, 1);
	rig_output(&rig, 0, "out", &text);
	cr_assert_str_eq(buf_text(&text), "4\n", "expected 0, 1, 2 and ls's own: %s", buf_text(&text));
}

/* Each core that this test may use, in turn: a command runs on the core of its slot and nowhere else. */
Test(slot_pinned, a_command_runs_on_the_cores_of_its_slot, .timeout = 60)
{
	cpu_set_t mine;
	int tried = 0;

	cr_assert_eq(sched_getaffinity(0, sizeof mine, &mine), 0);
	for (int core = 0; core < CPU_SETSIZE && tried < 4; core++) {
		char name[16], expected[64];

		if (!CPU_ISSET(core, &mine))
			continue;
		tried++;
		snprintf(name, sizeof name, "%d", core);
		snprintf(expected, sizeof expected, "Cpus_allowed_list:\t%d\n", core);
		rig_open(&rig, &(struct rig_options){.cores = name, .pin = true});
		rig_work_init(&work,
			      (const char *const[]){"grep", "Cpus_allowed_list", "/proc/self/status", NULL});
		rig_run(&rig, &work, 0, 1);
		rig_output(&rig, 0, "out", &text);
		cr_expect_str_eq(buf_text(&text), expected);
		teardown();
		buf_clear(&text);
	}
	cr_assert_gt(tried, 0);
}

/* The disk that the outputs are on has 1 MiB, and somebody else has taken nearly all of it. */
Test(slot_on_a_full_disk, says_so_when_the_command_cannot, .timeout = 60)
{
	char dir[] = "/tmp/shardmill-full-XXXXXX";
	static const char fill[] = "cat /dev/zero >$DIR/fill 2>&-; head -c 100000 /dev/zero";

	cr_assert_not_null(mkdtemp(dir));
	if (mount("tmpfs", dir, "tmpfs", 0, "size=1m") < 0) {
		rmdir(dir);
		fprintf(stderr, "mill: skipped: slot_on_a_full_disk: only root may mount a file system\n");
		cr_skip_test("only root may mount a file system"); /* says nothing by itself */
	}
	cr_assert_eq(setenv("TMPDIR", dir, 1), 0);
	setup();
	rig_work_shell(&work, "exit 3");
	rig_run(&rig, &work, 0, 1);
	cr_expect_null(strstr(rig.shards[0].why, "full"), "%s", rig.shards[0].why);
	rig_work_fini(&work);
	rig_work_shell(&work, fill);
	rig_work_env(&work, "DIR", rig.dir);
	rig_run(&rig, &work, 1, 1);
	cr_expect_eq(rig.shards[1].end, RIG_FAILED);
	cr_expect_eq(rig.shards[1].kind, FAILURE_OUTPUT);
	cr_expect_not_null(strstr(rig.shards[1].why, "the disk of its output is full: /tmp/shardmill-full-"),
			   "%s", rig.shards[1].why);
	teardown();
	cr_assert_eq(umount(dir), 0);
	cr_assert_eq(rmdir(dir), 0);
}
