/* Leases through a resident runner: results, failures, and whose fault it is when the runner ends. */
#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "jobs/kinds.h"
#include "tests/unit/worker_shell/runner_rig.h"

static struct slot_rig rig;
static struct rig_work work;
static struct buf text;

static void setup(void)
{
	rig_open(&rig, &(struct rig_options){.shard_count = 200000, .runner_idle_us = 0});
}

static void teardown(void)
{
	rig_close(&rig);
	rig_work_fini(&work);
	buf_fini(&text);
}

TestSuite(runner, .init = setup, .fini = teardown, .timeout = 100);

static void square(void)
{
	runner_rig_work(&work, (const char *const[]){"python3", SQUARE_RUNNER, NULL}, FORMAT_JSON);
	rig_work_env(&work, "DIR", rig.dir);
}

static void python(const char *body)
{
	runner_rig_python(&rig, &work, "'protocol': 1", body);
}

static void expect_output(uint32_t shard, const char *expected)
{
	rig_output(&rig, shard, "out", &text);
	cr_assert_str_eq(buf_text(&text), expected, "shard %u", shard);
}

Test(runner, results_are_the_shards_outputs_over_leases_and_jobs)
{
	square();
	rig_run(&rig, &work, 0, 50);
	rig_run(&rig, &work, 1000, 3000);
	work.job = 8;
	rig_run(&rig, &work, 60, 1);
	cr_assert_eq(rig.done, 3051);
	cr_assert_eq(rig.run_counted, 3051);
	cr_assert_gt(rig.totals.cpu_us, 0);
	cr_assert_gt(rig.totals.max_rss_bytes, 0);
	expect_output(0, "0\n");
	expect_output(49, "2401\n");
	expect_output(3999, "15992001\n");
	expect_output(60, "3600\n");
}

Test(runner, one_process_serves_all_leases_of_a_definition)
{
	python("done(m)");
	rig_run(&rig, &work, 0, 10);
	rig_run(&rig, &work, 10, 10);
	work.job = 8;
	rig_run(&rig, &work, 20, 10);
	cr_assert_eq(rig.done, 30);
	cr_assert_eq(runner_rig_lines(&rig, "starts"), 1);
	cr_assert_eq(runner_rig_lines(&rig, "jobs"), 2);
	memset(work.sha256, 1, sizeof work.sha256); /* another version of the definition */
	rig_run(&rig, &work, 30, 10);
	cr_assert_eq(runner_rig_lines(&rig, "starts"), 2);
}

Test(runner, a_command_that_names_the_job_is_started_for_each)
{
	python("done(m, results=[[n, os.environ['WHICH']]])");
	rig_work_env(&work, "WHICH", "job {{job.id}}");
	rig_run(&rig, &work, 0, 1);
	work.job = 8;
	rig_run(&rig, &work, 1, 1);
	expect_output(0, "job 7");
	expect_output(1, "job 8");
}

Test(runner, a_runner_knows_no_job_by_its_environment)
{
	python(
	    "done(m, results=[[n, ' '.join(sorted(k for k in os.environ if k.startswith('SHARDMILL_')))]])");
	rig_run(&rig, &work, 0, 1);
	expect_output(0, "SHARDMILL_ATTEMPT_ID SHARDMILL_NAME SHARDMILL_PHASE SHARDMILL_WORKER");
}

Test(runner, failures_are_of_their_shards_only)
{
	square();
	rig_work_env(&work, "FAIL", "3,17,18,99");
	rig_run(&rig, &work, 0, 100);
	cr_assert_eq(rig.done, 96);
	cr_assert_eq(rig.failed, 4);
	cr_assert_eq(rig.shards[17].kind, FAILURE_EXIT);
	cr_assert_eq(rig.shards[17].code, 3);
	cr_assert_str_eq(rig.shards[99].why, "told to fail");
	expect_output(16, "256\n");
	expect_output(17, "");
	expect_output(19, "361\n");
}

