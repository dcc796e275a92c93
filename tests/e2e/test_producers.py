#!/usr/bin/env python3
"""Events as frames: `shardmill emit --stream`, and producers that do it wrong."""
import json
import os
import random
import re
import shutil
import signal
import subprocess
import threading

from case import FAST, main, until
from cli_case import CliCase, Terminal
from debian_zmq import zmq
from wire import Wire, pack, unpack

RULE = """version: 1
name: tick
on: [{pattern: {source: [bench]}}]
run: {exec: ['true']}
"""
BROKEN = """version: 1
name: broken
on: [{pattern: {source: [broken]}}]
run: {exec: [echo, "{{event.detail.missing}}"]}
"""
HELLO, EVENTS, WELCOME, ANSWER, WHO, REFUSED, BYE = 8, 9, 28, 29, 23, 25, 5


def event(n, source="bench"):
    return {"id": "e%d" % n, "source": source, "detail-type": "tick", "detail": {"n": n}}


def line(n, source="bench"):
    return json.dumps(event(n, source)) + "\n"


class Producers(CliCase):
    def setUp(self):
        super().setUp()
        self.rules = os.path.join(self.mill.dir, "rules")
        os.mkdir(self.rules)
        for name, text in (("tick", RULE), ("broken", BROKEN)):
            with open(os.path.join(self.rules, name + ".yaml"), "w") as f:
                f.write(text)
        self.context, self.sockets = zmq.Context(), []
        self.addCleanup(self.close)

    def close(self):
        for s in self.sockets:
            s.close(0)
        self.context.term()

    def start(self, **more):
        self.mill.start_dispatcher(**dict(FAST, rules_dir=self.rules, **more))
        until(lambda: len(self.mill.api("GET", "/v1/rules")["rules"]) == 2)

    def argv(self, path="-", *options):
        return [self.mill.program("shardmill"), "emit", "--stream", path, "--state-dir", self.mill.state,
                "--connect", "tcp://127.0.0.1:%d" % self.mill.port, *options]

    def emit(self, text, code=0, options=()):
        got = subprocess.run(self.argv("-", *options), input=text, capture_output=True, text=True, timeout=120)
        self.assertEqual(got.returncode, code, got.stdout + got.stderr)
        return got

    # ---- the command ----

    def test_each_line_is_an_event(self):
        self.start()
        got = self.emit(line(1) + "\n" + line(2) + "\r\n" + json.dumps(event(3)))
        self.assertEqual(got.stdout, "3 events are durable, 3 jobs started\n")
        got = self.emit(line(3) + line(4) + line(5, "unheard"))
        self.assertEqual(got.stdout, "3 events are durable, 1 job started; 1 known already; 1 that no rule matches\n")
        self.assertEqual(self.emit("").stdout, "0 events are durable, 0 jobs started\n")
        path = os.path.join(self.mill.dir, "lines")
        with open(path, "w") as f:
            f.write("".join(line(n) for n in range(100, 5100)))
        got = subprocess.run(self.argv(path), capture_output=True, text=True, timeout=120)
        self.assertEqual((got.returncode, got.stdout), (0, "5000 events are durable, 5000 jobs started\n"))
        self.assertEqual(self.mill.api("GET", "/v1/status")["jobs"]["live"], 5004)
        rows = until(lambda: self.mill.sql("SELECT DISTINCT by_kind, by_name FROM events"))
        self.assertEqual(rows, [(9, "local")])

    def test_bad_lines_are_told_by_number_and_harm_no_other(self):
        self.start()
        long = json.dumps(dict(event(3), detail={"x": "y" * (1 << 20)})) + "\n"
        many = json.dumps([event(7), event(8)]) + "\n"
        got = self.emit(line(1) + "{\n" + long + '{"id": "x"}\n' + line(5, "broken") + line(6) + many, code=1)
        self.assertEqual(got.stdout, "4 events are durable, 4 jobs started; 3 bad lines; 1 whose job failed at once\n"
                         .replace("4 jobs", "5 jobs"))
        told = sorted(got.stderr.splitlines())
        self.assertEqual([re.match(r"line (\d+): ", t).group(1) for t in told], ["2", "3", "4", "5"], got.stderr)
        self.assertIn("longer than an event may be", told[1])
        self.assertIn("line 4: source: expected a string", told[2])
        self.assertIn("line 5: taken, but its job failed at once: ", told[3])
        self.assertIn('the event has no "event.detail.missing"', told[3])
        many = self.emit("".join("[\n" for _ in range(30)), code=1)
        self.assertEqual(many.stderr.count("it is bad, too"), 10)
        self.assertIn("0 events are durable, 0 jobs started; 30 bad lines", many.stdout)

    def test_it_goes_on_when_the_dispatcher_was_killed(self):
        self.start()
        count = 60000
        p = subprocess.Popen(self.argv("-", "--give-up", "60s"), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True)
        self.addCleanup(p.kill)
        live = lambda: self.mill.api("GET", "/v1/status")["jobs"]["live"]

        def feed():
            for n in range(count):
                p.stdin.write(line(n))
            p.stdin.close()
        feeder = threading.Thread(target=feed)
        feeder.start()
        for kills in range(3):
            before = live()
            until(lambda: live() > before or p.poll() is not None)
            self.mill.kill(self.mill.dispatcher)
            self.start()
        feeder.join()
        out, err = p.stdout.read(), p.stderr.read()
        p.stdout.close()
        p.stderr.close()
        self.assertEqual(p.wait(60), 0, err)
        self.assertTrue(out.startswith("%d events are durable" % count), out)
        self.assertEqual(live(), count)  # each has one job

    def test_nobody_answers(self):
        self.start()
        self.mill.kill(self.mill.dispatcher)
        got = self.emit(line(1), code=4, options=("--give-up", "300ms"))
        self.assertIn("no dispatcher answers; 0 events are durable", got.stderr)
        self.assertIn("those that it has start nothing twice", got.stderr)

    def test_while_too_many_jobs_live_it_waits(self):
        self.start(jobs_max=100)
        p = subprocess.Popen(self.argv(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.addCleanup(p.kill)
        p.stdin.write("".join(line(n) for n in range(300)))
        p.stdin.close()
        until(lambda: self.mill.api("GET", "/v1/status")["jobs"]["live"] == 100)
        self.assertIsNone(p.poll())
        self.mill.start_worker(heartbeat="100ms")
        self.assertEqual(p.wait(60), 0)
        self.assertEqual(p.stdout.read(), "300 events are durable, 300 jobs started\n")
        p.stdout.close()

    def test_while_it_waits_the_dispatcher_vanishes(self):
        self.start(jobs_max=5)
        s = self.peer("producer.key")
        session = self.welcome(s)[1]
        s.send(pack([EVENTS, [session, 1, self.bodies(range(10))]]))
        told = 0
        while told < 4:  # again and again
            told += "jobs are live" in str(self.hear(s, ANSWER)[8:])
        path = os.path.join(self.mill.dir, "lines")
        with open(path, "w") as f:
            f.write("".join(line(n) for n in range(20, 30)))
        t = Terminal(self.argv(path, "--give-up", "1s"), dict(os.environ, TERM="xterm"))
        t.until("waiting: ")
        self.mill.dispatcher.send_signal(signal.SIGSTOP)
        self.addCleanup(self.mill.dispatcher.send_signal, signal.SIGCONT)
        self.assertEqual(t.end(), 4)
        self.assertIn("the dispatcher does not answer any more; 0 events are durable", t.text())

    # ---- keys in files ----

    def sealed(self, count):
        """That many keys were sent, slowly enough that none is forgotten, and most of them are in files."""
        for at in range(0, count, 100):
            self.mill.api("POST", "/v1/events", [event(n) for n in range(at, at + 100)])
        dedup = lambda: self.mill.api("GET", "/v1/status")["dedup"]
        until(lambda: dedup()["in_memory"] <= 3 * 171 and dedup()["files"] <= 6, seconds=30)

    def damage_keys(self):
        folder = os.path.join(self.mill.state, "dedup")
        for name in os.listdir(folder):
            if name.endswith(".keys"):
                with open(os.path.join(folder, name), "r+b") as f:
                    f.seek(4096 + 100)
                    byte = f.read(1)
                    f.seek(4096 + 100)
                    f.write(bytes([byte[0] ^ 1]))

    def test_a_damaged_file_of_keys_stops_no_producer(self):
        self.start(dedup_max="2048")
        self.sealed(1000)
        self.damage_keys()
        got = self.emit("".join(line(n) for n in range(100)), code=1)
        self.assertIn("a file of keys is damaged", got.stderr)
        self.assertIn("send it again when the file is mended or gone", got.stderr)
        jobs = self.mill.api("GET", "/v1/status")["jobs"]["live"]
        self.assertEqual(jobs, 1000)
        new = subprocess.run(self.argv(), input="".join(line(n) for n in range(2000, 2100)), capture_output=True,
                             text=True, timeout=60)
        self.assertGreater(int(re.search(r"(\d+) jobs started", new.stdout).group(1)), 80, new.stdout + new.stderr)

    def test_the_order_stays_when_keys_are_looked_up(self):
        """The filters of the files say of some new keys that they may be known."""
        self.start(dedup_max="2048")
        self.sealed(5000)
        s = self.peer("producer.key")
        session = self.welcome(s)[1]
        bodies = self.bodies(range(10000, 10300))
        bodies.append([json.dumps([event(n) for n in range(10300, 10600)]).encode()])
        s.send(pack([EVENTS, [session, 1, bodies]]))
        s.send(pack([EVENTS, [session, 302, self.bodies(range(10600, 10700)) + self.bodies(range(50))]]))
        seen, known, jobs = 0, 0, 0
        while seen < 451:
            answer = self.hear(s, ANSWER)
            seen, known, jobs = answer[1], known + answer[5], jobs + answer[7]
        self.assertEqual((known, jobs), (50, 700))
        taken = [self.mill.api("GET", "/v1/jobs/%d" % n)["event"]["id"] for n in range(5001, 5701)]
        self.assertEqual(taken, ["e%d" % n for n in range(10000, 10700)])

    def test_on_a_terminal_it_counts(self):
        self.start(jobs_max=10)
        env = dict(os.environ, TERM="xterm")
        path = os.path.join(self.mill.dir, "lines")
        with open(path, "w") as f:
            f.write("".join(line(n) for n in range(20)))
        t = Terminal(self.argv(path), env)
        t.until("events durable")
        t.until("waiting: ")
        self.mill.start_worker(heartbeat="100ms")
        self.assertEqual(t.end(), 0)
        self.assertIn("20 events are durable, 20 jobs started", t.text())

    def test_a_key_for_another_machine(self):
        self.start()
        there = os.path.join(self.mill.dir, "there")
        os.mkdir(there)
        public, secret = [k.decode() for k in zmq.curve_keypair()]
        shutil.copy(os.path.join(self.mill.state, "keys", "dispatcher.key.pub"), there)
        with open(os.open(os.path.join(there, "producer.key"), os.O_CREAT | os.O_WRONLY, 0o600), "w") as f:
            f.write("public %s\nsecret %s\n" % (public, secret))
        got = self.emit(line(1), code=5, options=("--keys-dir", there))
        self.assertIn("does not let this key in", got.stderr)
        with open(os.path.join(self.mill.state, "keys", "allowed"), "a") as f:
            f.write("producer %s shop\n" % public)
        self.mill.dispatcher.send_signal(signal.SIGHUP)

        def let_in():
            return subprocess.run(self.argv("-", "--keys-dir", there), input=line(1), capture_output=True,
                                  text=True, timeout=60).returncode == 0
        until(let_in)
        self.assertEqual(self.mill.api("GET", "/v1/status")["jobs"]["live"], 1)

    # ---- frames ----

    def peer(self, key):
        with open(os.path.join(self.mill.state, "keys", key)) as f:
            own = dict(text.split() for text in f)
        with open(os.path.join(self.mill.state, "keys", "dispatcher.key.pub")) as f:
            server = dict(text.split() for text in f)
        s = self.context.socket(zmq.DEALER)
        self.sockets.append(s)
        s.setsockopt(zmq.LINGER, 0)
        s.curve_publickey, s.curve_secretkey = own["public"].encode(), own["secret"].encode()
        s.curve_serverkey = server["public"].encode()
        s.connect("tcp://127.0.0.1:%d" % self.mill.port)
        return s

    def hear(self, s, wanted):
        """The next message of that type."""
        for _ in range(100):
            self.assertTrue(s.poll(10000), "nothing is heard")
            number, body = unpack(s.recv())[0]
            if number == wanted:
                return body
        self.fail("no message %d" % wanted)

    def welcome(self, s, first=1):
        s.send(pack([HELLO, [7, 7, first]]))
        return self.hear(s, WELCOME)

    def bodies(self, numbers):
        return [[json.dumps(event(n)).encode()] for n in numbers]

    def test_what_is_answered_is_durable(self):
        self.start()
        s = self.peer("producer.key")
        wire, session, events, size, _ = self.welcome(s)
        self.assertEqual((wire, events > 0, size >= 1 << 20), (7, True, True))
        s.send(pack([EVENTS, [session, 1, self.bodies(range(50))]]))
        s.send(pack([EVENTS, [session, 51, self.bodies(range(40, 60)) + [[b"no"]]]]))
        seen, notes, known, jobs = 0, [], 0, 0
        while seen < 71:
            answer = self.hear(s, ANSWER)
            self.assertGreaterEqual(answer[1], seen)
            seen, notes = answer[1], notes + answer[4]
            known, jobs = known + answer[5], jobs + answer[7]
        self.assertEqual((known, jobs, [(n[0], n[1], n[2]) for n in notes]), (10, 60, [(71, False, "invalid")]))
        self.mill.kill(self.mill.dispatcher)
        self.start()
        self.assertEqual(self.mill.api("GET", "/v1/status")["jobs"]["live"], 60)
        s.send(pack([EVENTS, [session, 72, self.bodies([70])]]))  # of a session that is over
        self.assertEqual(self.hear(s, WHO)[1], session)
        session = self.welcome(s, 72)[1]
        s.send(pack([EVENTS, [session, 72, self.bodies([70])]]))
        self.assertEqual(self.hear(s, ANSWER)[1], 72)

    def test_producers_are_shown(self):
        self.start(jobs_max=5)
        s = self.peer("producer.key")
        session = self.welcome(s)[1]
        s.send(pack([EVENTS, [session, 1, self.bodies(range(3)) + [[b"no"]]]]))
        while self.hear(s, ANSWER)[1] < 4:
            pass
        s.send(pack([EVENTS, [session, 5, self.bodies(range(10, 20))]]))
        while "jobs are live" not in str(self.hear(s, ANSWER)[8:]):
            pass
        shown = self.mill.api("GET", "/v1/status")["producers"]
        waiting = shown.pop("waiting_bytes")
        self.assertGreater(waiting, 500)
        self.assertEqual(shown, {"sessions": 1, "events": 4, "refused": 1, "strange": 0})
        self.assertIn("  producers   1 connected, 4 events answered, 1 of them refused; ", self.run_cli("status")[0])
        told = self.mill.api("GET", "/metrics", raw=True).decode().splitlines()
        metrics = {t.split()[0]: float(t.split()[1]) for t in told if t.startswith("shardmill_producer")}
        self.assertEqual([metrics["shardmill_producer" + name] for name in (
            "s", "_events_total", "_events_refused_total", "_frames_strange_total")], [1, 4, 1, 0])
        self.assertEqual(metrics["shardmill_producer_waiting_bytes"], waiting)

    def test_frames_that_no_producer_sends(self):
        self.start()
        s = self.peer("producer.key")
        session, events = self.welcome(s)[1:3]
        s.send(pack([EVENTS, [session, 5, self.bodies([1])]]))  # a gap
        self.assertEqual(self.hear(s, WHO)[1], session)
        for bodies, why in (([], "without events"), ([[b"1"]] * (events + 1), "more than its credit")):
            session = self.welcome(s)[1]
            s.send(pack([EVENTS, [session, 1, bodies]]))
            self.assertIn(why, self.hear(s, REFUSED)[0])
            s.send(pack([EVENTS, [session, 1, self.bodies([1])]]))
            self.hear(s, WHO)
        s.send(pack([HELLO, [1, 6, 1]]))
        self.assertIn("speaks wire versions 1 to 6", self.hear(s, REFUSED)[0])
        s.send(Wire(random.Random(1)).message("register"))
        self.assertIn("may send events only", self.hear(s, REFUSED)[0])
        self.assertFalse(self.mill.api("GET", "/v1/workers")["workers"])
        w = self.peer("worker.key")
        w.send(pack([HELLO, [7, 7, 1]]))
        w.send(pack([EVENTS, [session, 1, self.bodies([1])]]))
        with open(self.mill.dispatcher.log) as log:
            until(lambda: "is no worker's" in log.read())
        self.assertEqual(self.mill.api("GET", "/v1/status")["jobs"]["live"], 0)
        self.assertEqual(w.poll(0), 0)

    def test_events_that_wait_when_their_rule_goes(self):
        """All of them end in one turn, and none of them is looked at after that."""
        freed = "glibc.malloc.tcache_count=0:glibc.malloc.perturb=165"  # memory that is given back is overwritten
        self.start(jobs_max=5, env=dict(os.environ, GLIBC_TUNABLES=freed))
        s = self.peer("producer.key")
        session = self.welcome(s)[1]
        for n in range(1, 41):
            body = json.dumps(event(n, "bench" if n % 2 else "unheard")).encode()
            s.send(pack([EVENTS, [session, n, [[body]]]]))
        answer = self.hear(s, ANSWER)
        while "jobs are live" not in str(answer[8:]):
            answer = self.hear(s, ANSWER)
        with open(os.path.join(self.rules, "tick.yaml"), "w") as f:
            f.write(RULE.replace("bench", "nobody"))
        while answer[1] < 40:
            answer = self.hear(s, ANSWER)
        self.assertEqual(self.mill.api("GET", "/v1/status")["jobs"]["live"], 5)

    def test_each_event_of_a_body_is_counted_once(self):
        self.start(jobs_max=3)
        s = self.peer("producer.key")
        session = self.welcome(s)[1]
        body = [event(n, "unheard" if n in (2, 9) else "bench") for n in range(10)]
        s.send(pack([EVENTS, [session, 1, [[json.dumps(body).encode()]]]]))
        answer = self.hear(s, ANSWER)
        while "jobs are live" not in str(answer[8:]):
            answer = self.hear(s, ANSWER)
        self.mill.start_worker(heartbeat="100ms")
        while answer[1] < 1:
            answer = self.hear(s, ANSWER)
        self.assertEqual(answer[4:8], [[], 0, 2, 8])  # notes, known, unmatched, jobs

    def test_a_producer_that_talks_nonsense(self):
        self.start()
        seed = random.SystemRandom().randrange(1 << 32)
        print("producers: seed %d" % seed, flush=True)
        wire = Wire(random.Random(seed))
        s = self.peer("producer.key")
        for n in range(300 if os.environ.get("MILL_TEST") == "quick" else 2000):
            name = wire.rng.choice(("producer_hello", "events", "events", "bye", "report"))
            frame = wire.message(name, {"producer_hello.wire_min": 7, "producer_hello.wire_max": 7})
            s.send(wire.bent(frame) if n % 2 else frame)
            while s.poll(0):
                s.recv()
        self.assertIsNone(self.mill.dispatcher.poll())
        self.emit(line(1))
        with open(self.mill.dispatcher.log) as log:
            self.assertIn("a producer is refused", log.read())

    def test_many_producers(self):
        """One that waits for nothing leaves for the next."""
        self.start()
        first = self.peer("producer.key")
        session = self.welcome(first)[1]
        for _ in range(130):
            self.welcome(self.peer("producer.key"))
            self.sockets.pop().close(0)
        first.send(pack([EVENTS, [session, 1, self.bodies([1])]]))
        self.hear(first, WHO)
        session = self.welcome(first)[1]
        first.send(pack([EVENTS, [session, 1, self.bodies([1])]]))
        self.assertEqual(self.hear(first, ANSWER)[1], 1)


if __name__ == "__main__":
    main()
