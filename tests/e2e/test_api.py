#!/usr/bin/env python3
"""The API of a real dispatcher: what it takes, what it refuses and how, and that it outlives both."""
import fcntl
import http.client
import json
import os
import re
import socket
import stat
import subprocess
import threading
import time
import unittest

import case
from case import ECHO, ApiError, MillCase, main, until
from mill import UnixConnection, free_port

SYS_FUTEX = 202


def read(path):
    with open(path) as f:
        return f.read()


class Metrics(MillCase):
    def scrape(self):
        """{name: {labels as a sorted tuple: value}}; each line must be one of text format 0.0.4."""
        found = {}
        types = {}
        for line in self.mill.api("GET", "/metrics", raw=True).decode().split("\n")[:-1]:
            kind = re.fullmatch(r"# TYPE (\w+) (counter|gauge)", line)
            sample = re.fullmatch(r'([a-z_]+)(?:\{((?:[a-z_]+="(?:[^"\\\n]|\\[\\"n])*",?)+)\})? (\d[\d.e+-]*)', line)
            if kind:
                self.assertNotIn(kind[1], types, "each name once")
                types[kind[1]] = kind[2]
            elif not re.fullmatch(r"# HELP \w+ \S.*", line):
                self.assertIsNotNone(sample, line)
                self.assertEqual(sample[1].endswith("_total"), types[sample[1]] == "counter", line)
                labels = re.findall(r'([a-z_]+)="((?:[^"\\]|\\.)*)"', sample[2] or "")
                key = tuple(sorted((k, re.sub(r"\\(.)", r"\1", v)) for k, v in labels))
                self.assertNotIn(key, found.setdefault(sample[1], {}), line)
                found[sample[1]][key] = float(sample[3])
        return found

    def test_what_happens_is_counted_once(self):
        self.mill.start_dispatcher()
        before = self.scrape()
        self.assertEqual(before["shardmill_jobs_live"], {(): 0})
        waiting = self.mill.submit(command={"argv": ["true"], "array": "7", "cpus": "0.5", "memory": "1MiB"})
        self.assertEqual(self.scrape()["shardmill_shards_runnable"][
            (("cpus", "0.5"), ("gpus", "0"), ("memory_bytes", "1048576"))], 7)
        self.mill.start_worker(pool="\"pool\\\"")
        self.mill.wait(waiting)
        failing = self.mill.submit(command={"argv": ["false"], "attempts": "1"})
        self.mill.wait(failing)
        self.mill.api("POST", "/v1/jobs", {"definition": ECHO, "id": "once"})
        self.mill.api("POST", "/v1/jobs", {"definition": ECHO, "id": "once"})
        self.expect_error(404, "not_found", "GET", "/v1/jobs/99")
        after = until(lambda: (lambda m: m if m["shardmill_jobs_live"][()] == 0 else None)(self.scrape()))
        self.assertEqual(after["shardmill_jobs_accepted_total"][()], 3)
        self.assertEqual(after["shardmill_events_repeated_total"][()], 1)
        self.assertEqual(after["shardmill_jobs_ended_total"],
                         {(("state", "succeeded"),): 2, (("state", "failed"),): 1, (("state", "cancelled"),): 0})
        self.assertEqual((after["shardmill_shards_done_total"][()], after["shardmill_shards_failed_total"][()]), (8, 1))
        self.assertEqual(after["shardmill_pool_workers"][(("pool", "\"pool\\\""), ("state", "idle"))], 1)
        self.assertEqual(after["shardmill_http_requests_total"][(("code", "4xx"), ("route", "job"))], 1)
        self.assertLess(after["shardmill_journal_waiting_records"][()], 100)
        self.assertGreater(after["process_resident_memory_bytes"][()], 1 << 20)

    def test_its_documentation_names_each_of_them(self):
        self.mill.start_dispatcher()
        told = self.mill.api("GET", "/metrics", raw=True).decode()
        with open(os.path.join(self.mill.build, "dispatcher", "metrics.md")) as f:
            documented = re.findall(r"^\| `(\w+)` \| (\w+) \|", f.read(), re.M)
        self.assertEqual(documented, re.findall(r"^# TYPE (\w+) (\w+)$", told, re.M))