Test(runner, shards_that_end_their_runner_are_found_exactly)
{
	square();
	rig_run(&rig, &work, 100, 500); /* so that its runs are long */
	rig_work_env(&work, "DIE", "700,1500,1501");
	memset(work.sha256, 1, sizeof work.sha256);
	rig_run(&rig, &work, 600, 1000);
	cr_assert_eq(rig.failed, 3);
	cr_assert_eq(rig.done, 1497);
	for (uint32_t n = 700; n <= 1501; n += n == 700 ? 800 : 1) {
		cr_assert_eq(rig.shards[n].kind, FAILURE_RUNNER, "shard %u", n);
		cr_assert_not_null(strstr(rig.shards[n].why, "ends its runner"), "%s", rig.shards[n].why);
		cr_assert_not_null(strstr(rig.shards[n].why, "exit code 1"), "%s", rig.shards[n].why);
	}
	expect_output(1599, "2556801\n");
}

static void expect_said(uint32_t shard, const char *expected)
{
	rig_output(&rig, shard, "err", &text);
	cr_expect_str_eq(buf_text(&text), expected, "shard %u", shard);
}

Test(runner, what_it_wrote_to_stderr_is_kept_for_shards_that_failed)
{
	python(
	    "n == 0 and print('hello', file=sys.stderr)\n"
	    "    n >= 10 and print('run of %d' % n, 'goes wrong', sep='\\n', file=sys.stderr, flush=True)\n"
	    "    if n >= 20: os._exit(7)\n"
	    "    done(m, failed=[[n, 'exit', 3, 'no']] if n >= 10 else [])");
	rig_run(&rig, &work, 0, 1);
	rig_run(&rig, &work, 10, 1);
	rig_run(&rig, &work, 20, 1);
	cr_assert_eq(rig.failed, 2);
	expect_said(10, "run of 10\ngoes wrong\n");
	expect_said(20, "run of 20\ngoes wrong\n");
	cr_assert_not_null(strstr(rig.shards[20].why, ": exit code 7:\nrun of 20\ngoes wrong"), "%s",
			   rig.shards[20].why);
}

Test(runner, of_much_on_stderr_the_last_whole_lines_are_kept)
{
	python(
	    "sys.stderr.write('x' * 99 + '\\n' if n else ''); sys.stderr.write(('y' * 99 + '\\n') * 1000)\n"
	    "    sys.stderr.write('end'); sys.stderr.flush()\n"
	    "    os._exit(7)");
	rig_run(&rig, &work, 0, 1);
	rig_output(&rig, 0, "err", &text);
	cr_expect_eq(text.size, 655 * 100 + 3);
	cr_expect_eq(text.data[0], 'y');
	cr_expect_eq(memcmp(text.data + text.size - 3, "end", 3), 0);
}

Test(runner, what_it_said_before_it_ended_counts)
{
	python("[done(dict(m, first=i, count=1)) for i in range(n, min(last, 29) + 1)]\n"
	       "    if last >= 30 and n <= 30: os._exit(9)\n"
	       "    [done(dict(m, first=i, count=1)) for i in range(max(n, 30), last + 1)]");
	rig_run(&rig, &work, 0, 60);
	cr_assert_eq(rig.done, 59);
	cr_assert_eq(rig.shards[30].end, RIG_FAILED);
	cr_assert_not_null(strstr(rig.shards[30].why, "exit code 9"), "%s", rig.shards[30].why);
}

Test(runner, a_runner_that_ends_between_two_leases_is_nobodys_fault)
{
	pid_t pid;

	python("done(m)");
	rig_run(&rig, &work, 0, 3);
	cr_assert_eq(runner_rig_lines(&rig, "starts"), 1);
	cr_assert_eq(fs_read_file(rig_path(&rig, "starts"), 100, &text, NULL), 0);
	pid = (pid_t)atoi(buf_text(&text));
	cr_assert_gt(pid, 1);
	cr_assert_eq(kill(pid, SIGKILL), 0);
	rig_run(&rig, &work, 3, 3);
	cr_assert_eq(rig.done, 6, "%s", rig.shards[3].why);
	cr_assert_eq(runner_rig_lines(&rig, "starts"), 2);
}

Test(runner, one_whose_helper_holds_its_pipes_is_still_seen_to_end)
{
	python("subprocess.Popen(['sleep', '3600'], start_new_session=True) if n == 0 else None\n"
	       "    n == 0 and os._exit(4)\n"
	       "    done(m)");
	rig_run(&rig, &work, 0, 3);
	cr_assert_eq(rig.shards[0].kind, FAILURE_RUNNER);
	cr_assert_eq(rig.done, 2);
}

