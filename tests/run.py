"""Runs the suites, builds what they need beside build/plain, and ends with one table. Called by ./mill test.

run.py quick|normal|long

Tests get MILL_TEST (the same word; under asan the one below) and MILL_BUILD (plain or asan) to size
themselves by. A test is
a program registered with meson under one of the suites; what it counts as is read from its output:
Criterion's synthesis, unittest's last lines, or `mill: 12 passed, 0 failed`; else it is one test.
It did not run when it exits with 77; its last line then says why. A part of it that did not run is told by
a line `mill: skipped: what and why`.
A report of a sanitizer, a leak too, is a failure even if the program ended well.
"""
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time

SUITES = ("unit", "sim", "fuzz", "e2e", "tidy", "roots")
PLAIN_ONLY = ("tidy", "roots")  # they judge the sources and the plain build
SKIPPED_RESULTS = ("SKIP", "IGNORED")
GOOD_RESULTS = ("OK", "EXPECTEDFAIL")
REPORT = re.compile(r"ERROR: (Address|Leak)Sanitizer|: runtime error: ")
# A sanitizer's build takes the sizes below: it sees what is wrong with memory at the first shard, and takes
# several times as long for each.
SIZES = {"plain": {"quick": "quick", "normal": "normal", "long": "long"},
         "asan": {"quick": "quick", "normal": "quick", "long": "normal"}}
TIMEOUT_FACTOR = {"plain": 2, "asan": 4}
# These mostly wait, for daemons and their deadlines: several run at once on a core, beside the suites that compute.
# The latter, and the build for them, give way.
WAITING = ("e2e",)
WAITING_AT_ONCE = 2
COMPUTING_NICE = 10


class Row:
    def __init__(self, suite, build):
        self.suite, self.build = suite, build
        self.passed = self.failed = 0
        self.seconds = None
        self.not_run = []


def plan(mode):
    """[(suite, build, reason not to run it or None)]"""
    rows, quick = [], mode == "quick"
    for suite in SUITES:
        reason = "left out by --quick" if quick and suite == "e2e" else None
        if suite == "roots" and mode != "long":
            reason = "left to --long: builds in fresh roots of other releases"
        rows.append((suite, "plain", reason))
        if suite not in PLAIN_ONLY:
            rows.append((suite, "asan", "left out by --quick" if quick else None))
    return sorted(rows, key=lambda row: row[1] != "plain")


def registered(build):
    """{suite: [test, …]}; None holds what no suite of ours has."""
    listed = subprocess.run(["meson", "introspect", f"build/{build}", "--tests"], check=True,
                            capture_output=True, text=True)
    tests = {}
    for test in json.loads(listed.stdout):
        suites = {name.split(":")[-1] for name in test["suite"]} & set(SUITES)
        tests.setdefault(suites.pop() if len(suites) == 1 else None, []).append(test["name"])
    return tests


def counted(output):
    """(passed, failed, skipped) as the program itself counts; None when it does not."""
    output = re.sub(r"\x1b\[[0-9;]*m", "", output)
    found = re.search(r"Tested: \d+ \| Passing: (\d+) \| Failing: (\d+) \| Crashing: (\d+)", output)
    if found:
        passing, failing, crashing = map(int, found.groups())
        return passing, failing + crashing, 0
    found = re.search(r"^Ran (\d+) tests? in", output, re.M)
    if found:
        outcome = dict(re.findall(r"(failures|errors|skipped)=(\d+)", output[found.end():]))
        failed = int(outcome.get("failures", 0)) + int(outcome.get("errors", 0))
        skipped = int(outcome.get("skipped", 0))
        return int(found.group(1)) - failed - skipped, failed, skipped
    lines = re.findall(r"^mill: (\d+) passed, (\d+) failed", output, re.M)
    if lines:
        return sum(int(p) for p, _ in lines), sum(int(f) for _, f in lines), 0
    return None


