/* Leases of one shard, each of a job of its own, of a runner that takes many at a time. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "jobs/kinds.h"
#include "tests/unit/worker_shell/runner_rig.h"

static struct slot_rig rig;

static void setup(void)
{
	rig_open(&rig, &(struct rig_options){.shard_count = 2000, .runner_idle_us = 0});
}

static void teardown(void)
{
	rig_close(&rig);
}

TestSuite(runner_many, .init = setup, .fini = teardown, .timeout = 100);

static void expect_output(uint32_t shard, const char *expected)
{
	struct buf text = {0};

	rig_output(&rig, shard, "out", &text);
	cr_assert_str_eq(buf_text(&text), expected, "shard %u", shard);
	buf_fini(&text);
}

#define MANY 8

static struct rig_work many[MANY];

static void arm_many(const char *body)
{
	for (uint32_t i = 0; i < MANY; i++) {
		runner_rig_python(&rig, &many[i], "'protocol': 2, 'runs': 64", body);
		many[i].job = 100 + i;
		rig_arm(&rig, &many[i], i, 1);
	}
}

static void fini_many(void)
{
	for (uint32_t i = 0; i < MANY; i++)
		rig_work_fini(&many[i]);
}

/* It answers none before it has all of them, and only then. */
#define WHEN_ALL_ARE_THERE(answers)                                                                          \
	"q = globals().setdefault('q', []); q.append(m)\n"                                                   \
	"    if len(q) == 8: " answers

Test(runner_many, leases_of_many_jobs_are_in_flight_together)
{
	arm_many(WHEN_ALL_ARE_THERE("[done(x, results=[[x['first'], 'of ' + x['token']]]) for x in q]"));
	rig_await_release(&rig, MANY - 1);
	cr_assert_eq(rig.done, MANY);
	cr_assert_eq(runner_rig_lines(&rig, "starts"), 1);
	cr_assert_eq(runner_rig_lines(&rig, "jobs"), MANY);
	expect_output(0, "of 3-1");
	expect_output(7, "of 3-8");
	fini_many();
}

Test(runner_many, of_a_runner_that_speaks_version_1_two_runs_are_in_flight)
{
	runner_rig_python(&rig, &many[0], "'protocol': 1",
			  "mark('runs'); n < 3 and done(m) or has('go') or mark('full')");
	for (uint32_t i = 0; i < 6; i++)
		rig_arm(&rig, &many[0], i, 1);
	rig_await_ended(&rig, 3);
	rig_stop(&rig, 3);
	rig_stop(&rig, 4);
	rig_stop(&rig, 5);
	rig_await_release(&rig, 5);
	cr_assert_eq(rig.done, 3);
	cr_assert_leq(runner_rig_lines(&rig, "runs"), 4,
		      "the next lease comes when the one before has ended");
}

Test(runner_many, one_that_ends_with_many_leases_fails_the_shard_that_ended_it_alone)
{
	arm_many("[os._exit(3) for _ in [0] if n == 5]; done(m)");
	rig_await_release(&rig, MANY - 1);
	cr_assert_eq(rig.done, MANY - 1);
	cr_assert_eq(rig.failed, 1);
	cr_assert_eq(rig.shards[5].kind, FAILURE_RUNNER);
	fini_many();
}

Test(runner_many, a_stop_of_one_of_many_leases_leaves_the_others)
{
	arm_many(WHEN_ALL_ARE_THERE("mark('full')\n") "    if has('go'): done(m)");
	rig_await(rig_file_exists, rig_path(&rig, "full"), "the runner has all of them");
	cr_assert_eq(fs_write_file(rig_path(&rig, "go"), BYTES_LIT("x"), 0600, NULL), 0);
	rig_stop(&rig, 3);
	rig_await_release(&rig, MANY - 1);
	cr_assert_eq(rig.done, MANY - 1);
	cr_assert_eq(rig.failed, 0);
	cr_assert_eq(runner_rig_lines(&rig, "starts"), 2, "nobody knows which shard it is at: it is ended");
	rig_run(&rig, &many[0], 100, 1);
	cr_assert_eq(rig.done, MANY, "the cells are worked on in turn as before");
	fini_many();
}

Test(runner_many, a_cell_that_is_emptied_behind_many_is_passed_over)
{
	int gate;

	cr_assert_eq(mkfifo(rig_path(&rig, "gate"), 0600), 0);
	arm_many("has('passed') or (open(os.environ['DIR'] + '/gate').read(), mark('passed'))\n    done(m)");
	rig_lower_end(&rig, 6, 0);
	gate = open(rig_path(&rig, "gate"), O_WRONLY | O_CLOEXEC); /* when the runner stands before it */
	cr_assert_geq(gate, 0);
	close(gate);
	rig_await_release(&rig, 6);
	rig_await_release(&rig, MANY - 1);
	cr_assert_geq(rig.done, MANY - 1);
	for (uint32_t i = 0; i < SLOT_CELLS; i++) {
		many[0].job = 200 + i;
		rig_run(&rig, &many[0], 1000 + i, 1);
	}
	cr_assert_geq(rig.done, MANY - 1 + SLOT_CELLS);
	fini_many();
}
