#!/usr/bin/env python3
"""`shardmill up` and its scaler, with real daemons: workers rise with the queue and leave when it is empty,
twice; kill -9 of each of the four programs in the middle of a job changes nothing in its result.

Usage: scale.py BUILD [SEED]; MILL_TEST=quick|normal|long chooses sizes."""
import hashlib
import http.client
import os
import random
import re
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from mill import Mill, until  # noqa: E402

SHARDS = {"quick": 1000, "normal": 4000, "long": 20000}
FAST = {"heartbeat": "200ms", "worker_timeout": "5s", "adopt_wait": "5s", "idle_before_shrink": "700ms",
        "cpus_per_worker": "1"}
SLEEPERS = """
version: 1
name: sleepers
shard: {count: %d}
run: {exec: [sleep, "0.2"]}
"""
COUNTING = """
version: 1
name: counting
shard: {count: %d}
run:
  exec: [echo, "{{shard.index}}"]
  durable_output: true
retry: {attempts: 3, backoff: 10ms}
gather:
  exec: [cat]
"""


def alive(pid):
    """Is it there, and no corpse? Our children's corpses are taken by Popen, others' by whoever is init."""
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


class UpMill(Mill):
    """A mill that `shardmill up` runs. It ends only processes that this mill's own files name."""

    def __init__(self, build):
        super().__init__(build)
        self.socket = os.path.join(self.state, "api.sock")
        self.up = None
        self.seen = set()  # ids of this mill's processes that we do not wait for ourselves

    def start_up(self):
        options = dict(FAST, state_dir=self.state, scratch_dir=os.path.join(self.dir, "scratch"))
        log = os.path.join(self.dir, "%02d-up.log" % self.logs)
        self.logs += 1
        argv = [self.program("shardmill"), "up"]
        argv += ["--%s=%s" % (key.replace("_", "-"), value) for key, value in options.items()]
        with open(log, "wb") as f:
            self.up = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=f, stderr=f)
        self.up.log = log
        self.started.append(self.up)
        until(self.says_welcome)
        self.holder("lock"), self.holder("scaler.lock")

    def said(self):
        with open(self.up.log) as f:
            return f.read()

    def says_welcome(self):
        """up says that it is up"""
        if self.up.poll() is not None:
            raise AssertionError("up ended with %d: %s" % (self.up.returncode, self.said()))
        return "shardmill is up" in self.said()

    def holder(self, lock):
        try:
            with open(os.path.join(self.state, lock)) as f:
                pid = int(f.read() or 0)
        except (OSError, ValueError):
            return None
        if pid <= 0 or pid == self.up.pid or not alive(pid):
            return None
        self.seen.add(pid)
        return pid

    def worker_pids(self):
        pids, folder = [], os.path.join(self.state, "providers/local")
        for name in os.listdir(folder) if os.path.isdir(folder) else []:
            try:
                with open(os.path.join(folder, name)) as f:
                    found = re.search(r"^pid: (\d+)$", f.read(), re.M)
            except OSError:
                continue
            if found and alive(int(found.group(1))):
                pids.append(int(found.group(1)))
        self.seen.update(pids)
        return pids

    def pid_of(self, who):
        if who == "up":
            return self.up.pid
        if who == "worker":
            return next(iter(self.worker_pids()), None)
        return self.holder({"dispatcher": "lock", "scaler": "scaler.lock"}[who])

    def workers_now(self):
        try:
            return len(self.api("GET", "/v1/workers")["workers"])
        except (OSError, http.client.HTTPException):
            return -1

    def done(self, job):
        try:
            return self.job(job)["phases"][0]["done"]
        except (OSError, http.client.HTTPException):
            return -1

    def scaler_log(self):
        with open(os.path.join(self.state, "logs/scaler.log")) as f:
            return f.read()

    def stop_up(self):
        self.up.send_signal(signal.SIGTERM)
        assert self.up.wait(timeout=60) == 0, self.said()

    def is_ours(self, pid):
        """Its command line names this mill's directory: the id was not used again by another."""
        try:
            with open("/proc/%d/cmdline" % pid, "rb") as f:
                return self.state.encode() in f.read()
        except OSError:
            return False

    def __exit__(self, kind, *rest):
        if self.up is not None:
            if self.up.poll() is None:
                self.up.kill()  # first, or it would start the others again
                self.up.wait()
            self.holder("scaler.lock"), self.holder("lock"), self.worker_pids()
            for pid in self.seen:
                if self.is_ours(pid):
                    os.kill(pid, signal.SIGKILL)
        super().__exit__(kind, *rest)

    def print_logs(self):
        super().print_logs()
        for name in ("dispatcher", "scaler", "workers"):
            path = os.path.join(self.state, "logs", name + ".log")
            if os.path.exists(path):
                with open(path, errors="replace") as f:
                    print("--- %s.log\n%s" % (name, "".join(f.readlines()[-25:])))


def cores():
    return min(len(os.sched_getaffinity(0)), 4)


def four_seconds():
    """So many of SLEEPERS' shards are there, for up to four cores."""
    return 20 * cores()


