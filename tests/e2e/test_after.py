#!/usr/bin/env python3
"""Jobs that wait for the ends of others (`submit --after`), and jobs that fail when they are late (`--deadline`,
`--start-by`): as the command and the API have them, over restarts of the dispatcher."""
import os
import subprocess
from datetime import datetime

from case import FAST, ApiError, MillCase, main, until

DEFINITION = "version: 1\nname: late\ndeadline: 2h\nstart_by: 1h30m\nrun: {exec: [\"true\"]}\n"


class After(MillCase):
    def setUp(self):
        super().setUp()
        self.mill.start_dispatcher(**FAST)

    def restart(self):
        self.mill.kill(self.mill.dispatcher)
        self.mill.start_dispatcher(**FAST)

    def work(self):
        self.mill.start_worker(heartbeat="100ms")

    def cli(self, *args, code=0):
        env = {k: v for k, v in os.environ.items() if not k.startswith("SHARDMILL")}
        env.update(SHARDMILL_API_SOCKET=self.mill.socket, LC_ALL="C.UTF-8")
        p = subprocess.run([self.mill.program("shardmill"), *args], capture_output=True, env=env, cwd=self.mill.dir,
                           timeout=120)
        self.assertEqual(p.returncode, code, "%s\n%s%s" % (args, p.stdout.decode(), p.stderr.decode()))
        return p.stdout.decode() + p.stderr.decode()

    def submit(self, *options, script="true"):
        body = {"command": {"argv": ["sh", "-c", script], "attempts": 1}}
        for option in options:
            body.update(option)
        return self.mill.api("POST", "/v1/jobs", body)["id"]

    def job(self, job):
        return self.mill.api("GET", "/v1/jobs/%d" % job)

    def ended(self, job):
        until(lambda: self.job(job)["ended"] is not None)
        return self.job(job)

    def test_it_starts_when_the_other_has_succeeded(self):
        first = self.submit(script="until [ -e %s/go ]; do sleep 0.02; done; echo >> %s/order" % ((self.mill.dir,) * 2))
        out = self.cli("submit", "--after", "%d" % first, "--", "sh", "-c", "wc -l < %s/order" % self.mill.dir)
        self.assertIn("2", out)
        second = first + 1
        self.assertEqual(self.job(second)["word"], "held")
        self.assertEqual(self.job(second)["after"], [{"job": first, "condition": "succeeded"}])
        words = "it waits for job %d to succeed" % first
        self.assertIn(words, self.cli("show", str(second)))
        self.assertIn(words, self.cli("explain", str(second)))
        self.assertIn("it waits for", self.cli("jobs"))
        self.restart()
        self.work()
        until(lambda: self.job(first)["word"] == "running")
        self.assertEqual(self.job(second)["word"], "held")
        self.write("go", "")
        self.assertEqual(self.ended(second)["state"], "succeeded")
        self.assertEqual(self.cli("output", str(second)).strip(), "1")
        self.assertNotIn("after", self.job(second))

    def test_what_can_no_longer_come_true_cancels_it_with_that_reason(self):
        first = self.submit(script="exit 3")
        ok = self.submit({"after": ["%d:ok" % first]})
        chained = self.submit({"after": ["%d" % ok]})
        failed = self.submit({"after": ["%d:failed" % first]})
        whatever = self.submit({"after": ["%d:any" % first, "%d:any" % ok]})
        self.work()
        self.assertEqual(self.ended(whatever)["state"], "succeeded")
        self.assertEqual(self.ended(failed)["state"], "succeeded")
        self.assertEqual(self.ended(ok)["state"], "cancelled")
        self.assertEqual(self.job(ok)["why"], "it was to start only if job %d succeeded, and that has failed" % first)
        self.assertEqual(self.ended(chained)["why"],
                         "it was to start only if job %d succeeded, and that was cancelled" % ok)
        self.assertIn("the dispatcher", self.job(ok)["stopped_by"]["text"])

    def test_jobs_that_ended_long_ago_are_looked_up(self):
        self.work()
        good, bad = self.submit(), self.submit(script="exit 1")
        self.ended(good), self.ended(bad)
        self.restart()
        self.assertEqual(self.ended(self.submit({"after": ["%d" % good, "%d:failed" % bad]}))["state"], "succeeded")
        late = self.ended(self.submit({"after": ["%d" % bad]}))
        self.assertEqual(late["state"], "cancelled")
        self.assertEqual(late["why"], "it was to start only if job %d succeeded, and that has failed" % bad)
        many = [self.submit() for _ in range(300)]
        for job in many:
            self.ended(job)
        self.assertEqual(self.ended(self.submit({"after": ["%d" % j for j in many]}))["state"], "succeeded")

    def test_what_makes_no_sense_is_refused_in_words(self):
        self.submit()
        self.assertIn("there is no job 77; the last is 1", self.cli("submit", "--after", "77", "--", "true", code=2))
        for wrong in ("", "x", "1:", "1:maybe", "0", "-1", "1 ", "99999999999999999999"):
            with self.assertRaises(ApiError) as e:
                self.submit({"after": [wrong]})
            self.assertEqual(e.exception.status, 400, wrong)
            self.assertEqual(e.exception.error["where"], "after[0]")
        text = self.cli("submit", "--after", "1:maybe", "--", "true", code=2)
        self.assertIn("--after", text)
        self.assertIn("1:maybe", text)
        with self.assertRaises(ApiError):
            self.submit({"after": ["1"] * 1001})
        for name in ("deadline", "start_by"):
            for wrong in ("soon", "0s", "-1s"):
                with self.assertRaises(ApiError) as e:
                    self.submit({name: wrong})
                self.assertEqual(e.exception.error["where"], name)
        self.assertIn("--start-by", self.cli("submit", "--start-by", "soon", "--", "true", code=2))
        self.assertEqual(len(self.mill.api("GET", "/v1/jobs")["jobs"]), 1)

    def test_a_released_job_stays_so_when_the_other_is_retried(self):
        self.work()
        first = self.submit(script="exit 1")
        second = self.submit({"after": ["%d:failed" % first]}, script="exit 2")
        self.assertEqual(self.ended(second)["state"], "failed")
        third = self.submit({"after": ["%d" % first]})
        self.assertEqual(self.ended(third)["state"], "cancelled")
        self.cli("retry", str(first))
        until(lambda: self.job(first)["reopens"] == 1 and self.job(first)["ended"] is not None)
        self.assertEqual(self.job(second)["reopens"], 0)
        self.mill.api("POST", "/v1/jobs/%d/retry" % third, {})
        until(lambda: self.job(third)["state"] == "succeeded")

    def test_a_job_that_is_late_fails(self):
        late = self.submit({"deadline": "1s"})
        self.cli("submit", "--start-by", "1500ms", "--", "true")
        never = late + 1
        in_time = self.submit({"deadline": "1h", "start_by": "1h"})
        text = self.cli("explain", str(in_time))
        self.assertRegex(text, "It fails unless its first shard starts within (1h|59m)")
        self.assertRegex(text, "It fails unless it has ended within (1h|59m)")
        self.assertIn("deadline", self.cli("show", str(in_time)))
        self.restart()
        self.assertEqual(self.ended(late)["why"], "deadline: it had not ended 1s after it was accepted")
        self.assertEqual(self.job(late)["state"], "failed")
        self.assertEqual(self.ended(never)["why"], "start_by: no shard of it had started 1s500ms after it was accepted")
        self.work()
        self.assertEqual(self.ended(in_time)["state"], "succeeded")

    def test_a_definition_says_it_and_a_submission_says_otherwise(self):
        def hours(job, member):
            return round(self.seconds(job[member]) - self.seconds(job["accepted"])) / 3600

        one = self.job(self.mill.api("POST", "/v1/jobs", {"definition": DEFINITION})["id"])
        self.assertEqual((hours(one, "deadline"), hours(one, "start_by")), (2, 1.5))
        other = self.job(self.mill.api("POST", "/v1/jobs", {"definition": DEFINITION, "deadline": "3h"})["id"])
        self.assertEqual((hours(other, "deadline"), hours(other, "start_by")), (3, 1.5))

    def seconds(self, text):
        return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


