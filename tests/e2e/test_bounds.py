#!/usr/bin/env python3
"""A dispatcher with room for few jobs: what comes beyond is told to come again, and nothing of it is lost or
taken twice."""
import http.client
import json
import os
import random
import re
import socket
import subprocess
import threading
import time

from case import ECHO, FAST, RULE, ApiError, MillCase, main, until

BOUND = 5


def event_of(number, **more):
    return dict({"id": "e-%d" % number, "source": "test", "detail-type": "Thing", "detail": {"n": number}}, **more)


class Full(MillCase):
    def setUp(self):
        super().setUp()
        self.write("rules/one.yaml", RULE % ("one", "test", "Thing", "{{event.id}}"))
        self.params = dict(rules_dir=self.path("rules"), jobs_max=BOUND, **FAST)
        self.mill.start_dispatcher(**self.params)

    def fill(self):
        return [self.mill.submit(ECHO, name="fill") for _ in range(BOUND)]

    def expect_full(self, path, body):
        with self.assertRaises(ApiError) as caught:
            self.mill.api("POST", path, body)
        e = caught.exception
        self.assertEqual((e.status, e.error["code"]), (429, "busy"), e.body)
        self.assertTrue(e.headers["Retry-After"].isdigit(), e.headers)
        self.assertIn("at most %d" % BOUND, e.error["message"])
        self.assertIn("--jobs-max", e.error["help"])

    def test_429_until_there_is_room_then_taken_once(self):
        ids = self.fill()
        self.expect_full("/v1/jobs", {"definition": ECHO, "id": "late"})
        self.expect_full("/v1/events", event_of(1))
        self.expect_full("/v1/events", [event_of(1), event_of(2, source="nobody")])
        self.mill.kill(self.mill.dispatcher)
        self.mill.start_dispatcher(**self.params)
        self.expect_full("/v1/events", event_of(1))
        for job in ids[:2]:
            self.mill.api("POST", "/v1/jobs/%d/cancel" % job)
        late = self.mill.api("POST", "/v1/jobs", {"definition": ECHO, "id": "late"})
        event = self.mill.api("POST", "/v1/events", event_of(1))["events"][0]
        self.assertEqual((late["duplicate"], event["duplicate"], len(event["jobs"])), (False, False, 1))
        self.expect_full("/v1/events", event_of(2))
        # What was taken is answered, also when the house is full.
        again = self.mill.api("POST", "/v1/events", event_of(1))["events"][0]
        self.assertEqual((again["duplicate"], again["jobs"]), (True, event["jobs"]))
        self.assertEqual(self.mill.submit(ECHO, id="late"), late["id"])
        self.assertEqual(len(self.jobs()), BOUND + 2)

    def test_a_body_of_which_a_part_was_taken_is_sent_again_whole(self):
        body = [event_of(n) for n in range(BOUND + 3)]
        self.expect_full("/v1/events", body)
        taken = self.jobs()
        self.assertEqual(len(taken), BOUND)
        for job in taken[:3]:
            self.mill.api("POST", "/v1/jobs/%d/cancel" % job["id"])
        answer = self.mill.api("POST", "/v1/events", body)["events"]
        self.assertEqual([e["duplicate"] for e in answer], [True] * BOUND + [False] * 3)
        self.assertEqual(len(self.jobs()), BOUND + 3)

    def test_more_jobs_than_may_ever_live_is_final(self):
        for n in range(BOUND):
            self.write("rules/more-%d.yaml" % n, RULE % ("more-%d" % n, "test", "Thing", "{{event.id}}"))
        until(lambda: len(self.mill.api("GET", "/v1/rules")["rules"]) == BOUND + 1)
        e = self.expect_error(400, "limit", "POST", "/v1/events", event_of(1))
        self.assertIn("at most %d" % BOUND, e["message"])
        # An event that can be mended by no repetition says so, though another of the body could be taken later.
        self.fill()
        self.write("rules/other.yaml", RULE % ("other", "other", "Thing", "{{event.id}}"))
        until(lambda: len(self.mill.api("GET", "/v1/rules")["rules"]) == BOUND + 2)
        e = self.expect_error(400, "limit", "POST", "/v1/events", [event_of(2, source="other"), event_of(1)])
        self.assertEqual(e["where"], "event e-1")
        self.assertIn("never", e["help"])

    def test_the_command_waits_for_room(self):
        ids = self.fill()
        commands = [["submit", "--", "echo", "late"], ["emit", "--source=test", "--detail-type=Thing", "--id=x"]]
        started = [subprocess.Popen([self.mill.program("shardmill"), c[0], "--api-socket=" + self.mill.socket] + c[1:],
                                    stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for c in commands]
        self.mill.started += started
        until(lambda: self.refusals() >= 2)
        for job in ids[:2]:
            self.mill.api("POST", "/v1/jobs/%d/cancel" % job)
        for p in started:
            out, err = p.communicate(timeout=30)
            self.assertEqual(p.returncode, 0, (out, err))
        self.assertEqual(len(self.jobs()), BOUND + 2)

    def refusals(self):
        """the dispatcher's log tells of two refusals"""
        with open(self.mill.dispatcher.log) as f:
            return f.read().count("at most %d are allowed" % BOUND)

    def test_files_wait_for_room(self):
        self.write("rules/files.yaml", RULE % ("file", "shardmill.bucket", "Object Created", "{{event.id}}"))
        self.mill.kill(self.mill.dispatcher)
        self.params.update(bucket=self.make_dir("bucket"), bucket_rescan="200ms")
        self.mill.start_dispatcher(**self.params)
        for n in range(3 * BOUND):
            self.write("bucket/%d.txt" % n, "x")
        until(lambda: len(self.jobs()) == BOUND)
        self.mill.start_worker(heartbeat="100ms")
        until(lambda: len(self.jobs("?state=succeeded")) == 3 * BOUND)
        self.assertEqual(len(self.jobs()), 3 * BOUND)

    def test_a_storm_of_events_ends_up_as_one_job_each(self):
        """Senders send till they get 2xx while the house is full again and again, and is killed once."""
        quick = os.environ.get("MILL_TEST") == "quick"
        count, answers, refused, wrong = 60 if quick else 200, {}, [], []
        self.mill.start_worker(heartbeat="100ms")

        def send(first):
            rng = random.Random(first)
            for n in range(first, count, 8):
                while n not in answers:
                    try:
                        answers[n] = self.mill.api("POST", "/v1/events", event_of(n))["events"][0]["jobs"]
                    except (OSError, http.client.HTTPException):
                        time.sleep(0.005)
                    except ApiError as e:
                        refused.append(e.status)
                        if e.status not in (429, 503) or not e.headers["Retry-After"]:
                            wrong.append(e)
                            return
                        time.sleep(rng.uniform(0, 0.02))

        threads = [threading.Thread(target=send, args=(n,)) for n in range(8)]
        for t in threads:
            t.start()
        until(lambda: len(answers) > count // 3 or wrong)
        self.mill.kill(self.mill.dispatcher)
        self.mill.start_dispatcher(**self.params)
        for t in threads:
            t.join()
        self.assertEqual(wrong, [])
        self.assertIn(429, refused, "the house was never full")
        until(lambda: len(self.jobs("?limit=1000&state=succeeded")) >= count)
        jobs = self.jobs("?limit=1000&name=one")
        self.assertEqual(sorted(j["id"] for j in jobs), sorted(j[0] for j in answers.values()))
        self.assertEqual(len(jobs), count)
        said = sorted(self.mill.output(j["id"]).decode() for j in jobs)
        self.assertEqual(said, sorted("e-%d\n" % n for n in range(count)))

    def test_a_bound_that_is_none_is_refused(self):
        for wrong in ("0", "67108865", "many"):
            p = self.mill.start("shardmill-dispatcher", {"state_dir": self.path("other"), "jobs_max": wrong})
            self.assertNotEqual(p.wait(20), 0)
            with open(p.log) as f:
                self.assertIn("jobs", f.read())


class Bodies(MillCase):
    """The bodies of all requests together: 256 MiB."""
    BYTES_MAX = 256 << 20

    def memory(self):
        with open("/proc/%d/status" % self.mill.dispatcher.pid) as f:
            return int(re.search(r"RssAnon:\s+(\d+) kB", f.read()).group(1)) << 10

    def test_those_that_never_end_cost_what_is_counted(self):
        part = b" " * (3900 << 10)
        held = []
        # What the address sanitizer keeps of freed memory is not the dispatcher's.
        env = dict(os.environ, ASAN_OPTIONS=os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=16")
        self.mill.start_dispatcher(env=env, **FAST)
        before = self.memory()
        try:
            for _ in range(100):
                s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                held.append(s)
                s.settimeout(60)
                s.connect(self.mill.socket)
                s.sendall(b"POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                          b"Content-Length: %d\r\n\r\n" % (4 << 20) + part)
            grown = self.memory() - before
            self.assertLess(grown, self.BYTES_MAX * 1.5)
            self.assertGreater(grown, self.BYTES_MAX / 1.5)
            self.expect_error(503, "busy", "POST", "/v1/events", event_of(1))
        finally:
            for s in held:
                s.close()
        until(lambda: self.memory() - before < self.BYTES_MAX / 4)
        self.assertEqual(self.mill.api("POST", "/v1/events", event_of(1))["events"][0]["duplicate"], False)


if __name__ == "__main__":
    main()
