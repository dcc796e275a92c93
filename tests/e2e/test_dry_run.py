#!/usr/bin/env python3
"""submit --dry-run: what a submission would be and wait for, and that it makes nothing."""
import json
import os

from case import FAST, main, until
from cli_case import CliCase

GROUPED = "version: 1\nname: g\nqueue: q\npriority: 3\nconcurrency: {group: one}\nrun: {exec: [sleep, '60'], resources: {cpus: 0.1}}\n"
AT_ONCE = "its first shard would start at once\n"


class DryRun(CliCase):
    def begin(self, **worker):
        self.mill.start_dispatcher(**FAST)
        self.mill.start_worker(**{"cpus": "2", "heartbeat": "100ms", **worker})
        until(lambda: self.mill.api("GET", "/v1/workers")["workers"])

    def dry(self, *argv, code=0):
        return self.run_cli("submit", "--dry-run", *argv, code=code)

    def occupy(self, **more):
        """A job that runs until it is cancelled."""
        job = self.mill.submit(command={"argv": ["sleep", "600"], **more})
        until(lambda: self.mill.job(job)["word"] == "running")
        return job

    def test_it_says_what_the_job_would_be_and_makes_nothing(self):
        self.begin()
        before = self.mill.api("GET", "/v1/status")["journal"]
        line = ("--array=1-10", "--cpus=0.5", "--queue=night", "--priority=7", "--name=ten", "--id=once", "--", "echo", "{}")
        out = self.dry(*line)[0]
        self.assertRegex(out, r"\Aten would be accepted: version [0-9a-f]{12} \(new\), queue night, priority 7, 10 shards of cpus=0.5")
        self.assertTrue(out.endswith(AT_ONCE), out)
        self.assertEqual(self.mill.api("GET", "/v1/jobs")["jobs"], [])
        self.assertEqual(self.mill.api("GET", "/v1/queues")["queues"], [])
        self.assertEqual(self.mill.api("GET", "/v1/status")["journal"]["last_lsn"], before["last_lsn"])
        self.assertEqual(self.run_cli("submit", *line)[0], "1\n")
        self.assertIn("nothing new would be started: job 1 has this id already", self.dry(*line)[0])
        job = self.mill.wait(1)
        said = json.loads(self.dry("--output=json", "--wait", "--", "true")[0])
        self.assertEqual((said["id"], said["jobs"], said["duplicate"], said["dry_run"]["waits"], said["dry_run"]["shards"]),
                         (0, 0, False, [], 1))
        made = json.loads(self.dry("--output=json", *line)[0])
        self.assertEqual((made["id"], made["dry_run"]["definition"]), (1, job["definition"]))

    def test_it_says_what_the_job_would_wait_for(self):
        self.mill.start_dispatcher(**FAST)
        self.assertIn("it would wait: no worker is connected", self.dry("--", "true")[0])
        self.mill.start_worker(cpus="2", heartbeat="100ms")
        until(lambda: self.mill.api("GET", "/v1/workers")["workers"])
        one = self.occupy(cpus="1")
        self.assertIn(AT_ONCE, self.dry("--", "true")[0])
        self.assertIn("it would wait: the worker that could run it works on other jobs", self.dry("--cpus=2", "--", "true")[0])
        self.assertIn("it would wait: it waits for job %d to fail" % one, self.dry("--after=%d:failed" % one, "--", "true")[0])
        path = self.write("grouped.yaml", GROUPED)
        self.assertIn(AT_ONCE, self.dry(path)[0])
        holder = self.mill.submit(GROUPED)
        out = self.dry(path)[0]
        self.assertIn("(known), queue q, priority 3", out)
        self.assertIn('it waits for room in the concurrency group "one" (at most 1 active): job %d holds it' % holder, out)
        self.mill.api("PUT", "/v1/queues/small", {"limits": {"running": 1}})
        self.occupy(queue="small", cpus="0.1")
        self.assertIn("it would wait: queue small runs 1 shard, as many as it may", self.dry("--queue=small", "--", "true")[0])
        self.mill.api("PUT", "/v1/queues/small", {"paused": True, "why": "by day"})
        self.assertIn("it would wait: queue small is paused: by day", self.dry("--queue=small", "--", "true")[0])

    def test_it_says_whose_turn_it_would_be(self):
        self.begin(cpus="1")
        self.occupy()
        first = self.mill.submit(command={"argv": ["sleep", "600"], "array": "20"}, priority=5)
        words = "job %d goes first in queue default: " % first
        self.assertIn(words + "its priority is higher", self.dry("--", "true")[0])
        self.assertIn(words + "it is older", self.dry("--priority=5", "--", "true")[0])
        self.assertNotIn(words, self.dry("--priority=6", "--", "true")[0])

    def test_what_would_be_refused_is_refused(self):
        self.begin()
        self.mill.api("PUT", "/v1/queues/few", {"limits": {"jobs": 1}})
        self.occupy(queue="few", cpus="0.1")
        self.mill.api("PUT", "/v1/queues/closed", {"submitters": ["user:%d" % (os.geteuid() + 1)]})
        self.occupy(concurrency="full:1:skip", cpus="0.1")
        for code, option, words in (
                (5, "--queue=few", "queue few may have 1 jobs that have not ended"), (2, "--after=99", "there is no job 99"),
                (5, "--queue=closed", "may not submit to queue closed"), (2, "--cpus=64", "no worker or pool offers 64 cpus"),
                (2, "--concurrency=full:1:skip", "group \"full\" is full"), (2, "--array=x", "expected")):
            dry = self.dry(option, "--", "true", code=code)
            self.assertIn(words, dry[1])
            self.assertEqual(dry, self.run_cli("submit", option, "--", "true", code=code), "as without --dry-run")
        self.assertEqual(len(self.mill.api("GET", "/v1/jobs")["jobs"]), 2)

    def test_what_could_never_start_is_told(self):
        self.begin()
        job = self.mill.submit(command={"argv": ["false"], "attempts": 1})
        self.mill.wait(job)
        out = self.dry("--after=%d" % job, "--", "true")[0]
        self.assertIn("it would be cancelled at once: ", out)
        self.assertIn("job %d" % job, out)


if __name__ == "__main__":
    main()
