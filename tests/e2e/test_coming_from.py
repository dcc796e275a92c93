#!/usr/bin/env python3
"""docs/coming-from.md: each line on the right of its tables does what it says, in a shell, as it stands there."""
import json
import os
import re
import signal
import subprocess

from case import ROOT, free_port, main, until
from cli_case import CliCase

PAGE = os.path.join(ROOT, "docs", "coming-from.md")
FILES = {
    "prog": "#!/bin/sh\necho prog \"$@\"\n",
    "job.sh": "#!/bin/sh\necho job $SHARDMILL_VALUE\n",
    "job.yaml": "version: 1\nname: from-a-file\nrun: {exec: [prog]}\n",
    "fair.yaml": "version: 1\nname: fair\nfair_by: team-a\nrun: {exec: [prog]}\n",
    "names.txt": "one\ntwo words\n",
    "a": "b\na\nb\n",
    "in-1.txt": "1\n", "in-2.txt": "2\n", "in-3.txt": "3\n",
    "event.json": json.dumps({"specversion": "1.0", "id": "1", "source": "shop", "type": "order", "data": {}}),
    "events.jsonl": "".join('{"id": "%d", "source": "lines", "detail-type": "order"}\n' % n for n in range(3)),
    "pattern.json": json.dumps({"type": ["order"]}),
    "rules/shop.yaml": "version: 1\nname: shop\non:\n  - pattern: {source: [shop]}\nrun: {exec: [prog]}\n",
}
SLEEPER = "version: 1\nname: sleeper\nrun: {exec: [sleep, '600']}\nretry: {attempts: 1}\n"
FAILED = "version: 1\nname: fails\nrun: {exec: ['false']}\nretry: {attempts: 1}\n"
ENDS = {":failed": "cancelled"}  # all others succeed


def rows():
    """(section, command) of each row"""
    section, found = "", []
    with open(PAGE, encoding="utf-8") as f:
        for line in f:
            if line.startswith("## "):
                section = line[3:].strip()
            cells = [c.strip() for c in re.split(r"(?<!\\)\|", line)][1:-1]
            if len(cells) == 3 and not set(cells[0]) <= set("-") and cells[2] != "shardmill":
                found.append((section, re.match(r"`(.*?)`", cells[2]).group(1).replace("\\|", "|")))
    return found


