"""An object's bytes through a worker into a command's stdin, against curl's own ranged GETs: piped into the same
command, and thrown away. On a machine that is the server as well, each copy of the bytes costs the server time."""
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "support"))
import ceph as ceph_module  # noqa: E402
from ceph import KEY, SECRET, Ceph  # noqa: E402
from mill import Mill  # noqa: E402

RANGE = 64 << 20
READ = """version: 1
name: read
shard: {bytes: 64MiB, align: line, of: "s3://bench/object"}
run: {exec: ["sh", "-c", "cat > /dev/null"], input: stdin}
"""


def curl_seconds(ceph, size, piped):
    """One connection, one range after the other."""
    argv = ["curl", "-sS", "--fail"]
    for first in range(0, size, RANGE):
        argv += ["--next"] if first else []
        argv += ["-s", "-S", "--fail", "--aws-sigv4", "aws:amz:us-east-1:s3", "--user", KEY + ":" + SECRET, "-H",
                 "x-amz-content-sha256: UNSIGNED-PAYLOAD", "-r", "%d-%d" % (first, min(size, first + RANGE) - 1), "-o", "-" if piped else "/dev/null",
                 ceph.endpoint + "/bench/object"]
    begun = time.monotonic()
    sink = subprocess.Popen(["sh", "-c", "cat > /dev/null"], stdin=subprocess.PIPE)
    subprocess.run(argv, check=True, stdout=sink.stdin)
    sink.stdin.close()
    sink.wait()
    return time.monotonic() - begun


def worker_seconds(mill):
    begun = time.monotonic()
    job = mill.wait(mill.submit(READ), seconds=300)
    assert job["state"] == "succeeded", job
    return time.monotonic() - begun


def pairs_of(bench):
    """[(bytes a second through the worker, of curl into a pipe, of curl into nothing)]"""
    reason = ceph_module.why_not()
    assert reason is None, reason
    size = (512 << 20) if bench.short else (1 << 30)
    with Ceph() as ceph:
        os.environ.update(ceph.environment)
        ceph.make_bucket("bench")
        path = os.path.join(ceph.dir, "object")
        with open(path, "wb") as f:
            block = (b"0123456789" * 10 + b"\n") * 100_000
            while f.tell() < size:
                f.write(block[:size - f.tell()])
        ceph.put("bench", "object", path)
        os.unlink(path)
        with Mill(bench.build) as mill:
            mill.start_dispatcher()
            mill.start_worker(cpus=1)
            worker_seconds(mill)
            return [(size / worker_seconds(mill), size / curl_seconds(ceph, size, True),
                     size / curl_seconds(ceph, size, False))
                    for _ in range(3 if bench.short else 5)]