def add_test(row, test, failures):
    """One line of meson's log."""
    name = test["name"].split(" / ")[-1]
    output = test.get("stdout", "") + "\n" + test.get("stderr", "")
    passed, failed, skipped = counted(output) or (None, None, 0)
    if test["result"] in SKIPPED_RESULTS:
        last = (output.strip().split("\n") or [""])[-1]
        row.not_run.append(f"{name}: {last or 'no reason given'}")
        return
    if passed is None:
        good = test["result"] in GOOD_RESULTS
        passed, failed = int(good), int(not good)
    elif test["result"] not in GOOD_RESULTS and failed == 0:
        failed = 1  # all its tests passed, and then it went wrong
    told = re.findall(r"^mill: skipped: (.+)$", output, re.M)
    if skipped > len(told):
        row.not_run.append(f"{name}: {skipped - len(told)} skipped by itself")
    row.not_run += [f"{name}: {what}" for what in told]
    if REPORT.search(output):
        failed += 1
    row.passed += passed
    row.failed += failed
    if failed:
        failures.append(f"{row.suite} ({row.build}): {name}: {test['result'].lower()}, "
                        f"{failed} failed")


def add_reports(row, directory, failures):
    """What sanitizers wrote: one failure each, whatever the program's exit code was."""
    for path in sorted(glob.glob(f"{directory}/*")):
        with open(path, errors="replace") as f:
            text = f.read()
        if not text.strip():
            continue
        row.failed += 1
        print(f"\n--- {path}\n" + "\n".join(text.split("\n")[:60]))
        failures.append(f"{row.suite} ({row.build}): a sanitizer's report: {path}")


def environment(row, mode, reports):
    env = dict(os.environ, MILL_TEST=SIZES[row.build][mode], MILL_BUILD=row.build)
    for name, options in (("ASAN_OPTIONS", "detect_leaks=1:strict_string_checks=1"),
                          ("LSAN_OPTIONS", "print_suppressions=0:suppressions=" + os.path.abspath("tests/leaks.txt")),
                          ("UBSAN_OPTIONS", "print_stacktrace=1")):
        env[name] = ":".join(filter(None, [env.get(name), options, f"log_path={reports}/report"]))
    if row.build == "asan":  # what a sanitizer takes beside a shard is not held against it
        env.setdefault("SHARDMILL_MEMORY_BOUND", "off")
    return env


def run_shown(argv, label, **more):
    """The exit code; each line that it prints is shown behind the label, as others run beside it."""
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               text=True, errors="replace", **more)
    for line in process.stdout:
        sys.stdout.write(f"{label} | {line}")
        sys.stdout.flush()
    return process.wait()


def run_suite(row, mode, nice):
    """Fills the row; returns what failed."""
    failures = []
    reports = os.path.abspath(f"build/{row.build}/reports/{row.suite}")
    shutil.rmtree(reports, ignore_errors=True)
    os.makedirs(reports)
    factor = 0 if mode == "long" else TIMEOUT_FACTOR[row.build]
    log = f"build/{row.build}/meson-logs/{row.suite}.json"
    if os.path.exists(log):
        os.unlink(log)
    at_once = len(os.sched_getaffinity(0)) * (WAITING_AT_ONCE if row.suite in WAITING else 1)
    start = time.monotonic()
    code = run_shown(
        ["nice", "-n", str(nice), "meson", "test", "-C", f"build/{row.build}", "--no-rebuild", "--suite", row.suite,
         "--logbase", row.suite, "--print-errorlogs", "--num-processes", str(at_once), "-t", str(factor)],
        f"{row.suite} ({row.build})", env=environment(row, mode, reports))
    row.seconds = time.monotonic() - start
    if os.path.exists(log):
        with open(log) as f:
            for line in f:
                add_test(row, json.loads(line), failures)
    add_reports(row, reports, failures)
    if code != 0 and not failures:
        row.failed += 1
        failures.append(f"{row.suite} ({row.build}): meson test ended with {code}")
    return failures


