#!/usr/bin/env python3
"""`shardmill logs`: what shards have written, and what they write while they run, each line once."""
import json
import os
import signal
import sys
import time

from case import main
from cli_case import HOSTILE, CliCase
from mill import UnixConnection, until

RANGES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "runners", "ranges.py")
OTHER = "(another attempt; what stands above does not count)\n"


class Logs(CliCase):
    def script(self, text, *args, argv=(), **more):
        """The id of a job that runs this; `gate NAME` in it waits for open_gate, `tries` counts calls."""
        path = self.write("script.sh", """gate() {
    waited=0
    until test -e "$GATES/$1" || test $waited = 3000; do sleep 0.02; waited=$((waited + 1)); done
}
tries() {
    echo x >> "$GATES/tries"
    wc -l < "$GATES/tries"
}
""" + text)
        return self.submit("--env", "GATES=" + self.mill.dir, *args, "--", "sh", path, *argv)

    def open_gate(self, name="gate"):
        self.write(name, "")


class Ended(Logs):
    def test_a_job_that_has_ended_this_moment_is_told_though_history_is_behind(self):
        self.start()
        for _ in range(20):
            job = self.mill.submit("version: 1\nname: short\nrun: {exec: [echo, a]}\n")
            self.mill.wait(job)
            for path in ("shards", "written?first=0&count=1"):
                self.mill.api("GET", "/v1/jobs/%d/%s" % (job, path))

    def test_lines_stand_behind_their_shard(self):
        self.start()
        job = self.submit("--array=3", "--attempts=1", "--tolerate=1", "--gather=sh -c 'cat; echo sum >&2'", "--",
                          "sh", "-c", "echo out {}; printf 'err {}' >&2; test {} != 1")
        self.run_cli("wait", job)
        out, err = self.run_cli("logs", job)
        self.assertEqual(sorted(out.splitlines()),
                         ["0 | out 0", "1 | out 1", "2 | out 2", "gather 0 | out 0", "gather 0 | out 2"])
        self.assertEqual(sorted(err.splitlines()), ["0 | err 0", "1 | err 1", "2 | err 2", "gather 0 | sum"])
        out, err = self.run_cli("logs", "--shard=1-2", "--stderr", job)
        self.assertEqual((out, sorted(err.splitlines())), ("", ["1 | err 1", "2 | err 2"]))
        self.run_cli("submit", "-w", "--", "echo", "alone")
        self.assertEqual(self.run_cli("logs", "last"), ("alone\n", ""))
        for value in ("x", "-1", "3-1", "1-2-3", "3-", "9" * 30):
            self.assertIn("expected a shard's number", self.run_cli("logs", "--shard=" + value, job, code=2)[1])
        self.assertIn("there is no job 9", self.run_cli("logs", "9", code=2)[1])

    def test_of_millions_of_shards_those_that_wrote_are_shown(self):
        self.start()
        shards = 3_000_000
        job = self.mill.submit("version: 1\nname: r\nshard: {count: %d}\nrun:\n  runner: [%s, %s]\n  format: json\n" % (
            shards, sys.executable, RANGES))
        self.assertEqual(self.mill.wait(job)["state"], "succeeded")
        wholes = [tuple(map(int, line.split())) for line in self.mill.output(job).splitlines()]
        self.assertEqual(sum(count for _, count in wholes), shards)
        self.assertEqual(self.run_cli("logs", str(job)), ("".join("%d | %d %d\n" % (n, n, count) for n, count in wholes), ""))
        first, count = wholes[-1]
        self.assertEqual(self.run_cli("logs", "--shard=%d-%d" % (first, shards - 1), str(job))[0], "%d | %d %d\n" % (first, first, count))
        self.expect_error(400, "invalid", "GET", "/v1/jobs/%d/written?first=x" % job)
        self.expect_error(404, "not_found", "GET", "/v1/jobs/99/written")

    def test_of_more_shards_than_one_answer_lists_all_are_shown(self):
        self.start()
        job = self.submit("--array=0-2299", "--", "echo", "{}")
        self.run_cli("wait", job)
        lines = ["%d | %d" % (n, n) for n in range(2300)]
        for shards in ((), ("--shard=0-2299",)):
            self.assertEqual(self.run_cli("logs", *shards, job)[0].splitlines(), lines)

    def test_what_could_drive_a_terminal_is_escaped(self):
        self.start()
        job = self.submit("--", "printf", HOSTILE.replace("\033", "\\033").replace("\n", "\\n"))
        self.run_cli("wait", job)
        t = self.terminal("logs", job)
        self.assertEqual(t.end(), 0)
        self.assertIn("a\\x1b[2J", t.text())
        self.assertEqual(self.run_cli("logs", job)[0], HOSTILE + "\n")


