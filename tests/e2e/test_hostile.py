#!/usr/bin/env python3
"""Peers with valid keys that talk nonsense to live daemons: the daemons live on, work goes on and comes out
right, and the log says what was wrong without being filled. Strangers are not heard at all."""
import os
import random
import re
import socket
import sys
import threading
import time

from debian_zmq import zmq
from case import FAST, ApiError, MillCase, main, until
from wire import Wire, pack

JOB = """version: 1
name: real
shard: {count: 60}
run: {exec: [echo, "{{shard.index}}"]}
gather: {exec: [cat]}
"""
RIGHT = b"".join(b"%d\n" % n for n in range(60))
FRAMES = 300 if os.environ.get("MILL_TEST") == "quick" else 1500
NEVER = 1 << 40  # of leases, sessions and jobs: not before the end of the test
TAKES_NOTHING = {"resources.cpu_milli": 0, "resources.gpu_milli": 0, "token.lease": NEVER, "held_token.job": NEVER,
                 "register_worker.gone": [], "job_ref.job": NEVER}


class Hostile(MillCase):
    def setUp(self):
        super().setUp()
        self.seed = random.SystemRandom().randrange(1 << 32)
        print("hostile: seed %d" % self.seed, flush=True)
        self.wire = Wire(random.Random(self.seed))
        self.rng = self.wire.rng
        self.context = zmq.Context()
        self.sockets = []
        self.addCleanup(self.close)

    def close(self):
        for s in self.sockets:
            s.close(0)
        self.context.term()

    def socket(self, kind):
        self.sockets.append(self.context.socket(kind))
        self.sockets[-1].setsockopt(zmq.LINGER, 0)
        return self.sockets[-1]

    def key(self, name):
        with open(os.path.join(self.mill.state, "keys", name)) as f:
            return dict(line.split() for line in f if line.strip() and line[0] != "#")

    def connect(self, public, secret, **options):
        s = self.socket(zmq.DEALER)
        s.curve_publickey, s.curve_secretkey = public.encode(), secret.encode()
        s.curve_serverkey = self.key("dispatcher.key.pub")["public"].encode()
        s.setsockopt(zmq.RECONNECT_IVL, 10)
        for name, value in options.items():
            s.setsockopt(getattr(zmq, name), value)
        s.connect("tcp://127.0.0.1:%d" % self.mill.port)
        return s

    def worker_peer(self, **options):
        k = self.key("worker.key")
        return self.connect(k["public"], k["secret"], **options)

    def log_lines(self, p, text):
        with open(p.log, errors="replace") as f:
            return [line for line in f if text in line]

    def frames(self):
        """Frames of one who may speak as a worker, and what he could get wrong."""
        w, r = self.wire, self.rng
        registered = dict(TAKES_NOTHING, **{"register_worker.wire_min": 1, "register_worker.wire_max": 1})
        for n in range(FRAMES):
            name = r.choice(sorted(w.messages))
            yield w.bent(w.message(name, registered))
            yield w.message(name, TAKES_NOTHING)  # mostly a wrong version, session or direction
            if n % 10 == 0:
                yield w.message("register", dict(registered, **{"register_worker.draining": False}))
        many = [w.body("held_token", TAKES_NOTHING) for _ in range(17000)]
        yield w.message("register", dict(registered, **{"register_worker.tokens": many}))
        ranges = [[n, 0xffffffff] for n in range(70000)]
        for field in ("outcome.done", "outcome.returned"):
            yield w.message("report", dict(TAKES_NOTHING, **{field: ranges, "report.session": 1}))
        yield pack([1, [["x"] * 100000] * 3])
        yield b"\xdd\xff\xff\xff\xff"
        yield b"\x91" * 2000000
        yield b"x" * (8 << 20)

    def throw(self, peer, frames):
        for frame in frames:
            try:
                peer.send(frame, zmq.DONTWAIT)
                while peer.poll(0):  # answers, unread, would fill his queue
                    peer.recv()
            except zmq.Again:
                time.sleep(0.002)  # he was cut off, or we are too fast

    def expect_life(self):
        self.assertIsNone(self.mill.dispatcher.poll(), "the dispatcher is gone")
        job = self.mill.submit(JOB, allow_pending=True)  # of strangers that offer nothing it would be refused
        self.assertEqual(self.mill.wait(job)["state"], "succeeded")
        self.assertEqual(self.mill.output(job), RIGHT)

    def test_a_worker_that_talks_nonsense(self):
        self.mill.start_dispatcher(**FAST)
        self.mill.start_worker(heartbeat="100ms")
        job = self.mill.submit("version: 1\nname: long\nshard: {count: 200}\nrun: {exec: [sh, -c, 'sleep 0.02; echo x']}\n")
        peers = [self.worker_peer() for _ in range(2)]
        peers[0].send(self.wire.message("register", dict(TAKES_NOTHING, **{
            "register_worker.wire_min": 98, "register_worker.wire_max": 99, "register_worker.host": "h"})))
        until(lambda: self.log_lines(self.mill.dispatcher, "speaks wire versions 98 to 99"))
        threads = [threading.Thread(target=self.throw, args=(p, list(self.frames()))) for p in peers]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        dropped = lambda: self.log_lines(self.mill.dispatcher, "frame is dropped")
        until(dropped)
        self.expect_life()
        done = self.mill.wait(job)
        self.assertEqual((done["state"], done["phases"][0]["done"]), ("succeeded", 200))
        self.assertEqual(self.mill.output(job), b"x\n" * 200)
        self.assertTrue(self.log_lines(self.mill.dispatcher, "goes the other way"))
        for second in {line[:19] for line in dropped()}:
            self.assertLess(len(self.log_lines(self.mill.dispatcher, second)), 100, "the log is flooded")

    def register(self, peer, **given):
        """A session for a worker that takes no work; its number."""
        fields = dict(TAKES_NOTHING, **{"register_worker.wire_min": 1, "register_worker.wire_max": 1,
                                        "register_worker.tokens": [], "register_worker.serial": 1,
                                        "uuid.hi": 7, "register_worker.host": "h", "register_worker.pool": "p"})
        fields.update(given)
        peer.send(self.wire.message("register", fields))
        until(lambda: peer.poll(1000), 20)
        frame = peer.recv()
        self.assertEqual(frame[:2], b"\x92\x11", "expected REGISTERED, found %r" % frame)
        number = re.match(rb"\x92\x11\x98.(?:([\x00-\x7f])|\xcc(.)|\xcd(..)|\xce(....)|\xcf(.{8}))", frame, re.S)
        return int.from_bytes(next(g for g in number.groups() if g is not None), "big")

    def test_reports_of_leases_that_were_never_granted_count_for_nothing(self):
        self.mill.start_dispatcher(**FAST)
        job = self.mill.submit(JOB)
        peer = self.worker_peer()
        session = self.register(peer)
        strange = self.mill.api("GET", "/v1/status")["strange"]
        for seq, (epoch, lease) in enumerate(((1, NEVER), (1, 1), (9, 1), (0xffffffff, 0xffffffff)), 1):
            peer.send(self.wire.message("report", {
                "report.session": session, "report.seq": seq, "resources.cpu_milli": 0, "resources.named": [],
                "report.outcomes": [[[epoch, lease], job, 0, [[0, 60]], [], [], 0, 5, 5, 0]],
                "report.run_histogram": b"", "report.draining": False, "report.slot_idle": False}))
        until(lambda: self.mill.api("GET", "/v1/status")["strange"] >= strange + 4)
        self.assertEqual(self.mill.job(job)["phases"][0]["done"], 0)
        self.mill.start_worker(heartbeat="100ms")
        self.assertEqual(self.mill.wait(job)["state"], "succeeded")
        self.assertEqual(self.mill.output(job), RIGHT)

    def test_a_name_of_ones_own_choice_is_nobody(self):
        """A peer may not name its connection: it could take another's name."""
        self.mill.start_dispatcher(**FAST)
        frames_in = lambda: self.mill.api("GET", "/v1/status")["peers"]["frames_in"]
        self.register(self.worker_peer())
        before = frames_in()
        for name in (b"abcde", b"\x01\x00\x00\x00\x01", b"x", b"y" * 200):
            named = self.worker_peer(ROUTING_ID=name)
            named.send(self.wire.message("heartbeat"))
            self.assertEqual(named.poll(300), 0, "it was answered")
        self.register(self.worker_peer(), **{"uuid.hi": 8})
        self.assertEqual(frames_in(), before + 1)

    def test_frames_of_several_parts(self):
        self.mill.start_dispatcher(**FAST)
        peer = self.worker_peer()
        for parts in ([b"", b""], [b"a", b"b", b"c"], [b"\x92\x03"] * 50):
            peer.send_multipart(parts)
        self.register(peer)
        self.mill.start_worker(heartbeat="100ms")
        self.expect_life()

    def test_other_roles_and_strangers(self):
        """Clients and scalers may not speak at all, producers not as workers; who is not on the list is not let in."""
        self.mill.start_dispatcher(**FAST)
        self.mill.dispatcher.terminate()
        self.assertEqual(self.mill.dispatcher.wait(20), 0)
        keys = {}
        with open(os.path.join(self.mill.state, "keys", "allowed"), "a") as f:
            for role in ("scaler", "client"):
                keys[role] = [k.decode() for k in zmq.curve_keypair()]
                f.write("%s %s a-%s\n" % (role, keys[role][0], role))
        self.mill.start_dispatcher(**FAST)
        self.mill.start_worker(heartbeat="100ms")
        denied = lambda: self.mill.api("GET", "/v1/status")["peers"]["denied"]
        for n, role in enumerate(keys, 1):
            peer = self.connect(*keys[role])
            for _ in range(20):
                peer.send(self.wire.message("register", TAKES_NOTHING))
            until(lambda: denied() >= 20 * n)
            self.assertEqual(peer.poll(0), 0, "a %s was answered" % role)
        self.assertEqual(len(self.log_lines(self.mill.dispatcher, "spoke like one")), 1)
        before = self.mill.api("GET", "/v1/status")["peers"]["frames_in"]
        strangers = [self.connect(*[k.decode() for k in zmq.curve_keypair()], IMMEDIATE=1) for _ in range(5)]
        plain = self.socket(zmq.DEALER)
        plain.connect("tcp://127.0.0.1:%d" % self.mill.port)
        for s in strangers:
            try:
                s.send(self.wire.message("register", TAKES_NOTHING), zmq.DONTWAIT)
            except zmq.Again:
                pass  # it never got a connection
        plain.send(b"hello")
        self.expect_life()
        self.assertEqual([s.poll(0) for s in strangers + [plain]], [0] * 6)
        self.assertEqual(len(self.mill.api("GET", "/v1/workers")["workers"]), 1)
        self.assertGreater(self.mill.api("GET", "/v1/status")["peers"]["frames_in"], before)

    def test_a_dispatcher_that_talks_nonsense(self):
        """A worker that heard only nonsense registers with the real dispatcher and works."""
        self.mill.start_dispatcher(**FAST)
        self.mill.dispatcher.terminate()
        self.assertEqual(self.mill.dispatcher.wait(20), 0)
        own, leave = self.key("dispatcher.key"), {24, 25}
        fake = self.socket(zmq.ROUTER)
        fake.curve_server = True
        fake.curve_publickey, fake.curve_secretkey = own["public"].encode(), own["secret"].encode()
        fake.bind("tcp://127.0.0.1:%d" % self.mill.port)
        worker = self.mill.start_worker(heartbeat="100ms")
        until(lambda: fake.poll(1000), 20)
        peer = fake.recv_multipart()[0]
        w = self.wire
        answers = [n for n in sorted(w.messages) if w.messages[n][0] >= 16 and w.messages[n][0] not in leave]
        for n in range(FRAMES):
            name = self.rng.choice(answers)
            frame = w.message(name, {"registered.serial": self.rng.choice((1, n)), "registered.wire": 1})
            for one in (w.bent(frame), frame):
                if len(one) < 2 or one[1] not in leave:  # these two would end it, and may
                    fake.send_multipart([peer, one])
            while fake.poll(0):
                peer = fake.recv_multipart()[0]
        until(lambda: self.log_lines(worker, "makes no sense"))
        self.assertIsNone(worker.poll(), "the worker is gone")
        fake.close(0)
        until(self.port_is_free)
        self.mill.start_dispatcher(**FAST)
        self.expect_life()
        self.assertIsNone(worker.poll(), "the worker is gone")
        self.assertLess(len(self.log_lines(worker, "makes no sense")), 200, "the log is flooded")

    def port_is_free(self):
        """the port is free again"""
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("127.0.0.1", self.mill.port))
                return True
            except OSError:
                return False


