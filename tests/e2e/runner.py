#!/usr/bin/env python3
"""Runners through the whole chain: one in Python (JSON lines), one in C (msgpack).

Usage: runner.py BUILD"""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
from mill import Mill  # noqa: E402

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


def main():
    tests = [python_runner, c_runner]
    with Mill(sys.argv[1]) as mill:
        mill.start_dispatcher()
        mill.start_worker()
        for test in tests:
            test(mill)
            print("runner: %s: %s" % (test.__name__, test.__doc__))
    print("mill: %d passed, 0 failed" % len(tests))


if __name__ == "__main__":
    main()
