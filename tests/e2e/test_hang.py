#!/usr/bin/env python3
"""A directory whose file system hangs delays nothing but what comes from it."""
import fcntl
import os
import time

import case
from case import ECHO, MillCase, main, until

RULE = """version: 1
name: %s
on:
  - pattern:
      source: [shardmill.bucket]
      detail: {object: {key: [{suffix: "%s"}]}}
run: {exec: [echo, hello]}
"""
SOON = 1  # s, for an answer beside a hang


class Hang(MillCase):
    def start(self, name, **params):
        """The calls that reach this directory hang from hang() to go_on()."""
        if os.environ.get("MILL_BUILD") == "asan":
            self.skip("a file system that hangs: a preloaded library must come before the sanitizer's")
        self.armed, self.gate = self.path("armed"), None
        env = dict(os.environ, SHARDMILL_HANG=os.path.realpath(self.path(name)), SHARDMILL_HANG_ARMED=self.armed,
                   LD_PRELOAD=os.path.join(os.path.abspath(case.BUILD), "tests", "fault", "hang-shim.so"))
        self.mill.start_dispatcher(env=env, **params)
        self.addCleanup(self.go_on)

    def hang(self):
        """Calls wait at a lock on this file, as long as the test holds it."""
        self.gate = open(self.write("armed.new", ""))
        fcntl.flock(self.gate, fcntl.LOCK_EX)
        os.rename(self.gate.name, self.armed)
        until(lambda: os.path.exists(self.armed + ".met"), 20)

    def go_on(self):
        for name in (self.armed, self.armed + ".met"):
            if os.path.exists(name):
                os.unlink(name)
        if self.gate:
            self.gate.close()

    def log(self):
        with open(self.mill.dispatcher.log) as f:
            return f.read()

    def count(self, name):
        return len(self.jobs("?limit=1000&name=" + name))

    def answers_soon(self):
        for _ in range(3):
            began = time.monotonic()
            self.mill.submit(ECHO)
            self.mill.api("GET", "/v1/rules")
            self.assertLess(time.monotonic() - began, SOON)
            while time.monotonic() - began < 0.5:
                asked = time.monotonic()
                self.mill.api("GET", "/v1/status")
                self.assertLess(time.monotonic() - asked, SOON)

    def scan_twice(self, bucket="bucket"):
        """Only a scan counts names that begin with a dot."""
        for _ in range(2):
            hidden = self.buckets()[bucket]["left_out"]["hidden"]
            self.write("%s/.hidden-%d" % (bucket, hidden), "")
            until(lambda: self.buckets()[bucket]["left_out"]["hidden"] > hidden, 20)

    def test_rules(self):
        self.write("rules/one.yaml", RULE % ("one", ".txt"))
        self.make_dir("bucket")
        self.start("rules", rules_dir=self.path("rules"), bucket=self.path("bucket"))
        self.hang()
        self.answers_soon()
        self.write("rules/two.yaml", RULE % ("two", ".csv"))
        self.write("bucket/a.txt", "1")
        until(lambda: self.count("one") == 1, 20)
        until(lambda: "the directory of rules does not answer" in self.log(), 30)
        self.assertEqual(len(self.mill.api("GET", "/v1/rules")["rules"]), 1)
        self.go_on()
        until(lambda: len(self.mill.api("GET", "/v1/rules")["rules"]) == 2, 20)
        self.assertIn("the directory of rules answers again", self.log())
        self.stop()

    def start_bucket(self, **params):
        self.write("rules/take.yaml", RULE % ("take", ".txt"))
        self.make_dir("bucket")
        self.make_dir("other")
        self.start("bucket", rules_dir=self.path("rules"), bucket=[self.path("bucket"), self.path("other")],
                   bucket_rescan="200ms", **params)

    def buckets(self):
        return {os.path.basename(b["path"]): b for b in self.mill.api("GET", "/v1/status")["buckets"]}

    def test_a_watched_directory(self):
        """The other one goes on; what came meanwhile is taken later, once."""
        self.start_bucket()
        self.write("bucket/deep/first.txt", "1")
        until(lambda: self.count("take") == 1, 20)
        self.hang()
        self.answers_soon()
        for n in range(100):
            self.write("bucket/deep/%d.txt" % n, "1")
        self.write("other/a.txt", "1")
        until(lambda: self.count("take") == 2, 20)
        until(lambda: self.buckets()["bucket"]["error"], 30)
        self.assertEqual(self.buckets()["bucket"]["error"], "it does not answer")
        self.assertIsNone(self.buckets()["other"]["error"])
        self.answers_soon()
        self.go_on()
        until(lambda: self.count("take") == 102, 30)
        until(lambda: self.buckets()["bucket"]["error"] is None, 20)
        self.assertIn("a watched directory answers again", self.log())
        self.scan_twice()
        self.assertEqual(self.count("take"), 102)
        self.stop()

    def test_a_watched_directory_that_is_replaced_while_it_hangs(self):
        """What the thread saw of the one that was there is not taken for the one that is."""
        self.start_bucket()
        self.write("bucket/a.txt", "1")
        until(lambda: self.count("take") == 1, 20)
        self.hang()
        for n in range(5):
            self.write("bucket/%d.txt" % n, "1")
            os.rename(self.path("bucket"), self.path("old-%d" % n))
            self.write("bucket/new-%d.txt" % n, "1")
        self.go_on()
        until(lambda: self.count("take") >= 2, 20)
        self.write("bucket/last.txt", "1")
        until(lambda: self.count("take") >= 3, 20)
        self.scan_twice()
        self.assertLessEqual(self.count("take"), 4)  # and 0.txt, if it was listed before
        self.stop()

    def test_the_list_of_taken_files_is_whole_after_a_stop(self):
        self.start_bucket()
        for n in range(300):
            self.write("bucket/%d.txt" % n, "1")
        until(lambda: self.count("take") == 300, 30)
        self.stop()
        self.mill.start_dispatcher(rules_dir=self.path("rules"), bucket=self.path("bucket"), bucket_rescan="200ms")
        self.assertEqual(self.buckets()["bucket"]["files"], 300)
        self.scan_twice()
        self.assertEqual(self.count("take"), 300)

    def stop(self):
        self.mill.dispatcher.terminate()
        self.assertEqual(self.mill.dispatcher.wait(20), 0)


if __name__ == "__main__":
    main()