def print_table(rows):
    head = ("suite", "build", "tests", "failures", "seconds", "did not run, and why")
    lines = [head]
    for row in rows:
        reasons = row.not_run or [""]
        seconds = "-" if row.seconds is None else f"{row.seconds:.1f}"
        lines.append((row.suite, row.build, str(row.passed + row.failed), str(row.failed), seconds,
                      reasons[0]))
        lines += [("", "", "", "", "", reason) for reason in reasons[1:]]
    widths = [max(len(line[i]) for line in lines) for i in range(5)]
    print()
    for number, line in enumerate(lines):
        cells = [cell.rjust(width) if 2 <= i else cell.ljust(width)
                 for i, (cell, width) in enumerate(zip(line, widths))]
        print("  ".join(cells + [line[5]]).rstrip())
        if number == 0:
            print("-" * (sum(widths) + 10 + len(head[5])))


class Builds:
    """The lane that computes makes each build before its first suite; the lane that waits, waits for that."""

    def __init__(self):
        self.tests = {}  # {build: {suite: [test, …]}} of those that could be made
        self.done = {build: threading.Event() for build in SIZES}

    def make(self, build, nice):
        if build == "plain" or run_shown(["nice", "-n", str(nice), "./mill", "build-" + build], "build") == 0:
            self.tests[build] = registered(build)
        self.done[build].set()

    def give_up(self):
        for done in self.done.values():
            done.set()


def run_row(row, mode, builds, nice):
    """What failed."""
    builds.done[row.build].wait()
    if row.build not in builds.tests:
        row.failed = 1
        row.not_run.append("it could not be built")
        return [f"{row.suite} ({row.build}): it could not be built"]
    if row.suite not in builds.tests[row.build]:
        row.not_run.append("no test is registered")
        return []
    return run_suite(row, mode, nice)


def run_computing(rows, mode, builds, nice, outcome):
    try:
        for row in rows:
            if not builds.done[row.build].is_set():
                builds.make(row.build, nice)
            outcome[row] = run_row(row, mode, builds, nice)
    finally:
        builds.give_up()


def run_waiting(rows, mode, builds, outcome):
    for row in rows:
        outcome[row] = run_row(row, mode, builds, 0)


def run_side_by_side(rows, mode, builds):
    """{row: what failed}; a row is missing when something of ours broke before its turn."""
    outcome = {}
    waiting = [row for row in rows if row.suite in WAITING]
    computing = [row for row in rows if row.suite not in WAITING]
    nice = COMPUTING_NICE if waiting else 0
    lanes = [threading.Thread(target=run_computing, daemon=True, args=(computing, mode, builds, nice, outcome)),
             threading.Thread(target=run_waiting, daemon=True, args=(waiting, mode, builds, outcome))]
    for lane in lanes:
        lane.start()
    for lane in lanes:
        lane.join()
    return outcome


def main(mode):
    rows, to_run, failures = [], [], []
    for suite, build, reason in plan(mode):
        rows.append(Row(suite, build))
        if reason is not None:
            rows[-1].not_run.append(reason)
        else:
            to_run.append(rows[-1])
    builds = Builds()
    builds.make("plain", 0)
    outcome = run_side_by_side(to_run, mode, builds)
    for row in to_run:
        row.failed += row not in outcome
        failures += outcome.get(row, [f"{row.suite} ({row.build}): it was not run"])
    for build, by_suite in builds.tests.items():
        for name in by_suite.get(None, []):
            row = Row("?", build)
            row.failed = 1
            row.not_run.append(f"{name}: register it under one of {', '.join(SUITES)}")
            rows.append(row)
            failures.append(f"{name} ({build}) belongs to no suite")
    if failures:
        print("\nWhat failed:")
        for failure in failures:
            print("  " + failure)
    print_table(rows)
    passed, failed = sum(r.passed for r in rows), sum(r.failed for r in rows)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or failures else 0


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in ("quick", "normal", "long"):
        raise SystemExit("usage: run.py quick|normal|long")
    os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
    sys.exit(main(sys.argv[1]))
