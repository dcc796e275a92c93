#!/usr/bin/env python3
"""Events become jobs: over HTTP, from a watched directory, from ends of jobs; each once, also over kill -9."""
import http.client
import itertools
import json
import os
import random
import subprocess
import threading
import time

from case import RULE, ROOT, FAST, ApiError, MillCase, main, until

EVENTS = os.path.join(ROOT, "tests", "data", "events")
FILE_RULE = """version: 1
name: %s
on:
  - pattern:
      source: [shardmill.bucket]
      detail: {object: {key: [{suffix: "%s"}]}}
run: {exec: [echo, "{{event.detail.object.key}}"]}
"""


def event_of(number, **more):
    event = {"id": "e-%d" % number, "source": "test", "detail-type": "Thing", "time": "2026-01-01T00:00:00Z",
             "resources": [], "detail": {"n": number}}
    event.update(more)
    return event


class Http(MillCase):
    def start(self, **params):
        self.rules = self.make_dir("rules")
        self.mill.start_dispatcher(rules_dir=self.rules, **params)

    def rule(self, name, source="test", kind="Thing", say="{{event.id}}"):
        self.write("rules/%s.yaml" % name, RULE % (name, source, kind, say))

    def post(self, body):
        return self.mill.api("POST", "/v1/events", body)["events"]

    def test_one_job_per_matching_rule_and_each_event_once(self):
        self.rule("one")
        self.rule("two")
        self.rule("other", kind="Else")
        self.start()
        answer = self.post(event_of(1))
        self.assertEqual((answer[0]["duplicate"], answer[0]["jobs"]), (False, [1, 2]))
        self.assertEqual((self.post(event_of(1))[0]), {"id": "e-1", "duplicate": True, "jobs": [1, 2]})
        self.assertEqual(self.post(event_of(2, source="nobody"))[0]["jobs"], [])
        batch = self.post([event_of(n) for n in range(3, 6)])
        self.assertEqual([e["jobs"] for e in batch], [[3, 4], [5, 6], [7, 8]])
        self.assertEqual(sorted(j["name"] for j in self.jobs("?limit=2")), ["one", "two"])

    def test_attributes_without_a_place_reach_the_command_and_stay_with_the_job(self):
        self.rule("one", say="{{event.extensions.traceparent}}")
        self.start()
        self.mill.start_worker()
        job = self.post({"specversion": "1.0", "type": "Thing", "source": "test", "id": "c-1", "data": {},
                         "traceparent": "00-1234-56-01", "partitionkey": "p"})[0]["jobs"][0]
        self.assertEqual(self.mill.wait(job)["state"], "succeeded")
        self.assertEqual(self.mill.output(job), b"00-1234-56-01\n")
        again = self.mill.api("POST", "/v1/jobs/%d/again" % job)["id"]
        self.mill.wait(again)
        self.assertEqual(self.mill.output(again), b"00-1234-56-01\n", "history has the whole event")

    def test_what_was_answered_yes_outlives_kill_9(self):
        self.rule("one")
        self.start()
        sent = {n: self.post(event_of(n))[0]["jobs"] for n in range(20)}
        self.mill.kill(self.mill.dispatcher)
        self.mill.start_dispatcher(rules_dir=self.rules)
        for n, jobs in sent.items():
            self.assertEqual(self.post(event_of(n))[0], {"id": "e-%d" % n, "duplicate": True, "jobs": jobs})
        self.assertEqual(len(self.jobs()), 20)

    def test_payloads_of_real_producers(self):
        self.rule("s3", source="aws.s3", kind="Object Created", say="{{event.object}}")
        self.start()
        no_s3 = {"sns-event.json", "sqs-event.json"}  # envelopes around something else
        bodies = {}
        for name in os.listdir(EVENTS):
            with open(os.path.join(EVENTS, name), "rb") as f:
                bodies[name] = f.read()
        for name in no_s3:
            self.expect_error(400, "invalid", "POST", "/v1/events", bodies.pop(name))
        jobs = {name: self.post(body) for name, body in bodies.items()}
        self.assertEqual(jobs["aws-s3-test-event.json"], [])
        for name in ("s3-event.json", "minio-webhook.json", "ceph-rgw.json", "eventbridge-object-created.json"):
            self.assertEqual(len(jobs[name][0]["jobs"]), 1, name)
        self.assertEqual(jobs["eventbridge-object-deleted.json"][0]["jobs"], [])
        before = len(self.jobs("?limit=1000"))
        for name, body in bodies.items():
            self.assertTrue(all(e["duplicate"] or not e["jobs"] for e in self.post(body)), name)
        self.assertEqual(len(self.jobs("?limit=1000")), before)

    def test_cloudevents(self):
        self.rule("ce", source="/my/context", kind="com.example.someevent", say="{{event.detail.x}}")
        self.start()
        body = {"specversion": "1.0", "id": "A234", "source": "/my/context", "type": "com.example.someevent",
                "time": "2026-04-05T17:31:00Z", "data": {"x": 1}}
        self.assertEqual(self.post(body)[0]["jobs"], [1])
        self.assertTrue(self.post(body)[0]["duplicate"])

    def test_a_cloudevent_whose_attributes_are_headers(self):
        self.rule("ce", source="/my/context", kind="com.example.someevent", say="{{event.detail.x}}")
        self.start()
        attributes = {"ce-specversion": "1.0", "ce-id": "A%20234", "ce-source": "/my/context", "ce-type": "com.example.someevent",
                      "ce-time": "2026-04-05T17:31:00Z"}
        answer = self.mill.api("POST", "/v1/events", {"x": "binary"}, headers=attributes)["events"][0]
        self.assertEqual((answer["id"], answer["jobs"]), ("A 234", [1]))
        self.mill.start_worker()
        self.mill.wait(1)
        self.assertEqual(self.mill.output(1), b"binary\n")
        structured = {"specversion": "1.0", "id": "A 234", "source": "/my/context", "type": "com.example.someevent",
                      "time": "2026-04-05T17:31:00Z", "data": {"x": "binary"}}
        self.assertTrue(self.post(structured)[0]["duplicate"], "it is the same event in the other mode")
        del attributes["ce-id"]
        with self.assertRaises(ApiError) as e:
            self.mill.api("POST", "/v1/events", {"x": 1}, headers=attributes)
        self.assertEqual((e.exception.status, e.exception.error["where"]), (400, "ce-id"))
        self.assertIn("binary mode", e.exception.error["help"])

    def test_a_rule_whose_job_cannot_be_run_leaves_a_failed_job_and_does_not_stop_the_others(self):
        self.rule("good")
        self.rule("bad", say="{{event.detail.missing}}")
        self.rule("mourner", source="shardmill", kind="job.failed", say="{{event.detail.name}}")
        self.start()
        answer = self.post(event_of(1))[0]
        self.assertEqual(len(answer["jobs"]), 2)
        error = answer["errors"][0]
        self.assertEqual((error["rule"], error["job"] in answer["jobs"]), ("bad", True))
        self.assertIn("missing", error["error"]["message"])
        told = {r["name"]: r for r in self.mill.api("GET", "/v1/rules")["rules"]}
        self.assertIsNone(told["good"]["job_error"])
        self.assertEqual(told["bad"]["job_error"]["event"], "e-1")
        self.assertRegex(told["bad"]["job_error"]["time"], r"^20\d\d-")
        self.assertIn("missing", told["bad"]["job_error"]["message"])
        for _ in range(2):  # also after kill -9
            job = until(lambda: self.mill.job(error["job"]))
            self.assertEqual((job["state"], job["name"]), ("failed", "bad"))
            self.assertIn("e-1", job["why"])
            self.assertIn("missing", job["why"])
            mourner = until(lambda: self.jobs("?name=mourner"))
            self.assertEqual(len(mourner), 1, "its end is an event, once")
            again = self.post(event_of(1))[0]
            self.assertEqual((again["duplicate"], again["jobs"]), (True, answer["jobs"]))
            self.assertEqual(len(self.jobs()), 3)
            self.mill.kill(self.mill.dispatcher)
            self.mill.start_dispatcher(rules_dir=self.rules)

    def test_emit_and_rules_tell_of_a_job_that_cannot_be_run(self):
        self.rule("bad", say="{{event.detail.missing}}")
        self.start()
        emit = ["emit", "--source=test", "--detail-type=Thing", "--id=lame"]
        done = self.shardmill(*emit)
        self.assertEqual(done.returncode, 1, done)
        self.assertIn("rule bad: job 1 failed at once", done.stdout)
        self.assertIn("missing", done.stdout)
        self.assertEqual(self.shardmill("emit", "--source=nobody", "--detail-type=Thing").returncode, 0)
        done = self.shardmill(*emit, "--output=json")
        self.assertEqual((done.returncode, json.loads(done.stdout)["events"][0]["jobs"]), (1, [1]))
        self.assertIn("lame", self.shardmill("rules").stdout)
        self.assertIn("missing", self.shardmill("show", "1").stdout)

    def shardmill(self, *args):
        return subprocess.run([self.mill.program("shardmill"), *args, "--api-socket=" + self.mill.socket],
                              capture_output=True, text=True, timeout=60)

    def test_an_event_that_starts_too_much_for_one_commit_is_refused_for_good(self):
        for n in range(120):
            self.rule("rule-%d" % n, say="{{event.detail.text}}")
        self.start()
        e = self.expect_error(400, "limit", "POST", "/v1/events", event_of(1, detail={"text": "x" * 100000}))
        self.assertIn("e-1", e["where"])
        self.assertIn("rules that it matches", e["help"])
        self.assertEqual(len(self.post(event_of(2, detail={"text": "x" * 1000}))[0]["jobs"]), 120)
        self.assertEqual(len(self.jobs("?limit=1000")), 120)

    def test_wrong_events_are_refused_in_words(self):
        self.rule("one")
        self.start()
        for body in ("", "{", "[]]", "7", {"id": "x"}, dict(event_of(1), detail=7), {"Records": [{"s3": {}}]},
                     [{"id": "broken"}, 7]):
            with self.subTest(body=body):
                self.expect_error(400, "invalid", "POST", "/v1/events", body)
        self.assertEqual(self.jobs(), [])
        self.assertEqual(self.post([]), [])

    def test_records_that_are_no_events_hinder_no_others(self):
        self.rule("one")
        self.start()
        body = [event_of(1), {"source": "test"}, event_of(2), "x"]
        answer = self.mill.api("POST", "/v1/events", body)
        self.assertEqual([e["jobs"] for e in answer["events"]], [[1], [2]])
        self.assertEqual(answer["not_understood_count"], 2)
        self.assertEqual([e["error"]["where"][:3] for e in answer["not_understood"]], ["[1]", "[3]"])
        self.assertTrue(all(e["error"]["message"] for e in answer["not_understood"]))
        self.expect_error(400, "invalid", "POST", "/v1/events", body[1::2])
        emit = subprocess.run([self.mill.program("shardmill"), "emit", "--api-socket=" + self.mill.socket, "-"],
                              input=json.dumps(body), capture_output=True, text=True, check=False)
        self.assertEqual(emit.returncode, 1, emit)
        self.assertIn("was known already", emit.stdout)
        self.assertIn("not understood: [1]", emit.stdout)
        self.assertIn("not understood: [3]", emit.stdout)

    def test_rules_come_change_and_break_while_it_runs(self):
        self.start()
        self.assertEqual(self.post(event_of(1))[0]["jobs"], [])
        self.rule("late")
        until(lambda: self.mill.api("GET", "/v1/rules")["rules"], 20)
        self.assertEqual(self.post(event_of(2))[0]["jobs"], [1])
        self.write("rules/late.yaml", "version: 1\nname: late\nrun: {exec: [\n")
        until(lambda: self.mill.api("GET", "/v1/rules")["rules"][0]["error"], 20)
        error = self.mill.api("GET", "/v1/rules")["rules"][0]["error"]
        self.assertTrue(error["where"].startswith("late.yaml:"), error)
        self.assertEqual(self.post(event_of(3))[0]["jobs"], [2], "the last good version stays")
        os.unlink(self.path("rules/late.yaml"))
        until(lambda: not self.mill.api("GET", "/v1/rules")["rules"], 20)
        self.assertEqual(self.post(event_of(4))[0]["jobs"], [])


