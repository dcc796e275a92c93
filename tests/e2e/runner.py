#!/usr/bin/env python3
"""Runners through the whole chain: one in Python (JSON lines), one in C (msgpack), and one whose shards write one
output together, with workers that stand still so long that others take over their shards.

Usage: runner.py BUILD"""
import os
import signal
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
from mill import Mill, until  # noqa: E402

SQUARE = os.path.join(HERE, "runners", "square.py")
PYTHON = """
version: 1
name: square
shard: {count: 500}
run:
  runner: [%s, %s]
  format: json
  env: {FAIL: "7,300", DIE: "41"}
retry: {attempts: 2, backoff: 10ms}
tolerate: 3
gather: {exec: [cat]}
"""
# A worker that is silent for a second has lost its shards; it tells later what it did all the same.
PATIENCE = {"heartbeat": "200ms", "worker_timeout": "1s"}
PAUSES = {"quick": 2, "normal": 4, "long": 40}[os.environ.get("MILL_TEST", "normal")]
RANGES = """
version: 1
name: ranges
shard: {count: %d}
run:
  runner: [%s, %s]
  format: json
  env: {SHARD_US: "5"}
gather: {exec: [cat]}
"""
C = """
version: 1
name: noop
shard: {count: 3000000}
run: {runner: [%s], format: msgpack}
"""


def python_runner(mill):
    """fails two shards, dies of a third, squares the rest"""
    job = mill.submit(PYTHON % (sys.executable, SQUARE))
    ended = mill.wait(job)
    assert ended["state"] == "succeeded", ended
    phase = mill.job(job)["phases"][0]
    assert (phase["done"], phase["dead"]) == (497, 3), phase
    expected = b"".join(b"%d\n" % (n * n) for n in range(500) if n not in (7, 41, 300))
    assert mill.output(job) == expected
    dead = {s["first"]: s for s in mill.api("GET", "/v1/jobs/%d/shards" % job)["shards"]}
    assert set(dead) == {7, 41, 300}, dead
    assert dead[7]["kind"] == "exit" and dead[7]["code"] == 3 and "told to fail" in dead[7]["why"], dead[7]
    assert dead[41]["kind"] == "runner" and "shard 41 ends its runner" in dead[41]["why"], dead[41]


def c_runner(mill):
    """millions of shards, each counted once"""
    job = mill.submit(C % os.path.join(mill.build, "bench", "noop-runner"))
    ended = mill.wait(job)
    assert ended["state"] == "succeeded", ended
    assert mill.job(job)["phases"][0]["done"] == 3000000


def one_output(mill):
    """one output of many shards: each shard in one of them, whoever was late"""
    count = 500_000 * PAUSES
    mill.start_worker(heartbeat="200ms")
    job = mill.submit(RANGES % (count, sys.executable, os.path.join(HERE, "runners", "ranges.py")))
    until(lambda: mill.job(job)["phases"][0]["done"] > 0)
    for n in range(PAUSES):
        worker = mill.workers[n % 2]
        before = mill.job(job)["phases"][0]["done"]
        worker.send_signal(signal.SIGSTOP)
        until(lambda: len(mill.api("GET", "/v1/workers")["workers"]) < 2)
        worker.send_signal(signal.SIGCONT)
        until(lambda: len(mill.api("GET", "/v1/workers")["workers"]) == 2)
        until(lambda: mill.job(job)["ended"] or mill.job(job)["phases"][0]["done"] > before)
    ended = mill.wait(job, seconds=300)
    assert ended["state"] == "succeeded", ended
    wholes = [tuple(map(int, line.split())) for line in mill.output(job).splitlines()]
    next_shard = 0
    for first, n in wholes:
        assert first == next_shard, "shards %d to %d are in %s outputs" % (
            min(first, next_shard), max(first, next_shard) - 1, "two" if first < next_shard else "no")
        next_shard = first + n
    assert next_shard == count, "%d shards of %d are in outputs" % (next_shard, count)
    status = mill.api("GET", "/v1/status")
    print("runner: %d shards in %d outputs, %d pauses; %d outcomes were late, %d duplicate" % (
        count, len(wholes), PAUSES, status["late"], status["duplicate"]))


def main():
    tests = [python_runner, c_runner, one_output]
    with Mill(sys.argv[1]) as mill:
        mill.start_dispatcher(**PATIENCE)
        mill.start_worker(heartbeat="200ms")
        for test in tests:
            test(mill)
            print("runner: %s: %s" % (test.__name__, test.__doc__), flush=True)
    print("mill: %d passed, 0 failed" % len(tests))


if __name__ == "__main__":
    main()
