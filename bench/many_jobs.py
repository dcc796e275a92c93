"""Figures of many jobs at a time: small ones by themselves, and one that comes behind a huge one."""
import json
import os
import statistics
import subprocess
import threading
import time

from end_to_end import NOOP, TRUE, Row, middle, program
from mill import Mill, UnixConnection, until

BEHIND_S = 0.5  # the goal of a later job
BATCH, PRODUCERS = 500, 2  # events of one body; connections that send them
EVENT_RULE = ("version: 1\nname: tick\non:\n  - pattern: {source: [bench]}\n"
              "run:\n  runner: [%s]\n  format: msgpack\n")


def rate_of_jobs(mill, bench, definition, count):
    """One-shard jobs a second, from a queue of `count` until all have ended."""
    body = os.path.join(mill.dir, "body.json")
    with open(body, "w") as f:
        json.dump({"definition": definition}, f)
    mill.start_worker()
    until(lambda: mill.api("GET", "/v1/workers")["workers"])
    mill.wait(mill.submit(definition))  # its run time is known, its runner has started
    mill.abort_workers()
    until(lambda: not mill.api("GET", "/v1/workers")["workers"])
    subprocess.check_call([program(bench, "submit-many"), mill.socket, str(count), body])
    return wait_for_all(mill, count)


def rate_of_array(mill, definition):
    mill.start_worker()
    until(lambda: mill.api("GET", "/v1/workers")["workers"])
    mill.wait(mill.submit(definition % 1000))
    begun = time.monotonic()
    job = mill.wait(mill.submit(definition % 5000), seconds=300)
    rate = 5000 / (time.monotonic() - begun)
    assert job["state"] == "succeeded", job
    mill.abort_workers()
    until(lambda: not mill.api("GET", "/v1/workers")["workers"])
    return rate


def batches(first, end):
    """Bodies of BATCH events each; made before anything is measured."""
    return [json.dumps([{"id": str(n), "source": "bench", "detail-type": "tick", "detail": {}, "resources": [],
                         "time": "2026-01-01T00:00:00Z"} for n in range(at, min(end, at + BATCH))])
            for at in range(first, end, BATCH)]


def post_events(mill, bodies, failed):
    producer = UnixConnection(mill.socket, 60)
    for body in bodies:
        producer.request("POST", "/v1/events", body, {"Content-Type": "application/json"})
        answer = producer.getresponse()
        text = answer.read()
        if answer.status >= 300:
            failed.append("%d %s" % (answer.status, text[:200]))


def rate_with_events(bench, count):
    """One-shard jobs a second while their events come in: from the first event until all jobs have ended."""
    failed = []
    with Mill(bench.build) as mill:
        rules = os.path.join(mill.dir, "rules")
        os.mkdir(rules)
        with open(os.path.join(rules, "tick.yaml"), "w") as f:
            f.write(EVENT_RULE % program(bench, "noop-runner"))
        mill.start_dispatcher(rules_dir=rules)
        mill.start_worker()
        until(lambda: mill.api("GET", "/v1/rules")["rules"] and mill.api("GET", "/v1/workers")["workers"])
        post_events(mill, batches(count, count + BATCH), failed)  # the run time is known, the runner has started
        until(lambda: mill.api("GET", "/v1/status")["jobs"]["live"] == 0, seconds=300)
        bodies = batches(0, count)
        producers = [threading.Thread(target=post_events, args=(mill, bodies[n::PRODUCERS], failed))
                     for n in range(PRODUCERS)]
        begun = time.monotonic()
        for p in producers:
            p.start()
        for p in producers:
            p.join()
        until(lambda: mill.api("GET", "/v1/status")["jobs"]["live"] == 0, seconds=300, every=0.05)
        rate = count / (time.monotonic() - begun)
        assert not failed, failed[0]
        made = mill.api("GET", "/v1/jobs?limit=1")["jobs"][0]["id"]
        assert made == count + BATCH, "%d jobs were made" % made
    return rate


def jobs(bench):
    """One-shard jobs from a queue, by exec against an array of as many shards, and through a runner; and from events."""
    exec_pairs, runner_rates = [], []
    event_rates = [rate_with_events(bench, 20_000 if bench.short else 100_000) for _ in range(3)]
    with Mill(bench.build) as mill:
        mill.start_dispatcher()
        for _ in range(3):
            exec_pairs.append((rate_of_jobs(mill, bench, TRUE % ("one", 1), 5000),
                               rate_of_array(mill, TRUE.replace("%s", "many", 1))))
            runner_rates.append(rate_of_jobs(mill, bench, NOOP % (1, program(bench, "noop-runner")),
                                             20_000 if bench.short else 50_000))
    ours, array = middle(exec_pairs)
    rate, with_events = statistics.median(runner_rates), statistics.median(event_rates)
    return [Row("one-shard jobs of /bin/true", "%.0f/s" % ours, "an array's shards: %.0f/s" % array, ours / array,
                "ratio at least 0.90", ours / array >= 0.90),
            Row("one-shard jobs through a runner", "%.0f/s" % rate, "the goal", rate / 20_000, "at least 20,000/s",
                rate >= 20_000),
            Row("the same, their events coming in by batches of %d" % BATCH, "%.0f/s" % with_events,
                "from a queue: %.0f/s" % rate, with_events / rate, "at least 60,000/s", with_events >= 60_000)]