class Bucket(MillCase):
    def start(self, suffix=".txt", **params):
        self.make_dir("rules")
        self.make_dir("bucket")
        self.write("rules/files.yaml", FILE_RULE % ("files", suffix))
        self.params = dict(rules_dir=self.path("rules"), bucket=self.path("bucket"), bucket_rescan="200ms", **params)
        self.mill.start_dispatcher(**self.params)

    def until_jobs(self, count):
        return until(lambda: len(self.jobs("?limit=1000")) >= count and self.jobs("?limit=1000"), 20)

    def test_files_that_are_closed_or_moved_in(self):
        self.start()
        with open(self.path("bucket", "slow.txt"), "w") as slow:
            slow.write("x")
            slow.flush()
            self.write("bucket/a.txt", "1")
            for name in (".hidden.txt", "b.txt.tmp", "c.txt.part", "other.csv"):
                self.write("bucket/" + name, "1")
            self.write("elsewhere.txt", "2")
            os.rename(self.path("elsewhere.txt"), self.path("bucket", "moved.txt"))
            self.write("bucket/deep/er/d.txt", "3")
            self.write("folder/in.txt", "4")
            os.rename(self.path("folder"), self.path("bucket", "folder"))
            self.until_jobs(4)
            self.assertEqual(len(self.jobs()), 4, "slow.txt is not closed yet")
        self.until_jobs(5)
        self.assertEqual(len(self.jobs()), 5)

    def test_each_file_once_over_restarts_and_rescans(self):
        self.make_dir("bucket")
        for n in range(30):
            self.write("bucket/before-%d.txt" % n, str(n))
        self.start()
        self.until_jobs(30)
        self.mill.kill(self.mill.dispatcher)
        for n in range(10):
            self.write("bucket/down-%d.txt" % n, str(n))
        self.mill.start_dispatcher(**self.params)
        self.until_jobs(40)
        scans = self.mill.api("GET", "/v1/status")["journal"]["last_lsn"]
        self.write("bucket/last.txt", "1")
        self.until_jobs(41)
        self.mill.dispatcher.terminate()
        self.assertEqual(self.mill.dispatcher.wait(20), 0)
        self.mill.start_dispatcher(**self.params)
        self.write("bucket/after.txt", "1")
        self.until_jobs(42)
        self.assertEqual(len(self.jobs("?limit=1000")), 42, scans)

    def test_a_file_that_is_written_anew_is_a_new_event(self):
        self.start()
        self.write("bucket/a.txt", "1")
        self.until_jobs(1)
        self.write("bucket/a.txt", "22")
        self.until_jobs(2)

    def test_names_that_nobody_would_choose(self):
        self.start()
        folder = os.fsencode(self.path("bucket"))
        names = [b"$(reboot).txt", b"-rf.txt", b"a b\n'\"c.txt", b"\xff\xfe.txt", "\u202egpj.txt".encode(), b"%41+.txt"]
        for name in names:
            with open(os.path.join(folder, name), "w") as f:
                f.write("x")
        self.until_jobs(len(names))
        self.mill.start_worker()
        for job in self.jobs():
            self.assertEqual(self.mill.wait(job["id"])["state"], "succeeded")
        got = {self.mill.output(j["id"]) for j in self.jobs()}
        self.assertEqual(got, {name + b"\n" for name in names})

    def test_a_file_of_which_nothing_can_be_run_is_a_failed_job_once(self):
        self.make_dir("rules")
        self.make_dir("bucket")
        self.write("rules/lame.yaml", """version: 1
name: lame
on: [{pattern: {source: [shardmill.bucket]}}]
run: {exec: [echo, "{{event.detail.nothing}}"]}
""")
        params = dict(rules_dir=self.path("rules"), bucket=self.path("bucket"), bucket_rescan="200ms")
        self.mill.start_dispatcher(**params)
        self.write("bucket/a.txt", "1")
        job = until(lambda: self.jobs("?state=failed"), 20)[0]
        self.assertIn("nothing", job["why"])
        self.mill.kill(self.mill.dispatcher)
        self.mill.start_dispatcher(**params)
        self.write("bucket/b.txt", "1")
        until(lambda: len(self.jobs()) > 1, 20)
        self.assertEqual([j["state"] for j in self.jobs()], ["failed", "failed"])

    def test_a_bucket_that_is_not_there_is_told(self):
        p = self.mill.start_dispatcher(wait=False, bucket=self.path("nowhere"))
        self.assertEqual(p.wait(20), 1)
        with open(p.log) as f:
            self.assertIn("nowhere", f.read())


