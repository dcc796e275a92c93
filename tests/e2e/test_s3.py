#!/usr/bin/env python3
"""Objects of a real S3 server (Ceph's RADOS Gateway) as input and output: read by ranges, cut at borders, pinned;
and what goes wrong with them, each told in words that name the object and what to do."""
import gzip
import os
import random
import shutil
import subprocess
import unittest
import urllib.parse

from case import MillCase, main, until
import ceph as ceph_module
from ceph import Ceph
from fault_proxy import SLOW_DOWN, FaultProxy, answer, cut, stall, times

import case

BYTES = """version: 1
name: cat
shard: {bytes: %s, align: %s, of: "%s"}
run: {exec: %s, input: %s}
retry: {attempts: 3, backoff: 10ms, max: 20ms}
"""
GATHER = "gather: {exec: [cat]}\n"
READS = "/usr/share/doc/bowtie2/examples/reads/"
LIBRARY = os.path.join(case.ROOT, "jobs", "library")
LONG = os.environ.get("MILL_TEST") == "long"
CEPH = None


def setUpModule():
    global CEPH
    reason = ceph_module.why_not()
    if reason:
        print("mill: skipped: objects in S3: " + reason)
        raise unittest.SkipTest(reason)
    CEPH = Ceph()
    CEPH.__enter__()
    os.environ.update(CEPH.environment)
    os.environ["HOME"] = CEPH.dir  # nobody's ~/.aws
    CEPH.make_bucket("input")


def tearDownModule():
    if CEPH is not None:
        CEPH.__exit__(None, None, None)


def lines(count, seed=1):
    r = random.Random(seed)
    return b"".join(b"%d %s\n" % (n, b"x" * r.randrange(200)) for n in range(count))


class S3Case(MillCase):
    def setUp(self):
        super().setUp()
        self.proxies = []

    def tearDown(self):
        super().tearDown()
        for p in self.proxies:
            p.__exit__(None, None, None)

    def proxy(self, *faults, to=None):
        p = FaultProxy(to or CEPH.port)
        p.faults += faults
        p.__enter__()
        self.proxies.append(p)
        return p

    def start(self, worker=None, **params):
        self.mill.start_dispatcher(**params)
        self.mill.start_worker(cpus=1, **(worker or {}))

    def key(self):
        return self.id().rsplit(".", 1)[1]

    def put(self, data, key=None):
        CEPH.put_bytes("input", key or self.key(), data)
        return "s3://input/" + (key or self.key())

    def cat(self, url, size, align="line", command='[cat]', mode="stdin", gather=True):
        return self.mill.submit(BYTES % (size, align, url, command, mode) + (GATHER if gather else ""))

    def expect_cat(self, url, data, size, **more):
        job = self.cat(url, size, **more)
        ended = self.mill.wait(job)
        self.assertEqual(ended["state"], "succeeded", ended)
        self.assertEqual(self.mill.output(job), data)
        return self.mill.job(job)

    def dead(self, job):
        """Its dead shards, when history has them."""
        return until(lambda: self.mill.api("GET", "/v1/jobs/%d/shards" % job)["shards"])

    def expect_failed(self, job, *words, retries=0):
        """It failed for good, for its input's sake, in these words."""
        ended = self.mill.wait(job)
        self.assertEqual(ended["state"], "failed", ended)
        dead = self.dead(job) if ended["phases"][0]["dead"] > 0 else None  # else no plan came about
        why = dead[0]["why"] if dead else ended["why"]
        for word in words:
            self.assertIn(word, why)
        if dead:
            self.assertEqual(dead[0]["kind"], "input", dead)
        self.assertEqual(self.mill.job(job)["retries"], retries, why)
        return why