class Running(Logs):
    def test_a_line_comes_while_its_shard_runs_and_once(self):
        self.start()
        job = self.script("echo first; echo oops >&2; printf half; gate gate; echo ' done'; echo last")
        with self.follow(job) as f:
            f.until("first\n", "oops\n")
            self.assertEqual(self.mill.job(int(job))["state"], "active")
            self.assertEqual((f.out, f.err), ("first\n", "oops\n"), "half a line is none")
            self.open_gate()
            self.assertEqual(f.end(), 0)
            self.assertEqual((f.out, f.err), ("first\nhalf done\nlast\n", "oops\n"))

    def test_without_follow_it_is_what_has_come_so_far(self):
        self.start()
        job = self.script("echo first; echo oops >&2; printf half; gate gate; echo ' done'")
        until(lambda: self.run_cli("logs", job) == ("first\nhalf\n", "oops\n"))
        self.assertEqual(self.run_cli("logs", "--stdout", job), ("first\nhalf\n", ""))
        self.open_gate()
        self.run_cli("wait", job)
        self.assertEqual(self.run_cli("logs", job), ("first\nhalf done\n", "oops\n"))

    def test_of_some_shards_only(self):
        self.start()
        self.mill.start_worker()
        self.mill.start_worker()
        job = self.script("echo at $1; echo err $1 >&2; gate gate", "--array=3", argv=["{}"])
        with self.follow("--shard=1-2", "--stdout", job) as f, self.follow("--stderr", job) as g:
            f.until("1 | at 1\n")
            f.until("2 | at 2\n")
            g.until("", "0 | err 0\n")
            self.open_gate()
            self.assertEqual((f.end(), g.end()), (0, 0))
            self.assertEqual((sorted(f.out.splitlines()), f.err), (["1 | at 1", "2 | at 2"], ""))
            self.assertEqual((g.out, sorted(g.err.splitlines())), ("", ["%d | err %d" % (n, n) for n in range(3)]))

    def test_lines_of_many_shards_are_as_their_output_is(self):
        self.start()
        self.mill.start_worker()
        job = self.script("for i in 1 2 3 4 5 6 7 8 9; do echo $1 line $i; echo $1 err $i >&2; sleep 0.0$i; done; "
                          "seq -f \"$1 long %g\" $(($1 * 500)); printf \"$1 end\"", "--array=24", argv=["{}"])
        with self.follow(job) as f:
            self.assertEqual(f.end(), 0)
        for n in range(24):
            for stream, text in (("", f.out), ("&stream=err", f.err)):
                shown = [line.split(" | ", 1)[1] for line in text.splitlines() if line.startswith("%d | " % n)]
                written = self.mill.output(int(job), "?shard=%d%s" % (n, stream)).decode().splitlines()
                self.assertEqual(shown, written, "shard %d%s" % (n, stream))

    def test_a_shard_that_ends_between_two_looks_is_shown_once(self):
        self.start()
        job = self.script("echo first; echo oops >&2; gate gate; echo last; echo done >&2")
        with self.follow(job) as f:
            f.until("first\n", "oops\n")
            f.hold()
            self.open_gate()
            self.run_cli("wait", job)
            f.go_on()
            self.assertEqual(f.end(), 0)
            self.assertEqual((f.out, f.err), ("first\nlast\n", "oops\ndone\n"))

    def test_on_a_terminal(self):
        self.start()
        job = self.script("printf 'a\\033[2Jb\\n'; gate gate", "--array=2")
        t = self.terminal("logs", "-f", job)
        t.until("\033[2m0 | \033[0ma\\x1b[2Jb\r\n")
        self.open_gate()
        self.assertEqual(t.end(), 0)
        self.assertEqual(t.text().count("a\\x1b[2Jb"), 2)

    def test_a_gather_is_followed_too(self):
        self.start()
        gather = self.write("gather.sh", "cat; echo so far; n=0\n"
                            "until test -e gate || test $n = 3000; do sleep 0.02; n=$((n + 1)); done; echo sum\n")
        job = self.submit("--array=2", "--gather=sh %s" % gather, "--", "echo", "{}")
        with self.follow(job) as f:
            f.until("gather 0 | so far\n")
            self.open_gate()
            self.assertEqual(f.end(), 0)
            self.assertEqual([line for line in f.out.splitlines() if line.startswith("g")],
                             ["gather 0 | 0", "gather 0 | 1", "gather 0 | so far", "gather 0 | sum"])


