#!/usr/bin/env python3
"""The doors under stress: whoever crowds before them, `status`, `submit` and `cancel` are answered within a second
throughout, the dispatcher lives on, and its memory stays within bounds."""
import contextlib
import multiprocessing
import os
import re
import resource
import socket
import struct
import sys
import threading
import time

from debian_zmq import zmq
from case import ECHO, FAST, ApiError, MillCase, free_port, main, until
from mill import UnixConnection

CROWD = 1100
# Sanitizers and other tests beside this one take their time.
WITHIN = float(os.environ.get("MILL_WITHIN", "1"))
GREETING = b"\xff" + b"\0" * 8 + b"\x7f\x03\x01CURVE" + b"\0" * 15 + b"\0" * 32


class Doors(MillCase):
    def setUp(self):
        super().setUp()
        self.held = []
        self.addCleanup(self.let_go)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        if hard < 4 * CROWD:
            self.skip("a limit of %d descriptors is too low for a crowd" % hard)

    def let_go(self):
        for s in self.held:
            s.close()
        self.held = []

    def knock(self, address, text=b""):
        """A connection that has said so much; it stays."""
        s = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET, socket.SOCK_STREAM)
        self.held.append(s)
        s.settimeout(30)
        for _ in range(20):
            with contextlib.suppress(BlockingIOError):  # the backlog is full
                s.connect(address)
                break
            time.sleep(0.01)
        with contextlib.suppress(OSError):  # it may be told at once that there is no room
            s.sendall(text)
        return s

    def take(self, name, ask):
        began = time.monotonic()
        answer = ask()
        took = time.monotonic() - began
        self.slowest[name] = max(took, self.slowest.get(name, 0))
        return answer

    def look_in(self):
        """Each with a connection of its own."""
        m = self.mill
        self.take("status", lambda: m.api("GET", "/v1/status"))
        job = self.take("submit", lambda: m.submit(ECHO))
        try:
            self.take("cancel", lambda: m.api("POST", "/v1/jobs/%d/cancel" % job))
        except ApiError as e:
            self.assertEqual(e.status, 409, e)  # a worker was faster

    def look(self, pipe):
        """A process of its own, so that the crowd is not in its way."""
        wrong = None
        try:
            while not pipe.poll():
                self.look_in()
        except Exception as e:  # pylint: disable=broad-except
            wrong = repr(e)
        pipe.send((self.slowest, wrong))

    @contextlib.contextmanager
    def open_doors(self):
        """While it lasts somebody looks in all the time."""
        self.slowest, wrong = {}, None
        here, there = multiprocessing.Pipe()
        child = multiprocessing.Process(target=self.look, args=(there,))
        child.start()
        try:
            yield
        finally:
            here.send("over")
            self.slowest, wrong = here.recv()
            child.join()
        self.assertIsNone(wrong)
        self.look_in()
        print("doors: %s: %s" % (self.id().rsplit(".", 1)[1],
                                 ", ".join("%s %.3f s" % i for i in sorted(self.slowest.items()))), flush=True)
        self.assertLess(max(self.slowest.values()), WITHIN, self.slowest)
        self.assertIsNone(self.mill.dispatcher.poll())

    def memory(self):
        with open("/proc/%d/status" % self.mill.dispatcher.pid) as f:
            return int(re.search(r"RssAnon:\s+(\d+) kB", f.read()).group(1)) << 10

    def api_port(self):
        self.port = free_port()
        return "127.0.0.1:%d" % self.port

    def token(self):
        with open(os.path.join(self.mill.state, "keys", "api-token")) as f:
            return f.read().strip()


