"""Figures of fairness: of the simulator's large pool, and of real daemons that have everything to do at once."""
import datetime
import json
import os
import re
import statistics
import subprocess
import time

from end_to_end import Row, program
from mill import Mill, until

WEIGHTS = {"one": 1, "two": 2, "four": 4}
SHARD_S = 0.01  # of the arrays
RATE = 1000  # small jobs a second
APART_MAX = 0.05
SMALL = "version: 1\nname: small\nqueue: small\nrun:\n  runner: [%s]\n  format: msgpack\n"
ARRAY = "version: 1\nname: %s\nqueue: %s\nshard: {count: 4000000000}\nrun: {exec: [sleep, '%g']}\n"
LARGE = "version: 1\nname: large\nqueue: large\nrun: {exec: [sleep, '%g'], resources: {cpus: %d}}\n"

FAIR = (("share", r"is within ([\d.]+) % of its weight"), ("newcomer", r"p99 ([\d.]+) ms"),
        ("back", r"(\d+) shards were given back"), ("cost", r"([\d.]+) us of processor time a shard"))


def fairness(bench):
    """10,000 keys on 16,384 simulated slots with shards of 10 ms; --short: an eighth of both."""
    argv = [os.path.join(bench.build, "tests", "sim", "sim"), "--fair-small" if bench.short else "--fair"]
    text = subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=False).stdout  # exits with 1 on a missed goal
    at = {}
    for name, pattern in FAIR:
        found = re.search(pattern, text)
        assert found, "sim --fair does not tell: %s" % name
        at[name] = float(found.group(1))
    pool = text.splitlines()[0].split(":")[0]
    return [Row("a key's share over any 50 of its shards", "within %.2f %%" % at["share"], pool, at["share"] / 2,
                "within 2 % of its weight", at["share"] <= 2),
            Row("a newcomer's first shard there, p99", "%.1f ms" % at["newcomer"], "the goal", at["newcomer"] / 500,
                "at most 500 ms", at["newcomer"] <= 500),
            Row("work given back there", "%.0f shards" % at["back"], "the goal", None, "none", at["back"] == 0),
            Row("processor time a shard there", "%.1f us" % at["cost"], "its 10 ms", at["cost"] / 1e4, None, None)]


def done(mill, arrays):
    return {name: mill.job(job)["phases"][0]["done"] for name, job in arrays.items()}


def seconds_between(job, before, after):
    return (datetime.datetime.fromisoformat(job[after]) - datetime.datetime.fromisoformat(job[before])).total_seconds()


def named(mill, name):
    """All jobs of this name; all of them have ended."""
    found, cursor = [], ""
    while cursor is not None:
        answer = mill.api("GET", "/v1/jobs?limit=1000&name=%s%s" % (name, cursor))
        found += answer["jobs"]
        cursor = "&cursor=%d" % answer["next"] if answer.get("next") else None
    return found


def percentile(values, percent):
    return sorted(values)[min(len(values) - 1, len(values) * percent // 100)]


def load_mixed(mill, bench, seconds, cores):
    """All of it for so long; the shards that were done meanwhile by each array, and the large shape's waits."""
    body = os.path.join(mill.dir, "body.json")
    with open(body, "w") as f:
        json.dump({"definition": SMALL % program(bench, "noop-runner")}, f)
    arrays = {name: mill.submit(ARRAY % (name, name, SHARD_S)) for name in WEIGHTS}
    until(lambda: min(done(mill, arrays).values()) >= 20)
    before, end, large = done(mill, arrays), time.monotonic() + seconds, []
    small = subprocess.Popen([program(bench, "submit-many"), mill.socket, str(seconds * RATE), body, str(RATE)])
    while time.monotonic() < end:
        job = mill.wait(mill.submit(LARGE % (5 * SHARD_S, cores)))
        large.append(seconds_between(job, "accepted", "started"))
        time.sleep(max(0.0, min(1.0, end - time.monotonic())))
    after = done(mill, arrays)
    assert small.wait(60) == 0, "submit-many failed"
    # Asked seldom: each question takes time from what is measured.
    until(lambda: mill.api("GET", "/v1/status")["jobs"]["live"] == len(arrays), every=0.5)
    for job in arrays.values():
        mill.api("POST", "/v1/jobs/%d/cancel" % job)
    return {name: after[name] - before[name] for name in arrays}, large


def mixed(bench):
    """At once: three huge arrays in queues of weights 1:2:4, 1,000 small jobs a second, a shape of all of a worker's cores."""
    seconds, cores = 10 if bench.short else 60, os.cpu_count()
    with Mill(bench.build) as mill:
        mill.start_dispatcher()
        mill.start_worker(cpus=cores)
        until(lambda: mill.api("GET", "/v1/workers")["workers"])
        for name, weight in WEIGHTS.items():
            mill.api("PUT", "/v1/queues/" + name, {"weight": weight})
        served, large = load_mixed(mill, bench, seconds, cores)
        small = [1e3 * seconds_between(job, "accepted", "ended") for job in named(mill, "small")]
    assert len(small) == seconds * RATE, "%d small jobs have ended" % len(small)
    total = sum(served.values())
    apart = {name: served[name] / total / (weight / sum(WEIGHTS.values())) - 1 for name, weight in WEIGHTS.items()}
    farthest = max(apart.values(), key=abs)
    # Of shards that take the same time, their number is the time.
    return [Row("mixed load: served time of weights 1:2:4", ":".join("%.2f" % (7 * n / total) for n in served.values()),
                "%d shards in %d s" % (total, seconds), abs(farthest) / APART_MAX, "each within 5 %",
                abs(farthest) <= APART_MAX),
            Row("the same: a small job from acceptance to its end", "p50 %.1f ms" % statistics.median(small),
                "p99 %.1f ms; an array's shard: %.0f ms" % (percentile(small, 99), 1e3 * SHARD_S),
                statistics.median(small) / (1e3 * SHARD_S), None, None),
            Row("the same: the wait of a shape of all cores", "p50 %.0f ms" % (1e3 * statistics.median(large)),
                "longest of %d: %.0f ms" % (len(large), 1e3 * max(large)), statistics.median(large) / SHARD_S, None, None)]


ALL = {"fairness": fairness, "mixed": mixed}