class Attempts(Logs):
    FAILS_ONCE = ("n=$(tries); echo try $n; echo trouble $n >&2; gate gate$n; printf \"end $n\"; echo last $n >&2; "
                  "test $n = 2 || exit 3")

    def test_one_that_fails_is_shown_to_its_last_word_and_does_not_count(self):
        self.start()
        job = self.script(self.FAILS_ONCE)
        with self.follow(job) as f:
            f.until("try 1\n", "trouble 1\n")
            self.open_gate("gate1")
            f.until("try 2\n", "trouble 2\n")
            self.assertEqual(f.err, "trouble 1\nlast 1\n" + OTHER + "trouble 2\n")
            self.open_gate("gate2")
            self.assertEqual(f.end(), 0)
            self.assertEqual(f.out, "try 1\nend 1\ntry 2\nend 2\n")
            self.assertEqual(f.err, "trouble 1\nlast 1\n" + OTHER + "trouble 2\nlast 2\n")

    def test_one_that_wins_unseen_is_shown_whole(self):
        self.start()
        job = self.script(self.FAILS_ONCE)
        with self.follow(job) as f:
            f.until("try 1\n", "trouble 1\n")
            f.hold()
            self.open_gate("gate1")
            self.open_gate("gate2")
            self.run_cli("wait", job)
            f.go_on()
            self.assertEqual(f.end(), 0)
            self.assertEqual(f.out, "try 1\nend 1\ntry 2\nend 2\n")
            self.assertEqual(f.err, "trouble 1\nlast 1\n" + OTHER + "trouble 2\nlast 2\n")

    def test_a_winner_that_wrote_nothing_says_so(self):
        self.start()
        job = self.script("n=$(tries); test $n = 2 && exit; echo try; gate gate; exit 3")
        with self.follow(job) as f:
            f.until("try\n")
            self.open_gate()
            self.assertEqual(f.end(), 0)
            self.assertEqual((f.out, f.err), ("try\n", OTHER))

    def test_a_dead_shard_is_shown_once(self):
        self.start()
        job = self.script("echo begin; echo oops >&2; gate gate; echo end; echo bad >&2; exit 3", "--attempts=1")
        with self.follow(job) as f:
            f.until("begin\n", "oops\n")
            self.open_gate()
            self.assertEqual(f.end(), 0)
            self.assertEqual((f.out, f.err), ("begin\nend\n", "oops\nbad\n"))

    def test_a_worker_that_is_killed_takes_its_attempt_with_it(self):
        self.start()
        job = self.script("printf 'try %s\\nhalf' $(tries); gate gate; echo ' done'")
        with self.follow(job) as f:
            f.until("try 1\n")
            self.mill.kill(self.mill.workers[0])
            self.mill.start_worker()
            f.until("try 2\n", OTHER)
            self.open_gate()
            self.assertEqual(f.end(), 0)
            self.assertEqual((f.out, f.err), ("try 1\nhalf\ntry 2\nhalf done\n", OTHER))

    def test_a_dispatcher_that_is_killed_changes_nothing(self):
        self.start()
        job = self.script("echo first; gate gate1; echo second; gate gate2; echo third")
        with self.follow(job) as f:
            f.until("first\n")
            self.mill.kill(self.mill.dispatcher)
            self.mill.start_dispatcher()
            self.open_gate("gate1")
            f.until("second\n")
            self.open_gate("gate2")
            self.assertEqual(f.end(), 0)
            self.assertEqual((f.out, f.err), ("first\nsecond\nthird\n", ""))

    def test_a_cancelled_job_leaves_what_was_shown(self):
        self.start()
        job = self.script("printf 'first\\nhalf'; gate gate; echo never")
        with self.follow(job) as f:
            f.until("first\n")
            self.run_cli("cancel", job)
            self.assertEqual(f.end(), 0)
            self.assertEqual((f.out, f.err), ("first\nhalf\n", ""))