class Chain(MillCase):
    def test_the_end_of_a_job_starts_another_once_also_over_kill_9(self):
        self.make_dir("rules")
        self.write("rules/next.yaml", """version: 1
name: next
on:
  - pattern:
      source: [shardmill]
      detail-type: [job.succeeded]
      detail: {name: [first]}
run: {exec: [echo, "after {{event.detail.job}}"]}
""")
        self.mill.start_dispatcher(rules_dir=self.path("rules"), **FAST)
        self.mill.start_worker(heartbeat="100ms")
        job = self.mill.submit("version: 1\nname: first\nrun: {exec: [echo, one]}\n")
        self.assertEqual(self.mill.wait(job)["state"], "succeeded")
        follower = until(lambda: self.jobs("?name=next"), 20)[0]["id"]
        self.mill.wait(follower)
        self.assertEqual(self.mill.output(follower), b"after %d\n" % job)
        self.mill.kill(self.mill.dispatcher)
        self.mill.start_dispatcher(rules_dir=self.path("rules"), **FAST)
        self.assertEqual(len(self.jobs("?name=next")), 1)


    def test_every_end_starts_its_follower_once_however_often_the_dispatcher_is_killed(self):
        """Jobs succeed and fail; the dispatcher is killed around their ends, before the followers' starts."""
        for state, kind in (("well", "job.succeeded"), ("ill", "job.failed")):
            self.write("rules/%s.yaml" % state, """version: 1
name: after-%s
on:
  - pattern:
      source: [shardmill]
      detail-type: [%s]
      detail: {name: [{prefix: first-}]}
run: {exec: [echo, "{{event.detail.job}} {{event.detail.state}}"]}
""" % (state, kind))
        quick = os.environ.get("MILL_TEST") == "quick"
        rounds, seed = 4 if quick else 10, random.SystemRandom().randrange(1 << 32)
        print("ends under fire: seed %d" % seed, flush=True)
        rng, params, first = random.Random(seed), dict(rules_dir=self.path("rules"), **FAST), {}
        self.mill.start_dispatcher(**params)
        self.mill.start_worker(heartbeat="100ms")
        for n in range(rounds):
            ids = []
            for m in range(6):
                state = "failed" if m % 2 else "succeeded"
                ids.append(self.mill.submit("version: 1\nname: first-%d-%d\nrun: {exec: [%s]}\nretry: {attempts: 1}\n"
                                            % (n, m, "'false'" if m % 2 else "'true'")))
                first[ids[-1]] = state
            if n % 2 == 0:  # as soon as one has ended: others end, and follow, just then
                self.mill.wait(ids[rng.randrange(len(ids))])
            time.sleep(rng.uniform(0, 0.05))
            self.mill.kill(self.mill.dispatcher)
            self.mill.start_dispatcher(**params)
        for job, state in first.items():
            self.assertEqual(self.mill.wait(job)["state"], state)
        followers = lambda: self.jobs("?limit=1000&name=after-well") + self.jobs("?limit=1000&name=after-ill")
        until(lambda: len(followers()) >= len(first))
        said = sorted(self.say_of(j["id"]) for j in followers())
        self.assertEqual(said, sorted("%d %s\n" % item for item in first.items()))
        self.mill.kill(self.mill.dispatcher)
        self.mill.start_dispatcher(**params)
        self.mill.submit("version: 1\nname: last\nrun: {exec: ['true']}\n")
        self.assertEqual(len(followers()), len(first))

    def say_of(self, job):
        self.assertEqual(self.mill.wait(job)["state"], "succeeded")
        return self.mill.output(job).decode()


