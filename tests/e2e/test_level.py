#!/usr/bin/env python3
"""With a short keep_jobs, the disk, history and memory stay level however many jobs pass."""
import json
import os
import subprocess
import time

from case import MillCase, main, until

# Jobs by exec, jobs through a runner, and of how many at a time.
EXECS, RUNS, AT_ONCE = {"quick": (500, 5000, 500), "normal": (1000, 20_000, 2000),
                        "long": (20_000, 1_000_000, 5000)}[os.environ.get("MILL_TEST", "normal")]
SOON = {"heartbeat": "50ms", "worker_timeout": "500ms", "adopt_wait": "500ms"}
TABLES = ("jobs", "ranges", "efforts", "failures", "phases", "events", "segments", "definitions", "forgotten",
          "leftovers")
MIB = 1 << 20
# A second half may have a tenth more than the most of the first half, and this much, as some grow in steps.
SLACK = {"outputs": 2 * MIB, "history": 4 * MIB, "wal": 8 * MIB, "journal": 18 * MIB, "rows": 4 * AT_ONCE, "segments": 2,
         "dispatcher": 16 * MIB, "worker": 8 * MIB}


def tree_bytes(path):
    """On the disk, of what is there while it is looked at."""
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            try:
                total += os.stat(os.path.join(folder, name)).st_blocks * 512
            except FileNotFoundError:
                pass
    return total


def rss_bytes(pid):
    with open("/proc/%d/smaps_rollup" % pid) as f:
        return next(int(row.split()[1]) * 1024 for row in f if row.startswith("Rss:"))


RATE = 10000  # jobs a second: more are not forgotten as fast as they end on any machine


class Level(MillCase):
    def sample(self):
        state = self.mill.state
        counts = ", ".join("(SELECT count(*) FROM %s) AS %s" % (table, table) for table in TABLES)
        rows = dict(zip(TABLES, self.mill.sql("SELECT " + counts)[0]))
        return {"outputs": tree_bytes(os.path.join(state, "output")),
                "history": os.path.getsize(os.path.join(state, "history.db")),
                "wal": os.path.getsize(os.path.join(state, "history.db-wal")),
                "journal": tree_bytes(os.path.join(state, "journal")),
                "rows": sum(rows.values()), "tables": rows, "segments": rows["segments"],
                "dispatcher": rss_bytes(self.mill.dispatcher.pid), "worker": rss_bytes(self.mill.workers[0].pid)}

    def submit(self, body, count):
        subprocess.check_call([os.path.join(self.mill.build, "bench", "submit-many"), self.mill.socket, str(count),
                               self.write("body.json", json.dumps(body)), str(RATE)])

    def expect_level(self, what, body, count):
        # What the address sanitizer keeps of freed memory is nobody's.
        env = dict(os.environ, ASAN_OPTIONS=os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=4")
        self.mill.start_dispatcher(keep_jobs="1s", journal_segment="16MiB", env=env, **SOON)
        self.mill.start_worker(heartbeat="50ms", segment_age="1s", env=env)
        samples, begun, looked, at_once = [], time.monotonic(), 0, min(AT_ONCE, count // 10)
        for done in range(0, count, at_once):
            self.submit(body, at_once)
            until(lambda: self.mill.api("GET", "/v1/status")["jobs"]["live"] < at_once // 4, seconds=120, every=0.05)
            if time.monotonic() - looked > 0.2:
                samples.append(self.sample())
                looked = time.monotonic()
        until(lambda: self.mill.api("GET", "/v1/status")["jobs"]["live"] == 0, seconds=120)
        self.tell(what, count, time.monotonic() - begun, samples)
        half = len(samples) // 2
        for name, slack in SLACK.items():
            first, second = (max(s[name] for s in part) for part in (samples[:half], samples[half:]))
            self.assertLessEqual(second, 1.1 * first + slack, "%s: %r" % (name, [s[name] for s in samples]))
        self.expect_end(what)

    def expect_end(self, what):
        """All of them are forgotten, and nothing of them is left but one segment that its worker writes to."""
        begun = time.monotonic()
        until(lambda: self.mill.api("GET", "/v1/status")["kept"]["jobs"] == 0, seconds=60)
        until(lambda: not any(self.sample()["tables"][t] for t in ("jobs", "ranges", "efforts", "failures", "phases")))
        until(lambda: self.sample()["tables"]["segments"] <= 1, seconds=30)
        end = self.sample()
        print("%s: level %.1f s behind the last job: %s" % (what, time.monotonic() - begun, end), flush=True)
        self.assertEqual(end["tables"]["forgotten"], 1)

    @staticmethod
    def tell(what, count, seconds, samples):
        print("%s: %d jobs in %.1f s, %d samples; at a quarter, a half, three quarters, the end, the most:" %
              (what, count, seconds, len(samples)))
        for name in SLACK:
            at = [samples[min(len(samples) - 1, len(samples) * n // 4)][name] for n in (1, 2, 3, 4)]
            print("  %-10s %s" % (name, "  ".join("%10d" % n for n in at + [max(s[name] for s in samples)])), flush=True)

    def test_jobs_by_exec(self):
        self.expect_level("exec", {"command": {"argv": ["/bin/echo", "hello"], "name": "one"}}, EXECS)

    def test_jobs_through_a_runner(self):
        runner = os.path.join(self.mill.build, "bench", "noop-runner")
        self.expect_level("runner", {"definition": "version: 1\nname: noop\nrun:\n  runner: [%s]\n  format: msgpack\n" %
                                     runner}, RUNS)


main()
