#!/usr/bin/env python3
"""Queues as objects: their weights, limits and pauses by the command, the API and a file, over restarts; whom they refuse,
and what `explain` says of those that wait."""
import json
import os
import pwd
import re

from case import FAST, ApiError, main, until
from cli_case import CliCase

RULE = """version: 1
name: made
queue: few
on: [{pattern: {source: [test]}}]
run: {exec: ["true"]}
"""
FILE = """queues:
  batch:
    weight: 4
    limits: {running: 100, cpus: 6.5, jobs: 1000, submissions: 0.5}
    owner_limits: {running: 20}
    submitters: [user:anna, token:ci]
    weights: {tenant-a: 3}
  night: {paused: true, why: by day}
"""
SET = (("weight", "4", "weight", 4), ("max-running", "100", "limits.running", 100), ("max-cpus", "6.5", "limits.cpus", 6.5),
       ("max-jobs", "1000", "limits.jobs", 1000), ("max-submissions", "0.5", "limits.submissions", 0.5),
       ("owner-max-running", "20", "owner_limits.running", 20), ("owner-max-cpus", "3", "owner_limits.cpus", 3),
       ("owner-max-jobs", "9", "owner_limits.jobs", 9), ("owner-max-submissions", "7", "owner_limits.submissions", 7),
       ("submitters", "user:anna,token:ci", "submitters", ["user:anna", "token:ci"]),
       ("key-weight", "a=b=3", "weights", [{"key": "a=b", "weight": 3}]))
REFUSED = (("weight", "0", "1"), ("weight", "10001", "10000"), ("max-running", "-1", "4294967295"), ("max-cpus", "many", "expected"),
           ("max-jobs", "x", "expected"), ("max-submissions", "1/s", "expected"), ("owner-max-running", "1.5", "expected"),
           ("owner-max-cpus", "0.0001", "expected"), ("owner-max-jobs", "", "expected"), ("owner-max-submissions", "-2", "expected"),
           ("submitters", "anna", "user:NAME or token:NAME"), ("key-weight", "a", "KEY=WEIGHT"), ("key-weight", "a=0", "1"))


def member(queue, path):
    for name in path.split("."):
        queue = queue[name]
    return queue


