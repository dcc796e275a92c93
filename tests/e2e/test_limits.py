#!/usr/bin/env python3
"""How many jobs of a group are active at a time (`concurrency`, `--concurrency`, `max_jobs`), and how fast shards start
(`rate`, `--rate`): as definitions, events and the command have it, over restarts of the dispatcher."""
import os
import subprocess

from case import FAST, ApiError, MillCase, main, until

RULE = """version: 1
name: %s
on: [{pattern: {source: [test]}}]
run: {exec: [sleep, "60"], resources: {cpus: 0.1}}
%s
"""


class Limits(MillCase):
    def setUp(self):
        super().setUp()
        self.rules = self.make_dir("rules")

    def start(self):
        self.mill.start_dispatcher(rules_dir=self.rules, **FAST)

    def restart(self):
        self.mill.kill(self.mill.dispatcher)
        self.start()

    def cli(self, *args, code=0):
        env = {k: v for k, v in os.environ.items() if not k.startswith("SHARDMILL")}
        env.update(SHARDMILL_API_SOCKET=self.mill.socket, LC_ALL="C.UTF-8")
        p = subprocess.run([self.mill.program("shardmill"), *args], capture_output=True, env=env, cwd=self.mill.dir,
                           timeout=120)
        self.assertEqual(p.returncode, code, "%s\n%s%s" % (args, p.stdout.decode(), p.stderr.decode()))
        return p.stdout.decode() + p.stderr.decode()

    def emit(self, number, key="k"):
        return self.mill.api("POST", "/v1/events", {
            "id": "e-%d" % number, "source": "test", "detail-type": "Thing", "time": "2026-01-01T00:00:00Z",
            "resources": [], "detail": {"key": key}})["events"][0]

    def submit(self, concurrency):
        return int(self.cli("submit", "--cpus", "0.1", "--concurrency", concurrency, "--", "sleep", "60").split()[-1])

    def later(self, *call):
        try:
            return self.mill.api(*call, {})
        except ApiError as e:
            self.assertEqual(e.status, 429)
            return None

    def word(self, job):
        return self.mill.job(job)["word"]

    def cancel(self, job):
        self.mill.api("POST", "/v1/jobs/%d/cancel" % job, {})


