#!/usr/bin/env python3
"""What has ended is kept for as long as it should be, and goes without a trace, whenever the dispatcher is killed."""
import os
import shutil
import signal
import sqlite3
import subprocess
import threading
import time

from case import ApiError, MillCase, main, until

# What nobody needs is removed soon: see SEGMENT_CLOSED_TIMEOUTS and SEGMENT_LEFT_TIMEOUTS.
SOON = {"heartbeat": "50ms", "worker_timeout": "500ms", "adopt_wait": "500ms"}
RULE = "version: 1\nname: thing\non: [{pattern: {source: [test]}}]\nrun: {exec: [echo, thing]}\n"
EVENT = {"id": "e-1", "source": "test", "detail-type": "Thing", "time": "2026-01-01T00:00:00Z", "resources": [],
         "detail": {}}


class ForgetCase(MillCase):
    def start(self, **params):
        self.mill.start_dispatcher(**dict(SOON, **params))

    def shardmill(self, *argv):
        env = dict(os.environ, SHARDMILL_API_SOCKET=self.mill.socket)
        return subprocess.run([self.mill.program("shardmill"), *argv], env=env, capture_output=True, text=True,
                              check=False, timeout=60)

    def run_jobs(self, count, text="hello", worker=None):
        jobs = [self.mill.submit("version: 1\nname: echo\nshard: {count: 2}\nrun: {exec: [echo, '%s']}\n" % text)
                for _ in range(count)]
        for job in jobs:
            self.assertEqual(self.mill.wait(job)["state"], "succeeded")
        return jobs

    def forget(self, *jobs):
        return self.mill.api("POST", "/v1/changes", {"change": "forget", "jobs": list(jobs)})

    def leave(self, worker):
        worker.terminate()
        worker.wait()
        self.mill.workers.remove(worker)

    def outputs(self):
        """All files of outputs, by their paths."""
        found = []
        for folder, _, names in os.walk(os.path.join(self.mill.state, "output")):
            found += [os.path.join(folder, name) for name in names]
        return sorted(found)

    def history(self, sql, write=False):
        """The rows, as text."""
        if not write:
            return self.mill.sql(sql)
        db = sqlite3.connect(os.path.join(self.mill.state, "history.db"), timeout=10)
        try:
            rows = db.execute(sql).fetchall()
            db.commit()
        finally:
            db.close()
        return rows

    def kept(self):
        """Counted soon after a start."""
        return until(lambda: self.mill.api("GET", "/v1/status")["kept"])

    def expect_forgotten(self, job):
        with self.assertRaises(ApiError) as e:
            self.mill.job(job)
        self.assertEqual(e.exception.status, 404)
        self.assertIn("job %d is forgotten" % job, e.exception.error["message"])

    def expect_nothing_left(self):
        until(lambda: not self.outputs() and not self.history("SELECT * FROM segments"), seconds=30)
        for table in ("jobs", "ranges", "failures", "phases", "events"):
            self.assertEqual(self.history("SELECT * FROM " + table), [], table)


