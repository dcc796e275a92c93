#!/usr/bin/env python3
"""Gpus and named resources: which shard has which, and that nobody has what another has. The gpus are made up."""
import json
import os
import time

from case import FAST, MillCase, main, until

# Each takes its gpu's lock, tells what it was shown, and fails where the gpu is another's at the time.
ALONE = """
version: 1
name: alone
shard: {count: %d}
run:
  exec: [sh, -c, "for g in $(echo $SHARDMILL_GPUS | tr , ' '); do mkdir %s/lock.$g || exit 9; done; sleep 0.05;
    echo $SHARDMILL_GPUS $CUDA_VISIBLE_DEVICES $HIP_VISIBLE_DEVICES;
    for g in $(echo $SHARDMILL_GPUS | tr , ' '); do rmdir %s/lock.$g; done"]
  resources: {cpus: 0.01, gpus: %s}
retry: {attempts: 1}
"""

# They say which gpus they have, and stay until `go.NAME` is there.
GATED = """
version: 1
name: %s
shard: {count: %d}
run:
  exec: [sh, -c, "echo $SHARDMILL_GPUS >$1/new.$2.$SHARDMILL_SHARD; mv $1/new.$2.$SHARDMILL_SHARD $1/has.$2.$SHARDMILL_SHARD;
    until [ -e $1/go.$2 ]; do sleep 0.02; done", sh, "%s", "%s"]
  resources: {cpus: 0.01, %s}
"""

SHOWN = """
version: 1
name: shown
run:
  exec: [sh, -c, "echo ${SHARDMILL_GPUS-unset} ${CUDA_VISIBLE_DEVICES-unset} ${HIP_VISIBLE_DEVICES-unset}"]
  resources: {cpus: 0.01, gpus: %s}
  %s
"""

RUNNER = """
version: 1
name: runner
shard: {count: 12}
run:
  runner: [python3, %s]
  format: json
  resources: {cpus: 0.01, gpus: 1}
"""


def environment(**more):
    """Ours, without what somebody may have dealt to us."""
    names = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "SHARDMILL_GPUS")
    return dict({k: v for k, v in os.environ.items() if k not in names}, **more)


class Offers(MillCase):
    def start(self, env=None, dispatcher=None, **params):
        self.mill.start_dispatcher(**dict(FAST, **(dispatcher or {})))
        return self.mill.start_worker(heartbeat="100ms", env=env or environment(), **params)

    def run_lines(self, definition):
        job = self.mill.wait(self.mill.submit(definition))
        self.assertEqual(job["state"], "succeeded", job)
        return self.mill.output(job["id"]).decode().splitlines()

    def gate(self, name, count, resources):
        return self.mill.submit(GATED % (name, count, self.mill.dir, name, resources))

    def has(self, name):
        """What the shards that began have, sorted."""
        found = []
        for file in os.listdir(self.mill.dir):
            if file.startswith("has.%s." % name):
                with open(self.path(file)) as f:
                    found.append(f.read().strip())
        return sorted(found)

    def until_has(self, name, count):
        return until(lambda: len(self.has(name)) == count and self.has(name))

    def open_gate(self, name, job):
        self.write("go." + name, "")
        self.assertEqual(self.mill.wait(job)["state"], "succeeded")


