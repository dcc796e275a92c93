#!/usr/bin/env python3
"""No process outlives its attempt by more than a second, whatever it does, and whoever of us is killed."""
import os
import signal
import time

from case import FAST, MillCase, main, until

# A sanitizer makes each fork of ours slow.
SECONDS = 3 if os.environ.get("MILL_BUILD") == "asan" else 1

# What a shard leaves, by its number. Each is known by the file that it holds, whose name is in its command line.
ESCAPES = {
    "background": "sh $D/stray.sh background &",
    "session": "setsid sh $D/stray.sh session &",
    "reparented": "(sh $D/stray.sh reparented &)",
    "twice": "(setsid sh -c \"sh $D/stray.sh twice & exit 0\" &)",
    "bare": "(env -i PATH=$PATH D=$D setsid sh $D/stray.sh bare &)",
    "deaf": "(trap '' TERM HUP INT; setsid sh $D/stray.sh deaf &)",
    "stopped": "(setsid sh $D/stray.sh stopped --stop &)",
    "group": "set -m; (sh $D/stray.sh group &)",
    "forks": "(sh $D/forks.sh &)",
}

STRAY = """[ "$2" != --stop ] || kill -STOP $$
exec tail -f $D/keep.$1 </dev/null >/dev/null 2>&1
"""

# Each process starts the next one in a session of its own, and ends.
FORKS = """exec </dev/null >/dev/null 2>&1
touch $D/forked
setsid sh $D/forks.sh &
"""

EXEC = """
version: 1
name: outlive
shard: {count: SHARDS}
run: {exec: [sh, %s]}
retry: {attempts: 1}
""".replace("SHARDS", str(len(ESCAPES)))

RUNNER = """
version: 1
name: outlive
shard: {count: 1}
run: {runner: [sh, %s], format: json}
"""

SAY_HELLO = """read hello; echo '{"type":"hello","protocol":1}'; read job; read run
echo '{"type":"done","first":0,"count":1}'
"""


CASES = "case $SHARDMILL_SHARD in\n%sesac\n" % "".join("%d) %s ;;\n" % case for case in enumerate(ESCAPES.values()))


def text_of(path):
    with open(path) as f:
        return f.read()


def reapers_below(pid):
    found = []
    for task in os.listdir("/proc/%d/task" % pid):
        for child in text_of("/proc/%d/task/%s/children" % (pid, task)).split():
            try:
                if text_of("/proc/%s/comm" % child) == "shardmill-reap\n":
                    found.append(int(child))
            except (FileNotFoundError, ProcessLookupError):
                pass
    return found


class Outlive(MillCase):
    def setUp(self):
        super().setUp()
        self.mill.start_dispatcher(**FAST)
        self.dir = self.make_dir("attempts")  # no daemon has it in its command line
        self.write_script("stray.sh", STRAY)
        self.write_script("forks.sh", FORKS)
        for name in ESCAPES:
            self.write("attempts/keep." + name, "")
        os.mkfifo(os.path.join(self.dir, "gate"))
        self.gate = os.open(os.path.join(self.dir, "gate"), os.O_RDWR)

    def tearDown(self):
        os.close(self.gate)
        super().tearDown()
        for pid in self.living():  # of a test that failed
            os.kill(pid, signal.SIGKILL)

    def write_script(self, name, text):
        return self.write("attempts/" + name, "export D=%s\n%s" % (self.dir, text))

    def living(self):
        """The processes that attempts have left, and these: {id: command line}."""
        found = {}
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                line = text_of("/proc/%s/cmdline" % pid)
                state = text_of("/proc/%s/stat" % pid).rpartition(")")[2].split()[0]
            except (FileNotFoundError, ProcessLookupError):
                continue
            if self.dir + "/" in line and state not in "ZX":
                found[int(pid)] = line.replace("\0", " ")
        return found

    def leaders(self):
        return {pid: line for pid, line in self.living().items() if "leader.sh" in line and "stray" not in line}

    def start(self, leader, **params):
        """A worker whose attempts have left all that they leave; `leader` is what they do themselves."""
        path = self.write_script("leader.sh", leader)
        worker = self.mill.start_worker(heartbeat="100ms", cpus=str(len(ESCAPES)), **params)
        job = self.mill.submit((RUNNER if leader.startswith(SAY_HELLO) else EXEC) % path)

        def all_there():
            lines = " ".join(self.living().values())
            return all("keep." + name in lines or name + " --stop" in lines for name in ESCAPES if name != "forks") \
                and os.path.exists(os.path.join(self.dir, "forked"))
        until(all_there)
        return worker, job

    def open_gate(self, count):
        os.write(self.gate, b"\n" * count)

    def await_leaders(self):
        """The monotonic time at which all were seen to have ended: they did so then or before."""
        until(lambda: not self.leaders())
        return time.monotonic()

    def expect_nobody(self, since):
        """Nobody is seen later than SECONDS after that."""
        quiet = 0
        while quiet < 3:  # a process that becomes another program has no command line for a moment
            looked, living = time.monotonic(), self.living()
            if living:
                self.assertLess(looked - since, SECONDS, living)
            quiet = 0 if living else quiet + 1
            time.sleep(0.02)

    def test_an_attempt_that_ends(self):
        _, job = self.start(CASES + "read line <$D/gate\n")
        self.open_gate(len(ESCAPES))
        self.expect_nobody(self.await_leaders())
        self.assertEqual(self.mill.wait(job)["state"], "succeeded")

    def test_an_attempt_that_is_ended(self):
        _, job = self.start(CASES + "trap '' TERM; while :; do sleep 1; done\n", kill_grace="200ms")
        self.mill.api("POST", "/v1/jobs/%s/cancel" % job)
        self.expect_nobody(self.await_leaders())

    def test_a_runner(self):
        """Its children may live as long as it does, which is longer than its shards."""
        _, job = self.start(SAY_HELLO + "\n".join(ESCAPES.values()) + "\nread line <$D/gate\n")
        self.assertEqual(self.mill.wait(job)["state"], "succeeded")
        self.assertGreater(len(self.living()), 1)
        self.open_gate(1)
        self.expect_nobody(self.await_leaders())

    def test_a_worker_that_is_killed(self):
        worker, _ = self.start(CASES + "trap '' TERM; while :; do sleep 1; done\n")
        self.mill.kill(worker)
        self.expect_nobody(time.monotonic())

    def test_a_worker_that_is_killed_with_all_that_would_end_its_attempts(self):
        """The next worker does it, by the control groups."""
        worker, job = self.start(CASES + "trap '' TERM; while :; do sleep 1; done\n")
        if "ended_by=reapers" in text_of(worker.log):
            self.skip("a worker that is killed with its reapers: there is no control group to end attempts by")
        ours = [worker.pid]
        for pid in ours:
            ours += reapers_below(pid)
        for signo in (signal.SIGSTOP, signal.SIGKILL):  # so that none ends anything at the end of another
            for pid in ours:
                os.kill(pid, signo)
        self.mill.kill(worker)
        self.mill.api("POST", "/v1/jobs/%s/cancel" % job)  # the next worker is to start none of it
        self.assertGreater(len(self.leaders()), 1)
        worker = self.mill.start_worker(heartbeat="100ms", cpus="1")
        until(lambda: "worker started" in text_of(worker.log))
        self.expect_nobody(time.monotonic())


if __name__ == "__main__":
    main()
