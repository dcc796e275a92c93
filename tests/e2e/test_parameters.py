#!/usr/bin/env python3
"""Parameters at their bounds in real daemons: all at their lowest, all at their highest, and each zero means
what it says. That every one arrives in the cores is tested by tests/unit/parameters."""
import os
import re
import signal
import time

from case import FAST, ROOT, MillCase, main, until

SLEEPERS = "version: 1\nname: sleepers\nshard: {count: %d}\nrun: {exec: [sleep, \"%s\"]}\n"
COUNT = ("version: 1\nname: count\nshard: {count: 20}\nrun: {exec: [echo, \"{{shard.index}}\"], "
         "durable_output: true}\ngather: {exec: [cat]}\n")
STUBBORN = ("version: 1\nname: stubborn\nrun: {exec: [sh, -c, \"trap '' TERM; echo $$ > %s.new; mv %s.new %s; "
            "while :; do sleep 0.1; done\"]}\n")
CHATTY = "version: 1\nname: chatty\nrun: {exec: [head, -c, \"%d\", /dev/zero]}\nretry: {attempts: 1}\n"
OBJECT = ("version: 1\nname: object\nshard: {bytes: 1MiB, of: \"s3://input/gone.txt\"}\nrun: {exec: [cat], input: stdin}\n"
          "retry: {attempts: 1}\n")


def bounds(program, which):
    """{name: text} of the table's numbers that the program takes; which is "min" or "max"."""
    with open(os.path.join(ROOT, "base", "params.def")) as f:
        table = f.read()
    rows = re.findall(r'PARAM\(\w+, "(\w+)", \w+,\s*"[^"]*", "([^"]*)", "([^"]*)",\s*"[^"]*",\s*"[^"]*",\s*([A-Z| ]+),',
                      table)
    return {name: low if which == "min" else high for name, low, high, scopes in rows if low and program in scopes}


class Bounds(MillCase):
    def run_all(self):
        job = self.mill.submit(COUNT)
        self.assertEqual(self.mill.wait(job)["state"], "succeeded")
        self.assertEqual(self.mill.output(job), b"".join(b"%d\n" % n for n in range(20)))

    def worker(self):
        return until(lambda: self.mill.api("GET", "/v1/workers")["workers"])[0]

    def test_all_at_their_lowest(self):
        # A worker that is lost after 50 ms is lost whenever the machine is busy.
        self.mill.start_dispatcher(**dict(bounds("D", "min"), worker_timeout="5s", init=True))
        self.mill.start_worker(**bounds("W", "min"))
        self.run_all()
        journal = self.path("state", "journal")
        self.assertIn(16 << 20, [os.stat(os.path.join(journal, name)).st_size for name in os.listdir(journal)])

    def test_all_at_their_highest(self):
        most = bounds("D", "max")
        self.assertIn("journal_segment", most)
        del most["journal_segment"]  # it would write gigabytes
        self.mill.start_dispatcher(**most)
        self.mill.start_worker(**bounds("W", "max"))
        worker = self.worker()
        self.assertEqual(worker["cpus"], 4096, worker)
        self.assertEqual(worker["memory_bytes"], 1 << 50, worker)
        self.run_all()


class Zero(MillCase):
    def expect_nothing_ahead(self, **params):
        self.mill.start_dispatcher(**dict(FAST, **params))
        self.mill.start_worker(heartbeat="100ms", cpus="2")
        job = self.mill.submit(SLEEPERS % (24, "0.1"))
        seen = set()

        def ended():
            seen.update(w["leases"] for w in self.mill.api("GET", "/v1/workers")["workers"])
            return self.mill.job(job)["state"] == "succeeded"
        until(ended)
        self.assertEqual(max(seen), 2, "two slots, and nothing behind them")

    def test_no_shard_is_so_short_that_it_is_sent_ahead(self):
        self.expect_nothing_ahead(prefetch_below="0s")

    def test_no_work_is_held_ahead(self):
        self.expect_nothing_ahead(lease_ahead="0s")

    def test_nobody_is_waited_for_after_a_start(self):
        self.mill.start_dispatcher(**FAST)
        worker = self.mill.start_worker(heartbeat="100ms", cpus="1")
        job = self.mill.submit(SLEEPERS % (1, "1"))
        until(lambda: self.mill.job(job)["phases"][0]["leased"] == 1)
        self.mill.kill(self.mill.dispatcher)
        self.mill.kill(worker)
        self.mill.start_dispatcher(heartbeat="100ms", worker_timeout="1h", adopt_wait="0s")
        self.mill.start_worker(heartbeat="100ms", cpus="1")
        self.assertEqual(self.mill.wait(job)["state"], "succeeded", "by the other worker, although nobody was lost")

    def test_no_time_between_sigterm_and_sigkill(self):
        pid = self.path("pid")
        self.mill.start_dispatcher(**FAST)
        self.mill.start_worker(heartbeat="100ms", cpus="1", kill_grace="0s")
        job = self.mill.submit(STUBBORN % (pid, pid, pid))
        until(lambda: os.path.exists(pid))
        with open(pid) as f:
            shell = int(f.read())
        begun = time.monotonic()
        self.mill.api("POST", "/v1/jobs/%d/cancel" % job)
        until(lambda: not os.path.exists("/proc/%d" % shell))
        self.assertLess(time.monotonic() - begun, 4, "5 s is the default")

    def test_a_drain_that_takes_as_long_as_it_takes(self):
        """The one zero that means something else says so in its help."""
        self.mill.start_dispatcher(**FAST)
        worker = self.mill.start_worker(heartbeat="100ms", cpus="1", drain_timeout="0s")
        job = self.mill.submit(SLEEPERS % (1, "1"))
        until(lambda: self.mill.job(job)["phases"][0]["leased"] == 1)
        worker.send_signal(signal.SIGTERM)
        self.assertEqual(self.mill.wait(job)["state"], "succeeded")
        until(lambda: worker.poll() is not None)

    def test_no_patience_with_an_object_store(self):
        os.environ.update(AWS_ACCESS_KEY_ID="a", AWS_SECRET_ACCESS_KEY="b")
        self.mill.start_dispatcher(**dict(FAST, s3_endpoint="http://127.0.0.1:9", s3_patience="0s"))
        begun = time.monotonic()
        job = self.mill.submit(OBJECT)
        until(lambda: "127.0.0.1:9" in str(self.mill.job(job)) or self.mill.job(job)["state"] == "failed")
        self.assertLess(time.monotonic() - begun, 20, "1m is the default")

    def test_the_least_that_may_be_written(self):
        self.mill.start_dispatcher(**FAST)
        self.mill.start_worker(heartbeat="100ms", cpus="1", max_output="4KiB")
        self.assertEqual(self.mill.wait(self.mill.submit(CHATTY % 4096))["state"], "succeeded")
        self.assertEqual(self.mill.wait(self.mill.submit(CHATTY % 4097))["state"], "failed")


if __name__ == "__main__":
    main()