class Verb(ForgetCase):
    def test_what_is_forgotten_is_gone_and_is_said_to_be(self):
        os.makedirs(self.path("rules"))
        self.write("rules/thing.yaml", RULE)
        self.start(rules_dir=self.path("rules"))
        worker = self.mill.start_worker(heartbeat="50ms")
        kept, gone = self.run_jobs(2)
        live = self.mill.submit("version: 1\nname: live\nrun: {exec: [sleep, '1000']}\n")
        self.mill.api("POST", "/v1/events", EVENT)
        by_event = until(lambda: self.mill.api("GET", "/v1/jobs?name=thing")["jobs"])[0]["id"]
        self.mill.wait(by_event)
        by_id = self.mill.submit("version: 1\nname: x\nrun: {exec: [echo, x]}\n", id="once")
        self.mill.wait(by_id)

        told = self.shardmill("forget", str(gone))
        self.assertEqual((told.returncode, told.stdout), (0, "job %d is forgotten\n" % gone), told.stderr)
        self.expect_forgotten(gone)
        self.assertIn("is forgotten", self.shardmill("show", str(gone)).stderr)
        self.assertEqual(self.mill.output(kept), b"hello\nhello\n")
        told = self.shardmill("forget", str(live))
        self.assertEqual(told.returncode, 2)
        self.assertIn("has not ended", told.stderr)
        self.assertEqual(self.shardmill("forget", "live").returncode, 0, "of a set what lives is left")
        self.assertEqual(self.forget(gone, live, [by_event, by_id]),
                         {"changed": 2, "same": 1, "left": 1, "errors": [], "next": None})

        again = self.mill.api("POST", "/v1/events", EVENT)["events"][0]
        self.assertEqual((again["duplicate"], again["jobs"], again["forgotten"]), (True, [by_event], True))
        again = self.mill.api("POST", "/v1/jobs", {"definition": "version: 1\nname: x\nrun: {exec: [echo, x]}\n",
                                                   "id": "once"})
        self.assertEqual((again["id"], again["duplicate"], again["forgotten"]), (by_id, True, True))
        for path in ("retry", "again"):
            with self.assertRaises(ApiError) as e:
                self.mill.api("POST", "/v1/jobs/%d/%s" % (gone, path), {} if path == "retry" else None)
            self.assertEqual(e.exception.status, 404)
        until(lambda: self.kept()["jobs"] == 1)
        self.assertEqual(self.kept()["forgotten"], 3)
        self.assertRegex(self.shardmill("status").stdout, r"kept +1 ended jobs of the last .* of outputs.*; 3 forgotten")

        # It is known at the next start, also when history is built again from the journal.
        self.mill.api("POST", "/v1/jobs/%d/cancel" % live, {})
        self.mill.kill(self.mill.dispatcher)
        for name in ("history.db", "history.db-wal", "history.db-shm"):
            os.unlink(os.path.join(self.mill.state, name))
        self.start(rules_dir=self.path("rules"))
        until(lambda: self.kept() and self.kept()["forgotten"] == 3)
        self.expect_forgotten(gone)
        self.assertEqual(self.mill.output(kept), b"hello\nhello\n")
        self.assertEqual(self.shardmill("forget", "ended").returncode, 0)
        self.leave(worker)
        self.expect_nothing_left()

    def test_many_are_forgotten_by_one_request(self):
        self.start()
        worker = self.mill.start_worker(heartbeat="50ms")
        self.run_jobs(60)
        told = self.shardmill("forget", "all")
        self.assertEqual((told.returncode, told.stdout), (0, "60 jobs forgotten\n"), told.stderr)
        self.assertEqual(self.history("SELECT * FROM forgotten"), [(1, 60)])
        self.assertNotEqual(self.outputs(), [], "its worker goes on writing there")
        self.leave(worker)
        self.expect_nothing_left()

    def test_a_gather_finds_what_it_reads(self):
        """Jobs around it go, while it runs."""
        self.start(keep_jobs="1s")
        self.mill.start_worker(heartbeat="50ms", cpus=2)
        job = self.mill.submit("version: 1\nname: g\nshard: {count: 6}\nrun: {exec: [sh, -c, 'sleep 1; echo x']}\n"
                               "gather: {exec: [sh, -c, 'sleep 2; cat']}\n")
        self.run_jobs(10)
        until(lambda: self.mill.job(job)["state"] != "active" or
              self.history("SELECT count(*) FROM jobs WHERE ended_us IS NOT NULL")[0][0] < 10)
        self.assertEqual(self.mill.wait(job)["state"], "succeeded")
        self.assertEqual(self.mill.output(job), b"x\n" * 6)


class Retention(ForgetCase):
    def test_what_is_kept_stays_level(self):
        self.start(keep_jobs="2s")
        sizes, live = [], self.mill.submit("version: 1\nname: later\nrun: {exec: [echo, later]}\n")
        for _ in range(5):
            worker = self.mill.start_worker(heartbeat="50ms")
            jobs = [self.mill.api("POST", "/v1/jobs", {"command": {"argv": ["echo", "x" * 1000]}})["id"]
                    for _ in range(400)]
            self.mill.wait(jobs[-1])
            until(lambda: not self.mill.api("GET", "/v1/status")["jobs"]["live"])
            self.leave(worker)
            until(lambda: self.kept()["jobs"] == 0 and not self.outputs(), seconds=30)
            sizes.append(self.kept()["history_bytes"])
        self.assertLess(max(sizes), 2 * sizes[0], sizes)
        self.expect_forgotten(live)
        self.assertEqual(self.history("SELECT count(*) FROM forgotten"), [(1,)])

    def test_the_oldest_go_when_there_are_too_many_bytes(self):
        self.start(keep_bytes="100KiB")
        worker = self.mill.start_worker(heartbeat="50ms")
        jobs = [self.run_jobs(1, "%d" % n + "y" * 20000)[0] for n in range(8)]  # 40 KB each
        until(lambda: self.kept()["jobs"] == 2, seconds=30)
        self.assertLessEqual(self.kept()["output_bytes"], 100 * 1024)
        for job in jobs[:-2]:
            self.expect_forgotten(job)
        for n, job in enumerate(jobs[-2:]):
            self.assertEqual(self.mill.output(job), (("%d" % (n + 6) + "y" * 20000 + "\n") * 2).encode())
        self.leave(worker)
        needed = set(self.outputs())
        worker = self.mill.start_worker(heartbeat="50ms")
        later = self.run_jobs(1)
        self.leave(worker)
        self.assertGreater(set(self.outputs()), needed)
        self.forget(*later)
        until(lambda: set(self.outputs()) <= needed, seconds=60)
        self.assertEqual(self.mill.output(jobs[-1])[:1], b"7", "a segment stays that one of its jobs needs")


