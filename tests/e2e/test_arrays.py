#!/usr/bin/env python3
"""What users of batch systems expect of arrays: when a job with dead shards ends, and how its shards are named."""
import os

from case import main
from cli_case import CliCase
from mill import until


class Failure(CliCase):
    def test_all_shards_run_with_keep_going_and_the_job_fails_at_its_end(self):
        self.start()
        job = self.submit("--keep-going", "--exit=7=fail", "--array=0-3", "--", "sh", "-c",
                          "test {} = 0 && exit 7; test {} != 3 || until [ -e gate ]; do sleep 0.02; done")
        until(lambda: self.mill.job(int(job))["phases"][0]["done"] == 2)
        self.assertIn("1 shard is dead: the job fails when all others have ended (keep_going)", self.run_cli("explain", job)[0])
        self.assertRegex(self.run_cli("show", job)[0], r"\n  outlook +1 shard is dead: ")
        self.write("gate", "")
        self.run_cli("wait", job, code=1)
        ended = self.mill.job(int(job))
        self.assertEqual(("failed", 3, 1, 0), (ended["state"], *(ended["phases"][0][n] for n in ("done", "dead", "dropped"))))
        self.assertIn("shards: 1 dead, 0 allowed; shard 0: exit 7", ended["why"])
        self.assertNotIn("outlook", ended)

    def test_others_are_stopped_behind_max_failures(self):
        self.start()
        job = self.submit("--max-failures=2", "--attempts=1", "--array=0-3", "--", "sh", "-c",
                          "test {} -lt 2 && exit 1; until [ -e gate ]; do sleep 0.02; done; test {} = 2 && exit 1; exec sleep 600")
        until(lambda: self.mill.job(int(job))["phases"][0]["dead"] == 2)
        self.assertEqual("running", self.mill.job(int(job))["word"])
        self.write("gate", "")
        self.run_cli("wait", job, code=1)
        ended = self.mill.job(int(job))
        self.assertEqual((0, 3, 1), tuple(ended["phases"][0][n] for n in ("done", "dead", "dropped")))
        self.assertIn("3 dead, 2 allowed", ended["why"])

    def test_what_exit_codes_mean_stands_on_the_command_line(self):
        self.start()
        job = self.submit("--exit", "3=success", "--exit", "70-79=fail", "--array=2", "--keep-going", "--", "sh", "-c",
                          "echo x >> tries{}; exit $((3 + 72 * {}))")
        self.run_cli("wait", job, code=1)
        self.assertEqual(2, os.path.getsize(self.path("tries1")))
        ended = self.mill.job(int(job))
        self.assertEqual((1, 1), tuple(ended["phases"][0][n] for n in ("done", "dead")))


if __name__ == "__main__":
    main()