class Api(Logs):
    def get(self, path, **query):
        text = "&".join("%s=%s" % item for item in query.items())
        return self.mill.api("GET", "/v1/jobs/%s?%s" % (path, text), raw=True)

    def running(self, job, **query):
        return json.loads(self.get(job + "/running", **query))

    def test_what_runs_and_what_it_has_written(self):
        self.start()
        self.mill.start_worker()
        self.mill.start_worker()
        job = self.script("echo at $1; echo $SHARDMILL_ATTEMPT_ID >&2; gate gate; echo end", "--array=3", argv=["{}"])
        runs = until(lambda: (lambda r: r if len(r) == 3 and all(a["err_bytes"] for a in r) else None)(
            self.running(job)["running"]))
        self.assertEqual([(a["phase"], a["shard"], a["out_bytes"]) for a in runs], [(0, 0, 5), (0, 1, 5), (0, 2, 5)])
        for a in runs:
            self.assertEqual(self.get(job + "/live", attempt_id=a["attempt_id"]), b"at %d\n" % a["shard"])
            self.assertEqual(self.get(job + "/live", attempt_id=a["attempt_id"], **{"from": 3}), b"%d\n" % a["shard"])
            self.assertEqual(self.get(job + "/live", attempt_id=a["attempt_id"], **{"from": 5}), b"")
            self.assertEqual(self.get(job + "/live", attempt_id=a["attempt_id"], stream="err").decode(),
                             a["attempt_id"] + "\n")
        page = self.running(job, limit=2)
        self.assertEqual(([a["shard"] for a in page["running"]], page["next"]), ([0, 1], 2))
        page = self.running(job, cursor=2)
        self.assertEqual(([a["shard"] for a in page["running"]], page["next"]), ([2], None))
        other = self.submit("--", "true")
        for status, code, path in ((404, "not_found", "live?attempt_id=9-9-9"), (400, "invalid", "live"),
                                   (400, "invalid", "live?attempt_id=1-2-3x"),
                                   (400, "invalid", "live?stream=x&attempt_id=" + runs[0]["attempt_id"]),
                                   (400, "invalid", "live?from=-1&attempt_id=" + runs[0]["attempt_id"]),
                                   (400, "invalid", "running?limit=0"), (400, "invalid", "running?cursor=x")):
            self.expect_error(status, code, "GET", "/v1/jobs/%s/%s" % (job, path))
        self.expect_error(404, "not_found", "GET", "/v1/jobs/%s/live?attempt_id=%s" % (other, runs[0]["attempt_id"]))
        self.expect_error(404, "not_found", "GET", "/v1/jobs/99/running")
        self.open_gate()
        self.run_cli("wait", job, other)
        self.assertEqual(self.running(job), {"running": [], "next": None})
        self.rest_of_an_output(job, runs[1]["attempt_id"])

    def rest_of_an_output(self, job, attempt):
        for more, expected in (("", b"at 1\nend\n"), ("&attempt_id=%s&from=3" % attempt, b"1\nend\n"),
                               ("&attempt_id=%s&from=9" % attempt, b""), ("&attempt_id=%s&from=99" % attempt, b""),
                               ("&attempt_id=9-9-1&from=3", b"at 1\nend\n"), ("&from=3", b"at 1\nend\n")):
            self.assertEqual(self.mill.output(int(job), "?shard=1" + more), expected, more)
        self.expect_error(400, "invalid", "GET", "/v1/jobs/%s/output?shard=1&attempt_id=x" % job)
        c = UnixConnection(self.mill.socket, 60)
        for query, expected in (("?shard=1", attempt), ("?shard=1&stream=err", attempt), ("", None)):
            c.request("GET", "/v1/jobs/%s/output%s" % (job, query))
            answer = c.getresponse()
            answer.read()
            self.assertEqual(answer.getheader("Shardmill-Attempt"), expected)
        c.close()

    def test_it_needs_no_directory_that_is_shared(self):
        self.mill.start_dispatcher()
        self.mill.start_worker(output_dir=self.make_dir("elsewhere"))
        job = self.script("n=$(tries); echo try $n; gate gate$n; echo end $n; test $n = 2")
        with self.follow(job) as f:
            f.until("try 1\n")
            self.open_gate("gate1")
            f.until("end 1\n")  # the last words of one that failed
            f.until("try 2\n", OTHER)
            self.open_gate("gate2")
            self.run_cli("wait", job)
            self.assertEqual(f.end(), 5)
            self.assertEqual(f.out, "try 1\nend 1\ntry 2\n" + ("end 2\n" if "end 2" in f.out else ""))
            self.assertIn("the output of shard 0 is lost: the segment's index is gone", f.err)

    def test_nothing_of_what_runs_stands_in_the_directory(self):
        self.start()
        job = self.script("echo hello; gate gate")
        until(lambda: [a["out_bytes"] for a in self.running(job)["running"]] == [6])
        worker = self.running(job)["running"][0]["worker"]
        self.assertEqual(os.listdir(self.path("state", "output", worker)), [])
        self.assertEqual(self.run_cli("logs", job), ("hello\n", ""))
        self.open_gate()
        self.run_cli("wait", job)
        self.assertEqual(self.run_cli("logs", job), ("hello\n", ""))

    def test_a_worker_that_does_not_answer_is_left_out_after_a_moment(self):
        self.start()
        self.mill.start_worker()
        job = self.script("echo at $1; gate gate", "--array=2", argv=["{}"])
        runs = until(lambda: (lambda r: r if len(r) == 2 and all(a["out_bytes"] for a in r) else None)(
            self.running(job)["running"]))
        still = [a for a in runs if a["worker"] == runs[0]["worker"]]
        stopped = next(w for w in self.mill.workers if self.worker_id(w) == runs[0]["worker"])
        stopped.send_signal(signal.SIGSTOP)
        try:
            begun = time.monotonic()
            self.assertEqual([a["shard"] for a in self.running(job)["running"]],
                             [a["shard"] for a in runs if a not in still])
            error = self.expect_error(404, "not_found", "GET", "/v1/jobs/%s/live?attempt_id=%s" % (
                job, still[0]["attempt_id"]))
            self.assertRegex(error["message"], "its worker does not answer|silent")
            self.assertLess(time.monotonic() - begun, 5)
            # Who has asked and gone is forgotten; nobody else waits meanwhile.
            for n in range(50):
                c = UnixConnection(self.mill.socket, 60)
                c.request("GET", "/v1/jobs/%s/live?attempt_id=%s" % (job, still[0]["attempt_id"]))
                c.close()
            begun = time.monotonic()
            self.mill.job(int(job))
            self.assertLess(time.monotonic() - begun, 1)
        finally:
            stopped.send_signal(signal.SIGCONT)
        until(lambda: len(self.running(job)["running"]) == 2)
        self.open_gate()
        self.run_cli("wait", job)
        self.assertEqual(sorted(self.run_cli("logs", job)[0].splitlines()), ["0 | at 0", "1 | at 1"])

    def worker_id(self, process):
        """None: it is not registered yet."""
        workers = self.mill.api("GET", "/v1/workers")["workers"]
        return next((w["id"] for w in workers if w["pid"] == process.pid), None)

    def test_much_comes_in_pieces_and_whole(self):
        self.start()
        job = self.script("seq 400000; gate gate; echo end")
        lines = "".join("%d\n" % n for n in range(1, 400001))
        with self.follow(job) as f:
            f.until("400000\n")
            self.open_gate()
            self.assertEqual(f.end(), 0)
            self.assertEqual(f.out, lines + "end\n")


if __name__ == "__main__":
    main()
