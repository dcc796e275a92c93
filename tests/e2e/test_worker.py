#!/usr/bin/env python3
"""A worker's signals and shapes: drained, aborted, out of time, with a resident runner, with many slots."""
import os
import resource
import signal
import time
import unittest  # noqa: F401

from case import FAST, MillCase, main, until

HANG = """
version: 1
name: hang
shard: {count: 2}
run:
  exec: [sh, -c, "trap '' TERM; echo $$ >%s/pid.$SHARDMILL_SHARD.new; mv %s/pid.$SHARDMILL_SHARD.new %s/pid.$SHARDMILL_SHARD; while :; do sleep 1; done"]
retry: {attempts: 1}
"""

MANY = """
version: 1
name: many
shard: {count: %d}
run:
  exec: [sh, -c, "touch %s/began.$SHARDMILL_SHARD; until [ -e %s/go ]; do sleep 0.05; done"]
  resources: {cpus: 0.01}
"""

# Each reads one line of the gate.
GATED = """
version: 1
name: gated
shard: {count: %d}
run:
  exec: [sh, -c, "touch %s/began.$SHARDMILL_SHARD; read line <%s/gate; ulimit -Sn"]
"""

# A process that no name, group, session or environment ties to its attempt.
ESCAPE = """
version: 1
name: escape
shard: {count: 2}
run:
  %s
"""
ESCAPED = "env -i /usr/bin/setsid /bin/sh -c 'echo $$ >$1.new; mv $1.new $1; exec /bin/sleep 3600' sh %s/pid.$SHARDMILL_SHARD"

RUNNER = """
version: 1
name: squares
shard: {count: %d}
run:
  runner: [python3, %s]
  format: json
gather:
  exec: [cat]
"""

SQUARE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "runners", "square.py")


def text_of(path):
    with open(path) as f:
        return f.read()


def is_gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


