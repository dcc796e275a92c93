#!/usr/bin/env python3
"""A runner in Python whose shards write one output together: "first count\\n" of each run.

SHARD_US: how long a shard takes."""
import os
import time

from json_lines import serve

shard_us = float(os.environ.get("SHARD_US", "0"))


def run(first, count):
    time.sleep(count * shard_us / 1e6)
    return {"result": "%d %d\n" % (first, count)}


serve(run)
