"""The command as people and scripts use it, for end-to-end tests: run, on a terminal, followed while it runs."""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

from case import FAST, MillCase

HOSTILE = "a\033[2J\nb"


class Terminal:
    """A command on a terminal of its own, and all that it has written there."""

    def __init__(self, argv, env, columns=100, cwd=None):
        pid, self.fd = pty.fork()
        if pid == 0:
            try:
                os.chdir(cwd or ".")
                os.execve(argv[0], argv, env)
            finally:
                os._exit(126)
        self.pid, self.written = pid, b""
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))

    def read(self, seconds):
        """False when the command has closed it."""
        if not select.select([self.fd], [], [], seconds)[0]:
            return True
        try:
            got = os.read(self.fd, 65536)
        except OSError:  # Linux: the other side is closed
            got = b""
        self.written += got
        return got != b""

    def until(self, text, seconds=60):
        end = time.monotonic() + seconds
        while text not in self.text():
            if time.monotonic() > end or not self.read(0.1):
                raise AssertionError("%r was not written: %r" % (text, self.written))

    def text(self):
        return self.written.decode("utf-8", "replace")

    def end(self, seconds=60):
        """The exit code; text without what was drawn over."""
        end = time.monotonic() + seconds
        while self.read(0.1):
            if time.monotonic() > end:
                os.kill(self.pid, signal.SIGKILL)
        os.close(self.fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def lines(self):
        return [re.split(r"\r\033\[K", line.rstrip("\r"))[-1] for line in self.text().split("\n")]


class Follower:
    """A command whose pipes are read while it runs; out and err are all that it has written there."""

    def __init__(self, argv, env, cwd):
        self.p = subprocess.Popen(argv, env=env, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.open = {self.p.stdout: "out", self.p.stderr: "err"}
        self.out = self.err = ""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.p.poll() is None:
            self.p.kill()
            self.p.wait()
        self.p.stdout.close()
        self.p.stderr.close()

    def read(self, seconds):
        for pipe in select.select(list(self.open), [], [], seconds)[0]:
            got = os.read(pipe.fileno(), 65536)
            if not got:
                del self.open[pipe]
            name = "out" if pipe is self.p.stdout else "err"
            setattr(self, name, getattr(self, name) + got.decode("utf-8", "replace"))

    def until(self, out="", err="", seconds=60):
        """both texts were written"""
        end = time.monotonic() + seconds
        while out not in self.out or err not in self.err:
            if time.monotonic() > end or not self.open:
                raise AssertionError("%r, %r not in %r, %r" % (out, err, self.out, self.err))
            self.read(0.1)

    def end(self, seconds=60):
        """The exit code, when it has ended."""
        end = time.monotonic() + seconds
        while self.open:
            if time.monotonic() > end:
                raise AssertionError("it does not end: %r, %r" % (self.out, self.err))
            self.read(0.1)
        return self.p.wait()

    def hold(self):
        """It does nothing until it may go on."""
        self.p.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.p.send_signal(signal.SIGCONT)


class CliCase(MillCase):
    def setUp(self):
        super().setUp()
        self.mill.params = FAST
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("SHARDMILL")}
        self.env.update(SHARDMILL_API_SOCKET=self.mill.socket, TERM="xterm", LC_ALL="C.UTF-8", TZ="UTC")
        self.env.pop("NO_COLOR", None)

    def start(self, **params):
        self.mill.start_dispatcher(**params)
        self.mill.start_worker()

    def run_cli(self, *args, code=0, stdin=b"", **env):
        """(stdout, stderr) as text"""
        p = subprocess.run([self.mill.program("shardmill"), *args], input=stdin, capture_output=True,
                           env={**self.env, **env}, cwd=self.mill.dir, timeout=120)
        out, err = p.stdout.decode("utf-8", "surrogateescape"), p.stderr.decode("utf-8", "replace")
        self.assertEqual(p.returncode, code, "%s\n%s%s" % (args, out, err))
        return out, err

    def terminal(self, *args, **env):
        return Terminal([self.mill.program("shardmill"), *args], {**self.env, **env}, cwd=self.mill.dir)

    def follow(self, *args):
        return Follower([self.mill.program("shardmill"), "logs", "--follow", *args], self.env, self.mill.dir)

    def connection_of(self, pid):
        """the inode of a process's connected socket (proc(5): state 03), or None"""
        links = []
        for fd in os.listdir("/proc/%d/fd" % pid):
            try:
                links.append(os.readlink("/proc/%d/fd/%s" % (pid, fd)))
            except OSError:
                pass
        with open("/proc/net/unix") as f:
            rows = [line.split() for line in f]
        return next((r[6] for r in rows[1:] if r[5] == "03" and "socket:[%s]" % r[6] in links), None)

    def long_poll(self, pid):
        """one connection that stays: the question whether the job has ended, not the short ones before"""
        before = self.connection_of(pid)
        time.sleep(0.3)
        return before is not None and self.connection_of(pid) == before

    def submit(self, *args):
        out, _ = self.run_cli("submit", *args)
        self.assertRegex(out, r"\A\d+\n\Z", "in a pipe, the id and nothing else")
        return out.strip()