class Worker(MillCase):
    def setUp(self):
        super().setUp()
        self.mill.start_dispatcher(**FAST)

    def start(self, **params):
        return self.mill.start_worker(heartbeat="100ms", **params)

    def read_pid(self, name):
        until(lambda: os.path.exists(self.path(name)))
        return int(text_of(self.path(name)))

    def ended(self, worker, seconds=30):
        return until(lambda: worker.poll() is not None, seconds) and worker.returncode

    def hang(self):
        d = self.mill.dir
        job = self.mill.submit(HANG % (d, d, d))
        return job, [self.read_pid("pid.0"), self.read_pid("pid.1")]

    def test_a_second_sigterm_ends_what_ignores_the_first(self):
        worker = self.start(kill_grace="300ms", cpus="2")
        _, pids = self.hang()
        worker.send_signal(signal.SIGTERM)
        self.assertIsNone(worker.poll())
        until(lambda: "draining" in text_of(worker.log))
        worker.send_signal(signal.SIGTERM)
        self.ended(worker)
        for pid in pids:
            self.assertTrue(is_gone(pid))

    def test_a_drain_has_its_time(self):
        worker = self.start(kill_grace="300ms", cpus="2", drain_timeout="500ms")
        _, pids = self.hang()
        worker.send_signal(signal.SIGTERM)
        self.ended(worker)
        for pid in pids:
            self.assertTrue(is_gone(pid))
        self.assertIn("drain_timeout", text_of(worker.log))

    def test_many_slots_are_drained_and_what_ran_is_done(self):
        shards = 150
        worker = self.start(cpus="1")
        job = self.mill.submit(MANY % (shards, self.mill.dir, self.mill.dir))
        began = lambda: sum(n.startswith("began.") for n in os.listdir(self.mill.dir))  # noqa: E731
        until(lambda: began() >= 80)
        worker.send_signal(signal.SIGTERM)
        until(lambda: "draining" in text_of(worker.log))
        with open(self.path("go"), "w"):
            pass
        self.assertEqual(self.ended(worker), 0)
        self.start(cpus="1")
        self.assertEqual(self.mill.wait(job)["state"], "succeeded")

    def test_a_resident_runner_ends_with_its_worker(self):
        worker = self.start(cpus="1")
        job = self.mill.submit(RUNNER % (3000, SQUARE))
        self.assertEqual(self.mill.wait(job)["state"], "succeeded")
        self.assertEqual(self.mill.output(job), b"".join(b"%d\n" % (n * n) for n in range(3000)))
        tasks = "/proc/%d/task" % worker.pid
        runners = [int(pid) for task in os.listdir(tasks)
                   for pid in text_of("%s/%s/children" % (tasks, task)).split()]
        self.assertTrue(runners, "the runner stays for the next lease")
        begun = time.monotonic()
        worker.send_signal(signal.SIGTERM)
        self.assertEqual(self.ended(worker), 0)
        self.assertLess(time.monotonic() - begun, 10)
        for pid in runners:
            self.assertTrue(is_gone(pid))

    def test_as_many_slots_as_cpus_run_under_a_small_soft_limit_of_open_files(self):
        slots, (soft, hard) = 192, resource.getrlimit(resource.RLIMIT_NOFILE)
        os.mkfifo(self.path("gate"))
        gate = os.open(self.path("gate"), os.O_RDWR)
        resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard))
        try:
            worker = self.start(cpus=str(slots))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        job = self.mill.submit(GATED % (slots, self.mill.dir, self.mill.dir))
        until(lambda: sum(n.startswith("began.") for n in os.listdir(self.mill.dir)) == slots, 120)
        used = len(os.listdir("/proc/%d/fd" % worker.pid))
        self.assertLessEqual(used, 64 + 24 * slots)  # what worker/machine/descriptors.c reckons with
        os.write(gate, b"\n" * slots)
        self.assertEqual(self.mill.wait(job, 120)["state"], "succeeded")
        os.close(gate)  # not before: whoever opens it late would wait for a writer
        self.assertEqual(self.mill.output(job).split(), [b"1024"] * slots)

    def test_nothing_outlives_a_worker_that_was_killed(self):
        exec_it = "exec: [sh, -c, \"%s & %s\"]" % (ESCAPED % self.mill.dir, "exec sleep 3600")
        self.start(cpus="2")
        self.mill.submit(ESCAPE % exec_it)
        pids = [self.read_pid("pid.0"), self.read_pid("pid.1")]
        self.mill.kill(self.mill.workers[0])
        for pid in pids:
            until(lambda: is_gone(pid), 10)

    def test_nothing_outlives_an_attempt_that_is_cancelled(self):
        exec_it = "exec: [sh, -c, \"trap '' TERM; %s & while :; do sleep 1; done\"]" % (ESCAPED % self.mill.dir)
        self.start(cpus="2", kill_grace="200ms")
        job = self.mill.submit(ESCAPE % exec_it)
        pids = [self.read_pid("pid.0"), self.read_pid("pid.1")]
        self.mill.api("POST", "/v1/jobs/%s/cancel" % job)
        for pid in pids:
            until(lambda: is_gone(pid), 10)

    def test_shapes_take_turns_on_one_core(self):
        """Slots are closed for others while outputs of theirs are still to be synced."""
        self.start(cpus="1")
        jobs = [self.mill.submit("version: 1\nname: s%d\nshard: {count: 40}\nrun: {exec: [echo, \"{{shard.index}}\"], "
                                 "resources: {cpus: %s}}\ngather: {exec: [cat]}\n" % (i, cpus))
                for i, cpus in enumerate(["1", "0.5", "0.25"] * 2)]
        for job in jobs:
            self.assertEqual(self.mill.wait(job)["state"], "succeeded")
            self.assertEqual(self.mill.output(job), b"".join(b"%d\n" % n for n in range(40)))


if __name__ == "__main__":
    main()
