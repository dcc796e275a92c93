#!/usr/bin/env python3
"""The demo as a newcomer sees it: through a pipe and on a terminal, interrupted and with its `up` killed. It
says what the tool says of the whole file, and leaves neither a process nor a file behind.

Usage: demo.py BUILD"""
import glob
import gzip
import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

RUN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "demo", "run")
READS = "/usr/share/doc/bowtie2/examples/reads/reads_%d.fq.gz"
SIZE_MIB = 8
DEADLINE = 120.0
FALL = "nothing is queued; a worker leaves"


class Demo:
    """demo/run on a terminal or with its output in a pipe, with a TMPDIR that is its own."""

    def __init__(self, build, *args, terminal):
        self.tmp = tempfile.mkdtemp(prefix="shardmill-e2e-demo-")
        self.written = b""
        env = dict(os.environ, MILL_BUILD_DIR=build, TMPDIR=self.tmp, TERM="xterm", LANG="C.UTF-8")
        argv = [RUN, *args]
        if terminal:
            self.pid, self.fd = pty.fork()
            if self.pid == 0:
                try:
                    os.execve(argv[0], argv, env)
                finally:
                    os._exit(126)
            self.process = None
        else:
            self.process = subprocess.Popen(argv, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                            stderr=subprocess.STDOUT, start_new_session=True)
            self.pid, self.fd = self.process.pid, self.process.stdout.fileno()

    def read(self):
        if not select.select([self.fd], [], [], 0.1)[0]:
            return True
        try:
            got = os.read(self.fd, 65536)
        except OSError:  # Linux: the terminal's other side is closed
            got = b""
        self.written += got
        return got != b""

    def text(self):
        return self.written.decode("utf-8", "replace")

    def until(self, text):
        end = time.monotonic() + DEADLINE
        while text not in self.text():
            assert time.monotonic() < end and self.read(), "%r was not written: %s" % (text, self.text())

    def processes(self):
        """[(id, command line)] of what it started: its directory is in their command line or environment."""
        found, mark = [], self.tmp.encode()
        for path in glob.glob("/proc/[0-9]*"):
            try:
                command = open(path + "/cmdline", "rb").read()
                if mark in command or mark in open(path + "/environ", "rb").read():
                    if open(path + "/stat").read().rsplit(")", 1)[1].split()[0] not in "ZX":
                        found.append((int(os.path.basename(path)), command.replace(b"\0", b" ").decode()))
            except OSError:
                pass
        return found

    def end(self):
        """The exit code; nothing may be left."""
        end = time.monotonic() + DEADLINE
        while self.read():
            assert time.monotonic() < end, "it does not end: %s" % self.text()
        code = self.process.wait() if self.process else os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        assert self.processes() == [], "left running: %s\n%s" % (self.processes(), self.text())
        assert os.listdir(self.tmp) == [], "left behind: %s\n%s" % (os.listdir(self.tmp), self.text())
        os.rmdir(self.tmp)
        return code


def expected_reads(build):
    """As the tool counts them in one run over a file that is made as the demo's is."""
    once = b"".join(gzip.open(READS % n).read() for n in (1, 2))
    tool = os.path.join(build, "jobs", "library", "genomics", "fastq-qc")
    whole = once * -(-SIZE_MIB * 2**20 // len(once))
    return json.loads(subprocess.run([tool, "--json"], input=whole, check=True, stdout=subprocess.PIPE).stdout)["reads"]


def check_story(build, demo):
    code, text = demo.end(), demo.text()
    assert code == 0, "%d\n%s" % (code, text)
    assert re.search(r"FASTQ quality: %d reads" % expected_reads(build), text), text
    assert re.search(r"1 → 0 workers: .*drains\s+those\s+idle\s+longest", text, re.S), text
    assert "workers: 0" in text and "cleaned up: nothing runs" in text, text
    return text


def test_in_a_pipe(build):
    text = check_story(build, Demo(build, "--size", str(SIZE_MIB), terminal=False))
    assert "\r" not in text and "\033" not in text, text


def test_on_a_terminal(build):
    text = check_story(build, Demo(build, "genomics", "--size", str(SIZE_MIB), terminal=True))
    assert FALL in text and re.search(r"\r\033\[K.*100 %|\r\033\[K.*succeeded", text), text


def interrupt(build, size, when):
    demo = Demo(build, "--size", size, terminal=True)
    demo.until(when)
    os.write(demo.fd, b"\x03")
    assert demo.end() == 130, demo.text()
    assert "interrupted: cleaning up" in demo.text(), demo.text()


def test_ctrl_c_while_it_mills(build):
    interrupt(build, "64", "3. the rule")


def test_ctrl_c_while_it_waits(build):
    interrupt(build, "1", FALL)


def test_up_is_killed(build):
    """Its daemons go on without it: they end with the demo, too."""
    demo = Demo(build, "--size", "1", terminal=True)
    demo.until(FALL)
    ups = [pid for pid, command in demo.processes() if re.search(r"/?shardmill up ", command)]
    assert len(ups) == 1, demo.processes()
    os.kill(ups[0], signal.SIGKILL)
    demo.end()


def test_wrong_use_is_told(build):
    for args, words in ((["nonsense"], "there are: "), (["--size", "many"], "from 1 on"), (["--size", "999999"], "expected 1000")):
        demo = Demo(build, *args, terminal=False)
        assert demo.end() == 2 and words in demo.text(), demo.text()


def main():
    build = os.path.abspath(sys.argv[1])
    failures = []

    def run(test):
        try:
            test(build)
        except Exception as e:  # pylint: disable=broad-except
            failures.append("%s: %s: %s" % (test.__name__, type(e).__name__, e))

    # Side by side: most of a demo is the wait for its pool's fall.
    tests = [t for name, t in sorted(globals().items()) if name.startswith("test_")]
    threads = [threading.Thread(target=run, args=(t,)) for t in tests]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for failure in failures:
        print("FAILED", failure)
    print("mill: %d passed, %d failed" % (len(tests) - len(failures), len(failures)))
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    if not shutil.which("zcat") or not os.path.exists(READS % 1):
        print("no reads at", READS % 1)
        sys.exit(77)
    main()
