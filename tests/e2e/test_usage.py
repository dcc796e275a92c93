#!/usr/bin/env python3
"""What a job took, how its phases ended, what its dead shards wrote."""
import os
import shutil
import subprocess

from case import ROOT, ApiError, MillCase, main, until

BURN = "i=0; while test $i -lt 20000; do i=$((i+1)); done; echo out{}; echo err{} >&2; "


class Usage(MillCase):
    def setUp(self):
        super().setUp()
        self.mill.start_dispatcher()
        self.worker = self.mill.start_worker()

    def shards(self, script, **more):
        return self.mill.submit(command=dict({"argv": ["sh", "-c", BURN + script], "array": "0-3"}, **more))

    def cli(self, *args, code=0):
        p = subprocess.run([self.mill.program("shardmill"), *args], capture_output=True, text=True, timeout=60,
                           env=dict(os.environ, SHARDMILL_API_SOCKET=self.mill.socket))
        self.assertEqual(p.returncode, code, p.stderr)
        return p.stdout

    def expect_output_error(self, status, job, query):
        with self.assertRaises(ApiError) as raised:
            self.mill.output(job, query)
        self.assertEqual(raised.exception.status, status)
        return raised.exception.body["error"]["message"]

    def test_cpu_and_memory_are_told_also_after_a_restart(self):
        job = self.shards("true")
        ended = self.mill.wait(job)
        self.assertGreater(ended["cpu_seconds"], 0)
        self.assertLess(ended["cpu_seconds"], ended["run_seconds"] * 4 + 1)
        self.assertGreater(ended["max_rss_bytes"], 100000)
        self.mill.kill(self.mill.dispatcher)
        self.mill.start_dispatcher()
        again = self.mill.job(job)
        for name in ("cpu_seconds", "max_rss_bytes", "phases"):
            self.assertEqual(again[name], ended[name])

    def test_all_phases_are_told_when_the_job_has_ended(self):
        definition = ("version: 1\nname: two\nshard: {count: 4}\nrun: {exec: [sh, -c, 'echo x']}\n"
                      "gather: {exec: [sh, -c, 'cat; %s'], fanin: 2}\nretry: {attempts: 1}\n")
        for end, state in (("true", "succeeded"), ("echo why >&2; exit 3", "failed")):
            job = self.mill.submit(definition % end)
            self.assertEqual(self.mill.wait(job)["state"], state)
            until(lambda: self.mill.api("GET", "/v1/status")["jobs"].get("ended", 0) == 0)
            phases = self.mill.job(job)["phases"]
            self.assertEqual([p["name"] for p in phases], ["shards"] + ["gather"] * (len(phases) - 1))
            if state == "succeeded":
                self.assertEqual([(p["shards"], p["done"]) for p in phases], [(4, 4), (2, 2), (1, 1)])
                continue
            self.assertEqual([p["shards"] for p in phases], [4, 2])
            self.assertGreaterEqual(phases[1]["dead"], 1)
            self.assertEqual(phases[1]["done"] + phases[1]["dead"] + phases[1]["dropped"], 2)
            dead = self.mill.api("GET", "/v1/jobs/%d/shards?phase=1" % job)["shards"][0]["first"]
            self.assertEqual(self.mill.output(job, "?phase=1&shard=%d&stream=err" % dead), b"why\n")

    def test_what_dead_shards_wrote(self):
        job = self.shards("exit {}", attempts=2, tolerate=4)
        self.assertEqual(self.mill.wait(job)["state"], "succeeded")
        for n in range(4):
            self.assertEqual(self.mill.output(job, "?shard=%d" % n), b"out%d\n" % n)
            self.assertEqual(self.mill.output(job, "?shard=%d&stream=err" % n), b"err%d\n" % n)
        self.assertEqual(self.mill.output(job), b"out0\n", "of all shards only the winners'")
        silent = self.mill.submit(command={"argv": ["sh", "-c", "exit 1"], "attempts": 1})
        self.mill.wait(silent)
        self.assertEqual(self.mill.output(silent, "?shard=0&stream=err"), b"")

    def test_the_words_of_a_dead_shard_are_its_last_lines(self):
        job = self.mill.submit(command={"argv": ["sh", "-c", "seq 10 | sed 's/^/line /' >&2; exit 3"], "attempts": 1})
        ended = self.mill.wait(job)
        said = "\n".join("line %d" % n for n in range(6, 11))
        self.assertEqual(ended["why"], "shards: 1 dead, 0 allowed; shard 0: exit 3:\n" + said)
        dead = lambda: self.mill.api("GET", "/v1/jobs/%d/shards" % job)["shards"]
        until(dead)  # in history
        self.assertEqual(dead()[0]["why"], said)
        show = self.cli("show", str(job))
        self.assertIn("  why        shards: 1 dead, 0 allowed; shard 0: exit 3:\n             line 6\n             line 7\n", show)
        self.assertRegex(show, r"\n0 +exit +3 +line 10\n")
        self.assertRegex(self.cli("jobs"), r" shards: 1 dead, 0 allowed; shard 0: exit 3: line 10\n")
        self.assertRegex(self.cli("explain", str(job)), r"shard 0: exit 3:\n    line 6\n(.*\n)*    line 10\n")
        self.assertIn("; shards: 1 dead, 0 allowed; shard 0: exit 3: line 10\n", self.cli("wait", str(job), code=1))

    def test_what_a_runner_wrote_is_kept_for_a_dead_shard(self):
        job = self.mill.submit("version: 1\nname: r\nshard: {count: 4}\nrun: {runner: [python3, %s], format: json, env: {DIE: '2'}}\n"
                               "retry: {attempts: 1}\ntolerate: 4\n"
                               % os.path.join(ROOT, "tests", "e2e", "runners", "square.py"))
        self.assertEqual(self.mill.wait(job)["state"], "succeeded")
        dead = lambda: self.mill.api("GET", "/v1/jobs/%d/shards" % job)["shards"]
        until(dead)
        self.assertIn("exit code 1, shard 2 ends its runner", dead()[0]["why"])
        self.assertEqual(self.mill.output(job, "?shard=2&stream=err"), b"shard 2 ends its runner\n")
        self.assertEqual(self.cli("output", "--stderr", "--shard=2", str(job)), "shard 2 ends its runner\n")
        p = subprocess.run([self.mill.program("shardmill"), "logs", "--shard=2", str(job)], capture_output=True, text=True,
                           env=dict(os.environ, SHARDMILL_API_SOCKET=self.mill.socket), timeout=60)
        self.assertEqual((p.returncode, p.stdout), (0, ""))
        self.assertRegex(p.stderr, r"\A2.* shard 2 ends its runner\n\Z")

    def test_of_a_live_job_what_has_ended_can_be_read(self):
        job = self.shards("test {} -lt 2 && exit {}; exec sleep 600", attempts=1, tolerate=4)
        until(lambda: self.mill.job(job)["phases"][0]["dead"] == 1 and self.mill.job(job)["phases"][0]["done"] == 1)

        def err(n):
            try:
                return self.mill.output(job, "?shard=%d&stream=err" % n)
            except ApiError as e:
                self.assertEqual(e.status, 409)
                return None  # history is a moment behind
        until(lambda: err(1) == b"err1\n" and err(0) == b"err0\n")
        self.assertIn("has not ended", self.expect_output_error(409, job, "?shard=3"))
        self.mill.api("POST", "/v1/jobs/%d/cancel" % job, {})

    def test_an_output_whose_disk_is_gone_is_told_as_lost(self):
        job = self.shards("exit {}", attempts=1, tolerate=4)
        self.mill.wait(job)
        self.assertEqual(self.mill.output(job, "?shard=0"), b"out0\n")
        shutil.rmtree(os.path.join(self.mill.state, "output"))
        for n in range(2):
            self.assertIn("lost", self.expect_output_error(500, job, "?shard=%d" % n))


if __name__ == "__main__":
    main()
