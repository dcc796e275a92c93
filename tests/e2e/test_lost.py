#!/usr/bin/env python3
"""Outputs that are lost or damaged: `output`, `logs` and a gather say at once which, and in which file; `retry` runs
those shards again, and only those."""
import glob
import http.client
import os
import re
import shutil
import struct
import sys
import time

from case import FAST, ApiError, main, until
from cli_case import CliCase

RANGES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "runners", "ranges.py")
SHARDS = 12
ENTRY = struct.Struct("<IIQQQQQI")  # of a segment's index, without its checksum; jobs/output_index.h
SHARD, OUT_OFFSET, OUT_LENGTH, ERR_OFFSET = 1, 3, 4, 5


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


class Segments:
    """The outputs of a mill, for those who damage them."""

    def __init__(self, state):
        self.root = os.path.join(state, "output")

    def files(self, kind):
        return [f for f in glob.glob(self.root + "/*/*." + kind) if os.path.getsize(f) > 0]

    def entries(self):
        """(index file, place, fields) by shard"""
        found = {}
        for path in self.files("idx"):
            with open(path, "rb") as f:
                data = f.read()
            for at in range(0, len(data), ENTRY.size + 4):
                fields = ENTRY.unpack_from(data, at)
                found[fields[SHARD]] = (path, at, fields)
        return found

    def write_entry(self, shard, change, crc=None):
        path, at, fields = self.entries()[shard]
        fields = list(fields)
        change(fields)
        raw = ENTRY.pack(*fields)
        with open(path, "r+b") as f:
            f.seek(at)
            f.write(raw + struct.pack("<I", crc32c(raw) if crc is None else crc))

    def out_of(self, shard):
        path, _, fields = self.entries()[shard]
        return path[:-3] + "out", fields[OUT_OFFSET], fields[OUT_LENGTH]

    def alter(self, shard):
        """One byte of its output."""
        path, at, _ = self.out_of(shard)
        with open(path, "r+b") as f:
            f.seek(at)
            byte = f.read(1)
            f.seek(at)
            f.write(bytes([byte[0] ^ 1]))


def remove(kind):
    return lambda s: [os.unlink(f) for f in s.files(kind)]