Test(runner, a_hang_times_out_and_the_rest_goes_on)
{
	python("signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
	       "    if n <= 40 <= last: time.sleep(3600)\n"
	       "    done(m)");
	work.phase.run.timeout_us = 700000;
	rig_run(&rig, &work, 0, 100);
	cr_assert_eq(rig.done, 99);
	cr_assert_eq(rig.shards[40].kind, FAILURE_TIMEOUT);
	cr_assert_eq(rig.shards[40].code, 700000);
}

Test(runner, a_long_run_of_shards_each_within_its_time_is_no_timeout)
{
	/* 64 at once come to a runner that was fast until then. */
	python("time.sleep(0.02 * m['count'] if n >= 100 else 0); done(m)");
	work.phase.run.timeout_us = 600000;
	rig_run(&rig, &work, 0, 100);
	rig_run(&rig, &work, 100, 64);
	cr_assert_eq(rig.failed, 0, "%s", rig.shards[100].why);
}

Test(runner, what_breaks_the_protocol_fails_in_words)
{
	static const struct {
		const char *body, *why;
	} cases[] = {
	    {"print('Traceback: no JSON', flush=True)", "expected"},
	    {"print('[]', flush=True)", "type"},
	    {"say({'type': 'hello', 'protocol': 1})", "hello in the middle"},
	    {"say({'type': 'done', 'first': n + 1, 'count': 1})", "are next"},
	    {"say({'type': 'done', 'first': n, 'count': m['count'] + 1})", "are next"},
	    {"done(m, failed=[[n], [n]])", "twice"},
	    {"done(m, results=[[n, 'a'], [n, 'b']])", "twice"},
	    {"done(m, results=[[n + 1, 'a']])", "results"},
	    {"sys.stdout.write('x' * (9 << 20)); sys.stdout.flush()", "longer than"},
	    {"os.close(1); time.sleep(3600)", "ended"},
	};

	for (uint32_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		python(cases[i].body);
		work.sha256[0] = (uint8_t)(i + 1);
		rig_run(&rig, &work, i, 1);
		cr_expect_eq(rig.shards[i].kind, FAILURE_RUNNER, "%s", cases[i].body);
		cr_expect_not_null(strstr(rig.shards[i].why, cases[i].why), "%s: %s", cases[i].body,
				   rig.shards[i].why);
	}
}

Test(runner, one_that_does_not_come_up_fails_in_words)
{
	static const struct {
		const char *argv[4];
		uint8_t kind;
		const char *why;
	} cases[] = {
	    {{"no-such-runner", NULL}, FAILURE_NO_PROGRAM, "no-such-runner"},
	    {{"sh", "-c", "echo no module named x >&2; exit 2", NULL}, FAILURE_RUNNER, "no module named x"},
	    {{"sh", "-c", "echo '{\"type\":\"done\",\"first\":0,\"count\":1}'; cat >/dev/null", NULL},
	     FAILURE_RUNNER,
	     "no hello"},
	    {{"sh", "-c", "echo '{\"type\":\"hello\",\"protocol\":7}'; cat >/dev/null", NULL},
	     FAILURE_RUNNER,
	     "protocol 7"},
	    {{"sh", "-c", "echo Starting up...; cat >/dev/null", NULL}, FAILURE_RUNNER, "expected"},
	};

	for (uint32_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		runner_rig_work(&work, cases[i].argv, FORMAT_JSON);
		rig_run(&rig, &work, 2 * i, 2);
		for (uint32_t n = 2 * i; n < 2 * i + 2; n++) {
			cr_expect_eq(rig.shards[n].kind, cases[i].kind, "%s", rig.shards[n].why);
			cr_expect_not_null(strstr(rig.shards[n].why, cases[i].why), "%s: %s", cases[i].why,
					   rig.shards[n].why);
			expect_said(n, i == 1 ? "no module named x\n" : "");
		}
	}
}

