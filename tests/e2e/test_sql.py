#!/usr/bin/env python3
"""History is asked in SQL, by our command and by programs that load the extension."""
import os
import subprocess

from case import MillCase, main, until

RULE = "version: 1\nname: thing\non: [{pattern: {source: [test]}}]\nrun: {exec: [echo, thing]}\n"
EVENT = {"id": "e-1", "source": "test", "detail-type": "Thing", "time": "2026-01-01T00:00:00Z", "resources": [],
         "detail": {"object": {"key": "in/1"}}}


class Sql(MillCase):
    def run_jobs(self):
        """Ten of one shard from events, one of three shards, and one that fails."""
        os.makedirs(self.path("rules"))
        self.write("rules/thing.yaml", RULE)
        self.mill.start_dispatcher(rules_dir=self.path("rules"))
        self.mill.start_worker()
        for i in range(10):
            self.mill.api("POST", "/v1/events", dict(EVENT, id="e-%d" % i, detail={"object": {"key": "in/%d" % (i % 5)}}))
        many = self.mill.submit("version: 1\nname: many\nshard: {count: 3}\nrun: {exec: [echo, x]}\n")
        fails = self.mill.submit("version: 1\nname: fails\nretry: {attempts: 1}\nrun: {exec: ['false']}\n")
        self.mill.wait(many)
        self.mill.wait(fails)
        until(lambda: self.mill.sql("SELECT count(*) FROM jobs WHERE ended_us IS NOT NULL")[0] == (12,))
        return many, fails

    def test_rows_and_blocks_are_one(self):
        many, fails = self.run_jobs()
        sql = self.mill.sql
        self.assertEqual(sql("SELECT name, state, count(*) FROM job_list GROUP BY 1, 2 ORDER BY 1"),
                         [("fails", "failed", 1), ("many", "succeeded", 1), ("thing", "succeeded", 10)])
        self.assertEqual(sql("SELECT count(*) FROM done_ranges JOIN job_list USING(job) WHERE name = 'thing'"), [(10,)])
        self.assertEqual(sql("SELECT job, kind, code FROM dead_shards"), [(fails, "exit", 1)])
        self.assertEqual(sql("SELECT count(*) FROM attempts WHERE job = %d" % many), [(3,)])
        self.assertEqual(sql("SELECT count(*), sum(e.object_key = 'in/3') FROM jobs j JOIN events e USING(event)"), [(10, 2)])
        self.assertEqual(sql("SELECT count(*) FROM events WHERE object_key = 'in/3'"), [(2,)])
        self.assertEqual(sql("SELECT count(*) FROM events WHERE object_key = 'IN/3' COLLATE NOCASE"), [(2,)])
        self.assertEqual(sql("SELECT count(*) FROM jobs WHERE name = 'Thing' COLLATE NOCASE"), [(10,)])
        self.assertEqual(sql("SELECT id FROM jobs WHERE id > %d ORDER BY id" % (fails - 1)), [(fails,)])
        self.assertGreater(sql("SELECT count(*) FROM blocks")[0][0], 0, "else this says nothing of blocks")

    def test_the_command_says_what_is_wrong(self):
        self.mill.start_dispatcher()
        run = subprocess.run([self.mill.program("shardmill"), "sql", "--state-dir", self.mill.state, "SELECT absent"],
                             capture_output=True, text=True, check=False)
        self.assertEqual(run.returncode, 2, run.stderr)
        self.assertIn("no such column: absent", run.stderr)
        run = subprocess.run([self.mill.program("shardmill"), "sql", "--state-dir", self.mill.state, "DELETE FROM meta"],
                             capture_output=True, text=True, check=False)
        self.assertIn("readonly", run.stderr)
        run = subprocess.run([self.mill.program("shardmill"), "sql", "--state-dir", self.mill.state,
                              "SELECT 1 AS one, 'a,b' AS two"], capture_output=True, text=True, check=False)
        self.assertEqual((run.returncode, run.stdout), (0, 'one,two\n1,"a,b"\n'))

    def test_another_program_loads_the_extension(self):
        if os.environ.get("MILL_BUILD") == "asan":
            self.skip("another program loads the extension: the sanitizer's library must come before it")
        self.run_jobs()
        extension = os.path.join(self.mill.build, "dispatcher", "store", "shardmill_history")
        run = subprocess.run(["sqlite3", "-readonly", os.path.join(self.mill.state, "history.db"), ".load " + extension,
                              "SELECT count(*) FROM job_list WHERE state = 'succeeded'"], capture_output=True, text=True,
                             check=False)
        self.assertEqual((run.returncode, run.stdout), (0, "11\n"), run.stderr)
        run = subprocess.run(["sqlite3", "-readonly", os.path.join(self.mill.state, "history.db"),
                              "SELECT count(*) FROM job_list"], capture_output=True, text=True, check=False)
        self.assertIn("no such module: shardmill_history", run.stderr, "it says what is missing, and no half of the jobs")


if __name__ == "__main__":
    main()
