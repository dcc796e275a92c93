"""Figures of events that come in: as frames of a producer, as batches by POST, and one by one."""
import json
import os
import statistics
import subprocess
import time

from end_to_end import Row, program
from mill import Mill, until
from many_jobs import BATCH, EVENT_RULE

WAYS = (  # figure, how it is sent, events, goal
    ("EVENTS frames", "frames", 500_000, 300_000),
    ("batches of %d by POST" % BATCH, (2, BATCH), 200_000, 150_000),
    ("single POSTs over 32 connections", (32, 1), 100_000, 60_000),
)


def write_lines(path, count):
    with open(path, "w") as f:
        for n in range(count):
            f.write(json.dumps({"id": str(n), "source": "bench", "detail-type": "tick",
                                "detail": {"n": n, "object": {"key": "a/b/%d" % n, "size": 1234}}, "resources": [],
                                "time": "2026-01-01T00:00:00Z"}) + "\n")


def send(bench, mill, how, path):
    """Seconds until all of them are answered."""
    if how != "frames":
        return float(subprocess.check_output([program(bench, "post-events"), mill.socket, path, *map(str, how)]))
    begun = time.monotonic()
    subprocess.check_output([mill.program("shardmill"), "emit", "--stream", path, "--state-dir", mill.state,
                             "--connect", "tcp://127.0.0.1:%d" % mill.port])
    return time.monotonic() - begun


def rate(bench, how, count, source):
    """Events a second, and processor time of the dispatcher for each, in us; source: that the rule waits for."""
    with Mill(bench.build) as mill:
        rules = os.path.join(mill.dir, "rules")
        os.mkdir(rules)
        with open(os.path.join(rules, "tick.yaml"), "w") as f:
            f.write(EVENT_RULE.replace("[bench]", "[%s]" % source) % program(bench, "noop-runner"))
        d = mill.start_dispatcher(rules_dir=rules)
        until(lambda: mill.api("GET", "/v1/rules")["rules"])
        path = os.path.join(mill.dir, "lines")
        write_lines(path, count)
        ticks = processor_ticks(d.pid)
        seconds = send(bench, mill, how, path)
        used = (processor_ticks(d.pid) - ticks) / os.sysconf("SC_CLK_TCK") / count * 1e6
        live = mill.api("GET", "/v1/status")["jobs"]["live"]
        assert live == (count if source == "bench" else 0), "%d jobs were made" % live
    return count / seconds, used


def processor_ticks(pid):
    with open("/proc/%d/stat" % pid) as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def frames(bench):
    """Events accepted a second, as frames, batches and single POSTs: each makes a one-shard job; then none does."""
    rows = []
    for source, words in (("bench", "each makes a job"), ("other", "no rule matches")):
        for figure, how, count, goal in WAYS:
            runs = [rate(bench, how, count // 5 if bench.short else count, source) for _ in range(3)]
            value = statistics.median(r[0] for r in runs)
            rows.append(Row("%s, %s" % (figure, words), "%.0f/s" % value,
                            "the goal; dispatcher: %.1f us each" % statistics.median(r[1] for r in runs), value / goal,
                            "at least {:,}/s".format(goal), value >= goal))
    return rows


ALL = {"frames": frames}
