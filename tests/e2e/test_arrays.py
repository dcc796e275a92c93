#!/usr/bin/env python3
"""What users of batch systems expect of arrays: when a job with dead shards ends, and how its shards are named."""
import os

from case import main
from cli_case import CliCase
from mill import until


class Failure(CliCase):
    def test_all_shards_run_with_keep_going_and_the_job_fails_at_its_end(self):
        self.start()
        job = self.submit("--keep-going", "--exit=7=fail", "--array=0-3", "--", "sh", "-c",
                          "test {} = 0 && exit 7; test {} != 3 || until [ -e gate ]; do sleep 0.02; done")
        until(lambda: self.mill.job(int(job))["phases"][0]["done"] == 2)
        self.assertIn("1 shard is dead: the job fails when all others have ended (keep_going)", self.run_cli("explain", job)[0])
        self.assertRegex(self.run_cli("show", job)[0], r"\n  outlook +1 shard is dead: ")
        self.write("gate", "")
        self.run_cli("wait", job, code=1)
        ended = self.mill.job(int(job))
        self.assertEqual(("failed", 3, 1, 0), (ended["state"], *(ended["phases"][0][n] for n in ("done", "dead", "dropped"))))
        self.assertIn("shards: 1 dead, 0 allowed; shard 0: exit 7", ended["why"])
        self.assertNotIn("outlook", ended)

    def test_others_are_stopped_behind_max_failures(self):
        self.start()
        job = self.submit("--max-failures=2", "--attempts=1", "--array=0-3", "--", "sh", "-c",
                          "test {} -lt 2 && exit 1; until [ -e gate ]; do sleep 0.02; done; test {} = 2 && exit 1; exec sleep 600")
        until(lambda: self.mill.job(int(job))["phases"][0]["dead"] == 2)
        self.assertEqual("running", self.mill.job(int(job))["word"])
        self.write("gate", "")
        self.run_cli("wait", job, code=1)
        ended = self.mill.job(int(job))
        self.assertEqual((0, 3, 1), tuple(ended["phases"][0][n] for n in ("done", "dead", "dropped")))
        self.assertIn("3 dead, 2 allowed", ended["why"])

    def test_what_exit_codes_mean_stands_on_the_command_line(self):
        self.start()
        job = self.submit("--exit", "3=success", "--exit", "70-79=fail", "--array=2", "--keep-going", "--", "sh", "-c",
                          "echo x >> tries{}; exit $((3 + 72 * {}))")
        self.run_cli("wait", job, code=1)
        self.assertEqual(2, os.path.getsize(self.path("tries1")))
        ended = self.mill.job(int(job))
        self.assertEqual((1, 1), tuple(ended["phases"][0][n] for n in ("done", "dead")))


class Bounds(CliCase):
    def test_no_more_shards_run_at_a_time_than_may(self):
        self.mill.start_dispatcher()
        self.mill.start_worker(cpus="3")
        job = self.submit("--array", "1-12%2", "--", "sh", "-c",
                          "echo + >> runs; until [ -e gate ]; do sleep 0.02; done; echo - >> runs")
        until(lambda: self.mill.job(int(job))["phases"][0]["leased"] == 2)
        said = self.run_cli("explain", job)[0]
        self.assertIn("10 shards wait, as at most 2 may run at a time (max_running)", said)
        self.assertEqual(2, self.mill.job(int(job))["max_running"])
        self.write("gate", "")
        self.run_cli("wait", job)
        running = most = 0
        with open(os.path.join(self.mill.dir, "runs"), encoding="ascii") as lines:
            for line in lines:
                running += 1 if line[0] == "+" else -1
                most = max(most, running)
        self.assertEqual(2, most)