class Submit(MillCase):
    def test_a_definition_becomes_a_job(self):
        self.mill.start_dispatcher()
        answer = self.mill.api("POST", "/v1/jobs", {"definition": ECHO, "name": "mine", "priority": 7})
        self.assertEqual((answer["id"], answer["jobs"], answer["duplicate"]), (1, 1, False))
        job = self.mill.job(1)
        self.assertEqual((job["name"], job["priority"], job["state"], job["word"]), ("mine", 7, "active", "queued"))
        self.assertEqual(job["phases"][0]["pending"], 1)

    def test_the_same_id_is_the_same_job_also_after_kill_9(self):
        self.mill.start_dispatcher()
        first = self.mill.api("POST", "/v1/jobs", {"definition": ECHO, "id": "x"})
        by_header = self.mill.api("POST", "/v1/jobs", {"definition": ECHO}, {"Idempotency-Key": "x"})
        self.assertEqual((by_header["id"], by_header["duplicate"]), (first["id"], True))
        self.mill.kill(self.mill.dispatcher)
        self.mill.start_dispatcher()
        again = self.mill.api("POST", "/v1/jobs", {"definition": ECHO, "id": "x"})
        self.assertEqual((again["id"], again["duplicate"]), (first["id"], True))
        self.assertEqual(len(self.jobs()), 1)
        self.assertEqual(self.mill.api("GET", "/v1/status")["epoch"], 2)

    def test_each_accepted_job_outlives_kill_9(self):
        self.mill.start_dispatcher()
        ids = [self.mill.submit(command={"argv": ["true"], "array": "1-%d" % (n + 1)}) for n in range(50)]
        self.mill.kill(self.mill.dispatcher)
        self.mill.start_dispatcher()
        jobs = self.jobs("?limit=1000")
        self.assertEqual([j["id"] for j in jobs], ids[::-1])
        self.assertEqual([j["phases"][0]["shards"] for j in jobs], list(range(50, 0, -1)))

    def test_what_is_wrong_is_said_with_its_place(self):
        self.mill.start_dispatcher()
        bad = "version: 1\nname: x\nrun:\n  exec: [echo]\n  timeout: 10x\n"
        e = self.expect_error(400, "invalid", "POST", "/v1/jobs", {"definition": bad, "file": "bad.yaml"})
        self.assertTrue(e["where"].startswith("bad.yaml:5:"), e)
        cases = [
            ("{", "body"), ("[]", "body"), (b"\xff\xfe", "body"), ({}, "body"),
            ({"definition": ECHO, "command": {"argv": ["x"]}}, "body"),
            ({"definition": 7}, "definition"), ({"definitoin": ECHO}, "definitoin"),
            ({"command": []}, "command"), ({"command": {"argv": []}}, "command.argv"),
            ({"command": {"argv": ["a", 1]}}, "command.argv[1]"), ({"command": {"arg": ["a"]}}, "command.arg"),
            ({"command": {"argv": ["a"], "env": {"A": 1}}}, "command.env.A"),
            ({"definition": ECHO, "priority": "high"}, "priority"), ({"definition": ECHO, "name": 1}, "name"),
            ({"definition": ECHO, "id": ""}, "id"), ({"definition": ECHO, "event": {"id": "1"}}, "event"),
        ]
        for body, where in cases:
            with self.subTest(body=body):
                e = self.expect_error(400, "invalid", "POST", "/v1/jobs", body)
                self.assertTrue(e["where"].startswith(where), e)
        self.assertEqual(self.jobs(), [])

    def test_bounds_of_bodies(self):
        self.mill.start_dispatcher()
        large = b'{"definition": "' + b"x" * (4 << 20) + b'"}'
        for size in (5 << 20, 40 << 20):
            body = large[:size] + b" " * max(0, size - len(large))
            try:
                self.mill.api("POST", "/v1/jobs", body)
                self.fail("a body of %d bytes was taken" % size)
            except ApiError as e:
                self.assertEqual(e.status, 413)
            except (BrokenPipeError, ConnectionResetError):  # the answer came before all was sent
                self.assertGreater(size, 32 << 20)
        c = UnixConnection(self.mill.socket, 20)
        c.request("POST", "/v1/jobs", (b"x" * 65536 for _ in range(80)), encode_chunked=True,
                  headers={"Transfer-Encoding": "chunked"})
        answer = c.getresponse()
        self.assertEqual((answer.status, json.loads(answer.read())["error"]["code"]), (413, "limit"))
        c.close()
        self.assertTrue(self.mill.answers())