class HttpNonsense(MillCase):
    def connect(self, seconds=10):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(seconds)
        s.connect(self.mill.socket)
        return s

    def throw(self, data, seconds=10):
        """What is answered, or b"" when the connection was cut, or more is waited for."""
        s = self.connect(seconds)
        try:
            s.sendall(data)
            s.shutdown(socket.SHUT_WR)
            return s.recv(65536)
        except OSError:
            return b""
        finally:
            s.close()

    def test_requests_that_are_none(self):
        self.mill.start_dispatcher()
        seed = random.SystemRandom().randrange(1 << 32)
        print("http: seed %d" % seed, flush=True)
        rng = random.Random(seed)
        good = b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n[]"
        self.assertTrue(self.throw(good).startswith(b"HTTP/1.1 200 "))
        for _ in range(FRAMES):
            data = bytearray(good)
            for _ in range(rng.choice((1, 2, 8))):
                at = rng.randrange(len(data))
                data[at:at + rng.randrange(4)] = rng.choice((b"", b"\0", b"\r\n", b" ", b"%00", b"\xff", b"/../", rng.randbytes(3)))
            self.throw(bytes(data), 0.1)
        self.assertTrue(self.mill.answers())
        self.assertEqual(self.jobs(), [])

    def test_headers_without_end_and_too_many(self):
        self.mill.start_dispatcher()
        for head in (b"X: " + b"y" * 200000 + b"\r\n", b"X: y\r\n" * 20000, b"A" * 100000):
            answer = self.throw(b"GET /v1/status HTTP/1.1\r\nHost: x\r\n" + head + b"\r\n")
            self.assertFalse(answer.startswith(b"HTTP/1.1 200 "), answer[:100])
        self.assertFalse(self.throw(b"GET /v1/status?" + b"a=b&" * 50000 + b" HTTP/1.1\r\nHost: x\r\n\r\n").startswith(b"HTTP/1.1 200 "))
        self.throw(b"POST /v1/events HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n[]")
        self.throw(b"POST /v1/events HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n[]\r\n0\r\n\r\n")
        self.assertTrue(self.mill.answers())

    def test_many_that_send_slowly_do_not_keep_others_out(self):
        self.mill.start_dispatcher()
        slow = []
        for n in range(300):
            s = self.connect()
            s.sendall((b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n[", b"GET /v1/st", b"")[n % 3])
            slow.append(s)
        for _ in range(3):
            for s in slow:
                s.send(b" ")
            job = self.mill.submit(command={"argv": ["true"]})
            self.assertEqual(self.mill.job(job)["state"], "active")
        for s in slow:
            s.close()
        self.assertTrue(self.mill.answers())
        self.expect_error(413, "limit", "POST", "/v1/events", b" " * (5 << 20))


if __name__ == "__main__":
    main()