class Definitions(MillCase):
    """`after` in a definition, and in a rule by its event"""

    def start(self, after):
        self.write("rules/next.yaml", "version: 1\nname: next\non:\n  - pattern: {source: [shop]}\n"
                                      "after: %s\nrun: {exec: ['true']}\n" % after)
        self.mill.start_dispatcher(rules_dir=self.path("rules"), **FAST)

    def emit(self, **detail):
        self.serial = getattr(self, "serial", 0) + 1
        event = {"specversion": "1.0", "id": str(self.serial), "source": "shop", "type": "order", "data": detail}
        return self.mill.api("POST", "/v1/events", event)["events"][0]["jobs"][0]

    def job(self, job):
        return self.mill.api("GET", "/v1/jobs/%d" % job)

    def test_a_rule_names_the_job_by_its_event(self):
        self.start('["{{event.detail.job}}"]')
        first = self.mill.submit("version: 1\nname: first\nrun: {exec: ['true']}\n")
        second = self.emit(job=first)
        self.assertEqual(self.job(second)["after"], [{"job": first, "condition": "succeeded"}])
        self.assertEqual(self.job(second)["word"], "held")
        self.mill.start_worker(heartbeat="100ms")
        self.mill.wait(second)
        self.mill.kill(self.mill.dispatcher)  # behind it history tells of the job, the core does not
        self.mill.start_dispatcher(rules_dir=self.path("rules"), **FAST)
        self.assertEqual(self.mill.wait(self.emit(job=first))["state"], "succeeded")

    def test_a_condition_that_cannot_come_true_and_a_job_that_is_not_there(self):
        self.start('["{{event.detail.job}}:failed"]')
        self.mill.start_worker(heartbeat="100ms")
        first = self.mill.submit("version: 1\nname: first\nrun: {exec: ['true']}\n")
        self.mill.wait(first)
        ended = self.mill.wait(self.emit(job=first))
        self.assertEqual(ended["state"], "cancelled")
        self.assertIn("it was to start only if job %d failed" % first, ended["why"])
        ended = self.mill.wait(self.emit(job=4000))
        self.assertEqual(ended["state"], "failed")
        self.assertIn("there is no job 4000 to wait for", ended["why"])
        ended = self.mill.wait(self.emit(job="last"))
        self.assertIn("expected the number of a job", ended["why"])

    def test_a_definition_that_is_submitted_has_it_too(self):
        self.mill.start_dispatcher(**FAST)
        first = self.mill.submit("version: 1\nname: first\nrun: {exec: ['true']}\n")
        text = "version: 1\nname: next\nafter: [%d]\nrun: {exec: ['true']}\n" % first
        second = self.mill.submit(text)
        both = self.mill.api("POST", "/v1/jobs", {"definition": text, "after": ["%d:any" % second]})["id"]
        self.assertEqual(self.job(both)["after"], [{"job": first, "condition": "succeeded"}, {"job": second, "condition": "any"}])
        self.mill.start_worker(heartbeat="100ms")
        self.assertEqual(self.mill.wait(both)["state"], "succeeded")
        with self.assertRaises(ApiError) as refused:
            self.mill.submit("version: 1\nname: next\nafter: [first]\nrun: {exec: ['true']}\n")
        self.assertIn("expected the number of a job", str(refused.exception))