class Killed(ForgetCase):
    """The steps of forgetting, each as a kill behind it leaves it: the next start goes on."""

    def prepare(self):
        """Jobs of two workers that have left; nothing is removed yet."""
        self.start()
        for _ in range(2):
            worker = self.mill.start_worker(heartbeat="50ms")
            self.run_jobs(3)
            self.leave(worker)
        self.assertEqual(len(self.history("SELECT * FROM segments")), 2)

    def kill_and_change(self, *statements):
        self.mill.kill(self.mill.dispatcher)
        for sql in statements:
            self.history(sql, write=True)

    def test_behind_the_record(self):
        self.prepare()
        self.mill.dispatcher.send_signal(signal.SIGSTOP)
        shutil.copytree(self.mill.state, self.path("before"), ignore=lambda d, names: [
            n for n in names if n.endswith(".sock")])
        self.mill.dispatcher.send_signal(signal.SIGCONT)
        self.forget([1, 6])
        self.kill_and_change()
        for name in os.listdir(self.mill.state):  # history has not come to the record
            if name.startswith("history.db"):
                os.unlink(os.path.join(self.mill.state, name))
        for name in os.listdir(self.path("before")):
            if name.startswith("history.db"):
                shutil.copy(self.path("before", name), os.path.join(self.mill.state, name))
        self.start()
        self.expect_nothing_left()
        self.expect_forgotten(6)

    def test_behind_the_rows(self):
        self.prepare()
        self.forget([1, 6])
        self.kill_and_change()
        self.assertEqual(len(self.outputs()), 4, "two segments without stderr")
        self.start()
        self.expect_nothing_left()

    def test_among_the_rows(self):
        """The jobs' rows are deleted, those of their ranges only in part."""
        for part in (1, 0.5, 0):
            with self.subTest(part=part):
                self.prepare() if part == 1 else self.again()
                first = 1 if part == 1 else self.first
                ranges = self.history("SELECT * FROM ranges")
                left = int(len(ranges) * part)
                self.forget([first, first + 5])
                until(lambda: not self.history("SELECT * FROM leftovers UNION ALL SELECT id, id FROM jobs"))
                self.kill_and_change("INSERT INTO leftovers VALUES(%d, %d)" % (first, first + 5),
                                     *("INSERT INTO range_rows VALUES%r" % (row,) for row in ranges[len(ranges) - left:]))
                self.assertEqual(len(self.history("SELECT * FROM ranges")), left)
                self.start()
                self.expect_nothing_left()
                self.assertEqual(self.history("SELECT * FROM leftovers"), [])

    def test_behind_the_doom_and_among_the_files(self):
        for files in range(5):
            with self.subTest(files=files):
                self.prepare() if files == 0 else self.again()
                self.forget([self.first, self.first + 5] if files else [1, 6])
                self.kill_and_change("UPDATE segments SET doomed = 1")
                for path in self.outputs()[:files]:
                    os.unlink(path)
                begin = time.monotonic()
                self.start()
                self.expect_nothing_left()
                self.assertLess(time.monotonic() - begin, 8, "what is doomed waits for nobody")

    def again(self):
        for _ in range(2):
            worker = self.mill.start_worker(heartbeat="50ms")
            jobs = self.run_jobs(3)
            self.leave(worker)
        self.first = jobs[0] - 3

    def test_files_that_nobody_knows_go(self):
        self.prepare()
        self.forget([1, 3])
        folder = os.path.dirname(self.outputs()[-1])
        for kind in ("out", "err", "idx"):
            with open(os.path.join(folder, "00000077." + kind), "wb") as f:
                f.write(b"left")
        with open(os.path.join(folder, "notes.txt"), "wb") as f:
            f.write(b"somebody's")
        self.kill_and_change()
        self.start()
        until(lambda: not [p for p in self.outputs() if "00000077" in p], seconds=60)
        self.assertTrue(os.path.exists(os.path.join(folder, "notes.txt")))
        until(lambda: len(self.history("SELECT * FROM segments")) == 1)
        self.assertEqual(self.mill.output(6), b"hello\nhello\n")

    def test_at_any_moment(self):
        """Killed while it forgets, again and again."""
        self.start(keep_jobs="300ms")
        for n in range(12):
            worker = self.mill.start_worker(heartbeat="50ms")
            before = until(self.kept)["forgotten"]
            self.run_jobs(4)
            self.leave(worker)
            files = len(self.outputs())
            moments = (lambda: True, lambda: self.kept()["forgotten"] > before, lambda: self.kept()["jobs"] == 0,
                       lambda: len(self.outputs()) < files)
            until(moments[n % 4], seconds=30)
            self.mill.kill(self.mill.dispatcher)
            self.start(keep_jobs="300ms")
        self.expect_nothing_left()
        self.assertEqual(self.history("SELECT first, last FROM forgotten"), [(1, 48)])