class Numbers(CliCase):
    """people call a shard by the number that --array gave it"""

    def test_logs_show_and_output_name_shards_by_the_arrays_numbers(self):
        self.start()
        job = self.submit("--array=5-9", "--attempts=1", "--tolerate=1", "--", "sh", "-c", "echo out {}; test {} != 8")
        self.run_cli("wait", job)
        self.assertEqual(["%d | out %d" % (n, n) for n in (5, 6, 7, 9, 8)], self.run_cli("logs", job)[0].splitlines(),
                         "the dead come last")
        self.assertEqual("6 | out 6\n7 | out 7\n", self.run_cli("logs", "--shard=6-7", job)[0])
        self.assertEqual("out 9\n", self.run_cli("output", "--shard=9", job)[0])
        out, _ = self.run_cli("show", job)
        self.assertRegex(out, r"\n  numbers +5-9\n")
        self.assertRegex(out, r"\n8 +exit +1")
        self.assertIn("Shard 8 is dead: exit 1", self.run_cli("explain", job)[0])
        for verb in ("logs", "output"):
            _, err = self.run_cli(verb, "--shard=3", job, code=2)
            self.assertIn("--shard", err)
            self.assertIn("the job has no shard 3: its numbers are 5 to 9", err)
        self.assertEqual([3], [r["first"] for r in self.mill.api("GET", "/v1/jobs/%s/shards" % job)["shards"]],
                         "the API counts from 0")

    def test_a_row_of_numbers_while_it_runs_and_when_it_fails(self):
        self.start()
        job = self.submit("--array=20,4,9-11:2", "--attempts=1", "--", "sh", "-c",
                          "echo out {}; until [ -e gate ]; do sleep 0.02; done; test {} != 4; exit $?")
        until(lambda: "4 | out 4" in self.run_cli("logs", "--shard=4", job)[0])
        self.write("gate", "")
        self.run_cli("wait", job, code=1)
        self.assertIn("shard 4: exit 1", self.mill.job(int(job))["why"])
        self.assertRegex(self.run_cli("show", job)[0], r"\n4 +exit +1")
        self.assertEqual("20,4,9-11:2", self.mill.job(int(job))["array"])

    def test_shards_without_numbers_of_their_own_count_from_0(self):
        self.start()
        self.write("list", "a\nb\n")
        for args in (("--each-line=list",), ("--array=2",)):
            job = self.submit(*args, "--", "echo", "{}")
            self.run_cli("wait", job)
            self.assertNotIn("array", self.mill.job(int(job)))
            self.assertEqual("1", self.run_cli("logs", "--shard=1", job)[0].split()[0])


class Grid(CliCase):
    def test_a_shard_for_each_value_with_each_of_the_others(self):
        self.start()
        job = self.submit("--grid", "seed=1-2", "--grid", "lr=0.1,0.01", "--", "sh", "-c",
                          "echo {} $SHARDMILL_GRID_SEED {{shard.lr}} $SHARDMILL_GRID_LR")
        self.run_cli("wait", job)
        self.assertEqual("seed=1,lr=0.1 1 0.1 0.1\nseed=1,lr=0.01 1 0.01 0.01\nseed=2,lr=0.1 2 0.1 0.1\n"
                         "seed=2,lr=0.01 2 0.01 0.01\n", self.run_cli("output", job)[0])
        self.write("grid.yaml", "version: 1\nname: grid\nshard: {grid: {seed: 1-2, lr: [0.1, 0.01]}}\n"
                                "run: {exec: [echo, '{{shard.seed}}/{{shard.lr}}']}\ngather: {exec: [cat]}\n")
        job = self.submit("grid.yaml")
        self.run_cli("wait", job)
        self.assertEqual("1/0.1\n1/0.01\n2/0.1\n2/0.01\n", self.run_cli("output", job)[0])

    def test_plan_shows_its_shards(self):
        self.mill.start_dispatcher()
        out, _ = self.run_cli("plan", "--grid=a=1-3", "--grid=b=x,y", "--", "true")
        self.assertIn("6 shards, with 3 values of a times 2 values of b", out)
        self.assertRegex(out, r"\n +5  a=3,b=y")