class ComingFrom(CliCase):
    def setUp(self):
        super().setUp()
        for name, text in FILES.items():
            os.chmod(self.write(name, text), 0o755)
        self.make_dir("runs")
        cli = os.path.dirname(os.path.abspath(self.mill.program("shardmill")))
        self.env["PATH"] = os.pathsep.join([self.mill.dir, cli, self.env["PATH"]])
        self.mill.start_dispatcher(rules_dir=self.path("rules"))
        self.mill.start_worker(gpus="2", env={**os.environ, "PATH": self.env["PATH"]}, cpus=2)
        until(lambda: self.mill.api("GET", "/v1/workers")["workers"])

    def shell(self, line, **env):
        p = subprocess.run(["sh", "-c", line], stdin=subprocess.DEVNULL, capture_output=True, env={**self.env, **env},
                           cwd=self.mill.dir, timeout=120)
        out, err = p.stdout.decode(), p.stderr.decode()
        self.assertEqual(p.returncode, 0, "%s\n%s%s" % (line, out, err))
        return out

    def job_for(self, line):
        """the job that the verb is tried with"""
        verb = line.split()[1]
        if verb in ("cancel", "pause", "resume"):
            job = self.mill.submit(SLEEPER)
            until(lambda: self.mill.job(job)["word"] == "running")
            if verb == "resume":
                self.mill.api("POST", "/v1/jobs/%d/pause" % job)
            return job
        if "after-shard" in line:
            return self.mill.submit("version: 1\nname: three\nshard: {count: 3}\nrun: {exec: [prog]}\n")
        job = self.mill.submit(FAILED if verb == "retry" or "dead" in line else FILES["job.yaml"])
        self.mill.wait(job)
        return job

    def check_submitted(self, line, out):
        ids = re.findall(r"\d+", out)
        self.assertTrue(ids, out)
        job = self.mill.job(int(self.mill.api("GET", "/v1/jobs?limit=1")["jobs"][0]["id"]))
        state = next((s for word, s in ENDS.items() if word in line), "succeeded")
        self.assertEqual(self.mill.wait(job["id"])["state"], state, line)

    def run_verb(self, line):
        job = None
        if re.search(r"\bJOB\b", line) or line == "shardmill cancel running":
            job = self.job_for(line)
            line = re.sub(r"\bJOB\b", str(job), line)
        out = self.shell(line.replace("HOST:7170", "127.0.0.1:%d" % self.mill.port), SHARDMILL_STATE_DIR=self.mill.state)
        verb = line.split()[1]
        if "--dry-run" in line:
            self.assertIn("would be accepted", out)
        elif verb == "submit":
            self.check_submitted(line, out)
        elif verb == "cancel":
            self.assertEqual(self.mill.wait(job)["state"], "cancelled")
        elif verb in ("pause", "resume"):
            self.assertEqual(self.mill.job(job)["paused"], verb == "pause")
            self.mill.api("POST", "/v1/jobs/%d/cancel" % job)
        elif verb == "emit":
            self.assertRegex(out, "starts job|3 events are durable")
        elif verb == "forget":
            self.assertIn("forgotten", self.run_cli("show", str(job), code=2)[1])
        elif verb != "logs" and "--state" not in line:
            self.assertTrue(out.strip(), line)

    def run_script_line(self, line):
        self.write("own.sh", "#!/bin/sh\n%s\nprog\n" % line)
        os.chmod(self.path("own.sh"), 0o755)
        self.check_submitted(line, self.shell("shardmill submit own.sh"))

    def run_up(self, line):
        place = self.make_dir("up")
        socket = os.path.join(place, "api.sock")
        env = {**self.env, "SHARDMILL_STATE_DIR": os.path.join(place, "state"), "SHARDMILL_API_SOCKET": socket,
               "SHARDMILL_LISTEN": "tcp://127.0.0.1:%d" % free_port(), "SHARDMILL_WORKERS_MAX": "1"}
        p = subprocess.Popen(line.split(), env=env, cwd=place, stdout=subprocess.DEVNULL)
        self.addCleanup(p.kill)
        until(lambda: subprocess.run(["shardmill", "status"], env=env, capture_output=True).returncode == 0)
        p.send_signal(signal.SIGTERM)
        self.assertEqual(p.wait(60), 0)

    def workers(self):
        return {w["id"] for w in self.mill.api("GET", "/v1/workers")["workers"]}

    def run_worker(self, line, drain=None):
        before = self.workers()
        line = line.replace("HOST:7170", "127.0.0.1:%d" % self.mill.port)
        env = {**self.env, "SHARDMILL_KEYS_DIR": os.path.join(self.mill.state, "keys"),
               "SHARDMILL_OUTPUT_DIR": os.path.join(self.mill.state, "output"), "SHARDMILL_SCRATCH_DIR": self.path("more")}
        p = subprocess.Popen(line.split(), env=env, cwd=self.mill.dir, stderr=subprocess.DEVNULL)
        self.addCleanup(p.kill)
        new, = until(lambda: self.workers() - before)
        if drain:
            self.shell(drain.replace("WORKER", new[:8]))
        else:
            p.send_signal(signal.SIGTERM)
        self.assertEqual(p.wait(60), 0)

    def run_row(self, line):
        if line.startswith("#shardmill"):
            self.run_script_line(line)
        elif line == "shardmill up":
            self.run_up(line)
        elif line.startswith("shardmill worker "):
            self.run_worker(line)
        elif "WORKER" in line:
            self.run_worker("shardmill worker --connect tcp://HOST:7170 --cpus 1", drain=line)
        else:
            self.assertTrue(line.startswith("shardmill "), line)
            self.run_verb(line)

    def run_section(self, section, least):
        lines = [line for name, line in rows() if name == section]
        self.assertGreaterEqual(len(lines), least)
        for line in lines:
            with self.subTest(line=line):
                self.run_row(line)

    def test_slurm(self):
        self.run_section("Slurm", 30)

    def test_hyperqueue(self):
        self.run_section("HyperQueue", 25)

    def test_aws_batch(self):
        self.run_section("AWS Batch", 18)


main()
