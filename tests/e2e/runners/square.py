#!/usr/bin/env python3
"""A runner in Python (JSON lines): the output of a shard is the square of its number.

Shards named in FAIL (comma separated) fail with exit code 3; a shard named in DIE ends the runner."""
import json
import os
import sys

fail = {int(n) for n in os.environ.get("FAIL", "").split(",") if n}
die = {int(n) for n in os.environ.get("DIE", "").split(",") if n}


def say(message):
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


for line in sys.stdin:
    message = json.loads(line)
    if message["type"] == "hello":
        say({"type": "hello", "protocol": 1})
    elif message["type"] == "run":
        shards = range(message["first"], message["first"] + message["count"])
        for n in shards:
            if n in die:
                sys.exit("shard %d ends its runner" % n)
        say({
            "type": "done",
            "first": message["first"],
            "count": message["count"],
            "failed": [[n, "exit", 3, "told to fail"] for n in shards if n in fail],
            "results": [[n, "%d\n" % (n * n)] for n in shards if n not in fail],
        })
