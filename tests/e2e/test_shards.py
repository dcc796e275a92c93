#!/usr/bin/env python3
"""What ran where: `shardmill shards` and GET /v1/jobs/{id}/attempts."""
import csv
import io
import json
import os
import sys
import time

import case
from case import main, until
from cli_case import CliCase

SQUARE = os.path.join(case.HERE, "runners", "square.py")
RETRIED = """version: 1
name: retried
shard: {count: 10-13}
run: {exec: [sh, -c, 'case $SHARDMILL_VALUE in 11) mkdir %s 2>/dev/null && exit 4; exit 0;; 12) exit 7;; 13) kill -9 $$;; esac']}
retry: {attempts: 2, backoff: 10ms}
tolerate: 2
"""
HUGE = "version: 1\nname: huge\nshard: {count: 1000000000}\nrun: {runner: [%s], format: msgpack}\n"
SQUARES = "version: 1\nname: squares\nshard: {count: 500}\nrun: {runner: [%s, %s], format: json}\n"


class Shards(CliCase):
    def start_worker(self, host, **params):
        if os.environ.get("MILL_BUILD") == "asan":
            self.skip("hosts by other names: a preloaded library must come before the sanitizer's")
        library = os.path.join(os.path.abspath(case.BUILD), "tests", "support", "libhost-name.so")
        before = os.environ.get("LD_PRELOAD", "")
        return self.mill.start_worker(env={**os.environ, "HOST_NAME": host,
                                           "LD_PRELOAD": (before + " " + library).strip()}, **params)

    def attempts(self, job, query=""):
        return self.mill.api("GET", "/v1/jobs/%s/attempts%s" % (job, query))

    def rows(self, job, *args):
        return json.loads(self.run_cli("shards", "--output=json", *args, str(job))[0])["shards"]

    def test_failed_and_retried_shards_have_exit_codes_and_values(self):
        self.mill.start_dispatcher()
        self.start_worker("alpha", cpus=2)
        before = time.time()
        job = self.mill.submit(RETRIED % self.path("once"))
        self.assertEqual(self.mill.wait(job)["state"], "succeeded")
        rows = self.rows(job)
        self.assertEqual([(r["first"], r["count"], r["value"], r["state"], r["attempts"], r["failed"], r["code"]) for r in rows],
                         [(0, 1, "10", "done", 1, None, 0), (1, 1, "11", "done", 2, None, 0),
                          (2, 1, "12", "dead", 2, "exit", 7), (3, 1, "13", "dead", 2, "signal", 9)])
        for r in rows:
            self.assertEqual(r["host"], "alpha")
            self.assertRegex(r["worker"], "^[0-9a-f]{32}$")
            self.assertGreater(r["took"]["run_seconds"], 0)
            self.assertLess(r["took"]["run_seconds"], 60)
            self.assertGreater(r["took"]["max_rss_bytes"], 0)
            self.assertRegex(r["start"], r"^\d{4}-\d\d-\d\dT")
        self.assertLessEqual(time.gmtime(before - 2)[:6], tuple(map(int, rows[0]["start"][:19].replace("T", "-").replace(":", "-").split("-"))))
        self.assertEqual([r["first"] for r in self.rows(job, "--state=dead")], [2, 3])
        self.assertEqual([r["first"] for r in self.rows(job, "--state=done,pending")], [0, 1])
        self.assertEqual(self.rows(job, "--state=pending,dropped"), [])
        out, _ = self.run_cli("shards", str(job))
        self.assertRegex(out, r"(?m)^SHARD +STATE +TRIES +HOST +WORKER +START +RUN +CPU +MEMORY +EXIT")
        self.assertRegex(out, r"(?m)^ +11 +done +2 +alpha .* 0$")
        self.assertRegex(out, r"(?m)^ +13 +dead +2 +alpha .* signal 9")
        t = self.terminal("shards", str(job))
        self.assertEqual(t.end(), 0)
        self.assertTrue(all(len(line.replace("\033[2m", "").replace("\033[0m", "")) <= 130 for line in t.lines()), t.text())

    def test_retried_shards_of_a_reopened_job_are_counted_anew(self):
        self.mill.start_dispatcher()
        self.start_worker("alpha", cpus=2)
        job = self.mill.submit(RETRIED % self.path("once"))
        self.mill.wait(job)
        self.run_cli("retry", str(job))
        until(lambda: self.mill.job(job)["reopens"] == 1 and self.mill.job(job)["ended"])
        self.assertEqual([(r["first"], r["state"], r["attempts"], r["code"]) for r in self.rows(job)],
                         [(0, "done", 1, 0), (1, "done", 2, 0), (2, "dead", 2, 7), (3, "dead", 2, 9)])

    def test_two_workers_with_their_hosts_and_a_live_job(self):
        self.mill.start_dispatcher()
        for host in ("alpha", "beta"):
            self.start_worker(host, cpus=1, scratch_dir=self.path("scratch-" + host))
        go = self.path("go")
        job = self.mill.submit("version: 1\nname: live\nshard: {count: 40}\n"
                               "run: {exec: [sh, -c, 'test $SHARDMILL_SHARD -lt 20 && sleep 0.05; while test $SHARDMILL_SHARD -ge 20 -a ! -e %s; do sleep 0.05; done']}\n" % go)
        live = until(lambda: [r for r in [self.attempts(job)["shards"]]
                              if sum(s["count"] for s in r if s["state"] == "done" and s["took"]) >= 18
                              and len({s["worker"] for s in r if s["state"] == "leased"}) == 2])[0]
        self.assertEqual(sum(r["count"] for r in live), 40, live)
        self.assertEqual([r["first"] for r in live], sorted(r["first"] for r in live))
        self.assertEqual({r["host"] for r in live if r["state"] == "leased"}, {"alpha", "beta"})
        self.assertEqual({r["attempts"] for r in live if r["state"] == "leased"}, {1})
        self.assertTrue(all(r["took"] is None and r["start"] is None for r in live if r["state"] == "pending"))
        self.assertEqual({r["state"] for r in self.attempts(job, "?state=leased")["shards"]}, {"leased"})
        open(go, "w").close()
        self.mill.wait(job)
        rows = self.rows(job)
        self.assertEqual(len(rows), 40)
        self.assertEqual({r["host"] for r in rows}, {"alpha", "beta"})
        self.assertEqual(len({r["worker"] for r in rows}), 2)
        self.assertEqual(self.mill.sql("SELECT count(*), count(DISTINCT host), min(attempt) FROM attempts")[0], (40, 2, 1))

    def test_shards_that_run_have_a_start_and_a_run_time(self):
        self.mill.start_dispatcher()
        self.start_worker("alpha", cpus=2)
        before = time.time()
        job = self.mill.submit("version: 1\nname: now\nshard: {count: 5-40:5}\n"
                               "run: {exec: [sh, -c, 'test $SHARDMILL_VALUE = 5 || until test -e %s; do sleep 0.05; done']}\n" % self.path("go"))
        until(lambda: self.mill.job(job)["phases"][0]["done"] == 1)
        runs = until(lambda: [r for r in [[r for r in self.attempts(job, "?state=leased")["shards"] if r["start"]]] if len(r) == 2])[0]
        self.assertEqual([(r["count"], r["took"], r["number"]) for r in runs], [(1, None, 5 + 5 * r["first"]) for r in runs])
        for r in runs:
            self.assertLessEqual(time.gmtime(before - 2)[:6], tuple(map(int, r["start"][:19].replace("T", "-").replace(":", "-").split("-"))))
        self.assertEqual(sum(r["count"] for r in self.attempts(job)["shards"]), 8)
        out, _ = self.run_cli("shards", "--state=leased", str(job))
        self.assertRegex(out, r"(?m)^ +%d +leased +alpha +[0-9a-f]{8} +(just now|\S+ s ago) +[0-9.]+ m?s$" % runs[0]["number"])
        self.write("go", "")
        self.mill.wait(job)

    def test_shards_are_called_by_the_numbers_of_their_array(self):
        self.start()
        job = self.submit("--array=1,5,9-13:2", "--", "true")
        self.run_cli("wait", job)
        self.assertEqual([(r["first"], r["number"], r["value"]) for r in self.rows(job)],
                         [(0, 1, "1"), (1, 5, "5"), (2, 9, "9"), (3, 11, "11"), (4, 13, "13")])
        table = [line.split()[:2] for line in self.run_cli("shards", job)[0].splitlines()]
        self.assertEqual(table, [["SHARD", "STATE"]] + [[n, "done"] for n in ("1", "5", "9", "11", "13")])
        self.assertEqual([r["number"] for r in self.rows(job, "--from=9")], [9, 11, 13])
        self.assertIn("its numbers are 1,5,9-13:2", self.run_cli("shards", "--from=2", job, code=2)[1])
        out, _ = self.run_cli("shards", "--output=csv", job)
        self.assertEqual([(r["first"], r["number"]) for r in csv.DictReader(io.StringIO(out))],
                         [("0", "1"), ("1", "5"), ("2", "9"), ("3", "11"), ("4", "13")])
        job = self.submit("--array=7-9", "--", "sleep", "600")
        self.assertEqual([(r["first"], r["number"]) for r in self.rows(job)][0], (0, 7))
        self.assertRegex(self.run_cli("shards", job)[0], r"(?m)^ *(7|7-8|7-9) ")

    def test_pages_follow_each_other(self):
        self.mill.start_dispatcher()
        self.start_worker("alpha", cpus=2)
        job = self.mill.submit("version: 1\nname: pages\nshard: {count: 25}\nrun: {exec: ['true']}\n")
        self.mill.wait(job)
        first = self.attempts(job, "?limit=10")
        self.assertEqual((len(first["shards"]), first["next"]), (10, 10))
        rest = self.attempts(job, "?limit=20&cursor=10")
        self.assertEqual([r["first"] for r in rest["shards"]], list(range(10, 25)))
        self.assertIsNone(rest["next"])
        self.assertEqual([r["first"] for r in self.rows(job, "--from=20")], list(range(20, 25)))
        self.assertEqual(len(self.rows(job, "--limit=3")), 3)
        self.assertEqual(self.attempts(job, "?cursor=25")["shards"], [])
        out, _ = self.run_cli("shards", str(job), "--limit=2")
        self.assertEqual(out.count("\n"), 3, out)

    def test_a_job_of_one_shard_is_told_though_no_attempt_is_kept(self):
        self.mill.start_dispatcher()
        self.start_worker("alpha")
        job = self.mill.submit("version: 1\nname: one\nrun: {exec: [sleep, '0.1']}\n")
        self.mill.wait(job)
        row, = self.rows(job)
        self.assertEqual((row["state"], row["attempts"], row["code"], row["failed"], row["host"]), ("done", 1, 0, None, "alpha"))
        self.assertGreaterEqual(row["took"]["run_seconds"], 0.1)
        self.assertIsNotNone(row["start"])
        self.assertEqual(self.mill.sql("SELECT count(*) FROM efforts")[0], (0,))

    def test_what_never_ran_is_dropped(self):
        self.mill.start_dispatcher()
        self.start_worker("alpha", cpus=1)
        job = self.mill.submit("version: 1\nname: dropped\nshard: {count: 1000}\nrun: {exec: [sh, -c, 'test $SHARDMILL_SHARD != 3']}\n"
                               "retry: {attempts: 1}\n")
        self.assertEqual(self.mill.wait(job)["state"], "failed")
        rows = self.rows(job)
        self.assertEqual([(r["state"], r["code"]) for r in rows if r["first"] == 3], [("dead", 1)])
        self.assertEqual(rows[-1]["state"], "dropped")
        self.assertEqual(sum(r["count"] for r in rows), 1000)
        self.assertEqual((rows[-1]["value"], rows[-1]["last_value"]), (str(rows[-1]["first"]), "999"))

    def test_shards_of_a_runner_are_sums_of_ranges(self):
        self.mill.start_dispatcher()
        self.start_worker("alpha", cpus=2)
        job = self.mill.submit(SQUARES % (sys.executable, SQUARE))
        ended = self.mill.wait(job)
        rows = self.rows(job)
        self.assertLess(len(rows), 100)
        self.assertEqual(sum(r["count"] for r in rows), 500)
        self.assertEqual({(r["state"], r["host"], r["code"]) for r in rows}, {("done", "alpha", None)})
        self.assertAlmostEqual(sum(r["took"]["run_seconds"] for r in rows), ended["run_seconds"], places=3)
        out, _ = self.run_cli("shards", str(job))
        self.assertRegex(out, r"(?m)^ *\d+-499 ")

    def test_a_job_of_a_billion_shards_answers_at_once_and_stays_small(self):
        self.mill.start_dispatcher()
        self.start_worker("alpha", cpus=2)
        runner = os.path.join(os.path.abspath(case.BUILD), "bench", "noop-runner")
        job = self.mill.submit(HUGE % runner)
        until(lambda: self.mill.job(job)["phases"][0]["done"] > 1000000)
        for query in ("", "?state=done", "?state=leased", "?state=dead", "?state=pending"):
            begun = time.monotonic()
            live = self.attempts(job, query)
            self.assertLess(time.monotonic() - begun, 2, query)
            self.assertLessEqual(len(live["shards"]), 100)
        if os.environ.get("MILL_TEST") == "quick":
            self.mill.api("POST", "/v1/jobs/%d/cancel" % job)
        self.mill.wait(job, seconds=600)
        begun = time.monotonic()
        rows = self.rows(job)
        self.assertLess(time.monotonic() - begun, 10)
        self.assertEqual(sum(r["count"] for r in rows), 1000000000)
        self.assertLessEqual(self.mill.sql("SELECT count(*) FROM efforts")[0][0], 1000)

    def test_items_are_values_and_csv_is_quoted(self):
        self.mill.start_dispatcher()
        self.start_worker('al"pha, 2')
        items = ["plain", "a,b", 'say "hi"', "two\nlines", "=1+1", " blank"]
        job = self.mill.submit("version: 1\nname: items\nshard: {items: %s}\nrun: {exec: ['true']}\n" % json.dumps(items))
        self.mill.wait(job)
        out, _ = self.run_cli("shards", "--output=csv", str(job))
        self.assertTrue(out.startswith("phase,first,count,number,value,last_value,state,attempts,worker,host,start,run_seconds,"), out)
        rows = list(csv.DictReader(io.StringIO(out, newline="")))
        self.assertEqual([r["value"] for r in rows], items)
        self.assertEqual({r["host"] for r in rows}, {'al"pha, 2'})
        self.assertEqual({(r["state"], r["code"], r["failed"], r["why"]) for r in rows}, {("done", "0", "", "")})
        self.assertGreater(float(rows[0]["run_seconds"]), 0)
        self.write("list", "one\ntwo words\nthree\n")
        job = self.mill.submit("version: 1\nname: lines\nshard: {items: {lines: 'file://%s'}}\nrun: {exec: [sleep, '600']}\n" % self.path("list"))
        until(lambda: [r["value"] for r in self.rows(job, "--state=leased")][:1] == ["one"])
        rows = self.rows(job)
        self.assertEqual((rows[0]["value"], rows[-1]["last_value"] or rows[-1]["value"]), ("one", "three"))
        self.mill.api("POST", "/v1/jobs/%d/cancel" % job)
        self.write("bytes", b"line\n" * 1000)
        job = self.mill.submit("version: 1\nname: bytes\nshard: {bytes: 2KiB, of: 'file://%s'}\nrun: {exec: [cat], input: stdin}\n" % self.path("bytes"))
        self.mill.wait(job)
        self.assertEqual([r["value"] for r in self.rows(job)], ["0-2048", "2048-4096", "4096-5000"])

    def test_a_gather_is_a_phase_of_its_own(self):
        self.mill.start_dispatcher()
        self.start_worker("alpha", cpus=2)
        job = self.mill.submit("version: 1\nname: gather\nshard: {count: 3}\nrun: {exec: [echo, x]}\ngather: {exec: [cat]}\n")
        self.mill.wait(job)
        self.assertEqual(len(self.rows(job)), 3)
        row, = self.rows(job, "--phase=1")
        self.assertEqual((row["phase"], row["state"], row["value"], row["code"]), (1, "done", None, 0))

    def test_wrong_words_are_refused_in_words(self):
        self.start()
        self.mill.wait(self.mill.submit(case.ECHO))
        _, err = self.run_cli("shards", "--state=ended", "last", code=2)
        self.assertIn('expected states of shards, found "ended"', err)
        self.assertIn("pending, delayed, leased, done, dead, dropped", err)
        _, err = self.run_cli("shards", "77", code=2)
        self.assertIn("no job 77", err)
        _, err = self.run_cli("shards", code=2)
        self.assertIn("expected one job", err)
        _, err = self.run_cli("shards", "--phase=x", "last", code=2)
        self.assertIn("x", err)
        _, err = self.run_cli("jobs", "--output=csv", code=2)
        self.assertIn("does not write CSV", err)
        self.expect_error(404, "not_found", "GET", "/v1/jobs/77/attempts")
        self.expect_error(400, "invalid", "GET", "/v1/jobs/1/attempts?state=done,gone")
        self.assertEqual(self.attempts(1, "?phase=5")["shards"], [])

    def test_a_restart_keeps_it_and_an_older_history_gets_it(self):
        self.mill.start_dispatcher()
        self.start_worker("alpha", cpus=2)
        job = self.mill.submit("version: 1\nname: kept\nshard: {count: 4}\nrun: {exec: ['true']}\n")
        self.mill.wait(job)
        before = self.rows(job)
        self.mill.kill(self.mill.dispatcher)
        self.mill.start_dispatcher()
        self.assertEqual(self.rows(job), before)


main()