class AfterShard(MillCase):
    """`submit --after-shard`: each shard starts when the same shard of the other job is done"""

    WAITS = "until [ -e go-{{shard.index}} ]; do sleep 0.02; done; test ! -e fail-{{shard.index}}"

    def setUp(self):
        super().setUp()
        self.mill.start_dispatcher(**FAST)

    cli = After.cli

    def submit(self, *args):
        return int(self.cli("submit", *args).split()[0])

    def job(self, job):
        return self.mill.api("GET", "/v1/jobs/%d" % job)

    def done(self, job):
        return [r["first"] + i for r in self.mill.api("GET", "/v1/jobs/%d/shards?state=done" % job)["shards"]
                for i in range(r["count"])]

    def test_shards_start_one_by_one_over_a_restart(self):
        self.mill.start_worker(heartbeat="100ms", cpus=2)
        parent = self.submit("--array=3", "--cpus=0.1", "--", "sh", "-c", self.WAITS)
        child = self.submit("--array=3", "--cpus=0.1", "--after-shard", str(parent), "--", "echo", "{}")
        self.assertEqual(self.job(child)["after"], [{"job": parent, "condition": "shard"}])
        self.assertIn("it waits for job %d to finish its shards, each for the same one" % parent, self.cli("explain", str(child)))
        self.write("go-1", "")
        until(lambda: self.done(child) == [1])
        self.mill.kill(self.mill.dispatcher)
        self.mill.start_dispatcher(**FAST)
        self.assertEqual(self.done(child), [1])
        self.write("go-0", "")
        self.write("go-2", "")
        self.assertEqual(self.mill.wait(child)["state"], "succeeded")
        self.assertEqual(self.mill.wait(parent)["state"], "succeeded")

    def test_what_can_no_longer_come_is_dropped_with_that_reason(self):
        self.mill.start_worker(heartbeat="100ms", cpus=2)
        for n in range(3):
            self.write("go-%d" % n, "")
        self.write("fail-1", "")
        parent = self.submit("--array=3", "--attempts=1", "--tolerate=1", "--", "sh", "-c", self.WAITS)
        self.mill.wait(parent)
        child = self.submit("--array=3", "--after-shard=%d" % parent, "--tolerate=1", "--", "echo", "{}")
        ended = self.mill.wait(child)
        self.assertEqual(("succeeded", 2, 0, 1), (ended["state"], *(ended["phases"][0][n] for n in ("done", "dead", "dropped"))))
        strict = self.mill.wait(self.submit("--array=3", "--after-shard=%d" % parent, "--", "echo", "{}"))
        self.assertEqual("failed", strict["state"])
        self.assertIn("1 shard can no longer start: the same of the job that they wait for has not succeeded", strict["why"])

    def test_a_job_that_gathers_or_has_ended_is_looked_up(self):
        self.mill.start_worker(heartbeat="100ms", cpus=2)
        self.write("gather.yaml", "version: 1\nname: gathers\nshard: {count: 2}\nrun: {exec: ['true'], directory: %s}\n"
                                  "gather: {exec: [sh, -c, 'until [ -e go ]; do sleep 0.02; done'], directory: %s}\n" % ((self.mill.dir,) * 2))
        parent = self.submit("gather.yaml")
        until(lambda: self.job(parent)["phase"] == 1)
        child = self.submit("--array=2", "--after-shard=%d" % parent, "--", "echo", "{}")
        self.assertEqual(self.mill.wait(child)["state"], "succeeded")
        self.write("go", "")
        self.mill.wait(parent)
        self.mill.kill(self.mill.dispatcher)
        self.mill.start_dispatcher(**FAST)
        late = self.submit("--array=2", "--after-shard=%d" % parent, "--", "echo", "{}")
        self.assertEqual(self.mill.wait(late)["state"], "succeeded")

    def test_what_cannot_be_is_refused_in_words(self):
        parent = self.submit("--array=3", "--", "true")
        for args, words in ((("--array=2", "--after-shard=%d" % parent), "job %d has 3 shards, and this one 2" % parent),
                            (("--array=3", "--after-shard=77"), "there is no job 77"),
                            (("--array=3", "--after-shard=x"), "expected the number of a job"),
                            (("--array=3", "--after-shard=1", "--after-shard=1"), "of one other job")):
            self.assertIn(words, self.cli("submit", *args, "--", "true", code=2))


if __name__ == "__main__":
    main()