class Routes(MillCase):
    def test_paths_and_methods(self):
        self.mill.start_dispatcher()
        self.expect_error(404, "not_found", "GET", "/")
        self.expect_error(404, "not_found", "GET", "/v1/nothing")
        self.expect_error(405, "invalid", "DELETE", "/v1/jobs/1")
        for path in ("/v1/jobs/99", "/v1/jobs/99/wait", "/v1/jobs/99/output", "/v1/jobs/99/shards"):
            self.expect_error(404, "not_found", "GET", path)
        for verb in ("cancel", "pause", "resume", "retry"):
            self.expect_error(404, "not_found", "POST", "/v1/jobs/99/" + verb)
        for path in ("/v1/jobs/x", "/v1/jobs/0", "/v1/jobs/-1", "/v1/jobs/99999999999999999999",
                     "/v1/jobs?limit=0", "/v1/jobs?state=sleeping", "/v1/jobs?cursor=x"):
            self.expect_error(400, "invalid", "GET", path)
        self.expect_error(400, "invalid", "POST", "/v1/workers/xyz/drain")
        self.mill.submit(ECHO)
        self.expect_error(400, "invalid", "GET", "/v1/jobs/1/wait?timeout=soon")
        self.expect_error(409, "exists", "GET", "/v1/jobs/1/output")
        self.expect_error(400, "invalid", "POST", "/v1/jobs/1/cancel", {"reason": "x"})

    def test_lists_go_in_pages(self):
        self.mill.start_dispatcher()
        for n in range(25):
            self.mill.submit(ECHO, name="odd" if n % 2 else "even")
        seen, cursor = [], ""
        while True:
            page = self.mill.api("GET", "/v1/jobs?limit=10" + cursor)
            seen += [j["id"] for j in page["jobs"]]
            if page["next"] is None:
                break
            cursor = "&cursor=%d" % page["next"]
        self.assertEqual(seen, list(range(25, 0, -1)))
        self.assertEqual(len(self.jobs("?name=odd")), 12)
        self.assertEqual(len(self.jobs("?state=queued,failed")), 25)
        self.assertEqual(len(self.jobs("?state=succeeded")), 0)

    def test_cancel_pause_resume(self):
        self.mill.start_dispatcher()
        job = self.mill.submit(ECHO)
        paused = self.mill.api("POST", "/v1/jobs/%d/pause" % job, {"why": "lunch"})
        self.assertEqual((paused["paused"], paused["why"]), (True, "lunch"))
        self.assertFalse(self.mill.api("POST", "/v1/jobs/%d/resume" % job)["paused"])
        ended = self.mill.api("POST", "/v1/jobs/%d/cancel" % job, {"why": "enough"})
        self.assertEqual((ended["state"], ended["why"]), ("cancelled", "enough"))
        self.assertEqual(self.mill.wait(job)["state"], "cancelled")
        self.assertEqual([j["id"] for j in self.jobs("?state=cancelled")], [job])


