#!/usr/bin/env python3
"""A runner in Python (JSON lines) whose shards write one output together: "first count\\n" of each run.

SHARD_US: how long a shard takes."""
import json
import os
import sys
import time

shard_us = float(os.environ.get("SHARD_US", "0"))


def say(message):
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


for line in sys.stdin:
    message = json.loads(line)
    if message["type"] == "hello":
        say({"type": "hello", "protocol": 1})
    elif message["type"] == "run":
        first, count = message["first"], message["count"]
        time.sleep(count * shard_us / 1e6)
        say({"type": "done", "first": first, "count": count, "result": "%d %d\n" % (first, count)})
