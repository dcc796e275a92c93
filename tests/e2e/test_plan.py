#!/usr/bin/env python3
"""Between a plan phase and the shards that it makes: what is paused, cancelled, killed or lost there, and lists
that no good command would print."""
import http.server
import os
import signal
import subprocess
import threading
import time

from case import FAST, MillCase, main, until

PLAN = ("version: 1\nname: x\nshard: {items: {%s: {exec: [sh, -c, '%s']}}}\nretry: {attempts: 2, backoff: 50ms}\n"
        "run: {exec: [echo, 'item {{shard.item}}']}\n")


class Plan(MillCase):
    def start(self):
        self.mill.start_dispatcher(**FAST)
        self.mill.start_worker(heartbeat="100ms")

    def restart(self):
        self.mill.kill(self.mill.dispatcher)
        self.mill.start_dispatcher(**FAST)

    def change(self, job, verb):
        self.mill.api("POST", "/v1/jobs/%d/%s" % (job, verb))

    def planned(self, command="seq 30"):
        """A job whose list is written and, since it is paused, not read."""
        go, begun = self.path("go"), self.path("begun")
        job = self.mill.submit(PLAN % ("lines", "touch %s; until test -e %s; do sleep 0.02; done; %s" % (begun, go, command)))
        until(lambda: os.path.exists(begun))
        self.change(job, "pause")
        self.write("go", "")
        until(lambda: self.mill.job(job)["phase"] == 1)
        self.assertEqual(self.mill.job(job)["word"], "paused")
        return job

    def outputs(self, kind):
        found = [os.path.join(top, name) for top, _, names in os.walk(self.path("state", "output")) for name in names
                 if name.endswith("." + kind)]
        self.assertTrue(found, "outputs in %s" % self.path("state", "output"))
        return found

    def resumed(self, job, state="succeeded"):
        self.change(job, "resume")
        ended = self.mill.wait(job)
        self.assertEqual(ended["state"], state, ended)
        return ended

    def run_plan(self, command, kind="lines", state="succeeded"):
        ended = self.mill.wait(self.mill.submit(PLAN % (kind, command)))
        self.assertEqual(ended["state"], state, ended)
        return ended

    def test_a_plan_that_cannot_be_read_for_the_moment_is_tried_again(self):
        """The file of its items is away when the first lease goes out."""
        self.mill.start_dispatcher(**FAST)
        self.write("list", "".join("i%d\n" % n for n in range(50)))
        job = self.mill.api("POST", "/v1/jobs", {"command": {"argv": ["echo", "{}"], "lines": "file://" + self.path("list")}})["id"]
        until(lambda: self.mill.job(job)["phases"][0]["sealed"])
        blob = self.path("state", "plans", "%d-0.items" % job)
        os.rename(blob, self.path("away"))
        self.mill.start_worker(heartbeat="100ms")
        until(lambda: "it is tried again" in open(self.mill.dispatcher.log).read())
        self.assertEqual(self.mill.job(job)["state"], "active")
        os.rename(self.path("away"), blob)
        self.assertEqual(self.mill.wait(job)["state"], "succeeded")
        self.assertEqual(self.mill.output(job).split(), [b"i%d" % n for n in range(50)])

    def test_paused_killed_and_with_a_new_history_it_goes_on(self):
        self.start()
        job = self.planned()
        self.restart()
        self.assertEqual(self.mill.job(job)["word"], "paused")
        self.mill.kill(self.mill.dispatcher)
        for name in os.listdir(self.path("state")):
            if name.startswith("history.db"):
                os.unlink(self.path("state", name))
        self.mill.start_dispatcher(**FAST)
        self.resumed(job)
        self.assertEqual(self.mill.output(job), b"".join(b"item %d\n" % n for n in range(1, 31)))

    def test_cancelled_it_leaves_nothing(self):
        self.start()
        job = self.planned()
        self.change(job, "cancel")
        ended = self.mill.wait(job)
        self.assertEqual((ended["state"], ended["phases"][0]["done"], ended["phases"][1]["shards"]), ("cancelled", 1, 0))
        self.assertEqual(os.listdir(self.path("state", "plans")), [])
        self.run_plan("echo again")
        self.assertEqual(until(lambda: os.listdir(self.path("state", "plans")) == []), True)

    def refused(self, kind, change):
        """What becomes of a list whose file is changed before it is read; change: of its bytes, None: it goes."""
        self.start()
        job = self.planned()
        for path in self.outputs(kind):
            with open(path, "rb") as f:
                data = f.read()
            os.unlink(path)
            if change is not None:
                self.write(path, change(data))
        why = self.resumed(job, "failed")["why"]
        self.assertIn("could not be planned", why)
        return why

    def test_a_list_that_is_lost_is_not_an_empty_one(self):
        self.assertIn("lost", self.refused("idx", None))

    def test_a_list_whose_file_is_gone_is_told_by_its_path(self):
        self.assertIn("00000001.out", self.refused("out", None))

    def test_a_list_that_is_cut_off_is_not_taken(self):
        self.assertIn("its file ends before it should", self.refused("out", lambda data: data[:-10]))

    def test_a_list_that_is_damaged_is_not_taken(self):
        self.assertIn("checksum", self.refused("out", lambda data: data.replace(b"29\n", b"99\n")))

    def test_lists_that_nobody_would_write(self):
        self.start()
        cases = [("head -c 65537 /dev/zero | tr '\\0' x", "lines", "64 KiB"),
                 ("echo ok; printf 'a\\0b\\n'", "lines", "NUL"),
                 ("echo '{\"'; echo '1 2'", "json-lines", ":1")]
        for command, kind, words in cases:
            ended = self.run_plan(command.replace("'", "''"), kind, "failed")
            self.assertIn(words, ended["why"])
            self.assertNotIn("{{", ended["why"])
        ended = self.run_plan("printf ''a\\r\\n\\r\\n\\n b \\r\\nc''")
        self.assertEqual(self.mill.output(ended["id"]), b"item a\nitem  b \nitem c\n")
        self.assertEqual(self.run_plan("printf -- ''-n\\n\\377\\n''")["phases"][1]["done"], 2)

    def said(self, verb, job):
        return subprocess.run([os.path.join(self.mill.build, "cli", "shardmill"), verb, str(job)], text=True,
                              env=dict(os.environ, SHARDMILL_API_SOCKET=self.mill.socket), stdout=subprocess.PIPE)

    def test_the_dead_of_its_shards_are_shown(self):
        self.start()
        job = self.mill.submit((PLAN % ("lines", "seq 3")).replace("[echo, 'item", "[sh, -c, 'exit 7 # "))
        self.assertEqual(self.mill.wait(job)["state"], "failed")
        dead = until(lambda: self.mill.api("GET", "/v1/jobs/%d/shards" % job)["shards"])
        self.assertEqual({(d["kind"], d["code"]) for d in dead}, {("exit", 7)})
        self.assertIn("Dead shards", self.said("show", job).stdout)
        failed = self.run_plan("exit 4", state="failed")
        dead = until(lambda: self.mill.api("GET", "/v1/jobs/%d/shards" % failed["id"])["shards"])
        self.assertEqual([(d["first"], d["kind"], d["code"]) for d in dead], [(0, "exit", 4)])
        self.assertEqual(failed["phases"][0]["dead"], 1, failed)
        waited = self.said("wait", failed["id"])
        self.assertEqual(waited.returncode, 1, waited)
        self.assertRegex(waited.stdout, r"failed before it had shards, after [0-9.]*[1-9][0-9]* \w+; .*exit 4")