Test(runner, a_stop_ends_it_and_tells_nothing_of_what_it_had)
{
	uint32_t cell;

	python("mark('began'); time.sleep(0 if has('go') else 3600); done(m)");
	cell = rig_arm(&rig, &work, 0, 100);
	rig_await(rig_file_exists, rig_path(&rig, "began"), "the runner has a run");
	rig_stop(&rig, cell);
	rig_await_release(&rig, cell);
	cr_assert_eq(rig.done + rig.failed, 0);
	cr_assert_eq(fs_write_file(rig_path(&rig, "go"), BYTES_LIT("x"), 0600, NULL), 0);
	rig_run(&rig, &work, 100, 10);
	cr_assert_eq(rig.done, 10);
	cr_assert_eq(runner_rig_lines(&rig, "starts"), 2);
}

Test(runner, a_lowered_end_keeps_the_runs_it_has)
{
	struct cell_view v;
	uint32_t cell;

	python("mark('began')\n"
	       "    while not has('go'): time.sleep(0.01)\n"
	       "    done(m)");
	cell = rig_arm(&rig, &work, 0, 100);
	rig_await(rig_file_exists, rig_path(&rig, "began"), "the runner has a run");
	v = rig_lower_end(&rig, cell, 0);
	cr_assert_eq(v.next, v.end);
	cr_assert(v.end > 0 && v.end <= 2);
	cr_assert_eq(fs_write_file(rig_path(&rig, "go"), BYTES_LIT("x"), 0600, NULL), 0);
	rig_await_release(&rig, cell);
	cr_assert_eq(rig.done, v.end);
}

Test(runner, items_come_with_their_runs)
{
	struct bytes items[] = {BYTES_LIT("a"), BYTES_LIT("two\nlines"), BYTES_LIT(""),
				BYTES_LIT("\"q\" \\ \xc3\xa9")};

	python("done(m, results=[[n + i, '<' + x + '>'] for i, x in enumerate(m['items'])])");
	rig_work_items(&work, items, 4);
	rig_run(&rig, &work, 20, 4);
	cr_assert_eq(rig.done, 4, "%s", rig.shards[20].why);
	expect_output(20, "<a>");
	expect_output(21, "<two\nlines>");
	expect_output(22, "<>");
	expect_output(23, "<\"q\" \\ \xc3\xa9>");
}

Test(runner, a_result_beyond_the_bound_fails_its_shard)
{
	python("done(m, results=[[i, 'x' * (5000 if i == 1 else 10)] for i in range(n, last + 1)])");
	work.phase.run.output_bytes_max = 4096;
	rig_run(&rig, &work, 0, 4);
	cr_assert_eq(rig.done, 3);
	cr_assert_eq(rig.shards[1].kind, FAILURE_OUTPUT_MAX);
	expect_output(3, "xxxxxxxxxx");
}

Test(runner, one_result_of_many_shards_stands_with_the_first)
{
	python(
	    "done(m, result='%d to %d\\n' % (n, last)) if n < 40 else done(m, results=[[i, str(i)] for i in "
	    "range(n, last + 1)])");
	rig_run(&rig, &work, 0, 30);
	cr_assert_eq(rig.done, 30);
	cr_assert_eq(rig.wholes, 30);
	rig_output(&rig, 0, "out", &text);
	cr_assert_eq(strncmp(buf_text(&text), "0 to ", 5), 0, "%s", buf_text(&text));
	rig_run(&rig, &work, 40, 10);
	cr_assert_eq(rig.done, 40);
	cr_assert_eq(rig.wholes, 30, "these have an output each");
	expect_output(49, "49");
}

Test(runner, one_result_beyond_the_bound_fails_its_shards)
{
	python("done(m, result='x' * 5000)");
	work.phase.run.output_bytes_max = 4096;
	rig_run(&rig, &work, 0, 4);
	cr_assert_eq(rig.failed, 4);
	cr_assert_eq(rig.shards[3].kind, FAILURE_OUTPUT_MAX);
}

Test(runner, the_c_runner_speaks_msgpack)
{
	runner_rig_work(&work, (const char *const[]){NOOP_RUNNER, NULL}, FORMAT_MSGPACK);
	rig_run(&rig, &work, 0, 200000);
	cr_assert_eq(rig.done, 200000);
	cr_assert_eq(rig.run_counted, 200000);
}