class Gpus(Offers):
    def test_no_two_shards_share_a_gpu(self):
        self.start(cpus=8, gpus=2)
        lines = self.run_lines(ALONE % (24, self.mill.dir, self.mill.dir, "1"))
        self.assertEqual(len(lines), 24)
        self.assertEqual({"0 0 0", "1 1 1"}, set(lines))
        self.assertEqual(set(self.run_lines(ALONE % (3, self.mill.dir, self.mill.dir, "2"))), {"0,1 0,1 0,1"})

    def test_parts_share_one_and_a_whole_one_is_alone(self):
        self.start(cpus=8, gpus=2)
        half = self.gate("half", 1, "gpus: 0.5")
        self.assertEqual(self.until_has("half", 1), ["0"])
        whole = self.gate("whole", 2, "gpus: 1")
        self.assertEqual(self.until_has("whole", 1), ["1"])
        other = self.gate("other", 2, "gpus: 0.5")
        self.assertEqual(self.until_has("other", 1), ["0"], "beside the other half")
        self.assertEqual(self.has("whole"), ["1"], "half of a gpu is no whole one")
        for name, job in (("half", half), ("other", other), ("whole", whole)):
            self.open_gate(name, job)

    def test_a_list_and_what_others_have_dealt(self):
        self.start(cpus=8, gpus="4,7")
        self.assertEqual({line.split()[0] for line in self.run_lines(ALONE % (8, self.mill.dir, self.mill.dir, 1))},
                         {"4", "7"})
        self.mill.abort_workers()
        self.mill.start_worker(env=environment(CUDA_VISIBLE_DEVICES="3,5"), cpus=8, gpus="auto", heartbeat="100ms")
        self.assertEqual({line.split()[1] for line in self.run_lines(ALONE % (8, self.mill.dir, self.mill.dir, 1))},
                         {"3", "5"})

    def test_who_needs_none_is_shown_none(self):
        self.start(cpus=8, gpus=2)
        self.assertEqual(self.run_lines(SHOWN % ("0", "")), ["-1 -1"], "SHARDMILL_GPUS is there, and empty")
        self.assertEqual(self.run_lines(SHOWN % ("1", "env: {CUDA_VISIBLE_DEVICES: mine}")), ["0 mine 0"])

    def test_a_worker_that_offers_none_hides_none(self):
        self.start(env=environment(CUDA_VISIBLE_DEVICES="3"), cpus=2)
        self.assertEqual(self.run_lines(SHOWN % ("0", "")), ["unset 3 unset"])

    def test_a_runner_keeps_the_gpu_of_its_slot(self):
        self.start(cpus=8, gpus=2)
        runner = os.path.join(os.path.dirname(os.path.abspath(__file__)), "runners", "gpus.py")
        self.assertLessEqual(set(self.run_lines(RUNNER % runner)), {"0 0", "1 1"})

    def test_what_is_offered_is_listed(self):
        self.start(cpus=2, gpus=2, named="scratch=0.5,license=4")
        worker = until(lambda: self.mill.api("GET", "/v1/workers")["workers"])[0]
        self.assertEqual(worker["gpus"], 2, worker)
        self.assertEqual(worker["named"], "license=4,scratch=0.5", worker)

    def test_nonsense_is_refused(self):
        self.mill.start_dispatcher(**FAST)
        for options, said in (({"gpus": "some"}, "expected auto, a number of gpus"),
                              ({"gpus": "0,0"}, "expected auto, a number of gpus"),
                              ({"named": "license"}, "expected names with amounts")):
            worker = self.mill.start_worker(env=environment(), **options)
            self.assertEqual(worker.wait(30), 2)
            with open(worker.log) as f:
                text = f.read()
            self.assertIn(said, text)
            self.assertIn("--" + next(iter(options)), text)


class Named(Offers):
    def test_no_more_run_than_are_there(self):
        self.start(cpus=8, named="license=2")
        job = self.gate("two", 5, "named: {license: 1}")
        self.until_has("two", 2)
        other = self.gate("one", 1, "named: {license: 1.5}")
        free = self.gate("free", 1, "pin: core")
        self.until_has("free", 1)
        time.sleep(0.3)
        self.assertEqual(len(self.has("two")), 2, "five want a licence, two have one")
        self.assertEqual(self.has("one"), [])
        for name, j in (("free", free), ("two", job), ("one", other)):
            self.open_gate(name, j)