class Input(S3Case):
    def test_all_shards_together_are_the_object(self):
        data = lines(20000)
        url = self.put(data)
        self.start(worker={"s3_read_ahead": "64KiB"})
        for size in ("100KiB", "777777", "64MiB"):
            j = self.expect_cat(url, data, size)
            self.assertEqual(j["retries"], 0)
        self.expect_cat(url, data, "300KiB", align="none")
        self.expect_cat(url, data, "300KiB", mode="file", command='["sh", "-c", "cat $SHARDMILL_INPUT_FILE"]')

    def test_an_odd_key_an_empty_object_and_no_record(self):
        self.start(worker={"s3_prefetch": "no"})
        CEPH.put_bytes("input", "odd%20key%2Bwith%25%C3%A9%3D.txt", b"a\nb\n")
        self.expect_cat("s3://input/odd key+with%\u00e9=.txt", b"a\nb\n", "2B")
        self.expect_cat(self.put(b""), b"", "1MiB")
        self.expect_cat(self.put(b"one line, no end"), b"one line, no end", "3B")

    def test_a_key_is_what_it_says(self):
        """Nothing takes dots or slashes together, or a percent sign for an escape, on any version of libcurl."""
        tool = os.path.join(case.BUILD, "tests", "support", "s3-tool")
        keys = ("dots/b", "dots/a/../b", "dots/./b", "dots//b", "dots/b/..", "dots/%2e%2e/b", "50%", "50%25",
                "a+b c", "~x(1)!*'@,;=:&?#", "\u00e9")
        for key in keys:  # each by the server's word under its own name
            CEPH.put_bytes("input", urllib.parse.quote(key, safe="/"), key.encode())
        for key in keys:
            url = "s3://input/" + key
            done = subprocess.run([tool, "get", url, "0", str(len(key.encode()))], capture_output=True, text=True)
            self.assertEqual((done.returncode, done.stdout), (0, key), (key, done.stderr))
        listed = subprocess.run([tool, "list", "s3://input/dots/"], capture_output=True, text=True, check=True).stdout
        self.assertEqual({line.split(" ", 2)[2] for line in listed.splitlines()}, set(keys[:6]))
        with open(self.path("new"), "w") as f:
            f.write("new")
        for key in keys:  # written by us, read by another
            subprocess.run([tool, "put", "s3://input/" + key, self.path("new")], check=True)
            self.assertEqual(CEPH.get("input", urllib.parse.quote(key, safe="/")), b"new", key)
            CEPH.delete("input", urllib.parse.quote(key, safe="/"))
        self.start()
        CEPH.put_bytes("input", "up/../x//50%25", b"a\nb\n")
        self.expect_cat("s3://input/up/../x//50%", b"a\nb\n", "2B")

    def test_the_command_is_told_where_its_bytes_are(self):
        url = self.put(b"0123456\n89\nabcdef\n")
        self.start()
        job = self.cat(url, "9B", command='["sh", "-c", "echo $SHARDMILL_INPUT_URL $SHARDMILL_INPUT_FIRST '
                                          '$SHARDMILL_INPUT_END $(wc -c)"]')
        self.mill.wait(job)
        self.assertEqual(self.mill.output(job).decode(), "%s 0 11 11\n%s 11 18 7\n" % (url, url))

    def test_lines_of_an_object_are_items(self):
        url = self.put(b"alpha\n\nbeta\r\ngamma")
        self.start()
        job = self.mill.submit('version: 1\nname: each\nshard: {items: {lines: "%s"}}\nrun: {exec: [echo, "{{shard.item}}"]}\n'
                               "gather: {exec: [cat]}\n" % url)
        self.assertEqual(self.mill.wait(job)["state"], "succeeded")
        self.assertEqual(self.mill.output(job), b"alpha\nbeta\ngamma\n")

    def test_what_would_be_cut_is_told_without_a_run(self):
        url = self.put(b"x" * 1000)
        self.start()
        plan = self.mill.api("POST", "/v1/plan", {"definition": BYTES % ("300B", "line", url, "[cat]", "stdin")})
        self.assertEqual(plan["shards"], 4)
        self.expect_error(404, "not_found", "POST", "/v1/plan",
                          {"definition": BYTES % ("1MiB", "line", "s3://nobucket/key", "[cat]", "stdin")})

    def test_a_command_that_reads_little_ends_well(self):
        url = self.put(lines(100000))
        self.start()
        job = self.cat(url, "5MiB", command='["head", "-n", "1"]', gather=False)
        self.assertEqual(self.mill.wait(job)["state"], "succeeded")