class Queues(CliCase):
    def queue(self, name):
        return self.mill.api("GET", "/v1/queues/" + name)

    def put(self, name, **settings):
        return self.mill.api("PUT", "/v1/queues/" + name, settings)

    def submit(self, *argv, **more):
        return self.mill.submit(command={"argv": list(argv) or ["true"], "cpus": "0.1", **more})

    def refused(self, status, code, words, queue, **more):
        with self.assertRaises(ApiError) as caught:
            self.submit(queue=queue, **more)
        e = caught.exception
        self.assertEqual((e.status, e.error["code"]), (status, code))
        self.assertIn(words, e.error["message"])
        return e

    def restart(self):
        self.mill.kill(self.mill.dispatcher)
        self.mill.start_dispatcher(**FAST)

    # ---- settings ----

    def test_each_setting_is_set_and_outlives_a_start(self):
        self.mill.start_dispatcher(**FAST)
        help_ = self.run_cli("queues", "set", "--help")[0]
        offered = set(re.findall(r"^ .*--([a-z-]+)=", help_, re.M))
        every_verb = set(re.findall(r"^ .*--([a-z-]+)=", self.run_cli("status", "--help")[0], re.M))
        self.assertEqual({option for option, *_ in SET}, offered - every_verb, "each option has a case")
        self.assertEqual({option for option, *_ in REFUSED}, offered - every_verb, "and one that is refused")
        for option, value, path, _ in SET:
            self.assertEqual(self.run_cli("queues", "set", "q", "--%s=%s" % (option, value))[0], "queue q is set\n")
        for option, value, part in REFUSED:
            _, err = self.run_cli("queues", "set", "q", "--%s=%s" % (option, value), code=2)
            self.assertIn(part, err)
        self.restart()
        for _, _, path, value in SET:
            self.assertEqual(member(self.queue("q"), path), value, path)
        self.assertIn(pwd.getpwuid(os.geteuid()).pw_name, self.queue("q")["changed_by"])
        for option, *_ in SET:
            self.run_cli("queues", "set", "q", "--%s=%s" % (option, 1 if option == "weight" else "none"))
        self.assertEqual(self.mill.api("GET", "/v1/queues")["queues"], [], "nothing but defaults is not kept")
        self.assertEqual(self.queue("q")["weight"], 1)
        self.assertIn("expected a setting", self.run_cli("queues", "set", "q", code=2)[1])
        self.assertIn("expected a queue's name", self.run_cli("queues", "set", "a/b", "--weight=2", code=2)[1])

    def test_a_file_sets_queues_as_a_whole(self):
        self.mill.start_dispatcher(**FAST)
        self.run_cli("queues", "set", "other", "--weight=2")
        self.run_cli("queues", "set", "night", "--weight=9")
        out, _ = self.run_cli("queues", "apply", self.write("queues.yaml", FILE))
        self.assertEqual(out, "queue batch is set\nqueue night is set\n")
        batch = self.queue("batch")
        self.assertEqual((batch["weight"], batch["limits"], batch["weights"]),
                         (4, {"running": 100, "cpus": 6.5, "jobs": 1000, "submissions": 0.5}, [{"key": "tenant-a", "weight": 3}]))
        self.assertEqual((self.queue("night")["weight"], self.queue("night")["why"], self.queue("other")["weight"]), (1, "by day", 2))
        out, _ = self.run_cli("queues")
        self.assertEqual(out.split("\n")[0].split(), ["QUEUE", "WEIGHT", "RUNNING", "WAITING", "JOBS", "STATE", "LIMITS"])
        self.assertIn("100 running, 6.5 cpus, 1,000 jobs, 0.5/s; each owner 20 running; 2 may submit", out)
        self.assertRegex(out, r"\nnight +1 +0 +0 +0 +paused: by day")
        self.assertEqual([q["name"] for q in json.loads(self.run_cli("queues", "--output=json")[0])["queues"]],
                         ["batch", "night", "other"])
        self.run_cli("queues", "apply", "-", stdin=b"queues: {batch: {}, night: {}, other: {}}")
        self.assertEqual(self.run_cli("queues")[0], "")

    def test_a_file_with_a_fault_changes_nothing_and_says_where(self):
        self.mill.start_dispatcher(**FAST)
        for text, place, words in (
                ("queues:\n  a: {weight: 2}\n  b: {limits: {runing: 3}}\n", "3:16", "there is no such member"),
                ("queues: {a: {weight: 2, wait: 3}}", "1:25", "there is no such member"),
                ("queues: {a: {weight: many}}", "1:14", "expected a number from 0 to 10000, found a string"),
                ("queues: {a: {weights: {k: 0}}}", "1:27", "expected a weight from 1 to 10000"),
                ("queues: {a: 3}", "1:13", "expected a map of settings, found"),
                ("queues: {a b: {}}", "1:10", "expected a queue's name"),
                ("batch: {weight: 3}", "1:1", "expected a map with the key queues"),
                ("queues: [", "1:", "expected")):
            _, err = self.run_cli("queues", "apply", "-", stdin=text.encode(), code=2)
            self.assertIn(":%s" % place, err)
            self.assertIn(words, err)
        self.assertEqual(self.run_cli("queues")[0], "")

    # ---- what they do ----

    def test_no_more_than_its_limit_runs_and_explain_says_so(self):
        self.start(**FAST)
        self.run_cli("queues", "set", "few", "--max-running=2")
        gate = self.path("gate")
        first = self.submit("sh", "-c", "until [ -e %s ]; do sleep 0.02; done" % gate, queue="few", array="2")
        second = self.submit(queue="few")
        until(lambda: self.queue("few")["running"] == 2)
        words = "queue few runs 2 shards, as many as it may: 2 of job %d" % first
        self.assertIn(words, self.run_cli("explain", "%d" % second)[0])
        self.assertIn(words, self.mill.job(second)["why"])
        self.assertEqual((self.queue("few")["live_jobs"], self.queue("few")["waiting_shards"]), (2, 1))
        self.assertEqual(self.mill.wait(self.submit(queue="other"))["state"], "succeeded", "others are not kept")
        self.assertEqual(self.mill.api("GET", "/v1/demand")["shards"], 0, "no worker is needed for what a limit keeps")
        self.run_cli("queues", "pause", "few", "--why", "lunch")
        open(gate, "w").close()
        self.mill.wait(first)
        self.assertIn("queue few is paused: lunch (user ", self.run_cli("explain", "%d" % second)[0])
        self.restart()
        self.assertEqual(self.mill.job(second)["state"], "active")
        self.run_cli("queues", "resume", "few")
        self.assertEqual(self.mill.wait(second)["state"], "succeeded")

    def test_people_are_refused_and_rules_are_not(self):
        self.write("rules/made.yaml", RULE)
        self.mill.start_dispatcher(rules_dir=self.path("rules"), **FAST)
        self.put("few", limits={"jobs": 1})
        first = self.submit(queue="few")
        e = self.refused(429, "busy", "queue few may have 1 jobs that have not ended, and has 1, the oldest is job %d" % first, "few")
        self.assertEqual(e.headers["Retry-After"], "1")
        event = {"version": "0", "id": "e", "source": "test", "detail-type": "t", "account": "1", "region": "x",
                 "time": "2026-11-22T13:30:54Z", "resources": [], "detail": {}}
        self.assertEqual(len(self.mill.api("POST", "/v1/events", event)["events"][0]["jobs"]), 1)
        self.put("few", owner_limits={"submissions": 0.01})
        self.submit(queue="few")
        self.refused(429, "busy", "queue few takes 0.01 submissions a second of each owner", "few")
        self.put("few", submitters=["user:nobody-of-that-name"])
        self.refused(403, "denied", "may not submit to queue few", "few")
        self.put("few", submitters=["user:%d" % os.geteuid()], limits={"cpus": 0.05})
        self.refused(400, "limit", "a shard needs 0.1 cpus, and queue few may use 0.05 at a time", "few")
        for body, words in (({"weight": 0}, "a weight from 1"), ({"limits": {"x": 1}}, "no such member"),
                            ({"weights": [{"key": "", "weight": 1}]}, "expected a key"), ({"submitters": [1]}, "expected text")):
            for method in ("PUT", "PATCH"):
                with self.assertRaises(ApiError) as caught:
                    self.mill.api(method, "/v1/queues/few", body)
                self.assertEqual(caught.exception.status, 400)
                self.assertIn(words, caught.exception.error["message"])

    def test_explain_says_whose_turn_it_is(self):
        self.mill.start_dispatcher(**FAST)
        self.mill.start_worker(cpus="1", heartbeat="100ms")
        self.put("heavy", weight=4)
        gate = self.path("gate")
        block = "until [ -e %s ]; do sleep 0.02; done" % gate
        running = self.mill.submit(command={"argv": ["sh", "-c", block], "cpus": "1"})
        until(lambda: self.mill.job(running)["word"] == "running")
        more = {"argv": ["sh", "-c", block], "cpus": "1", "array": "20"}
        first = self.mill.submit(command=more, priority=5)
        second = self.mill.submit(command=more)
        third = self.mill.submit(command=more)
        for job, words in ((second, "job %d goes first in queue default: its priority is higher" % first),
                           (third, "job %d goes first in queue default: its priority is higher" % first)):
            self.assertIn(words, self.run_cli("explain", "%d" % job)[0])
        self.run_cli("cancel", "%d" % first)
        self.assertIn("job %d goes first in queue default: it is older" % second, self.run_cli("explain", "%d" % third)[0])

    def test_explain_says_until_when(self):
        self.mill.start_dispatcher(**FAST)
        self.mill.start_worker(cpus="2", heartbeat="100ms")
        self.put("one", limits={"running": 1})
        self.mill.wait(self.submit("sleep", "1", queue="one"))
        definition = "version: 1\nname: slow\nqueue: one\nshard: {count: %d}\nrun: {exec: [sleep, '4'], resources: {cpus: 0.1}}\n"
        self.mill.wait(self.mill.submit(definition % 1))
        first = self.mill.submit(definition % 30)
        until(lambda: self.mill.job(first)["word"] == "running")
        second = self.submit(queue="one")
        found = until(lambda: re.search(r"one of these shards takes about [45]s; the next of them ends (?:in|within) about (?:(\w+) to )?(\w+)",
                                        self.run_cli("explain", "%d" % second)[0]))
        self.assertRegex(found.group(2), r"\A[1-9]s\Z", found.group(0))
        self.assertIn("; the next of them ends ", self.run_cli("submit", "--dry-run", "--queue=one", "--", "true")[0])
        group = "version: 1\nname: slow\nconcurrency: {group: g}\nrun: {exec: [sleep, '4'], resources: {cpus: 0.1}}\n"
        self.mill.wait(self.mill.submit(group))
        holder, waits = self.mill.submit(group), self.mill.submit(group)
        until(lambda: self.mill.job(holder)["word"] == "running")
        until(lambda: re.search(r"job %d holds it, and should end (in|within) about \w+" % holder,
                                self.run_cli("explain", "%d" % waits)[0]))


if __name__ == "__main__":
    main()
