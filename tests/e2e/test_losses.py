#!/usr/bin/env python3
"""Each file of a state directory is removed, cut and changed, and what happens then is what the table says."""
import http.client
import itertools
import os
import re
import shutil
import signal
import sqlite3

import case
from case import ROOT, ApiError, MillCase, main, until
from mill import Mill

TABLE = os.path.join(ROOT, "dispatcher", "store", "README.md")
TAKE = """version: 1
name: take
on: [{pattern: {source: [shardmill.bucket]}}]
run: {exec: ['true']}
"""
EVENT = {"id": "e-1", "source": "test", "detail-type": "Thing", "time": "2026-01-01T00:00:00Z", "resources": [],
         "detail": {}}
TEST_RULE = """version: 1
name: thing
on: [{pattern: {source: [test]}}]
run: {exec: ['true']}
"""
FILL = "version: 1\nname: fill\nrun: {exec: [echo, '%d %s']}\n"


def options(mill):
    return dict(rules_dir=os.path.join(mill.dir, "rules"), bucket=os.path.join(mill.dir, "bucket"),
                bucket_rescan="200ms", journal_segment="16MiB", dedup_max="1024", api_listen="127.0.0.1:%d" % mill.api_port)


def write(path, text):
    with open(path, "w") as f:
        f.write(text)


def make_state(mill):
    """Jobs that have ended, live ones, one with a plan of items; a killed dispatcher, so that history has its WAL."""
    for name in ("rules", "bucket"):
        os.mkdir(os.path.join(mill.dir, name))
    write(os.path.join(mill.dir, "rules", "take.yaml"), TAKE)
    write(os.path.join(mill.dir, "rules", "thing.yaml"), TEST_RULE)
    write(os.path.join(mill.dir, "bucket", "a.txt"), "1")
    write(os.path.join(mill.dir, "items"), "".join("item-%d\n" % n for n in range(100)))
    mill.start_dispatcher(**options(mill))
    worker = mill.start_worker()
    until(lambda: mill.api("GET", "/v1/jobs?name=take")["jobs"])
    job = mill.submit("version: 1\nname: done\nrun: {exec: [echo, written]}\n")
    assert mill.wait(job)["state"] == "succeeded"
    done = job
    mill.api("POST", "/v1/events", EVENT)
    until(lambda: not mill.api("GET", "/v1/status")["jobs"]["live"])
    worker.terminate()
    worker.wait()
    mill.workers.remove(worker)
    items = mill.api("POST", "/v1/jobs", {"command": {
        "argv": ["echo", "{}"], "lines": "file://" + os.path.join(mill.dir, "items")}})["id"]
    until(lambda: mill.job(items)["phases"][0]["sealed"])
    for n in itertools.count():
        if os.path.exists(os.path.join(mill.state, "journal", "%020d.segment" % 3)):
            break
        mill.submit(FILL % (n, "x" * 60000))
    for n in range(3 * 85):  # more than stay in memory
        mill.submit(FILL % (n, ""), id="key-%d" % n)
    until(lambda: mill.api("GET", "/v1/status")["dedup"]["files"] > 0)
    until(lambda: status(mill)["history_lsn"] == status(mill)["last_lsn"])
    mill.kill(mill.dispatcher)
    return done, items


def status(mill):
    return mill.api("GET", "/v1/status")["journal"]