class UnderFire(MillCase):
    def test_each_event_makes_one_job_whatever_is_killed_while_it_is_sent(self):
        """Senders send until they get 2xx, files land, and the dispatcher is killed again and again."""
        quick = os.environ.get("MILL_TEST") == "quick"
        kills, seed = 4 if quick else 12, random.SystemRandom().randrange(1 << 32)
        print("events under fire: seed %d" % seed, flush=True)
        rng = random.Random(seed)
        self.write("rules/sent.yaml", RULE % ("sent", "test", "Thing", "{{event.id}}"))
        self.write("rules/files.yaml", FILE_RULE % ("files", ".txt"))
        params = dict(rules_dir=self.path("rules"), bucket=self.make_dir("bucket"), bucket_rescan="200ms")
        self.mill.start_dispatcher(**params)
        stop, broken, answers, files, wrong = threading.Event(), threading.Event(), {}, [], []

        def send(first):
            for n in itertools.count(first, 4):
                while n not in answers and not broken.is_set():
                    try:
                        answers[n] = self.mill.api("POST", "/v1/events", event_of(n))["events"][0]["jobs"]
                    except (OSError, http.client.HTTPException):
                        time.sleep(0.005)  # it is away, or went away before its answer
                    except ApiError as e:
                        if e.status not in (429, 503):
                            wrong.append(e)
                            return
                if stop.is_set():
                    return

        def drop():
            while not stop.is_set():
                name = "%d.txt" % len(files)
                self.write("bucket/" + name, name)
                files.append(name)
                time.sleep(0.01)

        threads = [threading.Thread(target=send, args=(n,)) for n in range(4)] + [threading.Thread(target=drop)]
        for t in threads:
            t.start()
        try:
            for _ in range(kills):
                before = len(answers)
                until(lambda: len(answers) > before or wrong)
                time.sleep(rng.uniform(0, 0.1))
                self.mill.kill(self.mill.dispatcher)
                self.mill.start_dispatcher(**params)
        except BaseException:
            broken.set()
            raise
        finally:
            stop.set()
            for t in threads:
                t.join()
        self.assertEqual(wrong, [])
        until(lambda: self.count("files") >= len(files))
        jobs = self.all_jobs("sent")
        print("events under fire: %d kills, %d events, %d files" % (kills, len(answers), len(files)), flush=True)
        self.assertTrue(all(len(j) == 1 for j in answers.values()))
        self.assertEqual(sorted(jobs), sorted(j[0] for j in answers.values()), "each 2xx is one job, and no other is there")
        self.assertEqual(self.count("files"), len(files))

    def all_jobs(self, name):
        ids, cursor = [], ""
        while True:
            page = self.mill.api("GET", "/v1/jobs?limit=1000&name=%s%s" % (name, cursor))
            ids += [j["id"] for j in page["jobs"]]
            if page["next"] is None:
                return ids
            cursor = "&cursor=%d" % page["next"]

    def count(self, name):
        return len(self.all_jobs(name))


if __name__ == "__main__":
    main()
