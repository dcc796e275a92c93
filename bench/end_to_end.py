"""The figures of the whole chain: real daemons, each figure as a ratio to its limit in the same run.

A figure is a function of a Bench that gives Rows. What can be noisy is measured in pairs, ours and the limit's in
turn, and the median of the pairs' ratios counts: the machine's speed changes under us."""
import collections
import json
import os
import resource
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "support"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import object_store  # noqa: E402
from mill import Mill, UnixConnection, until  # noqa: E402

LIBRARY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "jobs", "library")

# ok: True, False, or None where there is no goal.
Row = collections.namedtuple("Row", "figure value limit ratio goal ok")
Bench = collections.namedtuple("Bench", "build plain short")

NOOP = "version: 1\nname: noop\nshard: {count: %d}\nrun:\n  runner: [%s]\n  format: msgpack\n"
TRUE = "version: 1\nname: %s\nshard: {count: %d}\nrun: {exec: [/bin/true]}\n"
RULE = "version: 1\nname: stamp\non:\n  - pattern: {source: [bench]}\nrun: {exec: [%s]}\n"


def program(bench, name):
    return os.path.abspath(os.path.join(bench.build, "bench", name))


def middle(pairs):
    """The pair (ours, limit, …) whose ratio is the median."""
    return sorted(pairs, key=lambda pair: pair[0] / pair[1])[len(pairs) // 2]


def rss_bytes(pid):
    with open("/proc/%d/smaps_rollup" % pid) as f:
        for row in f:
            if row.startswith("Rss:"):
                return int(row.split()[1]) * 1024
    raise AssertionError("no Rss of %d" % pid)


def noop(bench):
    """No-op shards of one job through a C runner, durable, on the machine's cores."""
    shards = 200_000_000 if bench.short else 1_000_000_000
    pairs = []
    with Mill(bench.build) as mill:
        mill.start_dispatcher()
        mill.start_worker()
        runner, probe = program(bench, "noop-runner"), os.path.join(mill.dir, "probe")
        mill.wait(mill.submit(NOOP % (1000, runner)))
        for _ in range(3):
            before = mill.api("GET", "/v1/status")["journal"]["commits"]
            begun = time.monotonic()
            job = mill.wait(mill.submit(NOOP % (shards, runner)), seconds=300)
            rate = shards / (time.monotonic() - begun)
            assert job["state"] == "succeeded" and job["phases"][0]["done"] == shards, job
            commits = mill.api("GET", "/v1/status")["journal"]["commits"] - before
            seconds = float(subprocess.check_output([program(bench, "range-limit"), probe, str(commits)]))
            pairs.append((rate, shards / seconds, commits))
    rate, limit, commits = middle(pairs)
    return [Row("no-op shards, durable", "%.2f million/s" % (rate / 1e6),
                "its %d commits as bare ROUTER + fdatasync: %.2f million/s" % (commits, limit / 1e6),
                rate / limit, "at least 1 million/s", rate >= 1e6)]


def exec_true(bench):
    """exec of /bin/true with defaults, against two bare posix_spawn loops."""
    seconds = 1 if bench.short else 3
    pairs = []
    with Mill(bench.build) as mill:
        mill.start_dispatcher()
        mill.start_worker()
        mill.wait(mill.submit(TRUE % ("true", 1000)))
        for _ in range(3 if bench.short else 5):
            limit = float(subprocess.check_output([program(bench, "spawn-limit"), "/bin/true", str(seconds)]))
            shards = int(limit * seconds)
            begun = time.monotonic()
            job = mill.wait(mill.submit(TRUE % ("true", shards)), seconds=300)
            assert job["state"] == "succeeded", job
            pairs.append((shards / (time.monotonic() - begun), limit))
    rate, limit = middle(pairs)
    return [Row("exec /bin/true", "%.0f/s" % rate, "posix_spawn loop of two processes: %.0f/s" % limit, rate / limit,
                "ratio at least 0.90", rate / limit >= 0.90)]


def event_round(mill, producer, n):
    """Nanoseconds from the POST of an event to the start of its shard."""
    body = json.dumps({"id": str(n), "source": "bench", "detail-type": "tick", "detail": {}, "resources": [],
                       "time": "2026-01-01T00:00:00Z"})
    sent = time.time_ns()
    producer.request("POST", "/v1/events", body, {"Content-Type": "application/json"})
    job = json.loads(producer.getresponse().read())["events"][0]["jobs"][0]
    mill.wait(job)
    return int(mill.output(job)) - sent


def event(bench):
    """From the POST of an event to the start of its shard, p50."""
    rounds, pairs, sent = 40 if bench.short else 100, [], 0
    with Mill(bench.build) as mill:
        rules, stamp = os.path.join(mill.dir, "rules"), program(bench, "stamp")
        os.mkdir(rules)
        with open(os.path.join(rules, "stamp.yaml"), "w") as f:
            f.write(RULE % stamp)
        mill.start_dispatcher(rules_dir=rules)
        mill.start_worker()
        until(lambda: mill.api("GET", "/v1/rules")["rules"])
        producer = UnixConnection(mill.socket, 10)  # one connection, as the limit's client has
        for turn in range(3 if bench.short else 5):
            took = []
            for _ in range(rounds + 20):
                sent += 1
                took.append(event_round(mill, producer, sent))
            limits = subprocess.check_output(
                [program(bench, "event-limit"), stamp, os.path.join(mill.dir, "probe%d" % turn), str(rounds)])
            pairs.append((statistics.median(took[20:]) / 1e6, statistics.median(int(n) for n in limits.split()) / 1e6))
    ours, limit = middle(pairs)
    return [Row("event to start of its shard, p50", "%.2f ms" % ours, "bare ROUTER + fdatasync + spawn: %.2f ms" % limit,
                ours / limit, "ratio at most 2", ours / limit <= 2)]


def queued(bench):
    """Queued one-shard jobs, a million of them: memory of each."""
    count = 100_000 if bench.short else 1_000_000
    with Mill(bench.build) as mill:
        d = mill.start_dispatcher()
        idle = rss_bytes(d.pid)
        subprocess.check_call([program(bench, "submit-many"), mill.socket, str(count)])
        until(lambda: mill.api("GET", "/v1/status"))
        each = (rss_bytes(d.pid) - idle) / count
    limit = float(subprocess.check_output([program(bench, "row-limit"), str(count)]))
    return [Row("queued one-shard job, memory", "%.0f B" % each, "bare array of id, key, time, definition: %.0f B" % limit,
                each / limit, "under 400 B", each < 400)]


def huge(bench):
    """A job of four billion shards: memory above the idle dispatcher, and time to submit."""
    ours, small = [], []

    def submit(mill, name, count, times):
        begun = time.monotonic()
        mill.submit(TRUE % (name, count))
        times.append((time.monotonic() - begun) * 1e3)

    with Mill(bench.build) as mill:
        d = mill.start_dispatcher()
        submit(mill, "warm", 1, [])
        idle = rss_bytes(d.pid)
        submit(mill, "huge", 4_000_000_000, ours)
        above = rss_bytes(d.pid) - idle
        for n in range(9):
            submit(mill, "small-%d" % n, 1, small)
            submit(mill, "huge-%d" % n, 4_000_000_000, ours)
    ms, limit = max(ours), statistics.median(small)
    return [Row("job of 4,000,000,000 shards, memory", "%.2f MiB" % (above / 2**20),
                "the idle dispatcher: %.1f MiB" % (idle / 2**20), above / idle, "under 8 MiB", above < 8 * 2**20),
            Row("the same, submit (longest of 10)", "%.1f ms" % ms, "a job of one shard, p50: %.1f ms" % limit, ms / limit,
                "under 50 ms", ms < 50)]


def sim(bench):
    """Seeds of the simulator, by processor time: what it says does not depend on who else is running."""
    seeds, rates = 300 if bench.short else 2000, []
    argv = [os.path.join(bench.plain, "tests", "sim", "sim"), "--seeds", "1-%d" % seeds]
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        rates.append(seeds / (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime))
    rate = statistics.median(rates)
    return [Row("simulator, plain build", "%.0f seeds/s a core" % rate, "what 2,000 seeds in --quick ask for: 300/s",
                rate / 300, "at least 300/s", rate >= 300)]


def var_job(shards, scenarios, positions):
    """The library's definition as it ships, but for its size."""
    with open(os.path.join(LIBRARY, "finance", "finance-var.yaml")) as f:
        text = f.read()
    for old, new in (("count: 10000000}", "count: %d}" % shards), ('"10000000"', '"%d"' % scenarios),
                     ('"{{event.object}}"', positions)):
        assert old in text, old
        text = text.replace(old, new)
    return text


def make_positions(directory):
    """positions.csv, a thousand of each share, and prices.csv beside it."""
    prices, positions = os.path.join(directory, "prices.csv"), os.path.join(directory, "positions.csv")
    with open(prices, "wb") as f:
        f.write(subprocess.check_output(["Rscript", os.path.join(LIBRARY, "finance", "dow-prices.R")]))
    with open(prices) as f, open(positions, "w") as to:
        to.write("asset,quantity\n" + "".join("%s,1000\n" % a for a in f.readline().strip().split(",")[1:]))
    return positions


def finance(bench):
    """Value at risk of the library, a scenario a shard through a runner, against the same scenarios in two threads."""
    scenarios, pairs = 2_000_000 if bench.short else 10_000_000, []
    tool = os.path.abspath(os.path.join(bench.build, "jobs", "library", "finance", "finance-var"))
    with Mill(bench.build) as mill:
        positions = make_positions(mill.dir)
        os.environ["PATH"] = os.path.dirname(tool) + ":" + os.environ["PATH"]
        mill.start_dispatcher()
        mill.start_worker()
        mill.wait(mill.submit(var_job(100_000, 100_000, positions)))
        for _ in range(3 if bench.short else 5):
            begun = time.monotonic()
            report = subprocess.check_output([tool, "--positions", positions, "--scenarios", str(scenarios),
                                              "--threads", "2", "--json"])
            limit = scenarios / (time.monotonic() - begun)
            begun = time.monotonic()
            job = mill.submit(var_job(scenarios, scenarios, positions))
            ended = mill.wait(job, seconds=300)
            rate = scenarios / (time.monotonic() - begun)
            assert ended["state"] == "succeeded" and mill.output(job) == report, ended
            pairs.append((rate, limit))
    rate, limit = middle(pairs)
    return [Row("value at risk, a scenario a shard", "%.2f million/s" % (rate / 1e6),
                "the same kernel in two threads: %.2f million/s" % (limit / 1e6), rate / limit, "ratio at least 0.95",
                rate / limit >= 0.95)]


def told(argv):
    """Rows of a program: `row`, figure, value, limit, ratio, between tabs. They have no goal."""
    rows = [line.split("\t")[1:] for line in subprocess.check_output(argv, text=True).splitlines()
            if line.startswith("row\t")]
    assert rows, "%s told nothing" % argv[0]
    return [Row(figure, value, limit, float(ratio), "", None) for figure, value, limit, ratio in rows]


def journal(bench):
    """What the journal costs on top of its disk."""
    return told([program(bench, "bench-journal"), os.path.join(bench.build, "bench")])


def slots(bench):
    """What slots alone can do."""
    return told([program(bench, "bench-slots"), program(bench, "spawn-limit"), program(bench, "noop-runner")])


def s3(bench):
    """An object's bytes through a worker, against curl's ranged GETs."""
    ours, limit, bare = middle(object_store.pairs_of(bench))
    return [Row("S3 object into a command's stdin", "%.0f MiB/s" % (ours / 2**20),
                "curl's ranged GETs into the same command: %.0f MiB/s" % (limit / 2**20), ours / limit,
                "ratio at least 0.90", ours / limit >= 0.90),
            Row("the same", "%.0f MiB/s" % (ours / 2**20), "curl's ranged GETs, thrown away: %.0f MiB/s" % (bare / 2**20),
                ours / bare, None, None)]


ALL = {"journal": journal, "slots": slots, "noop": noop, "exec": exec_true, "event": event, "queued": queued,
       "huge": huge, "sim": sim, "finance": finance, "s3": s3}