class Losses(MillCase):
    @classmethod
    def setUpClass(cls):
        cls.template = Mill(case.BUILD)
        cls.template.api_port = case.free_port()
        cls.template.__enter__()
        try:
            cls.done, cls.items = make_state(cls.template)
        except BaseException:
            cls.template.__exit__(AssertionError, None, None)
            raise

    @classmethod
    def tearDownClass(cls):
        cls.template.__exit__(None, None, None)

    def setUp(self):
        """The same directory for all: rules, bucket and outputs are known by their paths."""
        self.mill = self.template
        self.kept = self.mill.state + ".kept"
        if not os.path.exists(self.kept):
            shutil.copytree(self.mill.state, self.kept, symlinks=True)

    def tearDown(self):
        pass

    def renew(self):
        shutil.rmtree(self.mill.state)
        shutil.copytree(self.kept, self.mill.state, symlinks=True)
        write(os.path.join(self.mill.dir, "rules", "take.yaml"), TAKE)

    def start(self, wait=True, **more):
        return self.mill.start_dispatcher(wait=wait, **dict(options(self.mill), **more))

    def stop(self):
        self.mill.dispatcher.send_signal(signal.SIGTERM)
        self.assertEqual(self.mill.dispatcher.wait(30), 0)

    def log(self):
        with open(self.mill.dispatcher.log) as f:
            return f.read()

    # ---- what may happen ----

    def refused(self, *words, accept=None, then=None):
        def check():
            p = self.start(wait=False)
            self.assertEqual(p.wait(30), 1, self.log())
            for word in words:
                self.assertIn(word, self.log())
            if accept is not None:
                self.assertIn("--accept-lost=" + accept, self.log())
                self.start(accept_lost=accept)
                self.assertIn("accepted", self.log())
                if then:
                    then()
                self.stop()
                self.start()  # it was accepted once and for all
                self.stop()
        return check

    def goes_on(self, *words, then=None):
        def check():
            self.start()
            for word in words:
                until(lambda: word in self.log(), 20)
            self.whole()
            if then:
                then()
            self.stop()
        return check

    def whole(self):
        """Nothing is lost, and nothing starts twice."""
        self.assertEqual(self.mill.job(self.done)["state"], "succeeded")
        self.assertFalse(self.mill.job(self.items)["why"].startswith("its plan"))
        self.assertTrue(self.mill.api("POST", "/v1/events", EVENT)["events"][0]["duplicate"])
        self.assertEqual(len(self.mill.api("GET", "/v1/jobs?name=take&limit=1000")["jobs"]), 1)

    def no_output(self):
        with self.assertRaises((ApiError, http.client.HTTPException)):
            self.mill.output(self.done)

    def items_fail(self):
        worker = self.mill.start_worker()
        try:
            job = self.mill.wait(self.items, 60)
        finally:
            worker.terminate()
            worker.wait()
            self.mill.workers.remove(worker)
        self.assertEqual(job["state"], "failed", job)
        self.assertIn("its plan cannot be read", job["why"])
        self.assertIn("plans/%d-0.items" % self.items, job["why"])

    def token_is_new(self):
        with open(os.path.join(self.kept, "keys", "api-token")) as old:
            with open(os.path.join(self.mill.state, "keys", "api-token")) as new:
                self.assertNotEqual(old.read(), new.read())

    def public_is_old(self):
        with open(os.path.join(self.kept, "keys", "worker.key.pub")) as old:
            with open(os.path.join(self.mill.state, "keys", "worker.key.pub")) as new:
                self.assertEqual(old.read(), new.read())

    def producer_is_let_in(self):
        """By its new key; the old one stays."""
        with open(os.path.join(self.mill.state, "keys", "allowed")) as f:
            self.assertEqual([line.split()[0] for line in f if line[0] != "#"], ["worker", "producer", "producer"])

    def a_worker_connects(self):
        worker = self.mill.start_worker()
        until(lambda: self.mill.api("GET", "/v1/status")["workers"] == 1)
        worker.terminate()
        worker.wait()
        self.mill.workers.remove(worker)

    def broken_rule(self, check):
        """The rule's file is broken as well: then the copy is needed."""
        def run():
            write(os.path.join(self.mill.dir, "rules", "take.yaml"), "version: 1\nname: [\n")
            check()
        return run

    def events_wait(self):
        with self.assertRaises(ApiError) as caught:
            self.mill.api("POST", "/v1/events", EVENT)
        self.assertEqual(caught.exception.status, 503)

    def without_rule(self):
        self.start()
        self.events_wait()
        self.stop()

    # ---- the table ----

    def cases(self):
        """File as in the table: a pattern of its path, what a loss does, what damage does, and where (a byte)."""
        key = lambda name, word: (r"keys/%s" % name, self.refused("is missing", word, accept="keys/" + name,
                                                                 then=self.a_worker_connects))
        fine = self.goes_on()
        return {
            "identity": ("identity", self.refused("without an identity"), self.refused("expected an identity"), 12),
            "lock": ("lock", fine, fine, 0),
            "journal/*.segment (first)": (r"journal/0*1\.segment", self.refused("its first segments are missing"),
                                          self.refused("journal"), 5000),
            "journal/*.segment (last)": (r"journal/0*[23]\.segment", self.refused("history knows record"),
                                         self.refused("journal"), 4100),
            "journal/*.segment (next)": (r"journal/0*3\.segment", fine,
                                         self.refused("expected a segment's header"), 5000),
            "journal/prepared.tmp": (r"journal/prepared\.tmp", fine, fine, 100),
            "journal-begin": ("journal-begin", fine, self.refused("expected the number of a record", "remove it"), 0),
            "history.db": (r"history\.db", fine, self.refused("history.db"), 3),
            "history.db-wal": (r"history\.db-wal", fine, fine, 2000),
            "history.db-shm": (r"history\.db-shm", fine, fine, 100),
            "plans/*.items": (r"plans/%d-0\.items" % self.items, self.goes_on(then=self.items_fail),
                              self.goes_on(then=self.items_fail), 200),
            "keys/dedup": key("dedup", "a second time") + (self.refused("not the secret that this state was made with",
                                                                          accept="keys/dedup"), 3),
            "dedup/list": (r"dedup/list", self.refused("dedup/list", "a second time", accept="dedup"),
                           self.refused("dedup/list", "is damaged", accept="dedup"), 3),
            "dedup/*.keys": (r"dedup/.*\.keys", self.refused("is missing", "a second time", accept="dedup"),
                             self.refused("is damaged", "a second time", accept="dedup"), 20),
            "keys/dispatcher.key": key(r"dispatcher.key", "until they have") + (self.refused("dispatcher.key"), 20),
            "keys/worker.key": key(r"worker.key", "cannot be told from") + (self.refused("worker.key"), 20),
            "keys/producer.key": (r"keys/producer\.key", self.goes_on(then=self.producer_is_let_in),
                                  self.refused("producer.key"), 20),
            "keys/allowed": key("allowed", "no other peer") + (self.refused("allowed:2"), 78),
            "keys/*.pub": (r"keys/worker\.key\.pub", self.goes_on(then=self.public_is_old),
                           self.goes_on(then=self.public_is_old), 20),
            "keys/api-token": ("keys/api-token", self.goes_on("a new token", then=self.token_is_new),
                               self.refused("expected a token"), 3),
            "output/*/*.out": (r"output/.*\.out", self.goes_on(then=self.no_output), None, 0),
            "output/*/*.idx": (r"output/.*\.idx", self.goes_on(then=self.no_output),
                               None, 0),
            "taken/*.files": (r"taken/.*\.files", self.goes_on("is missing: files that"),
                              self.goes_on("is damaged: files that"), 3),
            "rules-good/*": (r"rules-good/take\.yaml", self.broken_rule(self.without_rule),
                             self.broken_rule(self.without_rule), 3),
            "api.sock": (r"api\.sock", fine, None, 0),
        }

    def rows(self):
        with open(TABLE) as f:
            rows = [line.split(" | ")[0].lstrip("| ") for line in f if line.startswith("| `")]
        return [row.replace("`", "") for row in rows]

    def files_of(self, pattern):
        found = []
        for folder, _, names in os.walk(self.mill.state):
            for name in names:
                path = os.path.join(folder, name)
                if re.fullmatch(pattern, os.path.relpath(path, self.mill.state)):
                    found.append(path)
        return found

    def hurt(self, path, how, at):
        if how == "changed" and path.endswith("/history.db"):
            for more in ("-wal", "-shm"):  # as after an orderly stop: else the first page stands there
                os.unlink(path + more)
        if how == "lost":
            os.unlink(path)
        elif how == "cut":
            os.truncate(path, os.path.getsize(path) * 2 // 3)
        else:
            with open(path, "r+b") as f:
                f.seek(at)
                byte = f.read(1)
                f.seek(at)
                f.write(bytes([byte[0] ^ 0x80]))

    def try_one(self, row, how):
        pattern, lost, damaged, at = self.cases()[row]
        check = lost if how == "lost" else damaged
        if check is None:
            return
        self.renew()
        files = self.files_of(pattern)
        if not files and row in ("journal/prepared.tmp", "api.sock"):
            return  # it is there now and then, and lost each time
        self.assertTrue(files, row)
        if (row, how) == ("journal/*.segment (last)", "changed"):
            files = [path for path in files if path.endswith("2.segment")]
        for path in files:
            self.hurt(path, how, at)
        try:
            check()
        finally:
            if self.mill.dispatcher.poll() is None:
                self.mill.kill(self.mill.dispatcher)

    def test_the_table_names_what_is_tried_here(self):
        self.assertEqual(sorted(self.rows()), sorted(self.cases()))

    def test_each_file_of_the_directory_is_in_the_table(self):
        self.renew()
        patterns = [c[0] for c in self.cases().values()] + [r"keys/.*\.pub", r"rules-good/.*", r"plans/.*", r"output/.*"]
        for path in self.files_of(".*"):
            name = os.path.relpath(path, self.mill.state)
            self.assertTrue(any(re.fullmatch(p, name) for p in patterns), name + " is not in " + TABLE)

    def test_a_whole_copy_goes_on(self):
        self.renew()
        self.goes_on()()


def each(how):
    def test(self):
        for row in self.cases():
            with self.subTest(row=row, how=how):
                self.try_one(row, how)
    return test


class Restored(MillCase):
    """History was restored from a copy that is older than a job's end, and the loss was accepted."""

    def forget_the_end(self, job):
        """As in the copy."""
        db = sqlite3.connect(os.path.join(self.mill.state, "history.db"))
        with db:
            self.assertEqual(db.execute("UPDATE job_rows SET state = 2 WHERE id = ?", (job,)).rowcount, 1)
        db.close()

    def test_a_job_of_which_nobody_knows_how_it_ended(self):
        rows = case.ECHO.replace("run:", "shard: {count: 2}\nrun:")  # one of one shard would stand in a block
        self.mill.start_dispatcher()
        self.mill.start_worker()
        lost, whole = [self.mill.api("POST", "/v1/jobs", {"definition": rows, "event": dict(EVENT, id="one")})["id"]
                       for _ in range(2)]
        for job in (lost, whole):
            self.assertEqual(self.mill.wait(job)["state"], "succeeded")
        until(lambda: not self.mill.api("GET", "/v1/status")["jobs"]["ended"])  # the core has forgotten them
        self.mill.dispatcher.terminate()
        self.assertEqual(self.mill.dispatcher.wait(20), 0)
        self.forget_the_end(lost)
        self.mill.start_dispatcher()
        shown = self.mill.job(lost)
        self.assertEqual((shown["state"], shown["word"], shown["event"]["id"]), ("active", "unknown", "one"))
        self.assertIn("how it ended is not known", shown["why"])
        self.assertEqual([(j["id"], j["word"]) for j in self.jobs("?event=one")], [(whole, "succeeded"), (lost, "unknown")])
        self.assertEqual([j["id"] for j in self.jobs("?event=one&state=unknown")], [lost])
        self.assertEqual([j["id"] for j in self.jobs("?event=one&state=succeeded")], [whole])
        for method, path in (("GET", "wait"), ("GET", "explain"), ("POST", "cancel"), ("POST", "pause"), ("POST", "retry")):
            error = self.expect_error(404, "not_found", method, "/v1/jobs/%d/%s" % (lost, path))
            self.assertIn("retry --all", error["help"])
        waited = self.mill.api("POST", "/v1/wait", {"jobs": [lost, whole]})
        self.assertEqual((waited["succeeded"], [e["id"] for e in waited["errors"]], waited["next"]), (1, [lost], None))
        again = self.mill.api("POST", "/v1/jobs/%d/again" % lost)["id"]
        self.assertEqual(self.mill.wait(again)["state"], "succeeded")


for how in ("lost", "changed"):
    setattr(Losses, "test_each_file_is_" + how, each(how))

if __name__ == "__main__":
    main()