def truncate_behind(shard):
    """Of its stdout only the first half is left, of those behind it nothing."""
    def damage(s):
        path, at, length = s.out_of(shard)
        os.truncate(path, at + length // 2)
    return damage


def replace(s):
    """Other files of the same name and size."""
    for path in s.files("out"):
        size = os.path.getsize(path)
        os.unlink(path)
        with open(path, "wb") as f:
            f.write(b"x" * size)


def fields(**changes):
    numbers = {"out_offset": OUT_OFFSET, "out_length": OUT_LENGTH}

    def change(entry):
        for name, value in changes.items():
            entry[numbers[name]] = value
    return change


# name; damage; kind of the file that is named; does only reading all bytes find it?
CASES = [
    ("stdout gone", remove("out"), "out", False),
    ("index gone", remove("idx"), "idx", False),
    ("everything gone", lambda s: shutil.rmtree(s.root), "idx", False),
    ("index emptied", lambda s: [os.truncate(f, 0) for f in s.files("idx")], "idx", False),
    ("stdout cut off", truncate_behind(7), "out", False),
    ("stdout replaced", replace, "out", True),
    ("a byte altered", lambda s: s.alter(5), "out", True),
    ("an entry altered", lambda s: s.write_entry(3, fields(out_offset=1), crc=1), "idx", False),
    ("an entry behind the end", lambda s: s.write_entry(4, fields(out_offset=1 << 40)), "out", False),
    ("an entry that is too long", lambda s: s.write_entry(4, fields(out_length=1 << 40)), "out", False),
    ("an entry that wraps around", lambda s: s.write_entry(4, fields(out_offset=(1 << 64) - 2, out_length=9)), "idx", False),
]


class Outputs(CliCase):
    LINES = "".join("line %d\n" % n for n in range(SHARDS))

    def setUp(self):
        super().setUp()
        self.segments = Segments(self.mill.state)

    def lines_job(self, *args):
        """Each of its shards writes a line, and one that it ran to a file."""
        self.write("ran", "")
        return self.submit("--array=%d" % SHARDS, *args, "--", "sh", "-c",
                           "echo {} >> %s; echo line {}" % self.path("ran"))

    def ran(self):
        with open(self.path("ran")) as f:
            return sorted(map(int, f))

    def lost_as_told(self, job, only_by_reading):
        """`output` and `logs` say it: the first lost shard, and the file."""
        begun = time.monotonic()
        out, err = self.run_cli("output", job, code=5)
        self.assertLess(time.monotonic() - begun, 10)
        found = re.search(r"(\S+\.(?:out|err|idx)): the outputs? of shards? (\d+)(?: to \d+)? (?:is|are) lost: ", err)
        self.assertTrue(found, err)
        self.assertIn("`shardmill retry %s` runs what is lost again" % job, err)
        if not only_by_reading:
            self.assertEqual(out, "", "nothing is written when it is known at once")
        target = self.path("target")
        self.run_cli("output", "-o", target, job, code=5)
        self.assertFalse(os.path.exists(target), "half an output is none")
        self.assertIn("lost: ", self.run_cli("logs", job, code=5)[1])
        return found[1], int(found[2])


class Damage(Outputs):
    def lost_shards(self, damage):
        """Which of them have lost theirs."""
        return {"stdout cut off": list(range(7, SHARDS)), "a byte altered": [5],
                "an entry altered": [3], "an entry behind the end": [4],
                "an entry that is too long": [4], "an entry that wraps around": [4]}.get(damage, list(range(SHARDS)))

    def check(self, name, damage, kind, only_by_reading):
        job = self.lines_job()
        self.run_cli("wait", job)
        self.assertEqual(self.run_cli("output", job)[0], self.LINES)
        damage(self.segments)
        lost = self.lost_shards(name)
        path, shard = self.lost_as_told(job, only_by_reading)
        self.assertEqual((shard, path[-3:]), (lost[0], kind))
        self.assertTrue(path.startswith(self.segments.root + "/"), path)
        for n in range(SHARDS):
            code = 5 if n in lost else 0
            self.assertEqual(self.run_cli("output", "--shard=%d" % n, job, code=code)[0] == "line %d\n" % n, not code, n)
        before = self.ran()
        self.assertEqual(before, list(range(SHARDS)))
        self.new_worker()
        out, _ = self.run_cli("retry", job)
        self.assertEqual(out, "job %s goes on: %d of %d shards to do, %d %s kept; the output%s of %d %s lost\n" % (
            job, len(lost), SHARDS, SHARDS - len(lost), "is" if SHARDS - len(lost) == 1 else "are",
            "" if len(lost) == 1 else "s", len(lost), "was" if len(lost) == 1 else "were"))
        self.assertEqual(self.mill.wait(int(job))["state"], "succeeded")
        self.assertEqual(self.ran(), sorted(before + lost))
        self.assertEqual(self.run_cli("output", job)[0], self.LINES)
        self.assertIn("no output is lost", self.run_cli("retry", job, code=2)[1])

    def new_worker(self):
        """Its segments are its own; the one before holds files open that are damaged, or gone."""
        self.mill.kill(self.mill.workers[0])
        self.mill.start_worker(cpus="1")

    def test_what_is_lost_is_told_and_runs_again(self):
        self.mill.start_dispatcher(**FAST)
        self.mill.start_worker(cpus="1")
        for name, damage, kind, only_by_reading in CASES:
            with self.subTest(name):
                self.check(name, damage, kind, only_by_reading)
            shutil.rmtree(self.segments.root, ignore_errors=True)
            self.new_worker()


class Around(Outputs):
    """What stands around a shard whose output is lost."""

    def start(self, **params):
        self.params = {**FAST, **params}
        self.mill.start_dispatcher(**self.params)
        self.mill.start_worker(cpus="1", heartbeat="100ms")

    def test_a_gather_says_which_and_does_not_take_it_for_empty(self):
        self.start()
        gather = self.write("gather.sh", "echo >> %s; until test -e %s; do sleep 0.02; done; cat; test -e %s" % (
            self.path("begun"), self.path("go"), self.path("good")))
        job = self.lines_job("--attempts=2", "--gather=sh " + gather)
        until(lambda: os.path.exists(self.path("begun")))
        self.segments.write_entry(4, fields(out_offset=1 << 40))
        self.write("go", "")
        ended = self.mill.wait(int(job))  # the first try ends with 1, the second has no input
        self.assertEqual(ended["state"], "failed")
        self.assertRegex(ended["why"], r"output/\w+/\d+\.out: the output of shard 4 is lost: its file ends before it should")
        self.assertIn("`shardmill retry`", ended["why"])
        self.write("good", "")
        self.assertIn("goes on: 1 of 12 shards to do, 11 are kept; the output of 1 was lost", self.run_cli("retry", job)[0])
        self.assertEqual(self.mill.wait(int(job))["state"], "succeeded")
        self.assertEqual(self.ran(), sorted([*range(SHARDS), 4]))
        self.assertEqual(self.run_cli("output", job)[0], self.LINES)

    def test_a_gathered_output_is_made_again_of_what_was_kept(self):
        self.start()
        job = self.lines_job("--gather=cat")
        self.run_cli("wait", job)
        path, _, fields_of = self.segments.entries()[0]  # the gather's shard, the last of that number
        with open(path[:-3] + "out", "r+b") as f:
            f.seek(fields_of[OUT_OFFSET])
            f.write(b"L")
        err = self.run_cli("output", job, code=5)[1]
        self.assertRegex(err, "the output of shard 0 is lost: it is not what was written: its checksum differs")
        self.assertEqual(self.run_cli("retry", job)[0],
                         "job %s goes on: 0 of 12 shards to do, 12 are kept; the gathered output was lost\n" % job)
        self.run_cli("wait", job)
        self.assertEqual(self.ran(), list(range(SHARDS)))
        self.assertEqual(self.run_cli("output", job)[0], self.LINES)

    def test_an_index_that_ends_before_a_shard_that_wrote(self):
        self.start()
        first, second = self.submit("--", "echo", "first"), self.submit("--", "echo", "second")
        self.run_cli("wait", first, second)
        path, = self.segments.files("idx")
        with open(path, "rb") as f:
            entries = [ENTRY.unpack_from(f.read(ENTRY.size + 4)) for _ in range(2)]
        kept, cut = (first, second) if self.run_cli("output", first)[0][:1] == "f" and entries[0][OUT_LENGTH] == 6 else (second, first)
        os.truncate(path, ENTRY.size + 4)
        self.mill.kill(self.mill.workers[0])
        self.mill.start_worker(cpus="1", heartbeat="100ms")
        self.run_cli("output", kept)
        for args in (("output", cut), ("output", "--shard=0", cut), ("logs", cut)):
            self.assertIn("the output of shard 0 is lost: the segment's index has no entry for it", self.run_cli(*args, code=5)[1])
        self.assertIn("1 of 1 shard to do, 0 are kept; the output of 1 was lost", self.run_cli("retry", cut)[0])
        self.run_cli("wait", cut)
        self.assertIn(self.run_cli("output", cut)[0], ("first\n", "second\n"))

    def test_of_a_runner_all_shards_that_share_an_output_run_again(self):
        self.start()
        job = str(self.mill.submit("version: 1\nname: r\nshard: {count: 100000}\nrun:\n  runner: [%s, %s]\n"
                                   "  format: json\n" % (sys.executable, RANGES)))
        self.run_cli("wait", job)
        lines = [tuple(map(int, line.split())) for line in self.run_cli("output", job)[0].splitlines()]
        self.assertEqual(sum(count for _, count in lines), 100000)
        first = max(lines, key=lambda line: line[1])[0]
        self.segments.alter(first)
        self.assertIn("the output of shard %d is lost" % first, self.run_cli("output", job, code=5)[1])
        self.run_cli("retry", job)
        self.run_cli("wait", job)
        lines = [tuple(map(int, line.split())) for line in self.run_cli("output", job)[0].splitlines()]
        self.assertEqual(sum(count for _, count in lines), 100000, "each shard counts once")

    def test_after_a_restart_and_with_history_built_again(self):
        self.start()
        job = self.lines_job()
        self.run_cli("wait", job)
        self.segments.alter(5)
        self.mill.kill(self.mill.workers[0])
        self.run_cli("retry", job)
        self.assertEqual(self.mill.job(int(job))["phases"][0]["done"], SHARDS - 1)
        self.mill.kill(self.mill.dispatcher)
        for path in glob.glob(self.mill.state + "/history.db*"):
            os.unlink(path)
        self.mill.start_dispatcher(**self.params)
        self.mill.start_worker(cpus="1", heartbeat="100ms")
        self.assertEqual(self.mill.wait(int(job))["state"], "succeeded")
        self.assertEqual(self.run_cli("output", job)[0], self.LINES)
        self.assertEqual(self.ran(), sorted([*range(SHARDS), 5]))

    def test_of_a_job_with_dead_shards_what_is_gone_runs_again_with_them(self):
        self.start()
        self.write("ran", "")
        job = self.submit("--array=%d" % SHARDS, "--attempts=1", "--tolerate=1", "--", "sh", "-c",
                          "echo {} >> %s; test {} != 11 || test -e %s || exit 3; echo line {}" % (
                              self.path("ran"), self.path("good")))
        self.assertEqual(self.mill.wait(int(job))["phases"][0]["dead"], 1)
        self.segments.write_entry(3, fields(out_length=1 << 30))
        self.write("good", "")
        self.assertIn("2 of 12 shards to do, 10 are kept; the output of 1 was lost", self.run_cli("retry", job)[0])
        self.run_cli("wait", job)
        self.assertEqual(self.ran(), sorted([*range(SHARDS), 3, 11]))
        self.assertEqual(self.run_cli("output", job)[0], self.LINES)

    def test_other_clients_see_an_answer_that_is_cut_off(self):
        self.start()
        job = self.lines_job()
        self.run_cli("wait", job)
        self.segments.alter(5)
        with self.assertRaises(http.client.IncompleteRead):
            self.mill.output(int(job))
        with self.assertRaises(ApiError) as refused:
            truncate_behind(7)(self.segments)
            self.mill.output(int(job))
        self.assertEqual((refused.exception.status, refused.exception.error["code"]), (500, "corrupt"))


if __name__ == "__main__":
    main()