class Shared(Offers):
    """What all workers share."""

    def test_no_more_run_than_are_there(self):
        self.start(cpus=4, dispatcher={"shared": "license=2"})
        self.mill.start_worker(heartbeat="100ms", env=environment(), cpus=4)
        until(lambda: len(self.mill.api("GET", "/v1/workers")["workers"]) == 2)
        job = self.gate("two", 5, "named: {license: 1}")
        self.until_has("two", 2)
        other = self.gate("one", 1, "named: {license: 0.5}")
        free = self.gate("free", 4, "pin: core")
        self.until_has("free", 4)
        time.sleep(0.3)
        self.assertEqual(len(self.has("two")), 2, "five want a licence, two have one")
        why = "a shard needs 0.5 of license, and 2 of the 2 that all workers share are in use, by job %d" % job
        self.assertEqual(self.mill.job(other)["why"], why)
        self.assertIn("a shard needs 1 of license", json.dumps(self.mill.api("GET", "/v1/jobs/%d/explain" % job)))
        self.assertEqual(self.mill.api("GET", "/v1/status")["shared"], [{"name": "license", "total": 2, "used": 2}])
        for name, j in (("free", free), ("two", job), ("one", other)):
            self.open_gate(name, j)
        self.assertEqual(self.mill.api("GET", "/v1/status")["shared"][0]["used"], 0)

    def test_more_than_there_is_is_refused(self):
        self.start(cpus=4, dispatcher={"shared": "license=2"})
        error = self.expect_error(400, "limit", "POST", "/v1/jobs", {"definition": Refused.LICENSE})
        self.assertEqual(error["message"], "a shard needs 3 of license; all workers together have 2")
        job = self.mill.submit(Refused.LICENSE, allow_pending=True)
        self.assertIn("and all workers together have 2", self.mill.job(job)["why"])

    def test_nonsense_is_refused(self):
        dispatcher = self.mill.start_dispatcher(wait=False, shared="license")
        self.assertNotEqual(dispatcher.wait(30), 0)
        with open(dispatcher.log) as f:
            self.assertIn("--shared: expected names with amounts", f.read())


class Refused(Offers):
    """What nobody offers and no pool could start."""

    BIG = "version: 1\nname: big\nrun: {exec: [\"true\"], resources: {gpus: 2}}\n"
    LICENSE = "version: 1\nname: named\nrun: {exec: [\"true\"], resources: {named: {license: 3}}}\n"

    def workers(self):
        return self.mill.api("GET", "/v1/workers")["workers"]

    def refused(self, definition, said, **more):
        error = self.expect_error(400, "limit", "POST", "/v1/jobs", dict({"definition": definition}, **more))
        self.assertEqual(error["message"], said)
        self.assertIn("--allow-pending", error["help"])

    def test_by_what_workers_have(self):
        self.start(cpus=2, gpus=1, named="license=2")
        until(self.workers)
        self.refused(self.BIG, "no worker or pool offers 2 gpus; the largest offer is 1")
        self.refused(self.LICENSE, "no worker or pool offers 3 of license; the largest offer is 2")
        self.refused("version: 1\nname: g\nrun: {exec: [\"true\"]}\ngather: {exec: [cat], resources: {gpus: 3}}\n",
                     "no worker or pool offers 3 gpus; the largest offer is 1")
        self.assertEqual(self.jobs(), [])

    def test_who_allows_it_waits(self):
        self.start(cpus=2, gpus=1)
        until(self.workers)
        job = self.mill.submit(self.BIG, allow_pending=True)
        self.assertIn("no worker has 2 gpus (the most that one has is 1)", self.mill.job(job)["why"])
        self.assertIn("no worker has 2 gpus", json.dumps(self.mill.api("GET", "/v1/jobs/%d/explain" % job)))
        self.mill.start_worker(heartbeat="100ms", env=environment(), cpus=2, gpus=2)
        self.assertEqual(self.mill.wait(job)["state"], "succeeded")

    def test_where_nobody_is_known_it_waits(self):
        self.mill.start_dispatcher(**FAST)
        job = self.mill.submit(self.BIG)
        self.mill.start_worker(heartbeat="100ms", env=environment(), cpus=2, gpus=2)
        self.assertEqual(self.mill.wait(job)["state"], "succeeded")

    def test_after_a_restart_workers_may_come_back(self):
        self.start(cpus=2, gpus=1, dispatcher={"adopt_wait": "1h"})
        until(self.workers)
        self.refused(self.BIG, "no worker or pool offers 2 gpus; the largest offer is 1")
        self.mill.kill(self.mill.dispatcher)
        self.mill.start_dispatcher(**dict(FAST, adopt_wait="1h"))
        until(self.workers)
        self.mill.submit(self.BIG)

    def test_what_a_pool_could_start_is_taken(self):
        self.start(cpus=2)
        until(self.workers)
        pool = {"pool": "p", "turn_seconds": 3600, "cpus": 8, "gpus": 4, "named": "license=3"}
        self.refused(self.BIG, "no worker or pool offers 2 gpus; the largest offer is 0")
        self.mill.api("POST", "/v1/pools", pool)
        self.mill.submit(self.BIG)
        self.mill.submit(self.LICENSE)
        told = self.mill.api("GET", "/v1/pools")["pools"][0]
        self.assertEqual((told["gpus"], told["named"]), (4, "license=3"), told)
        self.expect_error(400, "invalid", "POST", "/v1/pools", dict(pool, named="license"))

    def test_an_event_is_never_lost(self):
        rules = self.make_dir("rules")
        self.write("rules/big.yaml", self.BIG.replace("run:", "on: [{pattern: {source: [s]}}]\nrun:"))
        self.start(cpus=2, gpus=1, dispatcher={"rules_dir": rules})
        until(self.workers)
        event = {"id": "1", "source": "s", "detail-type": "t", "time": "2026-01-01T00:00:00Z", "detail": {}}
        job = self.mill.api("POST", "/v1/events", event)["events"][0]["jobs"][0]
        self.assertIn("no worker has 2 gpus", self.mill.job(job)["why"])


