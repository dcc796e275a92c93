#!/usr/bin/env python3
"""The library's finance-var over real prices: for any number of shards and one or two workers the gathered
report is byte for byte what the tool says of all scenarios in one run. The positions come as an event: their
file is moved into a watched directory. Bad price files fail at once, in words.

Usage: finance.py BUILD; ten million scenarios when MILL_TEST is long."""
import json
import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
from mill import Mill, until  # noqa: E402

LIBRARY = os.path.join(HERE, "..", "..", "jobs", "library", "finance")
LONG = os.environ.get("MILL_TEST") == "long"
SHIPPED = 10_000_000  # scenarios of the definition as it ships, a shard each
SCENARIOS = 100_003   # no multiple of anything: the last shards are shorter, or empty
SHARDS = [1, 7, 2003, 60_000, SCENARIOS]

BAD = [  # name, what happens to a line of the price file, words of the error
    ("hole", lambda cells: cells[:3] + [""] + cells[4:], "T has no price on"),
    ("not a number", lambda cells: cells[:2] + ["n.a."] + cells[3:], "AXP: expected a price"),
    ("unsorted", lambda cells: ["1989-01-03"] + cells[1:], "sort the price file by date"),
    ("cut short", lambda cells: cells[:5], "expected 31 fields"),
]


class Finance:
    def __init__(self, build):
        self.tool = os.path.join(build, "jobs", "library", "finance", "finance-var")
        self.mill = Mill(build)

    def path(self, name):
        return os.path.join(self.mill.dir, name)

    def write(self, name, text):
        with open(self.path(name), "w") as f:
            f.write(text)
        return self.path(name)

    def prepare(self):
        """Real prices, a portfolio of all stocks with short ones among them, the definition."""
        self.prices = subprocess.check_output(["Rscript", os.path.join(LIBRARY, "dow-prices.R")], text=True)
        assets = self.prices.split("\n", 1)[0].split(",")[1:]
        assert len(assets) == 30, assets
        self.write("bucket/prices.csv", self.prices)
        self.positions = "asset,quantity\n" + "".join(
            "%s,%d\n" % (a, -400 if n % 7 == 3 else 1000 + 50 * n) for n, a in enumerate(assets))
        with open(os.path.join(LIBRARY, "finance-var.yaml")) as f:
            self.shipped = f.read()

    def definition(self, name, shards, scenarios, prices):
        text = self.shipped
        for old, new in (("count: 10000000}", "count: %d}" % shards), ('"10000000"', '"%d"' % scenarios),
                         ("name: finance-var", "name: " + name), (".positions.csv", ".%s.csv" % name),
                         ("--runner,", "--runner," if prices is None else "--runner, --prices, %s," % self.path(prices))):
            assert old in text, old
            text = text.replace(old, new)
        return text

    def expected(self, scenarios):
        return subprocess.check_output(
            [self.tool, "--prices", self.path("bucket/prices.csv"), "--positions", self.write("p.csv", self.positions),
             "--scenarios", str(scenarios), "--threads", "2", "--json"])

    def run(self, jobs):
        """{name: ended job} of definitions whose positions file lands in the bucket."""
        for name in jobs:
            self.write(os.path.join("bucket", "." + name), self.positions)  # hidden until it is renamed
            os.rename(self.path("bucket/." + name), self.path("bucket/close.%s.csv" % name))
        listed = until(lambda: (lambda j: j if len(j) >= len(jobs) else None)(
            [j for j in self.mill.api("GET", "/v1/jobs")["jobs"] if j["name"] in jobs]))
        return {j["name"]: self.mill.wait(j["id"], seconds=300) for j in listed}


def same_bytes(f, workers):
    """byte for byte the report of one run, for any number of shards"""
    names = {"w%d-s%d" % (workers, n): n for n in SHARDS}
    ended = f.run(names)
    expected = f.expected(SCENARIOS)
    for name, shards in names.items():
        assert ended[name]["state"] == "succeeded", ended[name]
        output = f.mill.output(ended[name]["id"])
        assert output == expected, "%d shards: %d bytes, expected %d" % (shards, len(output), len(expected))
    assert json.loads(expected)["scenarios"] == SCENARIOS


def bad_prices(f):
    """holes, disorder and words in a price file: told by file and line, tried once"""
    names = ["bad-%d" % n for n in range(len(BAD))]
    for name, job in f.run(names).items():
        what, _, words = BAD[int(name[4:])]
        assert job["state"] == "failed", (what, job)
        dead = until(lambda: f.mill.api("GET", "/v1/jobs/%d/shards" % job["id"])["shards"])
        assert dead and dead[0]["kind"] == "exit" and dead[0]["code"] == 2, (what, dead)
        place = "%s.csv:1000: " % f.path(name)
        assert place in dead[0]["why"] and words in dead[0]["why"], (what, dead[0])
        assert job["retries"] == 0, (what, job)


def as_shipped(f):
    """the definition as it ships, ten million scenarios"""
    job = f.run(["shipped"])["shipped"]
    assert job["state"] == "succeeded" and job["phases"][0]["done"] == SHIPPED, job
    assert f.mill.output(job["id"]) == f.expected(SHIPPED)


def main():
    if shutil.which("Rscript") is None:
        print("mill: skipped: finance: no Rscript; packages.txt names r-cran-fbasics")
        return 77
    build = os.path.abspath(sys.argv[1])
    f = Finance(build)
    os.environ["PATH"] = os.path.dirname(f.tool) + ":" + os.environ["PATH"]
    with f.mill as mill:
        for name in ("bucket", "rules"):
            os.mkdir(f.path(name))
        f.prepare()
        rules = {"w%d-s%d" % (w, n): (n, SCENARIOS, None) for w in (1, 2) for n in SHARDS}
        lines = f.prices.split("\n")
        for n, (_, change, _) in enumerate(BAD):
            rules["bad-%d" % n] = (50, SCENARIOS, "bad-%d.csv" % n)
            bad = list(lines)
            bad[999] = ",".join(change(bad[999].split(",")))
            f.write("bad-%d.csv" % n, "\n".join(bad))
        rules["shipped"] = (SHIPPED, SHIPPED, None)
        for name, (shards, scenarios, prices) in rules.items():
            f.write("rules/%s.yaml" % name, f.definition(name, shards, scenarios, prices))
        mill.start_dispatcher(bucket=f.path("bucket"), rules_dir=f.path("rules"))
        mill.start_worker()
        tests = [lambda: same_bytes(f, 1), lambda: bad_prices(f),
                 lambda: (mill.start_worker(), same_bytes(f, 2))] + ([lambda: as_shipped(f)] if LONG else [])
        told = ["one worker: %s" % same_bytes.__doc__, bad_prices.__doc__,
                "two workers: %s" % same_bytes.__doc__, as_shipped.__doc__]
        for test, words in zip(tests, told):
            test()
            print("finance: " + words, flush=True)
    print("mill: %d passed, 0 failed" % len(tests))
    return 0


if __name__ == "__main__":
    sys.exit(main())
