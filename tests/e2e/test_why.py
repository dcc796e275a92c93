#!/usr/bin/env python3
"""Why a job does not run: each reason is told by `show`, `wait` and `status`, and goes when it is mended."""
import json
import os
import re
import shutil
import sqlite3
import subprocess
import time
import unittest

from case import FAST, MillCase, main
from mill import until

BIG = "version: 1\nname: big\nrun: {exec: [echo, hello], resources: {cpus: 4000}}\n"
SMALL = "version: 1\nname: small\nrun: {exec: [echo, hello], resources: {cpus: 0.1}}\n"
CAP = 2.0


class Why(MillCase):
    def setUp(self):
        super().setUp()
        self.mill.params = FAST
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("SHARDMILL")}
        self.env.update(SHARDMILL_API_SOCKET=self.mill.socket, LC_ALL="C.UTF-8")

    def tearDown(self):
        """Workers that a scaler has started are not the mill's: they are drained."""
        if self.mill.dispatcher is not None and self.mill.dispatcher.poll() is None:
            for p in self.mill.started:
                if "shardmill-scaler" in p.args[0] and p.poll() is None:
                    p.terminate()
                    p.wait()
            for job in self.jobs("?state=active"):
                self.mill.api("POST", "/v1/jobs/%d/cancel" % job["id"], {})
            until(self.all_are_drained)
        super().tearDown()

    def all_are_drained(self):
        """no worker is left, nor one that the scaler had just started and that registers only now"""
        for worker in self.workers():
            self.mill.api("POST", "/v1/workers/%s/drain" % worker["id"])
        return not self.workers()

    def workers(self):
        return self.mill.api("GET", "/v1/workers")["workers"]

    def cli(self, *args, code=0):
        p = subprocess.run([self.mill.program("shardmill"), *args], capture_output=True, text=True,
                           env=self.env, stdin=subprocess.DEVNULL, timeout=60)
        self.assertEqual(p.returncode, code, p.stdout + p.stderr)
        return p.stdout, p.stderr

    def why(self, job):
        """As a program sees it."""
        return json.loads(self.cli("show", "--output=json", str(job))[0])["why"]

    def pools(self):
        return self.mill.api("GET", "/v1/pools")["pools"]

    def start_scaler(self, **params):
        options = {"state_dir": self.mill.state, "api_socket": self.mill.socket, "cpus_per_worker": 1,
                   "connect": "tcp://127.0.0.1:%d" % self.mill.port, "scratch_dir": self.path("scratch"),
                   "start_backoff_max": "%gs" % CAP}
        options.update(params)
        return self.mill.start("shardmill-scaler", options)

    def test_nobody_is_there_and_what_to_do(self):
        self.mill.start_dispatcher()
        job = self.mill.submit(SMALL)
        self.assertEqual(self.why(job), "no worker is connected, and no scaler tells of one: "
                                        "start `shardmill up` or `shardmill worker`")
        self.assertIn("shardmill worker", self.cli("show", str(job))[0])
        begun = time.monotonic()
        _, err = self.cli("wait", "--timeout=4s", str(job), code=124)
        self.assertGreater(time.monotonic() - begun, 3)
        self.assertEqual(err.count("job %d waits: no worker is connected" % job), 1, err)
        self.mill.start_worker()
        self.assertEqual(self.mill.wait(job)["why"], "")

    def test_no_worker_is_large_enough(self):
        self.mill.start_dispatcher()
        self.mill.start_worker(cpus=2)
        until(self.workers)
        job = self.mill.submit(BIG, allow_pending=True)
        self.assertEqual(self.why(job), "no worker has 4000 cpus (the most that one has is 2)")
        self.start_scaler()
        until(self.pools)
        self.assertIn("the pool default starts none with 4000 cpus: its workers have 1 each", self.why(job))
        until(lambda: self.pools()[0]["unfit_shards"] == 1)
        self.assertIn("starts none for 1 shard that needs more than its workers have (cpus=1", self.cli("status")[0])

    def test_starts_fail_and_are_mended(self):
        """The scratch directory cannot be made: a file is in its place."""
        self.mill.start_dispatcher()
        obstacle = self.write("obstacle", "")
        scaler = self.start_scaler(scratch_dir=os.path.join(obstacle, "scratch"))
        job = self.mill.submit(SMALL)
        why = until(lambda: re.search("2 starts failed, last: (.*); next try in ", self.why(job)), every=0.1)
        self.assertIn("Not a directory", why.group(1))
        self.assertIn(obstacle, why.group(1))
        told = self.mill.api("GET", "/v1/status")["pools"][0]
        self.assertEqual((told["pool"], told["provider"], told["ready"]), ("default", "local", 0))
        self.assertIn("Not a directory", told["failure"])
        self.assertLessEqual(told["retry_seconds"] or 0, CAP)
        out = self.cli("status")[0]
        self.assertRegex(out, r"(?m)^POOL +PROVIDER +WANTED ")
        self.assertRegex(out, r"(?m)^  default  (starts nothing|tries one start): \d+ starts failed, last: .*Not a directory")
        os.unlink(obstacle)
        begun = time.monotonic()
        self.assertEqual(self.mill.wait(job)["state"], "succeeded")
        # The wait is bounded; what else it takes is a worker's start on a busy machine.
        print("why: mended, the job was done after %.1f s" % (time.monotonic() - begun), flush=True)
        until(lambda: self.pools()[0]["failed_starts"] == 0)
        with open(scaler.log) as f:
            waits = [int(ms) for ms in re.findall(r"the next try in (\d+) ms", f.read())]
        self.assertTrue(waits and max(waits) <= CAP * 1000, waits)

    def test_the_worker_program_cannot_run(self):
        """A build of our own, whose worker is no program; then it is."""
        folder = self.make_dir("programs")
        for name in ("shardmill-scaler", "shardmill-worker"):
            shutil.copy2(self.mill.program(name), folder)
        worker = os.path.join(folder, "shardmill-worker")
        os.rename(worker, worker + ".away")
        self.write("programs/shardmill-worker", "no program")
        os.chmod(worker, 0o755)
        self.mill.start_dispatcher()
        usual = self.mill.program
        self.mill.program = lambda name: os.path.join(folder, name) if "scaler" in name else usual(name)
        self.start_scaler()
        job = self.mill.submit(SMALL)
        until(lambda: "cannot start it: Exec format error" in self.why(job), every=0.1)
        os.rename(worker + ".away", worker)
        self.assertEqual(self.mill.wait(job)["state"], "succeeded")

    def test_the_pool_is_starting_then_full(self):
        self.mill.start_dispatcher(lease_ahead="0s")  # the second job waits at the dispatcher
        self.start_scaler(pool_max=1)
        gate = self.path("gate")
        first = self.mill.submit("version: 1\nname: first\nrun: {exec: [sh, -c, 'while ! test -e %s; do sleep 0.05; done']}\n" % gate)
        until(lambda: self.mill.job(first)["word"] == "running")
        second = self.mill.submit(SMALL.replace("0.1", "1"))
        until(lambda: self.why(second) == "the worker that could run it works on other jobs; the pool default "
                                          "has the 1 worker that it may have", every=0.1)
        self.assertEqual(self.why(first), "")
        open(gate, "w").close()
        self.mill.wait(second)

    def test_explain_tells_all_facts(self):
        self.mill.start_dispatcher()
        job = self.mill.submit("version: 1\nname: some\nshard: {count: 3}\nretry: {attempts: 1}\ntolerate: 1\n"
                               "run: {exec: [sh, -c, 'test $SHARDMILL_SHARD != 1 || { echo bad >&2; exit 7; }']}\n"
                               "gather: {exec: [cat]}\n")
        told = self.mill.api("GET", "/v1/jobs/%d/explain" % job)
        self.assertEqual((told["id"], told["word"]), (job, "queued"))
        out = self.cli("explain", str(job))[0]
        self.assertEqual(out.count("\n"), 1, "one paragraph")
        for part in ("Job %d some is queued: 0 of 3 shards are done, 3 waiting to be leased. " % job,
                     "Nothing of it runs: no worker is connected, and no scaler",
                     "Its gather begins when all shards are done.", "has not started yet."):
            self.assertIn(part, out)
        self.mill.start_worker()
        self.assertEqual(self.mill.wait(job)["state"], "succeeded")
        out = until(lambda: [o for o in self.cli("explain", "last") if "Shard 1 is dead" in o])[0]
        for part in ("Job %d some has succeeded: 2 of 3 shards are done, 1 dead. " % job, "Shard 1 is dead: exit 7",
                     " after it was accepted."):
            self.assertIn(part, out)
        self.assertIn("no job 99", self.cli("explain", "99", code=2)[1])

    def test_a_silent_scaler_is_forgotten(self):
        self.mill.start_dispatcher()
        told = {"pool": "night", "provider": "hook", "max": 3, "wanted": 1, "why": "it is dark",
                "failed_starts": 2, "failure": "no more nodes", "retry_seconds": 60, "turn_seconds": 0.5}
        self.assertEqual(self.mill.api("POST", "/v1/pools", told), {"kept_seconds": 1.5})
        pool = self.pools()[0]
        self.assertEqual((pool["pool"], pool["why"], pool["max"]), ("night", "it is dark", 3))
        self.assertEqual(pool["does"], "starts nothing: 2 starts failed, last: no more nodes; next try in 1m")
        until(lambda: not self.pools())

    def test_a_history_that_cannot_be_written_is_told_everywhere(self):
        self.mill.start_dispatcher()
        job = self.mill.submit(SMALL)
        text = "history cannot be written"

        def metric():
            return b"\nshardmill_history_failing 1" in self.mill.api("GET", "/metrics", raw=True)

        other = sqlite3.connect(os.path.join(self.mill.state, "history.db"), isolation_level=None)
        try:
            other.execute("BEGIN IMMEDIATE")  # another program holds it
            self.mill.submit(SMALL, name="another")
            until(metric)
            self.assertIn(text, self.why(job))
            self.assertIn(text, self.cli("show", str(job))[0])
            self.assertIn(text, self.cli("explain", str(job))[0].lower())
            self.assertIn(text, self.cli("wait", "--timeout=100ms", "--output=json", str(job), code=124)[0])
            self.assertIn("IT CANNOT BE WRITTEN", self.cli("status")[0])
            self.assertTrue(self.mill.api("GET", "/v1/status")["history_error"]["message"])
            with open(self.mill.dispatcher.log) as f:
                until(lambda: text in f.read())
        finally:
            other.close()
        until(lambda: not metric())
        self.assertNotIn(text, self.why(job))
        self.assertIsNone(self.mill.api("GET", "/v1/status")["history_error"])

    @unittest.skipIf(os.geteuid() != 0, "only root may mount a file system")
    def test_a_full_disk_of_the_journal_is_told_everywhere(self):
        self.small_disk(self.mill.state, "80m")
        self.mill.start_dispatcher(journal_segment="16MiB", history=self.path("history.db"), output_dir=self.path("output"))
        job = self.mill.submit(SMALL)
        text = "the journal has no room on its disk"

        def metric():
            return b"\nshardmill_journal_failing 1" in self.mill.api("GET", "/metrics", raw=True)

        fill = self.fill_disk(self.mill.state)
        self.submit_until_full()
        until(metric)
        self.assertIn(text, self.why(job))
        self.assertIn(text, self.cli("show", str(job))[0])
        self.assertIn(text, self.cli("explain", str(job))[0].lower())
        self.assertIn(text, self.cli("wait", "--timeout=100ms", "--output=json", str(job), code=124)[0])
        self.assertRegex(self.cli("status")[0], "NOTHING MORE IS TAKEN ON.*No space left on device")
        status = self.mill.api("GET", "/v1/status")
        self.assertIn("No space left on device", status["journal_error"]["message"])
        self.assertIsNone(status["history_error"], "its disk is another one")
        with open(self.mill.dispatcher.log) as f:
            until(lambda: text in f.read())
        self.mill.start_worker(output_dir=self.path("output"))
        self.assertEqual(self.mill.wait(job)["state"], "succeeded", "what was taken on goes to its end")
        os.unlink(fill)
        until(lambda: not metric())
        with open(self.mill.dispatcher.log) as f:
            until(lambda: "the journal has room again" in f.read())
        self.assertNotIn(text, self.cli("status")[0])
        self.assertNotIn("NOTHING MORE", self.cli("status")[0])
        self.assertIsNone(self.mill.api("GET", "/v1/status")["journal_error"])
        self.assertEqual(self.mill.wait(self.mill.submit(SMALL, name="later"))["state"], "succeeded")

    def test_what_is_wrong_is_refused(self):
        self.mill.start_dispatcher()
        for body, where in (({}, "pool"), ({"pool": "x" * 129}, "pool"), ({"pool": 3}, "pool"),
                            ({"pool": "p", "ready": -1}, "ready"), ({"pool": "p", "ready": 1.5}, "ready"),
                            ({"pool": "p", "ready": "1"}, "ready"), ({"pool": "p", "why": "y" * 1025}, "why"),
                            ({"pool": "p", "turn_seconds": 1e9}, "turn_seconds"),
                            ({"pool": "p", "reday": 1}, "reday")):
            e = self.expect_error(400, "invalid", "POST", "/v1/pools", body)
            self.assertEqual(e["where"], where, body)
        self.expect_error(400, "invalid", "POST", "/v1/pools", b'{"pool": "\xff"}')
        for n in range(64):
            self.mill.api("POST", "/v1/pools", {"pool": "p%d" % n, "turn_seconds": 60})
        self.expect_error(400, "limit", "POST", "/v1/pools", {"pool": "one more"})
        self.assertEqual(len(self.pools()), 64)


if __name__ == "__main__":
    main()
