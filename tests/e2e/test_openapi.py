#!/usr/bin/env python3
"""GET /v1/openapi.json is a document that a validator takes, and what a real dispatcher is asked and answers is what it says:
every route, every status that it names, and every member of every object."""
import os
import re

import case
from case import FAST, ApiError, MillCase, main, until

RULE = """version: 1
name: %s
on:
  - pattern:
      source: [%s]
run: {exec: [echo, %s]}
"""
OUTPUT = """version: 1
name: kept
run: {exec: [echo, hello]}
output: file://%s/{{job.id}}
"""

# What a run of a few seconds without trouble does not bring about; other tests do, and they are held against the document, too.
RARE = {("bucket", "error"), ("status", "journal_error"), ("status", "history_error"), ("applied", "error"),
        ("job_event", "key-base64"), ("worker", "trouble"), ("trouble", "kind"), ("trouble", "why"), ("trouble", "since")}


class OpenApi(MillCase):
    def setUp(self):
        super().setUp()
        if self.mill.document is None:
            self.skip("the API's document: no python3-jsonschema with draft 2020-12; packages.txt names it")

    def call(self, method, path, body=None, **more):
        return self.mill.api(method, path, body, **more)

    def refused(self, status, method, path, body=None):
        with self.assertRaises(ApiError) as caught:
            self.call(method, path, body)
        self.assertEqual(caught.exception.status, status, caught.exception.body)

    def post(self, source, name):
        return {"version": "0", "id": name, "source": source, "detail-type": "Test", "account": "1", "region": "x",
                "time": "2026-11-22T13:30:54Z", "resources": [], "detail": {}}

    def command(self, *argv, **more):
        return self.mill.submit(command=dict({"argv": list(argv)}, **more), allow_pending=True)

    # ---- the document ----

    def test_it_is_valid_and_the_installed_one_is_the_served(self):
        self.mill.start_dispatcher()
        self.mill.document.check_document()
        self.assertEqual(self.call("GET", "/v1/openapi.json", raw=True), self.mill.document.text)
        self.assertEqual(self.call("GET", "/v1/openapi.json", raw=True), self.mill.document.text)

    def test_it_has_all_routes_and_all_of_their_arguments(self):
        """The tables as they are written are read here once more, by other means."""
        with open(os.path.join(case.ROOT, "dispatcher", "api", "routes.def"), encoding="utf-8") as f:
            rows = re.findall(r'^ROUTE\((\w+), "(\w+)", "([^"]+)"', f.read(), re.M)
        told = {(o["operationId"], method.upper(), path)
                for path, methods in self.mill.document.json["paths"].items() for method, o in methods.items()}
        self.assertEqual(told, set(rows))
        for _, method, path in rows:
            names = {p["name"] for p in self.mill.document.operation(method, path)["parameters"] if p["in"] == "path"} \
                if "{" in path else set()
            self.assertEqual(names, set(re.findall(r"{(\w+)}", path)))

    def test_a_fault_would_be_found(self):
        """Of the test itself: a member too many, one too few, and one of another type."""
        self.mill.start_dispatcher()
        good = self.call("GET", "/v1/status")
        for bad in ({**good, "more": 1}, {k: v for k, v in good.items() if k != "epoch"}, {**good, "epoch": "1"},
                    {**good, "jobs": {**good["jobs"], "live": None}}):
            with self.assertRaises(AssertionError):
                self.mill.document.check("GET", "/v1/status", None, 200, bad)

    def test_what_a_command_may_have_is_what_is_taken(self):
        self.mill.start_dispatcher()
        schema = self.mill.document.json["components"]["schemas"]["command"]
        with self.assertRaises(ApiError) as caught:
            self.command("true", nothing="x")
        self.assertEqual(set(caught.exception.error["help"].split(", ")), set(schema["properties"]))
        for name in schema["properties"]:
            with self.assertRaises(ApiError) as caught:
                self.command("true", **{name: None})
            self.assertNotIn("there is no such member", caught.exception.error["message"], name)

    # ---- what it says of a real one ----

    def test_every_route_answers_as_it_says(self):
        document = self.mill.document
        document.seen.clear()
        document.members.clear()
        self.write("rules/good.yaml", RULE % ("good", "test", "hi"))
        self.write("rules/files.yaml", RULE % ("files", "shardmill.bucket", "hi"))
        self.write("rules/bad.yaml", RULE % ("bad", "sour", '"{{event.detail.nothing}}"'))
        self.write("rules/one.yaml", RULE % ("one", "one", "hi") + "concurrency: {group: one, mode: skip}\n")
        self.make_dir("bucket")
        self.write("bucket/file.txt", "x")
        self.write("bucket/.hidden", "x")
        self.mill.start_dispatcher(shared="license=2", rules_dir=self.path("rules"), bucket=self.path("bucket"), bucket_rescan="200ms",
                                   keep_jobs="30d", keep_bytes="1TiB", **FAST)
        self.look_at_pools()
        self.set_queues()
        self.make_plans()
        self.take_events()
        self.refuse()
        self.mill.start_worker(pool="day", provider_id="n1", heartbeat="100ms")
        self.watch_one_run()
        self.let_fail_and_go_on()
        self.go_on_with_a_dead_shard()
        self.lose_an_output()
        self.ask_for_many()
        self.wait_for_another()
        self.try_one()
        self.keep_results()
        self.forget()
        self.apply_rules()
        self.send_worker_away()
        self.call("GET", "/metrics", raw=True)
        self.call("GET", "/v1/openapi.json", raw=True)
        self.check_all_was_seen(document)

    def look_at_pools(self):
        self.call("POST", "/v1/pools", {"pool": "day", "provider": "process", "wanted": 1, "cpus": 1.5, "memory_bytes": 1 << 40, "gpus": 0.5, "named": "license=2", "failed_starts": 1,
                                        "failure": "no", "why": "work", "retry_seconds": 50, "turn_seconds": 60, "unfit_shards": 1,
                                        "ready": 1, "busy": 1, "starting": 1, "draining": 1, "min": 1, "max": 2})
        self.call("GET", "/v1/pools")

    def set_queues(self):
        settings = {"weight": 2, "paused": True, "why": "to see", "limits": {"running": 3, "cpus": 2.5, "jobs": 9, "submissions": 0.5},
                    "owner_limits": {"running": 1}, "submitters": ["user:anna"], "weights": [{"key": "k", "weight": 2}]}
        self.call("PUT", "/v1/queues/nobodys", settings)
        self.call("PATCH", "/v1/queues/nobodys", {"weight": 3})
        self.call("GET", "/v1/queues/nobodys")
        self.call("GET", "/v1/queues")

    def make_plans(self):
        self.write("lines", "a\nb\n")
        self.write("data", "x\n" * 1000)
        for more in ({"array": "9"}, {"items": ["a", "b"]}, {"lines": "file://" + self.path("lines")},
                     {"bytes": "500", "of": "file://" + self.path("data"), "align": "line", "input": "stdin", "gather": ["cat"]}):
            plan = self.call("POST", "/v1/plan", {"command": {"argv": ["echo"], **more}})
            self.assertTrue(plan["first"] or plan["shards"] is None, plan)

    def take_events(self):
        self.call("POST", "/v1/events", self.post("test", "e1"))
        self.call("POST", "/v1/events", [self.post("test", "e1"), {"id": "none"}])
        until(lambda: self.jobs("?event=e1"))
        self.call("POST", "/v1/events", self.post("sour", "e2"))
        for event in ("e3", "e4"):
            skipped = self.call("POST", "/v1/events", self.post("one", event))["events"][0].get("skipped")
        self.assertEqual(skipped, 1)
        self.call("GET", "/v1/rules")
        self.write("rules/files.yaml", RULE % ("files", "shardmill.bucket", "[[["))
        self.write("rules/new.yaml", "nothing: 1\n")
        until(lambda: [r for r in self.call("GET", "/v1/rules")["rules"] if r["error"] and r["last_good"]])
        self.assertTrue(self.call("GET", "/v1/status")["rules_error"])
        os.unlink(self.path("rules/new.yaml"))
        self.write("rules/files.yaml", RULE % ("files", "shardmill.bucket", "hi"))
        until(lambda: not self.call("GET", "/v1/status")["rules_error"])

    def refuse(self):
        for status, method, path, body in ((404, "GET", "/v1/jobs/99", None), (400, "POST", "/v1/jobs", {"nothing": 1}),
                                           (405, "POST", "/v1/status", None), (400, "GET", "/v1/jobs?limit=0", None)):
            self.refused(status, method, path, body)

    def watch_one_run(self):
        gate = self.path("gate")
        job = self.command("sh", "-c", "echo out; echo err >&2; [ $1 = 0 ] || until [ -e %s ]; do sleep 0.02; done" % gate, "-", "{}",
                           array="3", queue="q", gather=["cat"], cpus="0.1")
        path = "/v1/jobs/%d" % job
        until(lambda: self.call("GET", path + "/running?limit=1")["next"])  # both that wait for the gate run
        runs = until(lambda: [r for r in self.call("GET", path + "/running?limit=1")["running"] if r["err_bytes"]])
        self.assertEqual(self.call("GET", path + "/live?attempt_id=" + runs[0]["attempt_id"], raw=True), b"out\n")
        self.call("GET", "/v1/demand")
        self.call("GET", path + "/wait?timeout=0s")
        self.call("GET", path + "/explain")
        until(lambda: self.call("GET", path)["shard_seconds"])
        self.call("POST", path + "/pause", {"why": "to see"})
        self.call("POST", path + "/resume")
        open(gate, "w").close()
        self.assertEqual(self.mill.wait(job)["state"], "succeeded")
        self.call("GET", path)
        self.call("GET", path + "/shards?state=done")
        self.assertEqual(self.call("GET", path + "/attempts?limit=2")["next"], 2)
        self.call("GET", path + "/attempts?state=done,dead&cursor=1&phase=0")
        large = self.command("true", array="1-9", cpus="1000")
        self.assertEqual([r["last_value"] for r in self.call("GET", "/v1/jobs/%d/attempts" % large)["shards"]], ["9"])
        self.call("POST", "/v1/jobs/%d/cancel" % large)
        self.written(job)
        self.assertEqual(self.call("GET", path + "/output", raw=True), b"out\n" * 3)
        self.call("POST", path + "/again", headers={"Idempotency-Key": "again"})
        self.assertTrue(self.call("POST", path + "/again", headers={"Idempotency-Key": "again"})["duplicate"])
        self.call("POST", "/v1/jobs", {"command": {"argv": ["true"]}, "id": "once", "name": "n", "priority": 3})
        self.call("POST", "/v1/jobs", {"command": {"argv": ["true"]}, "id": "once", "name": "n", "priority": 3})
        self.call("GET", "/v1/workers?limit=1")
        self.call("GET", "/v1/jobs?limit=1")
        self.call("GET", "/v1/jobs?fields=id&state=active,running,succeeded")

    def let_fail_and_go_on(self):
        good = self.path("good")
        job = self.command("sh", "-c", "echo line; [ $1 = 1 ] || [ -e %s ] || { echo bad >&2; exit 3; }" % good, "-", "{}", array="3", attempts="1",
                           tolerate="3")
        self.mill.wait(job)
        self.assertEqual(until(lambda: self.call("GET", "/v1/jobs/%d/shards?limit=1" % job)["next"]), 1)
        self.assertEqual({r["failed"] for r in self.call("GET", "/v1/jobs/%d/attempts" % job)["shards"]}, {None, "exit"})
        self.call("GET", "/v1/jobs/%d/explain" % job)
        open(good, "w").close()
        self.assertEqual(self.retry(job)["kept"], 1)
        self.mill.wait(job)

    def go_on_with_a_dead_shard(self):
        gate = self.path("gate-of-five")
        job = self.command("sh", "-c", "[ $1 = 5 ] && exit 2; until [ -e %s ]; do sleep 0.02; done" % gate, "-", "{}", array="5-6",
                           keep_going=True, exit={"2": "fail"})
        until(lambda: "outlook" in self.call("GET", "/v1/jobs/%d" % job))
        open(gate, "w").close()
        self.assertEqual(("failed", "5-6"), tuple(self.mill.wait(job)[n] for n in ("state", "array")))

    def later(self, method, path):
        """history has the end of the job"""
        try:
            return self.call(method, path)
        except ApiError as e:
            if e.status not in (404, 429):
                raise
            return None

    def retry(self, job):
        return until(lambda: self.later("POST", "/v1/jobs/%d/retry" % job))["reopened"]

    def written(self, job):
        """of all its shards: history has them"""
        return until(lambda: (lambda w: w if w and w["next"] else None)(self.later("GET", "/v1/jobs/%d/written" % job)))["written"]

    def lose_an_output(self):
        job = self.command("echo", "lost")
        self.mill.wait(job)
        output = os.path.join(self.mill.state, "output")
        self.assertEqual([w["out_bytes"] for w in self.written(job)], [5])
        os.rename(output, output + ".gone")
        self.assertEqual([w.get("lost") for w in self.written(job)], [True])
        self.assertEqual(self.retry(job)["lost"], 1)
        os.rename(output + ".gone", output)
        self.mill.wait(job)

    def wait_for_another(self):
        first = self.command("sleep", "60", cpus="0.1")
        second = self.call("POST", "/v1/jobs", {"command": {"argv": ["true"]}, "after": ["%d:failed" % first],
                                                "deadline": "1h", "start_by": "1h"})["id"]
        self.assertEqual(self.call("GET", "/v1/jobs/%d" % second)["after_count"], 1)
        bounded = self.command("true", array="3%2", cpus="0.1", rate="1000/s")
        self.assertEqual(self.call("GET", "/v1/jobs/%d" % bounded)["rate"], "1000/1s")
        self.assertEqual(self.call("GET", "/v1/jobs/%d" % bounded)["max_running"], 2)
        self.mill.wait(bounded)
        grouped = [self.mill.submit("version: 1\nname: g\nrun: {exec: [sleep, '60'], resources: {cpus: 0.1}}\n"
                                    "concurrency: {group: g, latest: %s}\n" % latest) for latest in ("true", "false", "false")]
        self.assertTrue(self.call("GET", "/v1/jobs/%d" % grouped[0])["concurrency"]["latest"])
        group = self.call("GET", "/v1/jobs/%d" % grouped[2])["concurrency"]
        self.assertEqual((group["waits"], group["before"], group["holders"]), (True, 1, [grouped[0]]))
        for job in reversed(grouped):
            self.call("POST", "/v1/jobs/%d/cancel" % job, {})
        self.call("POST", "/v1/jobs/%d/cancel" % first, {})
        self.call("POST", "/v1/wait", {"jobs": [second], "timeout": "30s"})

    def try_one(self):
        dry = self.call("POST", "/v1/jobs", {"command": {"argv": ["true"], "cpus": "0.1"}, "dry_run": True})
        self.assertEqual((dry["id"], dry["dry_run"]["shards"], dry["dry_run"]["shape"]), (0, 1, "cpus=0.1"))

    def forget(self):
        job = self.call("POST", "/v1/events", self.post("test", "goes"))["events"][0]["jobs"][0]
        other = self.call("POST", "/v1/jobs", {"command": {"argv": ["true"]}, "id": "goes"})["id"]
        for one in (job, other):
            self.mill.wait(one)
        until(lambda: self.call("GET", "/v1/status")["kept"]["since"])
        until(lambda: self.call("POST", "/v1/changes", {"change": "forget", "jobs": [job, other]})["changed"] == 2)
        self.assertTrue(self.call("POST", "/v1/events", self.post("test", "goes"))["events"][0]["forgotten"])
        self.assertTrue(self.call("POST", "/v1/jobs", {"command": {"argv": ["true"]}, "id": "goes"})["forgotten"])

    def ask_for_many(self):
        job = self.command("sleep", "60", cpus="0.1")
        done = self.call("POST", "/v1/changes", {"change": "pause", "jobs": [job, [job, job], 999999], "why": "w"})
        self.assertEqual((done["changed"], done["same"], len(done["errors"])), (1, 1, 1))
        self.assertEqual(self.call("POST", "/v1/changes", {"change": "resume", "jobs": [[100001, 100200]]})["next"], 100101)
        self.call("POST", "/v1/wait", {"jobs": [[1, job]], "timeout": "10ms"})
        self.call("POST", "/v1/jobs/%d/cancel" % job, {"why": "enough"})
        other = self.command("false", attempts="1")
        self.mill.wait(other)
        self.assertIn(other, self.call("POST", "/v1/wait", {"jobs": [job, other, 999999]})["not_succeeded"])

    def keep_results(self):
        job = self.mill.submit(OUTPUT % self.path("results"))
        self.mill.wait(job)
        self.assertIn(self.path("results"), until(lambda: self.mill.job(job).get("output")))

    def apply_rules(self):
        until(lambda: self.call("POST", "/v1/rules/apply", {"rule": "files", "bucket": self.path("bucket"), "since": 1})["ended"])
        until(lambda: self.jobs("?name=files&state=succeeded"))

    def send_worker_away(self):
        """The first has no directory any more in which it could start anything: it says so, and rests."""
        worker = self.call("GET", "/v1/workers")["workers"][0]["id"]
        self.call("POST", "/v1/workers/%s/drain" % worker)
        until(lambda: not self.call("GET", "/v1/workers")["workers"])
        self.call("POST", "/v1/workers/%s/gone" % worker)

    def check_all_was_seen(self, document):
        expected = {(o["operationId"], int(status)) for methods in document.json["paths"].values() for o in methods.values()
                    for status in o["responses"] if status != "default"}
        self.assertEqual(expected - document.seen, set())
        requests = {"submission", "command", "reason", "changes", "wait", "apply", "pool_told", "queue_limits_asked",
                    "queue_settings"}
        members = {(name, member) for name, schema in document.json["components"]["schemas"].items() if name not in requests
                   for member in schema["properties"]}
        print("openapi: %d of %d members seen" % (len(members & document.members), len(members)))
        self.assertEqual(members - document.members - RARE, set())


if __name__ == "__main__":
    main()