class Groups(Limits):
    def test_one_waits_for_room_and_says_who_holds_it(self):
        self.start()
        self.mill.start_worker(heartbeat="100ms")
        first, second, third = (self.submit("db") for _ in range(3))
        until(lambda: self.word(first) == "running")
        self.assertEqual((self.word(second), self.word(third)), ("held", "held"))
        words = 'it waits for room in the concurrency group "db" (at most 1 active): job %d holds it' % first
        self.assertIn(words, self.cli("show", str(second)))
        self.assertIn(words + ", and 1 older job waits before it", self.cli("explain", str(third)))
        self.assertIn("it waits for room", self.cli("jobs"))
        self.restart()
        self.cancel(first)
        until(lambda: self.word(second) == "running")
        self.assertEqual(self.word(third), "held")
        self.assertEqual(self.mill.job(third)["concurrency"],
                         {"group": "db", "limit": 1, "mode": "queue", "waits": True, "active": 1, "holders": [second]})
        self.cancel(second)
        until(lambda: self.word(third) == "running")
        self.assertFalse(self.mill.job(third)["concurrency"]["waits"])

    def test_a_submission_that_is_to_be_skipped_is_refused(self):
        self.start()
        first = self.submit("db:1:skip")
        said = self.cli("submit", "--concurrency", "db:skip", "--id", "x", "--", "true", code=2)
        self.assertIn('the concurrency group "db" is full: job %d holds it' % first, said)
        with self.assertRaises(ApiError) as caught:
            self.mill.submit("version: 1\nname: a\nrun: {exec: [\"true\"]}\nconcurrency: {group: db, mode: skip}\n")
        self.assertEqual(caught.exception.status, 409)
        self.cancel(first)
        self.cli("submit", "--concurrency", "db:skip", "--id", "x", "--", "true")

    def test_an_event_starts_nothing_while_its_group_is_full(self):
        self.write("rules/one.yaml", RULE % ("one", 'concurrency: {group: "{{event.detail.key}}", mode: skip}'))
        self.write("rules/two.yaml", RULE % ("two", ""))
        self.start()
        self.assertEqual(len(self.emit(1)["jobs"]), 2)
        second = self.emit(2)
        self.assertEqual((len(second["jobs"]), second["skipped"]), (1, 1))
        self.assertIn('the concurrency group "k" is full', second["skipped_why"])
        self.assertTrue(self.emit(2)["duplicate"], "the event is taken all the same")
        self.assertEqual(len(self.emit(3, key="other")["jobs"]), 2)
        said = self.cli("emit", "--source", "test", "--detail-type", "Thing", "--detail", '{"key": "k"}')
        self.assertIn('1 job not started: the concurrency group "k" is full', said)
        self.assertIn("shardmill_jobs_skipped_total 2", self.mill.api("GET", "/metrics", raw=True).decode())

    def test_the_newest_takes_the_place_of_the_one_that_runs(self):
        self.write("rules/one.yaml", RULE % ("one", "concurrency: {group: g, mode: cancel-running}"))
        self.start()
        self.mill.start_worker(heartbeat="100ms")
        first = self.emit(1)["jobs"][0]
        until(lambda: self.word(first) == "running")
        second = self.emit(2)["jobs"][0]
        until(lambda: self.word(second) == "running")
        job = self.mill.job(first)
        self.assertEqual(job["state"], "cancelled")
        self.assertEqual(job["why"], 'job %d took its place in the concurrency group "g"' % second)

    def test_of_those_that_wait_the_newest_stays(self):
        self.write("rules/one.yaml", RULE % ("one", "concurrency: {group: g, latest: true}"))
        self.start()
        jobs = [self.emit(n)["jobs"][0] for n in range(4)]
        self.assertEqual([self.mill.job(job)["state"] for job in jobs], ["active", "cancelled", "cancelled", "held"])
        self.assertIn("job %d came later" % jobs[2], self.mill.job(jobs[1])["why"])

    def test_a_job_that_is_retried_waits_for_its_turn(self):
        self.start()
        self.mill.start_worker(heartbeat="100ms")
        first, second = self.submit("db"), self.submit("db")
        self.cancel(first)
        until(lambda: self.word(second) == "running")
        until(lambda: self.later("POST", "/v1/jobs/%d/retry" % first))
        until(lambda: self.word(first) == "held")
        self.cancel(second)
        until(lambda: self.word(first) == "running")


class OfARule(Limits):
    def test_what_comes_beyond_waits(self):
        self.write("rules/one.yaml", RULE % ("one", "max_jobs: 2"))
        self.start()
        self.mill.start_worker(heartbeat="100ms")
        jobs = [self.emit(n)["jobs"][0] for n in range(4)]
        until(lambda: [self.word(job) for job in jobs] == ["running", "running", "held", "held"])
        self.assertIn('the concurrency group "rule:one" (at most 2 active): jobs %d and %d hold it' % (jobs[0], jobs[1]),
                      self.cli("explain", str(jobs[2])))
        self.cancel(jobs[0])
        until(lambda: self.word(jobs[2]) == "running")
        self.assertEqual(self.word(jobs[3]), "held")


class Rate(Limits):
    def test_shards_start_no_faster(self):
        self.start()
        self.mill.start_worker(heartbeat="100ms")
        self.cli("submit", "-w", "--array", "12", "--cpus", "0.1", "--rate", "5/s", "--", "sh", "-c", "date +%s%N")
        times = sorted(int(line) / 1e9 for line in self.cli("output", "last").split())
        self.assertEqual(len(times), 12)
        self.assertGreaterEqual(times[-1] - times[0], 2, "11 starts behind the first, one each 200 ms")
        slow = int(self.cli("submit", "--array", "3", "--rate", "1/h", "--", "true").split()[-1])
        until(lambda: self.mill.job(slow)["phases"][0]["done"] == 1)
        self.assertRegex(self.mill.job(slow)["why"], r"\Aits rate, 1/1h, lets the next shard start in (1h|59m)")
        self.assertIn("1/1h", self.cli("show", str(slow)))
        self.assertRegex(self.cli("explain", str(slow)), r"at a rate of at most 1/1h: the next may in (1h|59m)")
        self.restart()
        self.assertEqual(self.mill.job(slow)["phases"][0]["done"], 1)


if __name__ == "__main__":
    main()