def behind(bench):
    """A later job, of higher priority or in another queue, behind 4,000,000,000 shards of 50 ms, until it has ended."""
    took = []
    with Mill(bench.build) as mill:
        mill.start_dispatcher()
        mill.start_worker()
        huge = mill.submit("version: 1\nname: huge\nshard: {count: 4000000000}\nrun: {exec: [sleep, '0.05']}\n")
        until(lambda: mill.job(huge)["phases"][0]["done"] >= 60)
        for n in range(10 if bench.short else 40):
            how = {"priority": 9} if n % 2 else {"queue": "other"}
            begun = time.monotonic()
            mill.wait(mill.submit("version: 1\nname: later\n%s: %s\nrun: {exec: ['/bin/true']}\n" % list(how.items())[0]))
            took.append(time.monotonic() - begun)
        mill.api("POST", "/v1/jobs/%d/cancel" % huge)
    longest = max(took)
    return [Row("a later job behind 4,000,000,000 shards (longest of %d)" % len(took), "%.0f ms" % (longest * 1e3),
                "its p50: %.0f ms" % (statistics.median(took) * 1e3), longest / BEHIND_S, "under 500 ms",
                longest < BEHIND_S)]


def wait_for_all(mill, count):
    """Starts a worker; until all have ended, how many that is a second."""
    mill.start_worker()
    until(lambda: mill.api("GET", "/v1/workers")["workers"])
    begun = time.monotonic()
    # Asked every 50 ms only: each question takes time from what is measured.
    until(lambda: mill.api("GET", "/v1/status")["jobs"]["live"] == 0, seconds=600, every=0.05)
    rate = count / (time.monotonic() - begun)
    mill.abort_workers()
    until(lambda: not mill.api("GET", "/v1/workers")["workers"])
    return rate


def submit_all(mill, bench, body, count):
    path = os.path.join(mill.dir, "body.json")
    with open(path, "w") as f:
        json.dump(body, f)
    subprocess.check_call([program(bench, "submit-many"), mill.socket, str(count), path])


def one_by_one(mill, definition, count):
    """What a chain is measured by: each job is submitted when the one before has ended."""
    mill.start_worker()
    until(lambda: mill.api("GET", "/v1/workers")["workers"])
    mill.wait(mill.submit(definition))
    begun = time.monotonic()
    for _ in range(count):
        mill.wait(mill.submit(definition))
    rate = count / (time.monotonic() - begun)
    mill.abort_workers()
    until(lambda: not mill.api("GET", "/v1/workers")["workers"])
    return rate


def after(bench):
    """A chain of jobs that each wait for the one before, and a fan of jobs that wait for one, by submit --after."""
    links, leaves = (1_000, 10_000) if bench.short else (10_000, 100_000)
    noop = NOOP % (1, program(bench, "noop-runner"))
    with Mill(bench.build) as mill:
        mill.start_dispatcher()
        alone = one_by_one(mill, noop, 300)
        last = mill.submit(noop)
        for _ in range(links - 1):
            last = mill.api("POST", "/v1/jobs", {"definition": noop, "after": [str(last)]})["id"]
        chain = wait_for_all(mill, links)
        assert mill.job(last)["state"] == "succeeded", mill.job(last)
        submit_all(mill, bench, {"definition": noop}, leaves)
        plain = wait_for_all(mill, leaves)
        root = mill.submit(noop)
        submit_all(mill, bench, {"definition": noop, "after": [str(root)]}, leaves)
        fan = wait_for_all(mill, leaves + 1)
        assert mill.job(root + leaves)["state"] == "succeeded", mill.job(root + leaves)
    return [Row("a chain of %s jobs by --after" % format(links, ","), "%.0f/s" % chain,
                "submitted one by one: %.0f/s" % alone, chain / alone, "ratio at least 1.00", chain / alone >= 1),
            Row("a fan of %s jobs by --after" % format(leaves, ","), "%.0f/s" % fan, "without it: %.0f/s" % plain,
                fan / plain, "ratio at least 0.80", fan / plain >= 0.80)]


ALL = {"jobs": jobs, "behind": behind, "after": after}