class Faults(S3Case):
    def change_meanwhile(self, change):
        """The first shard waits for the change; the second one meets it."""
        data = lines(30000)
        url = self.put(data)
        flag = self.path("go")
        self.start(worker={"s3_prefetch": "no"})
        job = self.cat(url, "1MiB", command='["sh", "-c", "cat >/dev/null; touch %s.begun; while [ ! -e %s ]; do sleep 0.02; done"]'
                       % (flag, flag), gather=False)
        until(lambda: os.path.exists(flag + ".begun"))
        change(data)
        open(flag, "w").close()
        return job, url

    def test_an_object_that_is_overwritten_fails_the_job_at_once(self):
        job, url = self.change_meanwhile(lambda data: self.put(data.replace(b"x", b"y")))
        self.expect_failed(job, url, "the object changed after the job was planned", "submit a new job")

    def test_an_object_that_is_deleted_fails_the_job_at_once(self):
        job, url = self.change_meanwhile(lambda data: CEPH.delete("input", self.key()))
        self.expect_failed(job, url, "there is no such object", "was there when the job was planned")

    def test_wrong_credentials(self):
        url = self.put(b"a\n")
        self.mill.start_dispatcher()
        wrong = dict(os.environ, AWS_SECRET_ACCESS_KEY="wrong")
        options = {"connect": "tcp://127.0.0.1:%d" % self.mill.port, "keys_dir": os.path.join(self.mill.state, "keys"),
                   "output_dir": os.path.join(self.mill.state, "output"), "scratch_dir": self.path("scratch")}
        self.mill.workers.append(self.mill.start("shardmill-worker", options, env=wrong))
        self.expect_failed(self.cat(url, "1MiB"), url, "SignatureDoesNotMatch", "AWS_SECRET_ACCESS_KEY")

    def test_no_credentials(self):
        url = self.put(b"a\n")
        none = {k: v for k, v in os.environ.items() if k not in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
        options = {"state_dir": self.mill.state, "api_socket": self.mill.socket,
                   "listen": "tcp://127.0.0.1:%d" % self.mill.port, "init": True}
        self.mill.dispatcher = self.mill.start("shardmill-dispatcher", options, env=none)
        until(self.mill.answers)
        self.expect_failed(self.cat(url, "1MiB"), "no credentials", "AWS_ACCESS_KEY_ID")

    def test_a_bucket_or_an_object_that_is_not_there(self):
        self.start()
        self.expect_failed(self.cat("s3://nobucket/key", "1MiB"), "s3://nobucket/key", "no such bucket", "s3_endpoint")
        self.expect_failed(self.cat("s3://input/nokey", "1MiB"), "s3://input/nokey", "no such object", "check the key")

    def test_a_clock_that_is_20_minutes_off(self):
        """The client by itself, under another clock: daemons keep their time by others."""
        url = self.put(b"a\n")
        tool = os.path.join(case.BUILD, "tests", "support", "s3-tool")
        if os.environ.get("MILL_BUILD") == "asan":
            self.skip("a clock that is wrong: libfaketime and the address sanitizer do not go together")
        if shutil.which("faketime") is None:
            self.skip("a clock that is wrong: no faketime; packages.txt names it")
        done = subprocess.run(["faketime", "-f", "-20m", tool, "get", url, "0", "2"], capture_output=True, text=True)
        self.assertEqual(done.returncode, 3, done)  # final
        self.assertIn("RequestTimeTooSkewed", done.stderr)
        self.assertIn(url, done.stderr)
        self.assertIn("set the clock", done.stderr)

    def test_a_clock_that_is_off_is_told_by_the_job(self):
        url = self.put(b"a\n")
        p = self.proxy(times(1000, answer(403, "RequestTimeTooSkewed"), method="GET"))
        self.start(worker={"s3_endpoint": p.endpoint})
        self.expect_failed(self.cat(url, "1MiB"), url, "clock", "timedatectl")

    def test_a_connection_cut_in_the_middle_goes_on_where_it_was(self):
        data = lines(30000)
        url = self.put(data)
        p = self.proxy(times(3, cut(300000), matching="Range: bytes=\\d+-\\d{6,}"), times(2, cut(0)))
        self.start(worker={"s3_endpoint": p.endpoint})
        j = self.expect_cat(url, data, "1MiB")
        self.assertEqual(j["retries"], 0)
        self.assertEqual([f.left[0] for f in p.faults], [0, 0])

    def test_slow_down_is_waited_for(self):
        data = lines(5000)
        url = self.put(data)
        p = self.proxy(times(6, answer(*SLOW_DOWN)), times(2, answer(*SLOW_DOWN), method="HEAD"))
        self.start(worker={"s3_endpoint": p.endpoint}, s3_endpoint=p.endpoint)
        j = self.expect_cat(url, data, "200KiB")
        self.assertEqual(j["retries"], 0)
        self.assertEqual([f.left[0] for f in p.faults], [0, 0])

    def test_a_server_that_stays_away_costs_retries_and_then_the_job(self):
        url = self.put(b"a\n")
        p = self.proxy(times(100000, answer(*SLOW_DOWN)))
        self.start(worker={"s3_endpoint": p.endpoint, "s3_patience": "300ms"})
        self.expect_failed(self.cat(url, "1MiB"), url, "SlowDown", "s3_patience", retries=2)

    def test_a_job_that_waits_for_its_object_is_cancelled(self):
        url = self.put(lines(1000))
        p = self.proxy(times(1000, stall()))
        self.start(worker={"s3_endpoint": p.endpoint})
        job = self.cat(url, "1MiB")
        until(lambda: [a for a in p.asked if a.startswith("GET")])
        self.mill.api("POST", "/v1/jobs/%d/cancel" % job)
        self.assertEqual(self.mill.wait(job)["state"], "cancelled")
        p.faults.clear()
        self.expect_cat(url, lines(1000), "1MiB")  # the slot is free again


RULE = """version: 1
name: count-lines
on:
  - pattern:
      source: [aws.s3]
      detail-type: [Object Created]
      detail: {bucket: {name: [drop]}, object: {key: [{suffix: .txt}]}}
shard: {bytes: 100KiB, align: line, of: "{{event.object}}"}
run: {exec: [wc, -l], input: stdin}
gather: {exec: ["sh", "-c", "awk '{n+=$1} END {print n}'"]}
output: s3://results/{{event.detail.object.key}}/{{job.id}}/
"""


class Output(S3Case):
    @classmethod
    def setUpClass(cls):
        CEPH.make_bucket("results")

    def definition(self, output, more="", shards=3):
        return "version: 1\nname: out\nshard: {count: %d}\nrun: {exec: [echo, 'value {{shard.value}}']}\n" \
               "retry: {attempts: 2, backoff: 10ms}\n%soutput: %s\n" % (shards, more, output)

    def test_an_object_arrives_and_its_result_is_an_object(self):
        """Ceph's own notification starts the job; the job reads the object; the result is one."""
        data = lines(5000)
        self.write("rules/count.yaml", RULE)
        CEPH.make_bucket("drop")
        self.start(rules_dir=self.path("rules"))
        # Ceph shows no token: a front that speaks TCP stands before the dispatcher's Unix socket.
        CEPH.notify("drop", self.proxy(to=self.mill.socket).endpoint + "/v1/events")
        CEPH.put_bytes("drop", "in/words.txt", data)
        CEPH.put_bytes("drop", "in/other.bin", b"no rule wants it")
        job = until(lambda: self.jobs())[0]["id"]
        self.assertEqual(self.mill.wait(job)["state"], "succeeded")
        self.assertEqual(CEPH.get("results", "in/words.txt/%d/result" % job), b"5000\n")
        self.assertEqual(self.mill.output(job), b"5000\n")
        named = "s3://results/in/words.txt/%d/result" % job
        until(lambda: self.mill.job(job).get("output") == named)
        self.assertEqual(len(self.jobs()), 1)

    def test_each_shard_is_an_object_when_nothing_gathers(self):
        self.start()
        job = self.mill.submit(self.definition("s3://results/each/{{job.id}}"))
        self.assertEqual(self.mill.wait(job)["state"], "succeeded")
        for n in range(3):
            self.assertEqual(CEPH.get("results", "each/%d/shard-%010d" % (job, n)), b"value %d\n" % n)
        self.assertEqual(self.mill.job(job)["output"], "s3://results/each/%d/shard-*" % job)

    def test_a_large_result_goes_in_parts(self):
        self.start()
        job = self.mill.submit("version: 1\nname: big\nrun: {exec: [head, -c, '70000000', /dev/zero]}\n"
                               "output: s3://results/big/\n")
        self.assertEqual(self.mill.wait(job)["state"], "succeeded")
        self.assertEqual(CEPH.get("results", "big/shard-0000000000"), b"\0" * 70000000)

    def test_a_file_is_a_place_too(self):
        self.start()
        job = self.mill.submit(self.definition("file://" + self.path("results"), "gather: {exec: [cat]}\n"))
        self.assertEqual(self.mill.wait(job)["state"], "succeeded")
        with open(self.path("results", "result"), "rb") as f:
            self.assertEqual(f.read(), b"value 0\nvalue 1\nvalue 2\n")
        self.assertEqual(os.listdir(self.path("results")), ["result"])

    def test_a_place_that_is_not_there_fails_the_job_at_once(self):
        self.start()
        job = self.mill.submit(self.definition("s3://noresults/x/", shards=1))
        self.assertEqual(self.mill.wait(job)["state"], "failed")
        dead = self.dead(job)[0]
        self.assertEqual(dead["kind"], "publish")
        for words in ("s3://noresults/x/shard-0000000000", "no such bucket"):
            self.assertIn(words, dead["why"])
        self.assertEqual(self.mill.job(job)["retries"], 0)

    def test_slow_down_on_the_way_out_is_waited_for(self):
        p = self.proxy(times(3, answer(*SLOW_DOWN), method="PUT"))
        self.start(worker={"s3_endpoint": p.endpoint})
        job = self.mill.submit(self.definition("s3://results/slow/", shards=1))
        self.assertEqual(self.mill.wait(job)["state"], "succeeded")
        self.assertEqual(CEPH.get("results", "slow/shard-0000000000"), b"value 0\n")
        self.assertEqual((self.mill.job(job)["retries"], p.faults[0].left[0]), (0, 0))

    def test_a_runner_without_gather_has_no_objects(self):
        self.start()
        self.expect_error(400, "invalid", "POST", "/v1/jobs", {"definition":
                          "version: 1\nname: r\nshard: {count: 2}\nrun: {runner: [x]}\noutput: s3://results/r/\n"})


class Genomics(S3Case):
    def test_reads_from_a_bucket_are_checked_as_they_stream(self):
        """The library's rule as it ships, over real reads repeated under new names; 1 GiB when MILL_TEST is long."""
        tools = os.path.join(os.path.abspath(case.BUILD), "jobs", "library", "genomics")
        os.environ["PATH"] = tools + ":" + os.environ["PATH"]
        shutil.copy(os.path.join(LIBRARY, "genomics", "fastq-qc.yaml"), os.path.join(self.make_dir("rules"), "qc.yaml"))
        whole, size = self.path("whole.fastq"), (1 << 30) + 12345 if LONG else 40 << 20
        self.write_reads(whole, size)
        expected = subprocess.check_output([os.path.join(tools, "fastq-qc"), "--json", whole])
        self.start(rules_dir=self.path("rules"))
        CEPH.make_bucket("reads")
        CEPH.notify("reads", self.proxy(to=self.mill.socket).endpoint + "/v1/events")
        CEPH.put("reads", "run%201/lane.fastq", whole)
        job = until(lambda: self.jobs())[0]["id"]
        self.assertEqual(self.mill.wait(job, seconds=600)["state"], "succeeded")
        self.assertEqual(self.mill.output(job), expected)
        j = self.mill.job(job)
        self.assertEqual((j["phases"][0]["shards"], j["retries"]), (-(-os.path.getsize(whole) // (16 << 20)), 0))
        if os.environ.get("MILL_BUILD") != "asan":  # which keeps what was freed
            self.assertLess(peak_bytes(self.mill.workers[0].pid), 100 << 20)

    def write_reads(self, path, size):
        reads = b"".join(gzip.open(READS + name).read() for name in ("reads_1.fq.gz", "longreads.fq.gz"))
        rows = reads.split(b"\n")
        records = [b"\n".join(rows[n:n + 4])[1:] + b"\n" for n in range(0, len(rows) - 1, 4)]  # without the @
        with open(path, "wb") as f:
            turn = 0
            while f.tell() < size:
                name = b"@%d." % turn
                f.write(name + name.join(records))
                turn += 1


def peak_bytes(pid):
    with open("/proc/%d/status" % pid) as f:
        return next(int(row.split()[1]) << 10 for row in f if row.startswith("VmHWM:"))


if __name__ == "__main__":
    main()