def rise_and_fall(mill, shards):
    """One job: from no worker to some and back to none. The figures of it."""
    assert mill.workers_now() == 0 and not mill.worker_pids()
    begun = time.monotonic()
    job = mill.submit(SLEEPERS % shards)
    most = first = 0
    while mill.done(job) < shards:
        now = mill.workers_now()
        if now > 0 and most == 0:
            first = time.monotonic() - begun
        most = max(most, now)
        assert time.monotonic() - begun < 60, "the job does not end"
        time.sleep(0.01)
    assert mill.wait(job)["state"] == "succeeded"
    ended = time.monotonic()
    until(lambda: mill.workers_now() == 0 and not mill.worker_pids())
    print("scale: 0 -> %d -> 0; the first worker after %.2f s, the job took %.2f s, zero %.2f s after it"
          % (most, first, ended - begun, time.monotonic() - ended), flush=True)
    return most


def check_sentences(text, rises):
    """Each start and each end of a worker stands below a decision that says why."""
    starts = drains = allowed = 0
    for line in text.split("\n"):
        why = re.search(r' scaling pool=default workers=\d+ wanted=\d+ why="(.+)"$', line)
        if why:
            found = re.search(r": starts (\d+)", why.group(1))
            allowed += int(found.group(1)) if found else 0
            drains += ": drains those idle longest" in why.group(1)
        if " a worker was started " in line:
            starts += 1
            assert starts <= allowed, "a start without its sentence: " + line
        if " a worker has ended " in line:
            assert drains > 0 and 'how="exit code 0"' in line, line
    assert starts == rises, "%d starts for %d workers" % (starts, rises)


def test_zero_to_some_to_zero_twice(mill, _rng):
    rises = sum(rise_and_fall(mill, four_seconds()) for _ in range(2))
    check_sentences(mill.scaler_log(), rises)
    assert rises >= 2 if cores() == 1 else rises >= 3, "the pool did not grow with the queue"


def kill_in_the_middle(mill, who, rng):
    shards = SHARDS[os.environ.get("MILL_TEST", "normal")]
    begun = time.monotonic()
    job = mill.submit(COUNTING % shards)
    moment = rng.randrange(shards // 10, shards // 2)
    until(lambda: mill.done(job) >= moment)
    victim = until(lambda: mill.pid_of(who))
    os.kill(victim, signal.SIGKILL)
    if who == "up":
        mill.up.wait()
        until(lambda: mill.done(job) > moment)  # the others go on alone
        mill.start_up()
        assert mill.said().count("runs already") == 2, "it did not take over both: " + mill.said()
    until(lambda: not alive(victim))
    ended = mill.wait(job, seconds=120)
    output = mill.output(job)
    right = hashlib.sha256(b"".join(b"%d\n" % n for n in range(shards))).digest()
    print("scale: kill -9 of %s (process %d) at %d of %d shards: %s after %.1f s, result %s" % (
        who, victim, moment, shards, ended["state"], time.monotonic() - begun,
        "equal" if hashlib.sha256(output).digest() == right else "DIFFERS"), flush=True)
    assert ended["state"] == "succeeded", ended
    assert ended["phases"][0]["done"] == shards and ended["phases"][0]["dead"] == 0, ended
    assert hashlib.sha256(output).digest() == right
    for daemon in ("dispatcher", "scaler"):
        until(lambda: mill.pid_of(daemon))


def test_kill_dispatcher(mill, rng):
    kill_in_the_middle(mill, "dispatcher", rng)


def test_kill_scaler(mill, rng):
    kill_in_the_middle(mill, "scaler", rng)


def test_kill_worker(mill, rng):
    kill_in_the_middle(mill, "worker", rng)


def test_kill_up(mill, rng):
    kill_in_the_middle(mill, "up", rng)


def test_second_up_is_refused(mill, _rng):
    second = subprocess.run([mill.program("shardmill"), "up", "--state-dir=" + mill.state], capture_output=True,
                            text=True, stdin=subprocess.DEVNULL)
    assert second.returncode == 2 and "choose another --state-dir" in second.stderr, second


def test_stops_in_order(mill, _rng):
    """Work is under way when up is told to stop: what runs is finished, all four are gone."""
    job = mill.submit(SLEEPERS % four_seconds())
    until(lambda: mill.done(job) > 0)
    everybody = mill.worker_pids() + [mill.pid_of("scaler"), mill.pid_of("dispatcher")]
    begun = time.monotonic()
    mill.stop_up()
    said = mill.said()
    print("scale: stopped in %.2f s" % (time.monotonic() - begun), flush=True)
    order = [said.index(word) for word in ("the scaler has stopped", "draining ", "all workers have left",
                                           "the dispatcher has stopped")]
    assert order == sorted(order), said
    assert not [pid for pid in everybody if alive(pid)]
    failed = [line for line in open(os.path.join(mill.state, "logs/dispatcher.log")) if " lost " in line]
    assert not failed, failed
    mill.start_up()  # and it goes on with the rest
    assert not mill.job(job)["ended"], "nothing was left to go on with"
    assert mill.wait(job, seconds=120)["state"] == "succeeded"
    mill.stop_up()


TESTS = [test_zero_to_some_to_zero_twice, test_kill_dispatcher, test_kill_scaler, test_kill_worker, test_kill_up,
         test_second_up_is_refused, test_stops_in_order]


def main():
    build = sys.argv[1]
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.SystemRandom().randrange(1 << 32)
    print("scale: seed %d" % seed, flush=True)
    rng = random.Random(seed)
    with UpMill(build) as mill:
        mill.start_up()
        for test in TESTS:
            print("scale: %s" % test.__name__, flush=True)
            test(mill, rng)
    print("mill: %d passed, 0 failed" % len(TESTS))


if __name__ == "__main__":
    main()
