#!/usr/bin/env python3
"""Each system call of the worker, and of the dispatcher, fails once, at one place after the other, and for a while:
no job ends other than it would have. It has one attempt, so that nothing may cost it a retry.

fault.py BUILD. Prints `mill: N passed, M failed`."""
import http.client
import os
import struct
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
from mill import ApiError, Mill, until  # noqa: E402

FAST = {"heartbeat": "100ms", "worker_timeout": "3s", "adopt_wait": "3s"}
EIO, EAGAIN, ENOMEM, EACCES, EMFILE, ENOSPC, EDQUOT = 5, 11, 12, 13, 24, 28, 122
CASES = {
    "shardmill-worker": [
        ("open", EMFILE), ("open", ENOSPC), ("open", EACCES), ("mkdirat", ENOSPC), ("mkdir", EACCES), ("pipe2", EMFILE),
        ("socketpair", EMFILE), ("write", ENOSPC), ("pwrite", EDQUOT), ("pwrite", EIO), ("copy_file_range", ENOSPC),
        ("fdatasync", EIO), ("clone", EAGAIN), ("clone", ENOMEM), ("fork", EAGAIN), ("eventfd", EMFILE)],
    "shardmill-dispatcher": [
        ("open", EMFILE), ("open", ENOSPC), ("pread", EIO), ("pwrite", ENOSPC), ("fdatasync", EIO), ("renameat", ENOSPC),
        ("mkdir", ENOSPC)],
}
FOR_A_WHILE = 4  # failures one after the other: the worker rests longer after each
LINES = b"".join(b"line %d\n" % n for n in range(4000))
# The parts of a file, and items that a planner writes down; gathered.
JOBS = ["version: 1\nname: parts\nshard: {bytes: 8KiB, align: line, of: 'file://%(input)s'}\nretry: {attempts: 1}\n"
        "run: {exec: [cat], input: stdin}\ngather: {exec: [cat]}\n",
        "version: 1\nname: items\nshard: {items: {lines: 'file://%(items)s'}}\nretry: {attempts: 1}\n"
        "run: {exec: [cat], input: stdin}\n"]


def log(text):
    print(text, flush=True)


