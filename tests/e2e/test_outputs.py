#!/usr/bin/env python3
"""An output belongs to one attempt: whatever a program does to its standard streams, and whatever happens to the
disk or to the directories below it."""
import os
import subprocess
import unittest

from case import FAST, MillCase, main, until

JOB = "version: 1\nname: x\nshard: {count: %d}\nretry: {attempts: %d, backoff: 100ms}\nrun: {exec: [sh, %s]}\n"


class Outputs(MillCase):
    def start(self, **worker):
        shared = {k: v for k, v in worker.items() if k == "output_dir"}
        self.mill.start_dispatcher(**FAST, **shared)
        self.mill.start_worker(heartbeat="100ms", **worker)

    def submit(self, script, count=1, attempts=3):
        self.scripts = getattr(self, "scripts", 0) + 1
        path = self.write("script-%d" % self.scripts, script)
        return self.mill.submit(JOB % (count, attempts, path))

    def read(self, name):
        try:
            with open(self.path(name)) as f:
                return f.read().strip()
        except FileNotFoundError:
            return ""

    def run_script(self, script, count=1, attempts=3):
        job = self.submit(script, count, attempts)
        ended = self.mill.wait(job)
        self.assertEqual(ended["state"], "succeeded", ended)
        return job


class Named(Outputs):
    def test_what_opens_its_output_by_name_loses_nothing_of_its_own_nor_of_others(self):
        self.start()
        victim = self.run_script("echo victim $SHARDMILL_SHARD; echo said >&2", 20)
        source = self.write("source", "two\n")
        for script, out, err in [
            ("echo one; echo two >/dev/stdout; echo three", "one\ntwo\nthree\n", ""),
            ("echo one; echo longer >/proc/self/fd/1; echo three", "one\nlonger\nthree\n", ""),
            ("echo one >&2; echo two | tee /dev/stderr; echo three >&2", "two\n", "one\ntwo\nthree\n"),
            ("echo one; curl -s -o /dev/stdout file://%s; echo three" % source, "one\ntwo\nthree\n", ""),
            ("echo one; cp %s /dev/stdout; echo three" % source, "one\ntwo\nthree\n", ""),
            ("echo one; dd if=%s of=/dev/stdout 2>/dev/null; echo three" % source, "one\ntwo\nthree\n", ""),
            ("python3 -c 'import os; os.write(1, b\"0123456789\"); os.ftruncate(1, 4)'", "0123", ""),
            ("python3 -c 'import os; os.write(1, b\"head body\"); os.lseek(1, 0, 0); os.write(1, b\"HEAD\")'",
             "HEAD body", ""),
        ]:
            job = self.run_script(script, 4, 1)
            self.assertEqual(self.mill.output(job).decode(), out * 4, script)
            self.assertEqual(self.mill.output(job, "?stream=err").decode(), err * 4, script)
        self.assertEqual(self.mill.output(victim), b"".join(b"victim %d\n" % n for n in range(20)))
        self.assertEqual(self.mill.output(victim, "?stream=err"), b"said\n" * 20)

    def test_who_still_has_an_output_open_writes_to_nobody_elses(self):
        self.start()
        go = self.path("go")
        job = self.submit("echo $$ >%s; echo mine; until test -e %s; do sleep 0.01; done" % (self.path("pid"), go))
        pid = int(until(lambda: self.read("pid")))
        stray = open("/proc/%d/fd/1" % pid, "ab", 0)  # somebody outside of the attempt
        self.addCleanup(stray.close)
        self.write("go", "")
        self.assertEqual(self.mill.wait(job)["state"], "succeeded")
        stray.write(b"too late\n")
        others = self.run_script("echo other $SHARDMILL_SHARD", 10)
        stray.write(b"too late\n")
        self.assertEqual(self.mill.output(job), b"mine\n")
        self.assertEqual(self.mill.output(others), b"".join(b"other %d\n" % n for n in range(10)))


class Directories(Outputs):
    def test_a_segment_that_is_gone_costs_the_attempt_and_not_the_job(self):
        output = os.path.join(self.mill.state, "output")
        for n, damage in enumerate(["rm $d/*.out", "rm $d/*.idx", "for f in $d/*.out; do cp $f $f.x; mv $f.x $f; done",
                                    "rm -r $d", "mv $d $d.away"]):
            if n == 0:
                self.start()
            self.run_script("echo before")
            once = self.path("once-%d" % n)
            job = self.run_script("echo kept; test -e %s && exit\ntouch %s\nfor d in %s/*; do %s; break; done" %
                                  (once, once, output, damage))
            self.assertEqual(self.mill.output(job), b"kept\n", damage)

    def test_each_attempt_finds_an_empty_directory(self):
        self.start()
        scratch = os.path.join(self.mill.dir, "scratch")
        for damage in ["rmdir $PWD", "rmdir $PWD; ln -s / $PWD", "chmod 000 .", "mkdir -p a/b; chmod 0 a; touch c",
                       "rm -rf %s/*" % scratch, "rm -rf %s" % scratch]:
            self.run_script("cd -P .; %s; true" % damage)
            job = self.run_script("ls -A; pwd; stat -c %a .; touch x")
            where, mode = self.mill.output(job).decode().split("\n")[:2]
            self.assertTrue(where.startswith(scratch), where)
            self.assertEqual(mode, "700", damage)