class Http(Doors):
    def wait_for(self, job, seconds=50):
        return b"GET /v1/jobs/%d/wait?timeout=%ds HTTP/1.1\r\nHost: x\r\n\r\n" % (job, seconds)

    def test_waiting_clients(self):
        self.mill.start_dispatcher(**FAST)
        job = self.mill.submit(ECHO)
        with self.open_doors():
            for _ in range(CROWD):
                self.knock(self.mill.socket, self.wait_for(job))
            time.sleep(1)
        self.mill.start_worker(heartbeat="100ms")
        for s in self.held:  # every one of them is answered
            self.assertIn(b'"state":"succeeded"', s.recv(65536).replace(b": ", b":"))

    def test_waiting_clients_that_have_gone_leave_their_places(self):
        self.mill.start_dispatcher(descriptors=256, **FAST)
        job = self.mill.submit(ECHO)
        def status_of(s):
            s.settimeout(0.3)
            try:
                return int(s.recv(65536).split()[1])
            except TimeoutError:
                return None  # it waits
        while status_of(self.knock(self.mill.socket, self.wait_for(job))) is None:
            self.assertLess(len(self.held), 100)
        self.assertEqual(status_of(self.knock(self.mill.socket, self.wait_for(job))), 503)
        self.let_go()
        until(lambda: status_of(self.knock(self.mill.socket, self.wait_for(job))) is None, seconds=10)

    def slow(self, address, head):
        with self.open_doors():
            crowd = [self.knock(address, head) for _ in range(CROWD)]
            for _ in range(4):
                for s in crowd:
                    with contextlib.suppress(OSError):
                        s.send(b"x")
                time.sleep(0.3)
            said = []
            for s in crowd:
                s.setblocking(False)
                with contextlib.suppress(OSError):
                    said.append(s.recv(4096))
        self.assertTrue(any(b" 503 " in text and b"busy" in text for text in said), said[:3])

    def test_slow_strangers(self):
        self.mill.start_dispatcher(**FAST)
        self.slow(self.mill.socket, b"GET /v1/status HTTP/1.1\r\nHost: x\r\nX-Slow: ")

    def test_slow_strangers_over_tcp(self):
        self.mill.start_dispatcher(api_listen=self.api_port(), **FAST)
        self.slow(("127.0.0.1", self.port), b"GET /v1/status HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        s = self.knock(("127.0.0.1", self.port), b"GET /v1/status HTTP/1.1\r\nHost: x\r\n"
                       b"Authorization: Bearer " + self.token().encode() + b"\r\n\r\n")
        self.assertIn(b" 200 ", s.recv(100))

    def test_slow_bodies(self):
        self.mill.start_dispatcher(**FAST)
        self.slow(self.mill.socket, b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 9000\r\n\r\n{")

    def test_a_head_that_does_not_come_is_not_waited_for(self):
        self.mill.start_dispatcher(**FAST)
        began = time.monotonic()
        s = self.knock(self.mill.socket, b"GET /v1/sta")
        for _ in range(150):
            with contextlib.suppress(OSError):
                s.send(b"t")
            s.settimeout(0.1)
            with contextlib.suppress(TimeoutError):
                text = s.recv(4096)
                break
        self.assertIn(b" 408 ", text)
        self.assertGreater(time.monotonic() - began, 9)
        self.assertLess(time.monotonic() - began, 14)

    def test_a_body_with_two_lengths(self):
        self.mill.start_dispatcher(**FAST)
        wrong = ["Content-Length: 2\r\nContent-Length: 2", "Content-Length: 2\r\nContent-Length: 3",
                 "Content-Length: 2\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked\r\nContent-Length: 2",
                 "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
                 "Transfer-Encoding: chunked\r\ntransfer-encoding: identity", "Transfer-Encoding: gzip, chunked",
                 "Transfer-Encoding: identity", "Content-Length: 2, 2", "Content-Length: 2, 3", "Content-Length: +2",
                 "Content-Length: -2", "Content-Length: 0x2", "Content-Length: 2 2", "Content-Length:",
                 "Content-Length : 2", "Content-Length: 99999999999999999999999999"]
        behind = "GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n"
        for method in ("POST /v1/events", "GET /v1/status"):
            for headers in wrong:
                with self.subTest(headers=headers, method=method):
                    text = "%s HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n{}" % (method, headers)
                    s = self.knock(self.mill.socket, (text + behind).encode())
                    answer = b""
                    with contextlib.suppress(ConnectionResetError):
                        while True:
                            more = s.recv(65536)
                            if not more:
                                break
                            answer += more
                    self.assertRegex(answer, rb"^HTTP/1.1 4(00|13) ")
                    self.assertNotIn(b"cluster", answer)
        for headers in ("Content-Length: 2\r\n\r\n{}", "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"):
            s = self.knock(self.mill.socket, ("POST /v1/wait HTTP/1.1\r\nHost: x\r\n%s" % headers + behind).encode())
            answer = b""
            while answer.count(b"HTTP/1.1 ") < 2:
                answer += s.recv(65536)
            self.assertIn(b"expected a list of jobs", answer)

    def test_without_a_token_no_body_is_read(self):
        self.mill.start_dispatcher(api_listen=self.api_port(), **FAST)
        s = self.knock(("127.0.0.1", self.port), b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 4000000\r\n\r\n{")
        answer = b""
        while True:
            more = s.recv(65536)
            if not more:
                break
            answer += more
        self.assertIn(b" 401 ", answer)
        self.assertIn(b"Connection: close", answer)


class Wire(Doors):
    """libzmq's door."""

    def key(self, name):
        with open(os.path.join(self.mill.state, "keys", name)) as f:
            return dict(line.split() for line in f if line.strip() and line[0] != "#")

    def wire_address(self, kind):
        """(what --listen is given, where a stranger connects)"""
        if kind == "ipc":
            return "ipc://" + self.path("wire"), self.path("wire")
        return "tcp://127.0.0.1:%d" % self.mill.port, ("127.0.0.1", self.mill.port)

    def half_a_frame(self, address):
        """A command of 1 MiB is announced, and half of it comes."""
        s = self.knock(address, GREETING)
        s.settimeout(0.5)
        with contextlib.suppress(OSError):
            s.recv(64, socket.MSG_WAITALL)
            s.sendall(b"\x06" + struct.pack(">Q", 1 << 20) + b"x" * (1 << 19))
        return s

    def strangers(self, kind):
        listen, address = self.wire_address(kind)
        self.mill.start_dispatcher(listen=listen, **FAST)
        before = self.memory()
        self.half_a_frame(address)
        time.sleep(0.5)
        self.assert_cost(self.memory() - before, 10 << 20)
        with self.open_doors():
            threads = [threading.Thread(target=self.half_a_frame, args=(address,)) for _ in range(59)]
            for t in threads:
                t.start()
            for t in threads:
                t.join()
            time.sleep(1)
            grown = self.memory() - before
            # A worker gets in all the same.
            self.mill.params["listen"] = listen
            self.mill.start_worker(connect=listen, heartbeat="100ms")
            until(lambda: self.mill.api("GET", "/v1/status")["workers"] == 1, seconds=30)
        print("doors: 60 strangers over %s cost %.1f MB" % (kind, grown / 1e6), flush=True)
        self.assert_cost(grown, 64 << 20)

    def assert_cost(self, grown, most):
        if os.environ.get("MILL_BUILD") != "asan":  # the sanitizer keeps what was freed
            self.assertLess(grown, most)

    def test_strangers_with_half_a_frame(self):
        self.strangers("tcp")

    def test_strangers_with_half_a_frame_on_a_unix_socket(self):
        self.strangers("ipc")

    def test_a_crowd_of_workers(self):
        """They all come at once, and come again when the dispatcher does."""
        count = 300 if os.environ.get("MILL_TEST") == "quick" else 1000
        self.mill.start_dispatcher(**FAST)
        k = self.key("worker.key")
        context = zmq.Context(io_threads=1)
        context.set(zmq.MAX_SOCKETS, count + 10)
        peers = []
        for _ in range(count):
            s = context.socket(zmq.DEALER)
            s.setsockopt(zmq.LINGER, 0)
            s.curve_publickey, s.curve_secretkey = k["public"].encode(), k["secret"].encode()
            s.curve_serverkey = self.key("dispatcher.key.pub")["public"].encode()
            s.connect("tcp://127.0.0.1:%d" % self.mill.port)
            s.send(b"\x92\x03\x91\x01")  # a heartbeat of no session: the answer is WHO
            peers.append(s)
        try:
            for again in range(2):
                began = time.monotonic()
                for s in peers:
                    while not s.poll(5000):  # it may have been sent to the one that is gone
                        s.send(b"\x92\x03\x91\x01")
                        self.assertLess(time.monotonic() - began, 60)
                    s.recv()
                print("doors: %d workers were in after %.1f s" % (count, time.monotonic() - began), flush=True)
                self.assertLess(time.monotonic() - began, 60)
                if again == 0:
                    self.mill.kill(self.mill.dispatcher)
                    self.mill.start_dispatcher(**FAST)
                    for s in peers:
                        s.send(b"\x92\x03\x91\x01")
        finally:
            for s in peers:
                s.close(0)
            context.term()


class Descriptors(Doors):
    LIMIT = 256

    def start(self, **params):
        self.mill.start_dispatcher(descriptors=self.LIMIT, **dict(FAST, **params))

    def test_256_of_them(self):
        address = self.path("wire")
        self.start(listen="ipc://" + address, api_listen=self.api_port())
        job = self.mill.submit(ECHO)
        with self.open_doors():
            for _ in range(400):
                self.knock(address, GREETING)
            for n in range(400):
                self.knock(self.mill.socket, b"GET /v1/jobs/%d/wait HTTP/1.1\r\nHost: x\r\n\r\n" % job if n % 2 else b"GET")
                self.knock(("127.0.0.1", self.port), b"GET /v1/status HTTP/1.1\r\n")
            for _ in range(400):
                self.knock(address)
            time.sleep(1)
        self.let_go()
        self.mill.start_worker(connect="ipc://" + address, heartbeat="100ms")
        until(lambda: self.mill.job(job)["state"] == "succeeded")
        self.assertEqual(self.mill.output(job), b"hello\n")

    def test_too_few_are_told_at_once(self):
        p = self.mill.start_dispatcher(wait=False, descriptors=100, **FAST)
        self.assertNotEqual(p.wait(20), 0)
        with open(p.log) as f:
            text = f.read()
        self.assertIn("expected a limit of at least 192 descriptors, found 100", text)


if __name__ == "__main__":
    main()
