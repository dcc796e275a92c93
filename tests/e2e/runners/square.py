#!/usr/bin/env python3
"""A runner in Python: the output of a shard is the square of its number.

Shards named in FAIL (comma separated) fail with exit code 3; a shard named in DIE ends the runner."""
import os
import sys

from json_lines import serve

fail = {int(n) for n in os.environ.get("FAIL", "").split(",") if n}
die = {int(n) for n in os.environ.get("DIE", "").split(",") if n}


def run(first, count):
    shards = range(first, first + count)
    for n in shards:
        if n in die:
            sys.exit("shard %d ends its runner" % n)
    return {
        "failed": [[n, "exit", 3, "told to fail"] for n in shards if n in fail],
        "results": [[n, "%d\n" % (n * n)] for n in shards if n not in fail],
    }


serve(run)