class Thinning(ForgetCase):
    """One job that is kept does not keep the room of all others whose outputs stand in the same files."""
    TEXT = "%04d" + 9000 * "x"

    def make(self, count=60, shards=2):
        """Jobs that wrote to one segment by turns; one of them will be kept. History has those of one shard in blocks."""
        self.shards = shards
        self.start()
        worker = self.mill.start_worker(heartbeat="50ms", cpus="2")
        jobs = [self.mill.submit("version: 1\nname: echo\nshard: {count: %d}\n"
                                 "run: {exec: [sh, -c, 'echo %s; echo %s >&2']}\n" % (shards, text, text))
                for text in (self.TEXT % n for n in range(count))]
        for job in jobs:
            self.assertEqual(self.mill.wait(job)["state"], "succeeded")
        self.kept_job = jobs.pop(count // 2)
        self.text = (self.TEXT % (count // 2) + "\n").encode()
        self.leave(worker)
        self.full = self.taken()
        self.assertGreater(self.full, count * shards * 2 * 9000)
        return jobs

    def taken(self):
        """Bytes of the disk."""
        return sum(os.stat(path).st_blocks * 512 for path in self.outputs())

    def expect_output(self):
        self.assertEqual(self.mill.output(self.kept_job), self.shards * self.text)
        self.assertEqual(self.mill.output(self.kept_job, "?stream=err"), self.shards * self.text)

    def expect_thin(self):
        until(lambda: self.taken() < self.full / 4, seconds=30)
        self.expect_output()

    def test_room_is_given_back_while_the_rest_is_read(self):
        jobs = self.make()
        stop = threading.Event()
        wrong = []

        def read():
            while not stop.is_set():
                if self.mill.output(self.kept_job) != 2 * self.text:
                    wrong.append(True)
        thread = threading.Thread(target=read)
        thread.start()
        self.assertEqual(self.kept()["given_back_bytes"], 0)
        self.forget(*jobs)
        try:
            until(lambda: self.kept()["given_back_bytes"] > self.full / 2, seconds=30)
        finally:
            stop.set()
            thread.join()
        self.assertEqual(wrong, [])
        self.expect_thin()
        self.assertEqual(self.kept()["dead_bytes"], 0)
        self.forget(self.kept_job)
        self.expect_nothing_left()

    def test_room_of_jobs_of_one_shard_is_given_back(self):
        self.forget(*self.make(shards=1))
        self.expect_thin()

    def test_a_few_dead_jobs_are_not_worth_while(self):
        jobs = self.make(20)
        self.forget(*jobs[:6])
        until(lambda: self.mill.api("GET", "/v1/status")["kept"]["jobs"] == 14)
        self.forget(*jobs[6:])
        self.expect_thin()

    def test_a_kill_at_any_point_leaves_what_the_next_start_goes_on_with(self):
        jobs = self.make()
        self.forget(*jobs)
        until(lambda: self.history("SELECT count(*) FROM leftovers") == [(0,)])
        self.mill.kill(self.mill.dispatcher)
        saved = self.path("saved")
        shutil.copytree(os.path.join(self.mill.state, "output"), saved)
        index, = [path for path in self.outputs() if path.endswith(".idx")]

        def marked():
            os.chmod(index, os.stat(index).st_mode & 0o7777 | 0o2000)

        def half():
            marked()
            with open(index, "r+b") as f:
                f.write(bytes(20 * 56))
        for step in (lambda: None, marked, half):
            shutil.rmtree(os.path.join(self.mill.state, "output"))
            shutil.copytree(saved, os.path.join(self.mill.state, "output"))
            step()
            self.start()
            self.expect_thin()
            self.mill.kill(self.mill.dispatcher)
        self.start()
        self.expect_thin()

    def test_a_dispatcher_that_is_killed_meanwhile_goes_on(self):
        jobs = self.make()
        self.forget(*jobs)
        for n in range(6):
            self.mill.kill(self.mill.dispatcher)
            self.start()
            if n > 2:
                until(lambda: self.taken() < self.full, seconds=30)
            self.expect_output()
        self.expect_thin()


main()