class Pools(Offers):
    """A pool from zero: the scaler is told what waits by shape, and tells what its workers would have."""

    def test_what_its_workers_offer_starts_them(self):
        self.mill.start_dispatcher(**FAST)
        self.scaler = self.mill.start("shardmill-scaler", {
            "state_dir": self.mill.state, "api_socket": self.mill.socket, "cpus_per_worker": 1, "gpus": 2,
            "named": "license=1", "connect": "tcp://127.0.0.1:%d" % self.mill.port,
            "scratch_dir": self.path("scratch"), "idle_before_shrink": "0s"}, env=environment())
        pool = until(lambda: self.mill.api("GET", "/v1/pools")["pools"])[0]
        most = int(pool["gpus"])
        self.assertIn(most, (1, 2), "of one of its workers: as many as it has cores")
        self.assertEqual(pool["named"], "license=1")
        for resources in ("gpus: %d" % most, "gpus: 0.5, named: {license: 1}"):
            job = self.mill.submit("version: 1\nname: a\nrun: {exec: [sh, -c, 'echo $SHARDMILL_GPUS'], resources: {%s}}\n"
                                   % resources)
            self.assertEqual(self.mill.wait(job)["state"], "succeeded")
            self.assertRegex(self.mill.output(job), rb"^[01](,[01])?\n$")
        error = self.expect_error(400, "limit", "POST", "/v1/jobs", {"definition": Refused.BIG.replace("2", "3")})
        self.assertEqual(error["message"], "no worker or pool offers 3 gpus; the largest offer is %d" % most)
        job = self.mill.submit(Refused.LICENSE, allow_pending=True)
        until(lambda: self.mill.api("GET", "/v1/pools")["pools"][0]["unfit_shards"] == 1)
        self.assertEqual(self.mill.job(job)["state"], "active")

    def tearDown(self):
        """Its workers outlive the scaler: they are drained."""
        self.scaler.terminate()
        self.scaler.wait()
        until(self.all_are_drained)
        super().tearDown()

    def all_are_drained(self):
        """no worker is left"""
        workers = self.mill.api("GET", "/v1/workers")["workers"]
        for worker in workers:
            self.mill.api("POST", "/v1/workers/%s/drain" % worker["id"])
        return not workers


main()