class Faults:
    def __init__(self, mill):
        self.mill, self.passed, self.failed = mill, 0, []
        self.armed = os.path.join(mill.dir, "armed")
        self.input, self.items = os.path.join(mill.dir, "input"), os.path.join(mill.dir, "items")
        with open(self.input, "wb") as f:
            f.write(LINES)
        with open(self.items, "wb") as f:
            f.write(b"".join(LINES.splitlines(True)[:20]))
        self.shim = os.path.join(mill.build, "tests", "fault", "fault-shim.so")

    def env(self, program, call, errno, first, count):
        return dict(os.environ, LD_PRELOAD=self.shim, SHARDMILL_FAULT_ARMED=self.armed,
                    SHARDMILL_FAULT="%s:%s:%d:%d:%d" % (program, call, errno, first, count))

    def arm(self):
        with open(self.armed + ".new", "wb") as f:
            f.write(bytes(8))
        os.rename(self.armed + ".new", self.armed)

    def disarm(self):
        """How often the call was made."""
        with open(self.armed, "rb") as f:
            calls = struct.unpack("Q", f.read(8))[0]
        os.unlink(self.armed)
        return calls

    def look_after(self, program):
        """A dispatcher or a worker that ended is started again, without the fault, as `up` would do it."""
        if self.mill.dispatcher.poll() is not None:
            self.mill.start_dispatcher(**FAST)
        if all(w.poll() is not None for w in self.mill.workers):
            self.mill.start_worker(heartbeat="100ms")

    def submit(self, text):
        while True:
            try:
                return self.mill.submit(text, id="fault-%d" % time.monotonic_ns())
            except ApiError as e:
                if e.status not in (429, 503):
                    raise
            except (OSError, http.client.HTTPException):
                pass
            self.look_after(None)
            time.sleep(0.05)

    def output(self, program, job):
        """Whole, from a dispatcher that may stop and be started again meanwhile."""
        end = time.monotonic() + 60
        while True:
            try:
                return self.mill.output(job)
            except (OSError, http.client.HTTPException, ApiError) as e:
                if time.monotonic() > end or isinstance(e, ApiError) and e.status < 500:
                    raise
            self.look_after(program)
            time.sleep(0.05)

    def run_jobs(self, program, errno):
        for text in JOBS:
            job = self.submit(text % {"input": self.input, "items": self.items})
            end = time.monotonic() + 120
            while True:
                self.look_after(program)
                try:
                    shown = self.mill.api("GET", "/v1/jobs/%d/wait?timeout=300ms" % job)
                    if shown["state"] not in ("held", "active"):
                        break
                except (OSError, http.client.HTTPException, ApiError):
                    time.sleep(0.05)
                if time.monotonic() > end:
                    return "job %d did not end: %s" % (job, self.mill.job(job))
            if shown["state"] == "failed" and errno == EACCES and "cannot read the input: Permission" in shown["why"]:
                continue  # the shard's own trouble: this file may not be read
            if shown["state"] != "succeeded":
                return "job %d: %s" % (job, shown)
            got = self.output(program, job)
            if got != (LINES if "parts" in text else open(self.items, "rb").read().replace(b"\n", b"")):
                return "job %d: its output is not what it was without the fault: %d bytes" % (job, len(got))
        return None

    def start(self, program, env):
        if program == "shardmill-worker":
            self.mill.start_worker(heartbeat="100ms", env=env)
        else:
            self.mill.start_dispatcher(env=env, **FAST)
            self.mill.start_worker(heartbeat="100ms")
        until(lambda: self.mill.api("GET", "/v1/workers")["workers"])

    def stop(self, program):
        self.mill.abort_workers()
        self.mill.workers.clear()
        if program == "shardmill-dispatcher":
            if self.mill.dispatcher.poll() is None:
                self.mill.kill(self.mill.dispatcher)
        else:
            until(lambda: not self.mill.api("GET", "/v1/workers")["workers"])

    def one(self, program, call, errno, first, count):
        """The number of calls that were made."""
        began = time.monotonic()
        self.start(program, self.env(program, call, errno, first, count))
        self.arm()
        try:
            wrong = self.run_jobs(program, errno)
        finally:
            calls = self.disarm()
        self.stop(program)
        name = "%s: %s fails with %s, %d from call %d of %d" % (program, call, os.strerror(errno), count, first, calls)
        if wrong is None:
            self.passed += 1
            log("ok    %5.1f s  %s" % (time.monotonic() - began, name))
        else:
            self.failed.append(name)
            log("WRONG %s: %s" % (name, wrong))
        return calls

    def all_of(self, program, step):
        for call, errno in CASES[program]:
            first, calls = 1, 1
            while first <= calls:
                calls = self.one(program, call, errno, first, 1)
                first = first * step if step > 1 else first + 1
            if calls > 0:
                self.one(program, call, errno, 1, FOR_A_WHILE)


def main():
    if os.environ.get("MILL_BUILD") == "asan":
        log("a preloaded library must come before the sanitizer's: system calls fail in the plain build only")
        return 77
    step = {"quick": 8, "normal": 3, "long": 1}[os.environ.get("MILL_TEST", "normal")]
    with Mill(sys.argv[1]) as mill:
        faults = Faults(mill)
        mill.start_dispatcher(**FAST)
        faults.all_of("shardmill-worker", step)
        mill.kill(mill.dispatcher)
        faults.all_of("shardmill-dispatcher", step)
    for name in faults.failed:
        log("failed: " + name)
    log("mill: %d passed, %d failed" % (faults.passed, len(faults.failed)))
    return 1 if faults.failed else 0


if __name__ == "__main__":
    sys.exit(main())
