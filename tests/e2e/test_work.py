#!/usr/bin/env python3
"""Shards through a real dispatcher and worker: what plans give them, and what comes back."""
import http.client
import json
import os

from case import FAST, ApiError, MillCase, main, until


class Work(MillCase):
    def start(self, workers=1, **params):
        self.mill.start_dispatcher(**dict(FAST, **params))
        for _ in range(workers):
            self.mill.start_worker(heartbeat="100ms")

    def run_job(self, definition, state="succeeded", **more):
        job = self.mill.submit(definition, **more)
        ended = self.mill.wait(job)
        self.assertEqual(ended["state"], state, ended)
        return job

    def test_outputs_come_in_shard_order_and_one_by_one(self):
        self.start()
        job = self.run_job("version: 1\nname: x\nshard: {count: 300}\n"
                           "run: {exec: [sh, -c, 'echo $SHARDMILL_SHARD; echo oops >&2']}\n")
        self.assertEqual(self.mill.output(job), b"".join(b"%d\n" % n for n in range(300)))
        self.assertEqual(self.mill.output(job, "?shard=17"), b"17\n")
        self.assertEqual(self.mill.output(job, "?stream=err&shard=17"), b"oops\n")
        self.expect_error(400, "invalid", "GET", "/v1/jobs/%d/output?shard=300" % job)

    def test_gather_gets_all_outputs_in_order(self):
        self.start(workers=2)
        job = self.run_job("version: 1\nname: x\nshard: {count: 200}\nrun: {exec: [echo, '{{shard.index}}']}\n"
                           "gather: {exec: [sh, -c, 'cat; echo missing $SHARDMILL_MISSING']}\n")
        self.assertEqual(self.mill.output(job), b"".join(b"%d\n" % n for n in range(200)) + b"missing 0\n")
        self.assertEqual(self.mill.output(job, "?shard=5"), b"5\n")

    def test_gather_knows_what_is_missing(self):
        self.start()
        job = self.run_job("version: 1\nname: x\nshard: {count: 10}\ntolerate: 2\nretry: {attempts: 1}\n"
                           "run: {exec: [sh, -c, 'test $SHARDMILL_SHARD != 3 || exit 9; echo $SHARDMILL_SHARD']}\n"
                           "gather: {exec: [sh, -c, 'cat; echo missing $SHARDMILL_MISSING']}\n")
        want = b"".join(b"%d\n" % n for n in range(10) if n != 3) + b"missing 1\n"
        self.assertEqual(self.mill.output(job), want)
        dead = self.mill.api("GET", "/v1/jobs/%d/shards" % job)["shards"]
        self.assertEqual([(d["first"], d["count"], d["kind"], d["code"]) for d in dead], [(3, 1, "exit", 9)])

    def test_bytes_of_a_file_whose_size_is_not_known(self):
        self.start()
        lines = b"".join(b"line %d\n" % n for n in range(20000))
        path = self.write("in.txt", lines)
        job = self.run_job("version: 1\nname: x\nshard: {bytes: 16KiB, align: line, of: 'file://%s'}\n"
                           "run: {exec: [cat], input: stdin}\n" % path)
        self.assertEqual(self.mill.output(job), lines)
        self.assertGreater(self.mill.job(job)["phases"][0]["shards"], 5)

    def test_items_of_a_file_are_frozen(self):
        self.start()
        items = ["item %d" % n for n in range(3000)] + ["x" * 60000, "last"]
        path = self.write("items.txt", "\r\n".join(items[:10]) + "\n\n" + "\n".join(items[10:]))
        definition = ("version: 1\nname: x\nshard: {items: {lines: 'file://%s'}}\n"
                      "run: {exec: [echo, '{{shard.item}}']}\n" % path)
        job = self.run_job(definition)
        self.assertEqual(self.mill.output(job).decode().split("\n")[:-1], items)
        os.unlink(path)
        failed = self.run_job(definition + "retry: {attempts: 1}\n", state="failed")
        self.assertIn("items.txt", self.mill.job(failed)["why"])

    def test_items_that_a_command_makes(self):
        self.start(workers=2)
        definition = ("version: 1\nname: x\nshard: {items: {lines: {exec: [sh, -c, '%s']}}}\nretry: {attempts: 1}\n"
                      "run: {exec: [echo, 'item {{shard.item}}']}\n")
        job = self.run_job(definition % "seq 1000; echo told >&2" + "gather: {exec: [sort, -rn, -k2]}\n")
        self.assertEqual(self.mill.output(job), b"".join(b"item %d\n" % n for n in range(1000, 0, -1)))
        self.assertEqual(self.mill.output(job, "?shard=4"), b"item 5\n")
        ended = self.mill.job(job)
        shards = [p for p in ended["phases"] if p["name"] == "shards"][0]
        self.assertEqual((shards["shards"], shards["done"]), (1000, 1000))
        self.assertEqual(ended["phases"][0]["name"], "plan")
        plain = self.run_job(definition % "echo a; echo b")
        self.assertEqual(self.mill.output(plain), b"item a\nitem b\n")
        empty = self.run_job(definition % "exit 0")
        self.assertEqual(self.mill.output(empty), b"")
        failed = self.run_job(definition % "echo no list here >&2; exit 3", state="failed")
        self.assertIn("exit 3, no list here", self.mill.job(failed)["why"])

    def test_a_list_that_a_command_made_outlives_the_dispatcher(self):
        self.start()
        job = self.mill.submit("version: 1\nname: x\nshard: {items: {lines: {exec: [seq, '30']}}}\n"
                               "run: {exec: [sh, -c, 'sleep 0.05; echo $1', _, '{{shard.item}}']}\n")
        until(lambda: self.mill.job(job)["phases"][-1]["done"] > 3)
        self.mill.kill(self.mill.dispatcher)
        self.mill.start_dispatcher(**FAST)
        self.assertEqual(self.mill.wait(job)["state"], "succeeded")
        self.assertEqual(self.mill.output(job), b"".join(b"%d\n" % n for n in range(1, 31)))

    def test_leases_of_items_that_are_too_large_for_a_frame(self):
        self.start(lease_time="2s")
        items = ["%06d" % n + "x" * 60000 for n in range(600)]
        path = self.write("items.txt", "\n".join(items))
        job = self.run_job("version: 1\nname: x\nshard: {items: {lines: 'file://%s'}}\nretry: {attempts: 1}\n"
                           "run: {exec: [head, -c, '6'], input: stdin}\n" % path)
        self.assertEqual(self.mill.output(job), b"".join(b"%06d" % n for n in range(600)))

    def test_items_in_the_definition(self):
        self.start()
        job = self.run_job("version: 1\nname: x\nshard: {items: [a, 'b c', '$(d)']}\n"
                           "run: {exec: [echo, '{{shard.item}}']}\n")
        self.assertEqual(self.mill.output(job), b"a\nb c\n$(d)\n")

    def test_a_missing_program_is_told_in_words(self):
        self.start()
        job = self.run_job("version: 1\nname: none\nrun: {exec: [/no/such/program]}\nretry: {attempts: 1}\n",
                           state="failed")
        self.assertIn("shard 0: no_program, no program `/no/such/program`: No such file", self.mill.job(job)["why"])

    def test_broken_json_lines_fail_the_job_in_words(self):
        self.start()
        path = self.write("items.jsonl", '{"a": 1}\n{"a": }\n')
        job = self.run_job("version: 1\nname: x\nshard: {items: {json-lines: 'file://%s'}}\n"
                           "run: {exec: [echo, '{{shard.item}}']}\n" % path, state="failed")
        self.assertIn("items.jsonl:2", self.mill.job(job)["why"])

    def test_a_worker_works_on_while_the_dispatcher_is_away(self):
        self.start()
        job = self.mill.submit("version: 1\nname: x\nshard: {count: 40}\n"
                               "run: {exec: [sh, -c, 'sleep 0.05; echo $SHARDMILL_SHARD']}\n")
        until(lambda: self.mill.job(job)["phases"][0]["done"] > 3)
        self.mill.kill(self.mill.dispatcher)
        self.mill.start_dispatcher(**FAST)
        ended = self.mill.wait(job)
        self.assertEqual((ended["state"], ended["phases"][0]["done"]), ("succeeded", 40))
        self.assertEqual(self.mill.output(job), b"".join(b"%d\n" % n for n in range(40)))

    def test_a_large_output_is_streamed(self):
        self.start()
        job = self.run_job("version: 1\nname: x\nshard: {count: 8}\n"
                           "run: {exec: [sh, -c, 'head -c 8000000 /dev/zero']}\n")
        self.assertEqual(len(self.mill.output(job)), 8 * 8000000)
        with open("/proc/%d/status" % self.mill.dispatcher.pid) as f:
            rss = [int(line.split()[1]) for line in f if line.startswith("VmHWM")][0]
        if os.environ.get("MILL_BUILD") != "asan":
            self.assertLess(rss, 200 * 1024, "KiB at most")

    def test_a_damaged_output_is_not_sent_as_whole(self):
        self.start()
        job = self.run_job("version: 1\nname: x\nshard: {count: 3}\nrun: {exec: [echo, hello]}\n")
        self.assertEqual(self.mill.output(job), b"hello\n" * 3)
        until(lambda: self.mill.api("GET", "/v1/jobs/%d" % job)["state"] == "succeeded")
        found = [os.path.join(d, f) for d, _, files in os.walk(os.path.join(self.mill.state, "output"))
                 for f in files if f.endswith(".out") and os.path.getsize(os.path.join(d, f)) > 0]
        with open(found[0], "r+b") as f:
            f.write(b"J")
        with self.assertRaises((http.client.IncompleteRead, ConnectionError, http.client.HTTPException, ApiError)) as told:
            self.mill.output(job)
        if isinstance(told.exception, ApiError):  # it was the first shard's: no byte has gone out before
            self.assertEqual((told.exception.status, told.exception.error["code"]), (500, "corrupt"))
        self.assertTrue(self.mill.answers())

    def test_drain_and_gone(self):
        self.start()
        worker = until(lambda: self.mill.api("GET", "/v1/workers")["workers"])[0]
        self.assertEqual(worker["state"], "idle")
        self.mill.api("POST", "/v1/workers/%s/drain" % worker["id"])
        self.assertEqual(self.mill.workers[0].wait(20), 0)
        self.expect_error(404, "not_found", "POST", "/v1/workers/%s/drain" % ("0" * 31 + "1"))
        self.mill.api("POST", "/v1/workers/%s/gone" % worker["id"])
        until(lambda: not self.mill.api("GET", "/v1/workers")["workers"])

    def test_cancel_ends_what_runs(self):
        self.start()
        job = self.mill.submit("version: 1\nname: x\nshard: {count: 2}\nrun: {exec: [sleep, '600']}\n")
        until(lambda: self.mill.job(job)["word"] == "running")
        self.mill.api("POST", "/v1/jobs/%d/cancel" % job, {"why": "enough"})
        self.assertEqual(self.mill.wait(job, 10)["state"], "cancelled")
        until(lambda: self.mill.api("GET", "/v1/workers")["workers"][0]["leases"] == 0)
        self.assertEqual(json.loads(json.dumps(self.mill.job(job)))["why"], "enough")


if __name__ == "__main__":
    main()
