#!/usr/bin/env python3
"""Shards that need more memory than they asked for: ended, told, tried again with more."""
import os
import subprocess
import unittest  # noqa: F401

from case import FAST, MillCase, main, until

# Takes MIB of memory, so many for each attempt, and says which attempt it is.
EAT = """
version: 1
name: eat
shard: {count: 2}
run:
  exec: [python3, -c, "import os; x = b'x' * (%d << 20); print(os.environ['SHARDMILL_ATTEMPT'])"]
  resources: {memory: 48MiB}
retry: {attempts: %d, backoff: 10ms, oom: %s}
"""


class Memory(MillCase):
    def start(self, how):
        """A worker that binds memory in this way; None when this machine does not let it."""
        self.mill.start_dispatcher(**FAST)
        worker = self.mill.start_worker(heartbeat="100ms", cpus="2", memory="1GiB", memory_bound=how)

        def known():
            """the worker says how it binds memory, or why it cannot"""
            with open(worker.log) as f:
                text = f.read()
            return text if "worker started" in text or "cannot start" in text else None
        text = until(known)
        if "cannot start" in text:
            print("mill: skipped: memory bound by %s: %s" % (how, text.strip().split("\n")[-1]), flush=True)
            return None
        return worker

    def show(self, job):
        return subprocess.run([self.mill.program("shardmill"), "--api-socket", self.mill.socket, "show", str(job)],
                              capture_output=True, text=True, check=True).stdout

    def grows(self, how):
        if self.start(how) is None:
            return
        job = self.mill.submit(EAT % (80, 3, "larger"))
        self.assertEqual(self.mill.wait(job)["state"], "succeeded")
        # 48 MiB is too little, 96 MiB is enough.
        self.assertEqual(self.mill.output(job), b"2\n2\n")

    def dies(self, how, words):
        if self.start(how) is None:
            return
        job = self.mill.submit(EAT % (80, 2, "same"))
        self.assertEqual(self.mill.wait(job)["state"], "failed")
        # They come from history, which follows.
        dead = until(lambda: self.mill.api("GET", "/v1/jobs/%d/shards" % job)["shards"])
        self.assertEqual({d["kind"] for d in dead}, {"oom"}, dead)
        self.assertEqual({d["code"] for d in dead}, {48 << 20}, dead)
        self.assertEqual({d["why"] for d in dead}, {words}, dead)
        shown = self.show(job)
        for line in words.splitlines():
            self.assertIn(line.strip(), shown)

    def test_what_a_control_group_ends_is_tried_with_more(self):
        self.grows("cgroup")

    def test_what_an_rlimit_refuses_is_tried_with_more(self):
        self.grows("rlimit")

    def test_what_a_control_group_ends_is_told(self):
        self.dies("cgroup", "it needed more than 48MiB (cgroup memory limit)")

    def test_what_an_rlimit_refuses_is_told(self):
        self.dies("rlimit", "a process of it ran out of 48MiB (rlimit): Traceback (most recent call last):\n"
                            "  File \"<string>\", line 1, in <module>\nMemoryError")

    def test_a_bound_that_is_off_is_only_counted(self):
        self.start("off")
        job = self.mill.submit(EAT % (80, 1, "same"))
        self.assertEqual(self.mill.wait(job)["state"], "succeeded")

    def test_no_group_outlives_its_worker(self):
        worker = self.start("cgroup")
        if worker is None:
            return
        job = self.mill.submit(EAT % (1, 1, "same"))
        self.assertEqual(self.mill.wait(job)["state"], "succeeded")
        groups = self.groups()
        self.assertEqual(len(groups), 1, groups)
        self.mill.kill(worker)  # it can tidy nothing
        self.assertEqual(self.groups(), groups)
        self.mill.start_worker(heartbeat="100ms", cpus="2", memory="1GiB", memory_bound="cgroup")
        until(lambda: self.groups() and self.groups() != groups)
        self.mill.abort_workers()
        self.assertEqual(self.groups(), [])

    def groups(self):
        """Those of the workers of this mill, by the ids that their directories have."""
        if not hasattr(self, "ids"):
            self.ids = set()
        scratch = os.path.join(self.mill.dir, "scratch")
        self.ids |= {name for name in os.listdir(scratch) if len(name) == 32}
        found = []
        for mount in ("/sys/fs/cgroup", "/sys/fs/cgroup/memory"):
            for place, names, _ in os.walk(mount):
                found += [os.path.join(place, n) for n in names if n[len("shardmill-"):] in self.ids]
        return sorted(set(found))


if __name__ == "__main__":
    main()