class Process(MillCase):
    def test_a_second_dispatcher_on_the_same_state_is_refused(self):
        first = self.mill.start_dispatcher()
        second = self.mill.start("shardmill-dispatcher", {
            "state_dir": self.mill.state, "api_socket": self.path("other.sock"),
            "listen": "tcp://127.0.0.1:%d" % free_port()})
        self.assertEqual(second.wait(20), 1)
        with open(second.log) as f:
            self.assertIn(str(first.pid), f.read())
        self.assertTrue(self.mill.answers())

    def test_missing_state_is_not_taken_for_empty_state(self):
        p = self.mill.start("shardmill-dispatcher", {"state_dir": self.path("nowhere"),
                                                     "api_socket": self.path("other.sock")})
        self.assertEqual(p.wait(20), 1)

    def test_sigterm_ends_it_in_order(self):
        self.mill.start_dispatcher()
        self.mill.submit(ECHO)
        p = self.mill.dispatcher
        p.terminate()
        self.assertEqual(p.wait(20), 0)
        self.assertFalse(os.path.exists(self.mill.socket))
        self.mill.start_dispatcher()
        self.assertEqual(len(self.jobs()), 1)

    def stop_while_the_journal_hangs(self):
        """The journal's thread is in its sync when SIGTERM comes, and beyond the 10 s that the end waits for it.
        False: the loop's thread committed by itself, and heard of no signal."""
        armed = self.path("armed")
        env = dict(os.environ, LD_PRELOAD=os.path.join(os.path.abspath(case.BUILD), "tests", "fault", "fault-shim.so"),
                   SHARDMILL_FAULT="shardmill-dispatcher:fdatasync:0:1:1", SHARDMILL_FAULT_ARMED=armed,
                   MALLOC_PERTURB_="165")
        p = self.mill.start_dispatcher(env=env, rules_dir=self.path("rules"), journal_segment="16MiB")
        until(lambda: self.lsn("history_lsn") == self.lsn("last_lsn"))
        until(lambda: len(os.listdir(os.path.join(self.mill.state, "journal"))) > 1)
        self.until_steadily(lambda: self.all_sleep(p))  # also the thread that prepares segments
        gate = open(self.write("armed.new", bytes(8)))  # the sync waits at a lock on it
        fcntl.flock(gate, fcntl.LOCK_EX)
        os.rename(gate.name, armed)
        # More than the loop puts into one commit: the journal's thread gets the first.
        events = [{"id": "e-%d-%d" % (p.pid, n), "source": "test", "detail-type": "Thing",
                   "time": "2026-01-01T00:00:00Z", "resources": [], "detail": {"x": "x" * 700000}} for n in range(4)]
        threading.Thread(target=self.send_in_vain, args=(events,), daemon=True).start()
        until(lambda: read(armed) != "\0" * 8)
        p.terminate()
        try:
            until(lambda: "stopping" in read(p.log), 5)
            # It waits for the journal's thread now, by a lock, and not by poll.
            self.until_steadily(lambda: self.waits_for_a_lock(p), 30)
            return True
        except AssertionError:
            return False
        finally:
            os.unlink(armed)
            gate.close()
            self.assertEqual(p.wait(60), 0)

    @staticmethod
    def until_steadily(what, *seconds):
        """Ten times, one after the other."""
        row = []

        def again():
            row.append(what())
            return len(row) >= 10 and all(row[-10:])

        until(again, *seconds, every=0.01)

    @staticmethod
    def all_sleep(p):
        return all(read("/proc/%d/task/%s/stat" % (p.pid, task)).rpartition(")")[2].split()[0] == "S"
                   for task in os.listdir("/proc/%d/task" % p.pid))

    @staticmethod
    def waits_for_a_lock(p):
        return read("/proc/%d/syscall" % p.pid).split()[0] == str(SYS_FUTEX)

    def send_in_vain(self, events):
        try:
            self.mill.api("POST", "/v1/events", events)
        except (ApiError, OSError, http.client.HTTPException):
            pass

    def lsn(self, which):
        return self.mill.api("GET", "/v1/status")["journal"][which]

    @unittest.skipIf(os.uname().machine != "x86_64", "the numbers of system calls")
    def test_sigterm_while_the_disk_of_the_journal_hangs(self):
        if os.environ.get("MILL_BUILD") == "asan":
            self.skip("a disk that hangs: a preloaded library must come before the sanitizer's")
        self.make_dir("rules")
        self.write("rules/thing.yaml", "version: 1\nname: thing\non: [{pattern: {source: [test]}}]\n"
                                       "run: {exec: ['true']}\n")
        for _ in range(5):
            if self.stop_while_the_journal_hangs():
                break
        else:
            self.fail("the journal's thread never committed by itself")
        self.mill.start_dispatcher(rules_dir=self.path("rules"))
        until(lambda: self.lsn("history_lsn") == self.lsn("last_lsn"))
        self.assertGreaterEqual(len(self.jobs("?name=thing")), 4, "what the thread committed last is kept")

    def test_the_socket_is_for_its_owner_alone_and_replaced_when_stale(self):
        self.mill.start_dispatcher()
        self.assertEqual(stat.S_IMODE(os.stat(self.mill.socket).st_mode), 0o600)
        self.mill.kill(self.mill.dispatcher)
        self.assertTrue(os.path.exists(self.mill.socket))
        self.mill.start_dispatcher()
        self.assertTrue(self.mill.answers())

    def test_tcp_asks_for_the_token(self):
        port = free_port()
        self.mill.start_dispatcher(api_listen="127.0.0.1:%d" % port)
        with open(os.path.join(self.mill.state, "keys", "api-token")) as f:
            token = f.read()
        self.assertEqual(stat.S_IMODE(os.stat(f.name).st_mode), 0o600)
        for header, status in ((None, 401), ("Bearer " + "0" * 64, 401), ("Bearer " + token, 200)):
            c = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            c.request("GET", "/v1/status", headers={"Authorization": header} if header else {})
            self.assertEqual(c.getresponse().status, status)
            c.close()

    def test_it_lives_on_whatever_comes_in(self):
        self.mill.start_dispatcher()
        for junk in (b"\0" * 1000, b"GET / HTTP/9.9\r\n\r\n", b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
                     b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999999\r\n\r\n",
                     b"GET /v1/jobs/" + b"9" * 60000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", b"POST /v1/events HTTP/1.1\r\n"):
            s = socket.socket(socket.AF_UNIX)
            s.settimeout(5)
            s.connect(self.mill.socket)
            try:
                s.sendall(junk)
                s.shutdown(socket.SHUT_WR)
                s.recv(65536)
            except OSError:
                pass
            s.close()
        deep = "[" * 10000 + "]" * 10000
        self.expect_error(400, "limit", "POST", "/v1/events", deep)
        with socket.socket() as s:  # the workers' port, with something that is not ZMTP
            s.connect(("127.0.0.1", self.mill.port))
            s.sendall(b"\xff" * 4096)
        waiting = []
        for _ in range(30):  # who waits and goes away
            c = socket.socket(socket.AF_UNIX)
            c.connect(self.mill.socket)
            c.sendall(b"GET /v1/jobs/1/wait?timeout=1s HTTP/1.1\r\nHost: x\r\n\r\n")
            waiting.append(c)
        self.mill.submit(ECHO)
        for c in waiting:
            c.close()
        self.assertTrue(self.mill.answers())
        self.assertIsNone(self.mill.dispatcher.poll())


@unittest.skipIf(os.geteuid() != 0, "only root may mount a file system")
class FullDisk(MillCase):
    """The state directory's disk is of 80 MiB, and the journal's segments of 16."""

    def setUp(self):
        super().setUp()
        self.small_disk(self.mill.state, "80m")
        self.params = {"journal_segment": "16MiB"}

    def test_what_has_no_room_is_refused_and_what_was_accepted_is_kept(self):
        self.mill.start_dispatcher(**self.params)
        fill = self.fill_disk(self.mill.state)
        ids, e = self.submit_until_full()
        self.assertEqual((e.status, e.headers["Retry-After"].isdigit()), (503, True), e)
        self.assertIn("No space left on device", e.error["message"])
        with self.assertRaises(ApiError) as event:
            self.mill.api("POST", "/v1/events", [])
        self.assertEqual((event.exception.status, event.exception.headers["Retry-After"].isdigit()), (503, True))
        self.assertTrue(self.mill.answers(), "it lives on")
        os.unlink(fill)
        until(self.has_room, 20)
        self.mill.kill(self.mill.dispatcher)
        self.mill.start_dispatcher(**self.params)
        self.assertEqual(self.mill.job(ids[0])["state"], "active")
        self.assertEqual(self.mill.job(ids[-1])["state"], "active")

    def has_room(self):
        """a job is accepted again"""
        try:
            return self.mill.submit(ECHO)
        except ApiError:
            return None

    def test_a_start_without_room_says_so(self):
        subprocess.run(["mount", "-o", "remount,size=4m", self.mill.state], check=True)
        p = self.mill.start_dispatcher(wait=False, **self.params)
        self.assertEqual(p.wait(20), 1)
        with open(p.log) as f:
            self.assertIn("No space left on device", f.read())


if __name__ == "__main__":
    main()