OBJECT = "version: 1\nname: x\nshard: {bytes: 10B, align: none, of: '%s'}\nrun: {exec: [echo, '{{shard.url}}']}\n"
DEAD = OBJECT % "s3://dead/preview"


class Stores(MillCase):
    """Objects whose sizes are asked of two buckets, one of which never answers."""

    def serve(self):
        over, asked = threading.Event(), []

        class Answers(http.server.BaseHTTPRequestHandler):
            def do_HEAD(self):
                asked.append(self.path)
                if self.path.startswith("/dead/"):
                    over.wait(60)
                    return
                self.send_response(200)
                self.send_header("Content-Length", "100")
                self.send_header("ETag", '"1234"')
                self.end_headers()

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for stop in (server.server_close, server.shutdown, over.set):
            self.addCleanup(stop)
        return "http://127.0.0.1:%d" % server.server_port, asked

    def set_keys(self):
        keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
        before = {name: os.environ.get(name) for name in keys}
        os.environ.update(keys)
        self.addCleanup(lambda: [os.environ.pop(n) if v is None else os.environ.update({n: v}) for n, v in before.items()])

    def submit(self, url):
        return self.mill.submit(OBJECT % url)

    def test_one_that_is_dead_delays_no_other(self):
        endpoint, asked = self.serve()
        self.set_keys()
        self.mill.start_dispatcher(**FAST, s3_endpoint=endpoint)
        dead = [self.submit("s3://dead/%d" % n) for n in range(12)]
        until(lambda: len([path for path in asked if path.startswith("/dead/")]) == 2)
        for n in range(5):
            begun = time.monotonic()
            job = self.submit("s3://alive/%d" % n)
            until(lambda: self.mill.job(job)["phases"][0]["shards"] == 10, 20)
            self.assertLess(time.monotonic() - begun, 5)
        self.assertEqual(len([path for path in asked if path.startswith("/dead/")]), 2, "more than two ask one store")
        for job in dead:
            self.assertEqual(self.mill.job(job)["word"], "planning")
            self.change(job, "cancel")

    def test_a_dispatcher_that_stops_while_a_preview_is_made(self):
        endpoint, asked = self.serve()
        self.set_keys()
        self.mill.start_dispatcher(**FAST, s3_endpoint=endpoint)
        answers = []

        def ask():
            try:
                answers.append(self.mill.api("POST", "/v1/plan", {"definition": DEAD}))
            except Exception as e:
                answers.append(e)

        asking = threading.Thread(target=ask)
        asking.start()
        until(lambda: asked)
        self.mill.dispatcher.send_signal(signal.SIGTERM)
        self.assertEqual(self.mill.dispatcher.wait(30), 0)
        asking.join(30)
        self.assertIn("stopping", str(answers[0]))

    def change(self, job, verb):
        self.mill.api("POST", "/v1/jobs/%d/%s" % (job, verb))


if __name__ == "__main__":
    main()
