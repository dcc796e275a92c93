#!/usr/bin/env python3
"""A watched directory sees everything once: whatever is moved, replaced, linked or mounted, and when."""
import ctypes
import os
import shutil
import stat
import subprocess
import time

import case
from case import MillCase, main, until

TAKE = """version: 1
name: %s
on:
  - pattern:
      source: [shardmill.bucket]
      detail: {object: {key: [{suffix: "%s"}]}}
run: {exec: [echo, "{{event.detail.object.path}}"]}
"""
DAY = 86400
CLONE_NEWNS = 0x00020000
MS_REC_PRIVATE = 0x44000


def own_mounts():
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS) != 0 or libc.mount(None, b"/", None, MS_REC_PRIVATE, None) != 0:
        raise OSError(ctypes.get_errno(), "no mounts of our own")


class Buckets(MillCase):
    def start(self, ahead=0, rescan="200ms", bucket="bucket", wait=True, preexec=None, **params):
        self.make_dir("rules")
        options = dict(rules_dir=self.path("rules"), bucket=self.path(bucket), bucket_rescan=rescan, **params)
        library = os.path.join(os.path.abspath(case.BUILD), "tests", "support", "libclock-ahead.so")
        if ahead and os.environ.get("MILL_BUILD") == "asan":
            self.skip("a clock that is ahead: a preloaded library must come before the sanitizer's")
        if ahead:
            os.environ.update(LD_PRELOAD=library, CLOCK_AHEAD=str(ahead))
        start = self.mill.start
        if preexec:
            self.mill.start = lambda name, options: start(name, options, preexec_fn=preexec)
        try:
            return self.mill.start_dispatcher(wait=wait, **options)
        finally:
            self.mill.start = start
            os.environ.pop("LD_PRELOAD", None)
            os.environ.pop("CLOCK_AHEAD", None)

    def stop(self):
        self.mill.dispatcher.terminate()
        self.assertEqual(self.mill.dispatcher.wait(20), 0)

    def rule(self, name="take", suffix=".txt"):
        self.make_dir("rules")
        self.write("rules/%s.yaml" % name, TAKE % (name, suffix))

    def count(self, name="take"):
        return len(self.jobs("?limit=1000&name=" + name))

    def until_count(self, count, name="take"):
        until(lambda: self.count(name) >= count, 30)
        self.assertEqual(self.count(name), count)

    def status(self):
        return self.mill.api("GET", "/v1/status")["buckets"][0]

    def log(self):
        with open(self.mill.dispatcher.log) as f:
            return f.read()

    def rescans(self, suffix=".txt"):
        """Two scans of the whole directory have ended since the call: what they find of old files is offered."""
        for _ in range(2):
            self.marks = getattr(self, "marks", 0) + 1
            name = ".mark-%d" % self.marks
            before = self.status()["left_out"]["hidden"]
            self.write("bucket/" + name, "")
            until(lambda: self.status()["left_out"]["hidden"] > before, 20)
            os.unlink(self.path("bucket", name))
            until(lambda: self.status()["left_out"]["hidden"] <= before, 20)

    def test_a_directory_that_is_removed_and_made_again(self):
        self.rule()
        self.make_dir("bucket")
        self.start()
        self.write("bucket/first.txt", "1")
        self.until_count(1)
        shutil.rmtree(self.path("bucket"))
        until(lambda: self.status()["error"], 20)
        self.assertIn("is gone", self.log())
        os.mkdir(self.path("bucket"))
        self.write("bucket/second.txt", "2")
        self.until_count(2)
        self.assertIsNone(self.status()["error"])
        self.write("bucket/deep/third.txt", "3")
        self.until_count(3)
        self.stop()
        self.start()
        self.rescans()
        self.assertEqual(self.count(), 3)

    def test_a_directory_that_is_replaced_at_once_and_comes_back_a_day_later(self):
        self.rule()
        self.write("bucket/one.txt", "1")
        self.write("other/two.txt", "2")
        self.start()
        self.until_count(1)
        os.rename(self.path("bucket"), self.path("old"))
        os.rename(self.path("other"), self.path("bucket"))
        self.until_count(2)
        self.assertIn("watching what now stands at the path", self.log())
        self.stop()
        os.rename(self.path("bucket"), self.path("other"))
        os.rename(self.path("old"), self.path("bucket"))
        self.write("bucket/three.txt", "3")
        self.start(ahead=2 * DAY)
        self.until_count(3)
        self.rescans()
        self.assertEqual(self.count(), 3, "one.txt is known, although its key has expired")

    def test_a_link_that_comes_to_point_elsewhere(self):
        self.rule()
        self.write("monday/one.txt", "1")
        self.write("tuesday/two.txt", "2")
        os.symlink("monday", self.path("today"))
        self.start(bucket="today")
        self.until_count(1)
        os.symlink("tuesday", self.path("new"))
        os.rename(self.path("new"), self.path("today"))
        self.until_count(2)
        self.write("today/three.txt", "3")
        self.until_count(3)

    def test_a_mount_that_covers_it_and_goes_again(self):
        if os.geteuid() != 0 or subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode != 0:
            self.skip("covering a watched directory by a mount needs root")
        self.rule()
        self.write("bucket/below.txt", "1")
        self.start(preexec=own_mounts)
        self.until_count(1)
        inside = ["nsenter", "-t", str(self.mill.dispatcher.pid), "-m"]
        subprocess.run(inside + ["mount", "-t", "tmpfs", "none", self.path("bucket")], check=True)
        subprocess.run(inside + ["sh", "-c", "echo 2 >%s" % self.path("bucket", "above.txt")], check=True)
        self.until_count(2)
        subprocess.run(inside + ["umount", "-l", self.path("bucket")], check=True)
        self.write("bucket/after.txt", "3")
        self.until_count(3)

    def test_a_folder_of_old_files_that_was_moved_in_while_nobody_looked(self):
        """The dispatcher lives a day later, so that all files are far older than its last scan."""
        self.rule()
        self.write("bucket/a.txt", "1")
        self.start(ahead=DAY)
        self.until_count(1)
        self.stop()
        for n in range(20):
            self.write("folder/deep/%d.txt" % n, str(n))
        os.rename(self.path("folder"), self.path("bucket", "folder"))
        self.start(ahead=DAY)
        self.until_count(21)

    def test_nothing_is_taken_twice_after_a_day(self):
        """chmod, hard links elsewhere and a restart when all keys have expired."""
        self.rule()
        for n in range(10):
            self.write("bucket/%d.txt" % n, str(n))
        self.start()
        self.until_count(10)
        self.mill.kill(self.mill.dispatcher)
        for n in range(10):
            os.chmod(self.path("bucket", "%d.txt" % n), 0o600)
            os.link(self.path("bucket", "%d.txt" % n), self.path("copy-%d" % n))
        self.start(ahead=2 * DAY)
        self.write("bucket/new.txt", "1")
        self.until_count(11)
        self.rescans()
        self.assertEqual(self.count(), 11)

    def test_a_hard_link_is_taken_at_once(self):
        self.rule()
        self.make_dir("bucket")
        self.write("elsewhere.txt", "1")
        self.start(rescan="1h")
        until(lambda: self.status()["files"] == 0)
        os.link(self.path("elsewhere.txt"), self.path("bucket", "linked.txt"))
        self.until_count(1)
        os.unlink(self.path("elsewhere.txt"))
        with open(self.path("open.txt"), "w") as f:  # open by another name: nobody tells of its end
            f.write("x")
            os.link(self.path("open.txt"), self.path("bucket", "later.txt"))
            f.flush()
            self.assertEqual(self.count(), 1)
        self.until_count(2)

    def test_what_makes_a_new_event(self):
        self.rule()
        self.make_dir("bucket")
        self.start()
        name = self.path("bucket", "a.txt")
        self.write("bucket/a.txt", "1")
        self.until_count(1)
        os.rename(name, self.path("out.txt"))
        os.rename(self.path("out.txt"), name)
        os.chmod(name, 0o600)
        self.rescans()
        self.assertEqual(self.count(), 1, "moved out and in again, another mode: the same")
        self.write("bucket/a.txt", "22")
        self.until_count(2)
        os.utime(name, (1, 1))
        self.until_count(3)
        os.rename(name, self.path("bucket", "b.txt"))
        self.until_count(4)
        shutil.copy(self.path("bucket", "b.txt"), self.path("new"))
        os.utime(self.path("new"), (1, 1))
        os.rename(self.path("new"), self.path("bucket", "b.txt"))
        self.until_count(5)

    def test_what_is_left_out_is_counted_and_told_once(self):
        self.rule()
        self.make_dir("bucket")
        for name in (".hidden.txt", ".folder/in.txt", "a.txt.tmp", "b.part"):
            self.write("bucket/" + name, "1")
        os.symlink("/etc/passwd", self.path("bucket", "link.txt"))
        os.symlink("..", self.path("bucket", "loop"))
        os.mkfifo(self.path("bucket", "pipe.txt"))
        self.start()
        left = dict(hidden=2, unfinished=2, symbolic_links=2, special=1, unreadable=0)
        until(lambda: self.status()["left_out"] == left, 20)
        os.mkfifo(self.path("bucket", "pipe2.txt"))
        until(lambda: self.status()["left_out"] == dict(left, special=2), 20)
        self.rescans()
        self.assertEqual(self.log().count("left out of a watched directory"), 4)
        self.assertEqual(self.count(), 0)
        told = self.shardmill("status").stdout
        self.assertIn("2 symbolic links", told)

    def test_counters_count_an_event_once(self):
        self.rule()
        self.write("bucket/a.txt", "1")
        self.write("bucket/b.csv", "1")
        self.start()
        self.until_count(1)
        for _ in range(3):
            self.rescans()
        self.assertEqual(self.mill.api("GET", "/v1/rules")["rules"][0]["matched"], 1)
        self.assertIn("shardmill_events_unmatched_total 1\n", self.mill.api("GET", "/metrics", raw=True).decode())
        event = {"id": "1", "source": "shardmill.bucket", "detail-type": "x", "time": "2026-01-01T00:00:00Z",
                 "resources": [], "detail": {"object": {"key": "a.txt", "path": "x"}}}
        for _ in range(3):
            self.mill.api("POST", "/v1/events", event)
        self.assertEqual(self.mill.api("GET", "/v1/rules")["rules"][0]["matched"], 2, "a repeat is no event")

    def test_the_list_of_taken_files_is_lost_or_damaged(self):
        """Then files that are older than the last scan count as taken, and newer ones are offered."""
        self.rule()
        for n in range(5):
            self.write("bucket/%d.txt" % n, str(n))
        self.start(ahead=2 * DAY)
        self.until_count(5)
        lists = lambda: [self.path("state", "taken", n) for n in os.listdir(self.path("state", "taken"))]
        for hurt, word in ((lambda: os.unlink(lists()[0]), "missing"),
                           (lambda: shutil.rmtree(self.path("state", "taken")), "missing"),
                           (lambda: os.truncate(lists()[0], 20), "damaged"),
                           (lambda: self.flip(lists()[0], 40), "damaged"),
                           (lambda: self.flip(lists()[0], 3), "damaged")):
            self.stop()
            hurt()
            self.start(ahead=4 * DAY)
            self.assertIn("taken from a watched directory is " + word, self.log())
            self.rescans()
            self.assertEqual(self.count(), 5)
            self.stop()  # and what was found out is kept
            self.start(ahead=4 * DAY)
            self.assertNotIn("taken from a watched directory is", self.log())
            self.rescans()
            self.assertEqual(self.count(), 5)

    def flip(self, path, at):
        with open(path, "r+b") as f:
            f.seek(at)
            byte = f.read(1)
            f.seek(at)
            f.write(bytes([byte[0] ^ 0x10]))

    def test_a_folder_that_cannot_be_read_forgets_nothing(self):
        if os.geteuid() == 0:
            self.skip("root reads every folder")
        self.rule()
        self.write("bucket/deep/a.txt", "1")
        self.start()
        self.until_count(1)
        os.chmod(self.path("bucket", "deep"), 0)
        until(lambda: self.status()["left_out"]["unreadable"] == 1, 20)
        os.chmod(self.path("bucket", "deep"), stat.S_IRWXU)
        until(lambda: self.status()["left_out"]["unreadable"] == 0, 20)
        self.assertEqual(self.status()["files"], 1)

    # ---- rules that come later ----

    def shardmill(self, *args):
        return subprocess.run([self.mill.program("shardmill"), *args, "--api-socket=" + self.mill.socket],
                              capture_output=True, text=True, timeout=60)

    def apply(self, rule, *args):
        import json
        done = self.shardmill("rules", "apply", rule, "--bucket=" + self.path("bucket"), "--output=json", *args)
        self.assertEqual(done.returncode, 0, done)
        return json.loads(done.stdout)

    def test_a_rule_that_is_added_later_sees_later_events_and_what_is_applied(self):
        self.rule("first", ".csv")
        for n in range(20):
            self.write("bucket/deep/%d.txt" % n, str(n))
        self.write("bucket/x.csv", "1")
        self.start()
        self.until_count(1, "first")
        self.rule("late", ".txt")
        until(lambda: len(self.mill.api("GET", "/v1/rules")["rules"]) == 2, 20)
        self.rescans()
        self.assertEqual(self.count("late"), 0, "files that were there before it")
        self.write("bucket/after.txt", "1")
        self.until_count(1, "late")
        told = self.apply("late")
        self.assertEqual((told["started"], told["already"], told["unmatched"]), (20, 1, 1))
        self.until_count(21, "late")
        told = self.apply("late")
        self.assertEqual((told["started"], told["already"]), (0, 21))
        self.stop()
        self.start(ahead=2 * DAY)  # its keys have expired; history knows
        told = self.apply("late")
        self.assertEqual((told["started"], told["already"]), (0, 21))
        self.assertEqual((self.count("late"), self.count("first")), (21, 1))
        text = self.shardmill("rules", "apply", "late")
        self.assertEqual(text.stdout, "22 files: 0 started jobs, 21 had started them before, 1 do not match\n")

    def test_apply_takes_files_that_changed_since(self):
        self.rule("first", ".csv")
        self.write("bucket/old.txt", "1")
        self.start()
        until(lambda: self.status()["files"] == 1)
        self.rule("late", ".txt")
        until(lambda: len(self.mill.api("GET", "/v1/rules")["rules"]) == 2, 20)
        changed = os.stat(self.path("bucket", "old.txt")).st_ctime
        told = self.apply("late", "--since=" + time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(changed + 2)))
        self.assertEqual((told["files"], told["started"]), (0, 0))
        self.assertEqual(self.apply("late", "--since=1h")["started"], 1)

    def test_wrong_applies_are_refused_in_words(self):
        self.rule()
        self.make_dir("bucket")
        self.start()
        for args, word in ((["nobody"], "no rule of this name"), (["take", "--bucket=/etc"], "is not watched"),
                           (["take", "--since=yesterday"], "expected a time"), ([], "expected the name of a rule")):
            done = self.shardmill("rules", "apply", *args)
            self.assertNotEqual(done.returncode, 0, args)
            self.assertIn(word, done.stderr)
        self.expect_error(400, "invalid", "POST", "/v1/rules/apply", {"rule": "take", "since": "x"})
        self.expect_error(400, "invalid", "POST", "/v1/rules/apply", {"rule": "take", "sinse": 1})

    # ---- rules that cannot be read ----

    def test_a_rule_that_is_broken_at_start_goes_on_as_it_was(self):
        self.rule()
        self.make_dir("bucket")
        self.start()
        self.write("bucket/a.txt", "1")
        self.until_count(1)
        self.stop()
        self.write("rules/take.yaml", "version: 1\nname: take\nrun: {exec: [\n")
        self.start()
        self.write("bucket/b.txt", "1")
        self.until_count(2)
        rule = self.mill.api("GET", "/v1/rules")["rules"][0]
        self.assertEqual((rule["name"], rule["last_good"]), ("take", True))
        self.assertIn("take.yaml:", rule["error"]["where"])
        self.assertIn("its last good version stays", self.log())
        self.assertIn("last good version goes on", self.shardmill("rules").stdout)
        self.assertIn("1 broken: the last good version goes on", self.shardmill("status").stdout)

    def test_while_a_rule_cannot_be_read_nothing_is_taken_and_nothing_is_lost(self):
        event = {"id": "1", "source": "x", "detail-type": "x", "time": "2026-01-01T00:00:00Z", "resources": [],
                 "detail": {}}
        self.rule()
        self.write("rules/broken.yaml", "version: 1\nname: [\n")
        self.write("bucket/a.txt", "1")
        self.start()
        e = self.expect_error(503, "closed", "POST", "/v1/events", event)
        self.assertIn("broken.yaml", e["where"])
        self.assertIn("no event is taken", self.shardmill("rules").stdout)
        self.assertIn("NO EVENT IS TAKEN", self.shardmill("status").stdout)
        self.mill.submit("version: 1\nname: alone\nrun: {exec: ['true']}\n")
        self.assertEqual(self.count(), 0)
        self.write("rules/broken.yaml", TAKE % ("mended", ".txt"))
        self.until_count(1)
        self.until_count(1, "mended")
        self.assertEqual(self.mill.api("POST", "/v1/events", event)["events"][0]["jobs"], [])


if __name__ == "__main__":
    main()
