#!/usr/bin/env python3
"""The figures of the whole chain, each as a ratio to its limit in the same run.

Usage: end_to_end.py BUILD [noop] [exec] [event] [queued] [huge]"""
import json
import os
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "support"))
from mill import Mill, UnixConnection, until  # noqa: E402

BUILD = sys.argv[1]


def program(name):
    return os.path.abspath(os.path.join(BUILD, "bench", name))


def line(what, figure, limit, goal, ok):
    print("%-42s %18s   %-38s %-24s %s" % (what, figure, limit, goal, "ok" if ok else "MISSED"), flush=True)


def rss_bytes(pid):
    with open("/proc/%d/smaps_rollup" % pid) as f:
        for row in f:
            if row.startswith("Rss:"):
                return int(row.split()[1]) * 1024
    raise AssertionError("no Rss of %d" % pid)


def noop():
    """No-op shards of one job through a C runner, durable, on the machine's cores."""
    shards = 20_000_000
    with Mill(BUILD) as mill:
        mill.start_dispatcher()
        mill.start_worker()
        text = "version: 1\nname: noop\nshard: {count: %d}\nrun:\n  runner: [%s]\n  format: msgpack\n"
        mill.wait(mill.submit(text % (1000, program("noop-runner"))))
        begun = time.monotonic()
        job = mill.wait(mill.submit(text % (shards, program("noop-runner"))), seconds=300)
        rate = shards / (time.monotonic() - begun)
        assert job["state"] == "succeeded" and job["phases"][0]["done"] == shards, job
    line("no-op shards, durable", "%.2f million/s" % (rate / 1e6), "", "at least 1 million/s", rate >= 1e6)


def exec_true():
    """exec of /bin/true with defaults, against two bare posix_spawn loops."""
    seconds = 5
    ratios = []
    with Mill(BUILD) as mill:
        mill.start_dispatcher()
        mill.start_worker()
        text = "version: 1\nname: true\nshard: {count: %d}\nrun: {exec: [/bin/true]}\n"
        mill.wait(mill.submit(text % 1000))
        for _ in range(3):  # in turn: the machine's speed changes under us
            limit = float(subprocess.check_output([program("spawn-limit"), "/bin/true", str(seconds)]))
            shards = int(limit * seconds)
            begun = time.monotonic()
            job = mill.wait(mill.submit(text % shards), seconds=300)
            rate = shards / (time.monotonic() - begun)
            assert job["state"] == "succeeded", job
            ratios.append((rate / limit, rate, limit))
    ratio, rate, limit = sorted(ratios)[1]
    line("exec /bin/true", "%.0f/s" % rate, "posix_spawn, two processes: %.0f/s" % limit,
         "%.2f of at least 0.80" % ratio, ratio >= 0.80)


def event():
    """From the POST of an event to the start of its shard, p50."""
    rounds = 300
    with Mill(BUILD) as mill:
        rules = os.path.join(mill.dir, "rules")
        os.mkdir(rules)
        with open(os.path.join(rules, "stamp.yaml"), "w") as f:
            f.write("version: 1\nname: stamp\non:\n  - pattern: {source: [bench]}\nrun: {exec: [%s]}\n" % program("stamp"))
        mill.start_dispatcher(rules_dir=rules)
        mill.start_worker()
        until(lambda: mill.api("GET", "/v1/rules")["rules"])
        took = []
        producer = UnixConnection(mill.socket, 10)  # one connection, as the limit's client has
        for n in range(rounds + 20):
            body = json.dumps({"id": str(n), "source": "bench", "detail-type": "tick", "detail": {}, "resources": [],
                               "time": "2026-01-01T00:00:00Z"})
            sent = time.time_ns()
            producer.request("POST", "/v1/events", body, {"Content-Type": "application/json"})
            job = json.loads(producer.getresponse().read())["events"][0]["jobs"][0]
            mill.wait(job)
            took.append(int(mill.output(job)) - sent)
        ours = statistics.median(took[20:]) / 1e6
        limits = subprocess.check_output(
            [program("event-limit"), program("stamp"), os.path.join(mill.dir, "probe"), str(rounds)])
        limit = statistics.median(int(n) for n in limits.split()) / 1e6
    line("event to start of its shard, p50", "%.2f ms" % ours, "ROUTER + fdatasync + spawn: %.2f ms" % limit,
         "%.2f of at most 2" % (ours / limit), ours / limit <= 2)


def queued():
    """A million queued one-shard jobs: memory of each."""
    count = 1_000_000
    with Mill(BUILD) as mill:
        d = mill.start_dispatcher()
        idle = rss_bytes(d.pid)
        begun = time.monotonic()
        subprocess.check_call([program("submit-many"), mill.socket, str(count)])
        seconds = time.monotonic() - begun
        until(lambda: mill.api("GET", "/v1/status"))
        each = (rss_bytes(d.pid) - idle) / count
    line("queued one-shard job, memory", "%.0f B" % each, "%.0f jobs/s accepted" % (count / seconds), "under 400 B", each < 400)


def huge():
    """A job of four billion shards: memory above the idle dispatcher, and time to submit."""
    with Mill(BUILD) as mill:
        d = mill.start_dispatcher()
        mill.submit("version: 1\nname: warm\nshard: {count: 1}\nrun: {exec: [/bin/true]}\n")
        idle = rss_bytes(d.pid)
        begun = time.monotonic()
        mill.submit("version: 1\nname: huge\nshard: {count: 4000000000}\nrun: {exec: [/bin/true]}\n")
        ms = (time.monotonic() - begun) * 1e3
        above = (rss_bytes(d.pid) - idle) / 2**20
    line("job of 4,000,000,000 shards, memory", "%.2f MiB" % above, "", "under 8 MiB", above < 8)
    line("job of 4,000,000,000 shards, submit", "%.1f ms" % ms, "", "under 50 ms", ms < 50)


ALL = {"noop": noop, "exec": exec_true, "event": event, "queued": queued, "huge": huge}

for name in sys.argv[2:] or ALL:
    ALL[name]()