class Script(CliCase):
    """a script brings its own options, as with sbatch and hq"""

    def script(self, lines, body="echo $SHARDMILL_VALUE $A $1"):
        self.write("job.sh", "#!/bin/sh\n%s\n%s\n" % (lines, body))
        return "job.sh"

    def test_lines_before_the_first_command_are_options(self):
        self.start()
        path = self.script("# what it does\n\n#shardmill --array 3-4 --env 'A=a b'\n#shardmill\n#shardmillion --nonsense",
                           "echo $SHARDMILL_VALUE $A $1\n#shardmill --nonsense")
        job = self.submit(path, "--", "-x")
        self.run_cli("wait", job)
        self.assertEqual("3 a b -x\n4 a b -x\n", self.run_cli("output", job)[0])
        self.assertEqual("job.sh", self.mill.job(int(job))["name"])

    def test_the_command_line_comes_first(self):
        self.start()
        path = self.script("#shardmill --grid a=1-3 --env A=script --env B=b --max-failures 3\n#shardmill --name theirs --priority 4",
                           "echo $SHARDMILL_VALUE $A $B")
        job = self.submit("--array=2", "--env=A=mine", "--name=mine", "--keep-going", path)
        self.run_cli("wait", job)
        self.assertEqual("0 mine b\n1 mine b\n", self.run_cli("output", job)[0])
        self.assertEqual(("mine", 4), tuple(self.mill.job(int(job))[n] for n in ("name", "priority")))

    def test_what_is_wrong_is_told_with_its_line(self):
        self.mill.start_dispatcher()
        for line, part in (("--nonsense", "job.sh:2: --nonsense"), ("--env A", "job.sh:2: --env A: expected NAME=VALUE"),
                           ("3", "job.sh:2"), ("--array '1", "a quote is not closed"), ("--help", "expected options of a job")):
            _, err = self.run_cli("submit", self.script("#shardmill " + line), code=2)
            self.assertIn(part, err)
        _, err = self.run_cli("submit", self.script("#shardmill --array 9-1"), code=2)
        self.assertIn("--array 9-1: ", err)
        self.assertEqual([], self.mill.api("GET", "/v1/jobs")["jobs"])

    def test_any_interpreter_runs_it_also_a_file_that_is_not_executable(self):
        self.start()
        self.write("job.py", "#! /usr/bin/env python3 \nprint('out')\n")
        self.assertIn("1 shard", self.run_cli("plan", "job.py")[0].replace("one shard", "1 shard").replace("One shard", "1 shard"))
        job = self.submit("job.py")
        self.run_cli("wait", job)
        self.assertEqual("out\n", self.run_cli("output", job)[0])


class Files(CliCase):
    """--out and --err: a file a shard"""

    def read(self, name):
        with open(self.path(name)) as f:
            return f.read()

    def test_each_shard_has_its_files_where_it_was_submitted(self):
        self.start()
        job = self.submit("--array=5-6", "--out={}.out", "--err", "logs/{{job.id}}-{}", "--", "sh", "-c", "echo out {}; echo err {} >&2")
        self.run_cli("wait", job)
        self.assertEqual(["out 5\n", "out 6\n"], [self.read("%d.out" % n) for n in (5, 6)])
        self.assertEqual(["err 5\n", "err 6\n"], [self.read("logs/%s-%d" % (job, n)) for n in (5, 6)])
        self.assertEqual([], [n for d in ("", "logs") for n in os.listdir(self.path(d)) if ".part-" in n])
        self.assertEqual("out 5\nout 6\n", self.run_cli("output", job)[0], "it is kept as well")
        self.assertIn("{{shard.value}}.out", self.mill.job(int(job))["output"])

    def test_what_a_failed_attempt_wrote_stands_there(self):
        self.start()
        job = self.submit("--attempts=1", "--out=only.out", "--err=only.err", "--", "sh", "-c", "echo before; echo why >&2; exit 3")
        self.run_cli("wait", job, code=1)
        self.assertEqual(("before\n", "why\n"), (self.read("only.out"), self.read("only.err")))
        self.assertIn("exit 3", self.mill.job(int(job))["why"])

    def test_a_place_that_cannot_be_written_fails_the_shard(self):
        self.start()
        job = self.submit("--attempts=1", "--out=/proc/nowhere/{}", "--array=2", "--", "echo", "x")
        self.run_cli("wait", job, code=1)
        self.assertIn("/proc/nowhere", self.mill.job(int(job))["why"])


if __name__ == "__main__":
    main()
