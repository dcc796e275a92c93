#!/usr/bin/env python3
"""kill -9 of dispatcher and workers at random moments; then: nothing lost, nothing counted twice, and the
gathered result is what one undisturbed run gives.

Usage: chaos.py BUILD [SHARDS KILLS [SEED]]; MILL_TEST=quick|normal|long chooses sizes otherwise."""
import hashlib
import os
import random
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from mill import Mill, until  # noqa: E402

SIZES = {"quick": (3000, 4), "normal": (20000, 12), "long": (100000, 50)}
DEFINITION = """
version: 1
name: chaos
shard: {count: %d}
run:
  exec: [echo, "{{shard.index}}"]
  durable_output: true
retry: {attempts: 3, backoff: 10ms}
gather:
  exec: [cat]
"""
FAST = {"heartbeat": "200ms", "worker_timeout": "5s", "adopt_wait": "5s"}


def expected_hash(shards):
    h = hashlib.sha256()
    for n in range(shards):
        h.update(b"%d\n" % n)
    return h.hexdigest()


def disturb(mill, rng, kills, job, done):
    """Kills somebody, waits for progress, starts it again; until all kills are used up or the job ended."""
    used = {"dispatcher": 0, "worker": 0}
    for _ in range(kills):
        time.sleep(rng.uniform(0.05, 0.8))
        if done.is_set():
            break
        if rng.random() < 0.5:
            mill.kill(mill.dispatcher)
            used["dispatcher"] += 1
            time.sleep(rng.uniform(0, 0.3))
            mill.start_dispatcher(**FAST)
        else:
            mill.kill(rng.choice(mill.workers))
            used["worker"] += 1
            mill.start_worker(heartbeat="200ms")
    return used


def main():
    build = sys.argv[1]
    shards, kills = SIZES[os.environ.get("MILL_TEST", "normal")]
    if len(sys.argv) > 3:
        shards, kills = int(sys.argv[2]), int(sys.argv[3])
    seed = int(sys.argv[4]) if len(sys.argv) > 4 else random.SystemRandom().randrange(1 << 32)
    print("chaos: %d shards, %d kills, seed %d" % (shards, kills, seed), flush=True)
    rng = random.Random(seed)
    with Mill(build) as mill:
        mill.start_dispatcher(**FAST)
        for _ in range(2):
            mill.start_worker(heartbeat="200ms")
        begun = time.monotonic()
        job = mill.submit(DEFINITION % shards, id="chaos")
        done = threading.Event()
        used = {}
        killer = threading.Thread(target=lambda: used.update(disturb(mill, rng, kills, job, done)))
        killer.start()
        ended = None
        while ended is None:
            try:
                ended = mill.wait(job, seconds=900)
            except AssertionError:
                done.set()
                killer.join()
                raise
        done.set()
        killer.join()
        until(mill.answers)
        seconds = time.monotonic() - begun
        again = mill.submit(DEFINITION % shards, id="chaos")
        assert again == job, "the same id gave job %s, then %s" % (job, again)
        j = mill.job(job)
        first = j["phases"][0]
        print("chaos: %d dispatcher and %d worker kills in %.1f s; state %s, done %d, dead %d" % (
            used["dispatcher"], used["worker"], seconds, j["state"], first["done"], first["dead"]), flush=True)
        assert j["state"] == "succeeded", j
        assert sum(used.values()) >= max(1, kills // 2), "the job ended before it was disturbed enough: %s" % used
        assert first["done"] == shards and first["dead"] == 0, first
        output = mill.output(job)
        lines = output.split(b"\n")[:-1]
        lost = shards - len(set(lines))
        twice = len(lines) - len(set(lines))
        print("chaos: lost %d, twice %d, hash %s" % (
            lost, twice, "equal" if hashlib.sha256(output).hexdigest() == expected_hash(shards) else "DIFFERS"))
        assert lost == 0 and twice == 0
        assert hashlib.sha256(output).hexdigest() == expected_hash(shards)
    print("mill: 1 passed, 0 failed")


if __name__ == "__main__":
    main()
