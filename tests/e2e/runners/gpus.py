#!/usr/bin/env python3
"""A runner in Python that says for each shard which gpus it was started with."""
import os

from json_lines import serve


def run(first, count):
    line = "%s %s\n" % (os.environ.get("SHARDMILL_GPUS"), os.environ.get("CUDA_VISIBLE_DEVICES"))
    return {"results": [[n, line] for n in range(first, first + count)]}


serve(run)