class NoScratch(Outputs):
    def test_up_says_that_no_worker_can_start(self):
        open_to_all = self.make_dir("open")
        os.chmod(open_to_all, 0o755)
        os.symlink(self.make_dir("elsewhere"), self.path("link"))
        for args, tmp, words in [(["--scratch-dir=" + open_to_all], "/tmp", open_to_all),
                                 (["--scratch-dir=" + self.path("link")], "/tmp", self.path("link")),
                                 ([], self.path("none"), self.path("none"))]:
            up = subprocess.run([self.mill.program("shardmill"), "up", "--state-dir=" + self.path("up")] + args,
                                env=dict(os.environ, TMPDIR=tmp), capture_output=True, text=True, timeout=30)
            self.assertEqual(up.returncode, 1, up)
            self.assertIn(words, up.stderr)
            self.assertNotIn("is up", up.stdout)


@unittest.skipIf(os.geteuid() != 0, "only root may mount a file system")
class FullDisk(Outputs):
    """The disk of 1 MiB is full, and the program does not look at what write says."""

    IGNORES = ("i=0; while [ $i -lt 40000 ]; do echo \"line $i ------------------------------\"; i=$((i+1)); done "
               "2>/dev/null; exit 0")

    def mount(self, name):
        return self.small_disk(self.path(name), "1m")

    def recovers(self, small, **worker):
        """Half an output is no success; when there is room, the shard succeeds with all of it."""
        self.start(**worker)
        job = self.submit(self.IGNORES, attempts=100)
        told = self.submit(self.IGNORES, attempts=1)
        until(lambda: small in "".join(str(self.mill.api("GET", "/v1/jobs/%d/%s" % (told, what)))
                                       for what in ("explain", "shards")), 60)
        self.assertEqual(self.mill.job(job)["phases"][0]["done"], 0)
        subprocess.run(["mount", "-o", "remount,size=64m", small], check=True)
        self.assertEqual(self.mill.wait(job, 120)["state"], "succeeded")
        self.assertEqual(len(self.mill.output(job).split(b"\n")), 40001)

    def test_one_that_was_full_for_a_moment(self):
        """A program writes while another fills the disk, and there is room again before it ends."""
        small = self.mount("small")
        self.start(scratch_dir=small)
        filler, once = os.path.join(small, "filler"), self.path("once")
        job = self.submit("head -c 9999 /dev/zero; test -e %s && head -c 99999 /dev/zero && exit\ntouch %s\n"
                          "cat /dev/zero >%s; head -c 99999 /dev/zero; sleep 0.02; rm %s; sleep 0.3; exit 0"
                          % (once, once, filler, filler), attempts=9)
        self.assertEqual(self.mill.wait(job)["state"], "succeeded")
        self.assertEqual(len(self.mill.output(job)), 9999 + 99999)

    def is_too_long_for(self, what):
        """However much was freed there, it could not be held: the shard's own failure."""
        small = self.mount("small")
        self.start(**{what: small})
        job = self.mill.wait(self.submit(self.IGNORES, attempts=2))
        self.assertEqual((job["state"], job["retries"]), ("failed", 1))
        self.assertRegex(job["why"], "output_max, %s/.*1[0-9]* bytes were written, and the whole disk for them holds 1MiB" % small)

    def test_an_output_longer_than_the_disk_of_the_scratch_directory(self):
        self.is_too_long_for("scratch_dir")

    def test_an_output_longer_than_the_disk_of_the_output_directory(self):
        self.is_too_long_for("output_dir")

    def test_an_input_file_longer_than_the_disk_of_the_scratch_directory(self):
        small = self.mount("small")
        self.start(scratch_dir=small)
        self.write("long", b"x" * (3 << 20))
        job = self.mill.wait(self.mill.submit(
            "version: 1\nname: long\nshard: {bytes: 1GiB, align: none, of: 'file://%s'}\n"
            "retry: {attempts: 2, backoff: 0s}\nrun: {exec: [wc, -c, '{{shard.input_file}}'], input: file}\n" % self.path("long")))
        self.assertEqual((job["state"], job["retries"]), ("failed", 1))
        self.assertRegex(job["why"], "input, %s/.*/input: [0-9]* bytes were written, and the whole disk" % small)

    def test_of_the_scratch_directory(self):
        small = self.mount("small")
        self.recovers(small, scratch_dir=small)

    def test_of_the_output_directory(self):
        small = self.mount("small")
        self.recovers(small, output_dir=small)


if __name__ == "__main__":
    main()
